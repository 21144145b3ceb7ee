package aws

import (
	"cmp"
	"time"
)

// Options are the physics of a Face. The zero value is an account that answers at once and never errs.
type Options struct {
	Region       string // of EC2 and Systems Manager; empty: us-west-2
	AccessKey    string // empty: AKIAFACEFACEFACEFACE
	Secret       string // empty: the key's own
	SessionToken string // empty: the key is a long-lived one

	Pending      time.Duration // from the request to running; negative: stuck there for ever
	Stopping     time.Duration // from the request to stopped; negative: stuck
	ShuttingDown time.Duration // how long an instance goes on, and bills, after its end was accepted; negative: stuck
	Tombstone    time.Duration // how long an ended instance is still described; 0: one hour
	TokenDead    bool          // a repeated token of an ended instance is an error; false: the reply is that instance

	ListLag time.Duration // how long a new instance is missing where it is not named
	GetLag  time.Duration // how long a new instance is unknown to everything that names it
	MaxPage int           // entries a page at most, whatever is asked for; 0: as asked for
	AnyTime bool          // signatures of any age are accepted: the cloud's clock is elsewhere
	Extra   bool          // replies have elements that the model does not

	Throttle   bool           // token buckets of the published sizes
	VCPUs      map[string]int // on-demand quotas by [Type.Family]; absent: no limit
	SpotVCPUs  map[string]int // spot quotas
	NoVPC      bool           // the account has no default VPC
	NoPublicIP bool           // instances get none
	PublicIP   string         // of every instance; empty: one each, of a network that leads nowhere

	Managed       bool              // agents register without an instance profile: Default Host Management
	AgentAfter    time.Duration     // from running to the agent's registration; negative: never
	InvocationLag time.Duration     // how long a command's invocation does not exist
	CommandTime   time.Duration     // how long commands take where none is executed
	Parameters    map[string]string // Systems Manager parameters beyond the public ones; they win

	Real *Real // machines are processes of this computer; nil: records
}

func (o Options) region() string { return cmp.Or(o.Region, "us-west-2") }

// The account's names where Options do not say otherwise.
const (
	account      = "123456789012"
	defaultKey   = "AKIAFACEFACEFACEFACE"
	defaultValue = "face/secret+of/the+tests/account+00000000"
)

// Profile is the instance profile that the account has; its role lets an agent register.
const Profile = "runctl-machine"
