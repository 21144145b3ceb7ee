package runpod_test

// Traps that users of RunPod have met, by their numbers in the project's notes on its API: those of creating, of its
// refusals, of offers and of names.

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"runctl"
	wire "runctl/internal/wire/runpod"
	"runctl/runpod"
)

// owner is a client of the account, with what a machine on the shell road needs.
func owner(t *testing.T, a *account) *runctl.Client {
	t.Helper()
	c, err := runctl.New(runctl.Config{Owner: "tests", Secret: []byte("a secret of thirty-two bytes....")}, a)
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func byHand(key string) runctl.LaunchSpec {
	return runctl.LaunchSpec{Key: key, Needs: runctl.OfferQuery{GPU: runctl.GPU{Model: "H100-SXM"}, Regions: []string{"US-KS-2"}},
		Lifetime: time.Hour, MaxHourly: runctl.USD(10), Unguarded: true}
}

func TestTrap03AnErrorAfterTheEffectIsFoundAgain(t *testing.T) {
	for name, fault := range map[string]wire.Fault{"500": wire.ErrorAfter, "lost reply": wire.LostReply, "unreadable 201": wire.Unreadable, "half a 201": wire.HalfReply} {
		synctest.Test(t, func(t *testing.T) {
			a := rent(t, wire.Options{ListLag: 20 * time.Second})
			a.face.Inject(fault)
			i, err := owner(t, a).Launch(t.Context(), byHand("k1"))
			require.NoError(t, err, name)
			assert.Equal(t, []string{i.ID}, a.face.Billing(), name)
			assert.Equal(t, 1, a.face.Served("createPod"), name)
		})
	}
}

func TestTrap04APodThatIsNotKnownYetIsNeitherGoneNorEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := rent(t, wire.Options{ListLag: 40 * time.Second, GetLag: 40 * time.Second})
		req := request(runctl.RoadShell)
		i, err := a.Launch(t.Context(), req)
		require.NoError(t, err)
		_, err = a.Get(t.Context(), i.ID)
		assert.ErrorIs(t, err, runctl.ErrUnavailable, "a 404 right after a 201")
		assert.NotErrorIs(t, err, runctl.ErrNotFound)
		assert.ErrorIs(t, a.Stop(t.Context(), i.ID), runctl.ErrUnavailable)
		assert.ErrorIs(t, a.Terminate(t.Context(), i.ID), runctl.ErrUnavailable, "nothing was ended by that")
		<-time.After(41 * time.Second)
		require.NoError(t, a.Terminate(t.Context(), i.ID))
		_, err = a.Get(t.Context(), i.ID)
		assert.ErrorIs(t, err, runctl.ErrNotFound, "now it is")
	})
	synctest.Test(t, func(t *testing.T) {
		a := rent(t, wire.Options{GetLag: time.Hour, ListLag: time.Hour})
		i, err := a.Launch(t.Context(), request(runctl.RoadShell))
		require.NoError(t, err)
		<-time.After(time.Minute)
		_, err = a.Get(t.Context(), i.ID)
		assert.ErrorIs(t, err, runctl.ErrNotFound, "a minute is enough")
	})
	synctest.Test(t, func(t *testing.T) {
		a := rent(t, wire.Options{ListLag: 30 * time.Second, GetLag: 30 * time.Second})
		c := owner(t, a)
		i, err := c.Launch(t.Context(), byHand("k1"))
		require.NoError(t, err)
		require.NoError(t, c.Terminate(t.Context(), i.Ref()), "the client asks until it is known")
		assert.Empty(t, a.face.Billing())
	})
}

func TestTrap08ThereIsNoSpotAndNothingElseInItsPlace(t *testing.T) {
	a := rent(t, wire.Options{})
	spec := byHand("k1")
	spec.Needs.Market = runctl.Spot
	_, err := owner(t, a).Launch(t.Context(), spec)
	require.Error(t, err)
	assert.Equal(t, runctl.OnDemand, a.Info().Markets)
	assert.Zero(t, a.face.Served("createPod"))
}

