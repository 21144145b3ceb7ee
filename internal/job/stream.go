package job

import (
	"bytes"
	"errors"
	"io"
	"slices"
)

// stream reads the replies that carry raw bytes: log frames or files. A frame of log is passed on only when
// whole, so that what a cut connection delivered is always a prefix of the log.
type stream struct {
	log, tar io.Writer
	stop     func() // ends the call, once failed is set

	next    int64  // offset after the last byte passed on
	buf     []byte // what was not read yet
	frame   int    // bytes of the data frame being collected, its trailer included; 0: reading lines
	discard bool   // inside a line too long to be ours
	raw     bool   // the files began
	ended   bool   // the log's last word was read
	failed  error
}

// Write never returns an error before failed is set.
func (s *stream) Write(p []byte) (int, error) {
	if s.failed != nil {
		return 0, s.failed
	}
	if err := s.take(p); err != nil {
		s.failed = err
		if s.stop != nil {
			s.stop()
		}
		return 0, err
	}
	return len(p), nil
}

func (s *stream) take(p []byte) error {
	if s.raw {
		return s.pass(s.tar, p)
	}
	s.buf = append(s.buf, p...)
	left, err := s.read(s.buf)
	if len(left) < len(s.buf) {
		s.buf = s.buf[:copy(s.buf, left)]
		if s.frame > len(s.buf) {
			s.buf = slices.Grow(s.buf, s.frame-len(s.buf)+maxLine) // once a frame, with room for what comes with its end
		}
	}
	return err
}

// read takes whole frames and lines off the front of b, and returns what is left of it.
func (s *stream) read(b []byte) ([]byte, error) {
	for {
		if s.frame > 0 {
			if len(b) < s.frame {
				return b, nil
			}
			if err := s.deliver(b[:s.frame]); err != nil {
				return nil, err
			}
			b, s.frame = b[s.frame:], 0
			continue
		}
		line, rest, whole := bytes.Cut(b, []byte("\n"))
		if !whole {
			if len(b) > maxLine {
				b, s.discard = nil, true
			}
			return b, nil
		}
		b = rest
		l, ok := parseLine(string(line))
		if ok = ok && !s.discard; !ok {
			s.discard = false
			continue
		}
		if err := s.line(l); err != nil {
			return nil, err
		}
		if s.raw {
			return nil, s.pass(s.tar, b)
		}
	}
}

// deliver passes on a frame.
func (s *stream) deliver(frame []byte) error {
	n := len(frame) - len(frameEnd)
	if string(frame[n:]) != frameEnd {
		return errDamaged
	}
	if err := s.pass(s.log, frame[:n]); err != nil {
		return err
	}
	s.next += int64(n)
	return nil
}

func (s *stream) line(l reply) error {
	var gap *Gap
	if err := l.err(); err != nil {
		if errors.As(err, &gap) {
			s.next = gap.From
		}
		return err
	}
	switch {
	case l.Kind == kindRaw && s.tar != nil:
		s.raw = true
	case l.Kind == kindData && s.log != nil:
		from, ok1 := l.number("from")
		n, ok2 := l.number("n")
		if !ok1 || !ok2 || from != s.next || n < 1 || n > maxFrame {
			return errDamaged
		}
		s.frame = int(n) + len(frameEnd)
	case l.Kind == kindLog && s.log != nil:
		next, ok := l.number("next")
		if !ok || next != s.next {
			return errDamaged
		}
		s.ended = true
	}
	return nil
}

// pass writes all of p, or fails with the writer's error.
func (s *stream) pass(w io.Writer, p []byte) error {
	n, err := w.Write(p)
	if err == nil && n < len(p) {
		err = io.ErrShortWrite
	}
	return err
}
