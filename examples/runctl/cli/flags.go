package cli

import (
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"runctl"
)

// duration is a flag such as 90m, 12h or 2d; it must be positive.
type duration time.Duration

func (d *duration) String() string {
	if *d == 0 {
		return ""
	}
	return durText(time.Duration(*d))
}

func (d *duration) Type() string { return "DUR" }

func (d *duration) Set(s string) error {
	v, err := time.ParseDuration(s)
	if days, ok := strings.CutSuffix(s, "d"); ok {
		var n float64
		n, err = strconv.ParseFloat(days, 64)
		v = time.Duration(n * 24 * float64(time.Hour))
	}
	switch {
	case err != nil:
		return usagef("write a duration such as 90m, 12h or 2d")
	case v <= 0 || v > runctl.MaxLifetime:
		return usagef("must be positive and below two years, for example 12h")
	}
	*d = duration(v)
	return nil
}

// amount is a flag such as 4, $4 or 4EUR.
type amount runctl.Money

func (m *amount) String() string {
	if !runctl.Money(*m).Known() {
		return ""
	}
	return moneyText(runctl.Money(*m))
}

func (m *amount) Type() string { return "USD" }

func (m *amount) Set(s string) error {
	number, currency := strings.TrimPrefix(strings.TrimSpace(s), "$"), "USD"
	if n := len(number) - 3; n > 0 && strings.Trim(number[n:], "ABCDEFGHIJKLMNOPQRSTUVWXYZ") == "" {
		number, currency = strings.TrimSpace(number[:n]), number[n:]
	}
	x, err := strconv.ParseFloat(number, 64)
	v := runctl.MoneyOf(x, currency)
	if err != nil || !v.Known() || x < 0 {
		return usagef("write an amount such as 4.50 (US dollars) or 4.50EUR, up to a million")
	}
	*m = amount(v)
	return nil
}

// size is a flag in GiB, or with a unit: 64, 64G, 512M, 1T. It holds MiB.
type size int64

func (m *size) String() string {
	if *m == 0 {
		return ""
	}
	return sizeText(int64(*m))
}

func (m *size) Type() string { return "GB" }

func (m *size) Set(s string) error {
	number, unit := s, int64(1024)
	for suffix, u := range map[string]int64{"M": 1, "G": 1024, "T": 1024 * 1024} {
		if n, ok := strings.CutSuffix(strings.TrimSuffix(strings.TrimSuffix(strings.ToUpper(s), "B"), "I"), suffix); ok {
			number, unit = n, u
		}
	}
	n, err := strconv.ParseInt(number, 10, 32)
	if err != nil || n <= 0 {
		return usagef("write a size such as 64 (GiB), 512M or 1T")
	}
	*m = size(n * unit)
	return nil
}

// needs are the flags that say what kind of machine.
type needs struct {
	gpu, region []string
	cpus        int
	mem, disk   size
	spot        bool
	maxPrice    amount
}

func (n *needs) add(f *pflag.FlagSet) {
	f.StringSliceVar(&n.gpu, "gpu", nil, "`MODEL`[-MEMGB][:COUNT], such as H100:8; several, comma-separated, in order of preference")
	f.IntVar(&n.cpus, "cpus", 0, "at least `N` cores")
	f.Var(&n.mem, "mem", "at least so much memory, in GiB")
	f.Var(&n.disk, "disk", "at least so much disk, in GiB")
	f.StringSliceVar(&n.region, "region", nil, "only in these `REGIONS`, comma-separated")
	f.BoolVar(&n.spot, "spot", false, "spot machines, which the cloud may take back")
	f.Var(&n.maxPrice, "max-price", "ceiling for an hour")
}

// query is what the flags ask for, without the ceiling.
func (n *needs) query() (runctl.OfferQuery, error) {
	q := runctl.OfferQuery{VCPU: n.cpus, Memory: int64(n.mem), Disk: int64(n.disk), Regions: n.region}
	if n.cpus < 0 {
		return q, usagef("--cpus %d: must not be negative", n.cpus)
	}
	if n.spot {
		q.Market = runctl.Spot
	}
	for i, text := range n.gpu {
		g, err := runctl.ParseGPU(text)
		if err != nil {
			why := strings.TrimPrefix(err.Error(), "gpu: ")
			if !strings.HasPrefix(why, `"`) {
				why = ": " + why
			} else {
				why = " " + why
			}
			return q, usagef("--gpu%s. %s", why, nothing)
		}
		if i == 0 {
			q.GPU = g
		} else {
			q.OrGPU = append(q.OrGPU, g)
		}
	}
	return q, nil
}

// consent are the flags that bound time and money.
type consent struct {
	name           string
	lifetime, keep duration
	maxCost        amount
	image          string
	dryRun, yes    bool
}

