package runctl

import (
	"crypto/ed25519"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Any process with the owner's secret enters a machine with the same key, also after the secret was changed; no
// other owner, and no other machine, has that key.
func TestMachineKeysComeFromTheSecret(t *testing.T) {
	label := func(secret string) string {
		return Mark{Owner: "one", Key: "k1", Controller: "abc", Lifetime: 60e9, Digest: "dddd"}.Label([]byte(secret))
	}
	client := func(secret string, old ...string) *Client {
		cfg := Config{Owner: "one", Secret: []byte(secret)}
		for _, o := range old {
			cfg.OldSecrets = append(cfg.OldSecrets, []byte(o))
		}
		c, err := New(cfg, newModelCloud())
		require.NoError(t, err)
		return c
	}
	key := client("first").signer(label("first"))
	require.Len(t, key, ed25519.PrivateKeySize)
	require.Equal(t, key, client("first").signer(label("first")))
	require.Equal(t, key, client("second", "first").signer(label("first")), "a rotated secret still enters older machines")
	require.NotEqual(t, key, client("second").signer(label("first")))
	require.NotEqual(t, key, client("first").signer(label("first")+"x"))
	bare := client("")
	require.Nil(t, bare.access(bare.providers[0], Instance{Label: label("")}).Signer)

	line := client("first").authorizedKey(label("first"))
	require.True(t, strings.HasPrefix(line, "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI"), line)
	require.Empty(t, client("").authorizedKey(label("")))
}
