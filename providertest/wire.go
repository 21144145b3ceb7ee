package providertest

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"sync"
)

// exchange is one request that the provider has sent, whatever became of it.
type exchange struct {
	method, url, host string
	header            http.Header
	body              []byte
	launch            bool // the request that starts a machine, if it was sent within Launch
}

// same tells a repetition from another request.
func (x exchange) same(y exchange) bool {
	return x.method == y.method && x.url == y.url && bytes.Equal(x.body, y.body)
}

// send passes a request on to the cloud.
type send func() (*http.Response, error)

// fault stands between provider and cloud: it may send, before or after whatever it does, or not at all.
type fault func(r *http.Request, x exchange, send send) (*http.Response, error)

// wire is the transport that the provider gets. Without a fault it only takes notes.
type wire struct {
	base     http.RoundTripper
	isLaunch func(*http.Request) bool
	released chan struct{} // closed when the row is over: whatever hangs goes on

	mu    sync.Mutex
	fault fault
	seen  []exchange
	freed bool
}

var errReleased = errors.New("providertest: the row is over")

func newWire(base http.RoundTripper, isLaunch func(*http.Request) bool) *wire {
	if isLaunch == nil {
		isLaunch = func(r *http.Request) bool { return r.Method == http.MethodPost }
	}
	return &wire{base: base, isLaunch: isLaunch, released: make(chan struct{})}
}

// on sets the fault for all requests from now on; nil: none.
func (w *wire) on(f fault) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.fault = f
}

// release ends the row: nothing hangs any longer, and no fault is left.
func (w *wire) release() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.fault = nil
	if !w.freed {
		w.freed = true
		close(w.released)
	}
}

func (w *wire) count() int { return len(w.since(0)) }

// since returns what was sent after the first n requests.
func (w *wire) since(n int) []exchange {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]exchange(nil), w.seen[n:]...)
}

// launches returns the launch requests after the first n.
func (w *wire) launches(n int) (ls []exchange) {
	for _, x := range w.since(n) {
		if x.launch {
			ls = append(ls, x)
		}
	}
	return ls
}

// RoundTrip implements http.RoundTripper.
func (w *wire) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := r.Context().Err(); err != nil {
		if r.Body != nil {
			_ = r.Body.Close()
		}
		return nil, err // as http.Transport does, before anything is sent
	}
	var body []byte
	if r.Body != nil {
		var err error
		body, err = io.ReadAll(r.Body)
		_ = r.Body.Close()
		if err != nil {
			return nil, err
		}
	}
	copied := func() *http.Request {
		c := r.Clone(r.Context())
		c.Body, c.GetBody = nil, nil
		if r.Body != nil {
			c.Body = io.NopCloser(bytes.NewReader(body))
		}
		return c
	}
	x := exchange{method: r.Method, url: r.URL.String(), host: r.URL.Host, header: r.Header.Clone(), body: body,
		launch: w.isLaunch(copied())}
	w.mu.Lock()
	w.seen = append(w.seen, x)
	f := w.fault
	w.mu.Unlock()
	pass := func() (*http.Response, error) { return w.base.RoundTrip(copied()) }
	if f == nil {
		return pass()
	}
	resp, err := f(copied(), x, pass)
	if resp != nil {
		resp.Request = r
	}
	return resp, err
}
