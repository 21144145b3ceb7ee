package sshmachine

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"io"
	"strings"
	"sync"
)

// Each command tells its process id as the first line on its standard error, behind a random word, so that it can be
// ended where the server passes no signals on. The line is taken out of what the caller sees.

// teller runs "$@" after it told the id and, where there is a /proc, the process's stat line, which holds its start.
const teller = `s=; read -r s 2>/dev/null </proc/$$/stat; echo "$0 $$ $s" >&2; exec "$@"`

// birth is who a command is on its host.
type birth struct{ pid, start string }

func newWord() string {
	var b [12]byte
	_, _ = rand.Read(b[:])
	return "runctl-pid-" + hex.EncodeToString(b[:])
}

// birthFilter passes standard error on without the line that tells the id. It holds back only what may become that line.
type birthFilter struct {
	w    io.Writer
	word string
	held []byte
	over bool // the line was seen, or will not come

	mu   sync.Mutex
	told birth
}

const maxBirth = 4 << 10

func (f *birthFilter) Write(p []byte) (int, error) {
	if f.over {
		return f.w.Write(p)
	}
	f.held = append(f.held, p...)
	at := f.found()
	line, rest, whole := bytes.Cut(f.held[at:], []byte("\n"))
	switch {
	case whole && bytes.HasPrefix(line, []byte(f.word)):
		f.over = true
		f.note(string(line[len(f.word):]))
		f.held = append(f.held[:at], rest...)
		return len(p), f.flush(len(f.held))
	case len(f.held)-at > maxBirth: // damaged
		f.over = true
		at = len(f.held)
	}
	return len(p), f.flush(at)
}

// found is where in held the word begins, or may begin once more has come.
func (f *birthFilter) found() int {
	if i := bytes.Index(f.held, []byte(f.word)); i >= 0 {
		return i
	}
	for n := min(len(f.word)-1, len(f.held)); n > 0; n-- {
		if bytes.HasSuffix(f.held, []byte(f.word[:n])) {
			return len(f.held) - n
		}
	}
	return len(f.held)
}

// flush passes the first n held bytes on.
func (f *birthFilter) flush(n int) error {
	if n == 0 {
		return nil
	}
	b := f.held[:n]
	f.held = bytes.Clone(f.held[n:])
	_, err := f.w.Write(b)
	return err
}

// note reads " PID STAT": of the stat line the 22nd field, which is the 20th after the name in brackets.
func (f *birthFilter) note(s string) {
	pid, stat, _ := strings.Cut(strings.TrimSpace(s), " ")
	if strings.Trim(pid, "0123456789") != "" || len(pid) > 10 || pid == "" || pid == "0" || pid == "1" {
		return
	}
	b := birth{pid: pid}
	if i := strings.LastIndex(stat, ")"); i >= 0 {
		if fields := strings.Fields(stat[i+1:]); len(fields) > 19 {
			b.start = fields[19]
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.told = b
}

func (f *birthFilter) birth() birth {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.told
}
