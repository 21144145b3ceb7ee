package runpod

import (
	"net/http"
	"strconv"

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
