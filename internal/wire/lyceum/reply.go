package lyceum

import (
	"net/http"
	"slices"

	"runctl/internal/wire"
)

type answer = wire.Answer

func ok(body any) answer { return answer{Status: http.StatusOK, Body: body} }

// refuse is the API's form of an error: a detail in words.
func refuse(status int, detail string) answer {
	return answer{Status: status, Body: map[string]any{"detail": detail}}
}

// malformed is its form for a body or a parameter that cannot be read: a detail that is a list.
func malformed(wrongs []string) answer {
	list := []map[string]any{}
	for n, w := range wrongs {
		list = append(list, map[string]any{"loc": []any{"body", n}, "msg": w, "type": "value_error"})
	}
	return answer{Status: http.StatusUnprocessableEntity, Body: map[string]any{"detail": list}}
}

// dress gives an object what the options ask for: fields that nobody knows, words that nobody has heard, and with keep nulls for
// all but those. It changes the object, and returns it.
func (f *Face) dress(m map[string]any, keep ...string) map[string]any {
	if f.opt.Nulls && len(keep) > 0 {
		for k := range m {
			if !slices.Contains(keep, k) {
				m[k] = nil
			}
		}
	}
	if f.opt.Extra {
		m["future_field"] = []any{1, "two", nil}
	}
	if s, ok := m["status"].(string); ok {
		m["status"] = f.word(s)
	}
	return m
}

// word is a state in the words that the options ask for.
func (f *Face) word(state string) string {
	if f.opt.Word == nil {
		return state
	}
	return f.opt.Word(state)
}
