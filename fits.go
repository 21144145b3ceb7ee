package runctl

import "context"

// fits is what providers say of their offers for one launch, by name; one that is not in it has nothing to say.
type fits map[string]func(Offer) error

// fitting asks every provider that can tell, before an offer is chosen. Of one that fails to, no offer fits.
func (c *Client) fitting(ctx context.Context, p *plan) fits {
	all := fits{}
	for _, a := range c.providers {
		f, ok := As[Fitter](a.Provider)
		if !ok || p.spec.Offer != nil && p.spec.Offer.Provider != a.info.Name {
			continue
		}
		own := c.optionsFor(a, p.spec)
		fit, err := call(ctx, c, a, Event{Op: "launch", Key: p.key}, c.cfg.Deadlines.Call, func(ctx context.Context) (func(Offer) error, error) { return f.Fits(ctx, own) })
		if err != nil {
			fit = func(Offer) error { return err }
		}
		all[a.info.Name] = fit
	}
	return all
}

// check returns why the offer cannot be launched with the plan's options, nil when it can be.
func (f fits) check(o Offer) error {
	if fit := f[o.Provider]; fit != nil {
		return fit(o)
	}
	return nil
}

// optionsFor are the spec's options for a provider.
func (c *Client) optionsFor(a *account, s LaunchSpec) []LaunchOption {
	var own []LaunchOption
	for _, o := range s.Options {
		if o.ForProvider() == a.info.Kind {
			own = append(own, o)
		}
	}
	return own
}
