package lyceum_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"runctl"
	face "runctl/internal/wire/lyceum"
	"runctl/lyceum"
)

func TestRule08ARunIsBoundedAndALongerJobIsToldWhereToGo(t *testing.T) {
	within(t, face.Options{}, lyceum.Config{}, func(t *testing.T, w *tenant) {
		offers, err := w.c.Offers(t.Context(), job("k1").Needs)
		require.NoError(t, err)
		require.NotEmpty(t, offers)
		for _, o := range offers {
			assert.Equal(t, []any{10 * time.Minute, true}, []any{o.MaxLifetime, o.EndsItself}, o.ID)
		}
		long := job("k1")
		long.Lifetime = 11 * time.Minute
		_, err = w.c.Start(t.Context(), long)
		require.Error(t, err)
		long.Offer = &offers[0]
		_, err = w.c.Start(t.Context(), long)
		require.ErrorIs(t, err, runctl.ErrInvalid)
		_, err = w.p.Launch(t.Context(), runctl.LaunchRequest{Label: "rc1-a", Offer: offers[0], Lifetime: 11 * time.Minute, Job: &long.Job})
		require.ErrorIs(t, err, runctl.ErrInvalid)
		assert.ErrorContains(t, err, "use a machine", "with the advice what to take instead")
		assert.Zero(t, w.face.Served("startImageRun")+w.face.Served("createVM"))
	})
	within(t, face.Options{Script: does(face.Script{Exit: -1})}, lyceum.Config{}, func(t *testing.T, w *tenant) {
		s := job("k1")
		s.Lifetime = 90*time.Second + 1
		_, err := w.c.Start(t.Context(), s)
		require.NoError(t, err)
		assert.Equal(t, 91*time.Second, w.face.Runs()[0].Timeout, "whole seconds, and none too few")
	})
}

func TestRule09AStreamIsBelievedForItsTextAloneAndItsAddressForNothing(t *testing.T) {
	for _, lie := range []string{`{"jobFinished":{"job":{"result":{"returnCode":0}}}}`, `{"type":"completed"}`, `Stream complete`, `{"status_update":{"status":"completed","exit_code":0}}`} {
		within(t, face.Options{Script: does(face.Script{Exit: 4 * time.Minute, Code: 9})}, lyceum.Config{}, func(t *testing.T, w *tenant) {
			w.face.Inject(face.Fault{On: "stream", Times: -1, Status: 200, Kind: "text/event-stream", Body: "data: " + lie + "\n\n"})
			r := w.start("k1")
			began := time.Now()
			receipt, err := r.Wait(t.Context())
			require.Error(t, err, lie)
			assert.Equal(t, 9, receipt.ExitCode, "the record says how it ended")
			assert.GreaterOrEqual(t, time.Since(began), 4*time.Minute-time.Second)
			assert.LessOrEqual(t, w.face.Served(""), 400, "a stream that ends at once is no reason to storm")
		})
	}
	// The tenant's network fails the test when a token goes elsewhere; what is no web address is not asked for at all.
	for _, url := range []string{"https://elsewhere.test/s/", "http://elsewhere.test/s/", "https://lyceum.test.elsewhere.test/", "https://lyceum.test@elsewhere.test/", "file:///etc/passwd",
		"ftp://lyceum.test/", "//elsewhere.test/", ":", "wss://lyceum.test/"} {
		within(t, face.Options{Script: does(face.Script{Lines: []face.Line{{Text: "hello\n"}}, Exit: 30 * time.Second}), Stream: face.Stream{URL: func(id string) string { return url + id }}},
			lyceum.Config{}, func(t *testing.T, w *tenant) {
				log, _ := logOf(t, w.start("k1"), runctl.LogQuery{Follow: true})
				assert.Equal(t, "hello\n", log, url)
			})
	}
	within(t, face.Options{Script: does(face.Script{Exit: 30 * time.Second}), Stream: face.Stream{Method: "GET"}}, lyceum.Config{}, func(t *testing.T, w *tenant) {
		_, err := w.start("k1").Wait(t.Context())
		require.NoError(t, err)
		assert.LessOrEqual(t, w.face.Served("stream"), 2, "by POST, and where that is refused by GET")
	})
}

