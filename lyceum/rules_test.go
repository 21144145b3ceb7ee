package lyceum_test

import (
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
		dead := w.Launch("k1")
		require.NoError(t, w.c.Terminate(t.Context(), dead.Ref()))
		w.face.Inject(face.LostReply)
		i, err := w.Client().Launch(t.Context(), machine("k1"))
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
		i := w.Launch("k2")
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
			i := w.Launch("k1")
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
			i := w.Launch("k1")
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
			i := w.Launch("k1")
			w.face.SetStatus(raw(i.ID), word)
			now, err := w.p.Get(t.Context(), i.ID)
			require.NoError(t, err)
			assert.Equal(t, want, now.State, word)
		})
	}
}

func TestRule05ReadyIsNotReachedYet(t *testing.T) {
	within(t, face.Options{AddrLag: time.Minute, Address: func(int) string { return "203.0.113.9:2222" }}, lyceum.Config{}, func(t *testing.T, w *tenant) {
		i := w.Launch("k1")
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
			i := w.Launch("k1")
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

// texts is everything that somebody could print of a value.
func texts(v any) string {
	b, _ := json.Marshal(v)
	var s strings.Builder
	for _, verb := range []string{"%v", "%+v", "%#v", "%s"} {
		s.WriteString(fmt.Sprintf(verb, v))
	}
	return s.String() + string(b)
}
