package aws

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math"
	"time"
)

// body reads the parameters of a request in JSON.
func (d *reader) body(text []byte, o *operation) params {
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil {
		d.wrong("SerializationException", "the body is no JSON")
		return params{}
	}
	p, _ := d.tree(v, o.Input.shape, "").(params)
	return p
}

func (d *reader) tree(v any, s *shape, path string) any {
	strange := func() any {
		d.wrong("SerializationException", "%s: %s is expected, and %T was sent", path, s.Type, v)
		return nil
	}
	switch s.Type {
	case "structure":
		m, ok := v.(map[string]any)
		if !ok {
			return strange()
		}
		p := params{}
		for _, name := range sortedKeys(m) {
			member := s.Members[name]
			switch {
			case member == nil:
				d.wrong("UnknownParameter", "%s is not in the model", join(path, name))
			case m[name] != nil:
				p[name] = d.tree(m[name], member.shape, join(path, name))
			}
		}
		d.required(p, s, path)
		return p
	case "list":
		all, ok := v.([]any)
		if !ok {
			return strange()
		}
		list := []any{}
		for i, item := range all {
			list = append(list, d.tree(item, s.Member.shape, fmt.Sprintf("%s.%d", path, i+1)))
		}
		d.length(len(list), s, path)
		return list
	case "map":
		m, ok := v.(map[string]any)
		if !ok {
			return strange()
		}
		p := params{}
		for _, name := range sortedKeys(m) {
			d.text(name, s.Key.shape, join(path, name))
			p[name] = d.tree(m[name], s.Value.shape, join(path, name))
		}
		return p
	}
	switch x := v.(type) {
	case string:
		if s.Type == "string" {
			d.text(x, s, path)
			return x
		}
	case bool:
		if s.Type == "boolean" {
			return x
		}
	case json.Number:
		switch s.Type {
		case "integer", "long":
			n, err := x.Int64()
			if err != nil {
				return strange()
			}
			d.bounds(float64(n), s, path)
			return n
		case "timestamp":
			f, err := x.Float64()
			if err != nil {
				return strange()
			}
			return time.UnixMilli(int64(math.Round(f * 1000))).UTC()
		}
	}
	return strange()
}

// jsonReply writes a reply of a JSON operation. What the model does not have is noted.
func (d *reader) jsonReply(v any, s *shape, path string) any {
	switch x := v.(type) {
	case params:
		out := map[string]any{}
		if s.Type == "map" {
			for k, e := range x {
				out[k] = d.jsonReply(e, s.Value.shape, join(path, k))
			}
			return out
		}
		for k, e := range x {
			if r := s.Members[k]; r == nil || s.Type != "structure" {
				d.wrong("reply", "%s is not in the model", join(path, k))
			} else if e != nil {
				out[replyName(k, r)] = d.jsonReply(e, r.shape, join(path, k))
			}
		}
		return out
	case []params:
		out := []any{}
		for _, e := range x {
			out = append(out, d.jsonReply(e, s.Member.shape, path))
		}
		return out
	case []string:
		out := []any{}
		for _, e := range x {
			out = append(out, d.jsonReply(e, s.Member.shape, path))
		}
		return out
	case time.Time:
		return float64(x.UnixMilli()) / 1000
	case []byte:
		return base64.StdEncoding.EncodeToString(x)
	case string:
		if s.Type != "string" {
			d.wrong("reply", "%s is a %s", path, s.Type)
		}
		d.text(x, s, path)
	}
	return v
}
