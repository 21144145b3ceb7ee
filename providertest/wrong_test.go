package providertest

import (
	"context"
	"errors"
	"io"
	"iter"
	"net/http"
	"time"

	"runctl"
	"runctl/internal/toycloud"
)

// wrong is the reference provider with some of its methods replaced.
type wrong struct {
	*toycloud.Provider
	info      func() runctl.Info
	offers    func(context.Context, runctl.OfferQuery) ([]runctl.Offer, error)
	launch    func(context.Context, runctl.LaunchRequest) (runctl.Instance, error)
	get       func(context.Context, string) (runctl.Instance, error)
	list      func(context.Context, runctl.ListQuery) ([]runctl.Instance, error)
	terminate func(context.Context, string) error
	stop      func(context.Context, string) error
	start     func(context.Context, string) error
	changed   func() <-chan struct{}
	exec      func(m runctl.Machine, ctx context.Context, argv []string, in io.Reader, out, errs io.Writer) (int, error)
	close     func(id string) error
	connect   func(context.Context, runctl.Instance, runctl.Access) (runctl.Machine, error)
	status    func(p runctl.Process, ctx context.Context) (runctl.Status, error)
	wait      func(p runctl.Process, ctx context.Context) (runctl.Status, error)
	logs      func(p runctl.Process, ctx context.Context, q runctl.LogQuery) iter.Seq2[runctl.LogChunk, error]
	cancel    func(p runctl.Process, ctx context.Context, grace time.Duration) error

	is   func(w *wrong) runctl.Provider // what New returns instead of w
	over <-chan struct{}                // closed when nothing of it may be left; nil: never
}

func (w *wrong) Info() runctl.Info {
	if w.info != nil {
		return w.info()
	}
	return w.Provider.Info()
}

func (w *wrong) Offers(ctx context.Context, q runctl.OfferQuery) ([]runctl.Offer, error) {
	if w.offers != nil {
		return w.offers(ctx, q)
	}
	return w.Provider.Offers(ctx, q)
}

func (w *wrong) Launch(ctx context.Context, req runctl.LaunchRequest) (runctl.Instance, error) {
	if w.launch != nil {
		return w.launch(ctx, req)
	}
	return w.Provider.Launch(ctx, req)
}

func (w *wrong) Get(ctx context.Context, id string) (runctl.Instance, error) {
	if w.get != nil {
		return w.get(ctx, id)
	}
	return w.Provider.Get(ctx, id)
}

func (w *wrong) List(ctx context.Context, q runctl.ListQuery) ([]runctl.Instance, error) {
	if w.list != nil {
		return w.list(ctx, q)
	}
	return w.Provider.List(ctx, q)
}

func (w *wrong) Terminate(ctx context.Context, id string) error {
	if w.terminate != nil {
		return w.terminate(ctx, id)
	}
	return w.Provider.Terminate(ctx, id)
}

func (w *wrong) Stop(ctx context.Context, id string) error {
	if w.stop != nil {
		return w.stop(ctx, id)
	}
	return w.Provider.Stop(ctx, id)
}

func (w *wrong) Start(ctx context.Context, id string) error {
	if w.start != nil {
		return w.start(ctx, id)
	}
	return w.Provider.Start(ctx, id)
}

func (w *wrong) Changed() <-chan struct{} {
	if w.changed != nil {
		return w.changed()
	}
	return w.Provider.Changed()
}

func (w *wrong) Connect(ctx context.Context, i runctl.Instance, a runctl.Access) (runctl.Machine, error) {
	if w.connect != nil {
		return w.connect(ctx, i, a)
	}
	m, err := w.Provider.Connect(ctx, i, a)
	if err != nil {
		return nil, err
	}
	return wrongMachine{m, w, i.ID}, nil
}

func (w *wrong) Process(ctx context.Context, i runctl.Instance) (runctl.Process, error) {
	p, err := w.Provider.Process(ctx, i)
	return wrongProcess{p, w}, err
}

type wrongMachine struct {
	runctl.Machine
	w  *wrong
	id string
}

func (m wrongMachine) Exec(ctx context.Context, argv []string, in io.Reader, out, errs io.Writer) (int, error) {
	if m.w.exec != nil {
		return m.w.exec(m.Machine, ctx, argv, in, out, errs)
	}
	return m.Machine.Exec(ctx, argv, in, out, errs)
}

func (m wrongMachine) HostKey() (string, runctl.HostTrust) {
	return m.Machine.(runctl.Hosted).HostKey()
}

func (m wrongMachine) Close() error {
	if m.w.close != nil {
		return m.w.close(m.id)
	}
	return m.Machine.Close()
}

