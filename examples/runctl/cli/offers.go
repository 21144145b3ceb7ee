package cli

import (
	"context"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"runctl"
)

func (a *app) offersCommand() *cobra.Command {
	var n needs
	c := newCommand("offers", "List what can be launched now, cheapest first", between(0, 0, "no arguments"),
		func(ctx context.Context, _ []string) error { return a.offers(ctx, &n) })
	n.add(c.Flags())
	return c
}

func (a *app) offers(ctx context.Context, n *needs) error {
	q, err := n.query()
	if err != nil {
		return err
	}
	q.MaxHourly = runctl.Money(n.maxPrice)
	if !n.spot {
		q.Market = runctl.OnDemand | runctl.Spot // a list shows both
	}
	s, err := a.openState()
	if err != nil {
		return err
	}
	providers, missing := a.configured(ctx, nil)
	var offers []runctl.Offer
	var failed error
	if len(providers) > 0 {
		x, err := a.connect(s, providers)
		if err != nil {
			return err
		}
		defer x.client.Close()
		offers, failed = x.client.Offers(ctx, q)
	}
	if a.opt.json {
		out := []*offerJSON{}
		for _, o := range offers {
			out = append(out, toOffer(o))
		}
		writeJSON(a.stdout, out, true)
		return a.incomplete(missing, failed)
	}
	t := &table{head: []string{"PROVIDER", "REGION", "TYPE", "GPU", "CPU", "MEM", "$/H", "SPOT", "AVAIL", "AGE"}}
	for _, o := range offers {
		region, cpu, avail, age, spot := o.Region, unknown, unknown, unknown, "no"
		if o.Zone != "" {
			region = o.Zone
		}
		if o.VCPU > 0 {
			cpu = strconv.Itoa(o.VCPU)
		}
		if o.Avail != "" {
			avail = o.Avail
		}
		if !o.Price.At.IsZero() {
			age = ageText(a.now().Sub(o.Price.At))
		}
		if o.Market == runctl.Spot {
			spot = "yes"
		}
		t.add(o.Provider, region, o.Type, o.GPU.String(), cpu, sizeText(o.Memory), hourly(o.Price), spot, avail, age)
	}
	a.print(t)
	if len(offers) == 0 && missing == nil && failed == nil {
		a.say.sayf("no offer matches what is needed")
	}
	return a.incomplete(missing, failed)
}

// hourly is a price in the $/H column: other currencies say so, free is absent.
func hourly(p runctl.Price) string {
	if p.Free() {
		return absent
	}
	return strings.TrimPrefix(moneyText(p.Hourly), "$")
}
