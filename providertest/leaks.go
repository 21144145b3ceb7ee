package providertest

import (
	"bytes"
	"fmt"
	"runtime/pprof"
	"strings"
)

// leftBehind returns the goroutines that calls of this check have started and that do not end, "" when there
// are no more of them than before. They are known by the label that they have inherited. Connections that are kept
// for the next request, over HTTP or SSH, do not count.
func (c *check) leftBehind(before int) (left string) {
	within(c.patience(), func() bool {
		n, stacks := c.goroutines()
		left = stacks
		return n <= before
	})
	if n, _ := c.goroutines(); n <= before {
		return ""
	}
	return left
}

// goroutines counts this check's goroutines, and returns their stacks.
func (c *check) goroutines() (n int, stacks string) {
	var profile bytes.Buffer
	_ = pprof.Lookup("goroutine").WriteTo(&profile, 1)
	label := fmt.Sprintf(`"providertest":%q`, c.id)
	for block := range strings.SplitSeq(profile.String(), "\n\n") {
		if head, stack, ok := strings.Cut(block, "\n"); ok && strings.Contains(stack, label) && !kept(stack) {
			k := 1
			_, _ = fmt.Sscanf(head, "%d @", &k)
			n += k
			stacks += stack + "\n"
		}
	}
	return n, stacks
}

func kept(block string) bool {
	for _, f := range []string{
		"net/http.(*persistConn).readLoop", "net/http.(*persistConn).writeLoop", "net/http.(*Transport).dialConnFor",
		"net/http.(*conn).serve", "net/http.(*connReader)", "net/http.(*http2", "net/http/internal/http2",
		"golang.org/x/crypto/ssh.", "runctl/sshmachine.",
	} {
		if strings.Contains(block, f) {
			return true
		}
	}
	return false
}
