package ssh

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"runctl"
)

// maxHostsFile bounds the file of hosts.
const maxHostsFile = 1 << 20

// entry is a host while it is read.
type entry struct {
	Host
	amount   *float64
	currency string
}

// hostFields are what the file may say of a host. Each reads one text.
var hostFields = map[string]func(h *entry, text string) error{
	"price": func(h *entry, s string) error {
		x, err := strconv.ParseFloat(s, 64)
		if err != nil || !runctl.MoneyOf(x, "USD").Known() || strings.Trim(s, "0123456789.") != "" {
			return errors.New(`must be an amount for one hour, such as "1.20", from 0 to 1000000`)
		}
		h.amount = &x
		return nil
	},
	"currency": func(h *entry, s string) error {
		if h.currency = s; !runctl.MoneyOf(0, s).Known() {
			return errors.New(`must be three capital letters, such as "USD"`)
		}
		return nil
	},
	"region": func(h *entry, s string) error {
		if h.Region = s; strings.Trim(s, idLetters) != "" || len(s) > 64 {
			return errors.New("must be at most 64 of A-Z, a-z, 0-9, '.', '_' and '-'")
		}
		return nil
	},
	"gpu": func(h *entry, s string) (err error) {
		if h.NoGPU = s == "none"; h.NoGPU {
			return nil
		}
		if h.GPU, err = runctl.ParseGPU(s); err != nil {
			return fmt.Errorf(`must be MODEL:COUNT, such as "H100-SXM:8", or "none": %w`, err)
		}
		return nil
	},
	"user_for_jobs": func(h *entry, s string) error {
		if h.JobUser = s; !validUser(s) {
			return errors.New("must be the name of a user of the host: a-z, 0-9, '_' and '-', at most 32")
		}
		return nil
	},
	"max_lifetime": func(h *entry, s string) (err error) {
		if h.MaxLifetime, err = time.ParseDuration(s); err != nil || h.MaxLifetime < time.Minute || h.MaxLifetime > runctl.MaxLifetime {
			return errors.New(`must be a duration of at least a minute, such as "72h"`)
		}
		return nil
	},
	"root": func(h *entry, s string) error {
		if h.Root = s; !validRoot(s) {
			return errors.New(`must be an absolute path on the host, such as "/var/lib/runctl"`)
		}
		return nil
	},
}

func validUser(s string) bool {
	return len(s) >= 1 && len(s) <= 32 && s[0] != '-' && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789_-") == ""
}

func validRoot(s string) bool {
	return path.IsAbs(s) && path.Clean(s) == s && s != "/" && len(s) <= 200 && !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r > '~' })
}

// ParseHosts reads the file of hosts: {"hosts": {"NAME": {"price": "1.20", ...}}}. Everything in it must be known
// and allowed, and an error names the field. The hosts come in the order of the file.
func ParseHosts(text []byte) ([]Host, error) {
	if len(text) > maxHostsFile {
		return nil, fmt.Errorf("more than %d bytes", maxHostsFile)
	}
	d := json.NewDecoder(bytes.NewReader(text))
	var all []Host
	err := object(d, "", func(key string) error {
		if key != "hosts" {
			return fmt.Errorf(`%s: no such field; the only one is "hosts"`, clip(key))
		}
		return object(d, "hosts", func(name string) error {
			h := entry{Host: Host{Name: name}}
			if _, _, _, err := splitHost(name); err != nil {
				return fmt.Errorf("hosts.%s: %w", clip(name), err)
			}
			err := object(d, "hosts."+name, func(field string) error { return hostField(d, &h, field) })
			switch {
			case err != nil:
			case h.amount != nil:
				h.Price = runctl.MoneyOf(*h.amount, cmp.Or(h.currency, "USD"))
			case h.currency != "":
				err = fmt.Errorf("hosts.%s.currency: there is no price with it", clip(name))
			}
			all = append(all, h.Host)
			return err
		})
	})
	if err == nil {
		if _, more := d.Token(); more != io.EOF {
			err = errors.New("there is more after the closing brace")
		}
	}
	return all, err
}

func hostField(d *json.Decoder, h *entry, field string) error {
	where := "hosts." + h.Name + "." + clip(field)
	set := hostFields[field]
	if set == nil {
		return fmt.Errorf("%s: no such field; allowed are %s", where, strings.Join(slices.Sorted(maps.Keys(hostFields)), ", "))
	}
	var text string
	if err := d.Decode(&text); err != nil {
		var kind *json.UnmarshalTypeError
		if errors.As(err, &kind) {
			err = fmt.Errorf("must be text in quotes, not a %s", kind.Value)
		}
		return fmt.Errorf("%s: %w", where, err)
	}
	if err := set(h, text); err != nil {
		return fmt.Errorf("%s: %w", where, err)
	}
	return nil
}

// object reads a JSON object and calls f for each of its keys, which reads the value.
func object(d *json.Decoder, where string, f func(key string) error) error {
	at := func(format string, args ...any) error {
		err := fmt.Errorf(format, args...)
		if where != "" {
			err = fmt.Errorf("%s: %w", where, err)
		}
		return err
	}
	t, err := d.Token()
	if err != nil {
		return at("%w", err)
	}
	if t != json.Delim('{') {
		return at("must be an object in braces")
	}
	seen := map[string]bool{}
	for d.More() {
		t, err := d.Token()
		if err != nil {
			return at("%w", err)
		}
		key, _ := t.(string)
		if seen[key] {
			return at("%s stands there twice", clip(key))
		}
		seen[key] = true
		if err := f(key); err != nil {
			return err
		}
	}
	if _, err := d.Token(); err != nil {
		return at("%w", err)
	}
	return nil
}

// clip makes one short line of a name from outside, and printable of what a host said.
func clip(s string) string      { return oneLine(s, 80) }
func printable(s string) string { return oneLine(s, 400) }

func oneLine(s string, n int) string {
	if len(s) > n {
		s = s[:n] + "..."
	}
	q := strconv.QuoteToASCII(s)
	return q[1 : len(q)-1]
}
