package runctl

import (
	"context"
	"crypto"
	"io"
	"iter"
	"time"
)

// Provider is one account in one region of one cloud. Clouds implement it; users hold a [Client].
//
// The six methods do one request each (List and Offers one per page): they do not poll, sleep, retry,
// log or start goroutines, they obey their context, and they may be called concurrently. They never put
// a secret into an error. An error that the provider can classify is an [*Error] with Kind, Scope,
// NotStarted and RetryAfter; everything else may be any error, and counts as unknown.
// Package providertest checks all of this.
type Provider interface {
	// Info returns constants, without I/O.
	Info() Info

	// Offers returns what can be launched now. It may return more than q asks for; the client filters
	// with [OfferQuery.Match].
	Offers(ctx context.Context, q OfferQuery) ([]Offer, error)

	// Launch starts at most one machine, with req.Label on it from this very call on, and returns as
	// soon as the cloud has accepted. An error without NotStarted means that a machine may have started.
	Launch(ctx context.Context, req LaunchRequest) (Instance, error)

	// Get returns one machine, freshly read. An id that the cloud does not know is ErrNotFound; a machine
	// that the cloud still remembers as ended is StateTerminated and no error.
	Get(ctx context.Context, id string) (Instance, error)

	// List returns, complete over all pages, every machine of q.Owner that may bill, or an error. It may
	// add ended machines and machines of others.
	List(ctx context.Context, q ListQuery) ([]Instance, error)

	// Terminate asks for the end of a machine and of its billing, and returns when the cloud has
	// accepted. One that is gone already is nil or ErrNotFound.
	Terminate(ctx context.Context, id string) error
}

// Info is what a provider says of itself. It never changes.
type Info struct {
	Name string // unique within a Client; in references. Letters a-z, digits and '-', at most 24
	Kind string // the package or family, such as "aws"; several providers of one Kind differ in Name

	// Idempotent: two Launch calls with the same Token start one machine, and the second returns it.
	Idempotent bool
	// Settle is how long after a launch request has ended a machine of it may be missing from a
	// complete List. 0: not known, absence never proves that nothing started.
	Settle time.Duration
	// Poll is the pause between two looks of the shared poller; 0: 10 s.
	Poll time.Duration
	// Rate is how many calls a second the client makes at most (bursts of four seconds' worth); 0: no limit.
	Rate float64
	// Exits: List and Get fill Instance.Exit once a job on the job road has ended.
	Exits bool
	// Boots: Launch passes LaunchRequest.Boot on, and the machine runs it as root at every boot. The client then
	// waits for the guard that the script starts, and ends a machine that stays without.
	Boots bool
	// InPlace: machines share this computer's files; a Job.Dir is a directory of the caller's.
	InPlace bool

	Markets     Market // what can be launched at all, for people
	EndsItself  bool   // machines end themselves at their deadline, for people; an Offer decides
	Region      string // for people; empty: none
	Credentials string // where they came from, for people, without any secret
}

// ListQuery selects machines. It is a struct so that filters can be added.
type ListQuery struct {
	Owner string // of the mark; empty: everybody's
}

// LaunchRequest is one launch as a provider sees it: validated, sealed, priced.
type LaunchRequest struct {
	Label string // the sealed mark, at most 60 characters of a-z 0-9 '-', first a letter; store it as it is
	Token string // idempotency token, at most 64 characters; differs between attempts and offers

	Offer     Offer
	Lifetime  time.Duration // after launch the machine ends itself, where it can
	Keep      time.Duration // the machine ends itself after so long without a running job; 0: never for that reason
	MaxHourly Money         // for markets with bids; zero: the offer's price
	Image     string        // container image, where the provider boots containers
	Disk      int64         // MiB; 0: the provider's default
	// KeepDisk: at its own end the machine keeps its disk, as the offer's Keeps promises, for it may hold the only copy
	// of something. Without it nobody needs what the machine leaves.
	KeepDisk bool
	// Options are only those whose ForProvider is this provider's Kind. A provider that is handed another's
	// may ignore it or refuse the launch with ErrInvalid and NotStarted.
	Options []LaunchOption

	// Boot is a POSIX sh script that makes the machine end itself; nil without Info.Boots and with Job. It has no
	// secret, and is less than 64 KiB.
	Boot          []byte
	AuthorizedKey string // public key in OpenSSH's one-line format for the machine's login user; may be empty
	Job           *Job   // job road: the job that the machine runs as its only purpose; nil on the shell road
}

