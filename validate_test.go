package runctl

import (
	"errors"
	"math"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

type optionFor string

func (o optionFor) ForProvider() string { return string(o) }

// goodRun is a request that nobody refuses.
func goodRun() RunSpec {
	return RunSpec{Key: "k", Lifetime: time.Hour, MaxHourly: USD(5), Job: Job{Args: []string{"train"}}}
}

func pick(change func(*Offer)) *Offer {
	o := modelOffer("small", 1)
	o.Provider = "model"
	change(&o)
	return &o
}

// refused are requests with one thing wrong, and the whole text that the user reads. Nothing is launched for any.
var refused = []struct {
	name string
	spec func(*RunSpec)
	want string
}{
	{"unknown provider", func(s *RunSpec) { s.Offer = pick(func(o *Offer) { o.Provider = "modle" }) },
		`provider: "modle" is not one of this client's: [model]. Did you mean model?`},
	{"a key with capitals", func(s *RunSpec) { s.Key = "Tune" }, `Key: "Tune": 1 to 24 characters of a-z, 0-9 and '-', not at the ends`},
	{"a long key", func(s *RunSpec) { s.Key = strings.Repeat("k", 25) }, `Key: "` + strings.Repeat("k", 25) + `": 1 to 24 characters of a-z, 0-9 and '-', not at the ends`},
	{"no command", func(s *RunSpec) { s.Job.Args = nil }, "Job.Args: empty command: give the program and its arguments"},
	{"empty command", func(s *RunSpec) { s.Job.Args = []string{"", "x"} }, "Job.Args: empty command: give the program and its arguments"},
	{"NUL in an argument", func(s *RunSpec) { s.Job.Args = []string{"a", "b\x00"} }, "Job.Args: at most 64 KiB in all, and no NUL"},
	{"arguments too long", func(s *RunSpec) { s.Job.Args = []string{"a", strings.Repeat("b", 64<<10)} }, "Job.Args: at most 64 KiB in all, and no NUL"},
	{"no lifetime", func(s *RunSpec) { s.Lifetime = 0 }, "Lifetime: 0s: must be positive; every machine has an end, for example 12h"},
	{"negative lifetime", func(s *RunSpec) { s.Lifetime = -time.Hour }, "Lifetime: -1h0m0s: must be positive; every machine has an end, for example 12h"},
	{"endless lifetime", func(s *RunSpec) { s.Lifetime = math.MaxInt64 }, "Lifetime: 2562047h47m16.854775807s: at most 17476h15m0s"},
	{"longer than the offer allows", func(s *RunSpec) { s.Offer = pick(func(o *Offer) { o.MaxLifetime = time.Minute }) }, "k: Lifetime: 1h0m0s: small allows at most 1m0s"},
	{"negative keep", func(s *RunSpec) { s.Keep = -1 }, "Keep: -1ns: must not be negative"},
	{"negative disk", func(s *RunSpec) { s.Disk = -1 }, "Disk: -1: must not be negative (MiB)"},
	{"no ceiling", func(s *RunSpec) { s.MaxHourly = Money{} }, "k: MaxHourly: small at model costs 1.00 USD an hour; give MaxHourly or MaxCost in USD"},
	{"NaN as ceiling", func(s *RunSpec) { s.MaxHourly = USD(math.NaN()) }, "k: MaxHourly: small at model costs 1.00 USD an hour; give MaxHourly or MaxCost in USD"},
	{"infinite ceiling", func(s *RunSpec) { s.MaxHourly = USD(math.Inf(1)) }, "k: MaxHourly: small at model costs 1.00 USD an hour; give MaxHourly or MaxCost in USD"},
	{"negative ceiling", func(s *RunSpec) { s.MaxHourly = USD(-1) }, `MaxHourly: -1000000000 nanos of "USD": a ceiling is not negative and has a currency, as in USD(4)`},
	{"negative total", func(s *RunSpec) { s.MaxCost = USD(-2) }, `MaxCost: -2000000000 nanos of "USD": a ceiling is not negative and has a currency, as in USD(4)`},
	{"a ceiling without currency", func(s *RunSpec) { s.Needs.MaxHourly = Money{Nanos: 5} }, `Needs.MaxHourly: 5 nanos of "": a ceiling is not negative and has a currency, as in USD(4)`},
	{"a ceiling in no currency", func(s *RunSpec) { s.MaxHourly = Money{5, "dollars"} }, `MaxHourly: 5 nanos of "dollars": a ceiling is not negative and has a currency, as in USD(4)`},
	{"another currency", func(s *RunSpec) { s.MaxHourly = MoneyOf(5, "EUR") }, "k: MaxHourly: small at model is priced in USD, the ceiling is in EUR; give it in USD"},
	{"another currency in total", func(s *RunSpec) { s.MaxCost = MoneyOf(5, "EUR") }, "k: MaxCost: small at model is priced in USD, the ceiling is in EUR; give it in USD"},
	{"ceiling too low", func(s *RunSpec) { s.MaxHourly = USD(0.5) }, "k: MaxHourly: small at model costs 1.00 USD an hour, the ceiling is 0.50 USD; raise it or choose a cheaper offer"},
	{"total too low", func(s *RunSpec) { s.Lifetime, s.MaxCost = 10*time.Hour, USD(9.99) },
		"k: MaxCost: small at model costs 10.00 USD for its lifetime of 10h0m0s, the ceiling is 9.99 USD; raise it or choose a cheaper offer"},
	{"the lower of two ceilings", func(s *RunSpec) { s.Offer, s.Needs.MaxHourly = pick(func(*Offer) {}), USD(0.5) },
		"k: Needs.MaxHourly: small at model costs 1.00 USD an hour, the ceiling is 0.50 USD; raise it or choose a cheaper offer"},
	{"a need that is too cheap", func(s *RunSpec) { s.Needs.MaxHourly = USD(0.5) },
		"k: no offer at or below 0.50 USD an hour: cheapest is 1.00 USD (model r1). Raise the ceiling"},
	{"nothing like it", func(s *RunSpec) { s.Needs.GPU = GPU{Model: "H100", Count: 8} }, "k: no H100:8 matches what is needed; see Offers for what there is"},
	{"unknown price, no ceiling", func(s *RunSpec) { s.Offer, s.MaxHourly = pick(func(o *Offer) { o.Price = Price{} }), Money{} },
		"k: MaxHourly: small at model has no known price; give MaxHourly or MaxCost, or choose a priced offer"},
	{"negative price", func(s *RunSpec) { s.Offer = pick(func(o *Offer) { o.Price.Hourly = USD(-1) }) }, `k: Offer: "small" is not a whole offer of model; take one from Offers`},
	{"a free price in no currency", func(s *RunSpec) {
		s.Offer, s.MaxHourly = pick(func(o *Offer) { o.Price.Hourly = Money{0, "free"} }), Money{}
	},
		`k: Offer: "small" is not a whole offer of model; take one from Offers`},
	{"an offer without a market", func(s *RunSpec) { s.Offer = pick(func(o *Offer) { o.Market = 0 }) }, `k: Offer: "small" is not a whole offer of model; take one from Offers`},
	{"a wish for no market", func(s *RunSpec) { s.Needs.Market = 8 }, "Needs: Market and Road must be made of the named values"},
	{"a negative wish", func(s *RunSpec) { s.Needs.VCPU = -1 }, "Needs: VCPU, Memory and Disk must not be negative"},
	{"unguarded", func(s *RunSpec) { s.Offer = pick(func(o *Offer) { o.EndsItself = false }) },
		"k: Unguarded: a machine of model cannot end itself and bills until somebody terminates it; allow that with Unguarded, or choose another offer"},
	{"outputs that are lost", func(s *RunSpec) { s.Offer, s.Job.Outputs = pick(func(o *Offer) { o.Keeps = false }), []string{"out"} },
		"k: Job.Outputs: a machine of model that ends itself takes uncollected outputs with it; choose an offer that keeps them, or allow it with DiscardOutputs"},
	{"a directory above", func(s *RunSpec) { s.Job.Dir = "../x" }, `k: Job.Dir: "../x" leaves the run's directory; on model it must be relative and stay inside`},
	{"a directory that climbs out", func(s *RunSpec) { s.Job.Dir = "a/../../x" }, `k: Job.Dir: "a/../../x" leaves the run's directory; on model it must be relative and stay inside`},
	{"an absolute directory", func(s *RunSpec) { s.Job.Dir = "/etc" }, `k: Job.Dir: "/etc" leaves the run's directory; on model it must be relative and stay inside`},
	{"a directory of two lines", func(s *RunSpec) { s.Job.Dir = "a\nb" }, "Job.Dir: must be a path on one line"},
	{"outputs above", func(s *RunSpec) { s.Job.Outputs = []string{"ok", "../x"} }, `Job.Outputs: "../x": a path below the job's directory`},
	{"absolute outputs", func(s *RunSpec) { s.Job.Outputs = []string{"/root"} }, `Job.Outputs: "/root": a path below the job's directory`},
	{"empty outputs", func(s *RunSpec) { s.Job.Outputs = []string{""} }, `Job.Outputs: "": a path below the job's directory`},
	{"8xH100", func(s *RunSpec) { s.Needs.GPU = GPU{Model: "8xH100"} }, `gpu: "8xH100": write H100:8`},
	{"8XH100", func(s *RunSpec) { s.Needs.GPU = GPU{Model: "8XH100"} }, `gpu: "8XH100": write H100:8`},
	{"H10O", func(s *RunSpec) { s.Needs.GPU = GPU{Model: "H10O"} },
		`gpu: unknown model "H10O". Did you mean H100? Write MODEL[-MEMGB][:COUNT], as in H100:8 or A100-80GB:1`},
	{"too many GPUs", func(s *RunSpec) { s.Needs.GPU = GPU{Model: "H100", Count: 65} }, "gpu: count 65: must be 1 to 64"},
	{"a variable that begins with a digit", func(s *RunSpec) { s.Job.Env = map[string]string{"1A": ""} }, `Job.Env: "1A": names are letters, digits and '_', and do not begin with a digit`},
	{"a variable with a sign", func(s *RunSpec) { s.Job.Env = map[string]string{"A=B": ""} }, `Job.Env: "A=B": names are letters, digits and '_', and do not begin with a digit`},
	{"no variable", func(s *RunSpec) { s.Job.Env = map[string]string{"": ""} }, `Job.Env: "": names are letters, digits and '_', and do not begin with a digit`},
	{"the shell's variable", func(s *RunSpec) { s.Job.Env = map[string]string{"IFS": ""} }, "Job.Env: IFS belongs to the shell and cannot be set"},
	{"our variable", func(s *RunSpec) { s.Job.Secrets = map[string]Secret{"RUNCTL_X": NewSecret("x")} }, "Job.Secrets: RUNCTL_X: names with RUNCTL_ are set by runctl"},
	{"NUL in a variable", func(s *RunSpec) { s.Job.Env = map[string]string{"A": "\x00"} }, "Job.Env: A: at most 65536 bytes and no NUL"},
	{"a variable twice", func(s *RunSpec) {
		s.Job.Env, s.Job.Secrets = map[string]string{"A": ""}, map[string]Secret{"A": NewSecret("x")}
	}, "Job.Secrets: A is in Job.Env too"},
	{"a secret that is missing", func(s *RunSpec) { s.Job.Secrets = map[string]Secret{"A": SecretEnv("RUN_TEST_NONE")} },
		"Job.Secrets: A: secret: environment variable RUN_TEST_NONE is not set"},
	{"a bad run id", func(s *RunSpec) { s.Job.ID = "a b" }, `Job.ID: "a b": 1 to 40 characters of a-z, 0-9 and '-', not at the ends`},
	{"negative grace", func(s *RunSpec) { s.Job.Grace = -1 }, "Job: Grace and Limit must not be negative"},
	{"negative attempt", func(s *RunSpec) { s.Job.Attempt = -1 }, "Job.Attempt: -1: counts from 1"},
	{"options for another provider", func(s *RunSpec) { s.Options = []LaunchOption{optionFor("model"), optionFor("aws")} }, "Options: runctl.optionFor is for no provider of this client"},
	{"no option", func(s *RunSpec) { s.Options = []LaunchOption{nil} }, "Options: <nil> is for no provider of this client"},
}

func TestBadRequestsAreRefusedByName(t *testing.T) {
	for _, k := range refused {
		t.Run(k.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cloud := newModelCloud()
				c := newTestClient(t, Config{}, &leakyCloud{twisted: &twisted{modelCloud: cloud}, err: errReset})
				s := goodRun()
				k.spec(&s)
				_, err := c.Start(t.Context(), s)
				require.Error(t, err)
				assert.Equal(t, k.want, err.Error())
				var e *Error
				require.ErrorAs(t, err, &e)
				assert.True(t, e.NotStarted, "it says that nothing was started")
				assert.False(t, e.MayBill)
				assert.Contains(t, []Kind{ErrInvalid, ErrNotFound}, e.Kind)
				_, estimate := c.EstimateCost(t.Context(), s)
				require.Error(t, estimate)
				assert.Equal(t, err.Error(), estimate.Error(), "EstimateCost refuses what Start refuses")
				assert.Zero(t, cloud.calls["launch"])
			})
		})
	}
	good := goodRun()
	c := newTestClient(t, Config{}, &leakyCloud{twisted: &twisted{modelCloud: newModelCloud()}})
	_, err := c.EstimateCost(t.Context(), good)
	require.NoError(t, err, "the control passes")
}

