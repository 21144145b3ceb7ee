package transfer

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
)

// shown makes a name fit for one line of a message.
func shown(name string) string {
	const most = 120
	cut := name
	if len(cut) > most {
		cut = cut[:most]
	}
	cut = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.In(r, unicode.Cf, unicode.Zl, unicode.Zp) {
			return '?'
		}
		return r
	}, strings.ToValidUTF8(cut, "?"))
	if len(name) > most {
		cut += "…"
	}
	return cut
}

// size is a number of bytes for people.
func size(n int64) string {
	const units = "KMGTPE"
	if n < 1<<10 {
		return fmt.Sprintf("%d B", n)
	}
	x, u := float64(n), -1
	for x >= 1<<10 && u < len(units)-1 {
		x, u = x/(1<<10), u+1
	}
	return strings.TrimSuffix(strconv.FormatFloat(x, 'f', 1, 64), ".0") + " " + units[u:u+1] + "iB"
}

// number is a count with its thousands apart.
func number(n int64) string {
	s := strconv.FormatInt(n, 10)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
