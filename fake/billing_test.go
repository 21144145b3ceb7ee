package fake_test

import (
	"fmt"
	"math/big"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"runctl"
	"runctl/fake"
)

// meter is an independent bill: it looks at every machine once a second and counts those that are neither
// stopped nor terminated.
type meter struct {
	seconds map[string]int64
	hourly  map[string]int64
}

func (m *meter) read(cloud *fake.Cloud) {
	for _, i := range cloud.Billing() {
		if i.State != runctl.StateStopped {
			m.seconds[i.ID]++
		}
		m.hourly[i.ID] = i.Price.Hourly.Nanos
	}
}

func (m *meter) total() int64 {
	sum := new(big.Rat)
	for id, s := range m.seconds {
		sum.Add(sum, big.NewRat(s*m.hourly[id], 3600))
	}
	f, _ := sum.Float64()
	return int64(f)
}

func TestTheBillAgreesWithAMeterReadEverySecond(t *testing.T) {
	for seed := range uint64(8) {
		t.Run(fmt.Sprint("seed=", seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				rng := rand.New(rand.NewPCG(seed, 1))
				cloud := fake.New(fake.With(fake.Physics{Seed: seed + 1, Boot: 26 * time.Second, Stop: 10 * time.Second, End: 20 * time.Second, Keep: true, Reclaim: time.Hour}))
				cloud.Script("", fake.Script{Duration: 7 * time.Minute})
				offers := fake.Catalog()
				m := meter{map[string]int64{}, map[string]int64{}}
				var ids []string
				stretches := 0
				<-time.After(500 * time.Millisecond) // between the seconds
				for range 3600 {
					switch rng.IntN(40) {
					case 0:
						r := request(fmt.Sprint("k-", len(ids)))
						if rng.IntN(2) == 0 {
							r = withJob(fmt.Sprint("k-", len(ids)), "train")
						}
						r.Offer = offers[rng.IntN(len(offers))]
						r.Lifetime = time.Duration(1+rng.IntN(40)) * time.Minute
						i, err := cloud.Launch(t.Context(), r)
						require.NoError(t, err)
						ids = append(ids, i.ID)
						stretches++
					case 1, 2:
						if len(ids) > 0 {
							id := ids[rng.IntN(len(ids))]
							switch rng.IntN(4) {
							case 0:
								_ = cloud.Stop(t.Context(), id)
							case 1:
								_ = cloud.Start(t.Context(), id)
								stretches++
							case 2:
								_ = cloud.Terminate(t.Context(), id)
							case 3:
								cloud.Preempt(id)
							}
						}
					}
					<-time.After(time.Second / 2)
					m.read(cloud)
					<-time.After(time.Second / 2)
				}
				require.Greater(t, len(ids), 40)
				bill := cloud.Cost()
				require.Equal(t, "USD", bill.Currency)
				// Each stretch is rounded up to a second by the bill and cut at a second by the meter.
				slack := float64(stretches) * float64(runctl.USD(44).Nanos) / 3600
				assert.InDelta(t, m.total(), bill.Nanos, slack, "seed %d: meter %d, bill %s", seed, m.total(), bill)
				assert.Greater(t, float64(bill.Nanos), 5*slack, "the slack must not hide anything")
			})
		})
	}
}

func TestTheBillIsExact(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cloud := fake.New(fake.Offers(runctl.Offer{ID: "x", Price: runctl.Price{Hourly: runctl.USD(3.60)}}))
		assert.Equal(t, runctl.USD(0), cloud.Cost())
		r := request("a")
		r.Offer.ID = "x"
		i, err := cloud.Launch(t.Context(), r)
		require.NoError(t, err)
		<-time.After(10*time.Second + time.Second/2)
		require.NoError(t, cloud.Stop(t.Context(), i.ID))
		assert.Equal(t, runctl.USD(0.011), cloud.Cost(), "a second begun is a second billed")
		<-time.After(time.Hour)
		assert.Equal(t, runctl.USD(0.011), cloud.Cost(), "stopped costs no compute")
		require.NoError(t, cloud.Start(t.Context(), i.ID))
		<-time.After(9*time.Second + time.Second/2)
		require.NoError(t, cloud.Terminate(t.Context(), i.ID))
		<-time.After(time.Hour)
		assert.Equal(t, runctl.USD(0.021), cloud.Cost())
		assert.Empty(t, cloud.Billing())
	})
}

func TestABillInTwoCurrenciesOrWithoutAPriceIsUnknown(t *testing.T) {
	cloud := fake.New(fake.Offers(
		runctl.Offer{ID: "usd", Price: runctl.Price{Hourly: runctl.USD(1)}},
		runctl.Offer{ID: "eur", Price: runctl.Price{Hourly: runctl.MoneyOf(1, "EUR")}},
		runctl.Offer{ID: "none"}))
	for _, id := range []string{"usd", "eur"} {
		r := request(id)
		r.Offer.ID = id
		_, err := cloud.Launch(t.Context(), r)
		require.NoError(t, err)
	}
	assert.False(t, cloud.Cost().Known())
	r := request("none")
	r.Offer.ID = "none"
	_, err := cloud.Launch(t.Context(), r)
	require.NoError(t, err)
	assert.False(t, cloud.Cost().Known())
}
