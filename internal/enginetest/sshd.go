package enginetest

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"
)

// Server is a real OpenSSH server. Its sessions have a HOME and a RUNCTL_ROOT below Dir, so that they touch nothing of the
// real user's.
type Server struct {
	Addr    string        // host:port
	HostKey ssh.PublicKey // of the host
	Signer  ed25519.PrivateKey
	User    string // whom the server lets in with Signer: the test's own user
	Dir     string // everything of the server
	Home    string // HOME of its sessions; RUNCTL_ROOT is Home/.runctl

	t    testing.TB
	bin  string
	mu   sync.Mutex
	cmd  *exec.Cmd
	gone chan struct{} // closed when cmd has ended
}

// Option changes an SSHD.
type Option func(*options)

type options struct {
	lines   []string
	env     []string
	hostKey ed25519.PrivateKey
}

// Line adds a line of sshd_config before all others, so that it wins.
func Line(line string) Option { return func(o *options) { o.lines = append(o.lines, line) } }

// Env adds a NAME=value to every session's environment; it holds no spaces.
func Env(pair string) Option { return func(o *options) { o.env = append(o.env, pair) } }

// HostKey sets the host's key; without it each server has its own.
func HostKey(k ed25519.PrivateKey) Option { return func(o *options) { o.hostKey = k } }

// SSHD starts a server that lets the test's own user in with a new key. At cleanup it ends, with its connections and
// every process that its sessions have left.
func SSHD(t testing.TB, opts ...Option) *Server {
	t.Helper()
	bin, err := exec.LookPath("sshd")
	if err != nil {
		if bin, err = exec.LookPath("/usr/sbin/sshd"); err != nil {
			absent(t, "ssh", "sshd: apt-get install openssh-server")
		}
	}
	var o options
	for _, f := range opts {
		f(&o)
	}
	me, err := user.Current()
	must(t, err)
	if me.Uid == "0" {
		must(t, os.MkdirAll("/run/sshd", 0o755))
	}
	s := &Server{t: t, bin: bin, User: me.Username, Dir: Dir(t)}
	s.Home = filepath.Join(s.Dir, "home")
	must(t, os.Mkdir(s.Home, 0o755))
	s.Signer = NewKey(t)
	if o.hostKey == nil {
		o.hostKey = NewKey(t)
	}
	s.SetHostKey(o.hostKey)
	s.AuthorizedKeys(AuthorizedKey(t, s.Signer))
	s.Addr = freeAddr(t)
	host, port, _ := net.SplitHostPort(s.Addr)
	lines := append(o.lines, "Port "+port, "ListenAddress "+host, "HostKey "+s.path("host"), "PidFile "+s.path("pid"),
		"AuthorizedKeysFile "+s.path("authorized_keys"), "PasswordAuthentication no", "KbdInteractiveAuthentication no",
		"PermitRootLogin prohibit-password", "UsePAM no", "StrictModes no", "Subsystem sftp internal-sftp", "MaxStartups 100",
		"MaxSessions 100", "LogLevel DEBUG1",
		"SetEnv "+strings.Join(append([]string{"HOME=" + s.Home, "RUNCTL_ROOT=" + filepath.Join(s.Home, ".runctl")}, o.env...), " "))
	s.write("sshd_config", strings.Join(lines, "\n")+"\n", 0o600)
	// From 9.8 on the server punishes addresses of failed logins, which tests make on purpose; before it knows no such line.
	s.write("tried_config", "PerSourcePenalties no\n"+strings.Join(lines, "\n")+"\n", 0o600)
	if exec.Command(bin, "-t", "-f", s.path("tried_config")).Run() == nil {
		must(t, os.Rename(s.path("tried_config"), s.path("sshd_config")))
	}
	t.Cleanup(func() {
		s.Stop()
		s.endSessions()
	})
	s.Start()
	return s
}

