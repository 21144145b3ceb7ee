package lyceum_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"runctl"
	face "runctl/internal/wire/lyceum"
	"runctl/lyceum"
)

// The rules are the defences against what is not known of Lyceum, one test a rule.

func fault(op string, status int, detail string) face.Fault {
	body, _ := json.Marshal(map[string]any{"detail": detail})
	return face.Fault{On: op, Status: status, Body: string(body)}
}

// within is a test on virtual time.
func within(t *testing.T, opt face.Options, cfg lyceum.Config, do func(t *testing.T, w *tenant)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { do(t, newTenant(t, opt, cfg)) })
}

func TestRule01ACreateIsSentOnceAndItsMachineIsFoundByItsWholeNameAmongTheLiving(t *testing.T) {
	within(t, face.Options{IgnoresFlags: true, Reversed: true, ListLag: 20 * time.Second}, lyceum.Config{}, func(t *testing.T, w *tenant) {
		dead := w.launch("k1")
		require.NoError(t, w.c.Terminate(t.Context(), dead.Ref()))
		w.face.Inject(face.LostReply)
		i, err := w.client().Launch(t.Context(), machine("k1"))
		require.NoError(t, err)
		assert.NotEqual(t, dead.ID, i.ID, "a name that a dead machine still has is nobody's")
		assert.Equal(t, []string{i.ID}, w.under("k1"))
		assert.Equal(t, 2, w.face.Served("createVM"))
	})
	within(t, face.Options{NoLabel: true, Script: does(face.Script{Exit: -1})}, lyceum.Config{}, func(t *testing.T, w *tenant) {
		lost := face.LostReply
		lost.On = "startImageRun"
		w.face.Inject(lost)
		_, err := w.c.Start(t.Context(), job("k1"))
		require.ErrorIs(t, err, runctl.ErrUncertain, "lists without labels tell nothing")
		assert.Equal(t, 1, w.face.Served("startImageRun"))
	})
}

func TestRule02NoCapacityIsA500WithItsWordsOnCreateAndNowhereElse(t *testing.T) {
	within(t, face.Options{}, lyceum.Config{}, func(t *testing.T, w *tenant) {
		w.face.Inject(fault("createVM", 500, "Instance COULD NOT BE PROVISIONED, sorry"))
		_, err := w.c.Launch(t.Context(), machine("k1"))
		e := new(runctl.Error)
		require.ErrorAs(t, err, &e)
		assert.Equal(t, []any{runctl.ErrCapacity, false}, []any{e.Kind, e.MayBill})
		assert.Equal(t, 1, w.face.Served("createVM"), "no loop")
		i := w.launch("k2")
		again := fault("terminateVM", 500, "could not be provisioned")
		again.Times = 2
		w.face.Inject(again)
		require.NoError(t, w.c.Terminate(t.Context(), i.Ref()), "a delete is repeated, whatever the words")
		assert.Empty(t, w.face.Billing())
	})
}

func TestRule03WhateverFailsAfterACreateEndsTheMachine(t *testing.T) {
	within(t, face.Options{Provisioning: -1}, lyceum.Config{}, func(t *testing.T, w *tenant) {
		s := runctl.RunSpec{Key: "k1", Needs: machine("k1").Needs, MaxHourly: runctl.USD(5), Lifetime: 4 * time.Hour, Unguarded: true, Job: runctl.Job{Args: []string{"train"}}}
		_, err := w.c.Start(t.Context(), s)
		require.ErrorIs(t, err, runctl.ErrTimeout)
		assert.Equal(t, 1, w.face.Served("createVM"))
		assert.Empty(t, w.face.Billing(), "a machine that never came up")
	})
	for status, fine := range map[int]bool{404: true, 401: false, 403: false} {
		within(t, face.Options{}, lyceum.Config{}, func(t *testing.T, w *tenant) {
			i := w.launch("k1")
			pass(2 * time.Minute) // it is no longer so new that Lyceum might not know it yet
			x := fault("terminateVM", status, "VM not found")
			x.Times = -1
			w.face.Inject(x)
			err := w.p.Terminate(t.Context(), i.ID)
			assert.Equal(t, fine, err == nil || errors.Is(err, runctl.ErrNotFound), "%d: %v", status, err)
		})
	}
}

