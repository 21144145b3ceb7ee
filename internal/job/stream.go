package job

import (
	"bytes"
	"errors"
	"io"
)

// stream reads the replies that carry raw bytes: log frames or files. A frame of log is passed on only when
// whole, so that what a cut connection delivered is always a prefix of the log.
type stream struct {
	log, tar io.Writer
	stop     func() // ends the call, once failed is set

	next    int64 // offset after the last byte passed on
	buf     []byte
	frame   int  // bytes of the data frame being collected, its trailer included; 0: reading lines
	discard bool // inside a line too long to be ours
	raw     bool // the files began
	ended   bool // the log's last word was read
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
	for {
		if s.frame > 0 {
			if len(s.buf) < s.frame {
				return nil
			}
			if err := s.deliver(); err != nil {
				return err
			}
			continue
		}
		line, rest, whole := bytes.Cut(s.buf, []byte("\n"))
		if !whole {
			if len(s.buf) > maxLine {
				s.buf, s.discard = s.buf[:0], true
			}
			return nil
		}
		s.buf = rest
		l, ok := parseLine(string(line))
		if ok = ok && !s.discard; !ok {
			s.discard = false
			continue
		}
		if err := s.line(l); err != nil || s.raw {
			return err
		}
	}
}

// deliver passes on the frame at the front of buf.
func (s *stream) deliver() error {
	n := s.frame - len(frameEnd)
	if string(s.buf[n:s.frame]) != frameEnd {
		return errDamaged
	}
	if err := s.pass(s.log, s.buf[:n]); err != nil {
		return err
	}
	s.next += int64(n)
	s.buf = append(s.buf[:0], s.buf[s.frame:]...)
	s.frame = 0
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
		return s.pass(s.tar, s.buf)
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