func TestGPUSpellings(t *testing.T) {
	for in, want := range map[string]string{
		"8xH100": `gpu: "8xH100": write H100:8`, "H100x8": `gpu: "H100x8": write H100:8`, "4xa100-80gb": `gpu: "4xa100-80gb": write A100-80GB:4`,
		"H10O":   `gpu: unknown model "H10O". Did you mean H100? Write MODEL[-MEMGB][:COUNT], as in H100:8 or A100-80GB:1`,
		"H100:0": `gpu: "H100:0": the count after ':' must be 1 to 64, as in H100:8`, "H100:x": `gpu: "H100:x": the count after ':' must be 1 to 64, as in H100:8`,
		"": `gpu: "": names no model; write MODEL[-MEMGB][:COUNT], as in H100:8 or A100-80GB:1`,
	} {
		_, err := ParseGPU(in)
		require.EqualError(t, err, want)
	}
	for in, want := range map[string]GPU{"H100": {Model: "H100", Count: 1}, " h100-sxm:8 ": {Model: "H100-SXM", Count: 8}, "a100-80gb:4": {Model: "A100-80GB", Count: 4}} {
		g, err := ParseGPU(in)
		require.NoError(t, err)
		require.Equal(t, want, g)
	}
	for _, m := range GPUModels() {
		g, err := ParseGPU(m.Name)
		require.NoError(t, err)
		require.Equal(t, m.Name, g.Model)
	}
}

