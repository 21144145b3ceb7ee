package runctl

import (
	"bytes"
	"context"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// crowd is a cloud of many machines, some of them vessels whose ends its listings know. It counts calls, and
// a run that is asked for by itself.
type crowd struct {
	*modelCloud
	perRun  atomic.Int64
	mangle  func(nth int, all []Instance) ([]Instance, error) // of the nth list since it was set
	lists   int
	getting func(id string) error
}

func (w *crowd) List(ctx context.Context, q ListQuery) ([]Instance, error) {
	all, err := w.modelCloud.List(ctx, q)
	w.mu.Lock()
	defer w.mu.Unlock()
	if err == nil && w.mangle != nil {
		w.lists++
		return w.mangle(w.lists, all)
	}
	return all, err
}

func (w *crowd) Get(ctx context.Context, id string) (Instance, error) {
	i, err := w.modelCloud.Get(ctx, id)
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.getting != nil {
		if g := w.getting(id); g != nil {
			return i, g
		}
	}
	return i, err
}

func (w *crowd) Process(context.Context, Instance) (Process, error) {
	return countedRun{leakyRun{errReset}, &w.perRun}, nil
}

type countedRun struct {
	leakyRun
	calls *atomic.Int64
}

func (r countedRun) Status(ctx context.Context) (Status, error) {
	r.calls.Add(1)
	return r.leakyRun.Status(ctx)
}
func (r countedRun) Wait(ctx context.Context) (Status, error) {
	r.calls.Add(1)
	return r.leakyRun.Wait(ctx)
}

func (w *crowd) count(op string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.calls[op]
}

func newCrowd(t testing.TB, machines int) (*Client, *crowd, []Instance) {
	w := &crowd{modelCloud: newModelCloud()}
	w.info.Exits = true
	c := newTestClient(t, Config{}, w)
	for n := range machines {
		m := Mark{Owner: "tester", Key: fmt.Sprintf("k%d", n), Controller: c.cfg.Controller, Lifetime: 24 * time.Hour, Digest: "aaaa"}
		w.add(LaunchRequest{Label: m.Label(c.cfg.Secret), Token: m.Key, Offer: w.offers[0]})
	}
	all, err := c.List(t.Context())
	require.NoError(t, err)
	return c, w, all
}

// A thousand machines and a thousand runs at once cost one List a tick, and nothing else.
func TestWaitingForThousandsIsOneListATick(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const half = 1000
		c, w, all := newCrowd(t, 2*half)
		a := c.providers[0]
		var wg sync.WaitGroup
		var ended atomic.Int64
		for n, i := range all {
			if n%2 == 0 {
				wg.Go(func() {
					got, err := c.wait(t.Context(), a, i, func(i Instance) bool { return i.State == StateStopped })
					assert.NoError(t, err)
					assert.Equal(t, i.ID, got.ID)
					ended.Add(1)
				})
				continue
			}
			i.Road = RoadJob
			r, err := c.newRun(t.Context(), a, i, i.Mark.Key)
			require.NoError(t, err)
			wg.Go(func() {
				receipt, err := r.Wait(t.Context())
				assert.NoError(t, err)
				assert.Equal(t, i.Mark.Key, receipt.Run)
				ended.Add(1)
			})
		}
		synctest.Wait()
		w.mu.Lock()
		clear(w.calls)
		w.mu.Unlock()
		const ticks = 30
		pass(ticks*10*time.Second + time.Second)
		require.Equal(t, ticks, w.count("list"))
		require.Zero(t, ended.Load())
		w.mu.Lock()
		for _, m := range w.machines {
			m.State = StateStopped
			m.Exit = &Receipt{Run: mustKey(m.Label), Cause: CauseExit}
		}
		w.mu.Unlock()
		wg.Wait()
		synctest.Wait()
		require.EqualValues(t, 2*half, ended.Load())
		require.Equal(t, ticks+1, w.count("list"), "all learn of it from one listing")
		require.Equal(t, map[string]int{"list": ticks + 1}, w.calls, "no call per machine")
		require.Zero(t, w.perRun.Load(), "nor per run")
		pass(time.Hour)
		require.Equal(t, ticks+1, w.count("list"), "nobody waits, nobody lists")
	})
}

func mustKey(label string) string { _, key, _ := LabelOwner(label); return key }

