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
}

func (c *crooked) Connect(ctx context.Context, i runctl.Instance, a runctl.Access) (runctl.Machine, error) {
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
	out   func(io.Writer) (io.Writer, func())
	close func()
}

func (m crookedMachine) Exec(ctx context.Context, argv []string, in io.Reader, out, errs io.Writer) (int, error) {
	if m.argv != nil {
		argv = m.argv(argv)
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

var connections atomic.Int64

// shellMutants are the mutants of this computer's machines, one for each row.
func shellMutants() (all []mutant) {
	for _, row := range shellRows {
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
	// a byte in the middle of much output is another; compressed it would not be so much
	"Shell/Download": func(_ *crooked, m runctl.Machine, _ runctl.Instance) runctl.Machine {
		plainly := func(argv []string) []string {
			argv = slices.Clone(argv)
			for i, arg := range argv {
				if arg == "gzip" {
					argv[i] = "plain"
				}
			}
			return argv
		}
		return crookedMachine{Machine: m, argv: plainly, out: func(w io.Writer) (io.Writer, func()) {
			const at = 1 << 20
			past := 0
			return writer(func(b []byte) {
				if past <= at && at < past+len(b) {
					b = bytes.Clone(b)
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
		Slow: 2 * time.Second, Patience: 10 * time.Second,
	}
}
