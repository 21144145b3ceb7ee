package lyceum

import (
	"strings"

	"runctl"
)

// LaunchOptions are what the launch of a run may ask of Lyceum alone. Machines have none.
type LaunchOptions struct {
	// Requirements is the text of a requirements file: what is installed before a job without an image.
	Requirements string
	// NoBucket keeps the account's bucket out of the container. Otherwise it is mounted at [Mount], and the job is told a
	// place of its own in it: see [RunPrefix].
	NoBucket bool
	// Username and Password log in to the registry of a private image.
	Username string
	Password runctl.Secret
}

// ForProvider implements [runctl.LaunchOption].
func (LaunchOptions) ForProvider() string { return DefaultName }

// Mount is where a container finds the account's bucket.
const Mount = "/mnt/s3"

// RunPrefix is where in the account's bucket the run with this label leaves what must outlive it, with a slash at its end: a
// container's RUNCTL_OUTPUT_DIR and RUNCTL_CHECKPOINT_DIR are the directories outputs and checkpoints below. The job makes them.
func RunPrefix(label string) string { return "runctl/" + label + "/" }

// options are the launch's own, checked. It may have them once.
func options(req runctl.LaunchRequest, s shape) (LaunchOptions, error) {
	var o LaunchOptions
	n := 0
	for _, any := range req.Options {
		switch own := any.(type) {
		case LaunchOptions:
			o, n = own, n+1
		case *LaunchOptions:
			if own != nil {
				o, n = *own, n+1
			}
		}
	}
	image := imageOf(req)
	switch {
	case n > 1:
		return o, invalid("lyceum.LaunchOptions are given twice")
	case n > 0 && !s.run:
		return o, invalid("lyceum.LaunchOptions are for runs: a machine has none")
	case o.Requirements != "" && image != "":
		return o, invalid("LaunchOptions.Requirements: an image brings what it needs; they are for jobs without one")
	case o.Username != "" && image == "":
		return o, invalid("LaunchOptions.Username is for private images, and the job has none")
	case strings.ContainsAny(o.Requirements, "\x00"):
		return o, invalid("LaunchOptions.Requirements: must be text")
	}
	return o, nil
}

var _ runctl.LaunchOption = LaunchOptions{}
