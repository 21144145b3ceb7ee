package lyceum

import (
	"encoding/json"
	"strconv"
	"strings"
	"time"
)

// Text is a value of a reply that is read whatever its JSON type: a string as it is, a number or a truth value as it is
// written, null and everything else as "". One field of another type must not hide a machine that bills.
type Text string

// UnmarshalJSON implements [json.Unmarshaler]. It never fails.
func (t *Text) UnmarshalJSON(b []byte) error {
	var s string
	switch v := strings.TrimSpace(string(b)); {
	case json.Unmarshal(b, &s) == nil:
		*t = Text(s)
	case v == "null" || v == "" || v[0] == '{' || v[0] == '[':
		*t = ""
	default:
		*t = Text(v)
	}
	return nil
}

// Int is the number that the text is; false when it is none.
func (t Text) Int() (int, bool) {
	n, err := strconv.Atoi(strings.TrimSpace(string(t)))
	return n, err == nil
}

// times are the forms in which Lyceum was seen to write them. One without a zone is UTC.
var times = []string{time.RFC3339Nano, "2006-01-02T15:04:05.999999999", "2006-01-02 15:04:05.999999999Z07:00", "2006-01-02 15:04:05.999999999"}

// Time is the moment that the text names; zero when it names none.
func (t Text) Time() time.Time {
	for _, form := range times {
		if at, err := time.Parse(form, strings.TrimSpace(string(t))); err == nil {
			return at
		}
	}
	return time.Time{}
}

// word makes a state comparable: lower case, with underscores for spaces and hyphens.
func (t Text) word() string {
	return strings.NewReplacer(" ", "_", "-", "_").Replace(strings.ToLower(strings.TrimSpace(string(t))))
}
