package runpod

import (
	"runctl"
	"runctl/rest"
)

// full says that there was none left for a request. RunPod has no code for that: a 400 is either this or a mistake, and
// only its words tell.
func full(text string) rest.Rule {
	return rest.Rule{Method: "POST", Path: "/v2/pods", Status: 400, Text: text, Kind: runctl.ErrCapacity, Scope: runctl.ScopeZone, NotStarted: true,
		Reason: "none left of this in this data center; a larger disk, an exact CUDA version or a volume narrow the choice, too"}
}

func limited(status int, text string) rest.Rule {
	return rest.Rule{Status: status, Text: text, Kind: runctl.ErrQuota, Scope: runctl.ScopeAccount, NotStarted: true,
		Reason: "the account's own limit is reached; RunPod's support raises it"}
}

const oldAPI = "this address does not have RunPod's API v2: check " + baseEnv + ", or get a newer version of this program"

// rules tell RunPod's refusals apart. By the document, what counts is the status of HTTP, not the one in the body.
var rules = append([]rest.Rule{
	full("no longer any instances available"),
	full("no instances available"),
	full("no instances currently available"),
	full("not enough free gpus"),
	full("enough disk space"),
	limited(400, "spend limit"), limited(403, "spend limit"), limited(400, "spending limit"), limited(403, "spending limit"),
	{Method: "POST", Path: "/v2/pods", Status: 403, Text: "pool", Kind: runctl.ErrQuota, Scope: runctl.ScopeOffer, NotStarted: true,
		Reason: "this kind of machine is not open to the account"},
	{Method: "POST", Path: "/v2/pods", Status: 404, Kind: runctl.ErrInvalid, Scope: runctl.ScopeRequest, NotStarted: true,
		Reason: "RunPod does not know something that the launch names: its volume or its registry"},
	{Method: "POST", Path: "/v2/pods/*/action", Status: 400, Text: "not enough free gpus", Kind: runctl.ErrCapacity, Scope: runctl.ScopeRequest,
		Reason: "a stopped pod starts on its own host only, and others have its GPUs now; launch another one"},
	{Method: "DELETE", Path: "/v2/pods/*", Status: 409, Kind: runctl.ErrConflict, Scope: runctl.ScopeRequest,
		Reason: "the pod is a member of a cluster: delete the cluster, in RunPod's console"},
	{Status: 402, Kind: runctl.ErrPayment, Scope: runctl.ScopeAccount, NotStarted: true,
		Reason: "the account's balance is too low: a launch needs credit for an hour"},
	{Status: 403, Text: "error code: 1010", Raw: true, Kind: runctl.ErrInvalid, Scope: runctl.ScopeProvider,
		Reason: "RunPod's edge refused the User-Agent, not the key: something on the way removes or changes it"},
	{Status: 405, Raw: true, Kind: runctl.ErrInvalid, Scope: runctl.ScopeProvider, NotStarted: true, Reason: oldAPI},
	{Status: 410, Raw: true, Kind: runctl.ErrInvalid, Scope: runctl.ScopeProvider, NotStarted: true, Reason: oldAPI},
	{Status: 413, Raw: true, Kind: runctl.ErrInvalid, Scope: runctl.ScopeRequest, NotStarted: true, Reason: "the request is too long: bring code with the image or by a volume"},
}, rest.Defaults...)
