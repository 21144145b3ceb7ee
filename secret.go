package runctl

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"strings"
)

// Secret is a value that must not be seen: it prints, logs and marshals as "[secret]". It is a source
// (a value in memory, an environment variable, a file) that is read when the job is submitted, and is
// never written to a journal, a mark, a reference or a process argument.
type Secret struct {
	source, name string
	value        *string // a pointer, so that %#v cannot reach it
}

// NewSecret makes a secret of a value in memory.
func NewSecret(value string) Secret { return Secret{source: "value", value: &value} }

// SecretEnv names an environment variable of this process, read at submit.
func SecretEnv(name string) Secret { return Secret{source: "env", name: name} }

// SecretFile names a file of this computer, read at submit; one final newline is dropped.
func SecretFile(path string) Secret { return Secret{source: "file", name: path} }

// maxSecret bounds a secret's size in bytes.
const maxSecret = 64 << 10

// Reveal reads the secret's source. It is meant for providers on the job road and for the client; what
// it returns must not be printed. A missing source is [ErrInvalid].
func (s Secret) Reveal() (string, error) {
	var v string
	switch s.source {
	case "value":
		v = *s.value
	case "env":
		var ok bool
		if v, ok = os.LookupEnv(s.name); !ok {
			return "", invalid("secret", "environment variable %s is not set", s.name)
		}
	case "file":
		b, err := os.ReadFile(s.name)
		if err != nil {
			return "", invalid("secret", "%v", err)
		}
		v = strings.TrimSuffix(string(b), "\n")
	default:
		return "", invalid("secret", "has no source; use NewSecret, SecretEnv or SecretFile")
	}
	if len(v) > maxSecret || strings.ContainsRune(v, 0) {
		return "", invalid("secret", "must be at most %d bytes and hold no NUL", maxSecret)
	}
	return v, nil
}

const masked = "[secret]"

// String returns "[secret]".
func (s Secret) String() string { return masked }

// GoString returns "[secret]".
func (s Secret) GoString() string { return masked }

// Format prints "[secret]" whatever the verb.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(masked)) }

// MarshalText returns "[secret]", for JSON and everything else that marshals text.
func (s Secret) MarshalText() ([]byte, error) { return []byte(masked), nil }

// LogValue returns "[secret]" for log/slog.
func (s Secret) LogValue() slog.Value { return slog.StringValue(masked) }

// Format prints the run's reference, and nothing of its provider's, whatever the verb.
func (r *Run) Format(f fmt.State, _ rune) { fmt.Fprintf(f, "runctl.Run(%s)", r.Ref()) }

// Format prints whose configuration it is, and none of its secrets, whatever the verb.
func (c Config) Format(f fmt.State, _ rune) {
	fmt.Fprintf(f, "runctl.Config(%s/%s)", c.Owner, c.Controller)
}

// Format prints whose client it is, and none of its secrets, whatever the verb.
func (c *Client) Format(f fmt.State, _ rune) {
	fmt.Fprintf(f, "runctl.Client(%s/%s)", c.cfg.Owner, c.cfg.Controller)
}

// Format prints the fields but for Native, which is the cloud's and may hold anything.
func (i Instance) Format(f fmt.State, verb rune) {
	type plain Instance
	i.Native = nil
	fmt.Fprintf(f, fmt.FormatString(f, verb), plain(i))
}

// Format prints what Error returns, whatever the verb: the fields as they are may hold what must not be printed.
func (e Error) Format(f fmt.State, verb rune) {
	switch {
	case verb == 'v' && f.Flag('#'):
		fmt.Fprint(f, e.GoString())
	case strings.ContainsRune("sqvxX", verb):
		fmt.Fprintf(f, fmt.FormatString(f, verb), e.Error())
	default:
		fmt.Fprint(f, e.Error())
	}
}

// MarshalJSON returns the fields but for Err, their texts as Error prints them.
func (e Error) MarshalJSON() ([]byte, error) {
	type plain Error
	for _, s := range []*string{&e.Provider, &e.Op, &e.ID, &e.Key, &e.Msg} {
		*s = redact(*s)
	}
	return json.Marshal(plain(e))
}

// LogValue returns what Error returns, for log/slog.
func (e *Error) LogValue() slog.Value { return slog.StringValue(e.Error()) }

var (
	_ fmt.Formatter  = Secret{}
	_ slog.LogValuer = Secret{}
)
