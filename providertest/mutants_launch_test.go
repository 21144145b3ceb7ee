package providertest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"runctl"
	"runctl/internal/toycloud"
)

var infoMutants = []mutant{
	{"name with a space", "Info/Valid", func(w *wrong) { w.About.Name = "Toy Cloud" }},
	{"negative settle time", "Info/Valid", func(w *wrong) { w.About.Settle = -1 }},
	{"Info learns", "Info/Constant", func(w *wrong) {
		var launched atomic.Bool
		w.changeLaunch(func(_ *runctl.Instance, err error) error {
			launched.Store(true)
			return err
		})
		w.info = func() runctl.Info {
			i := w.Provider.Info()
			if launched.Load() {
				i.Settle = time.Minute
			}
			return i
		}
	}},
	{"Info asks the cloud", "Info/NoRequests", func(w *wrong) {
		w.info = func() runctl.Info {
			_, _ = w.Provider.Offers(context.Background(), runctl.OfferQuery{})
			return w.Provider.Info()
		}
	}},
	{"market not declared", "Info/Markets", func(w *wrong) { w.About.Markets = runctl.OnDemand }},
	{"unwraps to itself", "Info/Unwrap", func(w *wrong) {
		w.is = func(w *wrong) runctl.Provider { return selfish{w} }
	}},
}

// selfish has an Unwrap that leads nowhere.
type selfish struct{ *wrong }

func (s selfish) Unwrap() runctl.Provider { return s }

// shellOnly has no JobRunner.
type shellOnly struct {
	runctl.Provider
	runctl.Connector
	runctl.Stopper
	runctl.Notifier
	cloud *toycloud.Cloud
}

func (s shellOnly) Account() *toycloud.Cloud { return s.cloud }

var offerMutants = []mutant{
	{"one offer for two markets", "Offers/Launchable", func(w *wrong) {
		w.changeOffers(func(all []runctl.Offer) []runctl.Offer {
			return append(all, runctl.Offer{ID: "both", Market: runctl.OnDemand | runctl.Spot, Roads: runctl.RoadShell})
		})
	}},
	{"offer without a road", "Offers/Launchable", func(w *wrong) {
		w.changeOffers(func(all []runctl.Offer) []runctl.Offer {
			return append(all, runctl.Offer{ID: "remote", Market: runctl.Spot})
		})
	}},
	{"spot and on-demand share an ID", "Offers/Unique", func(w *wrong) {
		w.changeOffers(func(all []runctl.Offer) []runctl.Offer { return append(all, all[:min(len(all), 1)]...) })
	}},
	{"price without a currency", "Offers/Prices", func(w *wrong) { w.reprice(func(m *runctl.Money) { m.Currency = "" }) }},
	{"currency in small letters", "Offers/Prices", func(w *wrong) { w.reprice(func(m *runctl.Money) { m.Currency = strings.ToLower(m.Currency) }) }},
	{"negative price", "Offers/Prices", func(w *wrong) { w.reprice(func(m *runctl.Money) { m.Nanos = -1 }) }},
	{"missing price is free", "Offers/MissingPrice", func(w *wrong) {
		w.reprice(func(m *runctl.Money) {
			if !m.Known() {
				*m = runctl.MoneyOf(0, "EUR")
			}
		})
	}},
	{"job road without JobRunner", "Offers/Roads", func(w *wrong) {
		w.is = func(w *wrong) runctl.Provider { return shellOnly{w, w, w, w, w.Cloud} }
	}},
	{"Connector without the shell road", "Offers/Roads", func(w *wrong) {
		w.changeOffers(func(all []runctl.Offer) []runctl.Offer {
			for k := range all {
				all[k].Roads = runctl.RoadJob
			}
			return all
		})
		w.launch = func(ctx context.Context, req runctl.LaunchRequest) (runctl.Instance, error) {
			return w.Provider.Launch(ctx, req)
		}
	}},
	{"table of offers in memory", "Offers/OtherProcess", func(w *wrong) {
		var known sync.Map
		w.changeOffers(func(all []runctl.Offer) []runctl.Offer {
			for _, o := range all {
				known.Store(o.ID, o)
			}
			return all
		})
		w.launch = func(ctx context.Context, req runctl.LaunchRequest) (runctl.Instance, error) {
			if _, ok := known.Load(req.Offer.ID); !ok {
				return runctl.Instance{}, &runctl.Error{Kind: runctl.ErrInvalid, NotStarted: true}
			}
			return w.Provider.Launch(ctx, req)
		}
	}},
	{"spot becomes on-demand", "Offers/AsLaunched", func(w *wrong) {
		w.launch = func(ctx context.Context, req runctl.LaunchRequest) (runctl.Instance, error) {
			req.Offer.Market = runctl.OnDemand
			return w.Provider.Launch(ctx, req)
		}
	}},
	{"spot offered as on-demand", "Offers/AsLaunched", func(w *wrong) {
		w.changeOffers(func(all []runctl.Offer) []runctl.Offer {
			for k := range all {
				all[k].Market = runctl.OnDemand
			}
			return all
		})
		w.launch = func(ctx context.Context, req runctl.LaunchRequest) (runctl.Instance, error) {
			if strings.HasSuffix(req.Offer.ID, "-spot") {
				req.Offer.Market = runctl.Spot
			}
			return w.Provider.Launch(ctx, req)
		}
	}},
	{"region of the account, not of the offer", "Offers/AsLaunched", func(w *wrong) {
		w.changeOffers(func(all []runctl.Offer) []runctl.Offer {
			for k := range all {
				all[k].Region = "south"
			}
			return all
		})
	}},
	{"code of a wrong type not in the table", "Offers/Unknown", func(w *wrong) { delete(w.Errors, "no_such_flavor") }},
	{"falls back to another type", "Offers/Unknown", func(w *wrong) {
		w.launch = func(ctx context.Context, req runctl.LaunchRequest) (runctl.Instance, error) {
			i, err := w.Provider.Launch(ctx, req)
			if errors.Is(err, runctl.ErrNotFound) {
				req.Offer.ID = "cpu-4"
				return w.Provider.Launch(ctx, req)
			}
			return i, err
		}
	}},
}