func TestTrap14TheWordsOfARefusalAreNotHidden(t *testing.T) {
	said := "There are no longer any instances available with the requested specifications (template tpl_9, disk 900 GB)"
	_, err := over(t, replying(400, problem(400, said), "X-Request-Id", "req-77")).Launch(t.Context(), request(runctl.RoadJob))
	assert.ErrorIs(t, err, runctl.ErrCapacity)
	assert.Contains(t, err.Error(), said)
	assert.Contains(t, err.Error(), "req-77")
	assert.Contains(t, err.Error(), "disk", "what else may be the cause")
	synctest.Test(t, func(t *testing.T) { // every candidate fails for the same mistake: the mistake is told, not a lack
		a := rent(t, wire.Options{})
		a.face.Inject(wire.Fault{On: "createPod", Times: -1, Status: 400, Body: problem(400, "image is not allowed")})
		_, err := owner(t, a).Launch(t.Context(), byHand("k1"))
		assert.ErrorIs(t, err, runctl.ErrInvalid)
		assert.Contains(t, err.Error(), "image is not allowed")
		assert.Equal(t, 1, a.face.Served("createPod"))
	})
}

func TestTrap14ALackOfOnePlaceLeadsToTheNext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := rent(t, wire.Options{})
		a.face.Inject(wire.NoCapacity)
		spec := byHand("k1")
		spec.Needs.Regions = nil
		i, err := owner(t, a).Launch(t.Context(), spec)
		require.NoError(t, err)
		assert.Equal(t, 2, a.face.Served("createPod"))
		assert.Equal(t, "US-KS-2", i.Region, "EUR-IS-1 was asked first")
	})
}

func TestTrap16TheNumberOfGPUsAndTheCloudAreAlwaysSaid(t *testing.T) {
	for _, n := range []int{1, 8} {
		req := request(runctl.RoadJob)
		req.Offer.ID = fmt.Sprintf("job:gpu:SECURE:US-KS-2:%d:%s", n, h100)
		body, err := created(t, req)
		require.NoError(t, err)
		assert.EqualValues(t, n, body["gpu"].(map[string]any)["count"])
		assert.Equal(t, "SECURE", body["cloud"])
	}
}

func TestTrap17EveryRequestSaysWhoAsks(t *testing.T) {
	a := rent(t, wire.Options{})
	i, err := a.Launch(t.Context(), request(runctl.RoadJob))
	require.NoError(t, err)
	_, _ = a.Offers(t.Context(), runctl.OfferQuery{})
	_, _ = a.List(t.Context(), runctl.ListQuery{})
	_ = a.Stop(t.Context(), i.ID)
	_ = a.Terminate(t.Context(), i.ID)
	assert.NotEmpty(t, a.sent)
	for _, r := range a.sent {
		assert.Equal(t, "runctl-runpod", r.UserAgent())
	}
	_, err = over(t, replying(403, "error code: 1010", "Content-Type", "text/plain")).List(t.Context(), runctl.ListQuery{})
	assert.NotErrorIs(t, err, runctl.ErrAuth, "the key is not to blame")
	assert.Contains(t, err.Error(), "User-Agent")
}

func TestTrap20ThePodsDiskFitsItsProcessors(t *testing.T) {
	for _, c := range []struct {
		vcpus int
		mib   int64
		gb    float64
	}{{2, 0, 20}, {4, 0, 40}, {8, 0, 50}, {2, 20 << 10, 20}, {2, 1, 1}} {
		req := request(runctl.RoadJob)
		req.Offer.ID, req.Disk = fmt.Sprintf("job:cpu:SECURE:US-KS-2:%d:cpu3c", c.vcpus), c.mib
		body, err := created(t, req)
		require.NoError(t, err)
		assert.Equal(t, c.gb, body["disk"], c)
		assert.NotContains(t, body, "gpu")
		assert.Equal(t, map[string]any{"id": "cpu3c", "vcpuCount": float64(c.vcpus)}, body["cpu"])
	}
	req := request(runctl.RoadJob)
	req.Offer.ID, req.Disk = "job:cpu:SECURE:US-KS-2:2:cpu3c", 20<<10+1
	_, err := over(t, carry(func(*http.Request) (*http.Response, error) { panic("sent") })).Launch(t.Context(), req)
	assert.ErrorIs(t, err, runctl.ErrInvalid)
	assert.Contains(t, err.Error(), "at most 20 GB")
}

