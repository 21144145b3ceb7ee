package local

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"syscall"

	"runctl"
)

// RootEnv names the environment variable that tells a command on a machine where everything of the
// machine lies.
const RootEnv = "RUNCTL_ROOT"

// Connect implements [runctl.Connector]. It is a look-up, no connection. An instance that has ended can
// still be entered, to read what its runs have left.
func (p *Provider) Connect(ctx context.Context, i runctl.Instance, _ runctl.Access) (runctl.Machine, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if _, err := p.read(i.ID); err != nil {
		return nil, err
	}
	return p.machine(i.ID), nil
}

func (p *Provider) machine(id string) machine { return machine{root: p.path(id, rootDir)} }

// machine runs commands on this computer for one instance.
type machine struct{ root string }

// Exec runs argv in the caller's current directory, with the caller's environment and RUNCTL_ROOT, in a
// process group of its own, which is what the context ends. A command that is not there has code 127, one
// that cannot be run 126, and one that a signal ended 128+N. Nobody who inherits a stream of the command
// holds Exec up for long, nor does a stdin that never ends.
func (m machine) Exec(ctx context.Context, argv []string, stdin io.Reader, stdout, stderr io.Writer) (int, error) {
	if len(argv) == 0 {
		return -1, invalid("there is no command to run")
	}
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Env = append(os.Environ(), RootEnv+"="+m.root)
	ownGroup(cmd)
	s, err := connect(cmd, stdin, stdout, stderr)
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		s.drop()
		return noStart(ctx, err, stderr)
	}
	s.begin()
	err = cmd.Wait()
	code, killed := exitCode(cmd.ProcessState)
	broken := s.finish(ctx)
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil && killed:
		return -1, context.Cause(ctx)
	case err != nil && !errors.As(err, &exit):
		return -1, fmt.Errorf("%s: %w", argv[0], err)
	case broken != nil:
		return -1, fmt.Errorf("%s: its input or output: %w", argv[0], broken)
	}
	return code, nil
}

// Close implements [runctl.Machine]; there is nothing to release.
func (machine) Close() error { return nil }

// noStart tells a command that is not there, or cannot be run, from a computer that cannot start any.
func noStart(ctx context.Context, err error, stderr io.Writer) (int, error) {
	code := -1
	switch {
	case ctx.Err() != nil:
		return -1, context.Cause(ctx)
	case errors.Is(err, exec.ErrNotFound), errors.Is(err, fs.ErrNotExist):
		code = 127
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.ENOEXEC), errors.Is(err, syscall.EISDIR):
		code = 126
	default:
		return -1, err
	}
	if stderr != nil {
		fmt.Fprintln(stderr, err)
	}
	return code, nil
}
