package aws

import (
	"embed"
	"encoding/json"
	"regexp"
	"strings"
	"sync"
)

// model is what AWS publishes of one API: operations, and the shapes of what goes in and out.
type model struct {
	service  string // as signatures name it
	Metadata struct {
		APIVersion   string
		Protocol     string // ec2, query or json
		XMLNamespace string
		TargetPrefix string
	}
	Operations map[string]*operation
	Shapes     map[string]*shape
}

type operation struct {
	name          string
	model         *model
	Input, Output *ref
}

// ref is the use of a shape, with the name that it has on the wire there.
type ref struct {
	Name          string `json:"shape"`
	LocationName  string
	QueryName     string
	ResultWrapper string
	shape         *shape
}

type shape struct {
	name     string
	Type     string // structure, list, map, string, integer, long, double, float, boolean, timestamp or blob
	Required []string
	Members  map[string]*ref
	Member   *ref // of a list
	Key      *ref // of a map
	Value    *ref
	Enum     []string
	Min, Max *float64 // of a number, or of a length
	Pattern  string
	pattern  *regexp.Regexp
}

//go:embed testdata/*.json
var documents embed.FS

// models are read once in a process.
var models = sync.OnceValue(func() map[string]*model {
	all := map[string]*model{}
	for _, service := range []string{"ec2", "ssm", "pricing", "sts"} {
		text, err := documents.ReadFile("testdata/" + service + ".json")
		if err != nil {
			panic(err)
		}
		m := &model{service: service}
		if err := json.Unmarshal(text, m); err != nil {
			panic(err)
		}
		m.resolve()
		all[service] = m
	}
	return all
})

func (m *model) resolve() {
	point := func(refs ...*ref) {
		for _, r := range refs {
			if r != nil {
				r.shape = m.Shapes[r.Name]
			}
		}
	}
	for name, o := range m.Operations {
		o.name, o.model = name, m
		point(o.Input, o.Output)
	}
	for name, s := range m.Shapes {
		s.name = name
		point(s.Member, s.Key, s.Value)
		for _, r := range s.Members {
			point(r)
		}
		if s.Pattern != "" { // patterns are of another dialect: what does not compile here is not looked at
			s.pattern, _ = regexp.Compile("^(?:" + s.Pattern + ")$")
		}
	}
}

// queryName is a member's name among form parameters.
func (m *model) queryName(member string, r *ref) string {
	switch {
	case m.Metadata.Protocol == "ec2" && r.QueryName != "":
		return r.QueryName
	case r.LocationName == "":
		return member
	case m.Metadata.Protocol == "ec2":
		return strings.ToUpper(r.LocationName[:1]) + r.LocationName[1:]
	}
	return r.LocationName
}

// replyName is a member's name in XML and JSON.
func replyName(member string, r *ref) string {
	if r.LocationName != "" {
		return r.LocationName
	}
	return member
}

// find places a request in the models: JSON by its target, forms by version and action.
func find(target, version, action string) *operation {
	prefix, name, isJSON := strings.Cut(target, ".")
	for _, m := range models() {
		switch {
		case isJSON && m.Metadata.TargetPrefix == prefix:
			return m.Operations[name]
		case !isJSON && m.Metadata.TargetPrefix == "" && m.Metadata.APIVersion == version:
			return m.Operations[action]
		}
	}
	return nil
}
