package toycloud

import (
	"context"
	"errors"
	"io"
	"strconv"
)

// Machine runs the few commands that a machine of this cloud knows: exit CODE, cat, args …, err TEXT,
// block.
type Machine struct {
	Cloud *Cloud
	ID    string
}

// Exec implements runctl.Machine.
func (m *Machine) Exec(ctx context.Context, argv []string, stdin io.Reader, stdout, stderr io.Writer) (int, error) {
	if !m.alive() {
		return 0, errors.New("toycloud: the machine is gone")
	}
	if len(argv) == 0 {
		return 127, nil
	}
	switch argv[0] {
	case "sh":
		return m.shell(ctx, argv, stdin, stdout, stderr)
	case "exit":
		return strconv.Atoi(argv[1])
	case "cat":
		if stdin == nil {
			return 0, nil
		}
		done := make(chan error, 1)
		go func() {
			_, err := io.Copy(stdout, stdin)
			done <- err
		}()
		select {
		case err := <-done:
			return 0, err
		case <-ctx.Done():
			return 0, context.Cause(ctx)
		}
	case "args":
		for _, a := range argv[1:] {
			if _, err := io.WriteString(stdout, a+"\x00"); err != nil {
				return 0, err
			}
		}
		return 0, nil
	case "err":
		_, err := io.WriteString(stderr, argv[1])
		return 0, err
	case "block":
		<-ctx.Done()
		return 0, context.Cause(ctx)
	}
	return 127, nil
}

func (m *Machine) alive() bool {
	m.Cloud.mu.Lock()
	defer m.Cloud.mu.Unlock()
	v := m.Cloud.find(m.ID)
	return v != nil && v.State == Active
}

// Close implements runctl.Machine.
func (m *Machine) Close() error { return nil }