func TestRule04AWordThatNobodyKnowsIsAliveAndBills(t *testing.T) {
	for _, word := range []string{"resizing", "stopping soon", "RE-IMAGING", ""} {
		within(t, face.Options{Word: func(s string) string { return word }}, lyceum.Config{}, func(t *testing.T, w *tenant) {
			i := w.launch("k1")
			assert.Equal(t, runctl.StateUnknown, i.State)
			all, err := w.c.List(t.Context())
			require.NoError(t, err)
			require.Len(t, all, 1)
			assert.True(t, all[0].State.Billing())
			w.face.SetStatus(raw(i.ID), face.Terminated) // and is told with that word too
			i, err = w.c.Get(t.Context(), i.Ref())
			require.NoError(t, err)
			assert.True(t, i.State.Billing(), "only a word that is known ends it")
		})
	}
	for word, want := range map[string]runctl.State{"READY": runctl.StateRunning, " Ready ": runctl.StateRunning, "Terminated": runctl.StateTerminated, "FAILED": runctl.StateTerminated,
		"Error": runctl.StateTerminated, "Stopped": runctl.StateStopped} {
		within(t, face.Options{}, lyceum.Config{}, func(t *testing.T, w *tenant) {
			i := w.launch("k1")
			w.face.SetStatus(raw(i.ID), word)
			now, err := w.p.Get(t.Context(), i.ID)
			require.NoError(t, err)
			assert.Equal(t, want, now.State, word)
		})
	}
}

func TestRule05ReadyIsNotReachedYet(t *testing.T) {
	within(t, face.Options{AddrLag: time.Minute, Address: func(int) string { return "203.0.113.9:2222" }}, lyceum.Config{}, func(t *testing.T, w *tenant) {
		i := w.launch("k1")
		now, err := w.p.Get(t.Context(), i.ID)
		require.NoError(t, err)
		assert.Equal(t, []any{runctl.StatePending, ""}, []any{now.State, now.Addr}, "ready, without an address")
		w.face.Inject(face.Fault{On: "getVMStatus", Times: 2, Status: 500, Body: `{"detail":"x"}`}, face.Fault{On: "listVMs", Times: 12, Status: 502, Kind: "text/html", Body: "<html>"})
		up, err := w.up(i.Ref())
		require.NoError(t, err, "whoever fails in between")
		assert.Equal(t, "203.0.113.9:2222", up.Addr)
	})
	for address, want := range map[string]string{"203.0.113.9": "203.0.113.9:22", "host.test:7": "host.test:7", "2001:db8::1": "[2001:db8::1]:22", "[2001:db8::1]:7": "[2001:db8::1]:7",
		"host:0": "", "host:70000": "", "host:ssh": "", "host:": "", ":22": "", "host:-1": "", "a b": ""} {
		within(t, face.Options{Address: func(int) string { return address }}, lyceum.Config{}, func(t *testing.T, w *tenant) {
			i := w.launch("k1")
			now, err := w.p.Get(t.Context(), i.ID)
			require.NoError(t, err)
			assert.Equal(t, want, now.Addr, address)
			if want == "" {
				_, err := w.p.Connect(cancelAfter(t, time.Minute), now, runctl.Access{Signer: signer(t)})
				require.Error(t, err, "%s: nothing is guessed", address)
			}
		})
	}
}

