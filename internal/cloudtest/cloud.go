package cloudtest

import (
	"slices"
	"testing"
	"time"

	"runctl"
	"runctl/internal/wire"
)

// Cloud describes a cloud. Open, Launch, Lists, Refuse, Unreadable and NoCapacity are required.
type Cloud struct {
	// Open makes an empty account with these physics, within a bubble.
	Open func(t *testing.T, p Physics) *Account

	Launch string   // the operation that starts a machine
	Lists  []string // the operations whose replies tell which machines there are
	// Requests is how many launch requests a refusal of every offer may take; 0: one.
	Requests int
	// Settles: the provider can be told how long a new machine may be missing from a list.
	Settles bool
	// Quirks are words that Open knows in Physics: other ways in which the cloud may behave. The launch rule holds under each.
	Quirks []string

	Refuse     func(status int, text string) wire.Fault // an error in the cloud's own form
	Unreadable wire.Fault                               // it acts, and its reply cannot be read
	NoCapacity wire.Fault                               // it has none
	Outcomes   []Outcome                                // what else may become of a launch
	NoLists    []wire.Fault                             // what else may become of a list that is none

	// Job is a job that a process of the sweep starts; OnJobRoad: it runs to its end without anybody's entering a machine.
	Job       func(key string) runctl.RunSpec
	OnJobRoad bool
	Secrets   []string                                // the account's: they must be seen nowhere
	Failures  []wire.Fault                            // what else goes wrong with every operation, with Sent in its texts
	Echo      func(status int) wire.Fault             // the cloud repeats in each of its texts what it was sent; nil: Refuse does
	Calls     func(*Account) []func() (any, error)    // what else can be called
	Shown     func(*Account) []any                    // all that stands at the cloud, and values that somebody may print
	Forge     func(a *Account, label string) []string // machines of others that look as if they had the label; their ids as Face.Billing has them
}

// Physics are what tests vary of a cloud, and of the provider's trust in it.
type Physics struct {
	ListLag  time.Duration // how long a new machine is missing from lists
	GetLag   time.Duration // how long it is unknown by its id, where the provider promises something for that time
	Settle   time.Duration // what the provider assumes of that; 0: nothing
	NoTokens bool          // a provider that could repeat its launches does not
	Quirk    string        // one of the cloud's
}

// Outcome is what becomes of a launch request.
type Outcome struct {
	Name  string
	Fault wire.Fault
	Acts  bool  // the machine exists afterwards
	Told  error // the kind by which the client knows that nothing was started; nil: all is well, or it does not know
}

// well reports whether the reply says what happened, and a machine was started.
func (o Outcome) well() bool { return o.Fault.OnlyWaits() && o.Acts }

// AllOutcomes are those of every cloud and of this one. A fault that happens once holds the reply up for three seconds.
func (c Cloud) AllOutcomes(op string) []Outcome {
	acts := func(f wire.Fault) wire.Fault { f.Acts = true; return f }
	failed, page := c.Refuse(500, "Internal Server Error"), wire.Fault{Status: 502, Kind: "text/html", Body: "<html>"}
	hotel := wire.Fault{Status: 200, Kind: "text/html", Body: "<html>"}
	all := append([]Outcome{
		{"all goes well", wire.Fault{}, true, nil},
		{"the request is lost", wire.Fault{Cut: wire.NoReply}, false, nil},
		{"the reply is lost", wire.Fault{Cut: wire.NoReply, Acts: true}, true, nil},
		{"500 after it acted", acts(failed), true, nil},
		{"500, and it did not act", failed, false, nil},
		{"a reply that cannot be read", c.Unreadable, true, nil},
		{"a reply that is cut in the middle", wire.Fault{Cut: wire.Half, Acts: true}, true, nil},
		{"a gateway's page, and the request went on", acts(page), true, nil},
		{"a gateway's page, and it did not", page, false, nil},
		{"a hotel's page with status 200", hotel, false, nil},
		{"no answer before the deadline", wire.Fault{Cut: wire.NoReply, Acts: true, Hold: time.Hour}, true, nil},
		{"no capacity", c.NoCapacity, false, runctl.ErrCapacity},
	}, slices.Clone(c.Outcomes)...)
	for i := range all {
		f := &all[i].Fault
		if f.On = op; f.Hold == 0 && f.Times == 0 {
			f.Hold = 3 * time.Second
		}
	}
	return all
}

// lost is a launch request that never came to the cloud, or one whose reply never came back.
func (c Cloud) lost(acts bool) wire.Fault {
	return wire.Fault{On: c.Launch, Cut: wire.NoReply, Acts: acts}
}
