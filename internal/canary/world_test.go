package canary

import (
	"context"
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/sha256"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"runctl"
	"runctl/fake"
)

// planted is what a program gives to the library.
type planted struct {
	h           *hunt
	secrets     map[string]runctl.Secret
	config, old string
	creds       credentials
	carriage    carriage
	env         string // a control
}

// plantJob plants a secret of every source, and the owner's.
func plantJob(t *testing.T, h *hunt) planted {
	p := planted{h: h, config: h.secret("Config.Secret"), old: h.secret("Config.OldSecrets"), creds: plantCredentials(h),
		carriage: plantCarriage(h, "https://store.test"), env: h.control("Job.Env")}
	file := filepath.Join(t.TempDir(), "secret")
	require.NoError(t, os.WriteFile(file, []byte(h.secret("a secret from a file")+"\n"), 0o600))
	t.Setenv("RUNCTL_CANARY_ENV", h.secret("a secret from the environment"))
	p.secrets = map[string]runctl.Secret{
		"FROM_VALUE": runctl.NewSecret(h.secret("a secret from memory")),
		"FROM_FILE":  runctl.SecretFile(file),
		"FROM_ENV":   runctl.SecretEnv("RUNCTL_CANARY_ENV"),
	}
	return p
}

// job is a job that has all that a job may have.
func (p planted) job(args ...string) runctl.Job {
	return runctl.Job{Args: args, Env: map[string]string{"PLAIN": p.env}, Secrets: p.secrets, Outputs: []string{"out"}, Grace: time.Second}
}

// machineKey is the private key that the client derives for a machine, by the rule in its documentation.
func machineKey(secret, label string) ed25519.PrivateKey {
	seed, err := hkdf.Key(sha256.New, []byte(secret), nil, "runctl machine access v1 "+label, ed25519.SeedSize)
	if err != nil {
		panic(err)
	}
	return ed25519.NewKeyFromSeed(seed)
}

// option is a launch option with a credential in it, as it should be.
type option struct{ Registry runctl.Secret }

func (option) ForProvider() string { return fake.Kind }

// pod is a cloud's own struct, which tells what it was launched with, as some clouds do.
type pod struct {
	Name string
	Env  map[string]string
}

// talker is a cloud in memory that says more than it should: in the reasons that it gives, in its own structs, and in
// what it says of runs. It plants the private key of every machine that is entered.
type talker struct {
	*fake.Cloud
	p planted

	mu      sync.Mutex
	entered []runctl.Access
}

func (c *talker) say(i runctl.Instance) runctl.Instance {
	i.Reason = "Client.PullFailed: " + c.p.creds.signed()
	i.Native = pod{Name: i.Label, Env: map[string]string{"TOKEN": c.p.creds.bearer}}
	return i
}

func (c *talker) Launch(ctx context.Context, req runctl.LaunchRequest) (runctl.Instance, error) {
	c.p.h.hidden(atValue, "LaunchRequest", req, "%s", "%d")
	req.Options = nil
	i, err := c.Cloud.Launch(ctx, req)
	return c.say(i), err
}

func (c *talker) Get(ctx context.Context, id string) (runctl.Instance, error) {
	i, err := c.Cloud.Get(ctx, id)
	return c.say(i), err
}

func (c *talker) List(ctx context.Context, q runctl.ListQuery) ([]runctl.Instance, error) {
	all, err := c.Cloud.List(ctx, q)
	for n := range all {
		all[n] = c.say(all[n])
	}
	return all, err
}

func (c *talker) Connect(ctx context.Context, i runctl.Instance, a runctl.Access) (runctl.Machine, error) {
	k := machineKey(c.p.config, i.Label)
	if !k.Public().(ed25519.PublicKey).Equal(a.Signer.Public()) {
		return nil, fmt.Errorf("the machine is entered with another key than is looked for")
	}
	c.p.h.key("a machine's private key", k)
	c.p.h.hidden(atValue, "Access", a, "%s", "%d")
	c.mu.Lock()
	c.entered = append(c.entered, a)
	c.mu.Unlock()
	return c.Cloud.Connect(ctx, i, a)
}

func (c *talker) Process(ctx context.Context, i runctl.Instance) (runctl.Process, error) {
	p, err := c.Cloud.Process(ctx, i)
	if err != nil {
		return nil, err
	}
	return talk{p, c.p.creds}, nil
}

