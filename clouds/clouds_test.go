package clouds_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"runctl"
	"runctl/clouds"
	"runctl/local"
)

func TestEveryProviderOpensUnderItsName(t *testing.T) {
	r := clouds.Registry()
	dir := t.TempDir()
	for _, name := range r.Names() {
		p, err := r.Open(t.Context(), name, func(k string) string {
			return map[string]string{"HOME": dir, "RUNCTL_SSH_HOSTS": "gpu1", "RUNPOD_API_KEY": "rpa_test", "LYCEUM_API_KEY": "lk_test",
				"AWS_REGION": "us-east-1", "AWS_ACCESS_KEY_ID": "AKIATEST", "AWS_SECRET_ACCESS_KEY": "test"}[k]
		})
		require.NoError(t, err, name)
		assert.Equal(t, name, p.Info().Name)
		assert.Equal(t, name, p.Info().Kind)
	}
	assert.Subset(t, r.Names(), []string{"aws", "fake", "local", "lyceum", "runpod", "ssh"})
}

func TestARegistryMayBeAddedTo(t *testing.T) {
	r := clouds.Registry()
	r.Register(runctl.Factory{Name: "mine", Open: local.Factory.Open})
	assert.Contains(t, r.Names(), "mine")
	assert.NotContains(t, clouds.Registry().Names(), "mine", "every caller has its own")
}
