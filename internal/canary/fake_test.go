package canary

import (
	"context"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"runctl"
	"runctl/fake"
)

// condition is a way in which a call can go wrong, or not.
type condition struct {
	name string
	opts []fake.Option
	set  func(w *world)                                                  // after the world was made
	ctx  func(ctx context.Context) (context.Context, context.CancelFunc) // of the calls
	bad  bool                                                            // with refused input
	file bool                                                            // with an intent log in a file
}

// said are faults with all that an SDK may say, of all kinds.
func said(creds credentials) []condition {
	errs := creds.sdkErrors()
	for _, k := range []runctl.Kind{runctl.ErrInvalid, runctl.ErrNotFound, runctl.ErrConflict, runctl.ErrAuth, runctl.ErrPayment, runctl.ErrCapacity,
		runctl.ErrQuota, runctl.ErrUnavailable, runctl.ErrTimeout, runctl.ErrUncertain, runctl.ErrGuard, runctl.ErrHostKey, runctl.ErrLost, runctl.ErrClosed} {
		errs["kind "+string(k)] = &runctl.Error{Kind: k, NotStarted: true, ID: creds.signed(), Msg: "see " + creds.signed(), Err: errs["a struct"]}
	}
	var all []condition
	for n, what := range slices.Sorted(maps.Keys(errs)) {
		f := fake.Fault{Err: errs[what], After: n%2 == 1, Hang: n%3 == 2}
		all = append(all, condition{name: "fails with " + what, set: func(w *world) {
			w.cloud.Inject(f)
		}}, condition{name: "the machine fails with " + what, set: func(w *world) {
			for _, o := range []fake.Op{fake.OpConnect, fake.OpExec, fake.OpProcess} {
				w.cloud.Inject(fake.Fault{Op: o, Err: f.Err})
			}
		}})
	}
	return all
}

// conditions are all kinds of [fake.Fault], and what callers do wrong.
func conditions(creds credentials) []condition {
	inject := func(f fake.Fault) func(w *world) { return func(w *world) { w.cloud.Inject(f) } }
	all := []condition{
		{name: "all is well", file: true},
		{name: "refused input", bad: true},
		{name: "a closed client", set: func(w *world) { _ = w.client.Close() }},
		{name: "a cancelled context", ctx: func(ctx context.Context) (context.Context, context.CancelFunc) {
			ctx, cancel := context.WithCancel(ctx)
			cancel()
			return ctx, cancel
		}},
		{name: "a context that ends meanwhile", set: inject(fake.Fault{Hang: true}), ctx: func(ctx context.Context) (context.Context, context.CancelFunc) {
			return context.WithTimeout(ctx, 100*time.Millisecond)
		}},
		{name: "every call fails", set: inject(fake.Fault{})},
		{name: "every call hangs", set: inject(fake.Fault{Hang: true})},
		{name: "every reply is lost", set: inject(fake.Fault{After: true})},
		{name: "every reply is lost by hanging", set: inject(fake.Fault{After: true, Hang: true})},
		{name: "the first reply is lost", file: true, set: inject(fake.Fault{After: true, Nth: 1})},
		{name: "the second call fails", set: inject(fake.Fault{Nth: 2})},
		{name: "throttled", opts: []fake.Option{fake.With(fake.Physics{Throttle: true, Poll: time.Second})}, set: func(w *world) {
			for range 200 {
				_, _ = w.cloud.List(context.Background(), runctl.ListQuery{})
			}
		}},
		{name: "rate limited", set: inject(fake.Fault{Times: 3, Nth: 1, Err: &runctl.Error{Kind: runctl.ErrRateLimit, NotStarted: true, RetryAfter: time.Second, Msg: creds.signed()}})},
		{name: "no capacity", set: inject(fake.Fault{Op: fake.OpLaunch, Err: fake.NoCapacity})},
		{name: "somebody else answers", set: func(w *world) {
			w.cloud.Impostor(w.inst.ID)
			w.cloud.Inject(fake.Fault{Op: fake.OpExec, Nth: 1}) // so that the connection is dropped
		}},
		{name: "the machine was taken back", set: func(w *world) { w.cloud.Preempt(w.inst.ID); w.cloud.Preempt(w.vessel.Instance().ID) }},
		{name: "the machine is gone", set: func(w *world) { w.cloud.Kill(w.inst.ID); w.cloud.Kill(w.vessel.Instance().ID) }},
		{name: "the machine is stopped", set: func(w *world) { _ = w.cloud.Stop(context.Background(), w.inst.ID) }},
		{name: "the jobs have failed", set: func(w *world) { w.cloud.Finish(w.key, 3); w.cloud.Finish("vessel", 3) }},
		{name: "the jobs have succeeded", set: func(w *world) { w.cloud.Finish(w.key, 0); w.cloud.Finish("vessel", 0) }},
	}
	return all
}

// ending are the methods after which there is nothing left for the others.
var ending = []string{"Client.Close", "Client.Reap", "Client.StopInstance", "Client.Terminate", "Run.Cancel"}

// Every method in every condition, with secrets wherever there may be one.
func TestNothingComesOutOfTheClient(t *testing.T) {
	h := newHunt(t)
	p := plantJob(t, h)
	key, dir := h.control("a launch key"), t.TempDir()
	others := slices.DeleteFunc(slices.Sorted(maps.Keys(ops)), func(name string) bool { return slices.Contains(ending, name) })
	for _, c := range conditions(p.creds) {
		try(t, p, key, dir, c, others...)
		for _, name := range ending {
			try(t, p, key, dir, c, name)
		}
	}
	for n, c := range said(p.creds) {
		try(t, p, key, dir, c, "Client.List", "Client.Submit", "Run.Logs", "Run.Status", others[n%len(others)])
		try(t, p, key, dir, c, ending[1+n%4])
	}
	h.mustHaveSeen(atLog, atError, atEvent, atRef, atValue, atIntents)
}

// try calls methods in one condition, in one world.
func try(t *testing.T, p planted, key, dir string, c condition, names ...string) {
	var intents runctl.Intents = &memory{h: p.h}
	file := filepath.Join(dir, "intents")
	if c.file {
		require.NoError(t, os.RemoveAll(file))
		f, err := runctl.OpenIntents(file)
		require.NoError(t, err)
		intents = f
	}
	synctest.Test(t, func(t *testing.T) {
		p.h.doing(c.name)
		w := newWorld(t, p, key, dir, intents, c.opts...)
		for _, name := range names {
			do := ops[name].do
			if c.bad {
				do = ops[name].bad
			}
			if do == nil {
				continue
			}
			p.h.doing(c.name + ", " + name)
			w.cloud.Heal()
			if c.set != nil {
				c.set(w)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			if c.ctx != nil {
				cancel()
				ctx, cancel = c.ctx(t.Context())
			}
			do(ctx, w)
			cancel()
			w.rec.tell(w.h)
		}
		w.cloud.Heal()
		w.close()
	})
	if c.file {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		p.h.look(atIntents, "the file", string(text))
		p.h.value(atIntents, "FileIntents", intents)
	}
}
