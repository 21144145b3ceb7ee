// Package newborn is for clouds whose servers do not all know of a machine at once: a 404 right after a create proves
// nothing, although the machine bills.
package newborn

import (
	"cmp"
	"errors"
	"sync"
	"time"

	"runctl"
)

// settling is how long after its creation a machine may be unknown to the cloud's other servers: users of such clouds
// saw a GET say 404 right after a 201, and a DELETE, and took that for the machine's end while it went on billing.
const settling = time.Minute

// Set is the machines that were created a moment ago and have not been read since. Its methods may be called
// concurrently.
type Set struct {
	Cloud string        // for messages, such as RunPod
	What  string        // the cloud's word for a machine, such as pod
	For   time.Duration // how long not to be found proves nothing; 0: a minute

	mu   sync.Mutex
	born map[string]time.Time
}

// Add is told of a machine that was created just now.
func (s *Set) Add(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.born == nil {
		s.born = map[string]time.Time{}
	}
	for other, at := range s.born {
		if time.Since(at) >= cmp.Or(s.For, settling) {
			delete(s.born, other)
		}
	}
	s.born[id] = time.Now()
}

// Judge is the error of a call about a machine; nil says that the cloud knows it. Not to be found is ErrUnavailable
// for a newborn, so that whoever asked asks again.
func (s *Set) Judge(id string, err error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err == nil {
		delete(s.born, id)
		return nil
	}
	at, ok := s.born[id]
	if age := time.Since(at); ok && age < cmp.Or(s.For, settling) && errors.Is(err, runctl.ErrNotFound) {
		return &runctl.Error{Kind: runctl.ErrUnavailable, Err: NotYet(err),
			Msg: s.Cloud + " does not know the " + s.What + ", which was created " + age.Round(time.Second).String() + " ago, yet; it bills"}
	}
	return err
}

// NotYet has the text of a refusal, and not its kind.
func NotYet(refusal error) error { return &notYet{refusal} }

type notYet struct{ cause error }

func (e *notYet) Error() string { return e.cause.Error() }
