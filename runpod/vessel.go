package runpod

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"errors"
	"path/filepath"
	"strings"
	"time"

	"runctl"
	"runctl/internal/job"
)

const (
	// startWindow is how long after its launch a pod may begin its job: pulling an image takes its time. A container
	// that starts later is one that was started again, and does not run the job.
	startWindow = time.Hour
	// clockSlack is by how much a pod's clock may be ahead of ours before that costs the pod a part of its lifetime.
	clockSlack = 10 * time.Minute
	// maxLinger is how long a pod stays after its job, so that the receipt can be read from its log. Then it stops itself.
	maxLinger = 10 * time.Minute
	// recordDir is where receipts lie on a network volume, each below the pod's label.
	recordDir = "/.runctl/"
	// runEnv tells which run a pod is the vessel of.
	runEnv = "RUNCTL_RUN"
)

//go:embed sh/end.sh
var endScript string

// vesselArgs is what a pod runs that is the vessel of one job, and what that needs of the pod's environment.
func (p *Provider) vesselArgs(req runctl.LaunchRequest, nonce string) (args string, env map[string]string, err error) {
	j, now := req.Job, time.Now()
	o, err := options(req)
	if err != nil {
		return "", nil, err
	}
	v := job.Vessel{
		Spec: job.Spec{Run: j.ID, Digest: req.Label, Argv: j.Args, Dir: filepath.ToSlash(j.Dir), Env: j.Env, Grace: j.Grace, Limit: j.Limit,
			Attempt: j.Attempt, Resume: j.Resume},
		StartBy: now.Add(min(startWindow, req.Lifetime)), Lifetime: req.Lifetime, EndBy: now.Add(req.Lifetime + clockSlack),
		Linger: maxLinger, End: p.endText(),
	}
	if req.Keep > 0 {
		v.Linger = min(v.Linger, req.Keep)
	}
	if o.Volume != "" {
		v.Durable = strings.TrimSuffix(o.VolumePath, "/") + recordDir + req.Label
	}
	script, err := v.Script()
	if err != nil {
		return "", nil, refused("Job.", err)
	}
	args, err = command(script)
	return args, map[string]string{runEnv: j.ID}, err
}

// shellArgs is what a pod runs that is entered by SSH.
func (p *Provider) shellArgs(req runctl.LaunchRequest, _ string) (args string, env map[string]string, err error) {
	key := strings.TrimSpace(req.AuthorizedKey)
	if !job.ValidKey(key) {
		return "", nil, invalid("a pod of the shell road is entered with a key that is made from Config.Secret: set that")
	}
	b := job.Berth{Run: "shell", Lifetime: req.Lifetime, EndBy: time.Now().Add(req.Lifetime + clockSlack), Keep: req.Keep, End: p.endText()}
	script, err := b.Script()
	if err != nil {
		return "", nil, refused("", err)
	}
	args, err = command(script)
	return args, map[string]string{"PUBLIC_KEY": key}, err
}

// endText is the shell text by which a pod ends itself: at the API that it was launched by.
func (p *Provider) endText() string {
	return "pod_api='" + strings.ReplaceAll(p.api.Base(), "'", `'\''`) + "'\n" + endScript
}

// command is a start command in the form that keeps every byte of it, whatever the image's own: a bare string
// would be split into words.
func command(script string) (string, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(map[string][]string{"entrypoint": {"/bin/sh", "-c"}, "cmd": {script}})
	return strings.TrimSuffix(b.String(), "\n"), err
}

// refused is the error for what a container's first process does not take.
func refused(prefix string, err error) error {
	var f *job.FieldError
	if errors.As(err, &f) {
		return invalid("%s%s: %s", prefix, f.Field, f.Problem)
	}
	return err
}
