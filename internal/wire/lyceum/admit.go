package lyceum

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// admit checks the token and the pace, and tells the quota that is left.
func (x *exchange) admit(h http.Header) (answer, bool) {
	f := x.f
	if x.Op != "ping" && !f.knows(x.Request) {
		return refuse(http.StatusUnauthorized, "Invalid or expired token"), true
	}
	if key := strings.HasPrefix(x.Request.Header.Get("Authorization"), "Bearer lk_"); key && x.Request.Header.Get("X-Org-Slug") != "" {
		f.Wrong("%s: an organisation is named beside an API key, which has one of its own", x.Op)
	}
	if f.opt.PerMinute == 0 {
		return answer{}, false
	}
	if now := time.Now(); now.Sub(f.window) >= time.Minute {
		f.window, f.used = now, 0
	}
	f.used++
	reset := f.window.Add(time.Minute)
	h.Set("X-RateLimit-Limit", strconv.Itoa(f.opt.PerMinute))
	h.Set("X-RateLimit-Remaining", strconv.Itoa(max(f.opt.PerMinute-f.used, 0)))
	h.Set("X-RateLimit-Reset", strconv.FormatInt(reset.Unix(), 10))
	if f.used > f.opt.PerMinute {
		h.Set("Retry-After", strconv.Itoa(int((time.Until(reset)+time.Second-1)/time.Second)))
		return refuse(http.StatusTooManyRequests, "Rate limit exceeded"), true
	}
	return answer{}, false
}

// knows reports whether a request has a token that works.
func (f *Face) knows(r *http.Request) bool {
	token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	return ok && (token == f.opt.Key || f.opt.JWT != "" && token == f.opt.JWT)
}

// taken reports whether the server takes an invalid request all the same, as it does with fields that it does not know and
// with numbers of GPUs that no machine has.
func (x *exchange) taken() bool {
	switch x.Op {
	case "createVM":
		var c createRequest
		return json.Unmarshal(x.Body, &c) == nil && c.Key != "" && c.Profile != "" && (c.Type == "" || c.Type == onDemand || c.Type == spot)
	case "startPythonRun":
		var c runRequest
		return json.Unmarshal(x.Body, &c) == nil && c.Code != nil && c.inTime()
	case "startImageRun":
		var c runRequest
		return json.Unmarshal(x.Body, &c) == nil && c.Image != "" && c.Command != nil && c.inTime()
	}
	return false
}
