package lyceum

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"runctl"
)

const (
	freeNow = `{"available_instance_variants":[
		{"hardware_profile":"h100","instance_type":"on-demand","price_per_hour":2.79,"allowed_gpus_per_instance":[1,2,8],"available_gpus_per_instance":[8,1]},
		{"hardware_profile":"h100","instance_type":"spot","price_per_hour":1.1,"allowed_gpus_per_instance":[1,2],"available_gpus_per_instance":[]},
		{"hardware_profile":"x900","instance_type":"on-demand","price_per_hour":0.5,"allowed_gpus_per_instance":[4]},
		{"hardware_profile":"h100","instance_type":"reserved","available_gpus_per_instance":[1]},
		{"hardware_profile":"a/b","instance_type":"spot","available_gpus_per_instance":[1]}],
		"available_hardware_profiles":[{"hardware_profile":"l40s","gpu_type":"l40s"}]}`
	priceBook = `{"prices":[{"meter_slug":"tokens","unit_price":"0.1"},{"meter_slug":"vm_running"},{"meter_slug":"vm_running","applies_to":"x"},
		{"meter_slug":"vm_running","applies_to":{"hardware_profile":"on-demand.h100.8x"},"unit":"second","unit_price":"0.0062","unit_price_per_hour":"22.32"},
		{"meter_slug":"vm_running","group_by":{"hardware_profile":"spot.h100.2x"},"unit":"second","unit_price":"0.0005"},
		{"meter_slug":"vm_running","applies_to":{"hardware_profile":"on-demand.h100.2x"},"unit_price_per_hour":"free"}]}`
)

func catalog(t *testing.T, p *Provider, q runctl.OfferQuery) map[string]runctl.Offer {
	all, err := p.Catalog(t.Context(), q)
	require.NoError(t, err)
	got := map[string]runctl.Offer{}
	for _, o := range all {
		got[o.ID] = o
	}
	require.Len(t, got, len(all), "every offer has an ID of its own")
	return got
}

func TestOffersJoinWhatIsFreeWithWhatItCosts(t *testing.T) {
	s := newServer(t, map[string][]reply{"GET /vms/availability": ok(freeNow), "GET /pricing": ok(priceBook)})
	p := s.provider()
	began := time.Now()
	got := catalog(t, p, runctl.OfferQuery{Road: runctl.RoadShell})
	type line struct {
		price         runctl.Money
		source, avail string
	}
	short := map[string]line{}
	for id, o := range got {
		short[id] = line{o.Price.Hourly, o.Price.Source, o.Avail}
		assert.False(t, o.Price.At.Before(began), "the price has its age")
		assert.Equal(t, []any{runctl.RoadShell, false, time.Duration(0)}, []any{o.Roads, o.EndsItself, o.MaxLifetime})
	}
	assert.Empty(t, cmp.Diff(map[string]line{
		"vm:on-demand:h100:1": {runctl.USD(2.79), "availability", "available"},
		"vm:on-demand:h100:2": {runctl.USD(5.58), "availability", "sold out"},
		"vm:on-demand:h100:8": {runctl.USD(22.32), "pricing", "available"},
		"vm:spot:h100:1":      {runctl.USD(1.1), "availability", "sold out"},
		"vm:spot:h100:2":      {runctl.USD(1.8), "pricing", "sold out"},
		"vm:on-demand:x900:4": {runctl.USD(2), "availability", ""},
	}, short, cmp.AllowUnexported(line{})))
	o := got["vm:on-demand:h100:8"]
	assert.Equal(t, runctl.Offer{ID: "vm:on-demand:h100:8", Type: "h100.8x", Market: runctl.OnDemand, GPU: runctl.GPU{Model: "H100-SXM", Count: 8, Memory: 80 << 10}, VCPU: 256,
		Memory: 8 * 181 << 10, Disk: diskMiB, Price: o.Price, Avail: "available", Roads: runctl.RoadShell}, o)
	assert.Equal(t, runctl.Spot, got["vm:spot:h100:2"].Market)

	offers, err := p.Offers(t.Context(), runctl.OfferQuery{Road: runctl.RoadShell})
	require.NoError(t, err)
	assert.Len(t, offers, 3, "what is sold out is no offer")
	assert.Len(t, s.calls("GET /pricing"), 1, "prices are kept")
}

func TestPricesAreKeptForAnHourAndMissingOnesAreUnknown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c cached[int]
		n := 0
		next := func() int {
			v, _, err := c.get(t.Context(), time.Hour, askNext(&n))
			require.NoError(t, err)
			return v
		}
		assert.Equal(t, 1, next())
		later(t, 59*time.Minute)
		assert.Equal(t, 1, next())
		later(t, 2*time.Minute)
		assert.Equal(t, 2, next())
		c.void()
		assert.Equal(t, 3, next(), "what is void is asked for anew")
	})
	s := newServer(t, map[string][]reply{"GET /pricing": {{status: 404, body: `{"detail":"Not Found"}`}},
		"GET /vms/availability": ok(`{"available_instance_variants":[{"hardware_profile":"h100","instance_type":"spot","available_gpus_per_instance":[1]}]}`)})
	o := catalog(t, s.provider(), runctl.OfferQuery{Road: runctl.RoadShell})["vm:spot:h100:1"]
	assert.Equal(t, runctl.Price{}, o.Price)
	for _, text := range []Text{"", "-1", "0", "NaN", "Inf", "1e99", "2,79", "x"} {
		assert.Equal(t, runctl.Money{}, dollars(text, 1), text)
	}
	assert.Equal(t, runctl.USD(0.3), dollars("0.1", 3), "decimals stay decimals")
}

func TestRunsAreOfferedByKindForTenMinutesThatTheyEndThemselves(t *testing.T) {
	s := newServer(t, map[string][]reply{"GET /user/quotas/available-hardware": ok(`{"available_hardware_profiles":["cpu","gpu.h100","no good"]}`),
		"GET /machine-types": ok(`{"machine_types":[{"hardware_profile":"cpu","price_per_hour":0.2},{"hardware_profile":"gpu.b300","price_per_hour":9}]}`)})
	got := catalog(t, s.provider(), runctl.OfferQuery{Road: runctl.RoadJob})
	require.Len(t, got, 2)
	cpu := got["run:cpu"]
	assert.Equal(t, runctl.Offer{ID: "run:cpu", Type: "cpu", Market: runctl.OnDemand, Price: cpu.Price, Roads: runctl.RoadJob, MaxLifetime: 10 * time.Minute, EndsItself: true}, cpu)
	assert.Equal(t, runctl.USD(0.2), cpu.Price.Hourly)
	assert.Equal(t, "H100-SXM", got["run:gpu.h100"].GPU.Model)
	assert.False(t, got["run:gpu.h100"].Price.Hourly.Known())

	s = newServer(t, nil)
	assert.Len(t, catalog(t, s.provider(), runctl.OfferQuery{Road: runctl.RoadJob}), 4, "the documented kinds, where Lyceum does not tell")
	for status, kind := range map[int]runctl.Kind{401: runctl.ErrAuth, 429: runctl.ErrRateLimit} {
		s = newServer(t, map[string][]reply{"GET /machine-types": {{status: status, body: `{"detail":"no"}`}}})
		_, err := s.provider().Offers(t.Context(), runctl.OfferQuery{Road: runctl.RoadJob})
		assert.ErrorIs(t, err, kind)
	}
}
