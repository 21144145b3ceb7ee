//go:build linux

package ssh_test

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"runctl"
	"runctl/internal/enginetest"
	"runctl/ssh"
)

func TestSettingsComeThroughGetAlone(t *testing.T) {
	for _, name := range []string{"RUNCTL_SSH_HOSTS", "RUNCTL_SSH_FILE", "HOME", "USER", "SSH_AUTH_SOCK"} {
		t.Setenv(name, "/not/through/get")
	}
	home := t.TempDir()
	require.NoError(t, os.Mkdir(filepath.Join(home, ".ssh"), 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(home, ".ssh", "config"), []byte("Host gpu1\n Port 7\n"), 0o600))
	file := filepath.Join(home, "hosts.json")
	require.NoError(t, os.WriteFile(file, []byte(`{"hosts":{"gpu1":{"price":"2"},"gpu2":{}}}`), 0o600))
	open := func(env map[string]string) (runctl.Provider, error) {
		return ssh.Factory.Open(t.Context(), func(k string) string { return env[k] })
	}
	p, err := open(map[string]string{"HOME": home, "USER": "kim", "RUNCTL_SSH_HOSTS": " gpu1, ,kim@gpu3:2222"})
	require.NoError(t, err)
	assert.Equal(t, "ssh", p.Info().Name)
	assert.Equal(t, filepath.Join(home, ".ssh", "config"), p.Info().Credentials)
	_, err = p.Get(t.Context(), "gpu2:1")
	assert.ErrorIs(t, err, runctl.ErrInvalid, "not among the hosts")
	p, err = open(map[string]string{"HOME": home, "USER": "kim", "RUNCTL_SSH_FILE": file})
	require.NoError(t, err)
	_, err = p.Get(t.Context(), "gpu3:1")
	assert.ErrorIs(t, err, runctl.ErrInvalid, "the hosts are those of the file")

	for want, env := range map[string]map[string]string{
		"set RUNCTL_SSH_HOSTS":                   {"HOME": home},
		"host gpu1 is named twice":               {"HOME": home, "RUNCTL_SSH_HOSTS": "gpu1,gpu1"},
		"host a b:":                              {"HOME": home, "RUNCTL_SSH_HOSTS": "a b"},
		"the file of hosts cannot be read":       {"HOME": home, "RUNCTL_SSH_FILE": home + "/none"},
		"RUNCTL_SSH_FIRST_USE is \"on\"":         {"HOME": home, "RUNCTL_SSH_HOSTS": "a", "RUNCTL_SSH_FIRST_USE": "on"},
		"OpenSSH's configuration /none does not": {"HOME": home, "RUNCTL_SSH_HOSTS": "a", "RUNCTL_SSH_CONFIG": "/none"},
		"too long for an id":                     {"HOME": home, "RUNCTL_SSH_HOSTS": strings.Repeat("a", 101)},
	} {
		_, err := open(env)
		assert.ErrorContains(t, err, want)
	}
	_, err = open(map[string]string{"HOME": home})
	assert.ErrorIs(t, err, runctl.ErrAuth, "not configured, as clouds without credentials")
	_, err = ssh.New(ssh.Config{ConfigFile: os.DevNull, Hosts: []ssh.Host{{Name: "a", JobUser: "nobody"}}})
	assert.ErrorContains(t, err, "JobUser needs a Root")
}

func TestAnOfferIsAHostAsItIsAndAsItWasDescribed(t *testing.T) {
	f := newFleet(t, enginetest.SSHD(t), 2)
	file := filepath.Join(f.dir, "hosts.json")
	require.NoError(t, os.WriteFile(file, []byte(`{"hosts":{"host-h":{"price":"1.5","currency":"EUR","region":"lab","gpu":"A100-80GB:4","max_lifetime":"2h"}}}`), 0o600))
	f.cfg.HostsFile = file
	p := f.provider(t)
	offers, err := p.Offers(t.Context(), runctl.OfferQuery{})
	require.NoError(t, err)
	require.Len(t, offers, 2)
	g, h := offers[0], offers[1]
	assert.Equal(t, "host-g", g.ID)
	assert.True(t, g.Price.Free(), "a machine one has costs nothing unless the file says so")
	assert.Equal(t, "own machine", g.Price.Source)
	assert.Positive(t, g.VCPU)
	assert.Positive(t, g.Memory)
	assert.Positive(t, g.Disk)
	assert.Equal(t, "free", g.Avail)
	assert.True(t, g.EndsItself && g.Keeps && g.Roads == runctl.RoadShell)
	assert.Equal(t, runctl.GPU{Model: "A100-80GB", Count: 4, Memory: 80 << 10}, h.GPU)
	assert.Equal(t, runctl.MoneyOf(1.5, "EUR"), h.Price.Hourly)
	assert.Equal(t, "lab", h.Region)
	assert.Equal(t, 2*time.Hour, h.MaxLifetime)

	req := f.request(1, "a")
	req.Offer, req.Lifetime = h, 3*time.Hour
	_, err = p.Launch(t.Context(), req)
	assert.ErrorContains(t, err, "for at most 2h0m0s")
	req.Lifetime = time.Hour
	i, err := p.Launch(t.Context(), req)
	require.NoError(t, err)
	got, err := p.Get(t.Context(), i.ID)
	require.NoError(t, err)
	assert.Equal(t, h.GPU, got.GPU)
	assert.Equal(t, h.Price.Hourly, got.Price.Hourly)
	assert.Equal(t, "lab", got.Region)
}