// Start starts the server, which must not run, on its old address, and returns when it answers.
func (s *Server) Start() {
	s.t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cmd != nil {
		return
	}
	cmd := exec.Command(s.bin, "-D", "-f", s.path("sshd_config"), "-E", s.path("log"))
	ownSession(cmd)
	must(s.t, cmd.Start())
	s.cmd, s.gone = cmd, make(chan struct{})
	go func(gone chan struct{}) {
		_ = cmd.Wait()
		close(gone)
	}(s.gone)
	deadline := time.After(20 * time.Second)
	for !answers(s.Addr) {
		select {
		case <-s.gone:
			s.t.Fatalf("sshd ended at once:\n%s", s.Log())
		case <-deadline:
			s.t.Fatalf("sshd does not answer on %s:\n%s", s.Addr, s.Log())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// Stop ends the server and cuts its connections. What its sessions have started lives on.
func (s *Server) Stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cmd == nil {
		return
	}
	pids := connections(s.cmd.Process.Pid)
	_ = s.cmd.Process.Kill()
	<-s.gone
	for _, pid := range pids {
		kill(pid)
	}
	s.cmd = nil
}

// Restart is Stop and Start.
func (s *Server) Restart() {
	s.t.Helper()
	s.Stop()
	s.Start()
}

// SetHostKey gives the host another key, from the next Start on. KnownHosts still names the first.
func (s *Server) SetHostKey(k ed25519.PrivateKey) {
	s.t.Helper()
	block, err := ssh.MarshalPrivateKey(k, "")
	must(s.t, err)
	s.write("host", string(pem.EncodeToMemory(block)), 0o600)
	s.write("host.pub", AuthorizedKey(s.t, k)+"\n", 0o644)
	if s.HostKey == nil {
		s.HostKey = public(s.t, k)
	}
}

// AuthorizedKeys replaces the keys that are let in, one line each.
func (s *Server) AuthorizedKeys(lines ...string) {
	s.t.Helper()
	s.write("authorized_keys", strings.Join(lines, "\n")+"\n", 0o600)
}

// KnownHosts returns a known_hosts file that names the server.
func (s *Server) KnownHosts() string {
	s.t.Helper()
	s.write("known_hosts", knownhosts.Line([]string{s.Addr}, s.HostKey)+"\n", 0o644)
	return s.path("known_hosts")
}

// KeyFile returns a file with Signer in OpenSSH's format.
func (s *Server) KeyFile() string {
	s.t.Helper()
	block, err := ssh.MarshalPrivateKey(s.Signer, "")
	must(s.t, err)
	s.write("id", string(pem.EncodeToMemory(block)), 0o600)
	return s.path("id")
}

// HostKeyFile is the file with the host's public key.
func (s *Server) HostKeyFile() string { return s.path("host.pub") }

// Log is what the server has logged.
func (s *Server) Log() string {
	b, _ := os.ReadFile(s.path("log"))
	return string(b)
}

func (s *Server) path(name string) string { return filepath.Join(s.Dir, name) }

func (s *Server) write(name, text string, mode os.FileMode) {
	s.t.Helper()
	must(s.t, os.WriteFile(s.path(name), []byte(text), mode))
}

// AuthorizedKey is the public half of k in one line.
func AuthorizedKey(t testing.TB, k ed25519.PrivateKey) string {
	t.Helper()
	return strings.TrimSpace(string(ssh.MarshalAuthorizedKey(public(t, k))))
}

func public(t testing.TB, k ed25519.PrivateKey) ssh.PublicKey {
	t.Helper()
	p, err := ssh.NewPublicKey(k.Public())
	must(t, err)
	return p
}

func NewKey(t testing.TB) ed25519.PrivateKey {
	t.Helper()
	_, k, err := ed25519.GenerateKey(rand.Reader)
	must(t, err)
	return k
}

func freeAddr(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer l.Close()
	return l.Addr().String()
}

// answers tells whether a server sends its version.
func answers(addr string) bool {
	c, err := net.DialTimeout("tcp", addr, time.Second)
	if err != nil {
		return false
	}
	defer c.Close()
	_ = c.SetReadDeadline(time.Now().Add(2 * time.Second))
	b := make([]byte, 8)
	n, _ := c.Read(b)
	return strings.HasPrefix(string(b[:n]), "SSH-2.0")
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(fmt.Errorf("enginetest: %w", err))
	}
}
