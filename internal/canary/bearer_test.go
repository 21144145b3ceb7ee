package canary

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"runctl"
)

// bearer is a provider as somebody writes it in an afternoon: it sends a token and a signed URL with each request, and
// puts into its errors whatever there is.
type bearer struct {
	base, token, signature string
	http                   http.Client
}

// bearerFactory opens one by BEARER_URL, BEARER_TOKEN and BEARER_SIGNATURE.
var bearerFactory = runctl.Factory{Name: "bearer", Open: func(_ context.Context, get func(string) string) (runctl.Provider, error) {
	p := &bearer{base: get("BEARER_URL"), token: get("BEARER_TOKEN"), signature: get("BEARER_SIGNATURE")}
	if _, err := url.Parse(p.base); p.base == "" || err != nil {
		return nil, &runctl.Error{Kind: runctl.ErrAuth, Msg: "BEARER_URL is not set; sent Authorization: Bearer " + p.token, Err: err}
	}
	return p, nil
}}

func (p *bearer) call(ctx context.Context, method, path string, in, out any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return err
	}
	at := p.base + path + "?X-Amz-Signature=" + url.QueryEscape(p.signature)
	req, err := http.NewRequestWithContext(ctx, method, at, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+p.token)
	resp, err := p.http.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return fmt.Errorf("%s %s: %w", method, at, err)
	}
	if resp.StatusCode > 299 {
		return &runctl.Error{Kind: map[int]runctl.Kind{401: runctl.ErrAuth, 404: runctl.ErrNotFound, 429: runctl.ErrRateLimit}[resp.StatusCode],
			NotStarted: resp.StatusCode < 500, Msg: fmt.Sprintf("%s %s: %s: %s", method, at, resp.Status, text), Err: fmt.Errorf("%v %s", req.Header, text)}
	}
	if err := json.Unmarshal(text, out); err != nil {
		return fmt.Errorf("%s %s with %v: %w in %s", method, at, req.Header, err, text)
	}
	return nil
}

func (p *bearer) Info() runctl.Info {
	return runctl.Info{Name: "bearer", Kind: "bearer", Settle: time.Nanosecond, Poll: 20 * time.Millisecond, Credentials: "BEARER_TOKEN"}
}

func (p *bearer) Offers(ctx context.Context, _ runctl.OfferQuery) (all []runctl.Offer, err error) {
	err = p.call(ctx, "GET", "/offers", nil, &all)
	for n := range all {
		all[n].Price = runctl.Price{Hourly: runctl.USD(0), Source: "free"}
	}
	return all, err
}

func (p *bearer) Connect(ctx context.Context, i runctl.Instance, _ runctl.Access) (runctl.Machine, error) {
	return nil, fmt.Errorf("ssh %s with token=%s: %w", i.ID, p.token, errors.ErrUnsupported)
}

func (p *bearer) Launch(ctx context.Context, req runctl.LaunchRequest) (i runctl.Instance, err error) {
	return i, p.call(ctx, "POST", "/launch", req, &i)
}

func (p *bearer) Get(ctx context.Context, id string) (i runctl.Instance, err error) {
	return i, p.call(ctx, "GET", "/get/"+url.PathEscape(id), nil, &i)
}

func (p *bearer) List(ctx context.Context, _ runctl.ListQuery) (all []runctl.Instance, err error) {
	return all, p.call(ctx, "GET", "/list", nil, &all)
}

func (p *bearer) Terminate(ctx context.Context, id string) error {
	return p.call(ctx, "DELETE", "/get/"+url.PathEscape(id), nil, new(any))
}

// cloudServer is the cloud of bearer, with a way to be broken.
type cloudServer struct {
	*httptest.Server
	token string

	mu       sync.Mutex
	mode     string
	changes  int // of mode
	machines []runctl.Instance
}

// modes are the ways in which the server is broken; "" is none.
var modes = []string{"echo", "signed", "refused", "throttled", "lost", "cut", "redirect", "garbage"}

func newCloudServer(t *testing.T, creds credentials) *cloudServer {
	s := &cloudServer{token: creds.bearer}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		defer s.mu.Unlock()
		if r.Header.Get("Authorization") != "Bearer "+s.token {
			w.WriteHeader(401)
			fmt.Fprintf(w, `{"error":"Bearer token is not valid","headers":{"Authorization":"%s"}}`, r.Header.Get("Authorization"))
			return
		}
		launch := r.URL.Path == "/launch"
		switch mode := s.mode; {
		case mode == "echo":
			w.WriteHeader(400)
			fmt.Fprintf(w, "%s %s\nHost: %s\nAuthorization: %s\n", r.Method, r.URL, r.Host, r.Header.Get("Authorization"))
		case mode == "signed":
			w.WriteHeader(403)
			fmt.Fprintf(w, "<Error><Code>AccessDenied</Code><Resource>%s</Resource></Error>", creds.signed())
		case mode == "refused":
			w.WriteHeader(401)
			fmt.Fprintf(w, `{"token":"%s","detail":"expired"}`, s.token)
		case mode == "throttled":
			w.WriteHeader(429)
			fmt.Fprintf(w, "slow down, %s", creds.path)
		case mode == "lost" && launch:
			s.serve(httptest.NewRecorder(), r)
			panic(http.ErrAbortHandler)
		case mode == "cut":
			panic(http.ErrAbortHandler)
		case mode == "redirect":
			http.Redirect(w, r, "http://127.0.0.1:1/"+creds.path+"?X-Amz-Signature="+creds.signature, http.StatusFound)
		case mode == "garbage":
			fmt.Fprintf(w, `[{"access_token":"%s","url":"%s"`, s.token, creds.signed())
		default:
			s.serve(w, r)
		}
	}))
	s.Config.ErrorLog = nil
	t.Cleanup(s.Close)
	return s
}

// serve does what was asked for. s.mu is held.
func (s *cloudServer) serve(w http.ResponseWriter, r *http.Request) {
	id := strings.TrimPrefix(r.URL.Path, "/get/")
	n := slices.IndexFunc(s.machines, func(i runctl.Instance) bool { return i.ID == id })
	var out any
	switch {
	case r.URL.Path == "/offers":
		out = []runctl.Offer{{ID: "small", Type: "small", Region: "net", Market: runctl.OnDemand, Roads: runctl.RoadShell, EndsItself: true}}
	case r.URL.Path == "/launch":
		var req runctl.LaunchRequest
		_ = json.NewDecoder(r.Body).Decode(&req)
		i := runctl.Instance{ID: fmt.Sprint("b-", len(s.machines)+1), Label: req.Label, State: runctl.StateRunning, Type: "small", Market: runctl.OnDemand,
			Road: runctl.RoadShell, Launched: time.Now(), Seen: time.Now()}
		s.machines = append(s.machines, i)
		out = i
	case r.URL.Path == "/list":
		out = s.machines
	case n < 0:
		w.WriteHeader(404)
		return
	case r.Method == "DELETE":
		s.machines[n].State = runctl.StateTerminated
	default:
		out = s.machines[n]
	}
	_ = json.NewEncoder(w).Encode(out)
}

func (s *cloudServer) become(mode string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mode = mode
	s.changes++
}

// heal ends the present mode after a while, unless it has ended before.
func (s *cloudServer) heal(after time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	changes := s.changes
	time.AfterFunc(after, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.changes == changes {
			s.mode = ""
		}
	})
}
