//go:build unix

package aws

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// sweep kills all processes of the machine, until none is left.
func (b *box) sweep() {
	for range 2000 {
		left := b.processes()
		if len(left) == 0 {
			return
		}
		for _, pid := range left {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
		time.Sleep(2 * time.Millisecond)
	}
}

// processes are what carries the machine's mark in its environment, is in the session of something that the machine has started,
// or comes from one that is; programs that write their title over their environment are found by the latter two.
func (b *box) processes() (pids []int) {
	sessions := map[string]bool{}
	b.mu.Lock()
	for _, c := range b.cmds {
		sessions[strconv.Itoa(c.Process.Pid)] = true
	}
	b.mu.Unlock()
	if len(sessions) == 0 {
		return nil
	}
	marked := []byte("\x00" + mark + "=" + b.dir + "\x00")
	parents, mine := map[int]int{}, map[int]bool{}
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, file := range stats {
		stat, err := os.ReadFile(file)
		_, rest, ok := strings.Cut(string(stat), ") ")
		fields := strings.Fields(rest) // state, parent, group, session
		if pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(file))); err == nil && ok && len(fields) > 3 && fields[0] != "Z" {
			parents[pid], _ = strconv.Atoi(fields[1])
			env, _ := os.ReadFile(filepath.Join(filepath.Dir(file), "environ"))
			mine[pid] = sessions[fields[3]] || bytes.Contains(append([]byte{0}, env...), marked)
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

// Kill sends SIGKILL to the machine's processes whose command line begins with text, as the kernel does when memory is out, and
// returns how many there were.
func (f *Face) Kill(id, text string) (n int) {
	var b *box
	f.with(id, func(i *instance, _ time.Time) { b = i.box })
	if b == nil {
		return 0
	}
	for _, pid := range b.processes() {
		line, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "cmdline"))
		if err == nil && strings.HasPrefix(strings.ReplaceAll(string(line), "\x00", " "), text) && syscall.Kill(pid, syscall.SIGKILL) == nil {
			n++
		}
	}
	return n
}
