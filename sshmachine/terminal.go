package sshmachine

import (
	"cmp"
	"context"
	"io"

	"golang.org/x/crypto/ssh"

	"runctl"
)

// Terminal is what an interactive command is connected to. The caller puts its own terminal into raw mode.
type Terminal struct {
	Stdin          io.Reader
	Stdout, Stderr io.Writer     // with a pty the host merges both into Stdout
	Term           string        // TERM; empty: xterm
	Rows, Cols     int           // 0: 24 and 80
	Resize         <-chan [2]int // new rows and columns; may be nil
}

// Shell runs argv, or without one the user's login shell, with a terminal of the host's own. It ends like Exec;
// when the context or the connection ends, the host hangs the terminal up.
func (m *Machine) Shell(ctx context.Context, t Terminal, argv ...string) (int, error) {
	line := ""
	if len(argv) > 0 || len(m.c.Env) > 0 {
		if len(argv) == 0 {
			argv = []string{"sh", "-c", `exec "${SHELL:-sh}" -l`}
		}
		var err error
		if line, err = commandLine(argv, m.c.Env, ""); err != nil {
			return -1, m.fail(ctx, "shell", runctl.ErrInvalid, err)
		}
	}
	s, err := m.session(ctx)
	if err != nil {
		return -1, err
	}
	defer s.done()
	code, err := s.run(ctx, t.Stdin, t.Stdout, t.Stderr, "", func() error {
		err := s.RequestPty(cmp.Or(t.Term, "xterm"), cmp.Or(t.Rows, 24), cmp.Or(t.Cols, 80), ssh.TerminalModes{})
		switch {
		case err != nil:
			return err
		case line == "":
			err = s.Session.Shell()
		default:
			err = s.Start(line)
		}
		if err == nil && t.Resize != nil {
			go s.resize(t.Resize)
		}
		return err
	})
	if err != nil {
		return -1, m.fail(ctx, "shell", runctl.ErrUnavailable, err)
	}
	return code, nil
}

// resize passes sizes on until the session or the channel ends.
func (s *session) resize(sizes <-chan [2]int) {
	for {
		select {
		case <-s.over:
			return
		case size, ok := <-sizes:
			if !ok {
				return
			}
			_ = s.WindowChange(size[0], size[1])
		}
	}
}
