// Package safe makes text from outside fit for a terminal.
//
// What jobs, clouds and colleagues write may hold more than text: sequences that set the clipboard, retitle
// the window, redefine keys, move the cursor over earlier lines or turn the reading direction. Here, colours
// and styles (SGR), carriage return, backspace, tab and newline pass; everything else that a terminal would
// obey is shown as a visible escape such as \x1b or \u202e, and nothing is dropped.
package safe

import (
	"fmt"
	"io"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxSGR bounds how much of a sequence is held back while it may still turn out to be a style.
const maxSGR = 64

// Writer passes a stream on to a terminal, made safe. Sequences and characters may be cut anywhere between
// two writes; at most 64 bytes are held back. It is not for concurrent use.
type Writer struct {
	w      io.Writer
	held   []byte // the beginning of a style or of a character
	styled bool   // a style may be switched on
	out    []byte
}

// NewWriter returns a Writer on w.
func NewWriter(w io.Writer) *Writer { return &Writer{w: w} }

// Write makes p safe and writes it. It reports len(p) unless the underlying writer failed.
func (s *Writer) Write(p []byte) (int, error) {
	s.out = s.out[:0]
	data := p
	if len(s.held) > 0 {
		data = append(s.held, p...)
		s.held = nil
	}
	rest := s.scan(data, false)
	s.held = append([]byte(nil), rest...)
	if len(s.out) == 0 {
		return len(p), nil
	}
	if _, err := s.w.Write(s.out); err != nil {
		return 0, err
	}
	return len(p), nil
}

// Close shows what was held back and switches styles off. It does not close the underlying writer.
func (s *Writer) Close() error {
	s.out = s.out[:0]
	s.scan(s.held, true)
	s.held = nil
	if s.styled {
		s.out = append(s.out, "\x1b[0m"...)
		s.styled = false
	}
	if len(s.out) == 0 {
		return nil
	}
	_, err := s.w.Write(s.out)
	return err
}

// scan appends the safe form of data to s.out and returns what must wait for more; with final, nothing waits.
func (s *Writer) scan(data []byte, final bool) []byte {
	for len(data) > 0 {
		if data[0] == 0x1b {
			n, more := style(data)
			switch {
			case more && !final:
				return data
			case n > 0:
				s.styled = string(data[:n]) != "\x1b[m" && string(data[:n]) != "\x1b[0m"
				s.out = append(s.out, data[:n]...)
				data = data[n:]
			default:
				s.out = append(s.out, `\x1b`...)
				data = data[1:]
			}
			continue
		}
		if !final && !utf8.FullRune(data) {
			return data
		}
		r, n := utf8.DecodeRune(data)
		if strings.ContainsRune("\n\r\b\t", r) {
			s.out = append(s.out, data[0])
		} else {
			s.out = appendRune(s.out, r, data[:n])
		}
		data = data[n:]
	}
	return nil
}

// style returns the length of the SGR sequence at the beginning of data, which starts with ESC. It reports
// more when data may be the beginning of one.
func style(data []byte) (n int, more bool) {
	if len(data) > 1 && data[1] != '[' {
		return 0, false
	}
	for i := 2; i < len(data) && i < maxSGR; i++ {
		switch c := data[i]; {
		case c == 'm':
			return i + 1, false
		case c >= '0' && c <= '9' || c == ';' || c == ':':
		default:
			return 0, false
		}
	}
	return 0, len(data) < maxSGR
}

// Line makes s safe for one line or one cell of a table: no style, no newline, nothing that moves the cursor.
func Line(s string) string { return text(s, "") }

// Text is [Line] for text of several lines: newlines and tabs stay.
func Text(s string) string { return text(s, "\n\t") }

func text(s, keep string) string {
	var out []byte
	for len(s) > 0 {
		r, n := utf8.DecodeRuneInString(s)
		if strings.ContainsRune(keep, r) && r != utf8.RuneError {
			out = append(out, s[:n]...)
		} else {
			out = appendRune(out, r, []byte(s[:n]))
		}
		s = s[n:]
	}
	return string(out)
}

// short are the escapes that people know.
var short = map[rune]string{'\a': `\a`, '\b': `\b`, '\f': `\f`, '\n': `\n`, '\r': `\r`, '\t': `\t`, '\v': `\v`}

// appendRune appends r, encoded as raw, or the visible escape of it.
func appendRune(out []byte, r rune, raw []byte) []byte {
	switch {
	case r == utf8.RuneError && len(raw) == 1:
		return fmt.Appendf(out, `\x%02x`, raw[0])
	case short[r] != "":
		return append(out, short[r]...)
	case r < 0x20 || r == 0x7f:
		return fmt.Appendf(out, `\x%02x`, r)
	case !hidden(r):
		return append(out, raw...)
	case r > 0xffff:
		return fmt.Appendf(out, `\U%08x`, r)
	}
	return fmt.Appendf(out, `\u%04x`, r)
}

// hidden reports whether a terminal obeys r instead of showing it: the C1 controls, line and paragraph
// separators, and format characters (reading direction, tags, invisible operators) but for the soft hyphen
// and the two joiners, which ordinary text in some scripts needs.
func hidden(r rune) bool {
	switch r {
	case 0xad, 0x200c, 0x200d:
		return false
	}
	return unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp)
}
