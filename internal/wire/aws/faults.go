package aws

import (
	"context"
	"net/http"
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
	On    string // operation, such as "RunInstances"; empty: every operation
	Skip  int    // requests that pass first
	Times int    // how often; 0: once; negative: for ever
	Every int    // only each so many-th request; 0: each

	Acts   bool          // the cloud does what it was asked before anything goes wrong
	Hold   time.Duration // the cloud thinks so long first
	Cut    Cut
	Status int    // instead of the reply; 0: the reply that was due
	Code   string // AWS's own error with the status; empty: Body as it is
	Text   string
	Kind   string
	Head   map[string]string
	Body   string

	seen int // requests that it was looked at for
}

// The faults that users of EC2 have met, and those that every network has.
var (
	LostRequest = Fault{On: "RunInstances", Cut: NoReply}             // the cloud never heard of it
	LostReply   = Fault{On: "RunInstances", Cut: NoReply, Acts: true} // the machine exists, nobody said so
	ErrorAfter  = Fault{On: "RunInstances", Acts: true, Status: 500, Code: "InternalError", Text: "An internal error has occurred"}
	Unreadable  = Fault{On: "RunInstances", Acts: true, Status: 200, Kind: "text/xml", Body: "<RunInstancesResponse><instancesSet>\x00"}
	HalfReply   = Fault{On: "RunInstances", Acts: true, Cut: Half}
	Unavailable = Fault{On: "RunInstances", Status: 503, Code: "Unavailable", Text: "The service is unavailable. Please try again shortly."}
	NoCapacity  = Fault{On: "RunInstances", Status: 500, Code: "InsufficientInstanceCapacity", Text: "Insufficient capacity."}
	NoSpot      = Fault{On: "RunInstances", Status: 500, Code: "InsufficientInstanceCapacity", Text: "There is no Spot capacity available that matches your request."}
	SpotTooLow  = Fault{On: "RunInstances", Status: 400, Code: "SpotMaxPriceTooLow", Text: "Your Spot request price of 0.01 is lower than the minimum required Spot request fulfillment price of 0.5."}
	NoVCPUs     = Fault{On: "RunInstances", Status: 400, Code: "VcpuLimitExceeded", Text: vcpuText}
	NoSpotVCPUs = Fault{On: "RunInstances", Status: 400, Code: "MaxSpotInstanceCountExceeded", Text: "Max spot instance count exceeded"}
	NotVerified = Fault{On: "RunInstances", Status: 400, Code: "PendingVerification", Text: "Your request for accessing resources in this region is being validated."}
	NotOptedIn  = Fault{Status: 401, Code: "OptInRequired", Text: "You are not subscribed to this service."}
	Blocked     = Fault{On: "RunInstances", Status: 400, Code: "Blocked", Text: "This account is currently blocked and not recognized as a valid account."}
	Throttled   = Fault{Status: 503, Code: "RequestLimitExceeded", Text: "Request limit exceeded."}
	BadGateway  = Fault{Status: 502, Kind: "text/html", Body: "<html><head><title>502 Bad Gateway</title></head></html>"}
	Interposed  = Fault{Status: 200, Kind: "text/html", Body: "<html>log in to the hotel's network</html>"}
)

const vcpuText = "You have requested more vCPU capacity than your current vCPU limit of 0 allows for the instance bucket that the specified instance type belongs to. " +
	"Please visit http://aws.amazon.com/contact-us/ec2-request to request an adjustment to this limit."

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

// reply answers as the fault has it; out and no are what was due.
func (x *Fault) reply(w http.ResponseWriter, e *exchange, out params, no *refusal) {
	if x.Cut == NoReply {
		panic(http.ErrAbortHandler)
	}
	if x.Status != 0 && x.Code != "" {
		out, no = nil, &refusal{x.Status, x.Code, x.Text}
	}
	status, kind, body := e.encode(out, no)
	if x.Status != 0 && x.Code == "" {
		status, body = x.Status, []byte(x.Body)
	}
	if x.Kind != "" {
		kind = x.Kind
	}
	for k, v := range x.Head {
		w.Header().Set(k, v)
	}
	n := len(body)
	if x.Cut == Half {
		n /= 2
	}
	e.write(w, status, kind, body, n)
}
