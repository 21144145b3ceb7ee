package providertest

import (
	"net/http"
	"testing"
	"time"

	"runctl"
)

// Harness says how to make the provider under test. Only New is required; each further field opens more rows.
type Harness struct {
	// New returns a fresh provider over an empty account, and is called once for each row. A provider that
	// speaks HTTP sends all its requests through net, which drops, delays, cuts and replaces them. The
	// suite recognises HTTP by what passes through net: if nothing does, the wire rows are not offered.
	New func(t *testing.T, net http.RoundTripper) runctl.Provider
	// Transport is what net finally sends over. nil: a transport of the row's own, as http.DefaultTransport is.
	Transport http.RoundTripper
	// IsLaunch recognises the request that starts a machine among those of a Launch call; it may read the
	// body. nil: every POST.
	IsLaunch func(*http.Request) bool

	// Cloud returns a view of the cloud behind a provider that New made, past the provider. nil: none, and
	// the suite believes the provider's own List.
	Cloud func(runctl.Provider) Cloud
	// Refusals are the cloud's own replies to a launch that it refuses, by kind. Without ErrRateLimit and
	// ErrAuth the suite answers with the bare statuses 429 and 401.
	Refusals map[runctl.Kind]Reply
	// States are the cloud's words for a machine's state, as they stand in replies: a JSON string or the text of
	// an XML element. With them the suite shows the provider every state, and one that nobody knows.
	States map[runctl.State]string

	// Offer chooses what to launch. nil: the cheapest, unknown prices last.
	Offer func([]runctl.Offer) runctl.Offer
	// Request completes a launch: image, disk, options, key. nil: nothing is needed.
	Request func(*runctl.LaunchRequest)
	// Access enters the machines. It belongs to the key that Request puts into launches.
	Access runctl.Access
	// Secrets must never be seen: the API key that New configures, and the like.
	Secrets []string
	// Commands are run on machines. The zero value suits every machine with a POSIX shell.
	Commands Commands
	// Job returns a job that does the work, for the launch with the key. nil: a POSIX shell does it.
	Job func(p runctl.Provider, key string, w Work) runctl.Job

	// Many is how many machines make a listing of more than two pages. 0: 7.
	Many int
	// Patience is how long the suite waits for what must come: for a machine to run, to stop, to end, and for a call to return
	// when its context has ended. A right provider is not held up by a long one. 0: 5 s.
	Patience time.Duration
	// Slow is what one call may take on this computer when the cloud answers at once. 0: 250 ms.
	Slow time.Duration

	// Skip has the rows that this provider cannot meet, with the reason. A row that does not exist, and an
	// empty reason, fail the test.
	Skip map[string]string
}

// Cloud is a view of the cloud behind one provider. Every field may be nil.
type Cloud struct {
	// Billing returns the ids of all machines in the account that bill now.
	Billing func() []string
	// Stranger puts a machine of somebody else into the account, with the label where ours would be.
	Stranger func(label string) (id string)
	// SetState brings a machine into a state. It reports false when the cloud has no such state.
	SetState func(id string, s runctl.State) bool
	// HoldEnds makes machines go on billing, visibly, after the cloud has accepted their end.
	HoldEnds func()
	// Refuse makes the next launch fail so. It reports false when the cloud does not refuse in this way.
	Refuse func(runctl.Kind) bool
}

// Reply is an HTTP reply. A status of 0 is 200.
type Reply struct {
	Status int
	Header http.Header
	Body   string
}

// Commands are arguments for [runctl.Machine.Exec] that have a known effect. A nil function is the POSIX one;
// one that returns nil says that machines have no such command. With an Exit of their own, machines are believed
// to have no POSIX shell, and so to take no jobs after their launch.
type Commands struct {
	Exit   func(code int) []string       // ends with the code
	Cat    func() []string               // copies its input to its output
	Args   func(args ...string) []string // prints each argument and a NUL
	Stderr func(text string) []string    // prints to its error output
	Block  func() []string               // does not end by itself
}

// Work is what a job of the suite's does.
type Work struct {
	Log      string // what it prints: lines of ASCII
	ExitCode int
	Block    bool // after printing, it goes on until it is cancelled
	Output   int  // KiB of the letter x that it puts into the file "out" of its output directory; only on the shell road
}
