package runctl

import "time"

// State is a machine's state. The zero value is Unknown; everything but Terminated counts as billing.
type State uint8

// The states.
const (
	StateUnknown    State = iota // a word we do not know: alive and billing
	StatePending                 // accepted, not yet usable
	StateRunning                 // usable, or about to be
	StateStopping                // on its way to stopped
	StateStopped                 // paused: the disk bills
	StateTerminated              // ended, by the cloud's own word; bills nothing
)

var stateNames = [...]string{"unknown", "pending", "running", "stopping", "stopped", "terminated"}

// String returns the state's word.
func (s State) String() string {
	if int(s) < len(stateNames) {
		return stateNames[s]
	}
	return stateNames[0]
}

// MarshalText returns the state's word.
func (s State) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads the state's word; an unknown one is StateUnknown.
func (s *State) UnmarshalText(b []byte) error {
	*s = StateUnknown
	for i, n := range stateNames {
		if n == string(b) {
			*s = State(i)
		}
	}
	return nil
}

// Billing reports whether a machine in this state costs anything: all but Terminated do.
func (s State) Billing() bool { return s != StateTerminated }

// Instance is one machine at one moment.
type Instance struct {
	Provider string // Info.Name; set by the client
	ID       string // the cloud's id: [A-Za-z0-9._:-], at most 128 characters; only its provider may parse it
	// Label is the mark as found on the machine. A provider returns it only from what a copy of the
	// machine cannot carry, where the cloud has such a place (EC2's client token).
	Label string
	Mark  Mark // Label, parsed and its seal checked; set by the client, zero when it is not ours

	State  State
	Reason string // the cloud's word for why it is in this state
	Type   string
	Region string
	Zone   string
	Market Market
	GPU    GPU
	Road   Road   // RoadJob when the machine is the vessel of a job, else RoadShell
	Addr   string // host or host:port to reach it; empty: none yet
	Price  Price  // as far as the cloud or the launch knew

	Launched time.Time // by the cloud's clock
	Ended    time.Time // by the cloud's clock; zero: not ended, or not told
	Seen     time.Time // the cloud's clock when it gave this answer; zero: it does not tell

	Exit   *Receipt `json:",omitempty"` // the job's end, where the cloud itself knows it
	Native any      `json:"-"`          // the cloud's own struct
}

// Ref returns the reference to the machine, to be stored. It has no secret.
func (i Instance) Ref() Ref {
	return Ref{Provider: i.Provider, Owner: i.Mark.Owner, Key: i.Mark.Key, ID: i.ID}
}

// Age is how long ago the machine was launched, by the cloud's own clock alone; -1 when the cloud does
// not tell one of the two times.
func (i Instance) Age() time.Duration {
	if i.Launched.IsZero() || i.Seen.IsZero() {
		return -1
	}
	return max(i.Seen.Sub(i.Launched), 0)
}

// Cost is what the machine has cost until it was seen, or until it ended: compute only, unknown when
// the price or a time is.
func (i Instance) Cost() Money {
	end := i.Ended
	if end.IsZero() {
		end = i.Seen
	}
	if i.Launched.IsZero() || end.IsZero() || !i.Price.Hourly.Known() {
		return Money{}
	}
	return i.Price.Hourly.perHour(max(end.Sub(i.Launched), 0))
}

// Deadline is when the machine's lifetime is over, by the cloud's clock; zero when it is not ours.
func (i Instance) Deadline() time.Time {
	if i.Mark == (Mark{}) || i.Launched.IsZero() {
		return time.Time{}
	}
	return i.Launched.Add(i.Mark.Lifetime)
}
