package enginetest

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// connections are the processes that an sshd has for its connections: its children, and theirs as long as they are sshd.
func connections(pid int) (pids []int) {
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, f := range stats {
		b, err := os.ReadFile(f)
		name, rest, ok := strings.Cut(string(b), ") ")
		if err != nil || !ok {
			continue
		}
		fields := strings.Fields(rest)
		child, _ := strconv.Atoi(filepath.Base(filepath.Dir(f)))
		if len(fields) > 1 && fields[1] == strconv.Itoa(pid) && strings.Contains(name, "(sshd") {
			pids = append(append(pids, child), connections(child)...)
		}
	}
	return pids
}

// Left returns the processes that the server's sessions have left, wherever they went: the environment tells.
func (s *Server) Left() (pids []int) {
	files, _ := filepath.Glob("/proc/[0-9]*/environ")
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil || !bytes.Contains(b, []byte("HOME="+s.Home+"\x00")) {
			continue
		}
		pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(f)))
		if pid != os.Getpid() {
			pids = append(pids, pid)
		}
	}
	return pids
}

// endSessions kills what the sessions have left, until nothing is.
func (s *Server) endSessions() {
	deadline := time.After(10 * time.Second)
	for {
		left := s.Left()
		for _, pid := range left {
			kill(pid)
		}
		if len(left) == 0 {
			return
		}
		select {
		case <-deadline:
			s.t.Errorf("enginetest: processes %v of sshd's sessions cannot be killed", left)
			return
		case <-time.After(20 * time.Millisecond):
		}
	}
}
