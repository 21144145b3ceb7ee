package job

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const testNonce = "00112233445566778899aabbccddeeff"

// vesselOf is a container's job that begins now and may end itself; ending makes the file "ended".
func vesselOf(dir string, s Spec) Vessel {
	now := time.Now()
	return Vessel{Spec: s, StartBy: now.Add(time.Hour), EndBy: now.Add(time.Hour), Lifetime: time.Hour, Linger: time.Hour,
		End: "end_ask() { :; }\nend_now() { echo \"$RUNCTL_ROOT\" >>" + dir + "/ended; }\n"}
}

// container is a first process on one of the shell machines: its lines go into a journal as they come.
type container struct {
	t    *testing.T
	cmd  *exec.Cmd
	gone chan struct{}

	mu   sync.Mutex
	came []string // lines that nobody has looked at
	news chan struct{}

	// What was seen so far. It grows in until alone, so whoever waited reads what was there then.
	lines   []string
	journal *Journal
	log     []byte
	pieces  []Piece
}

// boot starts a container with the script on the machine, whose root is its disk.
func (m *shellMachine) boot(t *testing.T, script string, env ...string) *container {
	t.Helper()
	k := m.container(t, script)
	k.cmd.Env = append(k.cmd.Env, env...)
	k.start(m)
	return k
}

// bootAs is boot under another command.
func (m *shellMachine) bootAs(t *testing.T, script string, by ...string) *container {
	t.Helper()
	k := m.container(t, script)
	require.NoError(t, os.Chmod(m.root, 0o777))
	k.cmd.Args = append(by, append([]string{k.cmd.Path}, k.cmd.Args[1:]...)...)
	k.cmd.Path = by[0]
	k.start(m)
	return k
}

func (m *shellMachine) container(t *testing.T, script string) *container {
	t.Helper()
	c := &container{t: t, gone: make(chan struct{}), journal: NewJournal(testNonce), news: make(chan struct{}, 1)}
	var path string
	for _, e := range m.env {
		if p, ok := strings.CutPrefix(e, "PATH="); ok {
			path, _, _ = strings.Cut(p, ":")
		}
	}
	c.cmd = exec.Command(filepath.Join(path, "sh"), "-c", script)
	c.cmd.Dir = t.TempDir()
	c.cmd.Env = append([]string{"RUNCTL_NONCE=" + testNonce}, m.env...)
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	return c
}

func (c *container) start(m *shellMachine) {
	c.t.Helper()
	out, err := c.cmd.StdoutPipe()
	require.NoError(c.t, err)
	require.NoError(c.t, c.cmd.Start())
	go func() {
		defer close(c.gone)
		b := new(bytes.Buffer)
		buf := make([]byte, 64<<10)
		for {
			n, err := out.Read(buf)
			b.Write(buf[:n])
			for {
				line, e := b.ReadString('\n')
				if e != nil {
					b.WriteString(line)
					break
				}
				c.take(strings.TrimSuffix(line, "\n"))
			}
			if err != nil {
				break
			}
		}
		_ = c.cmd.Wait()
	}()
	c.t.Cleanup(func() { m.halt(c) })
}

func (c *container) take(line string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.came = append(c.came, line)
	select {
	case c.news <- struct{}{}:
	default:
	}
}

// look takes in what has come.
func (c *container) look() {
	c.mu.Lock()
	came := c.came
	c.came = nil
	c.mu.Unlock()
	for _, line := range came {
		c.lines = append(c.lines, line)
		for _, p := range c.journal.Line(line) {
			c.pieces = append(c.pieces, Piece{p.Offset, nil, p.Lost})
			c.log = append(c.log, p.Data...)
		}
	}
}

// halt ends a container as a host does: all of its processes at once.
func (m *shellMachine) halt(c *container) {
	_ = c.cmd.Process.Kill()
	m.powerOff(c.t)
	<-c.gone
}

// until waits for the lines to be so.
func (c *container) until(what string, cond func() bool) {
	c.t.Helper()
	for deadline := time.After(patience); ; {
		if c.look(); cond() {
			return
		}
		select {
		case <-c.news:
		case <-time.After(20 * time.Millisecond): // for what is not in the lines
		case <-deadline:
			c.t.Fatalf("%s: did not come; lines:\n%s", what, strings.Join(c.lines[:min(len(c.lines), 50)], "\n"))
		}
	}
}

func (c *container) birth() *Birth {
	if b := c.journal.Births(); len(b) > 0 {
		return b[len(b)-1]
	}
	return &Birth{}
}

func (c *container) role(r Role) {
	c.t.Helper()
	c.until("role "+string(r), func() bool { return c.birth().Start.Role == r })
}

func (c *container) receipt() Receipt {
	c.t.Helper()
	c.until("receipt", func() bool { return c.birth().Receipt != nil })
	return *c.birth().Receipt
}

func scriptOf(t *testing.T, v Vessel) string {
	t.Helper()
	s, err := v.Script()
	require.NoError(t, err)
	return s
}
