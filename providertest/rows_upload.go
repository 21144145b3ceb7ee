package providertest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync/atomic"

	"runctl"
)

// uploadRows are about files that are sent to a job, on machines that do not share the caller's.
var uploadRows = []Row{
	{
		Name: "Shell/Upload", Needs: needs(needShell, needPOSIX, needOwnFiles),
		Rule: "files that are sent to a machine are there whole",
		Do:   "pass a command's input on byte for byte and to its end; a limit must be an error",
		check: func(c *check) {
			client, i := c.shell()
			run := c.busy(client, i)
			c.upload(run, "files")
			c.stopRun(run)
		},
	},
	{
		Name: "Shell/UploadCut", Needs: needs(needShell, needPOSIX, needOwnFiles),
		Rule: "a command that is cut in the middle of its input spoils nothing: over another connection the rest of the files follows",
		Do:   "end a command with its context, however much of its input is under way, and let each Connect begin anew",
		check: func(c *check) {
			first, i := c.shell()
			k := &cutter{after: uploadFiles * uploadBytes / 2}
			run, err := c.clientOver(cutting{entered{c.p, c.h.Access}, k}).Attach(c.ctx, c.busy(first, i).Ref())
			_ = first.Close()
			if err == nil {
				var s runctl.Status
				if s, err = run.Status(c.ctx); s.Live != runctl.Alive {
					c.lack("runs that outlive a connection")
				}
			}
			if err != nil {
				c.lack("runs that are found again")
			}
			c.upload(run, "files whose first connection was cut in the middle")
			if !k.cut.Load() {
				c.failf("%d bytes were sent, and no command took more than %d of them as its input", uploadFiles*uploadBytes, k.after)
			}
			c.stopRun(run)
		},
	},
}

// What is sent is more than any pipe or window holds, and each file of it as much.
const (
	uploadFiles = 3
	uploadBytes = 700 << 10
)

// upload sends files that nothing can compress to a job that goes on, fetches each again, and expects what was sent.
func (c *check) upload(run *runctl.Run, what string) {
	dir := c.t.TempDir()
	random := rand.NewChaCha8([32]byte{})
	sent := make([][]byte, uploadFiles)
	for n := range sent {
		sent[n] = make([]byte, uploadBytes)
		_, _ = random.Read(sent[n]) // never fails
		c.must("os.WriteFile", os.WriteFile(filepath.Join(dir, fmt.Sprint(n)), sent[n], 0o600))
	}
	ctx, cancel := context.WithTimeout(c.ctx, 4*c.patience())
	defer cancel()
	if err := run.Upload(ctx, dir, ".", runctl.TransferOptions{As: "in"}); err != nil {
		c.failf("%s of %d bytes were sent; Upload returned %s", what, uploadFiles*uploadBytes, describe(err))
	}
	for n, want := range sent {
		to := c.t.TempDir()
		err := run.Download(ctx, fmt.Sprint("in/", n), to)
		if got, _ := os.ReadFile(filepath.Join(to, "in", fmt.Sprint(n))); err != nil || !bytes.Equal(got, want) {
			c.failf("%s were sent; of one of %d bytes Download returned %s and %d bytes, the first %d as they should be",
				what, len(want), describe(err), len(got), alike(got, want))
		}
	}
}

// cutting is a provider whose connections are cut.
type cutting struct {
	runctl.Provider
	*cutter
}

func (p cutting) Connect(ctx context.Context, i runctl.Instance, a runctl.Access) (runctl.Machine, error) {
	con, _ := find[runctl.Connector](p.Provider)
	m, err := con.Connect(ctx, i, a)
	if err != nil {
		return nil, err
	}
	return p.over(m), nil
}

// cutter cuts one command: the first that has taken so many bytes of input. To the machine that is the end of the
// command's context, which is how a line that has fallen silent is left too.
type cutter struct {
	after int
	cut   atomic.Bool
}

// over is the machine with the cutter in between; one that shows its host key goes on doing so.
func (k *cutter) over(m runctl.Machine) runctl.Machine {
	if h, ok := m.(runctl.Hosted); ok {
		return struct {
			runctl.Machine
			runctl.Hosted
		}{cutMachine{m, k}, h}
	}
	return cutMachine{m, k}
}

type cutMachine struct {
	runctl.Machine
	k *cutter
}

func (m cutMachine) Exec(ctx context.Context, argv []string, in io.Reader, out, errs io.Writer) (int, error) {
	if in == nil || m.k.cut.Load() {
		return m.Machine.Exec(ctx, argv, in, out, errs)
	}
	own, cut := context.WithCancelCause(ctx)
	defer cut(nil)
	code, err := m.Machine.Exec(own, argv, &cutInput{in: in, k: m.k, cut: cut}, out, errs)
	if cause := context.Cause(own); err == nil && cause != nil {
		err = cause
	}
	return code, err
}

// errLineCut is the end of a command that was cut.
var errLineCut = errors.New("the connection was cut")

// cutInput ends the command's context once enough was read, and has nothing more from then on.
type cutInput struct {
	in   io.Reader
	k    *cutter
	read int
	cut  context.CancelCauseFunc
}

func (r *cutInput) Read(b []byte) (int, error) {
	n, err := r.in.Read(b)
	if r.read += n; r.read > r.k.after && r.k.cut.CompareAndSwap(false, true) {
		r.cut(errLineCut)
	}
	if r.read > r.k.after {
		return 0, errLineCut
	}
	return n, err
}
