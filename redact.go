package runctl

import (
	"regexp"
	"strings"
	"unicode/utf8"
)

// maxText is the longest string, in bytes, that is kept of anything a cloud says.
const maxText = 2 << 10

// secretPatterns match what must never be printed: URL queries and user parts (signatures, keys),
// bearer tokens and authorization values.
var secretPatterns = []struct {
	find *regexp.Regexp
	put  string
}{
	{regexp.MustCompile(`([a-zA-Z][a-zA-Z0-9+.-]*://)[^\s/@"']+@`), "${1}[redacted]@"},
	{regexp.MustCompile(`([a-zA-Z][a-zA-Z0-9+.-]*://[^\s?"']+)\?[^\s"']*`), "${1}?[redacted]"},
	{regexp.MustCompile(`(?i)([a-z][a-z0-9+.-]*%3a%2f%2f[^\s?"'&]*?)%3f[^\s"'&]*`), "${1}?[redacted]"}, // within another URL
	{regexp.MustCompile(`(?i)\b((?:proxy-)?authorization|(?:set-)?cookie)([\\"']*\s*[:=]\s*(?:\[\]string\{)?[\\"'\[]*)[^\r\n\\"'\]]+`), "${1}${2}[redacted]"},
	{regexp.MustCompile(`(?i)\b(bearer|basic)\s+[a-z0-9._~+/=-]{6,}`), "${1} [redacted]"},
	{regexp.MustCompile(`(?i)\b(api[_-]?key|x-api-key|(?:access|session|security|refresh|id)[_-]?token|client[_-]?secret|password|(?:x-(?:amz|goog)-)?signature|x-amz-security-token|sig)` +
		`([\\"']*\s*[:=]\s*(?:\[\]string\{)?[\\"'\[]*)[^\s\\"',;&\]]+`), "${1}${2}[redacted]"},
	{regexp.MustCompile(`(?i)\b(token|secret)([\\"']+\s*:\s*[\\"'\[]*|=[\\"']*)[^\s\\"',;&\]]+`), "${1}${2}[redacted]"}, // as words they are no names
	{regexp.MustCompile(`\[{2,}redacted\]{2,}`), "[redacted]"},                                                          // what was masked before
}

// redact makes text from outside fit to print: secrets masked, cut to maxText, one line, no control
// characters.
func redact(s string) string {
	s = clip(s, 4*maxText)
	if suspect(s) {
		for _, p := range secretPatterns {
			s = p.find.ReplaceAllString(s, p.put)
		}
	}
	return clip(oneLine(s), maxText)
}

// suspect reports whether any of secretPatterns might match: each wants one of these. Every text of every machine in
// every list comes by here, and next to none has one.
func suspect(s string) bool {
	if strings.ContainsAny(s, ":=%[ſ") {
		return true
	}
	s = strings.ToLower(s)
	return strings.Contains(s, "bearer") || strings.Contains(s, "basic")
}

// clip cuts s to at most n bytes on a rune boundary.
func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}

// oneLine replaces control characters by spaces, and those that turn the direction of writing, so that a
// cloud's text can neither break a line, nor drive a terminal, nor read other than it is.
func oneLine(s string) string {
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if r < 0x20 || r == 0x7f || r >= 0x80 && r < 0xa0 || r == utf8.RuneError ||
			r >= 0x200e && r <= 0x200f || r >= 0x2028 && r <= 0x202e || r >= 0x2066 && r <= 0x2069 || r == 0x61c {
			return ' '
		}
		return r
	}, s))
}
