package lyceum

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"runctl"
)

func TestSettingsComeFromTheFactory(t *testing.T) {
	open := func(env map[string]string) (runctl.Provider, error) {
		return Factory.Open(t.Context(), func(k string) string { return env[k] })
	}
	assert.Equal(t, "lyceum", Factory.Name)
	p, err := open(map[string]string{"LYCEUM_API_KEY": " " + testKey + "\n"})
	require.NoError(t, err, "a key from a file ends with a newline")
	assert.Equal(t, "https://api.lyceum.technology/api/v2/external", p.(*Provider).REST().Base())
	assert.Equal(t, runctl.Info{Name: "lyceum", Kind: "lyceum", Rate: 1, Markets: runctl.OnDemand | runctl.Spot, Credentials: "LYCEUM_API_KEY"}, p.Info())
	p, err = open(map[string]string{"LYCEUM_API_KEY": testKey, "LYCEUM_BASE_URL": "http://127.0.0.1:8080/api/"})
	require.NoError(t, err)
	assert.Equal(t, "http://127.0.0.1:8080/api", p.(*Provider).REST().Base())
	assert.Equal(t, "http://127.0.0.1:8080", p.(*Provider).streams.Base(), "streams are outside of the prefix")

	_, err = open(nil)
	assert.ErrorIs(t, err, runctl.ErrAuth)
	assert.ErrorContains(t, err, "LYCEUM_API_KEY")
	for what, env := range map[string]map[string]string{
		"key":          {"LYCEUM_API_KEY": "two words"},
		"address":      {"LYCEUM_API_KEY": testKey, "LYCEUM_BASE_URL": "http://api.lyceum.technology"},
		"organisation": {"LYCEUM_API_KEY": testKey, "LYCEUM_ORG": "Our Team"},
	} {
		_, err := open(env)
		require.Error(t, err, what)
		assert.NotContains(t, err.Error(), testKey)
	}
}

func TestAConfigurationIsCheckedAndPrintsNoKey(t *testing.T) {
	c := Config{APIKey: testKey, Name: "second", Settle: 2 * time.Minute, Rate: 3}
	p, err := New(c)
	require.NoError(t, err)
	assert.Equal(t, []any{"second", "lyceum", 2 * time.Minute, 3.0}, []any{p.Info().Name, p.Info().Kind, p.Info().Settle, p.Info().Rate})
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q"} {
		assert.NotContains(t, fmt.Sprintf(verb+verb+verb, c, p, &c), testKey)
	}
	for what, c := range map[string]Config{"settle": {APIKey: testKey, Settle: -1}, "rate": {APIKey: testKey, Rate: -1}, "address": {APIKey: testKey, BaseURL: "::"},
		"user": {APIKey: testKey, User: "root; id"}} {
		_, err := New(c)
		assert.ErrorIs(t, err, runctl.ErrInvalid, what)
	}
}

func TestTheOrganisationGoesWithTokensOfALoginAlone(t *testing.T) {
	for _, x := range []struct{ key, want string }{{"eyJhbGciOi.a.b", "team-1"}, {testKey, ""}} {
		s := newServer(t, map[string][]reply{"GET /vms/v1/status": ok(`{"vm_id":"v1","status":"ready"}`)})
		p := s.provider(func(c *Config) { c.APIKey, c.Org = x.key, "team-1" })
		_, err := p.Get(t.Context(), "vm:v1")
		require.NoError(t, err)
		got := s.calls("GET /vms/v1/status")[0].head
		assert.Equal(t, x.want, got.Get("X-Org-Slug"))
		assert.Equal(t, "Bearer "+x.key, got.Get("Authorization"))
	}
}
