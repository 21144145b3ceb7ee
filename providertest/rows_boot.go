package providertest

import (
	"context"
	"errors"
	"regexp"
	"strings"
	"time"

	"runctl"
	"runctl/internal/job"
)

// bootRows are about what a machine does by itself.
var bootRows = []Row{
	{
		Name: "Launch/Boot", Needs: needs(needBoots, needShell),
		Rule: "with Info.Boots, the machine runs LaunchRequest.Boot as root: the guard that it starts answers, with the lifetime that it was given",
		Do:   "pass the script on byte for byte, as what the cloud runs at every boot; take no other for it, and declare Boots false where there is no such place",
		check: func(c *check) {
			const lifetime = 50 * time.Minute
			req := c.newRequest()
			req.Boot = job.Boot(job.Guard{Lifetime: lifetime}, map[string]string{})
			i, err := c.tryLaunch(req)
			c.must("Launch", err)
			m, _ := c.enter(i.ID)
			var h job.Hello
			up := c.until(func() bool {
				c.do("Exec", func(ctx context.Context) { h, err = job.Greet(ctx, m) })
				return err == nil && h.Guard
			})
			switch {
			case err != nil: // that commands run as they should is other rows' matter
				c.lack("a supervisor that answers")
			case !up:
				c.failf("launched with a boot script that arms a guard; the machine says that it has none")
			case h.Left > lifetime || h.Left < lifetime-10*time.Minute:
				c.failf("launched with a boot script for a guard of %s; the machine says that it has %s left", lifetime, h.Left)
			}
		},
	},
	{
		Name: "Exec/HostKey", Needs: needs(needShell),
		Rule: "a machine shows one host key at every connection; when Access.HostKey names another, Connect returns ErrHostKey",
		Do:   "compare the fingerprints in the handshake, before anything is sent, the user's name included",
		check: func(c *check) {
			m, i := c.machine()
			h, ok := m.(runctl.Hosted)
			if !ok {
				c.lack(needHosted)
			}
			key, _ := h.HostKey()
			if !fingerprint.MatchString(key) {
				c.failf("HostKey returned %q: the form is that of ssh-keygen -l, SHA256: and 43 characters of base64", key)
			}
			access := c.h.Access
			access.HostKey = key
			again, err := c.connectAs(i, access)
			if err != nil {
				c.failf("with the key that the machine had shown, Connect returned %s", describe(err))
			}
			c.t.Cleanup(func() { _ = again.Close() })
			if second, _ := again.(runctl.Hosted).HostKey(); second != key {
				c.failf("HostKey returned %s, and at the second connection %s", key, second)
			}
			access.HostKey = "SHA256:" + strings.Repeat("A", 43)
			poser, err := c.connectAs(i, access)
			if err == nil {
				c.t.Cleanup(func() { _ = poser.Close() })
			}
			if !errors.Is(err, runctl.ErrHostKey) {
				c.failf("with another key in Access.HostKey, Connect returned %s", describe(err))
			}
		},
	},
}

var fingerprint = regexp.MustCompile(`^SHA256:[A-Za-z0-9+/]{43}$`)
