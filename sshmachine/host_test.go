package sshmachine_test

import (
	"crypto/ed25519"
	"crypto/rand"
	"io"
	"net"
	"os/exec"
	"sync"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"runctl/sshmachine"
)

// host is an SSH server in this process, for what a real one cannot be made to do.
type host struct {
	Addr    string
	Key     ssh.Signer
	Banner  bool                                           // false: it says nothing at all
	Auth    func() error                                   // called for each login; nil: everyone is let in
	Open    func(ssh.NewChannel) bool                      // true: handled; nil: accepted
	Exec    func(ssh.Channel, string, <-chan *ssh.Request) // runs one command, answered already
	Answer  bool                                           // answers requests to run
	Version string

	mu      sync.Mutex
	users   []string // that tried to log in
	wanted  []string // commands
	signals []string
	conns   []net.Conn
}

// newHost makes a host that lets everyone in; start it with serve.
func newHost(t testing.TB) *host {
	t.Helper()
	_, k, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	s, err := ssh.NewSignerFromSigner(k)
	require.NoError(t, err)
	return &host{Key: s, Banner: true, Answer: true, Version: "SSH-2.0-test", Exec: exits(0)}
}

// exits runs nothing and ends with a code.
func exits(code uint32) func(ssh.Channel, string, <-chan *ssh.Request) {
	return func(c ssh.Channel, _ string, _ <-chan *ssh.Request) { exit(c, code) }
}

func exit(c ssh.Channel, code uint32) {
	_, _ = c.SendRequest("exit-status", false, ssh.Marshal(struct{ Code uint32 }{code}))
	_ = c.Close()
}

// serve listens until the test is over.
func (h *host) serve(t testing.TB) *host {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	h.Addr = l.Addr().String()
	var all sync.WaitGroup
	all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			h.mu.Lock()
			h.conns = append(h.conns, c)
			h.mu.Unlock()
			if h.Banner {
				all.Go(func() { h.converse(c) })
			}
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		h.cut()
		all.Wait()
	})
	return h
}

// cut closes every connection.
func (h *host) cut() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, c := range h.conns {
		_ = c.Close()
	}
}

func (h *host) connections() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.conns)
}

func (h *host) converse(nc net.Conn) {
	conf := &ssh.ServerConfig{ServerVersion: h.Version, NoClientAuth: h.Auth == nil,
		PublicKeyCallback: func(c ssh.ConnMetadata, _ ssh.PublicKey) (*ssh.Permissions, error) {
			h.note(&h.users, c.User())
			return nil, h.Auth()
		},
		NoClientAuthCallback: func(c ssh.ConnMetadata) (*ssh.Permissions, error) {
			h.note(&h.users, c.User())
			return nil, nil
		},
	}
	conf.AddHostKey(h.Key)
	_, chans, reqs, err := ssh.NewServerConn(nc, conf)
	if err != nil {
		return
	}
	go ssh.DiscardRequests(reqs)
	var all sync.WaitGroup
	defer all.Wait()
	for c := range chans {
		if h.Open != nil && h.Open(c) {
			continue
		}
		ch, reqs, err := c.Accept()
		if err == nil {
			all.Go(func() { h.session(ch, reqs) })
		}
	}
}

func (h *host) session(ch ssh.Channel, reqs <-chan *ssh.Request) {
	for r := range reqs {
		if r.Type != "exec" {
			_ = r.Reply(false, nil)
			continue
		}
		var command struct{ Line string }
		_ = ssh.Unmarshal(r.Payload, &command)
		h.note(&h.wanted, command.Line)
		if !h.Answer {
			continue
		}
		_ = r.Reply(true, nil)
		h.Exec(ch, command.Line, reqs)
	}
}

func (h *host) note(list *[]string, s string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	*list = append(*list, s)
}

// heard is what clients have sent beyond the key exchange.
func (h *host) heard() (all []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append(append(all, h.users...), h.wanted...)
}

// really runs commands by sh, refusing every signal; in a process group of their own or in this process's.
func (h *host) really(ownGroup bool) {
	h.Exec = func(ch ssh.Channel, line string, reqs <-chan *ssh.Request) {
		cmd := exec.Command("sh", "-c", line)
		cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: ownGroup}
		cmd.Stdout, cmd.Stderr = ch, ch.Stderr()
		in, err := cmd.StdinPipe()
		if err != nil || cmd.Start() != nil {
			exit(ch, 255)
			return
		}
		go func() {
			_, _ = io.Copy(in, ch)
			_ = in.Close()
		}()
		go func() {
			for r := range reqs {
				h.note(&h.signals, r.Type)
				_ = r.Reply(false, nil)
			}
		}()
		_ = cmd.Wait()
		exit(ch, uint32(max(cmd.ProcessState.ExitCode(), 0)))
	}
}

// enter is a config for h by its pinned key.
func (h *host) enter() sshmachine.Config {
	return sshmachine.Config{Addr: h.Addr, User: "someone", Trust: sshmachine.Pinned(ssh.FingerprintSHA256(h.Key.PublicKey()))}
}
