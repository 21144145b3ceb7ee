//go:build unix

package wire

import (
	"bytes"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Box is a container that is a process of this computer, and all that comes from it.
type Box struct {
	Err error // why it could not start; it is over then

	mark string // NAME=value
	cmd  *exec.Cmd
	done chan struct{} // closed when nothing of it is left
}

// Start runs a container. Over and Read are called by goroutines of its own.
func Start(c Command) *Box {
	b := &Box{mark: c.Mark + "=" + c.ID, done: make(chan struct{})}
	over := func() {
		close(b.done)
		if c.Over != nil {
			c.Over(b)
		}
	}
	b.cmd = exec.Command(c.Argv[0], c.Argv[1:]...)
	b.cmd.Dir, b.cmd.Env = c.Dir, append([]string{b.mark}, c.Env...)
	b.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	out, in, err := os.Pipe()
	if err == nil {
		b.cmd.Stdout, b.cmd.Stderr = in, in
		err = b.cmd.Start()
		_ = in.Close()
	}
	if b.Err = err; err != nil {
		_ = out.Close()
		go over()
		return b
	}
	read := make(chan struct{})
	go func() {
		defer close(read)
		c.Read(out)
	}()
	go func() {
		_ = b.cmd.Wait()
		b.sweep() // the rest of a container goes with its first process
		select {  // who fled from the container may hold its output
		case <-read:
		case <-time.After(2 * time.Second):
		}
		_ = out.Close()
		over()
	}()
	return b
}

// Code is the first process's exit code, with 128 and the signal's number for one that was killed; 127 when it could not
// start. It is known once the container is over.
func (b *Box) Code() int {
	if b.Err != nil {
		return 127
	}
	if s, ok := b.cmd.ProcessState.Sys().(syscall.WaitStatus); ok && s.Signaled() {
		return 128 + int(s.Signal())
	}
	return b.cmd.ProcessState.ExitCode()
}

// Kill ends the first process, and all others go with it.
func (b *Box) Kill() { b.signal(syscall.SIGKILL) }

func (b *Box) term() { b.signal(syscall.SIGTERM) }

func (b *Box) signal(s syscall.Signal) {
	if b.cmd.Process != nil {
		_ = b.cmd.Process.Signal(s)
	}
}

// sweep kills what is left of the container, until nothing is: whatever session or group it is in.
func (b *Box) sweep() {
	for range 1000 {
		left := b.Processes()
		if len(left) == 0 {
			return
		}
		for _, pid := range left {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
		time.Sleep(2 * time.Millisecond)
	}
}

// Processes are those of the container, but for the dead: what carries the mark in its environment, is in the first
// process's session, or comes from one that is. Programs that write their title over their environment are found by the latter two.
func (b *Box) Processes() (pids []int) {
	if b.cmd.Process == nil {
		return nil
	}
	mark := []byte("\x00" + b.mark + "\x00")
	parents, mine := map[int]int{}, map[int]bool{}
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, file := range stats {
		stat, err := os.ReadFile(file)
		_, rest, ok := strings.Cut(string(stat), ") ")
		fields := strings.Fields(rest) // state, parent, group, session
		if pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(file))); err == nil && ok && len(fields) > 3 && fields[0] != "Z" {
			parents[pid], _ = strconv.Atoi(fields[1])
			env, _ := os.ReadFile(filepath.Join(filepath.Dir(file), "environ"))
			mine[pid] = fields[3] == strconv.Itoa(b.cmd.Process.Pid) || bytes.Contains(append([]byte{0}, env...), mark)
		}
	}
	for pid := range parents {
		for at, depth := pid, 0; at > 1 && depth < 64; at, depth = parents[at], depth+1 {
			if mine[at] && pid != os.Getpid() {
				pids = append(pids, pid)
				break
			}
		}
	}
	return pids
}

// KillMatching sends SIGKILL to the container's processes whose command line begins with text, as the kernel does when
// memory is out, and returns how many there were.
func (b *Box) KillMatching(text string) (n int) {
	for _, pid := range b.Processes() {
		line, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "cmdline"))
		if err == nil && strings.HasPrefix(strings.ReplaceAll(string(line), "\x00", " "), text) && syscall.Kill(pid, syscall.SIGKILL) == nil {
			n++
		}
	}
	return n
}

// FreePort is one that nobody listens on now.
func FreePort() int {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}
