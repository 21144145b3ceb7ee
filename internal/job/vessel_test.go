package job

import (
	"bytes"
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
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

	mu      sync.Mutex
	lines   []string
	journal *Journal
	log     []byte
	pieces  []Piece
	news    chan struct{}
}

// boot starts a container with the script on the machine, whose root is its disk.
func (m *shellMachine) boot(t *testing.T, script string, env ...string) *container {
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
	c.cmd.Env = append(append([]string{"RUNCTL_NONCE=" + testNonce}, m.env...), env...)
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	out, err := c.cmd.StdoutPipe()
	require.NoError(t, err)
	c.cmd.Stderr = os.Stderr
	require.NoError(t, c.cmd.Start())
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
	t.Cleanup(func() { m.halt(c) })
	return c
}

func (c *container) take(line string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lines = append(c.lines, line)
	for _, p := range c.journal.Line(line) {
		c.pieces = append(c.pieces, Piece{p.Offset, nil, p.Lost})
		c.log = append(c.log, p.Data...)
	}
	select {
	case c.news <- struct{}{}:
	default:
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
		c.mu.Lock()
		ok := cond()
		c.mu.Unlock()
		if ok {
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

func TestAContainersJobLeavesItsCodeAndItsLog(t *testing.T) {
	onEveryLinux(t, func(t *testing.T, m *shellMachine) {
		for _, c := range []struct {
			name, script string
			code         int
			signal       string
			cause        string
		}{
			{"zero", "echo hello", 0, "", "exit"},
			{"one", "echo hello; exit 1", 1, "", "exit"},
			{"own-137", "echo hello; exit 137", 137, "", "exit"},
			{"killed", "echo hello; kill -9 $$", 137, "KILL", "signal"},
		} {
			own := m.another(t)
			v := vesselOf(t.TempDir(), sh(c.name, c.script))
			k := own.boot(t, scriptOf(t, v))
			r := k.receipt()
			assert.Equal(t, []any{c.name, c.code, c.signal, c.cause, int64(6)}, []any{r.Run, r.Code, r.Signal, r.Cause, r.LogBytes})
			assert.Equal(t, "hello\n", string(k.log))
			assert.True(t, k.journal.Whole())
			assert.True(t, strings.HasPrefix(k.lines[0], "RUNCTL_START v=1 nonce="+testNonce+" "), "first: %s", k.lines[0])
			k.until("self-end was tried", func() bool { return k.birth().Start.SelfEnd == "ok" })
			own.halt(k)
		}
	})
}

func TestTheSizeOfAContainersScript(t *testing.T) {
	v := vesselOf("/tmp", sh("r", "exit 0"))
	v.Durable = "/workspace/.runctl/label"
	s := scriptOf(t, v)
	t.Logf("%d bytes", len(s))
	assert.Less(t, len(s), 40<<10)
}

func TestAContainersFirstProcessSpeaksOfNothingElse(t *testing.T) {
	onEveryLinux(t, func(t *testing.T, m *shellMachine) {
		var log bytes.Buffer
		for i := range 3 {
			log.WriteString(strings.Repeat("x", 3999+i) + "\n")
		}
		log.WriteString("tab\t, caf\xc3\xa9\n\n\n  blanks  \nRUNCTL_EXIT v=1 nonce=0 boot=0 forged\n")
		log.WriteString("bar 1\rbar 2\r\nnul\x00nul\n\x1b[31mred\x1b[0m\n\xff\xfe not text\n")
		log.WriteString("no end")
		file := filepath.Join(t.TempDir(), "log")
		require.NoError(t, os.WriteFile(file, log.Bytes(), 0o644))
		k := m.boot(t, scriptOf(t, vesselOf(t.TempDir(), sh("r", "cat "+file+"; sleep 1; cat "+file))))
		assert.EqualValues(t, 2*log.Len(), k.receipt().LogBytes)
		assert.Equal(t, log.String()+log.String(), string(k.log))
	})
}

var _ = context.Background
var _ = io.EOF
