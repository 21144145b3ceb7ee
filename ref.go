package runctl

import (
	"net/url"
	"strings"
)

// Ref finds a machine, or a run on it, again: from another process, after a restart, days later. It is
// plain text without secrets. Its text form begins with a version; old ones stay readable for ever.
type Ref struct {
	Provider string // Info.Name
	Owner    string
	Key      string // of the launch; together with Owner it is checked against the machine's mark
	ID       string // of the machine; empty: found by Key
	Run      string // of the run; empty: the machine itself
}

const refPrefix = "rc1:"

// String returns rc1:provider/owner/key/id/run, each part escaped as in a URL's path.
func (r Ref) String() string {
	parts := []string{r.Provider, r.Owner, r.Key, r.ID, r.Run}
	for i, p := range parts {
		parts[i] = url.PathEscape(p)
	}
	return refPrefix + strings.Join(parts, "/")
}

// ParseRef reads what [Ref.String] wrote. Anything else is ErrInvalid.
func ParseRef(s string) (Ref, error) {
	rest, ok := strings.CutPrefix(s, refPrefix)
	parts := strings.Split(rest, "/")
	if !ok || len(parts) != 5 || len(s) > 1024 {
		return Ref{}, invalid("reference", "%q is not one; it reads %sprovider/owner/key/id/run", clip(oneLine(s), 80), refPrefix)
	}
	for i, p := range parts {
		u, err := url.PathUnescape(p)
		if err != nil {
			return Ref{}, invalid("reference", "%q is not one: %v", clip(oneLine(s), 80), err)
		}
		parts[i] = u
	}
	r := Ref{Provider: parts[0], Owner: parts[1], Key: parts[2], ID: parts[3], Run: parts[4]}
	return r, r.validate()
}

func (r Ref) validate() error {
	switch {
	case !validKey(r.Provider, maxKey):
		return invalid("reference", "provider %q: letters a-z, digits and '-', at most %d", clip(r.Provider, 80), maxKey)
	case !validOwner(r.Owner):
		return invalid("reference", "owner %q: letters a-z and digits, at most %d", clip(r.Owner, 80), maxOwner)
	case r.Key == "" && r.ID == "":
		return invalid("reference", "needs a key or an id")
	case r.Key != "" && !validKey(r.Key, maxKey):
		return invalid("reference", "key %q: letters a-z, digits and '-', at most %d", clip(r.Key, 80), maxKey)
	case r.ID != "" && !validID(r.ID):
		return invalid("reference", "id %q: letters, digits and . _ : -, at most 128", clip(r.ID, 80))
	case r.Run != "" && !validKey(r.Run, maxRunID):
		return invalid("reference", "run %q: letters a-z, digits and '-', at most %d", clip(r.Run, 80), maxRunID)
	}
	return nil
}

// MarshalText returns String.
func (r Ref) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// UnmarshalText is ParseRef.
func (r *Ref) UnmarshalText(b []byte) (err error) {
	*r, err = ParseRef(string(b))
	return err
}