func TestTrap21DataCentersAreInCapitals(t *testing.T) {
	req := request(runctl.RoadJob)
	req.Offer.ID = "job:gpu:SECURE:us-ks-2:1:" + h100
	body, err := created(t, req)
	require.NoError(t, err)
	assert.Equal(t, []any{"US-KS-2"}, body["dataCenterIds"])
	p := over(t, replying(200, `{"gpus":[{"id":"NVIDIA L4","memory":24,"maxCount":{"secure":1},"price":{"secure":0.4},"dataCenters":[{"id":"eu-ro-1","availability":"LOW"}]}]}`))
	all, err := p.Offers(t.Context(), runctl.OfferQuery{GPU: runctl.GPU{Model: "L4"}})
	require.NoError(t, err)
	require.NotEmpty(t, all)
	for _, o := range all {
		assert.Equal(t, "EU-RO-1", o.Region)
	}
}

func TestTrap22TheHostsDriverIsAskedFor(t *testing.T) {
	req := request(runctl.RoadJob)
	req.Options = []runctl.LaunchOption{runpod.LaunchOptions{MinCUDA: "12.8"}}
	body, err := created(t, req)
	require.NoError(t, err)
	assert.Equal(t, "12.8", body["gpu"].(map[string]any)["minCudaVersion"])
	assert.NotContains(t, body["gpu"], "allowedCudaVersions", "the two exclude each other")
}

func TestTrap24TheAccountsKeyIsInNoPodAndInNoText(t *testing.T) {
	a := rent(t, wire.Options{})
	var texts strings.Builder
	note := func(v any, err error) { fmt.Fprintf(&texts, "%v %+v %#v %v\n", v, v, v, err) }
	faults := []wire.Fault{{Cut: wire.NoReply}, {Status: 500, Body: problem(500, accountKey)}, {Status: 400, Body: problem(400, "Bearer "+accountKey)},
		{Status: 401, Body: "token " + accountKey}, wire.BadGateway, {Acts: true, Cut: wire.Half}, {Acts: true}}
	for _, f := range faults {
		f.Times = -1
		a.face.Inject(f)
		for _, road := range []runctl.Road{runctl.RoadJob, runctl.RoadShell} {
			note(a.Launch(t.Context(), request(road)))
		}
		note(a.List(t.Context(), runctl.ListQuery{}))
		note(a.Offers(t.Context(), runctl.OfferQuery{}))
		note(a.Get(t.Context(), "abc"))
		note(a.Info(), a.Stop(t.Context(), "abc"))
		note(a.Provider, a.Terminate(t.Context(), "abc"))
		note(a.REST(), nil)
		a.face.Heal()
	}
	note(runpod.Config{APIKey: accountKey}, nil)
	assert.NotContains(t, texts.String(), accountKey)
	assert.NotContains(t, texts.String(), accountKey[:16])
	assert.NotEmpty(t, a.face.Pods())
	for _, p := range a.face.Pods() {
		assert.NotContains(t, fmt.Sprintf("%+v", p), accountKey)
	}
}

func TestTrap26OnlyTheNewAPIIsUsed(t *testing.T) {
	a := rent(t, wire.Options{})
	i, err := a.Launch(t.Context(), request(runctl.RoadJob))
	require.NoError(t, err)
	_, _ = a.Offers(t.Context(), runctl.OfferQuery{})
	_, _ = a.List(t.Context(), runctl.ListQuery{})
	_ = a.Stop(t.Context(), i.ID)
	_ = a.Terminate(t.Context(), i.ID)
	for _, q := range a.queries() {
		assert.Contains(t, q, " /v2/")
	}
	_, err = over(t, replying(410, problem(410, "this API version has been retired"))).List(t.Context(), runctl.ListQuery{})
	assert.ErrorIs(t, err, runctl.ErrInvalid)
	assert.Contains(t, err.Error(), "RUNPOD_BASE_URL")
}