func TestRule07WhatCostsMoneyByMistakeIsRefusedBeforeItIsSent(t *testing.T) {
	within(t, face.Options{}, lyceum.Config{}, func(t *testing.T, w *tenant) {
		offers, err := w.c.Offers(t.Context(), machine("k1").Needs)
		require.NoError(t, err)
		require.NotEmpty(t, offers)
		for _, count := range []string{"0", "3", "16", "-1", "", "01", "1x"} {
			o := offers[0]
			o.ID = strings.TrimSuffix(o.ID, "1") + count
			_, err := w.p.Launch(t.Context(), runctl.LaunchRequest{Label: "rc1-a", Offer: o, Lifetime: time.Hour, AuthorizedKey: publicKey})
			e := new(runctl.Error)
			require.ErrorAs(t, err, &e, o.ID)
			assert.True(t, e.NotStarted, o.ID)
		}
		assert.Zero(t, w.face.Served("createVM"))

		// A profile of tomorrow is taken from what is available. What is always sent the face looks after.
		tomorrow := func(f *face.Fault) {
			f.Times, f.Status = -1, 200
			w.face.Inject(*f)
		}
		tomorrow(&face.Fault{On: "getVMAvailability", Body: `{"available_instance_variants":[{"hardware_profile":"x900","instance_type":"on-demand","price_per_hour":1.5,` +
			`"allowed_gpus_per_instance":[1,2,4,8],"available_gpus_per_instance":[4,1]}]}`})
		pass(2 * time.Hour)
		offers, err = w.c.Offers(t.Context(), runctl.OfferQuery{Road: runctl.RoadShell})
		require.NoError(t, err)
		require.NotEmpty(t, offers)
		for _, o := range offers {
			assert.Contains(t, o.ID, "x900")
		}
	})
}

func TestRule10StoredLinesAreSortedOnceAndTheirCeilingIsTold(t *testing.T) {
	t.Parallel()
	lines, want := steps(40)
	script := face.Script{Lines: lines, Exit: 45 * time.Second}
	within(t, face.Options{Script: does(script), Reversed: true, LogLag: 20 * time.Second, Stream: face.Stream{NoURL: true, Method: "PUT"}}, lyceum.Config{}, func(t *testing.T, w *tenant) {
		log, lost := logOf(t, w.start("k1"), runctl.LogQuery{Follow: true})
		assert.Equal(t, want, log)
		assert.Empty(t, lost)
	})
	var many []face.Line
	for range 11_000 {
		many = append(many, face.Line{After: time.Second, Text: "a line\n"})
	}
	script = face.Script{Lines: many, Exit: 2 * time.Second}
	within(t, face.Options{Script: does(script), Bare: true, Stream: face.Stream{NoURL: true, Method: "PUT"}}, lyceum.Config{}, func(t *testing.T, w *tenant) {
		log, lost := logOf(t, w.start("k1"), runctl.LogQuery{Follow: true})
		assert.NotEmpty(t, lost, "ten thousand lines are all that is told")
		assert.Less(t, len(log), 11_000*len("a line\n"))
	})
}

func TestRule11CallsAreFewAndARefusalForSpeedIsObeyed(t *testing.T) {
	within(t, face.Options{}, lyceum.Config{}, func(t *testing.T, w *tenant) {
		throttled := face.Throttled
		throttled.On, throttled.Times = "createVM", 2
		w.face.Inject(throttled)
		began := time.Now()
		w.launch("k1")
		assert.Equal(t, 3, w.face.Served("createVM"), "a refusal for speed starts nothing")
		assert.GreaterOrEqual(t, time.Since(began), 14*time.Second)
	})
	within(t, face.Options{Provisioning: 4 * time.Minute}, lyceum.Config{}, func(t *testing.T, w *tenant) {
		var refs []runctl.Ref
		for _, key := range []string{"k1", "k2", "k3", "k4", "k5"} {
			refs = append(refs, w.launch(key).Ref())
		}
		before := w.face.Served("")
		done := make(chan error)
		for _, ref := range refs {
			go func() { _, err := w.up(ref); done <- err }()
		}
		for range refs {
			require.NoError(t, <-done)
		}
		assert.LessOrEqual(t, w.face.Served("")-before, 120, "five machines in four minutes by one listing for all of them")
		prices := w.face.Served("getPricing")
		for range 20 {
			_, err := w.c.Offers(t.Context(), runctl.OfferQuery{})
			require.NoError(t, err)
			pass(time.Minute)
		}
		assert.LessOrEqual(t, w.face.Served("getPricing")-prices, 1, "prices are kept for an hour")
	})
}