// A list that was under way when a waiter joined says how things were before: it is not his answer.
func TestAnOlderListIsNoAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, w, all := newCrowd(t, 1)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		old := &slowList{crowd: w, took: make(chan struct{}), free: make(chan struct{})}
		c.providers[0].Provider = old
		var wg sync.WaitGroup
		wg.Go(func() { _, _ = c.WaitInstance(ctx, all[0].Ref(), func(Instance) bool { return false }) })
		<-old.took // the list has been read, with the machine running, and has not arrived yet
		w.mu.Lock()
		w.machines[all[0].ID].State = StatePending // it was stopped and started meanwhile
		w.mu.Unlock()
		start := time.Now()
		wg.Go(func() {
			i, err := c.wait(t.Context(), c.providers[0], all[0], func(i Instance) bool { return i.State == StateRunning })
			assert.NoError(t, err)
			assert.GreaterOrEqual(t, time.Since(start), time.Minute, "it runs since a minute after the call, whatever an older list says")
			assert.Equal(t, StateRunning, i.State)
		})
		synctest.Wait()
		close(old.free)
		pass(time.Minute)
		w.mu.Lock()
		w.machines[all[0].ID].State = StateRunning
		w.mu.Unlock()
		pass(time.Minute)
		cancel()
		wg.Wait()
	})
}

// slowList answers its first list late, with what it was when asked.
type slowList struct {
	*crowd
	once       sync.Once
	took, free chan struct{}
}

func (s *slowList) List(ctx context.Context, q ListQuery) ([]Instance, error) {
	all, err := s.crowd.List(ctx, q)
	s.once.Do(func() { close(s.took); <-s.free })
	return all, err
}

// fresh has the same promise for those who ask at once, and shares what it can.
func TestListsAreSharedByThoseWhoAskTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, w, _ := newCrowd(t, 3)
		w.faults = nil
		for n := 1; n <= 40; n++ {
			w.faults = append(w.faults, modelFault{op: "list", nth: n, slow: time.Second})
		}
		before := w.count("list")
		var wg sync.WaitGroup
		for n := range 100 {
			wg.Go(func() {
				pass(time.Duration(n) * 30 * time.Millisecond)
				asked := time.Now()
				s := c.fresh(t.Context(), c.providers[0])
				assert.NoError(t, s.err)
				assert.False(t, s.begun.Before(asked), "begun before it was asked for")
			})
		}
		wg.Wait()
		require.LessOrEqual(t, w.count("list")-before, 5, "three seconds of callers, one list a second")
	})
}

func TestNothingIsLeftAfterTheLastWaiter(t *testing.T) {
	for name, leave := range map[string]func(*Client, context.CancelFunc){
		"the callers leave":    func(_ *Client, cancel context.CancelFunc) { cancel() },
		"the client is closed": func(c *Client, _ context.CancelFunc) { _ = c.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { // a bubble panics over goroutines that are left
				c, _, all := newCrowd(t, 50)
				synctest.Wait()
				before := bubbled()
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				errs := make(chan error, len(all))
				for _, i := range all {
					go func() {
						_, err := c.WaitInstance(ctx, i.Ref(), func(Instance) bool { return false })
						errs <- err
					}()
				}
				pass(25 * time.Second)
				synctest.Wait()
				require.Greater(t, bubbled(), before+len(all), "waiters, and one who looks")
				leave(c, cancel)
				for range all {
					err := <-errs
					if name == "the client is closed" {
						require.ErrorIs(t, err, ErrClosed)
						require.ErrorContains(t, err, "stopped waiting; last seen running")
					} else {
						require.ErrorIs(t, err, context.Canceled)
						require.NotErrorIs(t, err, ErrLost)
					}
				}
				synctest.Wait()
				require.Equal(t, before, bubbled())
			})
		})
	}
}

// bubbled counts the goroutines of the caller's bubble: other tests have theirs.
func bubbled() int {
	var all []byte
	for size := 1 << 20; len(all) == 0 || len(all) == size/2; size *= 2 { // cut, where it is full
		all = make([]byte, size)
		all = all[:runtime.Stack(all, true)]
	}
	own, _, _ := bytes.Cut(all, []byte("\n")) // the caller comes first
	_, own, found := bytes.Cut(own, []byte("synctest bubble"))
	if !found {
		return 0
	}
	own, _, _ = bytes.Cut(own, []byte("]"))
	return bytes.Count(all, append([]byte("synctest bubble"), append(bytes.Clone(own), ']')...))
}

func TestACloudThatFailsEndsNoWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, w, all := newCrowd(t, 1)
		w.mangle = func(nth int, all []Instance) ([]Instance, error) {
			if nth%3 == 1 {
				return nil, errReset
			}
			if nth%3 == 2 {
				return nil, &Error{Kind: ErrNotFound, Msg: "no such account"} // the worst that it can say
			}
			return all, nil
		}
		w.getting = func(string) error { return errReset }
		ctx, cancel := context.WithTimeout(t.Context(), 24*time.Hour)
		defer cancel()
		i, err := c.wait(ctx, c.providers[0], all[0], func(i Instance) bool { return !i.State.Billing() })
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.NotErrorIs(t, err, ErrLost)
		require.Equal(t, StateRunning, i.State)
	})
}

