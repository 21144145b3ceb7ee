package runpod

import (
	"context"
	"net/http"
	"strconv"
	"time"
)

// Cut says where a connection breaks.
type Cut int

// The places.
const (
	Whole   Cut = iota // it does not
	NoReply            // before the first byte of the reply
	Half               // in the middle of the reply's body
)

// Fault is what goes wrong with one request, or several.
type Fault struct {
	On    string // operationId, such as "createPod"; empty: every operation
	Skip  int    // requests that pass first
	Times int    // how often; 0: once; negative: for ever
	Every int    // only each so many-th request; 0: each

	Acts   bool          // the cloud does what it was asked before anything goes wrong
	Hold   time.Duration // the cloud thinks so long first
	Cut    Cut
	Status int // instead of the reply; 0: the reply that was due
	Kind   string
	Head   map[string]string
	Body   string

	seen int // requests that it was looked at for
}

// The faults that RunPod's users have met, and those that every network has.
var (
	LostRequest  = Fault{On: "createPod", Cut: NoReply}                                                                     // the cloud never heard of it
	LostReply    = Fault{On: "createPod", Cut: NoReply, Acts: true}                                                         // the pod exists, nobody said so
	ErrorAfter   = Fault{On: "createPod", Acts: true, Status: 500, Body: problemText(500, "failed to create pod")}          // 500, and the pod bills
	Unreadable   = Fault{On: "createPod", Acts: true, Status: 201, Kind: "application/json", Body: `{"id":"` + "\x00" + ``} // 201 that is no JSON
	HalfReply    = Fault{On: "createPod", Acts: true, Cut: Half}                                                            // 201, cut in the middle of its body
	NoCapacity   = Fault{On: "createPod", Status: 400, Body: problemText(400, capacity)}
	NoBalance    = Fault{On: "createPod", Status: 402, Body: problemText(402, "Your balance is too low to deploy this pod.")}
	Throttled    = Fault{Status: 429, Head: map[string]string{"Retry-After": "7"}, Body: problemText(429, "rate limit exceeded")}
	EdgeRefuses  = Fault{Status: 403, Kind: "text/plain; charset=UTF-8", Body: "error code: 1010"}
	BadGateway   = Fault{Status: 502, Kind: "text/html", Body: "<html><head><title>502 Bad Gateway</title></head></html>"}
	NoFreeOnHost = Fault{On: "podAction", Status: 400, Body: problemText(400, "There are not enough free GPUs on the host machine to start this pod.")}
)

// capacity is what the API says when it has none, and also when something else in the request fits nowhere.
const capacity = "There are no longer any instances available with the requested specifications. Please refresh and try again."

func problemText(status int, detail string) string {
	return `{"title":` + strconv.Quote(http.StatusText(status)) + `,"status":` + strconv.Itoa(status) + `,"detail":` + strconv.Quote(detail) + `}`
}

// Inject adds faults. The first that fits a request is its fate.
func (f *Face) Inject(faults ...Fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, x := range faults {
		if x.Times == 0 {
			x.Times = 1
		}
		f.faults = append(f.faults, &x)
	}
}

// Heal takes all faults away.
func (f *Face) Heal() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.faults = nil
}

// take returns the fate of a request; nil: it goes well.
func (f *Face) take(op string) *Fault {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, x := range f.faults {
		switch {
		case x.On != "" && x.On != op || x.Times == 0:
		case x.Skip > 0:
			x.Skip--
		case x.Every > 1 && x.seen%x.Every != x.Every-1:
			x.seen++
		default:
			x.seen++
			if x.Times > 0 {
				x.Times--
			}
			return x
		}
	}
	return nil
}

// wait lets the time of the fault pass. false: the client has gone meanwhile, and a request that does not act never will.
func (x *Fault) wait(ctx context.Context) bool {
	if x == nil || x.Hold == 0 {
		return true
	}
	t := time.NewTimer(x.Hold)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return x.Acts
	}
}

// only reports whether the fault was nothing but a pause.
func (x *Fault) only() bool { return x.Status == 0 && x.Cut == Whole && x.Head == nil }

// reply answers as the fault has it; a is the reply that was due.
func (x *Fault) reply(w http.ResponseWriter, a answer) {
	if x.Cut == NoReply {
		panic(http.ErrAbortHandler)
	}
	h := w.Header()
	body := a.encode(h)
	if x.Status != 0 {
		a.status, body = x.Status, []byte(x.Body)
		h.Set("Content-Type", "application/problem+json")
	}
	if x.Kind != "" {
		h.Set("Content-Type", x.Kind)
	}
	for k, v := range x.Head {
		h.Set(k, v)
	}
	if a.status == http.StatusNoContent {
		w.WriteHeader(a.status)
		return
	}
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(a.status)
	if x.Cut == Half {
		_, _ = w.Write(body[:len(body)/2])
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}
	_, _ = w.Write(body)
}