// LaunchOption is a provider's own, typed launch option, such as aws.LaunchOptions.
type LaunchOption interface {
	ForProvider() string // the Info.Kind it is for; one that no provider of the Client has is ErrInvalid
}

// Connector is implemented by providers whose machines can run commands.
type Connector interface {
	// Connect opens a way to run commands on the machine. The context bounds the call only. A machine that has
	// ended may still be entered for reading, where its offer Keeps or its files are this computer's.
	Connect(ctx context.Context, i Instance, a Access) (Machine, error)
}

// Access is how a machine is entered.
type Access struct {
	Signer crypto.Signer // derived from the owner's secret and the label; nil without Config.Secret
	// HostKey is the fingerprint, "SHA256:…", that the machine was known by before; one that shows another must be
	// refused before anything is sent to it. Empty: never met.
	HostKey string
}

// Machine runs commands. It is as small as it can be, so that SSH, a local process and a cloud's own
// command channel all fit; files move as streams over it.
type Machine interface {
	// Exec runs argv and waits. A command that ended has a code and no error, whatever the code; an error
	// means that its end is not known. The context ends the command. Calls may be concurrent. stdin may be nil;
	// stdout and stderr may not.
	Exec(ctx context.Context, argv []string, stdin io.Reader, stdout, stderr io.Writer) (code int, err error)
	// Close releases the connection and leaves the machine alone.
	Close() error
}

// JobRunner is implemented by providers that take a job with the launch itself (the job road).
type JobRunner interface {
	// Process returns the read side of the job that the instance was launched with.
	Process(ctx context.Context, i Instance) (Process, error)
}

// Process is one run, seen by the cloud's own means. The client adapts the shell road to the same.
type Process interface {
	// Status is one look.
	Status(ctx context.Context) (Status, error)
	// Wait returns when the run has ended or is known to be lost: one held stream or blocking call,
	// never a poll. An error means that the wait was cut; the client asks again.
	Wait(ctx context.Context) (Status, error)
	// Logs yields the log from q.Offset on. After an error it ends; the client goes on at the next offset.
	Logs(ctx context.Context, q LogQuery) iter.Seq2[LogChunk, error]
	// Cancel asks for the end: TERM, and after grace KILL. It returns when that is under way.
	Cancel(ctx context.Context, grace time.Duration) error
}

// Stopper is implemented by providers that can pause a machine, so that only its disk bills.
type Stopper interface {
	Stop(ctx context.Context, id string) error  // asks; StateStopped follows
	Start(ctx context.Context, id string) error // asks; StateRunning follows
}

// Fitter is implemented by providers whose launch options fit some offers only, such as a volume that is in one zone.
type Fitter interface {
	// Fits returns a function that says why an offer of the provider cannot be launched with these options; nil: it can
	// be. The client asks once, before it chooses among offers, also without options.
	Fits(ctx context.Context, options []LaunchOption) (func(Offer) error, error)
}

// Sweeper is implemented by providers that make things beside machines, such as security groups.
type Sweeper interface {
	// Sweep ends what was made for the owner's machines, who has none any more. What is still in use, or is not certainly
	// ours, stays, and is no error. Reap calls it.
	Sweep(ctx context.Context, owner string) error
}

// Notifier is implemented by providers that can tell when something changed, so that waiters wake at
// once instead of at the next look.
type Notifier interface {
	Changed() <-chan struct{} // closed at the next change; ask again afterwards
}

// As finds T on p, or on what p wraps by a method Unwrap() Provider. T is an optional interface, such as
// [Connector], or a concrete type, such as *aws.Provider, for direct access to the native SDK.
//
// A wrapper that must see every call implements the optional interfaces itself and has no Unwrap.
func As[T any](p Provider) (T, bool) {
	for p != nil {
		if t, ok := p.(T); ok {
			return t, true
		}
		u, ok := p.(interface{ Unwrap() Provider })
		if !ok {
			break
		}
		p = u.Unwrap()
	}
	var zero T
	return zero, false
}
