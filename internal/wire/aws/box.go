//go:build unix

package aws

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/crypto/ssh"

	"runctl/internal/execfile"
)

// Real lets machines be processes of this computer: user data runs as cloud-init runs it, commands are executed, and where there
// is an sshd each machine has one, at an address of its own below 127.0.0.0/8. A machine's disk is a directory. Its power-off ends
// the machine, and not this computer: systemctl, poweroff, shutdown, halt and reboot are its own, and places of the system
// that scripts name, such as /etc/ssh and /proc/sysrq-trigger, become places of that directory.
type Real struct {
	Dir  string   // machines' disks lie below; required
	SSHD string   // sshd's path; empty: none
	Port int      // where all of them listen; 0: 22
	Env  []string // NAME=value of everything that runs on a machine
}

// mark is in the environment of all processes of a machine.
const mark = "RUNCTL_FACE_MACHINE"

// box is one boot of a machine.
type box struct {
	i        *instance
	real     *Real
	ip, dir  string
	home     string
	keys     []string // lines that may log in
	parts    []part
	first    bool
	previous *box
	mu       sync.Mutex
	off      bool
	cmds     []*exec.Cmd
	done     chan struct{} // closed when nothing of it is left
}

// plug starts the machine's processes. The lock is held.
func (i *instance) plug() {
	r := i.f.opt.Real
	if r == nil || i.f.closed {
		return
	}
	b := &box{i: i, real: r, ip: fmt.Sprintf("127.77.%d.%d", i.n/250, i.n%250+1), dir: filepath.Join(r.Dir, i.id), parts: partsOf(userData(i.in)), first: i.boots == 1,
		previous: i.box, done: make(chan struct{})}
	b.home = filepath.Join(b.dir, "root")
	b.keys = loginKeys(b.parts)
	if i.key != nil {
		b.keys = append(b.keys, i.key.line)
	}
	b.furnish()
	for _, v := range i.volumes {
		b.insert(v)
	}
	i.box = b
	i.f.busy.Add(1)
	go func() {
		defer i.f.busy.Done()
		if b.previous != nil {
			<-b.previous.done
		}
		b.run()
	}()
}

// unplug ends the machine's processes at once, as a power cut does. The lock is held.
func (i *instance) unplug() {
	b := i.box
	if b == nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.off {
		return
	}
	b.off = true
	i.f.busy.Add(1)
	go func() {
		defer i.f.busy.Done()
		b.sweep()
		close(b.done)
	}()
}

// reboot is a power cut with a boot after it. The lock is held.
func (i *instance) reboot() {
	if i.state == "running" {
		i.unplug()
		i.boots++
		i.plug()
	}
}

// furnish lays the machine's disk out, where it is new.
func (b *box) furnish() {
	for _, dir := range []string{"root/.ssh", "tmp", "bin", "etc/ssh", "var/lib", "var/run"} {
		_ = os.MkdirAll(filepath.Join(b.dir, dir), 0o755)
	}
	for _, name := range []string{"systemctl", "poweroff", "shutdown", "halt", "reboot"} {
		_ = execfile.Write(filepath.Join(b.dir, "bin", name), fmt.Sprintf("#!/bin/sh\ncase \"$*\" in *poweroff*|'') : >%s/off ;; esac\nexit 0\n", b.dir))
	}
	_ = os.Remove(filepath.Join(b.dir, "off"))
	// What comes over SSH finds the machine's places too.
	swap := ""
	for _, place := range systemPlaces[:2] {
		swap += "s#" + place + "#" + b.dir + place + "#g;"
	}
	_ = os.WriteFile(filepath.Join(b.dir, "bin", "session"), fmt.Appendf(nil, "#!/bin/sh\nc=$SSH_ORIGINAL_COMMAND\n"+
		"case $c in *%s* | *%s*) c=$(printf %%s \"$c\" | sed '%s') ;; esac\nexec sh -c \"$c\"\n", systemPlaces[0], systemPlaces[1], swap), 0o755)
	b.furnishDisks()
	host := filepath.Join(b.dir, "etc/ssh/ssh_host_ed25519_key")
	if _, err := os.Stat(host); err != nil {
		pub, key, _ := ed25519.GenerateKey(rand.Reader)
		block, _ := ssh.MarshalPrivateKey(key, "")
		line, _ := ssh.NewPublicKey(pub)
		_ = os.WriteFile(host, pem.EncodeToMemory(block), 0o600)
		_ = os.WriteFile(host+".pub", append(bytes.TrimSpace(ssh.MarshalAuthorizedKey(line)), " root@machine\n"...), 0o644)
	}
	_ = os.WriteFile(filepath.Join(b.dir, "etc/ssh/authorized_keys"), []byte(strings.Join(b.keys, "\n")+"\n"), 0o600)
}

// systemPlaces are those of the system that scripts name.
var systemPlaces = []string{"/etc/ssh/", "/etc/runctl/", "/proc/sysrq-trigger", "/var/lib/", "/var/run/", "/root/"}

var named = regexp.MustCompile(`(\$s)?(` + strings.Join(systemPlaces, "|") + `)`)

// own gives a script this machine's places for the computer's. One that begins with $s is the machine's already: a script that
// knows RUNCTL_SYSROOT calls it so.
func (b *box) own(script []byte) []byte {
	return named.ReplaceAllFunc(script, func(place []byte) []byte {
		if place[0] == '$' {
			return place
		}
		return []byte(b.dir + strings.Replace(string(place), "/proc/", "/tmp/", 1))
	})
}