func TestGoneNeedsTwoLooks(t *testing.T) {
	gone := &Error{Kind: ErrNotFound}
	for name, k := range map[string]struct {
		gets  []error // in turn, as long as the list lacks the machine; nil: it is there
		lacks int     // lists that lack it
		ends  bool
	}{
		"missing from one list, known by its id":     {gets: []error{nil}, lacks: 1},
		"missing from a thousand, known by its id":   {gets: []error{nil}, lacks: 1000},
		"unknown once, then listed":                  {gets: []error{gone}, lacks: 1},
		"unknown once, then known":                   {gets: []error{gone, nil, gone, nil, gone, nil}, lacks: 6},
		"unknown once, then out of reach":            {gets: []error{gone, errReset, errReset}, lacks: 3},
		"unknown, and another's machine has its id":  {gets: []error{&Error{Kind: ErrConflict}}, lacks: 5},
		"unknown twice":                              {gets: []error{gone, gone}, lacks: 1000, ends: true},
		"unknown, out of reach for a while, unknown": {gets: []error{gone, errReset, errReset, gone}, lacks: 1000, ends: true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, w, all := newCrowd(t, 1)
				asked := 0
				w.mangle = func(nth int, all []Instance) ([]Instance, error) {
					if nth <= k.lacks {
						return nil, nil
					}
					return all, nil
				}
				w.getting = func(string) error { asked++; return k.gets[(asked-1)%len(k.gets)] }
				ctx, cancel := context.WithTimeout(t.Context(), 3*time.Hour)
				defer cancel()
				i, err := c.wait(ctx, c.providers[0], all[0], func(i Instance) bool { return i.State == StateStopped })
				if k.ends {
					require.ErrorIs(t, err, ErrLost)
					require.ErrorContains(t, err, "the cloud no longer knows it")
					require.Equal(t, StateTerminated, i.State)
					require.Equal(t, len(k.gets), asked)
					return
				}
				require.ErrorIs(t, err, context.DeadlineExceeded)
				require.Equal(t, StateRunning, i.State)
			})
		})
	}
}

// An id that was given to another machine of ours: its state and its receipt are not what was waited for.
func TestAnotherMachineUnderTheSameID(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, w, all := newCrowd(t, 1)
		other := plainMark
		other.Owner = "tester"
		label := other.Label(c.cfg.Secret)
		w.mangle = func(_ int, all []Instance) ([]Instance, error) {
			all[0].Label, all[0].State, all[0].Exit = label, StateStopped, &Receipt{Cause: CauseExit}
			return all, nil
		}
		w.getting = func(string) error { return &Error{Kind: ErrConflict} }
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		i := all[0]
		i.Road = RoadJob
		r, err := c.newRun(ctx, c.providers[0], i, i.Mark.Key)
		require.NoError(t, err)
		_, err = r.Wait(ctx)
		require.ErrorIs(t, err, ErrLost, "another run's receipt is not ours")
		require.ErrorContains(t, err, "its id belongs to another machine")
		require.Nil(t, r.Instance().Exit)
	})
}

// One odd listing proves nothing: a machine that has its own mark again in the next one was never gone.
func TestOneListingWithAnothersMarkIsNoEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, w, all := newCrowd(t, 1)
		other := plainMark
		other.Owner = "tester"
		label := other.Label(c.cfg.Secret)
		w.mangle = func(nth int, all []Instance) ([]Instance, error) {
			if nth == 1 {
				all[0].Label = label
			}
			return all, nil
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		i, err := c.wait(ctx, c.providers[0], all[0], func(i Instance) bool { return i.State == StateStopped })
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Equal(t, StateRunning, i.State)
	})
}

func TestChangesWakeAtOnceButNotPerChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, w, all := newCrowd(t, 1)
		n := &notifying{crowd: w, changed: make(chan struct{})}
		c.providers[0].Provider = n
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Second)
		defer cancel()
		go func() {
			for ctx.Err() == nil { // a busy account: ten changes a second
				pass(100 * time.Millisecond)
				n.change()
			}
		}()
		before := w.count("list")
		_, err := c.wait(ctx, c.providers[0], all[0], func(Instance) bool { return false })
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.InDelta(t, 100, w.count("list")-before, 10, "a change is seen within a tenth of a tick, and no more than ten times a tick")
		pass(time.Second)
	})
}

type notifying struct {
	*crowd
	cmu     sync.Mutex
	changed chan struct{}
}

func (n *notifying) Changed() <-chan struct{} { n.cmu.Lock(); defer n.cmu.Unlock(); return n.changed }

func (n *notifying) change() {
	n.cmu.Lock()
	defer n.cmu.Unlock()
	close(n.changed)
	n.changed = make(chan struct{})
}
