package providertest

import (
	"context"
	"fmt"
	"net/http"
	"runtime/debug"
	"runtime/pprof"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"runctl"
)

// rowLimit is how long a whole row may take. A call that ignores its context is left behind.
func (c *check) rowLimit() time.Duration { return max(time.Minute, 4*c.patience()) }

// check is one run of one row.
type check struct {
	h       Harness
	row     Row
	has     map[string]bool
	t       *testing.T // for Harness.New alone: a check does not fail it
	p       runctl.Provider
	cloud   Cloud
	net     *wire
	ctx     context.Context
	id      string        // tells the goroutines of this check apart
	made    int           // launches so far
	plain   *runctl.Offer // what the row launches
	sent    []exchange    // by the last call of eachCall
	subject string        // the machine that eachCall calls with
	doing   atomic.Value
}

// stop ends a check: it is what fail and lack panic with.
type stop struct{ result }

var checks atomic.Int64

func newCheck(t *testing.T, h Harness, has map[string]bool, row Row) *check {
	c := &check{h: h, row: row, has: has, t: t, id: strconv.FormatInt(checks.Add(1), 10)}
	c.doing.Store("")
	base := h.Transport
	if base == nil {
		own := http.DefaultTransport.(*http.Transport).Clone()
		t.Cleanup(own.CloseIdleConnections)
		base = own
	}
	c.net = newWire(base, h.IsLaunch)
	t.Cleanup(c.net.release)
	c.p = h.New(t, c.net)
	if h.Cloud != nil {
		c.cloud = h.Cloud(c.p)
	}
	return c
}

// run runs a row. The test is not failed by it: the result says what was seen.
func run(t *testing.T, h Harness, has map[string]bool, row Row) result {
	for _, n := range row.Needs {
		if !has[n] {
			return result{outcome: notOffered, lacks: []string{n}}
		}
	}
	return newCheck(t, h, has, row).run()
}

func (c *check) run() result {
	ctx, cancel := context.WithTimeout(context.Background(), c.rowLimit())
	defer cancel()
	c.ctx = ctx
	done := make(chan result, 1)
	go func() {
		r := result{outcome: failed, seen: "the check did not end by itself"}
		defer func() { done <- r }()
		defer func() {
			switch x := recover().(type) {
			case nil:
			case stop:
				r = x.result
			default:
				r = result{outcome: failed, seen: fmt.Sprintf("panic in %s: %v\n%s", c.doing.Load(), x, culprit(debug.Stack()))}
			}
		}()
		c.row.check(c)
		r = result{outcome: passed}
	}()
	limit := time.NewTimer(c.rowLimit())
	defer limit.Stop()
	select {
	case r := <-done:
		c.cleanUp()
		return r
	case <-limit.C:
		return result{outcome: failed, seen: fmt.Sprintf("%s did not return within %s", c.doing.Load(), c.rowLimit())}
	}
}

// culprit cuts a stack to the frame that panicked.
func culprit(stack []byte) string {
	lines := strings.Split(string(stack), "\n")
	if i := slices.IndexFunc(lines, func(l string) bool { return strings.HasPrefix(l, "panic(") }); i >= 0 && i+4 <= len(lines) {
		lines = lines[i+2 : min(i+6, len(lines))]
	}
	return strings.Join(lines, "\n")
}

// cleanUp ends what the row has launched, as well as the provider can.
func (c *check) cleanUp() {
	c.net.release()
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() { _ = recover() }()
		ctx, cancel := context.WithTimeout(context.Background(), c.patience())
		defer cancel()
		left, err := c.p.List(ctx, runctl.ListQuery{Owner: owner})
		for _, i := range left {
			if err == nil && i.State.Billing() && strings.HasPrefix(i.Label, "rc1-"+owner+"-") {
				_ = c.p.Terminate(ctx, i.ID)
			}
		}
	}()
	limit := time.NewTimer(c.patience() + time.Second)
	defer limit.Stop()
	select {
	case <-done:
	case <-limit.C:
	}
}

// failf ends the check: the rule is broken, and this was seen.
func (c *check) failf(format string, args ...any) {
	panic(stop{result{outcome: failed, seen: fmt.Sprintf(format, args...)}})
}

// lack ends the check: it cannot be made here.
func (c *check) lack(what string) {
	panic(stop{result{outcome: notOffered, lacks: []string{what}}})
}

// must ends the check when a step that is not the row's subject fails.
func (c *check) must(op string, err error) {
	if err != nil {
		c.failf("%s failed: %v", op, err)
	}
}

// do calls the provider. Goroutines that the call leaves behind can be told by their label.
func (c *check) do(op string, f func(ctx context.Context)) {
	c.doing.Store(op)
	pprof.Do(c.ctx, pprof.Labels("providertest", c.id), f)
	c.doing.Store("")
}

// probe finds out what the provider and the harness offer.
func probe(t *testing.T, h Harness) map[string]bool {
	has := map[string]bool{}
	c := newCheck(t, h, has, Row{check: func(c *check) {
		has[needStates] = c.cloud.SetState != nil || len(h.States) > 0
		has[needStranger] = c.cloud.Stranger != nil
		has[needHoldEnds] = c.cloud.HoldEnds != nil
		has[needRefusals] = c.cloud.Refuse != nil || len(h.Refusals) > 0
		_, has[needStop] = find[runctl.Stopper](c.p)
		_, has[needShell] = find[runctl.Connector](c.p)
		has[needPOSIX] = has[needShell] && h.Commands.Exit == nil
		_, has[needJob] = find[runctl.JobRunner](c.p)
		_, has[needNotify] = find[runctl.Notifier](c.p)
		info := c.p.Info()
		has[needBoots], has[needOwnFiles] = info.Boots, !info.InPlace
		has[needIdempotent], has[needExits] = info.Idempotent, info.Exits && has[needJob]
		offers, _ := c.p.Offers(c.ctx, runctl.OfferQuery{})
		for _, o := range offers {
			has[needSpot] = has[needSpot] || o.Market == runctl.Spot
		}
		_, _ = c.p.List(c.ctx, runctl.ListQuery{})
		has[needHTTP] = c.net.count() > 0
		has[needWords] = has[needHTTP] && h.States[runctl.StateRunning] != ""
	}})
	c.run()
	return has
}

// find is runctl.As, with an end.
func find[T any](p runctl.Provider) (T, bool) {
	for range 16 {
		if t, ok := p.(T); ok {
			return t, true
		}
		u, ok := p.(interface{ Unwrap() runctl.Provider })
		if !ok || p == nil {
			break
		}
		p = u.Unwrap()
	}
	var zero T
	return zero, false
}
