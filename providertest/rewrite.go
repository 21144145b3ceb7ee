package providertest

import (
	"bytes"
	"encoding/json"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"
)

// fields returns the places in a reply where a value stands, without the numbers of list items: "items[].id" in
// JSON, "<id>" in XML. leaves leaves out objects and lists.
func fields(body []byte, leaves bool) (paths []string) {
	var doc any
	if json.Unmarshal(body, &doc) != nil {
		for _, m := range xmlLeaf.FindAllSubmatch(body, -1) {
			paths = append(paths, "<"+string(m[1])+">")
		}
		slices.Sort(paths)
		return slices.Compact(paths)
	}
	var walk func(path string, v any)
	walk = func(path string, v any) {
		switch v := v.(type) {
		case map[string]any:
			for k, e := range v {
				p := strings.TrimPrefix(path+"."+k, ".")
				if !leaves || !isTree(e) {
					paths = append(paths, p)
				}
				walk(p, e)
			}
		case []any:
			for _, e := range v {
				walk(path+"[]", e)
			}
		}
	}
	walk("", doc)
	slices.Sort(paths)
	return slices.Compact(paths)
}

func isTree(v any) bool {
	switch v.(type) {
	case map[string]any, []any:
		return true
	}
	return false
}

var xmlLeaf = regexp.MustCompile(`<([A-Za-z0-9:_-]+)>[^<]*</[A-Za-z0-9:_-]+>`)

// without takes a field out of a reply: null in JSON, nothing in XML.
func without(body []byte, path string) []byte {
	var doc any
	if json.Unmarshal(body, &doc) != nil {
		name := strings.Trim(path, "<>")
		return regexp.MustCompile(`<`+regexp.QuoteMeta(name)+`>[^<]*</`+regexp.QuoteMeta(name)+`>`).ReplaceAll(body, nil)
	}
	var walk func(at string, v any)
	walk = func(at string, v any) {
		switch v := v.(type) {
		case map[string]any:
			for k, e := range v {
				p := strings.TrimPrefix(at+"."+k, ".")
				if p == path {
					v[k] = nil
				} else {
					walk(p, e)
				}
			}
		case []any:
			for _, e := range v {
				walk(at+"[]", e)
			}
		}
	}
	walk("", doc)
	out, err := json.Marshal(doc)
	if err != nil {
		return body
	}
	return out
}

// replaceWord exchanges a whole JSON string or XML text.
func replaceWord(body []byte, from, to string) []byte {
	body = bytes.ReplaceAll(body, []byte(`"`+from+`"`), []byte(`"`+to+`"`))
	return bytes.ReplaceAll(body, []byte(`>`+from+`<`), []byte(`>`+to+`<`))
}

var timestamp = regexp.MustCompile(`\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?( ?(Z|UTC|[+-]\d\d:?\d\d)( UTC)?)?`)

// shiftTimes moves every time in a reply, and its Date, so that the cloud's clock is elsewhere.
func shiftTimes(h http.Header, body []byte, by time.Duration) []byte {
	if at, err := http.ParseTime(h.Get("Date")); err == nil {
		h.Set("Date", at.Add(by).UTC().Format(http.TimeFormat))
	}
	return timestamp.ReplaceAllFunc(body, func(old []byte) []byte {
		for _, layout := range []string{time.RFC3339Nano, "2006-01-02 15:04:05.999999999 -0700 MST", "2006-01-02 15:04:05.999999999Z07:00",
			"2006-01-02T15:04:05.999999999", "2006-01-02 15:04:05.999999999"} {
			if at, err := time.Parse(layout, string(old)); err == nil && at.Year() > 1 {
				return []byte(at.Add(by).Format(layout))
			}
		}
		return old
	})
}
