package main

import (
	"context"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"

	"runctl"
	"runctl/internal/enginetest"
	"runctl/local"
	"runctl/sshmachine"
)

// overSSH is this computer, whose machines are entered by SSH.
type overSSH struct {
	*local.Provider
	s *enginetest.Server
}

func (c overSSH) Info() runctl.Info {
	i := c.Provider.Info()
	i.InPlace = false
	return i
}

func (c overSSH) Connect(ctx context.Context, _ runctl.Instance, _ runctl.Access) (runctl.Machine, error) {
	auth, err := sshmachine.Signer(c.s.Signer)
	if err != nil {
		return nil, err
	}
	return sshmachine.Dial(ctx, sshmachine.Config{Addr: c.s.Addr, User: c.s.User, Auth: []ssh.AuthMethod{auth},
		Trust: sshmachine.Pinned(ssh.FingerprintSHA256(c.s.HostKey))})
}

// startOverSSH runs a shell script as a job on a machine behind an sshd of its own. attach calls f with the run as a
// client finds it that knows nothing but its reference, and has no connection yet.
func startOverSSH(ctx context.Context, t *tb, script string) (s *enginetest.Server, run *runctl.Run, attach func(f func(*runctl.Run))) {
	s = enginetest.SSHD(t)
	state := filepath.Join(t.TempDir(), "state")
	open := func() *runctl.Client {
		here, err := local.New(local.Config{Dir: state})
		t.must(err)
		c, err := runctl.New(runctl.Config{Owner: "bench", Secret: []byte("secret")}, overSSH{here, s})
		t.must(err)
		return c
	}
	c := open()
	t.Cleanup(func() { _ = c.Close() })
	run, err := c.Start(ctx, runctl.RunSpec{Lifetime: time.Hour, Job: runctl.Job{Args: []string{"sh", "-c", script}}})
	t.must(err)
	return s, run, func(f func(*runctl.Run)) {
		c := open()
		defer c.Close()
		run, err := c.Attach(ctx, run.Ref())
		t.must(err)
		f(run)
	}
}

// sshCommand is `ssh host LINE`.
func sshCommand(ctx context.Context, s *enginetest.Server, line string) *exec.Cmd {
	host, port, _ := strings.Cut(s.Addr, ":")
	return exec.CommandContext(ctx, "ssh", "-F", "none", "-i", s.KeyFile(), "-o", "UserKnownHostsFile="+s.KnownHosts(),
		"-o", "StrictHostKeyChecking=yes", "-p", port, s.User+"@"+host, line)
}
