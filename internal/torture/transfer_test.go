package torture

import (
	"crypto/sha256"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"runctl"
	"runctl/internal/enginetest"
	"runctl/ssh"
)

func TestFilesArriveWholeWhateverIsCut(t *testing.T) {
	const cuts, bytes = 5, 16 << 20 // each way
	seed := seedOf(t)
	host := enginetest.SSHD(t)
	line := enginetest.Proxy(t, host.Addr, seed)
	line.ChaosMin, line.ChaosMax = 200<<10, 2<<20
	dir := t.TempDir()
	hosts, err := ssh.New(provide(t, dir, host, line))
	require.NoError(t, err)
	defer hosts.Close()
	c, err := runctl.New(runctl.Config{Owner: "torture", Controller: "abc", Secret: []byte("of the test")}, hosts)
	require.NoError(t, err)
	defer c.Close()
	run, err := c.Start(t.Context(), runctl.RunSpec{Key: "files", Lifetime: time.Hour, Job: runctl.Job{Args: []string{"sleep", "3600"}}})
	require.NoError(t, err)
	defer func() { assert.NoError(t, c.Terminate(t.Context(), run.Ref())) }()

	here, back := filepath.Join(dir, "data"), filepath.Join(dir, "back")
	r := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8), byte(seed >> 16), byte(seed >> 24)})
	for name, size := range map[string]int{"one": bytes / 2, "two/three": bytes / 4, "empty": 0} {
		noise(t, r, filepath.Join(here, name), size)
	}
	for i := range 64 {
		noise(t, r, filepath.Join(here, "many", fmt.Sprint(i)), bytes/256)
	}
	require.NoError(t, os.Mkdir(back, 0o755))
	line.SetChaos(true)
	defer line.SetChaos(false)
	for _, way := range []struct {
		name string
		move func() error
	}{
		{"up", func() error { return run.Upload(t.Context(), here, ".") }},
		{"down", func() error { return run.Download(t.Context(), "data", back) }},
	} {
		before, began := line.Cuts(), time.Now()
		line.Cut() // what is open has outlived the line's good days
		require.NoError(t, way.move(), way.name)
		t.Logf("%s: %d cuts, %.1f s", way.name, line.Cuts()-before, time.Since(began).Seconds())
		assert.GreaterOrEqual(t, line.Cuts()-before, cuts, way.name)
	}
	assert.Equal(t, sums(t, here), sums(t, filepath.Join(back, "data")))
}

func noise(t *testing.T, r *rand.ChaCha8, name string, size int) {
	b := make([]byte, size)
	_, _ = r.Read(b)
	require.NoError(t, os.MkdirAll(filepath.Dir(name), 0o755))
	require.NoError(t, os.WriteFile(name, b, 0o644))
}

// sums are the checksums of the files below a directory, by their names there.
func sums(t *testing.T, dir string) map[string][32]byte {
	all := map[string][32]byte{}
	require.NoError(t, filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		rel, _ := filepath.Rel(dir, name)
		b, err := os.ReadFile(name)
		all[rel] = sha256.Sum256(b)
		return err
	}))
	return all
}
