package cli

import (
	"fmt"
	"io"
	"strings"
	"sync"

	"runctl/examples/runctl/cli/safe"
)

// speaker prints what we have to say, on stderr, each line after "· ". On a terminal it also keeps one line of
// progress at the bottom. It may be used concurrently.
type speaker struct {
	mu          sync.Mutex
	w           io.Writer
	tty         bool
	quiet, json bool
	shown       bool // a line of progress stands there
}

// sayf prints a line that -q leaves out, and so does --json, where events tell the same.
func (s *speaker) sayf(format string, args ...any) {
	if !s.quiet && !s.json {
		s.print(fmt.Sprintf(format, args...))
	}
}

// warnf prints a line whatever the flags; with --json, as an object.
func (s *speaker) warnf(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if s.json {
		s.object(map[string]any{"warning": text})
		return
	}
	s.print(text)
}

// print writes a message; lines after the first are indented below it.
func (s *speaker) print(text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.clear()
	lines := strings.Split(safe.Text(text), "\n")
	fmt.Fprintf(s.w, "· %s\n", strings.Join(lines, "\n    "))
}

// ask writes a question without a newline.
func (s *speaker) ask(text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.clear()
	fmt.Fprintf(s.w, "· %s ", safe.Line(text))
}

// object writes one line of JSON.
func (s *speaker) object(v any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	writeJSON(s.w, v, false)
}

// progress replaces the line of progress. Without a terminal it does nothing.
func (s *speaker) progress(text string) {
	if !s.tty || s.quiet || s.json {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	line := []rune(safe.Line("· " + text))
	if len(line) > 79 {
		line = append(line[:78], '…')
	}
	fmt.Fprintf(s.w, "\r\x1b[K%s", string(line))
	s.shown = true
}

// done keeps the line of progress as it is and goes to the next line.
func (s *speaker) done() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.shown {
		fmt.Fprintln(s.w)
		s.shown = false
	}
}

// clear removes the line of progress. The caller holds s.mu.
func (s *speaker) clear() {
	if s.shown {
		fmt.Fprint(s.w, "\r\x1b[K")
		s.shown = false
	}
}

// quote makes a word fit for a POSIX shell: a printed command must do nothing but what it says.
func quote(word string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("_@%+=:,./-", r)
	}
	if word != "" && strings.IndexFunc(word, func(r rune) bool { return !plain(r) }) < 0 {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}

// command prints argv as a shell would need it.
func command(args ...string) string {
	words := make([]string, len(args))
	for i, w := range args {
		words[i] = quote(w)
	}
	return strings.Join(words, " ")
}
