package canary

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"runctl/internal/execfile"
)

// gated are the programs that the supervisor runs between the arrival of a spec and the job's first instruction, and the one that
// fetches what a job needs.
var gated = []string{"cat", "wc", "mkdir", "mv", "rm", "dd", "od", "date", "mkfifo", "setsid", "curl"}

// gates stand before programs: a directory for the front of PATH, whose programs report, wait until somebody has
// looked around, and become the real ones. So whatever lies about at any time is seen, however short that is.
type gates struct {
	Path string // PATH with the gates
	Real string // PATH without

	dir    string
	ask    *os.File
	answer *os.File
	done   sync.WaitGroup

	mu    sync.Mutex
	look  func(program string, parent int) // called at each gate; nil: they stand open
	count int
}

// newGates makes gates that stand open.
func newGates(t *testing.T) *gates {
	g := &gates{dir: t.TempDir(), Real: os.Getenv("PATH")}
	g.Path = g.dir + ":" + g.Real
	fifo := func(name string) *os.File {
		require.NoError(t, syscall.Mkfifo(filepath.Join(g.dir, name), 0o600))
		f, err := os.OpenFile(filepath.Join(g.dir, name), os.O_RDWR, 0)
		require.NoError(t, err)
		return f
	}
	g.ask, g.answer = fifo("ask"), fifo("answer")
	for _, name := range gated {
		program, err := exec.LookPath(name)
		require.NoError(t, err)
		// The answer is one byte, so that of several who wait each takes a whole one.
		script := fmt.Sprintf("#!/bin/sh\n[ ! -f %[1]s/shut ] || { echo $PPID %[2]s >%[1]s/ask; read -r x <%[1]s/answer; }\nexec %[3]s \"$@\"\n", g.dir, name, program)
		require.NoError(t, execfile.Write(filepath.Join(g.dir, name), script))
	}
	g.done.Go(g.keep)
	t.Cleanup(func() {
		g.open()
		_ = g.ask.Close()
		g.done.Wait()
		_ = g.answer.Close()
	})
	return g
}

// keep answers whoever stands at a gate.
func (g *gates) keep() {
	r := bufio.NewScanner(g.ask)
	for r.Scan() {
		g.mu.Lock()
		g.count++
		if g.look != nil {
			parent, program, _ := strings.Cut(r.Text(), " ")
			pid, _ := strconv.Atoi(parent)
			g.look(program, pid)
		}
		g.mu.Unlock()
		_, _ = g.answer.WriteString("\n")
	}
}

// shut has look called at every gate from now on.
func (g *gates) shut(look func(program string, parent int)) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.look, g.count = look, 0
	_ = g.answer.SetReadDeadline(time.Now().Add(time.Millisecond)) // an answer to somebody who was killed
	_, _ = g.answer.Read(make([]byte, 100))
	if err := os.WriteFile(filepath.Join(g.dir, "shut"), nil, 0o600); err != nil {
		panic(err)
	}
}

// open lets everybody pass, and returns how many were looked at.
func (g *gates) open() int {
	_ = os.Remove(filepath.Join(g.dir, "shut"))
	g.mu.Lock()
	defer g.mu.Unlock()
	g.look = nil
	return g.count
}
