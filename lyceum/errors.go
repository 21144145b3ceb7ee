package lyceum

import (
	"runctl"
	"runctl/rest"
)

// Paths of the API below its prefix.
const (
	createPath = "/vms/create"
	vmsPath    = "/vms/list"
	pythonPath = "/execution/streaming/start"
	imagePath  = "/execution/image/start"
)

// wrongPlace says that a create is not known at all, as where the address is another API's.
func wrongPlace(path string, status int) rest.Rule {
	return rest.Rule{Method: "POST", Path: path, Status: status, Raw: true, Kind: runctl.ErrInvalid, Scope: runctl.ScopeProvider, NotStarted: true,
		Reason: "this address does not have Lyceum's API: check " + baseEnv + ", or get a newer version of this program"}
}

// rules tell Lyceum's refusals apart. It says that it has none left by a 500, which only its words tell from a
// fault; nothing is started then, and nothing is billed. It was seen to say so of machines alone. Of every other 5xx, and of those
// about runs, nothing is concluded.
var rules = append([]rest.Rule{
	{Method: "POST", Path: createPath, Status: 500, Text: "could not be provisioned", Kind: runctl.ErrCapacity, Scope: runctl.ScopeOffer,
		Reason: "none left of this machine now"},
	wrongPlace(createPath, 404), wrongPlace(createPath, 405),
	wrongPlace("/execution/*/start", 404), wrongPlace("/execution/*/start", 405),
	{Status: 402, Kind: runctl.ErrPayment, Scope: runctl.ScopeAccount, NotStarted: true,
		Reason: "the organisation's credits do not suffice: buy some in Lyceum's dashboard, under Billing"},
}, rest.Defaults...)
