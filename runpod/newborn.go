package runpod

import (
	"errors"
	"sync"
	"time"

	"runctl"
)

// settling is how long after its creation a pod may be unknown to RunPod's other servers: users saw a GET say 404 right after
// a 201, and a DELETE, and took that for the pod's end while it went on billing.
const settling = time.Minute

// newborns are the pods that were created a moment ago and have not been read since. A 404 for one of them proves nothing.
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

// forget is told of a pod that RunPod has shown it knows.
func (n *newborns) forget(id string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.born, id)
}

// judge is the error of a call about a pod. Not to be found is ErrUnavailable for a newborn, so that whoever asked asks again.
func (n *newborns) judge(id string, err error) error {
	switch {
	case err == nil:
		n.forget(id)
		return nil
	case !errors.Is(err, runctl.ErrNotFound):
		return err
	}
	n.mu.Lock()
	at, ok := n.born[id]
	n.mu.Unlock()
	if age := time.Since(at); ok && age < settling {
		return &runctl.Error{Kind: runctl.ErrUnavailable, Err: &notYet{err}, Msg: "RunPod does not know the pod, which was created " +
			age.Round(time.Second).String() + " ago, yet; it bills"}
	}
	return err
}

// notYet has the text of a refusal, and not its kind.
type notYet struct{ cause error }

func (e *notYet) Error() string { return e.cause.Error() }
