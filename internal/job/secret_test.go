package job

import (
	"bytes"
	"context"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const canary = "canary-6f1d-secret"

func TestSecretsAreInNoArgumentAndNoFile(t *testing.T) {
	onEveryShell(t, func(t *testing.T, m *shellMachine) {
		up, gate := fifo(t), fifo(t)
		s := sh("r", `[ "$TOKEN" = `+canary[:6]+`"`+canary[6:]+`" ] || exit 1; echo up >`+up+`; read x <`+gate)
		s.Env = map[string]string{"TOKEN": canary}
		spied := spy{m, t}
		start(t, spied, s)
		hear(t, up)
		spied.look()
		spied.noFile()
		tell(t, gate, "go")
		assert.Zero(t, done(t, m, "r").Code)
		spied.noFile()

		var refused *Refused
		start(t, m, sh("holder", "read x <"+gate))
		require.ErrorAs(t, Start(t.Context(), m, Spec{Run: "busy", Digest: "d", Argv: []string{"true"}, Env: s.Env}), &refused)
		spied.noFile()
		tell(t, gate, "go")
		done(t, m, "holder")
	})
}

// spy looks at every process's arguments during each call.
type spy struct {
	*shellMachine
	t *testing.T
}

func (s spy) Exec(ctx context.Context, argv []string, stdin io.Reader, stdout, stderr io.Writer) (int, error) {
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			s.look()
			select {
			case <-stop:
				return
			default:
			}
		}
	}()
	defer func() { close(stop); <-stopped }()
	return s.shellMachine.Exec(ctx, argv, stdin, stdout, stderr)
}

func (s spy) look() {
	lines, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, name := range lines {
		if b, err := os.ReadFile(name); err == nil && bytes.Contains(b, []byte(canary)) {
			s.t.Errorf("%s has the secret: %q", name, b)
		}
	}
}

func (s spy) noFile() {
	require.NoError(s.t, filepath.WalkDir(s.root, func(name string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return nil // one that went away meanwhile
		}
		info, err := d.Info()
		if err == nil {
			assert.Zero(s.t, info.Mode().Perm()&0o077, name)
		}
		if b, err := os.ReadFile(name); err == nil {
			assert.NotContains(s.t, string(b), canary, name)
		}
		return nil
	}))
}
