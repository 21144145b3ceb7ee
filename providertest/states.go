package providertest

import (
	"slices"

	"net/http"

	"runctl"
)

// show brings a machine into the state, or lets every reply say so. It ends the check where the cloud
// has no such state.
func (c *check) show(id string, s runctl.State) {
	if c.cloud.SetState != nil {
		if !c.cloud.SetState(id, s) {
			c.lack("state " + s.String())
		}
		return
	}
	word := c.h.States[s]
	if word == "" || !c.has[needWords] {
		c.lack("state " + s.String())
	}
	c.listedRunning(id)
	c.net.on(rewritten(func(body []byte) []byte { return replaceWord(body, c.h.States[runctl.StateRunning], word) }))
}

// listedRunning waits until List has the machine running: then its word is in the replies.
func (c *check) listedRunning(id string) {
	if !c.until(func() bool {
		l, ok := c.listed(id)
		return ok && l.State == runctl.StateRunning
	}) {
		c.failf("the machine never came to run in List")
	}
}

// strangeWord is a state that no cloud has.
const strangeWord = "QUIESCING_FOR_MIGRATION"

// showStrange lets every reply say a state that nobody knows.
func (c *check) showStrange(id string) {
	c.listedRunning(id)
	c.net.on(rewritten(func(body []byte) []byte { return replaceWord(body, c.h.States[runctl.StateRunning], strangeWord) }))
}

// eachMissing makes a call again and again, each time with one field missing in all its replies, and has
// the outcome judged. leaves leaves objects and lists where they are.
func (c *check) eachMissing(op string, leaves bool, call func(), judge func(path string)) {
	var paths []string
	c.net.on(changed(func(_ http.Header, body []byte) []byte {
		paths = append(paths, fields(body, leaves)...)
		return body
	}))
	call()
	c.net.on(nil)
	slices.Sort(paths)
	for _, path := range slices.Compact(paths) {
		c.net.on(rewritten(func(body []byte) []byte { return without(body, path) }))
		c.doing.Store(op + " without " + path)
		judge(path)
	}
	c.net.on(nil)
}
