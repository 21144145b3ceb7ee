package rest

import (
	"net/http"
	"strconv"
	"strings"
	"time"
)

// maxWait bounds what a cloud may ask for; the client honours less.
const maxWait = time.Hour

// RetryAfter reads the header Retry-After, seconds or a date, the date against the reply's own Date. 0: there is
// none, it cannot be read, or it has passed. At most an hour.
func RetryAfter(h http.Header) time.Duration {
	v := strings.TrimSpace(h.Get("Retry-After"))
	if n, err := strconv.ParseInt(v, 10, 32); err == nil {
		return min(max(time.Duration(n)*time.Second, 0), maxWait)
	}
	at, err := http.ParseTime(v)
	now, err2 := http.ParseTime(h.Get("Date"))
	if err != nil || err2 != nil {
		return 0
	}
	return min(max(at.Sub(now), 0), maxWait)
}

// Limit is one window of the header RateLimit.
type Limit struct {
	Name  string        // of the window, such as minute
	Left  int64         // requests
	Reset time.Duration // until the window begins anew
}

// RateLimit reads the header RateLimit of the IETF's draft, as in
//
//	RateLimit: "minute";r=12;t=30, "hour";r=2900;t=1800
//
// Windows that cannot be read are left out. At most 16 are read.
func RateLimit(h http.Header) []Limit {
	var all []Limit
	for _, item := range strings.SplitN(strings.Join(h.Values("RateLimit"), ","), ",", 17) {
		name, rest, _ := strings.Cut(strings.TrimSpace(item), ";")
		l, seen := Limit{Name: strings.Trim(strings.TrimSpace(name), `"`)}, 0
		for word := range strings.SplitSeq(rest, ";") {
			key, value, _ := strings.Cut(strings.TrimSpace(word), "=")
			n, err := strconv.ParseInt(value, 10, 32)
			if err != nil || n < 0 {
				continue
			}
			switch key {
			case "r":
				l.Left, seen = n, seen|1
			case "t":
				l.Reset, seen = time.Duration(n)*time.Second, seen|2
			}
		}
		if seen == 3 && l.Name != "" && len(all) < 16 {
			all = append(all, l)
		}
	}
	return all
}

// unixReset reads the headers X-RateLimit-Remaining and X-RateLimit-Reset, of which the second is a Unix time, against the
// reply's own Date. 0: something is left, or it cannot be read.
func unixReset(h http.Header) time.Duration {
	at, err := strconv.ParseInt(strings.TrimSpace(h.Get("X-RateLimit-Reset")), 10, 64)
	now, err2 := http.ParseTime(h.Get("Date"))
	if err != nil || err2 != nil || strings.TrimSpace(h.Get("X-RateLimit-Remaining")) != "0" {
		return 0
	}
	return min(max(time.Unix(at, 0).Sub(now), 0), maxWait)
}

// wait is how long a refusal for speed asks for: Retry-After, else the longest of the windows that are used up.
func wait(h http.Header) time.Duration {
	d := RetryAfter(h)
	if h.Get("Retry-After") != "" {
		return d
	}
	d = unixReset(h)
	for _, l := range RateLimit(h) {
		if l.Left == 0 {
			d = max(d, min(l.Reset, maxWait))
		}
	}
	return d
}