// reprice edits the prices of the offers.
func (w *wrong) reprice(f func(*runctl.Money)) {
	w.changeOffers(func(all []runctl.Offer) []runctl.Offer {
		for k := range all {
			f(&all[k].Price.Hourly)
		}
		return all
	})
}

// changeRequest edits what Launch is given.
func (w *wrong) changeRequest(f func(*runctl.LaunchRequest)) {
	w.launch = func(ctx context.Context, req runctl.LaunchRequest) (runctl.Instance, error) {
		f(&req)
		return w.Provider.Launch(ctx, req)
	}
}

var launchMutants = []mutant{
	{"id of strange characters", "Launch/ID", func(w *wrong) { w.Cloud.IDs = "vm@%04d" }},
	{"label cut short", "Launch/Label", func(w *wrong) {
		w.changeRequest(func(r *runctl.LaunchRequest) { r.Label = r.Label[:min(len(r.Label), 40)] })
	}},
	{"last character of the label lost", "Launch/Label", func(w *wrong) {
		w.changeRequest(func(r *runctl.LaunchRequest) { r.Label = r.Label[:len(r.Label)-1] })
	}},
	{"label not told by Get", "Launch/Label", func(w *wrong) {
		w.changeGet(func(_ string, i *runctl.Instance, err error) error {
			i.Label = ""
			return err
		})
	}},
	{"mark stored late", "Launch/LabelAtOnce", func(w *wrong) {
		w.launch = func(ctx context.Context, req runctl.LaunchRequest) (runctl.Instance, error) {
			label := req.Label
			req.Label = ""
			i, err := w.Provider.Launch(ctx, req)
			if err != nil {
				return i, err
			}
			r, err := http.NewRequestWithContext(ctx, "PATCH", w.Base+w.Path(i.ID), strings.NewReader(fmt.Sprintf(`{"name":%q}`, label)))
			if err != nil {
				return i, err
			}
			r.Header.Set("X-Api-Key", w.Key)
			resp, err := w.HTTP.Do(r)
			if err != nil {
				return i, err
			}
			i.Label = label
			return i, resp.Body.Close()
		}
	}},
	{"token ignored", "Launch/SameToken", func(w *wrong) {
		w.changeRequest(func(r *runctl.LaunchRequest) { r.Token = "" })
	}},
	{"tokens kept in memory", "Launch/SameTokenAtOnce", func(w *wrong) {
		var busy sync.Map
		w.launch = func(ctx context.Context, req runctl.LaunchRequest) (runctl.Instance, error) {
			if _, ok := busy.LoadOrStore(req.Token, true); ok {
				return runctl.Instance{}, &runctl.Error{Kind: runctl.ErrConflict}
			}
			defer busy.Delete(req.Token)
			return w.Provider.Launch(ctx, req)
		}
	}},
	{"new token after a failure", "Launch/TokenAfterDoubt", func(w *wrong) {
		var failures atomic.Int64
		w.launch = func(ctx context.Context, req runctl.LaunchRequest) (runctl.Instance, error) {
			if n := failures.Load(); n > 0 {
				req.Token = fmt.Sprintf("%s-%d", req.Token[:60], n)
			}
			i, err := w.Provider.Launch(ctx, req)
			if err != nil {
				failures.Add(1)
			}
			return i, err
		}
	}},
	{"token cut short", "Launch/OtherToken", func(w *wrong) {
		w.changeRequest(func(r *runctl.LaunchRequest) { r.Token = r.Token[:36] })
	}},
	{"POST repeated by the transport", "Launch/Once", func(w *wrong) {
		w.net(func(r *http.Request, next http.RoundTripper) (*http.Response, error) {
			resp, err := next.RoundTrip(r)
			if isReset(err) && r.Method == "POST" {
				return next.RoundTrip(again(r))
			}
			return resp, err
		})
	}},
	{"POST repeated after a 5xx", "Launch/Once", func(w *wrong) {
		w.net(func(r *http.Request, next http.RoundTripper) (*http.Response, error) {
			resp, err := next.RoundTrip(r)
			if err == nil && resp.StatusCode >= 500 && r.Method == "POST" {
				return next.RoundTrip(again(r))
			}
			return resp, err
		})
	}},
	{"options of others not expected", "Launch/StrangeOption", func(w *wrong) {
		w.changeRequest(func(r *runctl.LaunchRequest) {
			for _, o := range r.Options {
				_ = o.(toyOption)
			}
		})
	}},
	{"Seen from the local clock", "Launch/Clock", func(w *wrong) {
		w.changeGet(func(_ string, i *runctl.Instance, err error) error {
			i.Seen = time.Now()
			return err
		})
	}},
	{"Launched from the local clock", "Launch/Clock", func(w *wrong) {
		w.changeLaunch(func(i *runctl.Instance, err error) error {
			i.Launched = time.Now()
			return err
		})
	}},
}

