package cloudtest

import (
	"context"
	"crypto"
	"crypto/ed25519"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"runctl"
	"runctl/internal/wire"
)

// Face is a cloud's wire face.
type Face interface {
	http.Handler
	Inject(...wire.Fault)
	Heal()
	Served(op string) int
	Billing() []string // the cloud's own ids
	Violations() []string
	Checked() (requests, replies int)
	Close()
}

// Owner and Secret are those of all clients of an account.
const Owner = "tester"

// Secret is the owner's.
var Secret = []byte("the owner's secret")

// Account is an empty account at a cloud, in memory, with a client. Make it with [NewAccount].
type Account struct {
	T    *testing.T
	Face Face
	P    runctl.Provider
	C    *runctl.Client    // of P
	Net  http.RoundTripper // leads to Face; credentials go to the cloud alone

	Machine func(key string) runctl.LaunchSpec // a launch on the shell road; set it before Launch
	Under   func(key string) []string          // ids, as the provider has them, of what lives under a key of ours

	open func(http.RoundTripper) (runctl.Provider, error)
	tap  *tap
}

// NewAccount makes an account behind a face. net leads to it and nowhere else; open makes a provider over such a network, as a
// process does that knows nothing of others.
func NewAccount(t *testing.T, f Face, net http.RoundTripper, open func(net http.RoundTripper) (runctl.Provider, error)) *Account {
	t.Helper()
	a := &Account{T: t, Face: f, open: open, tap: &tap{t: t, net: net}}
	a.Net = a.tap
	Audit(t, f)
	a.P = a.Provider()
	a.C = a.Client()
	return a
}

// Provider is that of another process.
func (a *Account) Provider() runctl.Provider {
	a.T.Helper()
	p, err := a.open(a.Net)
	require.NoError(a.T, err)
	return p
}

// Client is another client of the same owner's, over the same provider.
func (a *Account) Client() *runctl.Client {
	a.T.Helper()
	return a.over(a.P, runctl.Config{})
}

// Process is another process of the same owner's: it shares nothing with the first but the cloud.
func (a *Account) Process() *runctl.Client {
	a.T.Helper()
	return a.over(a.Provider(), runctl.Config{})
}

func (a *Account) over(p runctl.Provider, cfg runctl.Config) *runctl.Client {
	a.T.Helper()
	cfg.Owner, cfg.Secret = Owner, Secret
	c, err := runctl.New(cfg, p)
	require.NoError(a.T, err)
	a.T.Cleanup(func() { _ = c.Close() })
	return c
}

// Launch starts a machine and expects no trouble.
func (a *Account) Launch(key string) runctl.Instance {
	a.T.Helper()
	i, err := a.C.Launch(a.T.Context(), a.Machine(key))
	require.NoError(a.T, err)
	return i
}

// ReapAll waits until every lifetime of an hour is over, and reaps.
func (a *Account) ReapAll() {
	a.T.Helper()
	Pass(time.Hour + 10*time.Minute + time.Second)
	_, err := a.C.Reap(a.T.Context(), runctl.ReapRequest{Most: 100})
	require.NoError(a.T, err)
}

// Pass lets virtual time pass.
func Pass(d time.Duration) { <-time.After(d) }

// CancelAfter is a context that its caller gives up.
func CancelAfter(t *testing.T, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

// Signer is some key to enter machines with.
func Signer(t *testing.T) crypto.Signer {
	t.Helper()
	_, key, err := ed25519.GenerateKey(nil)
	require.NoError(t, err)
	return key
}
