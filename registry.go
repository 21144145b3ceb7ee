package runctl

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
)

// DefaultProvider is the provider that an empty name means.
const DefaultProvider = "aws"

// Factory makes a provider from settings. Provider packages export one, and have no init: importing a
// cloud has no side effect.
type Factory struct {
	Name string
	// Open reads its settings only through get, which is os.Getenv or a look-up in a map, and does no I/O
	// beyond this computer. Missing settings are ErrAuth or ErrInvalid with a message that names them.
	Open func(ctx context.Context, get func(name string) string) (Provider, error)
}

// Registry finds providers by name. Its zero value is empty and works; methods may be called
// concurrently. Package runctl/clouds returns one with all providers of this module.
type Registry struct {
	mu        sync.Mutex
	factories map[string]Factory
}

// Register adds a factory. A second one of the same name, or one without a name or Open, panics: both
// are mistakes of the program.
func (r *Registry) Register(f Factory) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !validKey(f.Name, maxKey) || f.Open == nil {
		panic(fmt.Sprintf("runctl: factory %q needs a name of a-z, 0-9 and '-' and an Open function", f.Name))
	}
	if _, ok := r.factories[f.Name]; ok {
		panic("runctl: a factory named " + f.Name + " is registered already")
	}
	if r.factories == nil {
		r.factories = map[string]Factory{}
	}
	r.factories[f.Name] = f
}

// Names returns the registered names, sorted.
func (r *Registry) Names() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var names []string
	for n := range r.factories {
		names = append(names, n)
	}
	slices.Sort(names)
	return names
}

// Open makes the named provider; an empty name means [DefaultProvider]. An unknown name is ErrInvalid and
// the message lists the known ones.
func (r *Registry) Open(ctx context.Context, name string, get func(name string) string) (Provider, error) {
	if name == "" {
		name = DefaultProvider
	}
	r.mu.Lock()
	f, ok := r.factories[name]
	r.mu.Unlock()
	if !ok {
		names := r.Names()
		return nil, &Error{Kind: ErrInvalid, Scope: ScopeRequest, NotStarted: true, Op: "open",
			Msg: fmt.Sprintf("unknown provider %q: known are %s%s", clip(oneLine(name), 40), strings.Join(names, ", "), didYouMean(name, names))}
	}
	p, err := f.Open(ctx, get)
	if err != nil {
		e := asError(err, ErrInvalid)
		e.Provider, e.Op, e.Msg = name, "open", redact(e.Msg)
		return nil, e
	}
	return p, nil
}
