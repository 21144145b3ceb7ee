package cli

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"runctl"
)

// moneyText prints an amount for people: $2.99, 2.99 EUR, "?" when unknown.
func moneyText(m runctl.Money) string {
	switch {
	case !m.Known():
		return "?"
	case m.Currency == "USD":
		return "$" + m.Amount()
	}
	return m.String()
}

// costText is moneyText rounded up to cents: a cost is never shown as less than it is.
func costText(m runctl.Money) string {
	const cent = 1e7
	m.Nanos = (m.Nanos + cent - 1) / cent * cent
	return moneyText(m)
}

// durText prints a duration for people: 0.4s, 41s, 1m12s, 3h 02m, 24h.
func durText(d time.Duration) string {
	switch {
	case d < 0:
		return "?"
	case d < 10*time.Second:
		return strconv.FormatFloat(d.Truncate(100*time.Millisecond).Seconds(), 'f', -1, 64) + "s"
	case d < time.Minute:
		return fmt.Sprintf("%ds", int(d.Seconds()))
	case d < time.Hour && d%time.Minute < time.Second:
		return fmt.Sprintf("%dm", int(d.Minutes()))
	case d < time.Hour:
		return fmt.Sprintf("%dm%02ds", int(d.Minutes()), int(d.Seconds())%60)
	case d%time.Hour < time.Minute:
		return fmt.Sprintf("%dh", int(d.Hours()))
	}
	return fmt.Sprintf("%dh %02dm", int(d.Hours()), int(d.Minutes())%60)
}

// ageText is one number and a unit, for tables.
func ageText(d time.Duration) string {
	switch {
	case d < 0:
		return "?"
	case d < time.Minute:
		return fmt.Sprintf("%ds", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%dm", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh", int(d.Hours()))
	}
	return fmt.Sprintf("%dd", int(d.Hours())/24)
}

// clock prints a time as people near now say it: 02:14, tomorrow 13:21, 2 Jan 15:04.
func (a *app) clock(t time.Time) string {
	if t.IsZero() {
		return "?"
	}
	now, t := a.now().Local(), t.Local()
	day := func(t time.Time) string { return t.Format(time.DateOnly) }
	switch day(t) {
	case day(now):
		return t.Format("15:04")
	case day(now.AddDate(0, 0, 1)):
		return "tomorrow " + t.Format("15:04")
	case day(now.AddDate(0, 0, -1)):
		return "yesterday " + t.Format("15:04")
	}
	if t.Year() == now.Year() {
		return t.Format("2 Jan 15:04")
	}
	return t.Format("2 Jan 2006 15:04")
}

// sizeText prints MiB for people: 512M, 62G, "?" when unknown.
func sizeText(mib int64) string {
	switch {
	case mib <= 0:
		return "?"
	case mib < 1024:
		return fmt.Sprintf("%dM", mib)
	}
	return fmt.Sprintf("%dG", (mib+512)/1024)
}

// shapeText is what an offer has: "16 cores, 62 GiB, no GPU".
func shapeText(o runctl.Offer) string {
	var parts []string
	if o.VCPU > 0 {
		parts = append(parts, fmt.Sprintf("%d cores", o.VCPU))
	}
	if o.Memory > 0 {
		parts = append(parts, fmt.Sprintf("%d GiB", (o.Memory+512)/1024))
	}
	if o.GPU == (runctl.GPU{}) {
		parts = append(parts, "no GPU")
	} else {
		parts = append(parts, o.GPU.String())
	}
	return strings.Join(parts, ", ")
}

// placeText is where an offer is: "runpod EU-RO-1 H100-80GB:1", "local".
func placeText(o runctl.Offer) string {
	parts := []string{o.Provider}
	if r := cmp.Or(o.Zone, o.Region); r != "" {
		parts = append(parts, r)
	}
	if o.GPU != (runctl.GPU{}) {
		parts = append(parts, o.GPU.String())
	} else if o.Type != "" && o.Type != o.Provider {
		parts = append(parts, o.Type)
	}
	return strings.Join(parts, " ")
}

// pathText is a path as short as it can be: relative below the working directory, else with ~ for home.
func (a *app) pathText(path string) string {
	if rel, err := filepath.Rel(a.dir, path); err == nil && filepath.IsLocal(rel) {
		path = rel
	} else if home := a.env("HOME"); home != "" && strings.HasPrefix(path, home+string(os.PathSeparator)) {
		path = "~" + path[len(home):]
	}
	return path
}
