package fake

import (
	"context"
	"errors"
	"io"
	"slices"
	"time"

	"runctl"
	"runctl/internal/job"
)

// Connect opens a way to run the supervisor's verbs on the machine: any that is running, and for reading
// one that ended itself and keeps its disk, or a vessel whose offer does. Of Access only the host key is checked,
// where there are [HostKeys].
func (c *Cloud) Connect(ctx context.Context, i runctl.Instance, a runctl.Access) (runctl.Machine, error) {
	s := &shell{c: c, id: i.ID}
	var machine runctl.Machine = s
	err := c.call(ctx, OpConnect, i.ID, func(now time.Time) error {
		m, err := c.find(i.ID, now)
		if err == nil {
			_, err = c.supervisor(m, now)
		}
		if err == nil && c.hosted {
			h := &hosted{shell: s}
			h.key, h.trust, err = c.shake(m, a)
			machine = h
		}
		return err
	}, c.alias(i.ID)...)
	if err != nil {
		return nil, err
	}
	return machine, nil
}

// shell is a connection to a machine.
type shell struct {
	c  *Cloud
	id string
}

// Exec runs a verb. Nothing but the supervisor's verbs and a few plain commands is there.
func (s *shell) Exec(ctx context.Context, argv []string, stdin io.Reader, stdout, stderr io.Writer) (int, error) {
	c, code := s.c, 0
	var em *job.Emulator
	var m *machine
	var until time.Time // the cloud takes the machine back
	err := c.visit(ctx, OpExec, s.id, c.alias(s.id), func(now time.Time) (err error) {
		if m, err = c.find(s.id, now); err != nil {
			return unreachable(s.id, "connection closed by remote host")
		}
		if em, err = c.supervisor(m, now); err == nil && slices.Contains(argv, "start") && (m.over() || m.job != nil) {
			err = unreachable(s.id, "read-only file system")
		}
		if m.up() {
			until = m.reclaim
		}
		return err
	}, func() (err error) {
		code, err = s.exec(ctx, em, until, argv, stdin, stdout, stderr)
		c.settle(m)
		return err
	})
	if err != nil {
		return -1, err
	}
	return code, nil
}

// exec holds the call until the verb has answered or the machine is gone.
func (s *shell) exec(ctx context.Context, em *job.Emulator, until time.Time, argv []string, stdin io.Reader, stdout, stderr io.Writer) (int, error) {
	own, cancel := ctx, func() {}
	if !until.IsZero() {
		own, cancel = context.WithDeadline(ctx, until)
	}
	defer cancel()
	code, err := em.Exec(own, argv, stdin, stdout, stderr)
	if errors.Is(err, job.ErrGone) || err != nil && own.Err() != nil && ctx.Err() == nil {
		err = unreachable(s.id, "connection closed by remote host")
	}
	return code, err
}

// settle tells those who wait what the verb has changed.
func (c *Cloud) settle(m *machine) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if m.desk.touched() {
		c.moved(m)
	}
}

// Close leaves the machine alone.
func (s *shell) Close() error { return nil }