// References to what is not this client's.
func TestReferencesAreChecked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cloud := newModelCloud()
		c := newTestClient(t, Config{}, &leakyCloud{twisted: &twisted{modelCloud: cloud}})
		i, err := c.Launch(t.Context(), testSpec)
		require.NoError(t, err)
		change := func(f func(*Ref)) Ref { r := i.Ref(); f(&r); return r }
		for want, ref := range map[string]Ref{
			"reference: it belongs to owner other, this client is tester":                                                             change(func(r *Ref) { r.Owner = "other" }),
			`provider: "aws" is not one of this client's: [model]`:                                                                    change(func(r *Ref) { r.Provider = "aws" }),
			"reference: needs a key or an id":                                                                                         change(func(r *Ref) { r.Key, r.ID = "", "" }),
			`reference: id "x;rm": letters, digits and . _ : -, at most 128`:                                                          change(func(r *Ref) { r.ID = "x;rm" }),
			`reference: provider "": letters a-z, digits and '-', at most 24`:                                                         {},
			"model m-1 k9: the machine with this id does not carry our mark and key; it is another one, and was left alone: conflict": change(func(r *Ref) { r.Key = "k9" }),
			"model m-7 k1: get: not found":                                                                                            change(func(r *Ref) { r.ID = "m-7" }),
			"model k9: no machine carries this key":                                                                                   change(func(r *Ref) { r.ID, r.Key = "", "k9" }),
		} {
			want = strings.TrimSuffix(want, ": conflict")
			_, err := c.Get(t.Context(), ref)
			assert.EqualError(t, err, want)
			_, err = c.Attach(t.Context(), ref)
			assert.EqualError(t, err, want)
			_, err = c.Submit(t.Context(), ref, goodRun().Job)
			assert.EqualError(t, err, want)
			if ref != change(func(r *Ref) { r.ID = "m-7" }) {
				assert.EqualError(t, c.Terminate(t.Context(), ref), want)
			}
			_, err = c.Reap(t.Context(), ReapRequest{Only: []Ref{ref}})
			assert.EqualError(t, err, want)
		}
		assert.Equal(t, 1, cloud.calls["launch"])
		assert.Zero(t, cloud.calls["terminate"])
		n, _ := cloud.living("k1")
		assert.Equal(t, 1, n)
	})
}