func TestLaunchesThatHostsCannotServe(t *testing.T) {
	f := newFleet(t, enginetest.SSHD(t), 1)
	p := f.provider(t)
	first := f.launch(t, p, 0, "a")
	for want, change := range map[string]func(r *runctl.LaunchRequest){
		"no host":            func(r *runctl.LaunchRequest) { r.Offer.ID = "host-h" },
		"no job road":        func(r *runctl.LaunchRequest) { r.Job = &runctl.Job{} },
		"container images":   func(r *runctl.LaunchRequest) { r.Image = "x" },
		"a label of":         func(r *runctl.LaunchRequest) { r.Label = "a label" },
		"above zero":         func(r *runctl.LaunchRequest) { r.Lifetime = 0 },
		"not negative":       func(r *runctl.LaunchRequest) { r.Keep = -1 },
		"with another label": func(r *runctl.LaunchRequest) { r.Label += "x" },
	} {
		req := f.request(0, "a")
		change(&req)
		_, err := p.Launch(t.Context(), req)
		if assert.ErrorContains(t, err, want) {
			assert.True(t, classified(t, err).NotStarted, want)
		}
	}
	assert.Len(t, f.claims(0), 1)
	f.end(t, p, first.ID)
}

func TestKeysOfTheAgent(t *testing.T) {
	for _, tool := range []string{"ssh-agent", "ssh-add", "ssh-keygen"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skip("needs " + tool)
		}
	}
	sshd := enginetest.SSHD(t)
	f := newFleet(t, sshd, 1)
	plain := sshd.KeyFile()
	sock := filepath.Join(t.TempDir(), "agent")
	agent := exec.Command("ssh-agent", "-D", "-a", sock)
	require.NoError(t, agent.Start())
	t.Cleanup(func() { _ = agent.Process.Kill(); _ = agent.Wait() })
	eventually(t, "the agent", func() bool {
		c, err := net.Dial("unix", sock)
		if err == nil {
			_ = c.Close()
		}
		return err == nil
	})
	run := func(name string, args ...string) {
		t.Helper()
		cmd := exec.Command(name, args...)
		cmd.Env = append(os.Environ(), "SSH_AUTH_SOCK="+sock)
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, "%s", out)
	}
	public, err := exec.Command("ssh-keygen", "-y", "-f", plain).Output()
	require.NoError(t, err)
	for k := range 8 { // more than a server lets anybody try
		other := filepath.Join(f.dir, "other"+string(rune('a'+k)))
		run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", other)
		run("ssh-add", "-q", other)
	}
	run("ssh-add", "-q", plain)
	locked, half := filepath.Join(f.dir, "locked"), filepath.Join(f.dir, "half.pub")
	b, err := os.ReadFile(plain)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(locked, b, 0o600))
	run("ssh-keygen", "-q", "-p", "-P", "", "-N", "a passphrase", "-f", locked)
	require.NoError(t, os.WriteFile(half, public, 0o600))

	text, err := os.ReadFile(f.cfg.ConfigFile)
	require.NoError(t, err)
	try := func(identity, agent string) error {
		c := strings.ReplaceAll(strings.ReplaceAll(string(text), plain, identity), "IdentityAgent none", "IdentityAgent "+agent)
		require.NoError(t, os.WriteFile(f.cfg.ConfigFile, []byte(c), 0o600))
		p, err := ssh.New(f.cfg)
		require.NoError(t, err)
		defer p.Close()
		_, err = p.Offers(t.Context(), runctl.OfferQuery{})
		return err
	}
	assert.NoError(t, try(locked, sock+"\n IdentitiesOnly yes"), "the agent holds what the file locks")
	assert.NoError(t, try(half, sock+"\n IdentitiesOnly yes"), "the file is the public half")
	assert.NoError(t, try(locked, sock), "the configured key is tried before the agent's others")
	assert.ErrorContains(t, try(locked, "none"), "has a passphrase; run ssh-add "+locked)
	assert.Error(t, try("/nowhere", sock+"\n IdentitiesOnly yes"), "no other key of the agent's is tried")
	assert.ErrorContains(t, try(locked, filepath.Join(f.dir, "no-agent")), "the agent does not answer")
}

func TestAFixedKnownHostsFileCountsAtOnce(t *testing.T) {
	sshd, another := enginetest.SSHD(t), enginetest.SSHD(t)
	f := newFleet(t, sshd, 1)
	p := f.provider(t)
	i := f.launch(t, p, 0, "a")
	sshd.Stop()
	sshd.SetHostKey(another.Signer) // the host was set up anew
	sshd.Start()
	_, err := p.Get(t.Context(), i.ID)
	require.ErrorIs(t, err, runctl.ErrHostKey)
	host, port, err := net.SplitHostPort(sshd.Addr)
	require.NoError(t, err)
	line := "[" + host + "]:" + port + " " + enginetest.AuthorizedKey(t, another.Signer)
	require.NoError(t, os.WriteFile(sshd.KnownHosts(), []byte(line+"\n"), 0o600))
	_, err = p.Get(t.Context(), i.ID)
	assert.NoError(t, err)
}
