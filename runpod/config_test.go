package runpod_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"runctl"
	"runctl/runpod"
)

func TestSettingsComeFromTheFactory(t *testing.T) {
	open := func(env map[string]string) (runctl.Provider, error) {
		return runpod.Factory.Open(t.Context(), func(k string) string { return env[k] })
	}
	assert.Equal(t, "runpod", runpod.Factory.Name)
	p, err := open(map[string]string{"RUNPOD_API_KEY": " " + accountKey + "\n"})
	require.NoError(t, err, "a key from a file ends with a newline")
	assert.Equal(t, "https://api.runpod.io", p.(*runpod.Provider).REST().Base())
	assert.Equal(t, runctl.Info{Name: "runpod", Kind: "runpod", Rate: 1, Markets: runctl.OnDemand, EndsItself: true, Region: "all data centers", Credentials: "RUNPOD_API_KEY"}, p.Info())
	p, err = open(map[string]string{"RUNPOD_API_KEY": accountKey, "RUNPOD_BASE_URL": "http://127.0.0.1:8080/", "RUNPOD_COMMUNITY": "yes"})
	require.NoError(t, err)
	assert.Equal(t, "http://127.0.0.1:8080", p.(*runpod.Provider).REST().Base())

	_, err = open(nil)
	assert.ErrorIs(t, err, runctl.ErrAuth)
	assert.Contains(t, err.Error(), "RUNPOD_API_KEY")
	for what, env := range map[string]map[string]string{
		"key":       {"RUNPOD_API_KEY": "two words"},
		"address":   {"RUNPOD_API_KEY": accountKey, "RUNPOD_BASE_URL": "http://api.runpod.io"},
		"community": {"RUNPOD_API_KEY": accountKey, "RUNPOD_COMMUNITY": "maybe"},
	} {
		_, err := open(env)
		require.Error(t, err, what)
		assert.NotContains(t, err.Error(), accountKey)
	}
}

func TestAConfigurationIsCheckedWhenAProviderIsMade(t *testing.T) {
	p, err := runpod.New(runpod.Config{APIKey: accountKey, Name: "second", Settle: 2 * time.Minute, Rate: 3})
	require.NoError(t, err)
	assert.Equal(t, "second", p.Info().Name)
	assert.Equal(t, "runpod", p.Info().Kind)
	assert.Equal(t, 2*time.Minute, p.Info().Settle)
	assert.Equal(t, 3.0, p.Info().Rate)
	for what, c := range map[string]runpod.Config{"settle": {APIKey: accountKey, Settle: -1}, "rate": {APIKey: accountKey, Rate: -1}, "address": {APIKey: accountKey, BaseURL: "::"}} {
		_, err := runpod.New(c)
		assert.ErrorIs(t, err, runctl.ErrInvalid, what)
	}
}
