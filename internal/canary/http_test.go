package canary

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httputil"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"runctl"
	"runctl/internal/toycloud"
)

// listing is what can be done with any cloud.
func listing(ctx context.Context, h *hunt, c *runctl.Client, key string) {
	offers, err := c.Offers(ctx, runctl.OfferQuery{})
	h.value(atValue, "Offers", offers)
	h.failure("Offers", err)
	i, err := c.Launch(ctx, runctl.LaunchSpec{Key: key, Lifetime: time.Hour, MaxHourly: runctl.Money{Nanos: 9e9, Currency: "EUR"}, Needs: runctl.OfferQuery{}})
	h.value(atValue, "Instance", i)
	h.failure("Launch", err)
	ref := runctl.Ref{Provider: i.Provider, Owner: "ann", Key: key, ID: i.ID}
	if ref.Provider == "" {
		ref.Provider = c.Providers()[0].Info().Name
	}
	h.value(atRef, "of a machine", ref)
	all, err := c.List(ctx)
	h.value(atValue, "List", all)
	h.failure("List", err)
	all, err = c.ListAll(ctx)
	h.value(atValue, "ListAll", all)
	h.failure("ListAll", err)
	_, err = c.Get(ctx, ref)
	h.failure("Get", err)
	_, err = c.Reap(ctx, runctl.ReapRequest{})
	h.failure("Reap", err)
	h.failure("StopInstance", c.StopInstance(ctx, ref))
	_, err = c.Attach(ctx, ref)
	h.failure("Attach", err)
	h.failure("Terminate", c.Terminate(ctx, ref))
}

// brief are deadlines for clouds that fail at once.
var brief = runctl.Deadlines{Call: time.Second, Launch: time.Second, Doubt: 50 * time.Millisecond, Boot: time.Second, Connect: time.Second,
	Submit: time.Second, Terminate: 50 * time.Millisecond}

// A provider over HTTP that puts all that it sends and gets into its errors.
func TestNothingComesOutOfACarelessProvider(t *testing.T) {
	h := newHunt(t)
	creds := plantCredentials(h)
	s := newCloudServer(t, creds)
	env := map[string]string{"BEARER_URL": s.URL, "BEARER_TOKEN": creds.bearer, "BEARER_SIGNATURE": creds.signature}
	var reg runctl.Registry
	reg.Register(bearerFactory)
	p, err := reg.Open(t.Context(), "bearer", func(name string) string { return env[name] })
	require.NoError(t, err)
	_, err = reg.Open(t.Context(), "bearer", func(name string) string { return map[string]string{"BEARER_TOKEN": creds.bearer}[name] })
	require.Error(t, err)
	h.failure("Open", err)
	wrong := &bearer{base: s.URL, token: h.token("a token that is not valid"), signature: creds.signature}
	gone := &bearer{base: "http://127.0.0.1:1/" + creds.path, token: creds.bearer, signature: creds.signature}
	for _, mode := range append(modes, "", "wrong", "gone") {
		h.doing(mode)
		s.become(mode)
		provider := map[string]runctl.Provider{"wrong": wrong, "gone": gone}[mode]
		if provider == nil {
			provider = p
		}
		var rec recorder
		c, err := runctl.New(runctl.Config{Owner: "ann", Secret: []byte(h.secret("Config.Secret")), Logger: rec.logger(), Trace: rec.trace, Deadlines: brief}, provider)
		require.NoError(t, err)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		listing(ctx, h, c, h.control("a launch key"))
		cancel()
		assert.NoError(t, c.Close())
		rec.tell(h)
	}
	h.mustHaveSeen(atLog, atError, atEvent, atRef, atValue)
}

// The reference provider with an API key, over a network that fails with all that went over it.
func TestNothingComesOutOfTheReferenceProvider(t *testing.T) {
	h := newHunt(t)
	key, plain := h.token("the API key"), h.control("a word of the network's")
	for what, fail := range map[string]func(net http.RoundTripper, r *http.Request) (*http.Response, error){
		"well": func(net http.RoundTripper, r *http.Request) (*http.Response, error) { return net.RoundTrip(r) },
		"dump": func(_ http.RoundTripper, r *http.Request) (*http.Response, error) {
			text, _ := httputil.DumpRequest(r, false)
			return nil, fmt.Errorf("%s: proxy error: %s", plain, text)
		},
		"header": func(_ http.RoundTripper, r *http.Request) (*http.Response, error) {
			return nil, fmt.Errorf("%s: %v", plain, r.Header)
		},
		"echo": func(_ http.RoundTripper, r *http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: 400, Body: io.NopCloser(strings.NewReader(`{"code":"bad_request","text":"` + plain + ` X-Api-Key=` + r.Header.Get("X-Api-Key") + `"}`)),
				Header: http.Header{}, Request: r}, nil
		},
		"bare echo": func(_ http.RoundTripper, r *http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: 403, Body: io.NopCloser(strings.NewReader(`{"code":"bad_key","text":"` + plain + ` the key ` + r.Header.Get("X-Api-Key") + ` is not valid"}`)),
				Header: http.Header{}, Request: r}, nil
		},
		"lost": func(net http.RoundTripper, r *http.Request) (*http.Response, error) {
			if _, err := net.RoundTrip(r); err != nil {
				return nil, err
			}
			return nil, errors.New(plain + ": connection reset; request had X-Api-Key: " + r.Header.Get("X-Api-Key"))
		},
	} {
		h.doing(what)
		synctest.Test(t, func(t *testing.T) {
			net := &toycloud.Net{}
			cloud := toycloud.New(key)
			p := toycloud.NewProvider(cloud, net.Serve(cloud), tripper(func(r *http.Request) (*http.Response, error) { return fail(net, r) }))
			var rec recorder
			c, err := runctl.New(runctl.Config{Owner: "ann", Secret: []byte(h.secret("Config.Secret")), Logger: rec.logger(), Trace: rec.trace, Deadlines: brief}, p)
			require.NoError(t, err)
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			listing(ctx, h, c, h.control("a launch key"))
			cancel()
			assert.NoError(t, c.Close())
			rec.tell(h)
		})
	}
	h.mustHaveSeen(atLog, atError, atEvent, atRef, atValue)
}

type tripper func(*http.Request) (*http.Response, error)

func (f tripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
