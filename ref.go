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

	// HostKey is the fingerprint, "SHA256:…", that the machine was known by when the reference was made: whoever
	// shows another one is not that machine. Empty: it had not been met, or has none.
	HostKey  string
	FirstUse bool // nobody vouched for HostKey when it was first seen: see TrustFirstUse
}

const (
	refPrefix      = "rc1:"
	firstUsePrefix = "first-use:"
)

// String returns rc1:provider/owner/key/id/run, each part escaped as in a URL's path. With a HostKey it is the
// sixth part, after "first-use:" where FirstUse is set.
func (r Ref) String() string {
	parts := []string{r.Provider, r.Owner, r.Key, r.ID, r.Run}
	switch {
	case r.HostKey != "" && r.FirstUse:
		parts = append(parts, firstUsePrefix+r.HostKey)
	case r.HostKey != "":
		parts = append(parts, r.HostKey)
	}
	for i, p := range parts {
		parts[i] = url.PathEscape(p)
	}
	return refPrefix + strings.Join(parts, "/")
}

// ParseRef reads what [Ref.String] wrote. Anything else is ErrInvalid.
func ParseRef(s string) (Ref, error) {
	rest, ok := strings.CutPrefix(s, refPrefix)
	parts := strings.Split(rest, "/")
	if !ok || len(parts) != 5 && len(parts) != 6 || len(s) > 1024 {
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
	if len(parts) == 6 {
		if r.HostKey, r.FirstUse = strings.CutPrefix(parts[5], firstUsePrefix); r.HostKey == "" {
			return Ref{}, invalid("reference", "%q: its last part is empty", clip(oneLine(s), 80))
		}
	}
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
	case r.HostKey != "" && !validHostKey(r.HostKey):
		return invalid("reference", "host key %q: SHA256: and 43 characters, as ssh-keygen -l prints it", clip(oneLine(r.HostKey), 80))
	case r.FirstUse && r.HostKey == "":
		return invalid("reference", "FirstUse is said of no host key")
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
