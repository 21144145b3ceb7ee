package providertest

import (
	"context"
	"strings"

	"runctl"
)

var infoRows = []Row{
	{
		Name: "Info/Valid",
		Rule: "Info has a Name of at most 24 of a-z, 0-9 and inner '-', a Kind, and no negative duration or rate",
		Do:   "references and marks carry the name; take the package's name as Kind, and Name from the configuration",
		check: func(c *check) {
			i := c.p.Info()
			name := strings.Trim(i.Name, "abcdefghijklmnopqrstuvwxyz0123456789-") == "" && i.Name != "" && len(i.Name) <= 24 &&
				i.Name == strings.Trim(i.Name, "-")
			if !name || i.Kind == "" || i.Settle < 0 || i.Poll < 0 || i.Rate < 0 {
				c.failf("Info() = %+v", i)
			}
		},
	},
	{
		Name: "Info/Constant",
		Rule: "Info returns constants: the same before and after every other call",
		Do:   "compute it once, in New",
		check: func(c *check) {
			before := c.p.Info()
			_, i := c.launch()
			_, _ = c.list(owner)
			_ = c.terminate(i.ID)
			if after := c.p.Info(); after != before {
				c.failf("Info() was %+v\nand became %+v", before, after)
			}
		},
	},
	{
		Name: "Info/NoRequests", Needs: needs(needHTTP),
		Rule: "Info does no I/O",
		Do:   "what must be asked of the cloud belongs into Offers or Get",
		check: func(c *check) {
			n := c.net.count()
			c.do("Info", func(context.Context) { _ = c.p.Info() })
			if sent := c.net.since(n); len(sent) > 0 {
				c.failf("Info() sent %s %s", sent[0].method, sent[0].url)
			}
		},
	},
	{
		Name: "Info/Markets",
		Rule: "Info.Markets, where it is told, has the market of every offer",
		Do:   "set a bit for each market that Offers can return, or leave Markets 0",
		check: func(c *check) {
			markets := c.p.Info().Markets
			for _, o := range c.offers(nil) {
				if markets != 0 && o.Market&^(runctl.OnDemand|runctl.Spot) == 0 && o.Market&^markets != 0 {
					c.failf("Info().Markets is %s, and Offers has %q as %s", markets, o.ID, o.Market)
				}
			}
		},
	},
	{
		Name: "Info/Unwrap",
		Rule: "Unwrap leads to another provider, and after a few steps to none: As must come to an end",
		Do:   "return the provider that is wrapped, never the wrapper",
		check: func(c *check) {
			p := c.p
			for range 16 {
				u, ok := p.(interface{ Unwrap() runctl.Provider })
				if !ok {
					return
				}
				if p = u.Unwrap(); p == nil {
					return
				}
			}
			c.failf("Unwrap was followed 16 times, and there is still one more")
		},
	},
}
