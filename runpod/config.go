package runpod

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"runctl"
	"runctl/internal/newborn"
	"runctl/rest"
)

// DefaultName is the Info.Name of a provider made without a name, and the Kind of all of them.
const DefaultName = "runpod"

// DefaultBaseURL is where RunPod's API is.
const DefaultBaseURL = "https://api.runpod.io"

// DefaultImage is what pods run that were launched without an image: RunPod's own PyTorch, which has an sshd. Its CUDA
// is 12.8, so hosts whose driver is older are not taken for it.
const (
	DefaultImage = "runpod/pytorch:1.0.2-cu1281-torch280-ubuntu2404"
	defaultCUDA  = "12.8"
)

// Settings that the Factory reads.
const (
	keyEnv       = "RUNPOD_API_KEY"
	baseEnv      = "RUNPOD_BASE_URL"
	communityEnv = "RUNPOD_COMMUNITY" // "yes"
)

// Config is what a [Provider] is made of. APIKey is required.
type Config struct {
	// APIKey is a key of the account with the right to read and write pods. It is sent to BaseURL and nowhere else, and
	// no pod gets it.
	APIKey string `json:"-"`
	// BaseURL is where the API is; empty: [DefaultBaseURL].
	BaseURL string
	// Community offers the community cloud too: cheaper hosts, which belong to strangers.
	Community bool
	// Image is what pods run that were launched without one; empty: [DefaultImage].
	Image string
	// Settle is how long after a launch a pod is assumed to be missing from a listing at most. RunPod documents no such
	// time. 0: absence never proves that nothing was started.
	Settle time.Duration
	// Rate is how many calls a second are made at most; 0: one, which RunPod's documented quota of 60 a minute allows.
	Rate float64
	// Name is the provider's Info.Name; empty: "runpod".
	Name string
	// Transport carries the requests; nil: one of the provider's own, without a proxy.
	Transport http.RoundTripper
}

// Factory makes the provider from RUNPOD_API_KEY, RUNPOD_BASE_URL and RUNPOD_COMMUNITY.
var Factory = runctl.Factory{
	Name: DefaultName,
	Open: func(_ context.Context, get func(string) string) (runctl.Provider, error) {
		cfg := Config{APIKey: get(keyEnv), BaseURL: get(baseEnv)}
		switch v := get(communityEnv); v {
		case "", "no":
		case "yes":
			cfg.Community = true
		default:
			return nil, invalid("%s is %q: must be yes or no", communityEnv, clip(v))
		}
		return New(cfg)
	},
}

// New checks the configuration. It does no I/O.
func New(cfg Config) (*Provider, error) {
	cfg.APIKey = strings.TrimSpace(cfg.APIKey)
	switch {
	case cfg.APIKey == "":
		return nil, &runctl.Error{Kind: runctl.ErrAuth, Msg: "no API key: set " + keyEnv + " to one from RunPod's console, under Settings, API Keys"}
	case strings.ContainsFunc(cfg.APIKey, func(r rune) bool { return r <= ' ' || r >= 0x7f }):
		return nil, &runctl.Error{Kind: runctl.ErrAuth, Msg: keyEnv + " is not a key: it must be one word of ASCII"}
	case cfg.Settle < 0 || cfg.Rate < 0:
		return nil, invalid("Settle and Rate must not be negative")
	}
	cfg.Name = cmp.Or(cfg.Name, DefaultName)
	cfg.Rate = cmp.Or(cfg.Rate, 1)
	api, err := rest.New(rest.Config{
		Base: cmp.Or(cfg.BaseURL, DefaultBaseURL), UserAgent: "runctl-runpod", Auth: rest.Bearer(cfg.APIKey),
		Rules: rules, Transport: cfg.Transport, MaxBody: 32 << 20,
	})
	if err != nil {
		return nil, err
	}
	return &Provider{cfg: cfg, api: api, young: newborn.Set{Cloud: "RunPod", What: "pod"}}, nil
}

// Format prints whose provider it is, and not its key, whatever the verb.
func (c Config) Format(f fmt.State, _ rune) { fmt.Fprintf(f, "runpod.Config(%s)", c.BaseURL) }

// invalid makes the error for a request or a setting that cannot work here. Nothing was started.
func invalid(format string, args ...any) *runctl.Error {
	return &runctl.Error{Kind: runctl.ErrInvalid, Scope: runctl.ScopeRequest, NotStarted: true, Msg: fmt.Sprintf(format, args...)}
}

// clip makes text of others short enough for a message.
func clip(s string) string { return strings.ToValidUTF8(s[:min(len(s), 80)], "") }
