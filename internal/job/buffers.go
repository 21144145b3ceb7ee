package job

import (
	"bytes"
	"strings"
)

// limitedBuffer keeps up to one byte more than a reply may have, so that too long is seen, and drops the rest.
type limitedBuffer struct{ b bytes.Buffer }

func (l *limitedBuffer) Write(p []byte) (int, error) {
	if room := maxReply + 1 - l.b.Len(); room > 0 {
		l.b.Write(p[:min(room, len(p))])
	}
	return len(p), nil
}

func (l *limitedBuffer) Bytes() []byte { return l.b.Bytes() }

// tailBuffer keeps the end of an error stream, for messages.
type tailBuffer struct{ b []byte }

func (t *tailBuffer) Write(p []byte) (int, error) {
	t.b = append(t.b, p...)
	if over := len(t.b) - 2048; over > 0 {
		t.b = append(t.b[:0], t.b[over:]...)
	}
	return len(p), nil
}

func (t *tailBuffer) text() string {
	if s := strings.TrimSpace(clip(strings.ToValidUTF8(string(t.b), "?"))); s != "" {
		return s
	}
	return "no message"
}
