package lyceum

import (
	"cmp"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"runctl/internal/wire"
)

// Prefix is the path of the API below its host: tests give clients the server's address with it.
const Prefix = "/api/v2/external"

// Options are the physics of a Face. The zero value is a cloud that answers at once and never errs.
type Options struct {
	Key string // the account's API key; empty: "lk_ACCOUNT"
	JWT string // a token of a login, which works too; empty: none does

	// Virtual machines.
	Provisioning time.Duration // from the request to being up; negative: never
	AddrLag      time.Duration // how long a machine that is up has a null address
	Deleting     time.Duration // how long a machine goes on, and bills, after its deletion was accepted
	ListLag      time.Duration // how long a new machine, or run, is missing from lists
	GetLag       time.Duration // how long it is 404 to everything that names it
	LabelMax     int           // labels are stored so long; 0: whole; negative: not at all, they are null
	IgnoresFlags bool          // lists have the dead, whatever the flags say
	Reversed     bool          // lists are in another order
	Nulls        bool          // whatever may be null is
	Up           string        // the word for a machine that is up; empty: "ready"
	Drift        func(v *VM)   // makes another machine than was asked for, and says so in replies alone
	SSH          string        // host:port of a server that all machines lead to; empty: addresses where nobody is, with ports and without
	Address      func(n int) string
	OnKey        func(key string) // is told the public key of each new machine

	// Runs.
	Script    func(r Run) Script // what runs do; nil: they end at once, well, and say nothing
	Real      *Real              // runs are processes; nil: scripts
	Queue     time.Duration      // a run is pending so long
	Boot      time.Duration      // and then starting so long
	Aborting  time.Duration      // what an abort of a scripted run takes
	AbortedAs string             // what an aborted run is in the end; empty: "aborted"
	Bare      bool               // a run's record has its state and return code alone
	NoLabel   bool               // lists of runs have no file_name
	LogLag    time.Duration      // how long a line is missing from the stored logs
	Stream    Stream             // how output is streamed

	Storage map[string]any // the reply to a request for S3 credentials; nil: 404

	Extra     bool                     // replies have fields that nobody knows
	Word      func(word string) string // other words for states; nil: the usual ones
	PerMinute int                      // requests a minute, then 429; 0: no limit
}

// Face is one organisation behind Lyceum's API. Use [New].
type Face struct {
	wire.Checks
	wire.Faults
	opt Options

	mu      sync.Mutex
	vms     []*vm
	runs    []*run
	ledger  wire.Ledger
	broke   bool // no credits are left
	dry     bool // no capacity is left
	served  map[string]int
	window  time.Time
	used    int
	serial  int
	changed wire.Change
	stop    chan struct{} // closed by Close
	closed  bool
	cut     chan struct{} // closed by CutStreams
}

// New returns an empty organisation.
func New(opt Options) *Face {
	opt.Key = cmp.Or(opt.Key, "lk_ACCOUNT")
	return &Face{Checks: wire.Checks{Secret: opt.Key}, opt: opt, served: map[string]int{}, stop: make(chan struct{}), cut: make(chan struct{})}
}

// Served returns how often an operation was asked for; "stream" are streams, "" is all of them.
func (f *Face) Served(op string) (n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if op != "" {
		return f.served[op]
	}
	for _, k := range f.served {
		n += k
	}
	return n
}

// operations are what the face serves, by operationId. All of them run under the lock.
var operations = map[string]func(*exchange) answer{
	"ping": (*exchange).ping, "getUserStatus": (*exchange).user, "getCredits": (*exchange).credits,
	"getPricing": (*exchange).prices, "listAvailableHardware": (*exchange).hardware, "listMachineTypes": (*exchange).machineTypes,
	"createVM": (*exchange).create, "listVMs": (*exchange).list, "getVMStatus": (*exchange).get, "terminateVM": (*exchange).terminate,
	"getVMAvailability": (*exchange).availability,
	"startPythonRun":    (*exchange).startPython, "startImageRun": (*exchange).startImage, "getRunStatus": (*exchange).runStatus,
	"getRun": (*exchange).getRun, "deleteRunRecord": (*exchange).forget, "getRunTiming": (*exchange).timing,
	"listActiveRuns": (*exchange).active, "listHistory": (*exchange).history, "abortRun": (*exchange).abort, "getRunLogs": (*exchange).logs,
	"getStorageCredentials": (*exchange).storage,
}

// ServeHTTP implements http.Handler.
func (f *Face) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Date", time.Now().UTC().Format(http.TimeFormat))
	body, err := io.ReadAll(io.LimitReader(r.Body, 8<<20))
	if err != nil {
		panic(http.ErrAbortHandler) // the client has gone in the middle of its request: nothing happened
	}
	if id, ok := strings.CutPrefix(r.URL.Path, streamPath); ok {
		f.stream(w, r, id)
		return
	}
	x := &exchange{wire.Exchange{Request: r, Body: body, Checks: &f.Checks}, f}
	path, below := strings.CutPrefix(r.URL.Path, Prefix)
	if !below {
		f.Wrong("%s %s: not below %s", r.Method, r.URL.Path, Prefix)
		x.Send(w, refuse(http.StatusNotFound, "Not Found"))
		return
	}
	r.URL.Path, r.URL.RawPath = path, strings.TrimPrefix(r.URL.RawPath, Prefix)
	x.Serve(w, known, wire.Steps{
		Faults: &f.Faults, Kind: "application/json",
		Refuse: func(status int) answer { return refuse(status, http.StatusText(status)) },
		Admit: func(h http.Header) (answer, bool) {
			f.mu.Lock()
			defer f.mu.Unlock()
			f.served[x.Op]++
			return x.admit(h)
		},
		Invalid: func(wrongs []string) (answer, bool) { return malformed(wrongs), !x.taken() },
		Do: func() (a answer) {
			f.mu.Lock()
			defer f.mu.Unlock() // a panic is the request's, and not everybody's
			if do := operations[x.Op]; do != nil {
				a = do(x)
			}
			return a
		},
	})
}

// Close ends streams and the processes of runs, and waits for the latter; no other starts. The face answers on.
func (f *Face) Close() {
	f.mu.Lock()
	if !f.closed {
		f.closed = true
		close(f.stop)
	}
	var boxes []*wire.Box
	for _, r := range f.runs {
		if r.box != nil {
			boxes = append(boxes, r.box)
		}
	}
	f.mu.Unlock()
	for _, b := range boxes {
		b.Kill()
		<-b.Done()
	}
}
