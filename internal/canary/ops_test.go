package canary

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"runctl"
)

// op is one method of the client or of a run. What it gives is looked at by the op, errors too.
type op struct {
	do  func(ctx context.Context, w *world)
	bad func(ctx context.Context, w *world) // with input that is refused; nil: it takes none
}

// onRuns does it to both runs.
func onRuns(do func(ctx context.Context, w *world, r *runctl.Run)) func(context.Context, *world) {
	return func(ctx context.Context, w *world) {
		do(ctx, w, w.shell)
		do(ctx, w, w.vessel)
	}
}

// give looks at a result and its error.
func give[T any](w *world, what string) func(T, error) {
	return func(v T, err error) {
		w.h.value(atValue, what, v)
		w.h.failure(what, err)
	}
}

// elsewhere are references that lead nowhere, one of them with what should never be in one.
func (w *world) elsewhere() []runctl.Ref {
	ref := w.inst.Ref()
	foreign, gone, wrong := ref, ref, ref
	foreign.Owner, gone.ID, wrong.Provider = "bob", "m-none", "nobody"
	return []runctl.Ref{{}, foreign, gone, wrong}
}

// ops are all exported methods of Client and Run.
var ops = map[string]op{
	"Client.Attach": {do: func(ctx context.Context, w *world) {
		for _, ref := range []runctl.Ref{w.shell.Ref(), w.vessel.Ref()} {
			r, err := w.client.Attach(ctx, ref)
			w.h.failure("Attach", err)
			if r != nil {
				w.h.hidden(atValue, "Run", r)
			}
		}
	}, bad: func(ctx context.Context, w *world) {
		for _, ref := range w.elsewhere() {
			_, err := w.client.Attach(ctx, ref)
			w.h.failure("Attach", err)
		}
	}},
	"Client.Close": {do: func(_ context.Context, w *world) { w.h.failure("Close", w.client.Close()) }},
	"Client.EstimateCost": {do: func(ctx context.Context, w *world) {
		give[runctl.Estimate](w, "EstimateCost")(w.client.EstimateCost(ctx, w.spec("estimate")))
	}, bad: func(ctx context.Context, w *world) {
		for _, s := range w.badSpecs() {
			give[runctl.Estimate](w, "EstimateCost")(w.client.EstimateCost(ctx, s))
		}
	}},
	"Client.Format": {do: func(_ context.Context, w *world) {
		w.h.hidden(atValue, "Client", w.client, "%s", "%d")
		w.h.value(atValue, "Config", w.cfg)
		w.h.value(atValue, "*Config", &w.cfg)
	}},
	"Client.Get": {do: func(ctx context.Context, w *world) {
		give[runctl.Instance](w, "Get")(w.client.Get(ctx, w.inst.Ref()))
	}, bad: func(ctx context.Context, w *world) {
		for _, ref := range w.elsewhere() {
			give[runctl.Instance](w, "Get")(w.client.Get(ctx, ref))
		}
	}},
	"Client.Launch": {do: func(ctx context.Context, w *world) {
		give[runctl.Instance](w, "Launch")(w.client.Launch(ctx, w.launch("another")))
		give[runctl.Instance](w, "Launch")(w.client.Launch(ctx, w.launch(w.key)))
	}, bad: func(ctx context.Context, w *world) {
		for _, s := range []runctl.LaunchSpec{{}, {Key: "No", Lifetime: time.Hour}, {Key: w.key, Lifetime: 2 * time.Hour, MaxHourly: runctl.USD(5)}} {
			give[runctl.Instance](w, "Launch")(w.client.Launch(ctx, s))
		}
	}},
	"Client.List":    {do: func(ctx context.Context, w *world) { give[[]runctl.Instance](w, "List")(w.client.List(ctx)) }},
	"Client.ListAll": {do: func(ctx context.Context, w *world) { give[[]runctl.Instance](w, "ListAll")(w.client.ListAll(ctx)) }},
	"Client.Machine": {do: func(ctx context.Context, w *world) {
		for _, ref := range []runctl.Ref{w.shell.Ref(), w.vessel.Ref()} {
			m, err := w.client.Machine(ctx, ref)
			w.h.failure("Machine", err)
			if m != nil {
				w.h.hidden(atValue, "Machine", m)
				_, err = m.Exec(ctx, []string{"true"}, nil, io.Discard, io.Discard)
				w.h.failure("Exec", err)
			}
		}
	}, bad: func(ctx context.Context, w *world) {
		for _, ref := range w.elsewhere() {
			_, err := w.client.Machine(ctx, ref)
			w.h.failure("Machine", err)
		}
	}},
	"Client.Offers": {do: func(ctx context.Context, w *world) {
		give[[]runctl.Offer](w, "Offers")(w.client.Offers(ctx, runctl.OfferQuery{}))
	}, bad: func(ctx context.Context, w *world) {
		give[[]runctl.Offer](w, "Offers")(w.client.Offers(ctx, runctl.OfferQuery{VCPU: -1}))
	}},
	"Client.Providers": {do: func(_ context.Context, w *world) {
		for _, p := range w.client.Providers() {
			w.h.value(atValue, "Info", p.Info())
		}
	}},
	"Client.Reap": {do: func(ctx context.Context, w *world) {
		for _, r := range []runctl.ReapRequest{{}, {Only: []runctl.Ref{w.inst.Ref()}, DryRun: true}, {Only: []runctl.Ref{w.inst.Ref()}}} {
			all, err := w.client.Reap(ctx, r)
			w.h.value(atValue, "Reaped", all)
			w.h.failure("Reap", err)
			for _, d := range all {
				w.h.failure("Reap", d.Err)
			}
		}
	}, bad: func(ctx context.Context, w *world) {
		for _, r := range []runctl.ReapRequest{{Grace: -1}, {Only: w.elsewhere()}} {
			give[[]runctl.Reaped](w, "Reap")(w.client.Reap(ctx, r))
		}
	}},
	"Client.Run": {do: func(ctx context.Context, w *world) {
		for key, road := range map[string]runctl.Road{"whole-shell": runctl.RoadShell, "whole-job": runctl.RoadJob, "failing-shell": runctl.RoadShell} {
			s := w.spec(key)
			s.Needs.Road = road
			if road == runctl.RoadShell {
				w.carriage.give(&s.Job)
			}
			w.h.hidden(atValue, "RunSpec", s, "%s", "%d")
			w.h.hidden(atValue, "Job", s.Job, "%s", "%d")
			give[runctl.Receipt](w, "Run")(w.client.Run(ctx, s))
		}
	}, bad: func(ctx context.Context, w *world) {
		for _, s := range w.badSpecs() {
			give[runctl.Receipt](w, "Run")(w.client.Run(ctx, s))
		}
	}},
	"Client.Start": {do: func(ctx context.Context, w *world) {
		for _, road := range []runctl.Road{runctl.RoadShell, runctl.RoadJob} {
			s := w.spec("begun-" + road.String())
			s.Needs.Road = road
			if road == runctl.RoadShell {
				w.carriage.give(&s.Job)
			}
			r, err := w.client.Start(ctx, s)
			w.h.failure("Start", err)
			if r != nil {
				w.h.hidden(atValue, "Run", r)
			}
		}
	}, bad: func(ctx context.Context, w *world) {
		for _, s := range w.badSpecs() {
			_, err := w.client.Start(ctx, s)
			w.h.failure("Start", err)
		}
	}},
	"Client.StartInstance": {do: func(ctx context.Context, w *world) {
		w.h.failure("StartInstance", w.client.StartInstance(ctx, w.inst.Ref()))
	}, bad: func(ctx context.Context, w *world) {
		for _, ref := range w.elsewhere() {
			w.h.failure("StartInstance", w.client.StartInstance(ctx, ref))
		}
	}},
	"Client.StopInstance": {do: func(ctx context.Context, w *world) {
		w.h.failure("StopInstance", w.client.StopInstance(ctx, w.inst.Ref()))
	}, bad: func(ctx context.Context, w *world) {
		for _, ref := range w.elsewhere() {
			w.h.failure("StopInstance", w.client.StopInstance(ctx, ref))
		}
	}},
	"Client.Submit": {do: func(ctx context.Context, w *world) {
		_, err := w.client.Submit(ctx, w.inst.Ref(), w.withID("second"))
		w.h.failure("Submit", err)
	}, bad: func(ctx context.Context, w *world) {
		used := w.withID("shell")
		used.Args = []string{"something", "else"}
		busy := w.withID("busy")
		busy.Shared = false
		for _, j := range append(w.badJobs(), used, busy) {
			_, err := w.client.Submit(ctx, w.inst.Ref(), j)
			w.h.failure("Submit", err)
		}
		for _, ref := range append(w.elsewhere(), w.vessel.Ref()) {
			_, err := w.client.Submit(ctx, ref, w.withID("third"))
			w.h.failure("Submit", err)
		}
	}},
	"Client.Terminate": {do: func(ctx context.Context, w *world) {
		w.h.failure("Terminate", w.client.Terminate(ctx, w.inst.Ref()))
	}, bad: func(ctx context.Context, w *world) {
		for _, ref := range w.elsewhere() {
			w.h.failure("Terminate", w.client.Terminate(ctx, ref))
		}
	}},
	"Client.WaitInstance": {do: func(ctx context.Context, w *world) {
		for _, s := range []runctl.State{runctl.StateRunning, runctl.StateTerminated} {
			give[runctl.Instance](w, "WaitInstance")(w.client.WaitInstance(ctx, w.inst.Ref(), func(i runctl.Instance) bool { return i.State == s }))
		}
	}, bad: func(ctx context.Context, w *world) {
		for _, ref := range w.elsewhere() {
			give[runctl.Instance](w, "WaitInstance")(w.client.WaitInstance(ctx, ref, func(runctl.Instance) bool { return true }))
		}
	}},
	"Run.Cancel": {do: onRuns(func(ctx context.Context, w *world, r *runctl.Run) { w.h.failure("Cancel", r.Cancel(ctx, time.Second)) }),
		bad: onRuns(func(ctx context.Context, w *world, r *runctl.Run) { w.h.failure("Cancel", r.Cancel(ctx, -1)) })},
	"Run.Download": {do: onRuns(func(ctx context.Context, w *world, r *runctl.Run) {
		w.h.failure("Download", r.Download(ctx, "out", filepath.Join(w.dir, "down")))
	}), bad: onRuns(func(ctx context.Context, w *world, r *runctl.Run) {
		for _, from := range []string{"", "../up", "missing"} {
			w.h.failure("Download", r.Download(ctx, from, filepath.Join(w.dir, "down")))
		}
		w.h.failure("Download", r.Download(ctx, "out", ""))
	})},
	"Run.Format":    {do: onRuns(func(_ context.Context, w *world, r *runctl.Run) { w.h.hidden(atValue, "Run", r) })},
	"Run.HostTrust": {do: onRuns(func(_ context.Context, w *world, r *runctl.Run) { w.h.value(atValue, "HostTrust", r.HostTrust()) })},
	"Run.Instance":  {do: onRuns(func(_ context.Context, w *world, r *runctl.Run) { w.h.value(atValue, "Instance", r.Instance()) })},
	"Run.Logs": {do: onRuns(func(ctx context.Context, w *world, r *runctl.Run) {
		for _, follow := range []bool{false, true} {
			for c, err := range r.Logs(ctx, runctl.LogQuery{Follow: follow}) {
				w.h.value(atValue, "LogChunk", c)
				w.h.failure("Logs", err)
			}
		}
	}), bad: onRuns(func(ctx context.Context, w *world, r *runctl.Run) {
		for _, err := range r.Logs(ctx, runctl.LogQuery{Offset: -1}) {
			w.h.failure("Logs", err)
		}
	})},
	"Run.Ref":    {do: onRuns(func(_ context.Context, w *world, r *runctl.Run) { w.h.value(atRef, "of a run", r.Ref()) })},
	"Run.Status": {do: onRuns(func(ctx context.Context, w *world, r *runctl.Run) { give[runctl.Status](w, "Status")(r.Status(ctx)) })},
	"Run.Upload": {do: onRuns(func(ctx context.Context, w *world, r *runctl.Run) {
		w.h.failure("Upload", r.Upload(ctx, w.upload(), "up"))
	}), bad: onRuns(func(ctx context.Context, w *world, r *runctl.Run) {
		for _, from := range []string{"", filepath.Join(w.dir, "missing")} {
			w.h.failure("Upload", r.Upload(ctx, from, "up"))
		}
		w.h.failure("Upload", r.Upload(ctx, w.upload(), "../up"))
	})},
	"Run.Wait": {do: onRuns(func(ctx context.Context, w *world, r *runctl.Run) { give[runctl.Receipt](w, "Wait")(r.Wait(ctx)) })},
}

