package fake

import (
	"math/big"
	"time"

	"runctl"
)

// Cost is the bill until now for every machine that Launch started. It is worked out from the history of
// states and from nothing that an Instance says: each stretch of being pending, running or stopping is
// rounded up to a second and costs that many 3600ths of the hourly price; a stopped machine costs nothing,
// since disks are apart. It is unknown when a price is, or when there are several currencies.
func (c *Cloud) Cost() runctl.Money {
	c.mu.Lock()
	defer c.mu.Unlock()
	now, sum := c.tick(), runctl.USD(0)
	first := true
	for _, m := range c.all() {
		if m.stranger {
			continue
		}
		c.advance(m, now)
		bill := m.bill(now)
		if first {
			sum.Currency, first = bill.Currency, false
		}
		if !bill.Known() || bill.Currency != sum.Currency {
			return runctl.Money{}
		}
		sum.Nanos += bill.Nanos
	}
	return sum
}

// bill is one machine's part of the bill, rounded up to a billionth.
func (m *machine) bill(now time.Time) runctl.Money {
	hourly := m.offer.Price.Hourly
	var seconds int64
	var since time.Time // of the stretch that is running; zero: none is
	stretch := func(end time.Time) {
		if !since.IsZero() {
			seconds += int64((end.Sub(since) + time.Second - 1) / time.Second)
		}
		since = time.Time{}
	}
	for _, ch := range m.past {
		switch ch.state {
		case runctl.StateTerminated, runctl.StateStopped:
			stretch(ch.at)
		default:
			if since.IsZero() {
				since = ch.at
			}
		}
	}
	stretch(now)
	n := new(big.Int).Mul(big.NewInt(hourly.Nanos), big.NewInt(seconds))
	n.Add(n, big.NewInt(3599)).Div(n, big.NewInt(3600))
	return runctl.Money{Nanos: n.Int64(), Currency: hourly.Currency}
}
