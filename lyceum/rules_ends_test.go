package lyceum_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"runctl"
	face "runctl/internal/wire/lyceum"
	"runctl/lyceum"
)

func TestRule14CreditsThatDoNotSufficeAreFinalAndTheirBalanceBlocksNothing(t *testing.T) {
	within(t, face.Options{}, lyceum.Config{}, func(t *testing.T, w *tenant) {
		broken := fault("getCredits", 500, "x")
		broken.Times = -1
		w.face.Inject(broken)
		w.Launch("k1")
		w.face.Broke(true)
		for _, launch := range []func() error{
			func() error { _, err := w.c.Launch(t.Context(), machine("k2")); return err },
			func() error { _, err := w.c.Start(t.Context(), job("k3")); return err },
		} {
			err := launch()
			e := new(runctl.Error)
			require.ErrorAs(t, err, &e)
			assert.Equal(t, []any{runctl.ErrPayment, runctl.ScopeAccount, false}, []any{e.Kind, e.Scope, e.MayBill})
		}
		assert.Equal(t, []int{2, 1}, []int{w.face.Served("createVM"), w.face.Served("startImageRun")}, "no other offer helps")
	})
}

func TestRule15ASpotMachineThatIsTakenAwayIsLostForNoCauseThatWeGuess(t *testing.T) {
	for name, takeAway := range map[string]func(f *face.Face, id string){
		"it is terminated":      func(f *face.Face, id string) { f.SetStatus(id, face.Terminated) },
		"it has failed":         func(f *face.Face, id string) { f.SetStatus(id, face.Failed) },
		"a word nobody knows":   func(f *face.Face, id string) { f.SetStatus(id, "reclaimed") },
		"it is in no list more": func(f *face.Face, id string) { f.Hide(id, 1000*time.Hour, "listVMs", "getVMStatus") },
	} {
		t.Run(name, func(t *testing.T) {
			within(t, face.Options{}, lyceum.Config{}, func(t *testing.T, w *tenant) {
				s := machine("k1")
				s.Needs.Market = runctl.Spot
				i, err := w.c.Launch(t.Context(), s)
				require.NoError(t, err)
				assert.Equal(t, runctl.Spot, i.Market)
				pass(2 * time.Minute)
				takeAway(w.face, raw(i.ID))
				now, err := w.c.Get(t.Context(), i.Ref())
				switch name {
				case "it is in no list more":
					require.ErrorIs(t, err, runctl.ErrNotFound)
				case "a word nobody knows":
					require.NoError(t, err)
					assert.Equal(t, []any{runctl.StateUnknown, "reclaimed"}, []any{now.State, now.Reason})
				default:
					require.NoError(t, err)
					assert.Equal(t, runctl.StateTerminated, now.State)
				}
			})
		})
	}
}

func TestRule16AnAbortIsNoEndUntilTheRecordSaysSo(t *testing.T) {
	within(t, face.Options{Script: does(face.Script{Exit: -1}), AbortedAs: face.Completed, Aborting: 30 * time.Second}, lyceum.Config{}, func(t *testing.T, w *tenant) {
		r := w.start("k1")
		pass(5 * time.Second)
		require.NoError(t, r.Cancel(t.Context(), 0))
		assert.NotEmpty(t, w.face.Billing(), "asked for is not ended")
		receipt, err := r.Wait(t.Context())
		require.Error(t, err, "what was aborted has not succeeded, whatever it is called")
		assert.Equal(t, runctl.CauseCancel, receipt.Cause)
	})
	within(t, face.Options{Script: does(face.Script{Exit: -1})}, lyceum.Config{}, func(t *testing.T, w *tenant) {
		r := w.start("k1")
		pass(2 * time.Minute)
		unknown := fault("abortRun", 404, "Execution not found or not active")
		unknown.Times = -1
		w.face.Inject(unknown)
		require.Error(t, w.p.Terminate(t.Context(), r.Instance().ID), "the record says that it goes on")
		w.face.SetRun(raw(r.Instance().ID), face.Completed, new(int))
		require.NoError(t, w.p.Terminate(t.Context(), r.Instance().ID), "and now that it is over")
	})
}

