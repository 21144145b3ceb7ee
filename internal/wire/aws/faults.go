package aws

import (
	"net/http"

	"runctl/internal/wire"
)

// What can go wrong with a request.
type (
	Fault = wire.Fault
	Cut   = wire.Cut
)

// Where a connection breaks.
const (
	Whole   = wire.Whole
	NoReply = wire.NoReply
	Half    = wire.Half
)

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

// failAs answers as the fault has it; out and no are what was due.
func (e *exchange) failAs(w http.ResponseWriter, x *Fault, out params, no *refusal) {
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
