package job

import (
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"runctl/internal/enginetest"
)

func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

func TestAContainerIsEnteredByTheHostKeyThatItPrinted(t *testing.T) {
	user := enginetest.SSHD(t) // there is an sshd, or the test is told so
	key := enginetest.NewKey(t)
	signer, err := ssh.NewSignerFromKey(key)
	require.NoError(t, err)
	onEveryLinux(t, func(t *testing.T, m *shellMachine) {
		b := Berth{Run: "shell", Lifetime: time.Hour, EndBy: time.Now().Add(time.Hour), Port: freePort(t), End: "end_ask() { :; }\nend_now() { :; }\n"}
		script, err := b.Script()
		require.NoError(t, err)
		k := m.boot(t, script, "PUBLIC_KEY="+enginetest.AuthorizedKey(t, key), "OF_IMAGE=a \"b\" c\\d")
		k.until("a role", func() bool { return k.birth().Start.Role != "" })
		if k.birth().Start.Role == RoleRefused { // busybox alone has no sshd
			assert.Contains(t, k.birth().Start.Text, "the image has no ssh")
			return
		}
		k.until("the host key", func() bool { return k.birth().HostKey != "" })
		printed, _, _, _, err := ssh.ParseAuthorizedKey([]byte(k.birth().HostKey))
		require.NoError(t, err)
		var c *ssh.Client
		k.until("sshd", func() bool {
			c, err = ssh.Dial("tcp", fmt.Sprint("127.0.0.1:", b.Port), &ssh.ClientConfig{User: user.User, Auth: []ssh.AuthMethod{ssh.PublicKeys(signer)},
				HostKeyCallback: ssh.FixedHostKey(printed), Timeout: 5 * time.Second})
			return err == nil
		})
		defer c.Close()
		s, err := c.NewSession()
		require.NoError(t, err)
		out, err := s.Output(`echo "$OF_IMAGE|$RUNCTL_ROOT|$RUNCTL_NONCE|$PUBLIC_KEY"`)
		require.NoError(t, err)
		assert.Equal(t, "a \"b\" c\\d|"+m.root+"||\n", string(out))
	})
}
