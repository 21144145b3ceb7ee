package runpod_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"runctl"
	face "runctl/internal/wire/runpod"
	"runctl/runpod"
)

// texts is everything that somebody could print of a value.
func texts(v any) string {
	b, _ := json.Marshal(v)
	return fmt.Sprintf("%v\n%+v\n%#v\n%s\n", v, v, v, b)
}

// TestTheKeyIsSeenNowhere makes every operation fail in every way, with a cloud that repeats what it was sent, and looks at all
// that comes out: errors, logs, events, records, and what is in the pods.
func TestTheKeyIsSeenNowhere(t *testing.T) {
	echo := func(status int, kind string) face.Fault {
		body, _ := json.Marshal(map[string]any{"title": apiKey, "status": status, "detail": "Bearer " + apiKey + " is refused", "errors": []string{apiKey}})
		return face.Fault{Status: status, Kind: kind, Body: string(body), Head: map[string]string{"X-Request-Id": apiKey, "Retry-After": "1"}}
	}
	faults := []face.Fault{{}, {Cut: face.NoReply}, {Cut: face.NoReply, Acts: true}, {Cut: face.Half, Acts: true}, {Hold: 10 * time.Minute}, face.BadGateway, face.EdgeRefuses,
		echo(200, "application/json"), echo(201, "application/json"), {Status: 200, Body: "Bearer " + apiKey, Kind: "text/html"},
		{Status: 302, Head: map[string]string{"Location": "https://elsewhere.test/" + apiKey}}, {Status: 500, Kind: "text/html", Body: "<html>" + apiKey}}
	for _, status := range []int{400, 401, 402, 403, 404, 405, 409, 410, 413, 422, 429, 500, 503} {
		faults = append(faults, echo(status, ""))
	}
	for _, fault := range faults {
		synctest.Test(t, func(t *testing.T) {
			w := newTenant(t, face.Options{}, runpod.Config{})
			var seen strings.Builder
			see := func(v any) { seen.WriteString(texts(v)) }
			var log bytes.Buffer
			var mu sync.Mutex // a poll goes on beside the calls
			var events []runctl.Event
			trace := func(e runctl.Event) {
				mu.Lock()
				defer mu.Unlock()
				events = append(events, e)
			}
			c, err := runctl.New(runctl.Config{Owner: "tester", Secret: secret, Trace: trace,
				Logger: slog.New(slog.NewJSONHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))}, w.p)
			require.NoError(t, err)
			defer c.Close()
			i, err := c.Launch(t.Context(), machine("k1"))
			require.NoError(t, err)
			r, err := c.Start(t.Context(), job("k2"))
			require.NoError(t, err)
			see(i)
			see(i.Native)
			see(w.p)
			see(w.p.REST())
			fmt.Fprintf(&seen, "%v %+v %#v", runpod.Config{APIKey: apiKey}, runpod.Config{APIKey: apiKey}, &runpod.Config{APIKey: apiKey})
			fault.Times = -1
			if !(fault.Status == 0 && fault.Cut == face.Whole && fault.Hold == 0) {
				w.face.Inject(fault)
			}
			ctx := cancelAfter(t, 30*time.Minute)
			for _, call := range []func() (any, error){
				func() (any, error) { return c.Offers(ctx, runctl.OfferQuery{}) },
				func() (any, error) { return c.List(ctx) },
				func() (any, error) { return c.Launch(cancelAfter(t, time.Minute), machine("k3")) },
				func() (any, error) { return c.Get(ctx, i.Ref()) },
				func() (any, error) { return nil, c.StopInstance(cancelAfter(t, time.Minute), i.Ref()) },
				func() (any, error) { return nil, c.StartInstance(cancelAfter(t, time.Minute), i.Ref()) },
				func() (any, error) { return r.Status(ctx) },
				func() (any, error) { return r.Wait(cancelAfter(t, time.Minute)) },
				func() (any, error) {
					return w.p.Connect(cancelAfter(t, time.Minute), i, runctl.Access{Signer: signer(t)})
				},
				func() (any, error) {
					for chunk, err := range r.Logs(cancelAfter(t, time.Minute), runctl.LogQuery{Follow: true}) {
						see(chunk)
						see(err)
					}
					return nil, r.Cancel(cancelAfter(t, time.Minute), 0)
				},
				func() (any, error) { return nil, c.Terminate(cancelAfter(t, time.Minute), i.Ref()) },
				func() (any, error) {
					return c.Reap(cancelAfter(t, time.Minute), runctl.ReapRequest{Only: []runctl.Ref{r.Ref()}})
				},
			} {
				v, err := call()
				see(v)
				see(err)
			}
			_ = c.Close()
			synctest.Wait()
			for _, e := range events {
				see(e)
			}
			seen.Write(log.Bytes())
			w.face.Heal()
			for _, p := range w.face.Pods() {
				see(p)
			}
			assert.NotContains(t, seen.String(), apiKey, "%+v", fault)
			assert.NotContains(t, strings.ToLower(seen.String()), "canary")
		})
	}
}