func (c *consent) add(f *pflag.FlagSet) {
	f.StringVar(&c.name, "name", "", "`NAME` of the run, also seen in the cloud: a-z, 0-9 and '-', at most 24")
	f.Var(&c.lifetime, "lifetime", "the machine ends after so long whatever happens (required on a priced offer; else 24h)")
	f.Var(&c.keep, "keep", "the machine ends itself after so long without a job (30m)")
	f.Var(&c.maxCost, "max-cost", "ceiling for the whole lifetime")
	f.StringVar(&c.image, "image", "", "container `IMAGE`, where the provider takes one")
	f.BoolVar(&c.dryRun, "dry-run", false, "show what would be launched, and launch nothing")
	f.BoolVarP(&c.yes, "yes", "y", false, "do not ask: the price shown, and what is said beside it, is accepted")
}

// jobFlags say what a job gets and leaves.
type jobFlags struct {
	env, secrets, outs []string
	envFile            string
	grace, lease       duration
	firstUse           bool
	carry              carryFlags
}

func (j *jobFlags) add(f *pflag.FlagSet) {
	f.StringArrayVar(&j.env, "env", nil, "`NAME=VALUE`, or NAME to pass on; may be repeated")
	f.StringVar(&j.envFile, "env-file", "", "`FILE` of such lines")
	f.StringArrayVar(&j.secrets, "secret", nil, "`NAME` of an environment variable, or NAME=@FILE, passed on without being seen; may be repeated")
	f.StringArrayVar(&j.outs, "out", nil, "file or directory at this `PATH` below the job's directory to collect too; may be repeated")
	j.carry.add(f)
	f.Var(&j.grace, "grace", "from TERM to KILL when the job is ended (30s)")
	f.Var(&j.lease, "lease", "end the job when nobody has watched it for so long, at least 1m (silence never ends it)")
	f.BoolVar(&j.firstUse, "secrets-on-first-use", false, "send secrets also to a machine whose host key nobody vouches for")
}

// job is the job that the flags and the arguments describe.
func (j *jobFlags) job(a *app, args []string) (runctl.Job, error) {
	job := runctl.Job{Args: args, Outputs: j.outs, Grace: time.Duration(j.grace), Lease: time.Duration(j.lease),
		SecretsOnFirstUse: j.firstUse, Env: map[string]string{}, Secrets: map[string]runctl.Secret{}}
	if len(args) == 0 || args[0] == "" {
		return job, usagef("empty command: write the program and its arguments after --, as in runctl run -- python train.py. Nothing was launched")
	}
	if err := j.carry.parse(); err != nil {
		return job, err
	}
	lines := j.env
	if j.envFile != "" {
		more, err := a.readEnvFile(a.abs(j.envFile))
		if err != nil {
			return job, usagef("--env-file: %v", err)
		}
		lines = append(more, lines...) // a flag wins
	}
	for _, line := range lines {
		name, value, ok := strings.Cut(line, "=")
		if !ok {
			if value, ok = a.getenv(name); !ok {
				return job, usagef("--env %s: it is not set here; write %s=VALUE", name, name)
			}
		}
		job.Env[name] = value
	}
	for _, s := range j.secrets {
		name, source, ok := strings.Cut(s, "=")
		file, isFile := strings.CutPrefix(source, "@")
		value, set := a.getenv(name)
		switch {
		case ok && !isFile:
			return job, usagef("--secret %s=…: a value on the command line can be seen by others; set the variable and write --secret %s, or --secret %s=@FILE", name, name, name)
		case isFile:
			job.Secrets[name] = runctl.SecretFile(a.abs(file))
		case !set:
			return job, usagef("--secret %s: the environment variable is not set here", name)
		default:
			job.Secrets[name] = runctl.NewSecret(value)
		}
	}
	return job, nil
}

// readEnvFile reads lines of NAME=VALUE, or NAME to pass on; empty ones and those that begin with # do not count. What
// is wrong is named by its line: such files hold secrets.
func (a *app) readEnvFile(path string) ([]string, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var lines []string
	for n, line := range strings.Split(string(data), "\n") {
		if line = strings.TrimSpace(line); line == "" || line[0] == '#' {
			continue
		}
		name, _, ok := strings.Cut(line, "=")
		value, set := a.getenv(name)
		switch {
		case !envName.MatchString(name):
			return nil, fmt.Errorf("%s, line %d: write NAME=VALUE, the name of letters, digits and '_'", path, n+1)
		case !ok && !set:
			return nil, fmt.Errorf("%s, line %d: there is no '=', and no variable of this name is set here", path, n+1)
		case !ok:
			line = name + "=" + value
		}
		lines = append(lines, line)
	}
	return lines, nil
}

var envName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
