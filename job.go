package runctl

import "time"

// Job is what to run. It survives machines; a [Run] is one attempt of it on one machine.
type Job struct {
	// ID is the run's idempotency key: a second submit of the same job under the same id finds the first.
	// Letters a-z, digits and '-', at most 40. Empty: the launch's key, or minted by Submit.
	ID   string
	Args []string // the program and its arguments; never a shell
	// Dir is the working directory. With Code it lies inside the run's own copy of that. Without, on a machine that
	// shares this computer's files (Info.InPlace), it is a directory of the caller's, relative to the current one;
	// elsewhere it lies inside the run's own work directory. In the first and last case it must be relative.
	Dir     string
	Image   string            // container image, on the job road
	Env     map[string]string // visible to whoever can read the cloud's records
	Secrets map[string]Secret // environment variables that must not be seen
	// SecretsOnFirstUse allows Secrets to be sent to a machine whose host key nobody vouches for: see TrustFirstUse.
	SecretsOnFirstUse bool `json:"-"`
	// Outputs are the files and directories, relative to Dir, that must outlive the machine.
	Outputs []string
	// DiscardOutputs allows a machine that ends itself to take uncollected outputs with it.
	DiscardOutputs bool

	// Inputs are fetched to the machine before the job starts, in its directory; Results are brought to their places when
	// it has ended. Both are carried by the machine itself, with addresses that hold for a while, so this computer may be
	// gone. An input that cannot be fetched, or a result that cannot be delivered after the job's own success, is exit
	// code 74, and the log says why. The addresses of results are made at the start, and hold for seven days at most, and
	// no longer than the credentials that sign them. At most 30 together. The job road carries nothing.
	Inputs  []Input  `json:",omitempty"`
	Results []Result `json:",omitempty"`
	// Checkpoints is where the job's last checkpoint outlives its machines: brought there, as a tar, when the job has
	// ended, with the grace for a pre-emption too; and when there is one already the job begins with it: $RUNCTL_RESUME
	// names the directory that it was unpacked into. nil: nowhere. Not with Resume.
	Checkpoints Place `json:"-"`

	// Code is brought to the machine before the job starts, in a copy of its own: see package code. It is part of
	// what the job is: the same key or ID with other code is ErrConflict. nil: none. The job road takes none.
	Code Code `json:"-"`

	Grace time.Duration // from TERM to KILL; 0: 30 s
	Limit time.Duration // the longest the run may take; 0: the machine's lifetime
	// Lease ends the run, with its grace, when nobody has waited for it or followed its log for so long: between a
	// minute and the machine's lifetime. A look at it renews nothing. 0: none, and silence never touches the run.
	// The job road has no leases.
	Lease time.Duration `json:",omitzero"`
	// Shared lets the run share its machine with others; a machine has one run at a time otherwise.
	Shared  bool
	Attempt int    // counts from 1; 0: 1
	Resume  string // the checkpoint directory of an earlier run, as the machine sees it; empty: none
}

// needsShell names what the job asks for that only a supervisor of ours can do; empty: nothing.
func (j *Job) needsShell() string {
	switch {
	case j.Code != nil:
		return "Job.Code"
	case j.carries() != "":
		return j.carries()
	case j.Lease > 0:
		return "Job.Lease"
	case j.Shared:
		return "Job.Shared"
	}
	return ""
}

// RunSpec asks for a machine and a job on it.
type RunSpec struct {
	// Key is the idempotency key of the launch: letters a-z, digits and '-', at most 24, visible to
	// colleagues and on bills. Store it before the call: after a crash it adopts. Empty: minted.
	Key   string
	Needs OfferQuery // the cheapest offer that matches; the next one on a certain lack of capacity
	Offer *Offer     // this very offer instead
	Job   Job

	Lifetime time.Duration // the machine's, from launch; required
	Keep     time.Duration // the machine ends itself after so long without a running job; 0: 30 minutes

	// One ceiling is required for an offer that is not known to be free: MaxHourly, Needs.MaxHourly or
	// MaxCost (price × lifetime), in the offer's currency.
	MaxHourly Money
	MaxCost   Money

	Disk      int64 // MiB; 0: the provider's default
	Unguarded bool  // accept a machine that cannot end itself
	Options   []LaunchOption
	// Collect is a local directory for Job.Outputs; [Client.Run] fills it before it ends the machine.
	Collect string
}

// LaunchSpec asks for a machine without a job. The fields mean what they mean in [RunSpec].
type LaunchSpec struct {
	Key       string
	Needs     OfferQuery
	Offer     *Offer
	Lifetime  time.Duration
	Keep      time.Duration // 0: only the lifetime ends it
	MaxHourly Money
	MaxCost   Money
	Image     string // container image, where the provider boots containers
	Disk      int64
	Unguarded bool
	Options   []LaunchOption
}

func (s RunSpec) launch() LaunchSpec {
	return LaunchSpec{Key: s.Key, Needs: s.Needs, Offer: s.Offer, Lifetime: s.Lifetime, Keep: s.Keep,
		MaxHourly: s.MaxHourly, MaxCost: s.MaxCost, Image: s.Job.Image, Disk: s.Disk,
		Unguarded: s.Unguarded, Options: s.Options}
}
