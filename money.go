package runctl

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Money is an amount in one currency. The zero value means unknown, which is not the same as free:
// USD(0) is free. Amounts of different currencies never mix.
type Money struct {
	Nanos    int64  // billionths of the currency's unit
	Currency string // ISO 4217, upper case; empty: unknown
}

// maxAmount bounds every amount in units of its currency. A cloud that asks for more is not believed.
const maxAmount = 1_000_000

// USD returns x US dollars, rounded to a billionth. NaN, infinities and amounts beyond a million either
// way give the unknown Money.
func USD(x float64) Money { return MoneyOf(x, "USD") }

// MoneyOf returns x units of the currency (ISO 4217, three upper-case letters), rounded to a billionth.
// NaN, infinities, amounts beyond a million either way and malformed currencies give the unknown Money.
func MoneyOf(x float64, currency string) Money {
	if math.IsNaN(x) || math.Abs(x) > maxAmount || !validCurrency(currency) {
		return Money{}
	}
	return Money{Nanos: int64(math.Round(x * 1e9)), Currency: currency}
}

func validCurrency(c string) bool {
	return len(c) == 3 && strings.Trim(c, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") == ""
}

// Known reports whether the amount is known.
func (m Money) Known() bool { return m.Currency != "" }

// Cmp compares two known amounts of one currency: -1, 0 or +1. Unknown amounts and different
// currencies are an error of kind [ErrInvalid].
func (m Money) Cmp(o Money) (int, error) {
	switch {
	case !m.Known() || !o.Known():
		return 0, invalid("money", "an unknown amount cannot be compared")
	case m.Currency != o.Currency:
		return 0, invalid("money", "%s and %s cannot be compared; give the ceiling in %s", m.Currency, o.Currency, m.Currency)
	case m.Nanos < o.Nanos:
		return -1, nil
	case m.Nanos > o.Nanos:
		return 1, nil
	}
	return 0, nil
}

// String prints the amount with at least two decimals, such as "2.99 USD"; "?" when unknown.
func (m Money) String() string {
	if !m.Known() {
		return "?"
	}
	return m.Amount() + " " + m.Currency
}

// Amount prints the number alone, with at least two and at most nine decimals, and no currency.
func (m Money) Amount() string {
	sign, n := "", uint64(m.Nanos)
	if m.Nanos < 0 {
		sign, n = "-", -n // two's complement: the smallest has no positive counterpart
	}
	frac := strings.TrimRight(fmt.Sprintf("%09d", n%1e9), "0")
	for len(frac) < 2 {
		frac += "0"
	}
	return sign + strconv.FormatUint(n/1e9, 10) + "." + frac
}

// perHour returns m × d/1h, rounded up to a billionth; unknown stays unknown. It saturates instead of
// overflowing.
func (m Money) perHour(d time.Duration) Money {
	if !m.Known() || d <= 0 {
		return Money{Currency: m.Currency}
	}
	x := float64(m.Nanos) * (float64(d) / float64(time.Hour))
	if x > math.MaxInt64/2 {
		x = math.MaxInt64 / 2
	}
	return Money{Nanos: int64(math.Ceil(x)), Currency: m.Currency}
}

// Price is what a whole machine costs while it runs, compute only; disks are apart.
type Price struct {
	Hourly Money     // for one hour of the whole machine, all its GPUs; zero value: unknown
	Source string    // where the figure comes from, such as "catalog"
	At     time.Time // when the source was asked; zero: unknown
}

// Free reports whether the price is known to be nothing.
func (p Price) Free() bool { return p.Hourly.Known() && p.Hourly.Nanos == 0 }