func TestRule18WhatIsSentIsInNoText(t *testing.T) {
	const hidden = "hunter2-in-the-environment"
	for _, status := range []int{400, 401, 402, 403, 409, 422, 429, 500, 503} {
		within(t, face.Options{}, lyceum.Config{}, func(t *testing.T, w *tenant) {
			s := job("k1")
			s.Job.Env = map[string]string{"PASSWORD": hidden}
			w.face.Inject(fault("startImageRun", status, "Bearer "+apiKey+" is refused"))
			_, err := w.c.Start(cancelAfter(t, 10*time.Minute), s)
			require.True(t, err != nil || status == 429, status)
			assert.NotContains(t, texts(err), hidden)
			assert.NotContains(t, texts(err), apiKey)
		})
	}
}

func TestRule19WhatCameIsHeldAgainstWhatWasAskedFor(t *testing.T) {
	for name, drift := range map[string]func(v *face.VM){
		"another market":          func(v *face.VM) { v.Market = "on-demand" },
		"another number of GPUs":  func(v *face.VM) { v.GPUs = 8 },
		"another kind of machine": func(v *face.VM) { v.Profile = "b300" },
		"another label":           func(v *face.VM) { v.Label = strings.ToUpper(v.Label) },
	} {
		t.Run(name, func(t *testing.T) {
			within(t, face.Options{Drift: drift}, lyceum.Config{}, func(t *testing.T, w *tenant) {
				s := machine("k1")
				s.Needs.Market = runctl.Spot
				_, err := w.c.Launch(t.Context(), s)
				require.Error(t, err, "a 200 is not trusted")
				assert.Empty(t, w.face.Billing(), "what nobody asked for is ended at once")
			})
		})
	}
}

// TestRule20WhatWasNeverSeenIsNoSuccess lets every read fail in every way: what comes back is an error of its kind, or the truth.
func TestRule20WhatWasNeverSeenIsNoSuccess(t *testing.T) {
	kinds := map[int]runctl.Kind{401: runctl.ErrAuth, 402: runctl.ErrPayment, 403: runctl.ErrAuth, 429: runctl.ErrRateLimit, 500: runctl.ErrUnavailable, 502: runctl.ErrUnavailable,
		200: runctl.ErrUnavailable, 302: runctl.ErrUnavailable}
	for status, kind := range kinds {
		for _, html := range []bool{false, true} {
			within(t, face.Options{Script: does(face.Script{Exit: -1})}, lyceum.Config{}, func(t *testing.T, w *tenant) {
				vm, run := w.Launch("k1"), w.start("k2").Instance()
				pass(2 * time.Minute)
				x := face.Fault{Times: -1, Status: status, Body: `{"detail":"no"}`}
				if html {
					x.Body, x.Kind = "<html>no</html>", "text/html"
				}
				if status == 302 {
					x.Head = map[string]string{"Location": "https://elsewhere.test/"}
				}
				for _, op := range []string{"listVMs", "getVMStatus", "getRun", "listActiveRuns", "listHistory", "getVMAvailability", "getPricing", "listMachineTypes"} {
					x.On = op
					w.face.Inject(x)
				}
				for what, call := range map[string]func(ctx context.Context) error{
					"List":      func(ctx context.Context) error { _, err := w.p.List(ctx, runctl.ListQuery{}); return err },
					"Get a VM":  func(ctx context.Context) error { _, err := w.p.Get(ctx, vm.ID); return err },
					"Get a run": func(ctx context.Context) error { _, err := w.p.Get(ctx, run.ID); return err },
				} {
					err := call(cancelAfter(t, time.Hour))
					require.Error(t, err, "%s, %d", what, status)
					if html && status != 429 { // whoever answered, it was not Lyceum
						kind = runctl.ErrUnavailable
					}
					if status != 200 {
						assert.ErrorIs(t, err, kind, "%s, %d: %v", what, status, err)
					}
				}
				assert.Len(t, w.face.Billing(), 2)
			})
		}
	}
}