type toyOption struct{}

func (toyOption) ForProvider() string { return "toy" }

// says edits launch errors whose text has the words.
func (w *wrong) says(words string, f func(error) error) {
	w.changeLaunch(func(_ *runctl.Instance, err error) error {
		if err != nil && strings.Contains(err.Error(), words) {
			return f(err)
		}
		return err
	})
}

var doubtMutants = []mutant{
	{"broken connection is not started", "Launch/LostReply", func(w *wrong) {
		w.changeLaunch(func(_ *runctl.Instance, err error) error {
			if isReset(err) {
				return claims(err)
			}
			return err
		})
	}},
	{"500 is not started", "Launch/ServerError", func(w *wrong) { w.says("status 500", claims) }},
	{"504 is not started", "Launch/ServerError", func(w *wrong) { w.says("status 504", claims) }},
	{"every 4xx is not started", "Launch/StrangeRefusal", func(w *wrong) {
		w.changeLaunch(func(_ *runctl.Instance, err error) error {
			if strings.Contains(fmt.Sprint(err), "status 4") && errors.Is(err, runctl.ErrUnavailable) {
				return claims(err)
			}
			return err
		})
	}},
	{"unreadable reply is not started", "Launch/UnreadableReply", func(w *wrong) { w.says("unreadable reply", claims) }},
	{"cut reply is not started", "Launch/UnreadableReply", func(w *wrong) {
		w.changeLaunch(func(_ *runctl.Instance, err error) error {
			if errors.Is(err, io.ErrUnexpectedEOF) {
				return claims(err)
			}
			return err
		})
	}},
	{"machine without an id", "Launch/UnreadableReply", func(w *wrong) {
		w.says("no id", func(error) error { return nil })
	}},
	{"given up is not started", "Launch/CancelAfterSend", func(w *wrong) {
		w.changeLaunch(func(_ *runctl.Instance, err error) error {
			if errors.Is(err, context.Canceled) {
				return claims(err)
			}
			return err
		})
	}},
}

var refusalMutants = []mutant{
	{"no capacity, in doubt", "Launch/Capacity", func(w *wrong) { w.refuses("sold_out", func(e *runctl.Error) { e.NotStarted = false }) }},
	{"no capacity is unavailable", "Launch/Capacity", func(w *wrong) {
		w.refuses("sold_out", func(e *runctl.Error) { e.Kind = runctl.ErrUnavailable })
	}},
	{"no capacity condemns nothing", "Launch/CapacityScope", func(w *wrong) {
		w.refuses("sold_out", func(e *runctl.Error) { e.Scope = runctl.ScopeUnknown })
	}},
	{"no capacity condemns the request", "Launch/CapacityScope", func(w *wrong) {
		w.refuses("sold_out", func(e *runctl.Error) { e.Scope = runctl.ScopeRequest })
	}},
	{"quota reported as no capacity", "Launch/Quota", func(w *wrong) {
		w.refuses("your_limit", func(e *runctl.Error) { e.Kind = runctl.ErrCapacity })
	}},
	{"no money reported as wrong credentials", "Launch/Payment", func(w *wrong) {
		w.refuses("no_money", func(e *runctl.Error) { e.Kind = runctl.ErrAuth })
	}},
	{"429 reported as no capacity", "Launch/RateLimit", func(w *wrong) {
		w.changeLaunch(func(_ *runctl.Instance, err error) error {
			return as(err, runctl.ErrRateLimit, func(e *runctl.Error) { e.Kind = runctl.ErrCapacity })
		})
	}},
}
