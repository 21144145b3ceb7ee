package lyceum_test

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
	face "runctl/internal/wire/lyceum"
	"runctl/lyceum"
)

// echoes are ways to fail in which a cloud repeats what it was sent.
func echoes() []face.Fault {
	echo := func(status int, kind string) face.Fault {
		body, _ := json.Marshal(map[string]any{"detail": "Bearer " + apiKey + " is refused", "errors": []string{apiKey}})
		return face.Fault{Status: status, Kind: kind, Body: string(body), Head: map[string]string{"X-Request-Id": apiKey, "Retry-After": "1"}}
	}
	all := []face.Fault{{}, {Cut: face.NoReply}, {Cut: face.NoReply, Acts: true}, {Cut: face.Half, Acts: true}, {Hold: 10 * time.Minute}, face.BadGateway,
		{Status: 200, Body: "Bearer " + apiKey, Kind: "text/html"}, {Status: 302, Head: map[string]string{"Location": "https://elsewhere.test/" + apiKey}},
		{Status: 500, Kind: "text/html", Body: "<html>" + apiKey}}
	list, _ := json.Marshal(map[string]any{"detail": []any{map[string]any{"loc": []any{"body", apiKey}, "msg": apiKey, "type": apiKey, "input": apiKey}}})
	all = append(all, face.Fault{Status: 422, Body: string(list)})
	for _, status := range []int{200, 400, 401, 402, 403, 404, 405, 409, 422, 429, 500, 503} {
		all = append(all, echo(status, ""))
	}
	return all
}

// TestTheKeyIsSeenNowhere makes every operation fail in every way, with a cloud that repeats what it was sent, and looks at all
// that comes out: errors, logs, events, records, and what stands at Lyceum.
func TestTheKeyIsSeenNowhere(t *testing.T) {
	t.Parallel()
	for _, fault := range echoes() {
		synctest.Test(t, func(t *testing.T) {
			w := newTenant(t, face.Options{Script: does(face.Script{Lines: []face.Line{{Text: "hello\n"}}, Exit: -1})}, lyceum.Config{})
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
			for _, v := range []any{i, i.Native, r.Instance().Native, w.p, w.p.REST()} {
				see(v)
			}
			cfg := lyceum.Config{APIKey: apiKey}
			fmt.Fprintf(&seen, "%v %+v %#v %#v", cfg, cfg, cfg, &cfg)
			if fault.Times = -1; !fault.OnlyWaits() || fault.Hold > 0 {
				w.face.Inject(fault)
			}
			ctx, brief := cancelAfter(t, 30*time.Minute), cancelAfter(t, 5*time.Minute)
			for _, call := range []func() (any, error){
				func() (any, error) { return c.Offers(ctx, runctl.OfferQuery{}) },
				func() (any, error) { return c.List(ctx) },
				func() (any, error) { return c.Launch(brief, machine("k3")) },
				func() (any, error) { return c.Start(brief, job("k4")) },
				func() (any, error) { return c.Get(ctx, i.Ref()) },
				func() (any, error) { return r.Status(ctx) },
				func() (any, error) { return r.Wait(brief) },
				func() (any, error) { return w.p.Connect(brief, i, runctl.Access{Signer: signer(t)}) },
				func() (any, error) { return w.p.S3Credentials(brief) },
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
			for _, v := range w.face.VMs() {
				see(v)
			}
			for _, r := range w.face.Runs() {
				see(r)
			}
			if n := strings.Index(seen.String(), apiKey); n >= 0 {
				t.Errorf("%+v: …%s…", fault, seen.String()[max(0, n-200):n+40])
			}
			assert.False(t, strings.Contains(strings.ToLower(seen.String()), "canary"))
		})
	}
}