// upload is a small file of ours.
func (w *world) upload() string {
	path := filepath.Join(w.dir, "small")
	_ = os.WriteFile(path, []byte("nothing secret\n"), 0o600)
	return path
}

// badJobs are refused, for each of the reasons that have to do with what a job is given.
func (w *world) badJobs() []runctl.Job {
	change := func(f func(j *runctl.Job)) runctl.Job {
		j := w.withID("bad")
		j.Env, j.Secrets = map[string]string{"PLAIN": w.env}, map[string]runctl.Secret{"TOKEN": w.secrets["FROM_VALUE"]}
		f(&j)
		return j
	}
	value, _ := w.secrets["FROM_VALUE"].Reveal()
	var all []runctl.Job
	for _, c := range w.carriage.refused(w.key) {
		all = append(all, change(func(j *runctl.Job) { c.give(j) }))
	}
	return append(all, []runctl.Job{
		{},
		change(func(j *runctl.Job) { j.Args = nil }),
		change(func(j *runctl.Job) { j.Secrets["PLAIN"] = j.Secrets["TOKEN"] }),
		change(func(j *runctl.Job) { j.Secrets["IFS"] = j.Secrets["TOKEN"] }),
		change(func(j *runctl.Job) { j.Secrets["TOKEN"] = runctl.NewSecret(value + "\x00") }),
		change(func(j *runctl.Job) { j.Secrets["TOKEN"] = runctl.NewSecret(strings.Repeat(value, 2000)) }),
		change(func(j *runctl.Job) { j.Secrets["TOKEN"] = runctl.SecretFile(filepath.Join(w.dir, "none")) }),
		change(func(j *runctl.Job) { j.Secrets["TOKEN"] = runctl.SecretFile(w.dir) }),
		change(func(j *runctl.Job) { j.Secrets["TOKEN"] = runctl.SecretEnv("RUNCTL_CANARY_UNSET") }),
		change(func(j *runctl.Job) { j.Secrets["TOKEN"] = runctl.Secret{} }),
		change(func(j *runctl.Job) { j.Env["A"] = value + "\x00" }),
		change(func(j *runctl.Job) { j.Env["A"] = strings.Repeat(value, 2000) }),
		change(func(j *runctl.Job) { j.Dir = "../" + w.key }),
		change(func(j *runctl.Job) { j.Grace = -1 }),
		change(func(j *runctl.Job) { j.Outputs = []string{"../" + w.key} }),
		change(func(j *runctl.Job) { j.Inputs[0].To = "../" + w.key }),
		change(func(j *runctl.Job) { j.Results[0].To = nil }),
	}...)
}

// badSpecs are refused before anything is asked of a cloud, or by the first look at its offers.
func (w *world) badSpecs() []runctl.RunSpec {
	var all []runctl.RunSpec
	for n, j := range w.badJobs() {
		s := w.spec(fmt.Sprint("bad-", n)) // some are refused when their machine is there
		s.Job = j
		all = append(all, s)
	}
	dear := w.spec("dear")
	dear.MaxHourly = runctl.USD(0.001)
	again := w.spec("vessel")
	again.Lifetime *= 2
	return append(all, runctl.RunSpec{Job: w.job("x")}, dear, again)
}

// A new method must be tried, too.
func TestEveryMethodIsTried(t *testing.T) {
	var want []string
	for _, typ := range []reflect.Type{reflect.TypeFor[*runctl.Client](), reflect.TypeFor[*runctl.Run]()} {
		for n := range typ.NumMethod() {
			want = append(want, typ.Elem().Name()+"."+typ.Method(n).Name)
		}
	}
	var have []string
	for name, o := range ops {
		have = append(have, name)
		assert.NotNil(t, o.do, name)
	}
	slices.Sort(want)
	slices.Sort(have)
	assert.Equal(t, want, have, "add what is new to the table ops")
}
