package lyceum

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"runctl"
	"runctl/internal/job"
	"runctl/rest"
)

// MaxRun is the longest that a run may take; machines have no such bound.
const MaxRun = 600 * time.Second

// diskMiB is the disk of a machine: at least 100 GB. It cannot be chosen.
const diskMiB = 100_000_000_000 >> 20

// createVM is the body of POST /vms/create. Nothing in it is left to the server's defaults: of a missing or wrong number of
// GPUs it makes one, and bills it.
type createVM struct {
	Key     string `json:"user_public_key"`
	Profile string `json:"hardware_profile"`
	Specs   struct {
		GPUs int `json:"gpu_count"`
	} `json:"instance_specs"`
	Name   string `json:"display_name"`
	Bought string `json:"instance_type"`
}

// Launch implements [runctl.Provider] with one request. A machine that is not what was asked for is ended at once.
func (p *Provider) Launch(ctx context.Context, req runctl.LaunchRequest) (runctl.Instance, error) {
	s, ok := parseShape(req.Offer.ID)
	switch {
	case !ok:
		return runctl.Instance{}, &runctl.Error{Kind: runctl.ErrNotFound, Scope: runctl.ScopeOffer, NotStarted: true,
			Msg: "this is no offer of Lyceum's: take one from Offers"}
	case req.Offer.Market != s.market():
		return runctl.Instance{}, invalid("the offer's ID is of the market %s, and its Market is %q", s.market(), req.Offer.Market)
	case req.Label == "":
		return runctl.Instance{}, invalid("a launch needs a label")
	case (req.Job != nil) != s.run:
		return runctl.Instance{}, invalid("a run takes the job that it is launched with, and a machine takes jobs later: take another offer")
	}
	o, err := options(req, s)
	if err != nil {
		return runctl.Instance{}, err
	}
	if s.run {
		return p.launchRun(ctx, req, s, o)
	}
	return p.launchVM(ctx, req, s)
}

func (p *Provider) launchVM(ctx context.Context, req runctl.LaunchRequest, s shape) (runctl.Instance, error) {
	body := createVM{Key: strings.TrimSpace(req.AuthorizedKey), Profile: s.profile, Name: req.Label, Bought: s.bought()}
	body.Specs.GPUs = s.count
	switch {
	case !job.ValidKey(body.Key):
		return runctl.Instance{}, invalid("a machine is entered with a key that is made from Config.Secret: set that")
	case req.Image != "":
		e := unsupported("a machine of Lyceum's boots no container image: leave Image empty, or take a run")
		e.Scope = runctl.ScopeOffer // runs do
		return runctl.Instance{}, e
	case req.Disk > diskMiB:
		return runctl.Instance{}, invalid("Disk: a machine of Lyceum's has 100 GB, and no more can be asked for")
	}
	v := &VM{}
	reply, err := p.api.Do(ctx, rest.Request{Method: "POST", Path: createPath, Body: body}, v)
	switch {
	case err != nil:
		return runctl.Instance{}, refusal(err)
	case v.ID == "":
		return runctl.Instance{}, errors.New("the launch was accepted, but the reply has no id")
	}
	p.young.Add(vmPrefix + string(v.ID))
	if wrong := v.differs(body); wrong != "" {
		return runctl.Instance{}, p.endWrong(ctx, v, wrong)
	}
	return v.instance(reply.Date), nil
}

// refusal is the error of a create. That there is none left is the one 5xx that proves that nothing was started, in Lyceum's own
// words, which nobody on the way uses.
func refusal(err error) error {
	var e *runctl.Error
	if errors.As(err, &e) && e.Kind == runctl.ErrCapacity {
		e.NotStarted = true
	}
	return err
}

// differs says how the machine is another one than was asked for. The server passes over what it does not know, so a 200
// alone proves nothing.
func (v *VM) differs(asked createVM) string {
	bought := v.Bought.word()
	profile, count := v.hardware()
	_, known := parts[profile] // other names for the same hardware are possible
	switch {
	case string(v.DisplayName) != asked.Name:
		return fmt.Sprintf("is named %q instead of what it was told; use a shorter owner and key", clip(v.DisplayName))
	case bought != "" && bought != Text(asked.Bought).word():
		return fmt.Sprintf("is %q instead of %s", clip(v.Bought), asked.Bought)
	case known && profile != asked.Profile:
		return fmt.Sprintf("is of the kind %s instead of %s", profile, asked.Profile)
	case count != 0 && count != asked.Specs.GPUs:
		return fmt.Sprintf("has %d GPUs instead of %d", count, asked.Specs.GPUs)
	}
	return ""
}

// endWrong ends a machine that nobody could be sure to find again, or that nobody wanted.
func (p *Provider) endWrong(ctx context.Context, v *VM, wrong string) error {
	id := vmPrefix + string(v.ID)
	err := p.Terminate(ctx, id)
	e := &runctl.Error{ID: id, Kind: runctl.ErrUnavailable, NotStarted: err == nil, MayBill: err != nil, Err: err,
		Msg: "the machine that Lyceum started " + wrong + ", so it was ended"}
	if err != nil {
		e.Msg = "the machine that Lyceum started " + wrong + ", and it could not be ended: end it in Lyceum's dashboard"
	}
	return e
}

func (p *Provider) launchRun(ctx context.Context, req runctl.LaunchRequest, s shape, o LaunchOptions) (runctl.Instance, error) {
	path, body, secrets, err := runBody(req, s, o)
	if err != nil {
		return runctl.Instance{}, err
	}
	if text, err := json.Marshal([]any{body, req.Job}); err != nil || strings.Contains(string(text), p.cfg.APIKey) {
		return runctl.Instance{}, invalid("Job: the account's API key is in it, and everybody in the organisation could read it there")
	}
	r := &Run{}
	defer p.past.void()
	reply, err := p.api.Do(ctx, rest.Request{Method: "POST", Path: path, Body: body, Secrets: secrets}, r)
	switch {
	case err != nil:
		return runctl.Instance{}, err
	case r.ID == "":
		return runctl.Instance{}, errors.New("the launch was accepted, but the reply has no id")
	}
	r.FileName, r.Type = Text(req.Label), Text(s.profile) // the reply repeats neither
	p.young.Add(runPrefix + string(r.ID))
	p.known.add(string(r.ID), req.Label)
	i := r.instance(reply.Date)
	i.Launched = reply.Date
	return i, nil
}

func unsupported(msg string) *runctl.Error {
	e := invalid("%s", msg)
	e.Err = errors.ErrUnsupported
	return e
}