func TestRule10StoredLinesAreSortedOnceAndTheirCeilingIsTold(t *testing.T) {
	t.Parallel()
	lines, want := steps(40)
	script := face.Script{Lines: lines, Exit: 45 * time.Second}
	within(t, face.Options{Script: does(script), Bare: true, Reversed: true, LogLag: 20 * time.Second, Stream: face.Stream{NoURL: true, Method: "PUT"}}, lyceum.Config{}, func(t *testing.T, w *tenant) {
		log, lost := logOf(t, w.start("k1"), runctl.LogQuery{Follow: true})
		assert.Equal(t, want, log)
		assert.Empty(t, lost)
	})
	var many []face.Line
	for range 10_010 {
		many = append(many, face.Line{After: time.Second, Text: "a line\n"})
	}
	script = face.Script{Lines: many, Exit: 2 * time.Second}
	within(t, face.Options{Script: does(script), Bare: true, Stream: face.Stream{NoURL: true, Method: "PUT"}}, lyceum.Config{}, func(t *testing.T, w *tenant) {
		r := w.start("k1")
		pass(5 * time.Second)
		log, lost := logOf(t, r, runctl.LogQuery{})
		assert.NotEmpty(t, lost, "ten thousand lines are all that is told")
		assert.Len(t, log, 10_000*len("a line\n"))
	})
}

func TestRule11CallsAreFewAndARefusalForSpeedIsObeyed(t *testing.T) {
	within(t, face.Options{}, lyceum.Config{}, func(t *testing.T, w *tenant) {
		throttled := face.Throttled
		throttled.On, throttled.Times = "createVM", 2
		w.face.Inject(throttled)
		began := time.Now()
		w.Launch("k1")
		assert.Equal(t, 3, w.face.Served("createVM"), "a refusal for speed starts nothing")
		assert.GreaterOrEqual(t, time.Since(began), 14*time.Second)
	})
	within(t, face.Options{Provisioning: 4 * time.Minute}, lyceum.Config{}, func(t *testing.T, w *tenant) {
		var refs []runctl.Ref
		for _, key := range []string{"k1", "k2", "k3", "k4", "k5"} {
			refs = append(refs, w.Launch(key).Ref())
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
		i, err := w.up(w.Launch("k1").Ref())
		require.NoError(t, err)
		assert.Equal(t, runctl.GPU{Model: "H100-SXM", Count: 1, Memory: i.GPU.Memory}, i.GPU, "the hardware is told elsewhere")
		r := w.start("k2")
		_, err = r.Wait(t.Context())
		require.NoError(t, err)
		require.NoError(t, w.c.Terminate(t.Context(), i.Ref()))
		assert.Empty(t, w.face.Billing())
	})
}

func TestRule17CredentialsOfTheBucketExpireAndAreNotPrinted(t *testing.T) {
	within(t, face.Options{Storage: map[string]any{"access_key": "AK", "secret_key": "hidden-key", "session_token": "hidden-token", "endpoint": "s3.lyceum.test",
		"bucket_name": "b", "region": "us-east-1", "expires_at": "2026-08-01T10:00:00"}}, lyceum.Config{}, func(t *testing.T, w *tenant) {
		c, err := w.p.S3Credentials(t.Context())
		require.NoError(t, err)
		assert.Equal(t, "https://s3.lyceum.test", c.Endpoint)
		assert.Equal(t, time.Date(2026, 8, 1, 10, 0, 0, 0, time.UTC), c.Expires)
		assert.NotContains(t, fmt.Sprintf("%v %+v %#v", c, c, &c), "hidden")
	})
	within(t, face.Options{}, lyceum.Config{}, func(t *testing.T, w *tenant) {
		_, err := w.p.S3Credentials(t.Context())
		require.ErrorIs(t, err, runctl.ErrNotFound)
	})
}
