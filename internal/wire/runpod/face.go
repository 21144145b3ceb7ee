package runpod

import (
	"cmp"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"runctl/internal/wire"
)

// maxBody is what a request's body may have; more is 413, before the key is looked at.
const maxBody = 102_400

// Options are the physics of a Face. The zero value is a cloud that answers at once and never errs.
type Options struct {
	Key string // the account's API key; empty: "rpa_ACCOUNT"

	Provisioning time.Duration // from the request to STARTING; negative: stuck there for ever
	Starting     time.Duration // from STARTING to RUNNING
	Stopping     time.Duration // what a stop of a scripted container takes
	Deleting     time.Duration // how long a pod goes on, and bills, after its deletion was accepted
	Tombstone    time.Duration // how long a GET says TERMINATED before it says 404
	AddrLag      time.Duration // from RUNNING to the first public port
	StalePort    bool          // the first port that is told is one of an earlier life, for AddrLag more

	ListLag time.Duration // how long a new pod is missing from lists
	GetLag  time.Duration // how long a new pod is 404 to everything that names it

	NameMax   int                        // names are stored so long; 0: whole
	Extra     bool                       // replies have fields that the document does not
	Word      func(status string) string // other words for states; nil: the document's
	Brief     bool                       // lists leave a pod's args out: they are long, and reading them again and again takes tests their time
	PageSize  int                        // pods a page, as newer servers have it; 0: all at once, as in the document
	PerMinute int                        // requests a minute, then 429; 0: no limit
	PodKey    Rights                     // what the key in a pod may do
	KeepLogs  time.Duration              // how long lines of a container outlive it; 0: as long as the pod

	Script       func(p Pod, start int) Script // what containers do; start counts from 1. nil: run, and say nothing
	Real         *Real                         // containers are processes; nil: scripts
	RestartDelay time.Duration                 // between the return of a container's command and the next start
	SSH          string                        // host:port of a server that 22/tcp leads to; empty: an address where nobody is
}

// Rights are what the key that a pod finds in its environment may do. What RunPod's may is not documented.
type Rights int

// The rights.
const (
	MayStop    Rights = iota // read and stop its own pod
	MayRead                  // read its own pod
	MayNothing               // 403 to everything
)

// Face is one account behind RunPod's API. Use [New].
type Face struct {
	wire.Checks
	wire.Faults
	opt Options

	mu      sync.Mutex
	pods    []*pod
	ledger  wire.Ledger
	volumes []Volume
	broke   bool
	dry     bool           // nothing is left to rent
	deaf    bool           // actions answer and do nothing
	served  map[string]int // by operationId
	window  time.Time
	used    int
	serial  int
	changed wire.Change
	stop    chan struct{} // closed by Close
	closed  bool
	cut     chan struct{} // closed by CutStreams
	sent    streamFaults
}

// New returns an empty account.
func New(opt Options) *Face {
	opt.Key = cmp.Or(opt.Key, "rpa_ACCOUNT")
	return &Face{Checks: wire.Checks{Secret: opt.Key}, opt: opt, served: map[string]int{}, stop: make(chan struct{}), cut: make(chan struct{})}
}

// Served returns how often an operation was asked for; "" is all of them.
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
	"createPod": (*exchange).create, "listPods": (*exchange).list, "getPod": (*exchange).get, "updatePod": (*exchange).update,
	"deletePod": (*exchange).remove, "podAction": (*exchange).action,
	"listGpuTypes": (*exchange).gpus, "getGpuType": (*exchange).gpu, "listCpuTypes": (*exchange).cpus,
	"listDataCenters": (*exchange).dataCenters, "listNetworkVolumes": (*exchange).listVolumes, "getNetworkVolume": (*exchange).getVolume,
	"listRegistries": (*exchange).registries,
}

// ServeHTTP implements http.Handler.
func (f *Face) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Date", time.Now().UTC().Format(http.TimeFormat))
	f.mu.Lock()
	f.serial++
	h.Set("X-Request-Id", fmt.Sprintf("req-%06d", f.serial))
	f.mu.Unlock()
	body, err := io.ReadAll(io.LimitReader(r.Body, 8<<20))
	if err != nil {
		panic(http.ErrAbortHandler) // the client has gone in the middle of its request: nothing happened
	}
	x := &exchange{Exchange: wire.Exchange{Request: r, Body: body, Checks: &f.Checks, Unchecked: f.opt.Word != nil}, f: f}
	if agent := r.UserAgent(); agent == "" || agent == "Go-http-client/1.1" || strings.HasPrefix(agent, "Python-urllib") {
		f.Wrong("%s %s: the edge takes no User-Agent %q", r.Method, r.URL.Path, agent)
		edge(w, http.StatusForbidden, "text/plain; charset=UTF-8", "error code: 1010")
		return
	}
	switch {
	case len(body) > maxBody:
		f.Wrong("%s %s: a body of %d bytes", r.Method, r.URL.Path, len(body))
		x.Send(w, refuse(http.StatusRequestEntityTooLarge, "request body too large"))
	case strings.HasPrefix(r.URL.Path, "/v1/") || strings.HasPrefix(r.URL.Path, "/graphql"):
		f.Wrong("%s %s: an API that is gone", r.Method, r.URL.Path)
		x.Send(w, refuse(http.StatusGone, "this API version has been retired"))
	default:
		x.Serve(w, official, f.steps(w, x))
	}
}

// unknown are the words for what the document does not have.
var unknown = map[int]string{http.StatusNotFound: "resource not found", http.StatusMethodNotAllowed: "method not allowed"}

// steps are how an operation of the document is answered.
func (f *Face) steps(w http.ResponseWriter, x *exchange) wire.Steps {
	s := wire.Steps{
		Faults: &f.Faults, Kind: problemKind,
		Refuse: func(status int) answer { return refuse(status, unknown[status]) },
		Admit: func(h http.Header) (answer, bool) {
			f.mu.Lock()
			defer f.mu.Unlock()
			f.served[x.Op]++
			return x.admit(h)
		},
		Invalid: func(wrongs []string) (answer, bool) {
			return refuse(http.StatusUnprocessableEntity, "Request validation failed.", wrongs...), true
		},
		Stream: func() bool {
			if x.Op == "getPodLogs" {
				f.stream(w, x)
			}
			return x.Op == "getPodLogs"
		},
		Do: func() (a answer) {
			f.mu.Lock()
			defer f.mu.Unlock() // a panic is the request's, and not everybody's
			f.advance(time.Now())
			if do := operations[x.Op]; do != nil {
				a = do(x)
			}
			return a
		},
	}
	if f.opt.PageSize > 0 {
		s.Query = []string{"cursor", "limit"}
	}
	return s
}

// Close ends streams and containers, and waits for the latter; no other starts. The face answers on.
func (f *Face) Close() {
	f.mu.Lock()
	if !f.closed {
		f.closed = true
		close(f.stop)
	}
	var boxes []*wire.Box
	for _, p := range f.pods {
		if p.box != nil {
			boxes = append(boxes, p.box)
			p.stopping = true
		}
	}
	f.mu.Unlock()
	for _, b := range boxes {
		b.Kill()
		<-b.Done()
	}
}