func TestRule12PricesAreTextOrNumbersUnderTwoNamesAndWhatCannotBeReadIsPassedOver(t *testing.T) {
	cost := func(t *testing.T, w *tenant, want float64) {
		offers, err := w.c.Offers(t.Context(), runctl.OfferQuery{GPU: runctl.GPU{Model: "H100-SXM", Count: 8}, Road: runctl.RoadShell})
		require.NoError(t, err)
		require.NotEmpty(t, offers)
		assert.True(t, offers[0].Price.Hourly == runctl.USD(want), "%v", offers[0].Price)
		assert.False(t, offers[0].Price.At.IsZero(), "its age is told")
	}
	within(t, face.Options{}, lyceum.Config{}, func(t *testing.T, w *tenant) { cost(t, w, 22.32) })
	for _, row := range []string{
		`{"meter_slug":"vm_running","group_by":{"hardware_profile":"on-demand.h100.8x"},"unit_price_per_hour":20.5}`,
		`{"meter_slug":"vm_running","applies_to":{"hardware_profile":"on-demand.h100.8x"},"unit_price_per_hour":"20.50"}`,
		`{"meter_slug":"vm_running","applies_to":{"hardware_profile":"on-demand.h100.8x"},"group_by":{"hardware_profile":"on-demand.h100.1x"},"unit_price_per_hour":"20.5"}`,
	} {
		within(t, face.Options{}, lyceum.Config{}, func(t *testing.T, w *tenant) {
			w.face.Inject(face.Fault{On: "getPricing", Times: -1, Status: 200, Body: `{"prices":[{"meter_slug":7},{},{"meter_slug":"vm_running","applies_to":"x"},` + row + `]}`})
			cost(t, w, 20.5)
		})
	}
}

func TestRule13NullsAndNewFieldsChangeNothing(t *testing.T) {
	within(t, face.Options{Nulls: true, Extra: true, Provisioning: time.Minute, Script: does(face.Script{Exit: time.Minute})}, lyceum.Config{}, func(t *testing.T, w *tenant) {
		i, err := w.up(w.launch("k1").Ref())
		require.NoError(t, err)
		assert.Equal(t, runctl.GPU{Model: "H100-SXM", Count: 1, Memory: i.GPU.Memory}, i.GPU, "the hardware is told elsewhere")
		r := w.start("k2")
		_, err = r.Wait(t.Context())
		require.NoError(t, err)
		require.NoError(t, w.c.Terminate(t.Context(), i.Ref()))
		assert.Empty(t, w.face.Billing())
	})
}

func TestRule14CreditsThatDoNotSufficeAreFinalAndTheirBalanceBlocksNothing(t *testing.T) {
	within(t, face.Options{}, lyceum.Config{}, func(t *testing.T, w *tenant) {
		broken := fault("getCredits", 500, "x")
		broken.Times = -1
		w.face.Inject(broken)
		w.launch("k1")
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
				vm, run := w.launch("k1"), w.start("k2").Instance()
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

// texts is everything that somebody could print of a value.
func texts(v any) string {
	b, _ := json.Marshal(v)
	var s strings.Builder
	for _, verb := range []string{"%v", "%+v", "%#v", "%s"} {
		s.WriteString(fmt.Sprintf(verb, v))
	}
	return s.String() + string(b)
}
