package code

import "io"

const (
	spoolPiece  = 256 << 10
	spoolPieces = 4
)

// spool is a pipe that holds a few pieces, so that making them and sending them go on at the same time. One goroutine
// writes and one reads.
type spool struct {
	full  chan []byte
	empty chan []byte
	gone  chan struct{} // closed by the reader

	filling []byte // the writer's
	failed  error  // the writer's last word, read after full was closed
	reading []byte // the reader's
	rest    []byte // of reading
}

func newSpool() *spool {
	s := &spool{full: make(chan []byte, spoolPieces), empty: make(chan []byte, spoolPieces), gone: make(chan struct{})}
	for range spoolPieces {
		s.empty <- nil
	}
	return s
}

// Write fails with errEnded once nobody reads.
func (s *spool) Write(p []byte) (int, error) {
	n := 0
	for n < len(p) {
		if s.filling == nil {
			select {
			case s.filling = <-s.empty:
			case <-s.gone:
				return n, errEnded
			}
			if s.filling == nil {
				s.filling = make([]byte, 0, spoolPiece)
			}
		}
		k := min(len(p)-n, cap(s.filling)-len(s.filling))
		s.filling = append(s.filling, p[n:n+k]...)
		if n += k; len(s.filling) == cap(s.filling) {
			s.hand()
		}
	}
	return n, nil
}

// hand passes what is filled to the reader. There is always room.
func (s *spool) hand() {
	if s.filling != nil {
		s.full <- s.filling
		s.filling = nil
	}
}

// end is the writer's last call: the reader gets the error after all that was written, or io.EOF.
func (s *spool) end(err error) {
	s.hand()
	s.failed = err
	close(s.full)
}

func (s *spool) Read(p []byte) (int, error) {
	for len(s.rest) == 0 {
		if s.reading != nil {
			s.empty <- s.reading[:0]
			s.reading = nil
		}
		piece, ok := <-s.full
		if !ok {
			if s.failed != nil {
				return 0, s.failed
			}
			return 0, io.EOF
		}
		s.reading, s.rest = piece, piece
	}
	n := copy(p, s.rest)
	s.rest = s.rest[n:]
	return n, nil
}
