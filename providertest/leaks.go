package providertest

import (
	"bytes"
	"fmt"
	"runtime/pprof"
	"strings"
	"time"
)

// leftBehind returns the goroutines that calls of this check have started and that do not end, "" when
// there is none. They are known by the label that they have inherited. Connections that a transport keeps
// for the next request do not count.
func (c *check) leftBehind() string {
	var left string
	within(2*time.Second, func() bool {
		left = c.goroutines()
		return left == ""
	})
	return left
}

func (c *check) goroutines() string {
	var profile bytes.Buffer
	_ = pprof.Lookup("goroutine").WriteTo(&profile, 1)
	label := fmt.Sprintf(`"providertest":%q`, c.id)
	for block := range strings.SplitSeq(profile.String(), "\n\n") {
		if strings.Contains(block, label) && !kept(block) {
			return block
		}
	}
	return ""
}

func kept(block string) bool {
	for _, f := range []string{
		"net/http.(*persistConn).readLoop", "net/http.(*persistConn).writeLoop", "net/http.(*Transport).dialConnFor",
		"net/http.(*conn).serve", "net/http.(*connReader)", "net/http.(*http2", "net/http/internal/http2",
	} {
		if strings.Contains(block, f) {
			return true
		}
	}
	return false
}
