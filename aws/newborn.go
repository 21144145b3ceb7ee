package aws

import (
	"errors"
	"sync"
	"time"

	"runctl"
)

// settling is for how long InvalidInstanceID.NotFound proves nothing of a machine that was launched here. EC2 documents
// that its replies are eventually consistent, and that this code is to be expected at first, but no bound.
const settling = 2 * time.Minute

// newborns are the machines that were launched a moment ago and have not been seen since.
type newborns struct {
	mu   sync.Mutex
	born map[string]time.Time
}

func (n *newborns) add(id string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.born == nil {
		n.born = map[string]time.Time{}
	}
	for other, at := range n.born {
		if time.Since(at) >= settling {
			delete(n.born, other)
		}
	}
	n.born[id] = time.Now()
}

func (n *newborns) forget(id string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.born, id)
}

// judge is the error of a call about a machine: for a newborn, not to be found is ErrUnavailable, so that whoever asked
// asks again.
func (n *newborns) judge(id string, err error) error {
	if !errors.Is(err, runctl.ErrNotFound) {
		return err
	}
	n.mu.Lock()
	at, ok := n.born[id]
	n.mu.Unlock()
	age := time.Since(at)
	if !ok || age >= settling {
		return err
	}
	var e *runctl.Error
	cause := err
	if errors.As(err, &e) {
		cause = e.Err // without the kind
	}
	return &runctl.Error{Kind: runctl.ErrUnavailable, Err: cause,
		Msg: "EC2 does not show the machine, which was launched " + age.Round(time.Second).String() + " ago, yet; it bills"}
}
