package lyceum

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"

	"runctl"
	"runctl/internal/newborn"
	"runctl/rest"
)

// DefaultName is the Info.Name of a provider made without a name, and the Kind of all of them.
const DefaultName = "lyceum"

// DefaultBaseURL is where Lyceum's API is.
const DefaultBaseURL = "https://api.lyceum.technology/api/v2/external"

// Settings that the Factory reads.
const (
	keyEnv  = "LYCEUM_API_KEY"
	baseEnv = "LYCEUM_BASE_URL"
	orgEnv  = "LYCEUM_ORG"
)

// Config is what a [Provider] is made of. APIKey is required.
type Config struct {
	// APIKey is an API key of the account (lk_…), or a token of a login (a JWT). It is sent to BaseURL's host and nowhere
	// else, and no machine gets it.
	APIKey string `json:"-"`
	// BaseURL is where the API is; empty: [DefaultBaseURL].
	BaseURL string
	// Org is the organisation to act in, by its short name, for tokens of a login. An API key has its own organisation,
	// and with one this is not sent. Empty: the user's default organisation.
	Org string
	// User logs in to virtual machines; empty: lyceum, and where that is refused ubuntu, then root.
	User string
	// Settle is how long after a launch a machine is assumed to be missing from a listing at most. Lyceum documents no
	// such time. 0: absence never proves that nothing was started.
	Settle time.Duration
	// Rate is how many calls a second are made at most; 0: one, which the documented 60 reads of machines a minute allow.
	Rate float64
	// Name is the provider's Info.Name; empty: "lyceum".
	Name string
	// Transport carries the requests; nil: one of the provider's own, without a proxy.
	Transport http.RoundTripper
}

// Factory makes the provider from LYCEUM_API_KEY, LYCEUM_BASE_URL and LYCEUM_ORG.
var Factory = runctl.Factory{
	Name: DefaultName,
	Open: func(_ context.Context, get func(string) string) (runctl.Provider, error) {
		return New(Config{APIKey: get(keyEnv), BaseURL: get(baseEnv), Org: get(orgEnv)})
	},
}

const (
	apiKeyPrefix = "lk_"
	orgHeader    = "X-Org-Slug"
	userAgent    = "runctl-lyceum"
)

var orgSlug = regexp.MustCompile(`^[a-z0-9-]{1,128}$`)

// New checks the configuration. It does no I/O.
func New(cfg Config) (*Provider, error) {
	cfg.APIKey, cfg.Org = strings.TrimSpace(cfg.APIKey), strings.TrimSpace(cfg.Org)
	switch {
	case cfg.APIKey == "":
		return nil, &runctl.Error{Kind: runctl.ErrAuth, Msg: "no API key: set " + keyEnv + " to one from Lyceum's dashboard, under Configuration, API Keys"}
	case strings.ContainsFunc(cfg.APIKey, func(r rune) bool { return r <= ' ' || r >= 0x7f }):
		return nil, &runctl.Error{Kind: runctl.ErrAuth, Msg: keyEnv + " is not a key: it must be one word of ASCII"}
	case cfg.Org != "" && !orgSlug.MatchString(cfg.Org):
		return nil, invalid("%s: %q is not the short name of an organisation: letters a-z, digits and '-'", orgEnv, clip(cfg.Org))
	case strings.ContainsFunc(cfg.User, func(r rune) bool { return r <= ' ' || r == 0x7f }):
		return nil, invalid("User: %q is not the name of a login user", clip(cfg.User))
	case cfg.Settle < 0 || cfg.Rate < 0:
		return nil, invalid("Settle and Rate must not be negative")
	}
	cfg.Name = cmp.Or(cfg.Name, DefaultName)
	cfg.Rate = cmp.Or(cfg.Rate, 1)
	rc := rest.Config{
		Base: cmp.Or(cfg.BaseURL, DefaultBaseURL), UserAgent: userAgent, Auth: rest.Bearer(cfg.APIKey),
		Rules: rules, Transport: cfg.Transport, MaxBody: 32 << 20,
	}
	if cfg.Org != "" && !strings.HasPrefix(cfg.APIKey, apiKeyPrefix) {
		rc.Header = http.Header{orgHeader: {cfg.Org}}
	}
	p := &Provider{cfg: cfg, young: newborn.Set{Cloud: "Lyceum", What: "machine"}}
	var err error
	if p.api, err = rest.New(rc); err != nil {
		return nil, err
	}
	root, err := url.Parse(p.api.Base())
	if err != nil {
		return nil, err
	}
	root.Path, root.RawPath = "", ""
	rc.Base = root.String()
	p.streams, err = rest.New(rc)
	return p, err
}

// Format prints whose provider it is, and not its key, whatever the verb.
func (c Config) Format(f fmt.State, _ rune) { fmt.Fprintf(f, "lyceum.Config(%s)", c.BaseURL) }

// invalid makes the error for a request or a setting that cannot work here. Nothing was started.
func invalid(format string, args ...any) *runctl.Error {
	return &runctl.Error{Kind: runctl.ErrInvalid, Scope: runctl.ScopeRequest, NotStarted: true, Msg: fmt.Sprintf(format, args...)}
}

// clip makes text of others short enough for a message.
func clip[T ~string](s T) string { return strings.ToValidUTF8(string(s[:min(len(s), 80)]), "") }
