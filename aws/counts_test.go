package aws_test

import (
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"runctl"
	face "runctl/internal/wire/aws"
)

// ops are the operations that were asked for after the first n, in order.
func ops(f *face.Face, n int) (all []string) {
	for _, c := range f.Calls()[n:] {
		all = append(all, c.Op)
	}
	return all
}

// TestALaunchIsAtMostThreeCallsUpToTheMachine counts what comes between Launch and the reply of RunInstances, one after the other, when the
// process has launched before: the catalogue, prices, image, network and group are known.
func TestALaunchIsAtMostThreeCallsUpToTheMachine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTenant(t, face.Options{})
		w.launch("k1")
		n := len(w.face.Calls())
		w.launch("k2")
		made := ops(w.face, n)
		assert.Equal(t, "RunInstances", made[len(made)-1], "nothing comes after it: tags are there from the birth")
		assert.LessOrEqual(t, len(made), 3, "%v", made)

		offers, err := w.c.Offers(t.Context(), machine("").Needs)
		require.NoError(t, err)
		chosen := machine("")
		chosen.Offer, chosen.Needs = &offers[0], runctl.OfferQuery{}
		n = len(w.face.Calls())
		_, err = w.c.Launch(t.Context(), chosen)
		require.NoError(t, err)
		assert.Equal(t, []string{"RunInstances"}, ops(w.face, n), "with a new key and a chosen offer it is the one call")
	})
}

func TestAColdLaunchCostsABoundedNumberOfCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTenant(t, face.Options{})
		w.launch("k1")
		assert.LessOrEqual(t, w.face.Served(""), 20, "%v", ops(w.face, 0))
	})
}

// TestWatchingAThousandMachinesCostsPages has a minute of a thousand waiters. Each of them looks at its machine once, and from then on
// all of them together look at pages.
func TestWatchingAThousandMachinesCostsPages(t *testing.T) {
	count := func(machines int) (looks, pages int) {
		synctest.Test(t, func(t *testing.T) {
			w := newTenant(t, face.Options{Pending: time.Minute})
			var all []runctl.Ref
			for n := range machines { // sealed by the owner's secret, with tokens of their own
				m := runctl.Mark{Owner: "tester", Key: fmt.Sprintf("k%d", n), Controller: "abc", Lifetime: time.Hour, Digest: "defg"}
				label := m.Label(secret)
				id := w.face.Add(fmt.Sprintf("%sZ%d", label, n), map[string]string{"runctl:mark": label, "runctl:owner": "tester"})
				all = append(all, runctl.Ref{Provider: "aws", Owner: "tester", Key: m.Key, ID: id})
			}
			began := time.Now()
			var waiters sync.WaitGroup
			for _, ref := range all {
				waiters.Go(func() {
					_, err := w.c.WaitInstance(t.Context(), ref, runs)
					assert.NoError(t, err)
				})
			}
			waiters.Wait()
			assert.GreaterOrEqual(t, time.Since(began), time.Minute)
			for _, c := range w.face.Calls() {
				require.Equal(t, "DescribeInstances", c.Op)
				if c.Params["InstanceIds"] != nil {
					looks++
				} else {
					pages++
				}
			}
		})
		return looks, pages
	}
	_, one := count(1)
	looks, thousand := count(1000)
	t.Logf("a minute of waiting: %d pages for one machine; for 1000 %d pages, and a first look each", one, thousand)
	assert.Equal(t, 1000, looks)
	assert.LessOrEqual(t, thousand, one+2, "a page holds a thousand")
	assert.LessOrEqual(t, one, 8, "one look in ten seconds")
}

func TestEachCallHasItsWorstCase(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTenant(t, face.Options{})
		i := w.launch("k1")
		for _, x := range []struct {
			name string
			call func() error
			want []string
		}{
			{"Get", func() error { _, err := w.p.Get(t.Context(), i.ID); return err }, []string{"DescribeInstances"}},
			{"List", func() error { _, err := w.p.List(t.Context(), runctl.ListQuery{Owner: "tester"}); return err }, []string{"DescribeInstances"}},
			{"Stop", func() error { return w.p.Stop(t.Context(), i.ID) }, []string{"StopInstances"}},
			{"Start", func() error { return w.p.Start(t.Context(), i.ID) }, []string{"StartInstances"}},
			{"Offers", func() error {
				_, err := w.p.Offers(t.Context(), machine("").Needs)
				return err
			}, nil},
			{"Terminate", func() error { return w.p.Terminate(t.Context(), i.ID) }, []string{"TerminateInstances"}},
		} {
			pass(time.Second)
			n := len(w.face.Calls())
			require.NoError(t, x.call(), x.name)
			assert.Equal(t, x.want, ops(w.face, n), x.name)
		}
	})
}
