package runctl

import (
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
)

// What a cloud answers is input from outside. Everything is bounded here, once, before the client uses it.
const (
	maxInstances  = 100_000
	maxOffers     = 100_000
	maxRetryAfter = 10 * time.Minute
)

// validID reports whether s can be a machine's id: it may end up in a printed command.
func validID(s string) bool {
	if len(s) < 1 || len(s) > 128 {
		return false
	}
	for _, r := range s {
		if !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("._:-", r)) {
			return false
		}
	}
	return true
}

// text bounds a string that came from a cloud: 2 KiB, one line, no control characters.
func text(s string) string { return clip(oneLine(clip(s, 2*maxText)), maxText) }

// checkPrice makes a price that cannot be believed unknown: negative, beyond a million an hour, or in no
// currency.
func checkPrice(p Price) Price {
	if p.Hourly.Known() && (!validCurrency(p.Hourly.Currency) || p.Hourly.Nanos < 0 || p.Hourly.Nanos > maxAmount*1e9) {
		p.Hourly = Money{}
	}
	p.Source = text(p.Source)
	return p
}

// checkInstance bounds an instance and fills in what the client knows: the provider's name and the mark.
// It reports false when the id is not usable.
func (c *Client) checkInstance(a *account, i Instance) (Instance, bool) {
	if !validID(i.ID) {
		return Instance{}, false
	}
	i.Provider = a.info.Name
	if i.Label = clip(i.Label, 256); i.Label == "" {
		i.Mark = Mark{}
	} else {
		i.Mark = c.marks.parse(i.Label, c.secrets())
	}
	i.Reason, i.Type, i.Region, i.Zone = redact(i.Reason), text(i.Type), text(i.Region), text(i.Zone)
	i.GPU.Model, i.Price = text(i.GPU.Model), checkPrice(i.Price)
	if !a.info.InPlace && !reachable(i.Addr) {
		i.Addr = ""
	}
	if i.State > StateTerminated {
		i.State = StateUnknown
	}
	if i.Exit != nil {
		r := checkReceipt(*i.Exit)
		i.Exit = &r
	}
	return i, true
}

// checkReceipt bounds a receipt that came from a cloud or a machine.
func checkReceipt(r Receipt) Receipt {
	r.Run, r.Source, r.Signal = text(r.Run), text(r.Source), text(r.Signal)
	r.Cause, r.Checkpoint = Cause(text(string(r.Cause))), text(r.Checkpoint)
	if r.ExitCode < 0 || r.ExitCode > 255 {
		r.ExitCode = 255
	}
	return r
}

// checkStatus bounds one look at a run. A liveness that we do not know is unknown, not dead.
func checkStatus(s Status) Status {
	if s.Live > Dead {
		s.Live = LiveUnknown
	}
	if s.Evidence = redact(s.Evidence); s.Receipt != nil {
		r := checkReceipt(*s.Receipt)
		s.Receipt = &r
	}
	return s
}

// checkOffer bounds an offer and fills in the provider's name. It reports false for one that cannot be
// launched: no id, or not exactly one market.
func checkOffer(a *account, o Offer) (Offer, bool) {
	if o.ID == "" || len(o.ID) > maxText || (o.Market != OnDemand && o.Market != Spot) || o.Roads == 0 {
		return Offer{}, false
	}
	o.Provider = a.info.Name
	o.Type, o.Region, o.Zone, o.Avail = text(o.Type), text(o.Region), text(o.Zone), text(o.Avail)
	o.GPU.Model = text(o.GPU.Model)
	o.Price = checkPrice(o.Price)
	return o, true
}

// The clouds' metadata services: Azure's and Alibaba's, and Amazon's IPv6 one, which are not link-local.
var metadataIPs = []netip.Addr{netip.MustParseAddr("168.63.129.16"), netip.MustParseAddr("100.100.100.200"), netip.MustParseAddr("fd00:ec2::254")}

// reachable refuses addresses that a cloud has no business to send us to: loopback, link-local, metadata
// services, multicast and unspecified ones.
func reachable(addr string) bool {
	if addr == "" {
		return true // none yet
	}
	if len(addr) > 260 || strings.ContainsAny(addr, " \t\r\n/@") || strings.HasPrefix(addr, "-") {
		return false
	}
	host := strings.TrimSuffix(strings.TrimPrefix(addr, "["), "]")
	if h, _, err := net.SplitHostPort(addr); err == nil {
		host = h
	}
	ip, err := netip.ParseAddr(host)
	if err != nil {
		return reachableName(strings.ToLower(strings.TrimSuffix(host, ".")))
	}
	ip = ip.Unmap()
	return !ip.IsLoopback() && !ip.IsLinkLocalUnicast() && !ip.IsMulticast() && !ip.IsUnspecified() && !ip.IsLinkLocalMulticast() &&
		!slices.Contains(metadataIPs, ip.WithZone(""))
}

// reachableName refuses names that stand for such addresses. One that ends in a number, such as 127.1, is an
// address to some resolvers. Whoever dials another name checks what it resolves to.
func reachableName(host string) bool {
	last := host[strings.LastIndexByte(host, '.')+1:]
	if _, err := strconv.ParseUint(last, 0, 64); err == nil || strings.Trim(last, "0123456789") == "" {
		return false
	}
	return last != "localhost" && host != "metadata" && host != "metadata.google.internal"
}
