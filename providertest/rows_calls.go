package providertest

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"

	"runctl"
)

// callRows are about how methods behave, whatever they do.
var callRows = []Row{
	{
		Name: "Calls/EndedContext",
		Rule: "a call whose context has ended before sends nothing and returns an error",
		Do:   "make requests with the context that was given; do not replace one that has ended",
		check: func(c *check) {
			_, i := c.launch()
			before := len(c.billing())
			calls := c.calls(i.ID)
			ctx, cancel := context.WithCancel(c.ctx)
			cancel()
			for _, call := range calls {
				n := c.net.count()
				var err error
				c.do(call.name, func(context.Context) { err = call.do(ctx) })
				if sent := c.net.count() - n; sent > 0 || err == nil && call.name == "Launch" || err == nil && c.has[needHTTP] {
					c.failf("the context had ended; %s sent %d requests and returned %s", call.name, sent, describe(err))
				}
			}
			if len(c.billing()) != before {
				c.failf("the context had ended; before the calls the cloud held %d machine, and now %s", before, c.books())
			}
		},
	},
	{
		Name: "Calls/Cancel", Needs: needs(needHTTP),
		Rule: "a call whose context ends while the cloud does not answer returns at once, with an error",
		Do:   "pass the context to every request, and wait for nothing without it",
		check: func(c *check) {
			c.cancelled(func(call call, late bool, err error) {
				if late {
					c.failf("%s did not return within %s after its context had ended", call.name, c.patience())
				}
				if err == nil {
					c.failf("%s was cancelled while the cloud did not answer, and returned no error", call.name)
				}
			})
		},
	},
	{
		Name: "Calls/CancelLeavesNothing", Needs: needs(needHTTP),
		Rule: "a call that was cancelled leaves no goroutine behind",
		Do:   "send with http.NewRequestWithContext in the caller's goroutine, instead of waiting beside one that goes on",
		check: func(c *check) {
			_, i := c.launch()
			c.subject = i.ID
			before, _ := c.goroutines()
			c.cancelled(func(call call, late bool, _ error) {
				if late {
					c.lack("calls that can be cancelled")
				}
				if left := c.leftBehind(before); left != "" {
					c.failf("%s was cancelled and has returned; left behind is\n%s", call.name, left)
				}
			})
		},
	},
	{
		Name: "Calls/LeaveNothing",
		Rule: "the methods start no goroutines that outlive them",
		Do:   "watchers, pollers and caches are the client's",
		check: func(c *check) {
			_, i := c.launch()
			for _, call := range c.calls(i.ID) {
				c.do(call.name, func(ctx context.Context) { _ = call.do(ctx) })
			}
			if left := c.leftBehind(0); left != "" {
				c.failf("after all methods have returned, left behind is\n%s", left)
			}
		},
	},
	{
		Name: "Calls/NoPolling", Needs: needs(needHTTP),
		Rule: "a method asks once: it does not wait for a machine by asking again",
		Do:   "return what the first reply says; the client polls, one poller for all machines",
		check: func(c *check) {
			through := func(_ *http.Request, _ exchange, send send) (*http.Response, error) { return send() }
			c.eachCall(through, func(call call, _ error) {
				if times := repeated(c.sent); times > 1 {
					c.failf("the cloud answered every request; %s sent one of them %d times", call.name, times)
				}
			})
		},
	},
	{
		Name: "Calls/NoSleep",
		Rule: "a method returns as soon as the cloud has answered: it does not sleep",
		Do:   "pacing, back-off and waiting are the client's",
		check: func(c *check) {
			slow := c.h.Slow
			if slow == 0 {
				slow = 250 * time.Millisecond
			}
			best := map[string]time.Duration{}
			const tries = 20 // a computer that has much else to do is slow now and then, a sleep always
			for range tries {
				_, i := c.launch()
				for _, call := range c.calls(i.ID) {
					from := time.Now()
					c.do(call.name, func(ctx context.Context) { _ = call.do(ctx) })
					if took := time.Since(from); best[call.name] == 0 || took < best[call.name] {
						best[call.name] = took
					}
				}
				if max(best["Launch"], best["Get"], best["List"], best["Terminate"], best["Offers"]) <= slow {
					return
				}
			}
			for name, took := range best {
				if took > slow {
					c.failf("%d times the cloud answered at once; the fastest %s took %s", tries, name, took.Round(time.Millisecond))
				}
			}
		},
	},
	{
		Name: "Calls/Concurrent",
		Rule: "methods may be called concurrently: each call returns its own answer (run the suite with -race too)",
		Do:   "keep no state of a call in the provider",
		check: func(c *check) {
			const n = 4
			var ids []string
			for range n {
				_, i := c.launch()
				ids = append(ids, i.ID)
			}
			for _, id := range ids {
				if got, err := c.get(id); err != nil || got.ID != id {
					c.lack("a Get that finds its machine")
				}
			}
			start := c.net.count()
			c.net.on(together(n, func(exchange) bool { return c.net.count()-start <= n }))
			var all sync.WaitGroup
			got, errs := make([]runctl.Instance, n), make([]error, n)
			for k, id := range ids {
				all.Go(func() { got[k], errs[k] = c.get(id) })
			}
			all.Wait()
			c.net.on(nil)
			for k, id := range ids {
				if errs[k] != nil || got[k].ID != id {
					c.failf("%d concurrent Gets; that of %q returned %s", n, id, outcome(got[k], errs[k]))
				}
			}
			for k := range n {
				all.Go(func() { _, errs[k] = c.list(owner); errs[k] = errors.Join(errs[k], c.terminate(ids[k])) })
			}
			all.Wait()
			c.must("a concurrent List or Terminate", errors.Join(errs...))
		},
	},
	{
		Name: "Calls/NoQueue", Needs: needs(needHTTP),
		Rule: "a call that hangs does not hold up the others",
		Do:   "hold no lock while a request is under way",
		check: func(c *check) {
			_, a := c.launch()
			_, b := c.launch()
			entered := make(chan struct{}, 1)
			c.net.on(c.net.hang(entered, false))
			hung := make(chan struct{})
			ctx, cancel := context.WithCancel(c.ctx)
			defer func() {
				cancel()
				c.net.release() // for a Get that does not obey
				<-hung
			}()
			go func() {
				defer close(hung)
				c.do("Get", func(context.Context) { _, _ = c.p.Get(ctx, a.ID) })
			}()
			<-entered
			c.net.on(nil)
			done := make(chan struct{})
			go func() {
				defer close(done)
				c.do("Get", func(context.Context) { _, _ = c.p.Get(ctx, b.ID) })
			}()
			limit := time.NewTimer(c.patience())
			defer limit.Stop()
			select {
			case <-done:
			case <-limit.C:
				cancel()
				<-done
				c.failf("one Get hung; another one, that the cloud would have answered, did not return within %s", c.patience())
			}
		},
	},
}

// cancelled calls each method while the cloud hangs, cancels it, and has the outcome judged. A call that
// is late has not returned by then.
func (c *check) cancelled(judge func(call call, late bool, err error)) {
	if c.subject == "" {
		_, i := c.launch()
		c.subject = i.ID
	}
	for _, call := range c.calls(c.subject) {
		entered := make(chan struct{}, 1)
		c.net.on(c.net.hang(entered, false))
		ctx, cancel := context.WithCancel(c.ctx)
		done := make(chan error, 1)
		go func() {
			c.do(call.name, func(context.Context) { done <- call.do(ctx) })
		}()
		select {
		case <-entered:
			cancel()
			limit := time.NewTimer(c.patience())
			select {
			case err := <-done:
				judge(call, false, err)
			case <-limit.C:
				judge(call, true, nil)
			}
			limit.Stop()
		case <-done: // it sends nothing
			cancel()
		}
		c.net.on(nil)
	}
}
