package code

import (
	"context"
	"errors"
	"io"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"runctl/internal/job"
)

// emulated is an emulated machine as a runctl.Machine.
type emulated struct {
	*job.Emulator
	cut  int64 // bytes of a codeput until its stdin breaks; 0: it does not
	sent int64
}

func (e *emulated) Close() error { return nil }

func (e *emulated) Exec(ctx context.Context, argv []string, stdin io.Reader, stdout, stderr io.Writer) (int, error) {
	if len(argv) > 4 && argv[4] == "codeput" {
		if e.cut > 0 {
			stdin = &cutAfter{stdin, e.cut}
		}
		stdin = &countReader{stdin, &e.sent}
	}
	return e.Emulator.Exec(ctx, argv, stdin, stdout, stderr)
}

type countReader struct {
	r io.Reader
	n *int64
}

func (c *countReader) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	*c.n += int64(n)
	return n, err
}

func TestAnEmulatedMachineTakesCode(t *testing.T) {
	var specs []job.Spec
	m := &emulated{Emulator: job.NewEmulator(func(s job.Spec) job.Script { specs = append(specs, s); return job.Script{} })}
	src := space(t)
	want := oddTree()
	want["big"] = noise(1, 300_000)
	want["big2"] = noise(2, 300_000)
	want.write(t, src)
	tree := dir(t, src, Options{})
	var r *job.Refused
	require.ErrorAs(t, job.Start(t.Context(), m, job.Spec{Run: "r", Digest: "d", Argv: []string{"x"}, Code: tree.Digest()}), &r)
	assert.Equal(t, job.RefusedDir, r.Code)
	assert.Empty(t, specs)

	m.cut = 450_000
	require.ErrorIs(t, tree.Send(t.Context(), m), errCut)
	assert.False(t, m.Code(tree.Digest()))
	m.cut, m.sent = 0, 0
	require.NoError(t, tree.Send(t.Context(), m))
	assert.Less(t, m.sent, int64(450_000), "what arrived is not sent again")
	assert.True(t, m.Code(tree.Digest()))

	put(t, src, "train.py", "other")
	next := dir(t, src, Options{})
	m.sent = 0
	require.NoError(t, next.Send(t.Context(), m))
	assert.Less(t, m.sent, int64(200_000))

	require.NoError(t, job.Start(t.Context(), m, job.Spec{Run: "r", Digest: "d", Argv: []string{"x"}, Code: next.Digest(), Dir: "pkg"}))
	require.Len(t, specs, 1)
	assert.Equal(t, next.Digest(), specs[0].Code, "a script sees which tree a run had")
	require.ErrorAs(t, job.Start(t.Context(), m, job.Spec{Run: "s", Digest: "d", Argv: []string{"x"}, Code: next.Digest(), Dir: "pk", Shared: true}), &r)

	next = dir(t, src, Options{})
	next.digest = tree.Digest()[:63] + "0"
	require.ErrorAs(t, next.Send(t.Context(), m), &r)
	assert.Equal(t, job.RefusedSpec, r.Code)
	m.Die()
	assert.True(t, errors.Is(next.Send(t.Context(), m), job.ErrGone))
}