type wrongProcess struct {
	runctl.Process
	w *wrong
}

func (p wrongProcess) Status(ctx context.Context) (runctl.Status, error) {
	if p.w.status != nil {
		return p.w.status(p.Process, ctx)
	}
	return p.Process.Status(ctx)
}

func (p wrongProcess) Wait(ctx context.Context) (runctl.Status, error) {
	if p.w.wait != nil {
		return p.w.wait(p.Process, ctx)
	}
	return p.Process.Wait(ctx)
}

func (p wrongProcess) Logs(ctx context.Context, q runctl.LogQuery) iter.Seq2[runctl.LogChunk, error] {
	if p.w.logs != nil {
		return p.w.logs(p.Process, ctx, q)
	}
	return p.Process.Logs(ctx, q)
}

func (p wrongProcess) Cancel(ctx context.Context, grace time.Duration) error {
	if p.w.cancel != nil {
		return p.w.cancel(p.Process, ctx, grace)
	}
	return p.Process.Cancel(ctx, grace)
}

// The tools that mutants are made with.

// changeOffers edits the offers.
func (w *wrong) changeOffers(f func([]runctl.Offer) []runctl.Offer) {
	w.offers = func(ctx context.Context, q runctl.OfferQuery) ([]runctl.Offer, error) {
		all, err := w.Provider.Offers(ctx, q)
		if err != nil {
			return nil, err
		}
		return f(all), nil
	}
}

// changeLaunch edits what Launch returns.
func (w *wrong) changeLaunch(f func(*runctl.Instance, error) error) {
	w.launch = func(ctx context.Context, req runctl.LaunchRequest) (runctl.Instance, error) {
		i, err := w.Provider.Launch(ctx, req)
		err = f(&i, err)
		return i, err
	}
}

// changeGet edits what Get returns.
func (w *wrong) changeGet(f func(id string, i *runctl.Instance, err error) error) {
	w.get = func(ctx context.Context, id string) (runctl.Instance, error) {
		i, err := w.Provider.Get(ctx, id)
		err = f(id, &i, err)
		return i, err
	}
}

// changeList edits what List returns.
func (w *wrong) changeList(f func([]runctl.Instance, error) ([]runctl.Instance, error)) {
	w.list = func(ctx context.Context, q runctl.ListQuery) ([]runctl.Instance, error) {
		return f(w.Provider.List(ctx, q))
	}
}

// hide leaves machines out of List.
func (w *wrong) hide(which func(runctl.Instance) bool) {
	w.changeList(func(all []runctl.Instance, err error) ([]runctl.Instance, error) {
		var kept []runctl.Instance
		for _, i := range all {
			if !which(i) {
				kept = append(kept, i)
			}
		}
		return kept, err
	})
}

// edit changes every machine in List.
func (w *wrong) edit(f func(*runctl.Instance)) {
	w.changeList(func(all []runctl.Instance, err error) ([]runctl.Instance, error) {
		for k := range all {
			f(&all[k])
		}
		return all, err
	})
}

// refuses changes what the error table says of a code.
func (w *wrong) refuses(code string, f func(*runctl.Error)) {
	e := w.Errors[code]
	f(&e)
	w.Errors[code] = e
}

// net puts something between the provider and its transport.
func (w *wrong) net(f func(r *http.Request, next http.RoundTripper) (*http.Response, error)) {
	next := w.HTTP.Transport
	w.HTTP.Transport = middle(func(r *http.Request) (*http.Response, error) { return f(r, next) })
}

type middle func(r *http.Request) (*http.Response, error)

func (m middle) RoundTrip(r *http.Request) (*http.Response, error) { return m(r) }

// again is the request once more.
func again(r *http.Request) *http.Request {
	r = r.Clone(r.Context())
	if r.GetBody != nil {
		r.Body, _ = r.GetBody()
	}
	return r
}

// claims is a launch error that says that nothing has started.
func claims(err error) error {
	return &runctl.Error{Kind: runctl.ErrUnavailable, NotStarted: true, Err: err}
}

// as changes the *runctl.Error in err, if there is one of the kind.
func as(err error, kind runctl.Kind, f func(*runctl.Error)) error {
	var e *runctl.Error
	if errors.As(err, &e) && e.Kind == kind {
		copied := *e
		f(&copied)
		return &copied
	}
	return err
}

// isReset reports whether the connection broke.
func isReset(err error) bool { return errors.Is(err, reset().(interface{ Unwrap() error }).Unwrap()) }

// unending is a context that ends when nothing may be left of a wrong provider, and not before.
type unending struct {
	context.Context
	over <-chan struct{}
}

func (u unending) Done() <-chan struct{} { return u.over }
