package runctl

import (
	"context"
	"encoding/json"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

const (
	defaultKeep  = 30 * time.Minute
	defaultGrace = 30 * time.Second
)

// plan validates a request completely, before anything is spent, and digests it.
func (c *Client) plan(ctx context.Context, s LaunchSpec, j *Job) (*plan, error) {
	if err := c.open(ctx); err != nil {
		return nil, &Error{Op: "launch", Key: s.Key, NotStarted: true, Err: err}
	}
	p := &plan{spec: s, key: s.Key, job: j}
	if p.key == "" {
		p.key, p.minted = mintKey(), true
	}
	if !validKey(p.key, maxKey) {
		return nil, invalid("Key", "%q: 1 to %d characters of a-z, 0-9 and '-', not at the ends", clip(oneLine(p.key), 40), maxKey)
	}
	if err := c.checkSpec(s); err != nil {
		return nil, err
	}
	if j != nil {
		own := *j
		if own.ID == "" {
			own.ID = p.key
		}
		if err := checkJob(own); err != nil {
			return nil, err
		}
		if own.Lease > s.Lifetime {
			return nil, invalid("Job.Lease", "%s: at most the machine's lifetime of %s", own.Lease, s.Lifetime)
		}
		if err := checkHold(own, s.Lifetime); err != nil {
			return nil, err
		}
		p.job = &own
	}
	p.digest = digest(s, p.job)
	return p, nil
}

func (c *Client) checkSpec(s LaunchSpec) error {
	switch {
	case s.Lifetime <= 0:
		return invalid("Lifetime", "%s: must be positive; every machine has an end, for example 12h", s.Lifetime)
	case s.Lifetime > MaxLifetime:
		return invalid("Lifetime", "%s: at most %s", s.Lifetime, MaxLifetime)
	case s.Keep < 0:
		return invalid("Keep", "%s: must not be negative", s.Keep)
	case s.Disk < 0:
		return invalid("Disk", "%d: must not be negative (MiB)", s.Disk)
	}
	for name, m := range map[string]Money{"MaxHourly": s.MaxHourly, "MaxCost": s.MaxCost, "Needs.MaxHourly": s.Needs.MaxHourly} {
		if m.Nanos != 0 && !m.Known() || m.Known() && (!validCurrency(m.Currency) || m.Nanos < 0) {
			return invalid(name, "%d nanos of %q: a ceiling is not negative and has a currency, as in USD(4)", m.Nanos, clip(m.Currency, 10))
		}
	}
	if err := checkQuery(s.Needs); err != nil {
		return err
	}
	if s.Offer != nil {
		if _, err := c.account(s.Offer.Provider); err != nil {
			return err
		}
	}
	for _, o := range s.Options {
		if o == nil || !slices.ContainsFunc(c.providers, func(a *account) bool { return a.info.Kind == o.ForProvider() }) {
			return invalid("Options", "%T is for no provider of this client", o)
		}
	}
	return nil
}

func checkQuery(q OfferQuery) error {
	for _, g := range append([]GPU{q.GPU}, q.OrGPU...) {
		if err := checkGPU(g); err != nil {
			return err
		}
	}
	switch {
	case q.VCPU < 0 || q.Memory < 0 || q.Disk < 0:
		return invalid("Needs", "VCPU, Memory and Disk must not be negative")
	case q.Lifetime < 0:
		return invalid("Needs.Lifetime", "%s: must not be negative", q.Lifetime)
	case q.Market > OnDemand|Spot || q.Road > RoadShell|RoadJob:
		return invalid("Needs", "Market and Road must be made of the named values")
	}
	return nil
}

// checkJob refuses what no machine could run.
func checkJob(j Job) error {
	if !validKey(j.ID, maxRunID) {
		return invalid("Job.ID", "%q: 1 to %d characters of a-z, 0-9 and '-', not at the ends", clip(oneLine(j.ID), 40), maxRunID)
	}
	if len(j.Args) == 0 || j.Args[0] == "" {
		return invalid("Job.Args", "empty command: give the program and its arguments")
	}
	var size int
	for _, a := range j.Args {
		if size += len(a) + 1; strings.ContainsRune(a, 0) || size > 64<<10 {
			return invalid("Job.Args", "at most 64 KiB in all, and no NUL")
		}
	}
	for _, name := range slices.Sorted(maps.Keys(j.Env)) {
		if err := checkEnvName("Job.Env", name); err != nil {
			return err
		}
		if strings.ContainsRune(j.Env[name], 0) || len(j.Env[name]) > maxSecret {
			return invalid("Job.Env", "%s: at most %d bytes and no NUL", name, maxSecret)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(j.Secrets)) {
		if err := checkEnvName("Job.Secrets", name); err != nil {
			return err
		}
		if _, both := j.Env[name]; both {
			return invalid("Job.Secrets", "%s is in Job.Env too", name)
		}
		if _, err := j.Secrets[name].Reveal(); err != nil {
			return invalid("Job.Secrets", "%s: %v", name, asError(err, ErrInvalid).Msg)
		}
	}
	for _, o := range j.Outputs {
		if o == "" || !filepath.IsLocal(filepath.FromSlash(o)) || strings.ContainsAny(o, "\x00\n\r") {
			return invalid("Job.Outputs", "%q: a path below the job's directory", clip(oneLine(o), 80))
		}
	}
	if err := checkCode(j.Code); err != nil {
		return err
	}
	if err := checkCarried(j); err != nil {
		return err
	}
	switch {
	case strings.ContainsAny(j.Dir, "\x00\n\r"):
		return invalid("Job.Dir", "must be a path on one line")
	case j.Grace < 0 || j.Limit < 0:
		return invalid("Job", "Grace and Limit must not be negative")
	case j.Lease != 0 && j.Lease < time.Minute:
		return invalid("Job.Lease", "%s: at least a minute, or 0 for none", j.Lease)
	case j.Attempt < 0:
		return invalid("Job.Attempt", "%d: counts from 1", j.Attempt)
	case strings.ContainsAny(j.Resume, "\x00\n\r"):
		return invalid("Job.Resume", "must be a path on one line")
	}
	return nil
}

// checkHold refuses what a job would leave when its addresses, which are signed at its start, hold no longer. left is
// the most that is left of its machine's lifetime.
func checkHold(j Job, left time.Duration) error {
	field := "Lifetime"
	if j.Limit > 0 && j.Limit < left {
		field, left = "Job.Limit", j.Limit
	}
	if (len(j.Results) > 0 || j.Checkpoints != nil) && left > deliverHold {
		return invalid(field, "%s: addresses hold seven days at most, so Job.Results and Job.Checkpoints could not be delivered after that", left)
	}
	return nil
}

// shellNames cannot be set from outside in every shell: some of them refuse, and one dies.
var shellNames = []string{"_", "BASH_VERSINFO", "EUID", "IFS", "LINENO", "OPTIND", "PPID", "RANDOM", "SHELLOPTS", "UID"}

func checkEnvName(field, name string) error {
	ok := name != "" && len(name) <= 256 && (name[0] < '0' || name[0] > '9')
	for _, r := range name {
		ok = ok && (r == '_' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9')
	}
	switch {
	case !ok:
		return invalid(field, "%q: names are letters, digits and '_', and do not begin with a digit", clip(oneLine(name), 40))
	case slices.Contains(shellNames, name):
		return invalid(field, "%s belongs to the shell and cannot be set", name)
	case strings.HasPrefix(strings.TrimPrefix(name, "_"), "RUNCTL_"):
		return invalid(field, "%s: names with RUNCTL_ are set by runctl", name)
	}
	return nil
}

// checkPlace refuses a working directory that climbs out of the run's own, where files are not shared, and
// the outputs that an ending machine would take with it.
func checkPlace(a *account, o Offer, j *Job) error {
	if j == nil {
		return nil
	}
	if j.Dir != "" && (!a.info.InPlace || j.Code != nil) && !filepath.IsLocal(filepath.FromSlash(j.Dir)) {
		what := "on " + a.info.Name
		if j.Code != nil {
			what = "in a copy of Job.Code"
		}
		return invalid("Job.Dir", "%q leaves the run's directory; %s it must be relative and stay inside", clip(oneLine(j.Dir), 80), what)
	}
	if len(j.Outputs) > 0 && o.EndsItself && !o.Keeps && !j.DiscardOutputs {
		return invalid("Job.Outputs", "a machine of %s that ends itself takes uncollected outputs with it; choose an offer that keeps them, or allow it with DiscardOutputs", a.info.Name)
	}
	return nil
}

// digest identifies what was asked for. Ceilings and secrets' values are not part of it: raising a ceiling
// does not make another machine.
func digest(s LaunchSpec, j *Job) string {
	q := s.Needs
	q.MaxHourly = Money{}
	var offer []string
	if s.Offer != nil {
		offer = []string{s.Offer.Provider, s.Offer.ID, s.Offer.Zone, s.Offer.Market.String()}
	}
	b, err := json.Marshal(struct {
		Needs          OfferQuery
		Offer          []string
		Lifetime, Keep time.Duration
		Image          string
		Disk           int64
		Job            *Job
		Code           string `json:",omitempty"`
		Checkpoints    string `json:",omitempty"`
	}{q, offer, s.Lifetime, s.Keep, s.Image, s.Disk, j, codeDigest(j), checkpointsOf(j)})
	if err != nil {
		panic("runctl: a request that cannot be digested: " + err.Error()) // plain data only
	}
	return shortHash(digestLen, string(b))
}
