package cloudtest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"runctl"
	"runctl/internal/wire"
)

// texts is everything that somebody could print of a value.
func texts(v any) string {
	if s, ok := v.(string); ok {
		return s + "\n"
	}
	b, _ := json.Marshal(v)
	return fmt.Sprintf("%v\n%+v\n%#v\n%s\n%s\n", v, v, v, v, b)
}

// failures are the ways in which every operation of the sweep fails. The cloud repeats what it was sent wherever a text of its own can.
func (c Cloud) failures() []wire.Fault {
	echo := c.Echo
	if echo == nil {
		echo = func(status int) wire.Fault { return c.Refuse(status, Sent+" is refused: "+Sent) }
	}
	all := append([]wire.Fault{{}, {Cut: wire.NoReply}, {Cut: wire.NoReply, Acts: true}, {Cut: wire.Half, Acts: true}, {Hold: 10 * time.Minute},
		{Status: 502, Kind: "text/html", Body: "<html><head><title>502 Bad Gateway</title></head></html>"}, {Status: 200, Kind: "text/html", Body: Sent},
		{Status: 302, Head: map[string]string{"Location": "https://elsewhere.test/" + Bare}}, {Status: 500, Kind: "text/html", Body: "<html>" + Sent}}, c.Failures...)
	for _, status := range []int{200, 201, 400, 401, 402, 403, 404, 405, 409, 410, 413, 422, 429, 500, 503} {
		f := echo(status)
		f.Head = map[string]string{"X-Request-Id": Sent, "X-Amzn-Requestid": Sent, "Retry-After": "1"}
		all = append(all, f)
	}
	for i := range all {
		if f := &all[i]; f.Status != 0 {
			head := map[string]string{repeats: "1"}
			maps.Copy(head, f.Head)
			f.Head = head
		}
		all[i].Times = -1
	}
	return all
}

// KeySweep makes every operation fail in every way, with a cloud that repeats what it was sent, and looks at all that comes out: errors,
// logs, events, records, and what stands at the cloud. Neither the account's secrets are in it nor what authorised a request.
func KeySweep(t *testing.T, c Cloud) {
	t.Parallel()
	for _, fault := range c.failures() {
		synctest.Test(t, func(t *testing.T) {
			a := c.Open(t, Physics{})
			s := &sweep{a: a}
			s.make(t, c, fault)
			seen := s.text()
			lower := strings.ToLower(seen)
			for _, secret := range append(a.tap.tokens(), c.Secrets...) {
				if n := strings.Index(lower, strings.ToLower(secret)); n >= 0 {
					t.Fatalf("%+v: …%s…", fault, seen[max(0, n-300):min(len(seen), n+100)])
				}
			}
		})
	}
}

// sweep is all that was seen of one account.
type sweep struct {
	a      *Account
	seen   strings.Builder
	log    bytes.Buffer
	mu     sync.Mutex // a poll goes on beside the calls
	events []runctl.Event
}

func (s *sweep) see(values ...any) {
	for _, v := range values {
		s.seen.WriteString(texts(v))
	}
}

func (s *sweep) trace(e runctl.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.events = append(s.events, e)
}

func (s *sweep) text() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range s.events {
		s.see(e)
	}
	return s.seen.String() + s.log.String()
}

// make makes every call under the fault.
func (s *sweep) make(t *testing.T, c Cloud, fault wire.Fault) {
	a := s.a
	client := a.over(a.P, runctl.Config{Trace: s.trace, Logger: slog.New(slog.NewJSONHandler(&s.log, &slog.HandlerOptions{Level: slog.LevelDebug}))})
	i, err := client.Launch(t.Context(), a.Machine("k1"))
	require.NoError(t, err)
	s.see(i, i.Native, a.P)
	var run *runctl.Run
	if c.OnJobRoad {
		run, err = client.Start(t.Context(), c.Job("k2"))
		require.NoError(t, err)
		s.see(run.Instance(), run.Instance().Native)
	}
	if !fault.OnlyWaits() || fault.Hold > 0 {
		a.Face.Inject(fault)
	}
	for _, call := range s.calls(t, c, client, i, run) {
		v, err := call()
		s.see(v, err)
	}
	_ = client.Close()
	synctest.Wait()
	a.Face.Heal()
	s.see(c.Shown(a)...)
}

// calls are all operations, each within the time that a caller may have.
func (s *sweep) calls(t *testing.T, c Cloud, client *runctl.Client, i runctl.Instance, run *runctl.Run) []func() (any, error) {
	type call = func() (any, error)
	long := CancelAfter(t, 30*time.Minute)
	brief := func() context.Context { return CancelAfter(t, time.Minute) }
	all := []call{
		func() (any, error) { return client.Offers(long, runctl.OfferQuery{}) },
		func() (any, error) { return client.List(long) },
		func() (any, error) { return client.Launch(brief(), s.a.Machine("k3")) },
		func() (any, error) { return client.Start(brief(), c.Job("k4")) },
		func() (any, error) { return client.Get(long, i.Ref()) },
	}
	if _, ok := runctl.As[runctl.Stopper](s.a.P); ok {
		all = append(all, func() (any, error) { return nil, client.StopInstance(brief(), i.Ref()) },
			func() (any, error) { return nil, client.StartInstance(brief(), i.Ref()) })
	}
	if p, ok := runctl.As[runctl.Connector](s.a.P); ok {
		all = append(all, func() (any, error) { return p.Connect(brief(), i, runctl.Access{Signer: Signer(t)}) })
	}
	if c.Calls != nil {
		all = append(all, c.Calls(s.a)...)
	}
	reap := runctl.ReapRequest{Most: 10}
	if run != nil {
		reap.Only = []runctl.Ref{run.Ref()}
		all = append(all, func() (any, error) { return run.Status(long) }, func() (any, error) { return run.Wait(brief()) },
			func() (any, error) {
				for chunk, err := range run.Logs(brief(), runctl.LogQuery{Follow: true}) {
					s.see(chunk, err)
				}
				return nil, run.Cancel(brief(), 0)
			})
	}
	return append(all, func() (any, error) { return nil, client.Terminate(brief(), i.Ref()) },
		func() (any, error) { return client.Reap(brief(), reap) })
}
