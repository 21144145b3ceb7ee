package providertest

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync/atomic"
	"syscall"
)

// reset is what a broken connection looks like.
func reset() error { return &net.OpError{Op: "read", Net: "tcp", Err: syscall.ECONNRESET} }

// onLaunch applies a fault to launch requests alone.
func onLaunch(f fault) fault {
	return func(r *http.Request, x exchange, send send) (*http.Response, error) {
		if x.launch {
			return f(r, x, send)
		}
		return send()
	}
}

// dropped breaks the connection before the cloud has seen the request.
func dropped(*http.Request, exchange, send) (*http.Response, error) { return nil, reset() }

// lost lets the cloud act, and breaks the connection before the reply.
func lost(_ *http.Request, _ exchange, send send) (*http.Response, error) {
	discard(send())
	return nil, reset()
}

func discard(resp *http.Response, err error) {
	if err == nil {
		_, _ = io.Copy(io.Discard, resp.Body)
		_ = resp.Body.Close()
	}
}

// instead answers without the cloud.
func instead(rep Reply) fault {
	return func(*http.Request, exchange, send) (*http.Response, error) { return rep.response(), nil }
}

// after lets the cloud act, and replaces its reply.
func after(rep Reply) fault {
	return func(_ *http.Request, _ exchange, send send) (*http.Response, error) {
		discard(send())
		return rep.response(), nil
	}
}

func (rep Reply) response() *http.Response {
	if rep.Status == 0 {
		rep.Status = http.StatusOK
	}
	h := rep.Header.Clone()
	if h == nil {
		h = http.Header{}
	}
	if h.Get("Content-Type") == "" {
		h.Set("Content-Type", "application/json")
	}
	return newResponse(rep.Status, h, io.NopCloser(bytes.NewReader([]byte(rep.Body))), int64(len(rep.Body)))
}

func newResponse(status int, h http.Header, body io.ReadCloser, length int64) *http.Response {
	return &http.Response{
		StatusCode: status, Status: fmt.Sprintf("%d %s", status, http.StatusText(status)), Header: h, Body: body,
		ContentLength: length, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
	}
}

// hang never answers; entered is told when a request has come. With act, the cloud has acted by then.
func (w *wire) hang(entered chan<- struct{}, act bool) fault {
	return func(r *http.Request, _ exchange, send send) (*http.Response, error) {
		if act {
			discard(send())
		}
		select {
		case entered <- struct{}{}:
		default:
		}
		select {
		case <-r.Context().Done():
			return nil, r.Context().Err()
		case <-w.released:
			return nil, errReleased
		}
	}
}

// rewritten lets the cloud act and changes the text of its reply.
func rewritten(change func([]byte) []byte) fault {
	return changed(func(_ http.Header, body []byte) []byte { return change(body) })
}

// changed is rewritten for the reply's header as well.
func changed(change func(http.Header, []byte) []byte) fault {
	return func(_ *http.Request, _ exchange, send send) (*http.Response, error) {
		resp, err := send()
		if err != nil {
			return nil, err
		}
		body, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if err != nil {
			return nil, err
		}
		body = change(resp.Header, body)
		resp.Body, resp.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
		if resp.Header.Get("Content-Length") != "" {
			resp.Header.Set("Content-Length", strconv.Itoa(len(body)))
		}
		return resp, nil
	}
}

// cut lets the cloud act and breaks the connection in the middle of its reply's body.
func cut(_ *http.Request, _ exchange, send send) (*http.Response, error) {
	resp, err := send()
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	if err != nil {
		return nil, err
	}
	resp.Body = io.NopCloser(io.MultiReader(bytes.NewReader(body[:len(body)/2]), failing{}))
	return resp, nil
}

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

// maxBody is how much of a reply's body, after decompression, a provider may read; beyond it lies tooMuch,
// where the suite stops feeding it.
const (
	maxBody = 32 << 20
	tooMuch = maxBody + 2<<20
)

// endless is a body without an end: the chunk, again and again.
type endless struct {
	read  *atomic.Int64
	limit int64
	chunk []byte
	at    int // within chunk
}

func (e *endless) Read(b []byte) (int, error) {
	if e.read.Load() > e.limit {
		return 0, io.ErrUnexpectedEOF
	}
	n := 0
	for n < len(b) {
		k := copy(b[n:], e.chunk[e.at:])
		n, e.at = n+k, (e.at+k)%len(e.chunk)
	}
	e.read.Add(int64(n))
	return n, nil
}

func (e *endless) Close() error { return nil }
