package runctl

import "time"

// Event is something that the client did or saw, for progress displays and tracing.
type Event struct {
	Time     time.Time
	Name     EventName
	Provider string
	Op       string        // of a call: launch, list, get, terminate, offers, stop, start, connect
	ID       string        // of the machine, when known
	Key      string        // of the launch, when known
	Run      string        // of the run, when known
	Offer    *Offer        // of EventLaunching
	Elapsed  time.Duration // of what has just ended
	Err      error         // of what has just ended
}

// EventName says what happened.
type EventName string

// The events, in the order in which a run meets them.
const (
	EventCall        = EventName("call")        // one request to a provider has ended
	EventLaunching   = EventName("launching")   // an offer was chosen, the request goes out
	EventRefused     = EventName("refused")     // the provider certainly did not start it
	EventDoubt       = EventName("doubt")       // it may have started; looking for it
	EventAdopted     = EventName("adopted")     // a machine of this key was found
	EventLaunched    = EventName("launched")    // the provider accepted
	EventRunning     = EventName("running")     // the machine is up
	EventConnected   = EventName("connected")   // commands can be run on it
	EventSynced      = EventName("synced")      // its code is there
	EventStarted     = EventName("started")     // the job was handed over
	EventUnreachable = EventName("unreachable") // a look at the run failed; going on
	EventEnded       = EventName("ended")       // the run has a receipt, or is lost
	EventTerminating = EventName("terminating") // asked for the machine's end
	EventTerminated  = EventName("terminated")  // the cloud shows it ended
)

func (c *Client) trace(e Event) {
	if c.cfg.Trace == nil {
		return
	}
	e.Time = time.Now()
	c.cfg.Trace(e)
}
