package runpod

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// admit checks the key and the pace, and tells the quota that is left.
func (x *exchange) admit(h http.Header) (answer, bool) {
	token, ok := strings.CutPrefix(x.Request.Header.Get("Authorization"), "Bearer ")
	switch {
	case !ok || token == "":
		return refuse(http.StatusUnauthorized, "missing bearer token"), true
	case token != x.f.opt.Key:
		if x.pod = x.f.byKey(token); x.pod == nil {
			return refuse(http.StatusUnauthorized, "invalid bearer token"), true
		}
	}
	quota := cmp.Or(x.f.opt.PerMinute, 600)
	if now := time.Now(); now.Sub(x.f.window) >= time.Minute {
		x.f.window, x.f.used = now, 0
	}
	x.f.used++
	left, reset := max(quota-x.f.used, 0), int((time.Minute-time.Since(x.f.window)+time.Second-1)/time.Second)
	h.Set("RateLimit", fmt.Sprintf(`"minute";r=%d;t=%d`, left, reset))
	h.Set("RateLimit-Policy", fmt.Sprintf(`"minute";q=%d;w=60`, quota))
	if x.f.opt.PerMinute > 0 && x.f.used > quota {
		h.Set("Retry-After", strconv.Itoa(reset))
		return refuse(http.StatusTooManyRequests, "rate limit exceeded"), true
	}
	if x.pod != nil && !x.own() {
		return refuse(http.StatusForbidden, "access denied"), true
	}
	return answer{}, false
}

// own reports whether a pod's key may do this: read its own pod, and stop it.
func (x *exchange) own() bool {
	if x.Path["id"] != x.pod.ID || x.f.opt.PodKey == MayNothing {
		return false
	}
	var a struct{ Action string }
	_ = json.Unmarshal(x.Body, &a)
	return x.Op == "getPod" || x.Op == "podAction" && a.Action == "stop" && x.f.opt.PodKey == MayStop
}
