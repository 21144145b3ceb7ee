package providertest

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"runctl"
	"runctl/internal/toycloud"
)

var errorMutants = []mutant{
	{"401 reported as invalid", "Errors/Auth", func(w *wrong) { w.refuses("bad_key", func(e *runctl.Error) { e.Kind = runctl.ErrInvalid }) }},
	{"429 of a listing reported as unavailable", "Errors/RateLimit", func(w *wrong) {
		w.changeList(func(all []runctl.Instance, err error) ([]runctl.Instance, error) {
			return all, as(err, runctl.ErrRateLimit, func(e *runctl.Error) { e.Kind = runctl.ErrUnavailable })
		})
	}},
	{"Retry-After lost", "Errors/RetryAfter", func(w *wrong) {
		w.changeGet(func(_ string, _ *runctl.Instance, err error) error {
			return as(err, runctl.ErrRateLimit, func(e *runctl.Error) { e.RetryAfter = 0 })
		})
	}},
	{"Retry-After only in seconds", "Errors/RetryAfter", func(w *wrong) {
		w.net(func(r *http.Request, next http.RoundTripper) (*http.Response, error) {
			resp, err := next.RoundTrip(r)
			if err == nil {
				if _, nan := strconv.Atoi(resp.Header.Get("Retry-After")); nan != nil {
					resp.Header.Del("Retry-After")
				}
			}
			return resp, err
		})
	}},
	{"Retry-After in milliseconds", "Errors/RetryAfter", func(w *wrong) {
		w.changeGet(func(_ string, _ *runctl.Instance, err error) error {
			return as(err, runctl.ErrRateLimit, func(e *runctl.Error) { e.RetryAfter /= 1000 })
		})
	}},
	{"API key in the URL of an error", "Errors/NoSecrets", func(w *wrong) {
		w.changeGet(func(id string, _ *runctl.Instance, err error) error {
			if isReset(err) {
				return fmt.Errorf("GET %s%s?api_key=%s: %w", w.Base, w.Path(id), w.Key, err)
			}
			return err
		})
	}},
	{"request dumped into the error", "Errors/NoSecrets", func(w *wrong) {
		w.changeLaunch(func(_ *runctl.Instance, err error) error {
			if errors.Is(err, runctl.ErrUnavailable) {
				return fmt.Errorf("POST with %v: %w", http.Header{"X-Api-Key": {w.Key}}, err)
			}
			return err
		})
	}},
	{"what the cloud says is quoted whole", "Errors/NoSecrets", func(w *wrong) {
		w.offers = func(ctx context.Context, q runctl.OfferQuery) ([]runctl.Offer, error) {
			all, err := w.Provider.Offers(ctx, q)
			if text := fmt.Sprint(err); strings.Contains(text, "[key]") || strings.Contains(text, "[redacted]") {
				err = errors.New(strings.NewReplacer("[key]", w.Key, "[redacted]", w.Key).Replace(text))
			}
			return all, err
		}
	}},
	{"job's environment in the error", "Errors/NoJobSecrets", func(w *wrong) {
		w.launch = func(ctx context.Context, req runctl.LaunchRequest) (runctl.Instance, error) {
			i, err := w.Provider.Launch(ctx, req)
			if err != nil && req.Job != nil {
				for name, s := range req.Job.Secrets {
					value, _ := s.Reveal()
					err = fmt.Errorf("env %s=%s: %w", name, value, err)
				}
			}
			return i, err
		}
	}},
	{"job's environment in the reason", "Errors/NoJobSecrets", func(w *wrong) {
		w.launch = func(ctx context.Context, req runctl.LaunchRequest) (runctl.Instance, error) {
			i, err := w.Provider.Launch(ctx, req)
			if req.Job != nil {
				for _, s := range req.Job.Secrets {
					i.Reason, _ = s.Reveal()
				}
			}
			return i, err
		}
	}},
}

// retry repeats requests with the method until they succeed, at most n times in all.
func (w *wrong) retry(method string, n int) {
	w.net(func(r *http.Request, next http.RoundTripper) (*http.Response, error) {
		for k := 1; ; k++ {
			resp, err := next.RoundTrip(r.Clone(r.Context()))
			if r.Method != method || k == n || err == nil && resp.StatusCode < 500 || r.Context().Err() != nil {
				return resp, err
			}
		}
	})
}

