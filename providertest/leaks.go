package providertest

import (
	"bytes"
	"fmt"
	"runtime/pprof"
	"strings"
	"time"
)

// leftBehind returns a goroutine that a call of this check has started and that does not end, "" when there
// is none but those of before. They are known by the label that they have inherited. Connections that a transport keeps
// for the next request do not count.
func (c *check) leftBehind(before map[string]int) (left string) {
	within(2*time.Second, func() bool {
		left = ""
		for stack, n := range c.goroutines() {
			if n > before[stack] {
				left = stack
			}
		}
		return left == ""
	})
	return left
}

// goroutines counts this check's goroutines by their stacks.
func (c *check) goroutines() map[string]int {
	all := map[string]int{}
	var profile bytes.Buffer
	_ = pprof.Lookup("goroutine").WriteTo(&profile, 1)
	label := fmt.Sprintf(`"providertest":%q`, c.id)
	for block := range strings.SplitSeq(profile.String(), "\n\n") {
		if head, stack, ok := strings.Cut(block, "\n"); ok && strings.Contains(stack, label) && !kept(stack) {
			n := 1
			_, _ = fmt.Sscanf(head, "%d @", &n)
			all[stack] += n
		}
	}
	return all
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
