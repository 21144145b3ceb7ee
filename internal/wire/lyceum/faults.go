package lyceum

import "runctl/internal/wire"

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

// capacity is what the API says when it has none: a 500, which only its words tell from a fault.
const capacity = "The instance could not be provisioned right now. Please try again later."

// The faults that Lyceum's users have met, and those that every network has.
var (
	LostRequest = Fault{On: "createVM", Cut: NoReply}                                                                   // the cloud never heard of it
	LostReply   = Fault{On: "createVM", Cut: NoReply, Acts: true}                                                       // the machine exists, nobody said so
	ErrorAfter  = Fault{On: "createVM", Acts: true, Status: 500, Body: `{"detail":"Internal Server Error"}`}            // 500, and the machine bills
	Unreadable  = Fault{On: "createVM", Acts: true, Status: 200, Kind: "application/json", Body: `{"vm_id":"` + "\x00"} // 200 that is no JSON
	HalfReply   = Fault{On: "createVM", Acts: true, Cut: Half}                                                          // 200, cut in the middle of its body
	NoCapacity  = Fault{On: "createVM", Status: 500, Body: `{"detail":"` + capacity + `"}`}
	NoCredits   = Fault{On: "createVM", Status: 402, Body: `{"detail":"Insufficient credits"}`}
	Throttled   = Fault{Status: 429, Head: map[string]string{"Retry-After": "7"}, Body: `{"detail":"Rate limit exceeded"}`}
	BadGateway  = Fault{Status: 502, Kind: "text/html", Body: "<html><head><title>502 Bad Gateway</title></head></html>"}
	ListFails   = Fault{On: "listVMs", Status: 500, Body: `{"detail":"Internal Server Error"}`} // while all machines are well
)
