package sshmachine_test

import (
	"bytes"
	"context"
	"io"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"runctl/internal/enginetest"
	"runctl/sshmachine"
)

// screen collects what a terminal shows.
type screen struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *screen) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *screen) shows(text string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Contains(s.b.String(), text)
}

func TestAnInteractiveCommandHasATerminal(t *testing.T) {
	s := enginetest.SSHD(t)
	m := dial(t, config(t, s))
	var show screen
	code, err := m.Shell(t.Context(), sshmachine.Terminal{Stdout: &show, Term: "vt100", Rows: 33, Cols: 77}, "sh", "-c", `stty size; echo "$TERM"; test -t 0 && test -t 1 && test -t 2; exit $((40 + $?))`)
	require.NoError(t, err)
	assert.Equal(t, 40, code)
	assert.True(t, show.shows("33 77\r\nvt100\r\n"), show.b.String())
}

func TestTheLoginShellTakesLinesAndNewSizes(t *testing.T) {
	for name, env := range map[string]map[string]string{"plain": nil, "with an environment": {"GREETING": "hi there"}} {
		t.Run(name, func(t *testing.T) {
			c := config(t, enginetest.SSHD(t))
			c.Env = env
			m := dial(t, c)
			var show screen
			in, keys := io.Pipe()
			sizes := make(chan [2]int)
			code := make(chan int, 1)
			go func() {
				n, err := m.Shell(t.Context(), sshmachine.Terminal{Stdin: in, Stdout: &show, Resize: sizes})
				assert.NoError(t, err)
				code <- n
			}()
			say := func(line, answer string) {
				_, err := io.WriteString(keys, line+"\n")
				require.NoError(t, err)
				eventually(t, func() bool { return show.shows(answer) }, answer)
			}
			say(`echo "<$(stty size)>$GREETING<"`, "<24 80>"+env["GREETING"]+"<")
			sizes <- [2]int{50, 120}
			eventually(t, func() bool {
				_, _ = io.WriteString(keys, `echo "<$(stty size)>"`+"\n")
				return show.shows("<50 120>")
			}, "the new size")
			close(sizes)
			_, err := io.WriteString(keys, "exit 5\n")
			require.NoError(t, err)
			assert.Equal(t, 5, <-code)
			keys.Close()
		})
	}
}

func TestTheEndOfAContextHangsTheTerminalUp(t *testing.T) {
	s := enginetest.SSHD(t)
	m := dial(t, config(t, s))
	ctx, cancel := context.WithCancel(t.Context())
	_, err := m.Shell(ctx, sshmachine.Terminal{Stdout: onFirst(cancel)}, "sh", "-c", "sleep 1000 & echo ready; sleep 1000")
	assert.ErrorIs(t, err, context.Canceled)
	nothingLeft(t, s)
	_, err = m.Shell(t.Context(), sshmachine.Terminal{}, "a\x00b")
	assert.Error(t, err)
}
