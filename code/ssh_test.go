package code

import (
	"fmt"
	"path/filepath"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"runctl/internal/enginetest"
	"runctl/internal/job"
	"runctl/sshmachine"
)

// TestOverARealServer sends over sshd, whose line is cut on the way, and starts a run in what arrived.
func TestOverARealServer(t *testing.T) {
	t.Parallel()
	server := enginetest.SSHD(t)
	proxy := enginetest.Proxy(t, server.Addr, 1)
	auth, err := sshmachine.Signer(server.Signer)
	require.NoError(t, err)
	dial := func(addr string) *sshmachine.Machine {
		m, err := sshmachine.Dial(t.Context(), sshmachine.Config{Addr: addr, User: server.User, Auth: []ssh.AuthMethod{auth},
			Trust: sshmachine.Pinned(ssh.FingerprintSHA256(server.HostKey))})
		require.NoError(t, err)
		t.Cleanup(func() { _ = m.Close() })
		return m
	}
	src := space(t)
	want := oddTree()
	for i := range 100 {
		want[fmt.Sprintf("big/%d", i)] = noise(uint64(i), 100_000)
	}
	want.write(t, src)
	var first, sent atomic.Int64
	cut := dir(t, src, Options{Progress: func(p Progress) {
		if first.Store(p.Sent); p.Bytes > 8_000_000 {
			proxy.Cut()
		}
	}})
	far := dial(proxy.Addr())
	proxy.Rate(8 << 20)
	require.Error(t, cut.Send(t.Context(), far))
	require.NotZero(t, proxy.Cuts())

	m := dial(server.Addr)
	tree := dir(t, src, Options{Progress: func(p Progress) { sent.Store(p.Sent) }})
	require.NoError(t, tree.Send(t.Context(), m))
	t.Logf("%d bytes before the cut, %d after", first.Load(), sent.Load())
	assert.Less(t, sent.Load(), int64(8_000_000), "of 10 MB")
	assert.Equal(t, want, filesOf(t, filepath.Join(server.Home, ".runctl/code/d."+tree.Digest(), "t")))

	log, err := runOn(t, m, "r", tree.Digest(), "./run.sh; cat pkg/now")
	require.NoError(t, err)
	assert.Equal(t, "ran\na b", log)
	assert.NoError(t, tree.Send(t.Context(), m))
	s, err := job.AskCode(t.Context(), m, tree.Digest())
	require.NoError(t, err)
	assert.True(t, s.Have)
	assert.Positive(t, s.Near)
}
