package cli

import (
	"cmp"
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
	x, missing, err := a.wide(ctx, s, nil)
	if err != nil {
		return err
	}
	defer x.close()
	var offers []runctl.Offer
	var failed error
	if x.client != nil {
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
		cpu, age, spot := unknown, unknown, "no"
		if o.VCPU > 0 {
			cpu = strconv.Itoa(o.VCPU)
		}
		if !o.Price.At.IsZero() {
			age = ageText(a.now().Sub(o.Price.At))
		}
		if o.Market == runctl.Spot {
			spot = "yes"
		}
		t.add(o.Provider, cmp.Or(o.Zone, o.Region), o.Type, o.GPU.String(), cpu, sizeText(o.Memory), hourly(o.Price), spot, cmp.Or(o.Avail, unknown), age)
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
