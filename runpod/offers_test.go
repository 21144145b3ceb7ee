package runpod_test

import (
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"runctl"
	"runctl/internal/memnet"
	wire "runctl/internal/wire/runpod"
	"runctl/runpod"
)

const accountKey = "rpa_CANARY0account0key0f81d"

// account is a provider over a face, and what it sent.
type account struct {
	*runpod.Provider
	face *wire.Face

	mu   sync.Mutex
	sent []*http.Request
}

// rent opens an account, whose requests and replies must all be valid by RunPod's document when the test ends.
func rent(t *testing.T, opt wire.Options, change ...func(*runpod.Config)) *account {
	t.Helper()
	opt.Key = accountKey
	a := &account{face: wire.New(opt)}
	t.Cleanup(a.face.Close)
	network := (&memnet.Net{}).Serve(t, "api.runpod.test", a.face)
	cfg := runpod.Config{APIKey: accountKey, BaseURL: "http://api.runpod.test", Transport: carry(func(r *http.Request) (*http.Response, error) {
		a.mu.Lock()
		a.sent = append(a.sent, r)
		a.mu.Unlock()
		return network.RoundTrip(r)
	})}
	for _, f := range change {
		f(&cfg)
	}
	p, err := runpod.New(cfg)
	require.NoError(t, err)
	a.Provider = p
	t.Cleanup(func() { assert.Empty(t, a.face.Violations()) })
	return a
}

type carry func(*http.Request) (*http.Response, error)

func (f carry) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// queries are the paths and queries that were asked for since the last call.
func (a *account) queries() (all []string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, r := range a.sent {
		q, _ := url.QueryUnescape(r.URL.RawQuery)
		all = append(all, strings.TrimSuffix(r.Method+" "+r.URL.Path+"?"+q, "?"))
	}
	a.sent = nil
	return all
}

func (a *account) offers(t *testing.T, q runctl.OfferQuery) []runctl.Offer {
	t.Helper()
	all, err := a.Offers(t.Context(), q)
	require.NoError(t, err)
	var fit []runctl.Offer
	for _, o := range all {
		if q.Match(o) {
			fit = append(fit, o)
		}
	}
	return fit
}

func withCommunity(c *runpod.Config) { c.Community = true }

func TestOffersArePricedForTheWholePod(t *testing.T) {
	a := rent(t, wire.Options{})
	got := map[string]runctl.Offer{}
	for _, o := range a.offers(t, runctl.OfferQuery{GPU: runctl.GPU{Model: "H100", Count: 4}, Road: runctl.RoadJob}) {
		got[o.Region+" "+o.GPU.Model] = o
		assert.Equal(t, "catalog", o.Price.Source)
		assert.False(t, o.Price.At.IsZero())
		assert.True(t, o.EndsItself)
		assert.Equal(t, runctl.OnDemand, o.Market)
	}
	assert.Len(t, got, 3, "two places for one form, one for the other")
	assert.Equal(t, runctl.USD(4*2.69), got["US-KS-2 H100-SXM"].Price.Hourly)
	assert.Equal(t, "HIGH", got["US-KS-2 H100-SXM"].Avail)
	assert.Equal(t, "LOW", got["EUR-IS-1 H100-SXM"].Avail)
	assert.Equal(t, "NVIDIA H100 80GB HBM3 x4", got["US-KS-2 H100-SXM"].Type)
	assert.Equal(t, runctl.GPU{Model: "H100-SXM", Count: 4, Memory: 80 << 10}, got["US-KS-2 H100-SXM"].GPU)
	assert.Equal(t, runctl.USD(4*2.39), got["US-KS-2 H100-PCIE"].Price.Hourly)
	assert.Equal(t, []string{"GET /v2/catalog/gpus?cloud=SECURE&count=4&include=AVAILABILITY&product=POD"}, a.queries())
}

func TestEveryShapeIsTwoOffersAndOnlyTheJobRoadEndsItself(t *testing.T) {
	a := rent(t, wire.Options{})
	shapes := map[string]int{}
	for _, o := range a.offers(t, runctl.OfferQuery{GPU: runctl.GPU{Model: "RTX4090"}}) {
		shapes[o.Region]++
		assert.Equal(t, o.Roads == runctl.RoadJob, o.EndsItself)
		assert.False(t, o.Keeps)
	}
	assert.Equal(t, map[string]int{"US-KS-2": 2, "EU-RO-1": 2}, shapes, "and none where there is none")
	best := a.offers(t, runctl.OfferQuery{GPU: runctl.GPU{Model: "RTX4090"}})
	assert.NotEmpty(t, best)
}