func TestWhatAProviderLacksIsUnsupported(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cloud := newModelCloud()
		c := newTestClient(t, Config{}, cloud)
		_, err := c.Start(t.Context(), goodRun())
		require.ErrorIs(t, err, errors.ErrUnsupported)
		require.ErrorContains(t, err, "offer small has no road for this job (it has: shell)")
		require.Zero(t, cloud.calls["launch"])
		i, err := c.Launch(t.Context(), testSpec)
		require.NoError(t, err)
		for what, err := range map[string]error{"stop": c.StopInstance(t.Context(), i.Ref()), "start": c.StartInstance(t.Context(), i.Ref())} {
			require.ErrorIs(t, err, errors.ErrUnsupported, what)
			require.ErrorIs(t, err, ErrInvalid)
			require.ErrorContains(t, err, "cannot be paused; terminate it instead")
		}
		_, err = c.Submit(t.Context(), i.Ref(), goodRun().Job)
		require.ErrorIs(t, err, errors.ErrUnsupported)
		require.ErrorContains(t, err, "machines here cannot be entered")
		r, err := c.Attach(t.Context(), i.Ref())
		require.NoError(t, err)
		require.ErrorIs(t, r.Download(t.Context(), "out", t.TempDir()), errors.ErrUnsupported)
		require.ErrorContains(t, r.Download(t.Context(), "../out", t.TempDir()), "a path below the job's directory")
		_, err = r.Wait(t.Context())
		require.ErrorIs(t, err, errors.ErrUnsupported, "and it does not wait for ever")
	})
}

