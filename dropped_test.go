package runctl

import (
	"context"
	"errors"
	"io"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"runctl/internal/job"
)

// doored is a cloud whose machines are entered, and answer nothing until the connection is closed.
type doored struct{ *modelCloud }

func (doored) Connect(context.Context, Instance, Access) (Machine, error) {
	return &door{shut: make(chan struct{})}, nil
}

type door struct {
	once sync.Once
	shut chan struct{}
}

func (d *door) Exec(context.Context, []string, io.Reader, io.Writer, io.Writer) (int, error) {
	<-d.shut
	return 0, &Error{Op: "exec", Kind: ErrClosed, Msg: "the connection was closed by its owner"}
}

func (d *door) Close() error {
	d.once.Do(func() { close(d.shut) })
	return nil
}

// Calls share a connection, and the first that finds it broken closes it. To the others that is a cut like any other, after
// which one tries again, and not the end that Close of the client is.
func TestAConnectionThatAnotherCallDroppedIsACutAndNoEnd(t *testing.T) {
	c := newTestClient(t, Config{}, doored{newModelCloud()})
	p := &shellProcess{c: c, a: c.providers[0], inst: Instance{ID: "i-1"}, run: "r"}
	held := func() chan error {
		in, out := make(chan struct{}), make(chan error, 1)
		go func() {
			out <- p.on(t.Context(), func(m job.Machine) error {
				close(in)
				_, err := m.Exec(t.Context(), nil, nil, nil, nil)
				return err
			})
		}()
		<-in
		return out
	}
	first := held()
	require.ErrorIs(t, p.on(t.Context(), func(job.Machine) error { return errors.New("reset") }), ErrUnavailable)
	err := <-first
	require.ErrorIs(t, err, ErrUnavailable)
	require.NotErrorIs(t, err, ErrClosed)

	second := held()
	require.NoError(t, c.Close())
	require.ErrorIs(t, <-second, ErrClosed)
}
