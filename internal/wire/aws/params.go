package aws

import "time"

// params are the members of a structure by their names in the model. Values are string, int64, float64, bool, time.Time, []byte,
// []any or params; replies may also have int, []string and []params.
type params map[string]any

// str is a string below the path, "" when there is none.
func (p params) str(path ...string) string {
	s, _ := p.at(path...).(string)
	return s
}

// at is the value below the path, nil when there is none.
func (p params) at(path ...string) any {
	var v any = p
	for _, name := range path {
		m, ok := v.(params)
		if !ok {
			return nil
		}
		v = m[name]
	}
	return v
}

func (p params) has(path ...string) bool { return p.at(path...) != nil }

// num is a number below the path, or the other value.
func (p params) num(other int, path ...string) int {
	if n, ok := p.at(path...).(int64); ok {
		return int(n)
	}
	return other
}

func (p params) flag(path ...string) bool {
	b, _ := p.at(path...).(bool)
	return b
}

func (p params) time(path ...string) time.Time {
	t, _ := p.at(path...).(time.Time)
	return t
}

// strs is a list of strings below the path.
func (p params) strs(path ...string) (all []string) {
	list, _ := p.at(path...).([]any)
	for _, v := range list {
		s, _ := v.(string)
		all = append(all, s)
	}
	return all
}

// list is a list of structures below the path.
func (p params) list(path ...string) (all []params) {
	list, _ := p.at(path...).([]any)
	for _, v := range list {
		m, _ := v.(params)
		all = append(all, m)
	}
	return all
}
