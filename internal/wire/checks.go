package wire

import (
	"fmt"
	"strings"
	"sync"
)

// Checks counts what was held against a document, and keeps what was wrong. The zero value works; methods may be called
// concurrently.
type Checks struct {
	Secret string // put out of sight in what is kept; set it before the first use

	mu                  sync.Mutex
	requests, responses int
	wrong               []string
}

// Checked returns how many requests and replies were held against the document.
func (c *Checks) Checked() (requests, responses int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.requests, c.responses
}

// Violations returns what a correct client and a correct face never do: requests and replies that are invalid by the
// document, and requests that break a rule which the document has in prose only. Empty: none.
func (c *Checks) Violations() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]string(nil), c.wrong...)
}

// Wrong keeps a violation.
func (c *Checks) Wrong(format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	text := fmt.Sprintf(format, args...)
	if c.Secret != "" {
		text = strings.ReplaceAll(text, c.Secret, "<KEY>")
	}
	c.wrong = append(c.wrong, text)
}

// Count adds to what was held against the document.
func (c *Checks) Count(requests, responses int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.requests, c.responses = c.requests+requests, c.responses+responses
}