func TestConfigurationsAreChecked(t *testing.T) {
	m := newModelCloud()
	named := func(name string) *modelCloud { m := newModelCloud(); m.info.Name = name; return m }
	for want, f := range map[string]func() (*Client, error){
		`Config.Owner: "": 1 to 12 characters of a-z and 0-9`:                     func() (*Client, error) { return New(Config{}, m) },
		`Config.Owner: "Ann Lee": 1 to 12 characters of a-z and 0-9`:              func() (*Client, error) { return New(Config{Owner: "Ann Lee"}, m) },
		`Config.Controller: "a1": 3 characters of a-z and 2-7, or empty`:          func() (*Client, error) { return New(Config{Owner: "a", Controller: "a1"}, m) },
		"providers: at least one is needed; local.New runs jobs on this computer": func() (*Client, error) { return New(Config{Owner: "a"}) },
		"providers: one is nil": func() (*Client, error) { return New(Config{Owner: "a"}, nil) },
		"providers: two are named model; give one another Info.Name":     func() (*Client, error) { return New(Config{Owner: "a"}, m, named("model")) },
		`Info.Name: "My Cloud": letters a-z, digits and '-', at most 24`: func() (*Client, error) { return New(Config{Owner: "a"}, named("My Cloud")) },
	} {
		_, err := f()
		assert.EqualError(t, err, want)
		assert.ErrorIs(t, err, ErrInvalid)
	}
}