func (b *box) env() []string {
	return append([]string{"PATH=" + filepath.Join(b.dir, "bin") + ":" + os.Getenv("PATH"), "HOME=" + b.home, "TMPDIR=" + filepath.Join(b.dir, "tmp"),
		"RUNCTL_ROOT=" + filepath.Join(b.home, ".runctl"), "RUNCTL_END_WAIT=86400", "RUNCTL_SYSROOT=" + b.dir, "RUNCTL_MOUNTS=" + b.mounts(), "INSTANCE_ID=" + b.i.id, mark + "=" + b.dir}, b.real.Env...)
}

// start starts a program on the machine, unless it is off.
func (b *box) start(cmd *exec.Cmd) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.off {
		return os.ErrClosed
	}
	if cmd.Dir == "" {
		cmd.Dir = b.home
	}
	cmd.Env, cmd.SysProcAttr = b.env(), &syscall.SysProcAttr{Setsid: true}
	err := cmd.Start()
	if err == nil {
		b.cmds = append(b.cmds, cmd)
	}
	return err
}

// run is a boot: boothooks, sshd, and at the first boot scripts; then it waits for the machine to turn itself off.
func (b *box) run() {
	b.userData("boothook")
	if b.real.SSHD != "" {
		b.sshd()
	}
	if b.first {
		b.userData("script")
	}
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-b.done:
			return
		case <-tick.C:
			if _, err := os.Stat(filepath.Join(b.dir, "off")); err == nil {
				b.i.f.mu.Lock()
				b.i.powerOff(time.Now())
				b.i.f.mu.Unlock()
				<-b.done
				return
			}
		}
	}
}

// userData runs the parts of a kind, one after the other.
func (b *box) userData(kind string) {
	for n, p := range b.parts {
		if p.kind != kind {
			continue
		}
		file := filepath.Join(b.dir, "tmp", fmt.Sprintf("part-%d", n))
		text := bytes.TrimPrefix(b.own(p.text), []byte("#cloud-boothook\n"))
		if !bytes.HasPrefix(text, []byte("#!")) {
			text = append([]byte("#!/bin/sh\n"), text...)
		}
		_ = execfile.Write(file, string(text))
		log, _ := os.OpenFile(filepath.Join(b.dir, "console"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
		cmd := exec.Command(file)
		cmd.Stdout, cmd.Stderr = log, log
		if err := b.start(cmd); err == nil {
			_ = cmd.Wait()
		} else {
			fmt.Fprintln(log, err)
		}
		_ = log.Close()
	}
}

// sshd starts the machine's own.
func (b *box) sshd() {
	port := b.real.Port
	if port == 0 {
		port = 22
	}
	etc := filepath.Join(b.dir, "etc/ssh")
	_ = os.MkdirAll("/run/sshd", 0o755) // as root it wants one
	lines := []string{fmt.Sprint("Port ", port), "ListenAddress " + b.ip, "HostKey " + etc + "/ssh_host_ed25519_key", "PidFile none",
		"AuthorizedKeysFile " + etc + "/authorized_keys " + b.home + "/.ssh/authorized_keys", "PasswordAuthentication no", "KbdInteractiveAuthentication no",
		"PermitRootLogin prohibit-password", "UsePAM no", "StrictModes no", "ForceCommand " + filepath.Join(b.dir, "bin/session"), "MaxStartups 100", "MaxSessions 100",
		"SetEnv " + strings.Join(b.env(), " ")}
	_ = os.WriteFile(etc+"/sshd_config", []byte(strings.Join(lines, "\n")+"\n"), 0o600)
	cmd := exec.Command(b.real.SSHD, "-D", "-f", etc+"/sshd_config", "-E", etc+"/log")
	if b.start(cmd) == nil {
		go func() { _ = cmd.Wait() }()
	}
	for range 200 {
		c, err := net.DialTimeout("tcp", net.JoinHostPort(b.ip, strconv.Itoa(port)), time.Second)
		if err == nil {
			_ = c.Close()
			return
		}
		select {
		case <-b.done:
			return
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// reach is where a port of the machine is on this computer: its sshd stands for port 22.
func (b *box) reach(port string) string {
	if port == "22" && b.real.Port != 0 {
		port = strconv.Itoa(b.real.Port)
	}
	return net.JoinHostPort(b.ip, port)
}

// console is what the machine has printed, with its host key as cloud-init prints it.
func (b *box) console() []byte {
	text, _ := os.ReadFile(filepath.Join(b.dir, "console"))
	key, _ := os.ReadFile(filepath.Join(b.dir, "etc/ssh/ssh_host_ed25519_key.pub"))
	return fmt.Appendf(text, "-----BEGIN SSH HOST KEY KEYS-----\n%s-----END SSH HOST KEY KEYS-----\n", key)
}

// execute runs a script as Run Command's agent does, and says how it ended. What it returns ends the script.
func (b *box) execute(text, dir string, limit time.Duration, done func(code int, out, errs, how string)) (stop func()) {
	file := filepath.Join(b.dir, "tmp", fmt.Sprintf("command-%d", time.Now().UnixNano()))
	_ = execfile.Write(file, string(b.own([]byte(text))))
	cmd := exec.Command("sh", file)
	cmd.Dir = dir
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr, cmd.WaitDelay = &out, &errs, time.Second
	stopped := false // under b.mu
	kill := func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		if stopped = true; cmd.Process != nil {
			_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		}
	}
	b.i.f.busy.Add(1)
	go func() {
		defer b.i.f.busy.Done()
		if err := b.start(cmd); err != nil {
			done(-1, "", err.Error(), "")
			return
		}
		b.mu.Lock()
		early := stopped
		b.mu.Unlock()
		if early { // before it began
			kill()
		}
		how := ""
		late := time.AfterFunc(limit, kill)
		_ = cmd.Wait()
		if !late.Stop() {
			how = "TimedOut"
		}
		done(cmd.ProcessState.ExitCode(), out.String(), errs.String(), how)
	}()
	return kill
}
