package runpod

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"

	"runctl"
	"runctl/rest"
)

// RunPod's bounds, which it documents.
const (
	maxRequest   = 102_400 // bytes of a request's body
	maxEnv       = 50      // environment variables of a pod
	maxName      = 60      // characters of a name that are known to be kept
	diskPerVCPU  = 10      // GB of disk for each virtual processor of a pod without GPUs
	defaultDisk  = 50      // GB
	publicSSH    = "22/tcp"
	secretPrefix = "{{ RUNPOD_SECRET_" // RunPod puts the secret in its place when the pod starts
)

// createPod is the body of POST /v2/pods. It has no field for spot, for a deadline or for what happens when the command
// returns: the API has none.
type createPod struct {
	Name          string            `json:"name"`
	Image         string            `json:"image"`
	Args          string            `json:"args,omitempty"`
	Disk          int64             `json:"disk"` // GB
	Env           map[string]string `json:"env"`
	Ports         []string          `json:"ports,omitempty"`
	Registry      string            `json:"registry,omitempty"`
	GPU           *createGPU        `json:"gpu,omitempty"`
	CPU           *createCPU        `json:"cpu,omitempty"`
	Cloud         string            `json:"cloud"` // always: what its absence means is disputed
	DataCenterIDs []string          `json:"dataCenterIds,omitempty"`
	Mounts        *Mounts           `json:"mounts,omitempty"`
}

type createGPU struct {
	ID      string `json:"id"`
	Count   int    `json:"count"` // always: pods came without GPUs when it was left out
	MinCUDA string `json:"minCudaVersion,omitempty"`
}

type createCPU struct {
	ID    string `json:"id"`
	VCPUs int    `json:"vcpuCount"`
}

// Launch implements [runctl.Provider] with one request. Should the pod not bear its whole name, it is ended at once.
func (p *Provider) Launch(ctx context.Context, req runctl.LaunchRequest) (runctl.Instance, error) {
	body, err := p.plan(req)
	if err != nil {
		return runctl.Instance{}, err
	}
	v := &Pod{}
	reply, err := p.api.Do(ctx, rest.Request{Method: "POST", Path: "/v2/pods", Body: body, MaxBody: maxRequest}, v)
	switch {
	case err != nil:
		return runctl.Instance{}, err
	case v.ID == "":
		return runctl.Instance{}, errors.New("RunPod accepted the launch, but its reply has no id")
	}
	if p.young.Add(v.ID); v.Name != req.Label {
		return runctl.Instance{}, p.endNameless(ctx, v)
	}
	return p.instance(v, reply.Date), nil
}

// endNameless ends a pod that nobody could be sure to find again.
func (p *Provider) endNameless(ctx context.Context, v *Pod) error {
	err := p.Terminate(ctx, v.ID)
	e := &runctl.Error{ID: v.ID, Kind: runctl.ErrUnavailable, NotStarted: err == nil, MayBill: err != nil, Err: err,
		Msg: "RunPod named the pod " + clip(v.Name) + " instead of what it was told, so it was ended: use a shorter owner and key"}
	if err != nil {
		e.Msg = "RunPod named the pod " + clip(v.Name) + " instead of what it was told, and it could not be ended: end it in RunPod's console"
	}
	return e
}

