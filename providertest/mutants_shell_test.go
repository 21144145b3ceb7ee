package providertest

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"runctl"
	"runctl/internal/job"
	"runctl/local"
)

// crooked is this computer as a provider whose machines have a mistake. The reference has no machines for jobs.
type crooked struct {
	*local.Provider
	dir     string
	connect func(c *crooked, m runctl.Machine, i runctl.Instance) runctl.Machine
	spoilt  atomic.Bool // a command was cut in the middle of much input
}

// Info says that machines have files of their own, for the rows that send some.
func (c *crooked) Info() runctl.Info {
	info := c.Provider.Info()
	info.InPlace = false
	return info
}

func (c *crooked) Connect(ctx context.Context, i runctl.Instance, a runctl.Access) (runctl.Machine, error) {
	if c.spoilt.Load() {
		return nil, &runctl.Error{Kind: runctl.ErrAuth, Msg: "one connection is enough"}
	}
	m, err := c.Provider.Connect(ctx, i, a)
	if err != nil {
		return nil, err
	}
	return c.connect(c, m, i), nil
}

// crookedMachine has some of its methods replaced.
type crookedMachine struct {
	runctl.Machine
	argv  func([]string) []string
	in    func(io.Reader) io.Reader
	out   func(io.Writer) (io.Writer, func())
	ended func(context.Context)
	close func()
}

func (m crookedMachine) Exec(ctx context.Context, argv []string, in io.Reader, out, errs io.Writer) (int, error) {
	if m.argv != nil {
		argv = m.argv(argv)
	}
	if m.in != nil && in != nil {
		in = m.in(in)
	}
	if m.ended != nil {
		defer m.ended(ctx)
	}
	done := func() {}
	if m.out != nil {
		out, done = m.out(out)
	}
	defer done()
	return m.Machine.Exec(ctx, argv, in, out, errs)
}

func (m crookedMachine) Close() error {
	if m.close != nil {
		m.close()
	}
	return m.Machine.Close()
}

func under(root string) func([]string) []string {
	return func(argv []string) []string { return append([]string{"env", local.RootEnv + "=" + root}, argv...) }
}

// muchInput is what only the rows about files send to a command.
const muchInput = 1 << 20

type reader func([]byte) (int, error)

func (r reader) Read(b []byte) (int, error) { return r(b) }

var connections atomic.Int64

// shellMutants are the mutants of this computer's machines, one for each row.
func shellMutants() (all []mutant) {
	for _, row := range slices.Concat(shellRows, uploadRows) {
		if crookedMachines[row.Name] != nil {
			all = append(all, mutant{name: "crooked " + row.Name, row: row.Name})
		}
	}
	return all
}

// crookedMachines have the mistake that the row is to find.
var crookedMachines = map[string]func(c *crooked, m runctl.Machine, i runctl.Instance) runctl.Machine{
	// nowhere to write
	"Shell/Job": func(_ *crooked, m runctl.Machine, _ runctl.Instance) runctl.Machine {
		return crookedMachine{Machine: m, argv: under("/dev/null/runctl")}
	},
	// output held back to the end
	"Shell/Follow": func(_ *crooked, m runctl.Machine, _ runctl.Instance) runctl.Machine {
		return crookedMachine{Machine: m, out: func(w io.Writer) (io.Writer, func()) {
			b := &bytes.Buffer{}
			return b, func() { _, _ = w.Write(b.Bytes()) }
		}}
	},
	// TERM ignored by all commands
	"Shell/Cancel": func(_ *crooked, m runctl.Machine, _ runctl.Instance) runctl.Machine {
		return crookedMachine{Machine: m, argv: func(argv []string) []string {
			return append([]string{"sh", "-c", `trap '' TERM; exec "$@"`, "sh"}, argv...)
		}}
	},
	// a byte in the middle of much output is another; compressed it would not be so much, so there is no gzip
	"Shell/Download": func(_ *crooked, m runctl.Machine, _ runctl.Instance) runctl.Machine {
		return crookedMachine{Machine: m, out: func(w io.Writer) (io.Writer, func()) {
			const at = 1 << 20
			past := 0
			return writer(func(b []byte) {
				b = bytes.Replace(b, []byte("pong gzip=1"), []byte("pong gzip=0"), 1)
				if past <= at && at < past+len(b) {
					b[at-past] ^= 1
				}
				past += len(b)
				_, _ = w.Write(b)
			}), func() {}
		}}
	},
	// another directory for each connection
	"Shell/Attach": func(c *crooked, m runctl.Machine, _ runctl.Instance) runctl.Machine {
		return crookedMachine{Machine: m, argv: under(filepath.Join(c.dir, fmt.Sprint(connections.Add(1))))}
	},
	// Close ends what was started, and returns when it has ended: the row watches for a moment only
	"Shell/OutlivesConnection": func(_ *crooked, m runctl.Machine, _ runctl.Instance) runctl.Machine {
		return crookedMachine{Machine: m, close: func() {
			ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
			defer cancel()
			runs, _ := job.List(ctx, m)
			for _, r := range runs {
				_ = job.Cancel(ctx, m, r.Run, 0)
				_, _ = job.Wait(ctx, m, r.Run, 30*time.Second)
			}
		}}
	},
	// a byte late in much input is another; what is sent after a cut is not so much
	"Shell/Upload": func(_ *crooked, m runctl.Machine, _ runctl.Instance) runctl.Machine {
		return crookedMachine{Machine: m, in: func(r io.Reader) io.Reader {
			past := 0
			return reader(func(b []byte) (int, error) {
				n, err := r.Read(b)
				if at := muchInput*3/2 - past; at >= 0 && at < n {
					b[at] ^= 1
				}
				past += n
				return n, err
			})
		}}
	},
	// after a cut in the middle of much input no connection is let in
	"Shell/UploadCut": func(c *crooked, m runctl.Machine, _ runctl.Instance) runctl.Machine {
		past := new(atomic.Int64)
		k := crookedMachine{Machine: m, in: func(r io.Reader) io.Reader {
			return reader(func(b []byte) (int, error) {
				n, err := r.Read(b)
				past.Add(int64(n))
				return n, err
			})
		}}
		k.ended = func(ctx context.Context) {
			if ctx.Err() != nil && past.Load() > muchInput/4 {
				c.spoilt.Store(true)
			}
		}
		return k
	},
	// one directory for all machines
	"Shell/OwnRuns": func(c *crooked, m runctl.Machine, _ runctl.Instance) runctl.Machine {
		return crookedMachine{Machine: m, argv: under(filepath.Join(c.dir, "shared"))}
	},
}

func crookedHarness(connect func(*crooked, runctl.Machine, runctl.Instance) runctl.Machine) Harness {
	return Harness{
		New: func(t *testing.T, _ http.RoundTripper) runctl.Provider {
			dir := t.TempDir()
			p, err := local.New(local.Config{Dir: filepath.Join(dir, "state")})
			if err != nil {
				t.Fatal(err)
			}
			return &crooked{Provider: p, dir: dir, connect: connect}
		},
		Slow: 20 * time.Second, Patience: 30 * time.Second,
	}
}