// talk is the read side of a run of a talker.
type talk struct {
	runctl.Process
	creds credentials
}

func (t talk) Status(ctx context.Context) (runctl.Status, error) {
	s, err := t.Process.Status(ctx)
	s.Evidence += ", see " + t.creds.signed()
	return s, err
}

func (t talk) Logs(ctx context.Context, q runctl.LogQuery) iter.Seq2[runctl.LogChunk, error] {
	return t.Process.Logs(ctx, q)
}

// memory is an intent log that looks at what it is given.
type memory struct {
	h   *hunt
	mu  sync.Mutex
	all []runctl.Intent
}

func (m *memory) Record(in runctl.Intent) error {
	m.h.value(atIntents, "an intent", in)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.all = append(m.all, in)
	return nil
}

func (m *memory) Load() ([]runctl.Intent, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return append([]runctl.Intent(nil), m.all...), nil
}

// world is a client over a talkative cloud, with a machine and two runs.
type world struct {
	planted
	t      *testing.T
	dir    string
	rec    recorder
	cloud  *talker
	cfg    runctl.Config
	client *runctl.Client
	key    string // a control
	inst   runctl.Instance
	shell  *runctl.Run // of a job that runs on
	vessel *runctl.Run // of one that came with the launch of its machine
}

// newWorld sets all that may hold a secret.
func newWorld(t *testing.T, p planted, key, dir string, intents runctl.Intents, opts ...fake.Option) *world {
	w := &world{planted: p, t: t, dir: dir, key: key}
	w.cloud = &talker{Cloud: fake.New(append([]fake.Option{fake.With(fake.Physics{Poll: time.Second}), fake.HostKeys(runctl.TrustRead)}, opts...)...), p: p}
	w.cloud.Script("", fake.Script{Log: "a line\n", Hold: true, Outputs: map[string]string{"out": "x"}})
	done := fake.Script{Log: "done\n", Outputs: map[string]string{"out": "x"}}
	w.cloud.Script("whole-shell", done)
	w.cloud.Script("whole-job", done)
	w.cloud.Script("failing-shell", fake.Script{ExitCode: 3})
	w.cfg = runctl.Config{Owner: "ann", Secret: []byte(p.config), OldSecrets: [][]byte{[]byte(p.old)}, Intents: intents,
		Logger: w.rec.logger(), Trace: w.rec.trace,
		Deadlines: runctl.Deadlines{Call: time.Second, Launch: time.Second, Doubt: 2 * time.Second, Boot: 2 * time.Second, Connect: 2 * time.Second,
			Submit: 2 * time.Second, Terminate: 3 * time.Second}}
	c, err := runctl.New(w.cfg, w.cloud)
	require.NoError(t, err)
	w.client = c
	w.inst, err = c.Launch(t.Context(), w.launch(key))
	require.NoError(t, err)
	w.shell, err = c.Submit(t.Context(), w.inst.Ref(), w.withID("shell"))
	require.NoError(t, err)
	spec := w.spec("vessel")
	spec.Needs.Road = runctl.RoadJob
	w.vessel, err = c.Start(t.Context(), spec)
	require.NoError(t, err)
	return w
}

func (w *world) withID(id string) runctl.Job {
	j := w.job("train", w.key)
	j.ID, j.Shared = id, true
	w.carriage.give(&j)
	return j
}

func (w *world) launch(key string) runctl.LaunchSpec {
	return runctl.LaunchSpec{Key: key, Lifetime: time.Hour, MaxHourly: runctl.USD(5), Options: w.options()}
}

func (w *world) spec(key string) runctl.RunSpec {
	return runctl.RunSpec{Key: key, Job: w.job("train", w.key), Lifetime: time.Hour, MaxHourly: runctl.USD(5), Options: w.options(), Collect: filepath.Join(w.dir, "collected")}
}

func (w *world) options() []runctl.LaunchOption {
	return []runctl.LaunchOption{option{w.secrets["FROM_VALUE"]}}
}

// close ends the world and looks at all that it has told.
func (w *world) close() {
	w.h.failure("Close", w.client.Close())
	w.rec.tell(w.h)
}
