package rest

import (
	"context"
	"net/http"
	"net/http/httptrace"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-retryablehttp"
)

const (
	tries     = 3                      // of one request, all told
	firstWait = 100 * time.Millisecond // before the second try; doubled before the third
	mostWait  = 10 * time.Second       // what asks for more is left to the caller, who slows down
)

// repeating makes what repeats GET, HEAD and DELETE, and nothing else.
func repeating(t http.RoundTripper) *retryablehttp.Client {
	return &retryablehttp.Client{
		HTTPClient: &http.Client{
			Transport:     t,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		RetryMax:     tries - 1,
		RetryWaitMin: firstWait,
		RetryWaitMax: mostWait,
		CheckRetry:   again,
		Backoff: func(_, _ time.Duration, nth int, resp *http.Response) time.Duration {
			return max(pauseOf(resp), firstWait<<nth)
		},
		ErrorHandler: retryablehttp.PassthroughErrorHandler,
	}
}

type methodKey struct{}

// repeatable are the methods that may be sent twice: what they do is done once.
var repeatable = map[string]bool{http.MethodGet: true, http.MethodHead: true, http.MethodDelete: true}

// again decides whether a request is sent once more: one that may be, after a broken connection or a 5xx, if the
// pause that the cloud asks for fits into the context.
func again(ctx context.Context, resp *http.Response, err error) (bool, error) {
	method, _ := ctx.Value(methodKey{}).(string)
	if ctx.Err() != nil || !repeatable[method] || err == nil && (resp.StatusCode < 500 || resp.StatusCode == http.StatusNotImplemented) {
		return false, nil
	}
	pause := pauseOf(resp)
	end, bounded := ctx.Deadline()
	return pause <= mostWait && (!bounded || time.Until(end) > pause), nil
}

func pauseOf(resp *http.Response) time.Duration {
	if resp == nil {
		return 0
	}
	return RetryAfter(resp.Header)
}

// trace sees how far a request came. A transport that tells nothing of itself leaves it at the zero value.
type trace struct{ asked, connected atomic.Bool }

func (t *trace) watch(ctx context.Context) context.Context {
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GetConn: func(string) { t.asked.Store(true) },
		GotConn: func(httptrace.GotConnInfo) { t.connected.Store(true) },
	})
}

// nothing reports whether it is certain that no byte of the request was sent: the transport looked for a connection, and
// had none.
func (t *trace) nothing() bool { return t.asked.Load() && !t.connected.Load() }