func TestHostsOfStrangersAreOfferedOnlyWhenAllowed(t *testing.T) {
	q := runctl.OfferQuery{OrGPU: []runctl.GPU{{Model: "RTX3080"}}, GPU: runctl.GPU{Model: "RTX4090", Count: 2}}
	closed, open := rent(t, wire.Options{}), rent(t, wire.Options{}, withCommunity)
	for _, o := range closed.offers(t, q) {
		assert.Equal(t, "SECURE", o.Zone)
	}
	prices := map[string]runctl.Money{}
	for _, o := range open.offers(t, q) {
		prices[o.Zone] = o.Price.Hourly
	}
	assert.Equal(t, map[string]runctl.Money{"SECURE": runctl.USD(2 * 0.59), "COMMUNITY": runctl.USD(2 * 0.34)}, prices)
	const stock = "&include=AVAILABILITY&product=POD"
	assert.Equal(t, []string{"GET /v2/catalog/gpus?cloud=SECURE&count=1" + stock, "GET /v2/catalog/gpus?cloud=COMMUNITY&count=1" + stock,
		"GET /v2/catalog/gpus?cloud=SECURE&count=2" + stock, "GET /v2/catalog/gpus?cloud=COMMUNITY&count=2" + stock}, open.queries(), "for each number and each cloud")
}

func TestMoreGPUsThanAHostHasAreNoOffer(t *testing.T) {
	a := rent(t, wire.Options{}, withCommunity)
	for _, o := range a.offers(t, runctl.OfferQuery{GPU: runctl.GPU{Model: "RTX4090", Count: 8}}) {
		assert.Equal(t, "SECURE", o.Zone, "four is the most in the community")
	}
	assert.Empty(t, a.offers(t, runctl.OfferQuery{GPU: runctl.GPU{Model: "RTX4090", Count: 16}}))
}

func TestWhatIsSoldOutOrLargerThanAHostIsNoOfferWhateverElseTheCatalogSays(t *testing.T) {
	p := over(t, replying(200, `{"gpus":[
		{"id":"NVIDIA L4","memory":24,"price":{"secure":0.4},"maxCount":{"secure":2},"availability":"HIGH","dataCenters":[
			{"id":"US-KS-2","availability":"NONE"},{"id":"EU-RO-1","availability":"LOW"}]},
		{"id":"NVIDIA L40","memory":48,"price":{"secure":0.9},"maxCount":{"secure":1},"availability":"HIGH"},
		{"id":"NVIDIA L40S","memory":48,"price":{"secure":0.9},"maxCount":{"secure":2},"availability":"NONE"},
		{"id":"NVIDIA A40","memory":48,"price":{"secure":0.9},"maxCount":{"secure":2},"availability":"LOW"}]}`))
	all, err := p.Offers(t.Context(), runctl.OfferQuery{GPU: runctl.GPU{Count: 2}})
	require.NoError(t, err)
	got := map[string]int{}
	for _, o := range all {
		got[o.GPU.Model+" "+o.Region]++
	}
	assert.Equal(t, map[string]int{"L4 EU-RO-1": 2, "A40 ": 2}, got, "where no place is named, RunPod chooses")
}

func TestAnOpenQueryHasTheUsualNumbersAndMachinesWithoutGPUs(t *testing.T) {
	a := rent(t, wire.Options{})
	n := map[int]bool{}
	for _, o := range a.offers(t, runctl.OfferQuery{}) {
		n[o.GPU.Count] = true
	}
	assert.Equal(t, map[int]bool{0: true, 1: true, 2: true, 4: true, 8: true}, n)
	assert.Len(t, a.queries(), 5)
	assert.Empty(t, a.offers(t, runctl.OfferQuery{Market: runctl.Spot}), "there are no spot pods")
	assert.Empty(t, a.queries())
}

func TestMachinesWithoutGPUsAreOfferedByTheirProcessors(t *testing.T) {
	a := rent(t, wire.Options{})
	var sizes []int
	for _, o := range a.offers(t, runctl.OfferQuery{VCPU: 3, Memory: 16 << 10, Regions: []string{"US-KS-2"}, Road: runctl.RoadJob}) {
		sizes = append(sizes, o.VCPU)
		assert.Equal(t, runctl.USD(0.03*float64(o.VCPU)), o.Price.Hourly)
		assert.Equal(t, int64(o.VCPU)*2<<10, o.Memory)
		assert.Zero(t, o.GPU)
	}
	assert.Equal(t, []int{8, 16, 32}, sizes)
	assert.Equal(t, []string{"GET /v2/catalog/cpus?include=AVAILABILITY&product=POD&vcpuCount=4"}, a.queries())
}

func TestACatalogThatIsOddGivesNoOfferThatCannotBeLaunched(t *testing.T) {
	for _, body := range []string{
		`{"gpus":[null,{},{"id":"NVIDIA L4","maxCount":{"secure":8},"price":{"secure":-1},"availability":"SOME","novel":1}]}`,
		`{"gpus":null}`, `{"cpus":[null,{"id":"c","vcpu":{"min":0,"max":0}},{"id":"d","vcpu":{"min":-5,"max":2000000000}}]}`,
	} {
		p, err := runpod.New(runpod.Config{APIKey: accountKey, BaseURL: "http://api.runpod.test", Transport: replying(200, body)})
		require.NoError(t, err)
		for _, q := range []runctl.OfferQuery{{}, {GPU: runctl.GPU{Model: "L4"}}} {
			all, err := p.Offers(t.Context(), q)
			require.NoError(t, err)
			for _, o := range all {
				assert.False(t, o.Price.Hourly.Known() && o.Price.Hourly.Nanos <= 0)
				assert.NotEmpty(t, o.Type)
				assert.LessOrEqual(t, len(all), 100)
			}
		}
	}
}
