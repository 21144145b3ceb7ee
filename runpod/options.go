package runpod

import (
	"cmp"
	"regexp"
	"strings"

	"runctl"
)

// LaunchOptions are what a launch may ask of RunPod alone. Data centers are chosen by OfferQuery.Regions.
type LaunchOptions struct {
	// Secrets gives the job secrets that are kept at RunPod: names of environment variables, and the names of the
	// secrets there. The values go from RunPod into the pod and are in no request and no reply.
	Secrets map[string]string
	// Volume is the id of a network volume, which outlives pods: logs, checkpoints and the proof that a job has ended can
	// lie there. It is in one data center, and so the pod must be.
	Volume string
	// VolumePath is where the volume is mounted, an absolute path; empty: /workspace.
	VolumePath string
	// Registry is the id of a registry credential, for a private image.
	Registry string
	// MinCUDA is the lowest version of CUDA that the host's driver must have, such as 12.8. Empty: any; with
	// the default image, what that needs.
	MinCUDA string
	// Ports are exposed beside those that are needed anyway, such as 8888/http. What is exposed is open to everybody.
	Ports []string
}

// ForProvider implements [runctl.LaunchOption].
func (LaunchOptions) ForProvider() string { return DefaultName }

// DefaultVolumePath is where a network volume is mounted.
const DefaultVolumePath = "/workspace"

var (
	secretName = regexp.MustCompile(`^[A-Za-z0-9_-]{1,128}$`)
	envName    = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]{0,255}$`)
	opaqueID   = regexp.MustCompile(`^[A-Za-z0-9._-]{1,128}$`)
	cuda       = regexp.MustCompile(`^[0-9]{1,3}\.[0-9]{1,3}$`)
	port       = regexp.MustCompile(`^[0-9]{1,5}/(tcp|http)$`)
)

// options are the launch's own, checked. It may have them once.
func options(req runctl.LaunchRequest) (LaunchOptions, error) {
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
	if n > 1 {
		return o, invalid("runpod.LaunchOptions are given twice")
	}
	return o, o.check(req)
}

func (o *LaunchOptions) check(req runctl.LaunchRequest) error {
	for env, secret := range o.Secrets {
		switch {
		case !envName.MatchString(env) || strings.HasPrefix(env, "RUNCTL_") || strings.HasPrefix(env, "RUNPOD_"):
			return invalid("LaunchOptions.Secrets: %q cannot be the name of an environment variable of a job", clip(env))
		case !secretName.MatchString(secret):
			return invalid("LaunchOptions.Secrets: %s: give the name that a secret has in RunPod's console, not its value", env)
		case req.Job == nil:
			return invalid("LaunchOptions.Secrets are for jobs that go with the launch; on the shell road use Job.Secrets")
		}
		_, twice := req.Job.Env[env]
		if _, too := req.Job.Secrets[env]; twice || too {
			return invalid("LaunchOptions.Secrets: %s is in the job's own environment too", env)
		}
	}
	o.VolumePath = cmp.Or(o.VolumePath, DefaultVolumePath)
	switch {
	case o.Volume != "" && !opaqueID.MatchString(o.Volume):
		return invalid("LaunchOptions.Volume: %q is not the id of a network volume", clip(o.Volume))
	case !strings.HasPrefix(o.VolumePath, "/") || strings.ContainsAny(o.VolumePath, "\x00\r\n") || o.VolumePath == "/":
		return invalid("LaunchOptions.VolumePath: %q must be an absolute path below /", clip(o.VolumePath))
	case o.Registry != "" && !opaqueID.MatchString(o.Registry):
		return invalid("LaunchOptions.Registry: %q is not the id of a registry credential", clip(o.Registry))
	case o.MinCUDA != "" && !cuda.MatchString(o.MinCUDA):
		return invalid("LaunchOptions.MinCUDA: %q: write it as 12.8", clip(o.MinCUDA))
	}
	for _, p := range o.Ports {
		if !port.MatchString(p) {
			return invalid("LaunchOptions.Ports: %q: write it as 8888/http or 6006/tcp", clip(p))
		}
	}
	return nil
}
