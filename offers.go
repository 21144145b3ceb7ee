package runctl

import (
	"context"
	"errors"
	"slices"

	"golang.org/x/sync/errgroup"
)

// Offers returns what all providers can launch now that matches q: preferred GPU first, then cheapest, then
// what has no known price. When some providers fail, it returns what the others gave and a joined error.
func (c *Client) Offers(ctx context.Context, q OfferQuery) ([]Offer, error) {
	if err := c.open(ctx); err != nil {
		return nil, err
	}
	if err := checkQuery(q); err != nil {
		return nil, err
	}
	all, err := each(ctx, c, func(ctx context.Context, a *account) ([]Offer, error) {
		raw, err := call(ctx, c, a, Event{Op: "offers"}, c.cfg.Deadlines.Call, func(ctx context.Context) ([]Offer, error) { return a.Offers(ctx, q) })
		if err != nil {
			return nil, err
		}
		var fit []Offer
		for _, o := range raw[:min(len(raw), maxOffers)] {
			if o, ok := checkOffer(a, o); ok && q.Match(o) {
				fit = append(fit, o)
			}
		}
		return fit, nil
	})
	slices.SortStableFunc(all, q.compareOffers)
	return all, err
}

// each asks all providers at once and joins what they give, in the providers' order, and their errors.
func each[T any](ctx context.Context, c *Client, f func(context.Context, *account) ([]T, error)) ([]T, error) {
	parts, errs := make([][]T, len(c.providers)), make([]error, len(c.providers))
	var g errgroup.Group
	g.SetLimit(16)
	for n, a := range c.providers {
		g.Go(func() error {
			parts[n], errs[n] = f(ctx, a)
			return nil
		})
	}
	_ = g.Wait()
	return slices.Concat(parts...), errors.Join(errs...)
}
