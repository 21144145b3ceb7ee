//go:build linux

package lyceum

import (
	"bytes"
	"fmt"
	"net"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"runctl"
	"runctl/internal/enginetest"
	"runctl/sshmachine"
)

// enter connects to a machine whose record is this.
func enter(t *testing.T, record string, user string, a runctl.Access) (runctl.Machine, error) {
	s := newServer(t, map[string][]reply{"GET /vms/v1/status": ok(record)})
	m, err := s.provider(func(c *Config) { c.User = user }).Connect(t.Context(), runctl.Instance{ID: "vm:v1"}, a)
	if err == nil {
		t.Cleanup(func() { _ = m.Close() })
	}
	return m, err
}

func TestAMachineIsEnteredByTheUserThatItHas(t *testing.T) {
	sshd := enginetest.SSHD(t)
	record := fmt.Sprintf(`{"vm_id":"v1","status":"ready","ip_address":%q}`, sshd.Addr)
	a := runctl.Access{Signer: sshd.Signer}
	users = []string{"lyceum", "nobody-of-this-name", sshd.User} // whom this computer has
	t.Cleanup(func() { users = []string{"lyceum", "ubuntu", "root"} })
	for _, user := range []string{"", sshd.User} {
		m, err := enter(t, record, user, a)
		require.NoError(t, err, "user %q", user)
		var out bytes.Buffer
		code, err := m.Exec(t.Context(), []string{"id", "-un"}, nil, &out, &out)
		require.NoError(t, err)
		assert.Equal(t, []any{0, sshd.User + "\n"}, []any{code, out.String()})
		key, trust := m.(runctl.Hosted).HostKey()
		assert.Equal(t, []any{ssh.FingerprintSHA256(sshd.HostKey), runctl.TrustFirstUse}, []any{key, trust}, "nobody vouches for the first time")
	}
	_, err := enter(t, record, "lyceum", a)
	require.ErrorIs(t, err, runctl.ErrAuth, "a user that is set is the only one that is tried")
	assert.ErrorContains(t, err, "lets none of these in: lyceum;")

	a.HostKey = ssh.FingerprintSHA256(sshd.HostKey)
	m, err := enter(t, record, "", a)
	require.NoError(t, err)
	assert.NotNil(t, m)
	a.HostKey = "SHA256:" + "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
	_, err = enter(t, record, "", a)
	require.ErrorIs(t, err, runctl.ErrHostKey)

	_, port, err := net.SplitHostPort(sshd.Addr)
	require.NoError(t, err)
	_, err = enter(t, `{"vm_id":"v1","status":"ready","ip_address":"127.0.0.1:`+port+`x"}`, "", runctl.Access{Signer: sshd.Signer})
	assert.ErrorIs(t, err, runctl.ErrUnavailable, "a malformed port is not 22")
}

func TestWhatIsNotUpOrNoMachineIsNotEntered(t *testing.T) {
	key := runctl.Access{Signer: enginetest.NewKey(t)}
	for record, want := range map[string]runctl.Kind{
		`{"vm_id":"v1","status":"pending"}`: runctl.ErrUnavailable, `{"vm_id":"v1","status":"ready","ip_address":null}`: runctl.ErrUnavailable,
		`{"vm_id":"v1","status":"terminated","ip_address":"127.0.0.1:9"}`: runctl.ErrUnavailable, `{"vm_id":"v2","status":"ready","ip_address":"127.0.0.1:9"}`: "",
	} {
		_, err := enter(t, record, "", key)
		require.Error(t, err, record)
		if want != "" {
			assert.ErrorIs(t, err, want, record)
		}
	}
	_, err := enter(t, `{}`, "", runctl.Access{})
	assert.ErrorIs(t, err, runctl.ErrInvalid)
	_, err = newServer(t, nil).provider().Connect(t.Context(), runctl.Instance{ID: "run:e1"}, key)
	assert.ErrorIs(t, err, runctl.ErrInvalid, "a run has no shell")
}

func TestTheKeyOfOneConnectIsOneKey(t *testing.T) {
	pin := same()
	require.NoError(t, pin("SHA256:a"))
	require.NoError(t, pin("SHA256:a"))
	var wrong *sshmachine.HostKeyError
	assert.ErrorAs(t, pin("SHA256:b"), &wrong)
}