var wireMutants = []mutant{
	{"panics on a null field", "Wire/MissingField", func(w *wrong) {
		w.changeGet(func(_ string, i *runctl.Instance, err error) error {
			if err == nil {
				_ = *i.Native.(toycloud.VM).Price
			}
			return err
		})
	}},
	{"panics on a list of errors that is empty", "Wire/OddReply", func(w *wrong) {
		w.net(func(r *http.Request, next http.RoundTripper) (*http.Response, error) {
			resp, err := next.RoundTrip(r)
			if err != nil || resp.StatusCode != 400 {
				return resp, err
			}
			body, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
			var all []any
			if json.Unmarshal(body, &all) == nil && all != nil {
				_ = all[0]
			}
			resp.Body = io.NopCloser(io.MultiReader(bytes.NewReader(body), readEnd{err}))
			return resp, nil
		})
	}},
	{"a reply of a gigabyte read whole", "Wire/HugeReply", func(w *wrong) { w.MaxBody = 1 << 40 }},
	{"an error's reply read whole", "Wire/HugeReply", func(w *wrong) {
		w.net(func(r *http.Request, next http.RoundTripper) (*http.Response, error) {
			resp, err := next.RoundTrip(r)
			if err != nil || resp.StatusCode < 400 {
				return resp, err
			}
			body, err := io.ReadAll(resp.Body)
			if err != nil {
				return nil, err
			}
			resp.Body = io.NopCloser(bytes.NewReader(body))
			return resp, nil
		})
	}},
	{"limit before the decompressor", "Wire/Bomb", func(w *wrong) {
		w.net(func(r *http.Request, next http.RoundTripper) (*http.Response, error) {
			r = r.Clone(r.Context())
			r.Header.Set("Accept-Encoding", "gzip")
			resp, err := next.RoundTrip(r)
			if err != nil || resp.Header.Get("Content-Encoding") != "gzip" {
				return resp, err
			}
			z, err := gzip.NewReader(io.LimitReader(resp.Body, 32<<20))
			if err != nil {
				return nil, err
			}
			if _, err := io.Copy(io.Discard, z); err != nil {
				return nil, err
			}
			return page(""), nil
		})
	}},
	{"credentials sent to a redirect's target", "Wire/Redirect", func(w *wrong) { w.HTTP.CheckRedirect = nil }},
	{"GET sent six times", "Wire/Tries", func(w *wrong) { w.retry("GET", 6) }},
	{"DELETE sent four times", "Wire/Tries", func(w *wrong) { w.retry("DELETE", 4) }},
}

var callMutants = []mutant{
	{"ended context replaced by Launch", "Calls/EndedContext", func(w *wrong) {
		w.launch = func(ctx context.Context, req runctl.LaunchRequest) (runctl.Instance, error) {
			if ctx.Err() != nil {
				ctx = context.WithoutCancel(ctx)
			}
			return w.Provider.Launch(ctx, req)
		}
	}},
	{"ended context replaced by Get", "Calls/EndedContext", func(w *wrong) {
		w.get = func(ctx context.Context, id string) (runctl.Instance, error) {
			if ctx.Err() != nil {
				ctx = context.WithoutCancel(ctx)
			}
			return w.Provider.Get(ctx, id)
		}
	}},
	{"context not passed on", "Calls/Cancel", func(w *wrong) {
		w.get = func(ctx context.Context, id string) (runctl.Instance, error) {
			if ctx.Err() == nil {
				ctx = context.WithoutCancel(ctx)
			}
			return w.Provider.Get(ctx, id)
		}
	}},
	{"cancelled is no error", "Calls/Cancel", func(w *wrong) {
		w.list = func(ctx context.Context, q runctl.ListQuery) ([]runctl.Instance, error) {
			before := ctx.Err()
			all, err := w.Provider.List(ctx, q)
			if before == nil && ctx.Err() != nil {
				return all, nil
			}
			return all, err
		}
	}},
	{"leak on a cancelled context", "Calls/CancelLeavesNothing", func(w *wrong) {
		w.get = func(ctx context.Context, id string) (i runctl.Instance, err error) {
			if err := ctx.Err(); err != nil {
				return i, err
			}
			done := make(chan struct{})
			var beside runctl.Instance
			var failed error
			go func() {
				defer close(done)
				beside, failed = w.Provider.Get(context.WithoutCancel(ctx), id)
			}()
			select {
			case <-done:
				return beside, failed
			case <-ctx.Done():
				return i, ctx.Err()
			}
		}
	}},
	{"watcher for each machine", "Calls/LeaveNothing", func(w *wrong) {
		w.changeLaunch(func(_ *runctl.Instance, err error) error {
			if err == nil {
				go func() { <-w.over }()
			}
			return err
		})
	}},
	{"polling inside Launch", "Calls/NoPolling", func(w *wrong) {
		w.launch = func(ctx context.Context, req runctl.LaunchRequest) (runctl.Instance, error) {
			i, err := w.Provider.Launch(ctx, req)
			for n := 0; err == nil && n < 3; n++ {
				if seen, err := w.Provider.Get(ctx, i.ID); err == nil {
					i.State = seen.State
				}
			}
			return i, err
		}
	}},
	{"sleeping inside Launch", "Calls/NoSleep", func(w *wrong) {
		w.launch = func(ctx context.Context, req runctl.LaunchRequest) (runctl.Instance, error) {
			select {
			case <-time.After(450 * time.Millisecond):
			case <-ctx.Done():
			}
			return w.Provider.Launch(ctx, req)
		}
	}},
	{"id of the last call", "Calls/Concurrent", func(w *wrong) {
		var mu sync.Mutex
		var last string
		w.get = func(ctx context.Context, id string) (runctl.Instance, error) {
			mu.Lock()
			last = id
			mu.Unlock()
			i, err := w.Provider.Get(ctx, id)
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				i.ID = last
			}
			return i, err
		}
	}},
	{"lock held over a request", "Calls/NoQueue", func(w *wrong) {
		lock := make(chan struct{}, 1) // who waits for a sync.Mutex holds up virtual time
		w.get = func(ctx context.Context, id string) (runctl.Instance, error) {
			lock <- struct{}{}
			defer func() { <-lock }()
			return w.Provider.Get(ctx, id)
		}
	}},
}
