package runctl

import "time"

// Intent is one line of the intent log: what the client is about to do, or has learnt, about one launch.
// It has no secret.
type Intent struct {
	Time       time.Time   `json:"time"`
	Event      IntentEvent `json:"event"`
	Provider   string      `json:"provider"`
	Owner      string      `json:"owner"`
	Controller string      `json:"controller"`
	Key        string      `json:"key"`
	Digest     string      `json:"digest"`          // of the request
	Trial      int         `json:"trial,omitempty"` // counts the offers tried under the key
	ID         string      `json:"id,omitempty"`    // of the machine, when known
	Offer      *Offer      `json:"offer,omitempty"` // of IntentLaunching
}

// IntentEvent says which.
type IntentEvent string

// The events of a launch. Launching is written, and on the disk, before the request is sent.
const (
	IntentLaunching = IntentEvent("launching") // the request goes out now
	IntentRefused   = IntentEvent("refused")   // certainly not started
	IntentDoubt     = IntentEvent("doubt")     // the request has ended, its outcome is not known
	IntentStarted   = IntentEvent("started")   // the machine is known
	IntentAbandoned = IntentEvent("abandoned") // this controller gave it up; Reap may end it
	IntentEnded     = IntentEvent("ended")     // the cloud shows it ended
)

// Intents remembers launches beyond the life of a process. With it, a client that starts after a crash
// knows which launches are in doubt, and Reap knows which machines this controller has given up.
// Methods are called concurrently.
type Intents interface {
	Record(Intent) error     // returns when the line is on stable storage
	Load() ([]Intent, error) // all lines in order
}
