package toycloud

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"io"

	"runctl"
	supervisor "runctl/internal/job"
)

type emulator = supervisor.Emulator

// supervisor returns what answers a supervisor's verbs on a machine.
func (c *Cloud) supervisor(id string) *emulator {
	c.mu.Lock()
	defer c.mu.Unlock()
	v := c.find(id)
	if v == nil {
		return nil
	}
	if v.sup == nil {
		v.sup = supervisor.NewEmulator(nil)
		_ = v.sup.Boot(v.boot)
	}
	return v.sup
}

// shell answers sh, of which a machine knows no more than the supervisor's verbs.
func (m *Machine) shell(ctx context.Context, argv []string, stdin io.Reader, stdout, stderr io.Writer) (int, error) {
	sup := m.Cloud.supervisor(m.ID)
	if sup == nil {
		return 127, nil
	}
	return sup.Exec(ctx, argv, stdin, stdout, stderr)
}

// HostKey implements runctl.Hosted: the cloud tells the key with the machine's record.
func (m *Machine) HostKey() (string, runctl.HostTrust) {
	sum := sha256.Sum256([]byte("host key of " + m.ID))
	return "SHA256:" + base64.RawStdEncoding.EncodeToString(sum[:]), runctl.TrustRead
}
