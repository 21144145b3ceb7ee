package aws

import (
	"encoding/base64"
	"fmt"
	"net/url"
	"slices"
	"sort"
	"strconv"
	"time"
	"unicode/utf8"
)

// wrong is one thing that the model does not allow, with AWS's code for it.
type wrong struct{ code, text string }

func (w wrong) String() string { return w.code + ": " + w.text }

// reader turns requests into params, and notes what is wrong with them.
type reader struct {
	m      *model
	wrongs []wrong
}

func (d *reader) wrong(code, format string, args ...any) {
	d.wrongs = append(d.wrongs, wrong{code, fmt.Sprintf(format, args...)})
}

// branch is a form parameter: "Tag.1.Key" is three of them.
type branch struct {
	value *string
	kids  map[string]*branch
}

// form reads the parameters of a request in EC2's or the older Query protocol.
func (d *reader) form(values url.Values, o *operation) params {
	root := &branch{kids: map[string]*branch{}}
	for key, all := range values {
		if key == "Action" || key == "Version" {
			continue
		}
		if len(all) != 1 {
			d.wrong("InvalidParameterValue", "%s is given %d times", key, len(all))
		}
		at := root
		for name := range splitDots(key) {
			if at.kids[name] == nil {
				at.kids[name] = &branch{kids: map[string]*branch{}}
			}
			at = at.kids[name]
		}
		at.value = &all[0]
	}
	if o.Input == nil {
		return params{}
	}
	p, _ := d.branch(root, o.Input.shape, "").(params)
	return p
}

func splitDots(s string) func(func(string) bool) {
	return func(yield func(string) bool) {
		for from, i := 0, 0; i <= len(s); i++ {
			if i == len(s) || s[i] == '.' {
				if !yield(s[from:i]) {
					return
				}
				from = i + 1
			}
		}
	}
}

func (d *reader) branch(b *branch, s *shape, path string) any {
	switch s.Type {
	case "structure":
		if b.value != nil {
			d.wrong("InvalidParameterValue", "%s is a structure", path)
		}
		p := params{}
		known := map[string]string{}
		for member, r := range s.Members {
			known[d.m.queryName(member, r)] = member
		}
		for _, name := range sortedKeys(b.kids) {
			member, ok := known[name]
			if !ok {
				d.wrong("UnknownParameter", "The parameter %s is not recognized", join(path, name))
				continue
			}
			if v := d.branch(b.kids[name], s.Members[member].shape, join(path, name)); v != nil {
				p[member] = v
			}
		}
		d.required(p, s, path)
		return p
	case "list":
		return d.items(b, s, path)
	}
	if b.value == nil || len(b.kids) > 0 {
		d.wrong("UnknownParameter", "The parameter %s is not recognized", path)
		return nil
	}
	return d.scalar(*b.value, s, path)
}

// items reads a list: its items are numbered from 1 on, without a gap.
func (d *reader) items(b *branch, s *shape, path string) any {
	if d.m.Metadata.Protocol == "query" {
		if only := b.kids["member"]; only != nil && len(b.kids) == 1 {
			b = only
		}
	}
	list := make([]any, 0, len(b.kids))
	for i := 1; i <= len(b.kids); i++ {
		kid := b.kids[strconv.Itoa(i)]
		if kid == nil {
			d.wrong("InvalidParameterValue", "%s has no item %d of %d", path, i, len(b.kids))
			break
		}
		list = append(list, d.branch(kid, s.Member.shape, join(path, strconv.Itoa(i))))
	}
	if b.value != nil {
		d.wrong("InvalidParameterValue", "%s is a list", path)
	}
	d.length(len(list), s, path)
	return list
}

// scalar reads a value out of its text.
func (d *reader) scalar(text string, s *shape, path string) any {
	bad := func(err error) {
		if err != nil {
			d.wrong("InvalidParameterValue", "Invalid value '%s' for %s: %s is expected", text, path, s.Type)
		}
	}
	switch s.Type {
	case "integer", "long":
		n, err := strconv.ParseInt(text, 10, 64)
		bad(err)
		d.bounds(float64(n), s, path)
		return n
	case "double", "float":
		x, err := strconv.ParseFloat(text, 64)
		bad(err)
		return x
	case "boolean":
		if text != "true" && text != "false" {
			bad(strconv.ErrSyntax)
		}
		return text == "true"
	case "timestamp":
		t, err := time.Parse(time.RFC3339Nano, text)
		bad(err)
		return t
	case "blob":
		raw, err := base64.StdEncoding.DecodeString(text)
		bad(err)
		return raw
	}
	d.text(text, s, path)
	return text
}

// text checks a string.
func (d *reader) text(text string, s *shape, path string) {
	if len(s.Enum) > 0 && !slices.Contains(s.Enum, text) {
		d.wrong("InvalidParameterValue", "Invalid value '%s' for %s", text, path)
	}
	if s.pattern != nil && !s.pattern.MatchString(text) {
		d.wrong("InvalidParameterValue", "Value '%s' at '%s' does not match %s", text, path, s.Pattern)
	}
	d.length(utf8.RuneCountInString(text), s, path)
}

func (d *reader) length(n int, s *shape, path string) { d.bounds(float64(n), s, path) }

// bounds checks a number, or a length.
func (d *reader) bounds(x float64, s *shape, path string) {
	if s.Min != nil && x < *s.Min || s.Max != nil && x > *s.Max {
		d.wrong("InvalidParameterValue", "%s has the value or length %v, which is out of bounds", path, x)
	}
}

func (d *reader) required(p params, s *shape, path string) {
	for _, name := range s.Required {
		if _, ok := p[name]; !ok {
			d.wrong("MissingParameter", "The request must contain the parameter %s", join(path, name))
		}
	}
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	return keys
}