// plan makes the request of a launch, and refuses what RunPod cannot do before anything is sent.
func (p *Provider) plan(req runctl.LaunchRequest) (*createPod, error) {
	s, ok := parseShape(req.Offer.ID)
	switch {
	case !ok:
		return nil, &runctl.Error{Kind: runctl.ErrNotFound, Scope: runctl.ScopeOffer, NotStarted: true,
			Msg: "this is no offer of RunPod's: take one from Offers"}
	case req.Offer.Market != runctl.OnDemand:
		return nil, unsupported("RunPod's API has no spot pods: take an offer on demand")
	case len(req.Label) > maxName || req.Label == "":
		return nil, invalid("a launch needs a label of at most %d characters", maxName)
	case (req.Job != nil) != (s.road == runctl.RoadJob):
		return nil, invalid("the offer is of the %s road: a pod with a job needs one of the job road, a pod for jobs to come one of the shell road", s.road)
	}
	o, err := options(req)
	if err != nil {
		return nil, err
	}
	body := &createPod{Name: req.Label, Image: req.Image, Cloud: s.cloud, Registry: o.Registry, Ports: o.Ports}
	if req.Job != nil {
		body.Image = cmp.Or(req.Image, req.Job.Image)
	}
	if body.Image = cmp.Or(body.Image, p.cfg.Image); body.Image == "" {
		body.Image, o.MinCUDA = DefaultImage, cmp.Or(o.MinCUDA, defaultCUDA)
	}
	if s.dc != "" {
		body.DataCenterIDs = []string{strings.ToUpper(s.dc)}
	}
	if o.Volume != "" {
		body.Mounts = &Mounts{Network: []NetworkMount{{VolumeID: o.Volume, Path: o.VolumePath}}}
	}
	if s.part == "gpu" {
		body.GPU = &createGPU{ID: s.id, Count: s.count}
		if !strings.HasPrefix(s.id, "AMD ") {
			body.GPU.MinCUDA = o.MinCUDA
		}
	} else {
		body.CPU = &createCPU{ID: s.id, VCPUs: s.count}
	}
	if body.Disk, err = s.disk(req.Disk); err != nil {
		return nil, err
	}
	return body, p.command(body, req, o)
}

// disk is the size of the container's disk in GB, for one in MiB.
func (s shape) disk(mib int64) (int64, error) {
	most := int64(s.count) * diskPerVCPU
	switch gb := (mib + 1023) / 1024; {
	case s.part == "cpu" && gb > most:
		return 0, invalid("Disk: a pod of %s with %d virtual processors has at most %d GB: take more processors, or a volume", s.id, s.count, most)
	case gb > 0:
		return gb, nil
	case s.part == "cpu":
		return min(defaultDisk, most), nil
	}
	return defaultDisk, nil
}

// command fills in what the pod runs, and its environment. A job's own variables travel in the command.
func (p *Provider) command(body *createPod, req runctl.LaunchRequest, o LaunchOptions) error {
	var random [16]byte
	_, _ = rand.Read(random[:]) // never fails
	nonce := hex.EncodeToString(random[:])
	arguments, road := p.shellArgs, runctl.RoadShell
	if j := req.Job; j != nil {
		arguments, road = p.vesselArgs, runctl.RoadJob
		if len(j.Secrets) > 0 {
			return unsupported("RunPod shows what a pod is launched with to everybody in the account, so a secret's value is not sent: " +
				"store it as a secret in RunPod's console, and name it in LaunchOptions.Secrets; or use the shell road")
		}
	} else if !slices.Contains(body.Ports, publicSSH) {
		body.Ports = append(slices.Clone(body.Ports), publicSSH)
	}
	args, env, err := arguments(req, nonce)
	if err != nil {
		return err
	}
	body.Args = args
	body.Env = map[string]string{markEnv: req.Label, nonceEnv: nonce, roadEnv: road.String()}
	maps.Copy(body.Env, env)
	for name, secret := range o.Secrets {
		body.Env[name] = secretPrefix + secret + " }}"
	}
	if len(body.Env) > maxEnv {
		return invalid("LaunchOptions.Secrets: RunPod gives a pod at most %d environment variables, and runctl needs %d of them", maxEnv, len(body.Env)-len(o.Secrets))
	}
	if text, err := json.Marshal([]any{body, req.Job}); err != nil || strings.Contains(string(text), p.cfg.APIKey) {
		return invalid("Job: the account's API key is in it, and everybody in the account could read it there")
	}
	return nil
}

func unsupported(msg string) error {
	e := invalid("%s", msg)
	e.Err = errors.ErrUnsupported
	return e
}

var _ runctl.LaunchOption = LaunchOptions{}
