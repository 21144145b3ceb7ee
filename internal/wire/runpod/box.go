//go:build unix

package runpod

import (
	"bytes"
	"encoding/json"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Real lets containers be processes of this computer: the command in args, with the pod's environment and nothing else, in a
// directory that is new at every start. The image is not looked at. A network volume is the directory that its
// mount path names, so tests mount one of their own.
type Real struct {
	Dir   string        // containers' disks lie below; required
	SSHD  string        // sshd of containers that expose 22/tcp; empty: they have this computer's, and no port is mapped to it
	User  string        // who logs in there; empty: root
	Env   []string      // NAME=value that the image has; PATH, HOME and TMPDIR are always there
	Grace time.Duration // between TERM and KILL of a stop; 0: 10 s. RunPod's is not documented
}

func (r *Real) grace() time.Duration {
	if r.Grace == 0 {
		return 10 * time.Second
	}
	return r.Grace
}

// box is a container that is a process.
type box struct {
	p    *pod
	id   string
	cmd  *exec.Cmd
	done chan struct{} // closed when nothing of it is left
}

// command is the argv in args: the JSON form is exact, anything else is split at spaces, as no shell would.
func command(args string) []string {
	var form struct{ Entrypoint, Cmd []string }
	if err := json.Unmarshal([]byte(args), &form); err == nil {
		return slices.Concat(form.Entrypoint, form.Cmd)
	}
	return strings.Fields(args)
}

// start runs the pod's command. The lock is held. What it returns with, and whether there is such a command at all, is all
// the same to the host.
func (r *Real) start(p *pod) *box {
	b := &box{p: p, id: p.ID, done: make(chan struct{})}
	disk := filepath.Join(r.Dir, p.ID, strconv.Itoa(p.starts))
	_ = os.RemoveAll(filepath.Join(r.Dir, p.ID, strconv.Itoa(p.starts-1))) // the disk is wiped
	for _, dir := range []string{"root", "tmp"} {
		_ = os.MkdirAll(filepath.Join(disk, dir), 0o755)
	}
	env := map[string]string{"PATH": os.Getenv("PATH"), "HOME": filepath.Join(disk, "root"), "TMPDIR": filepath.Join(disk, "tmp")}
	for _, pair := range r.Env {
		k, v, _ := strings.Cut(pair, "=")
		env[k] = v
	}
	maps.Copy(env, map[string]string{"RUNPOD_POD_ID": p.ID, "RUNPOD_API_KEY": p.key, "RUNPOD_DC_ID": *p.DataCenterID, "RUNPOD_GPU_COUNT": "0"})
	if p.GPU != nil {
		env["RUNPOD_GPU_COUNT"] = strconv.Itoa(*p.GPU.Count)
	}
	for _, m := range p.Mounts.Network {
		env["RUNPOD_VOLUME_ID"] = m.VolumeID
		_ = os.MkdirAll(m.Path, 0o755)
	}
	if p.port = 0; r.SSHD != "" && slices.Contains(p.Ports, "22/tcp") {
		p.port = freePort()
		env["RUNPOD_PUBLIC_IP"], env["RUNPOD_TCP_PORT_22"] = "127.0.0.1", strconv.Itoa(p.port)
		bin := filepath.Join(disk, "bin") // no network of its own: an sshd that is told port 22 listens on the public one
		_ = os.MkdirAll(bin, 0o755)
		_ = os.WriteFile(filepath.Join(bin, "sshd"), []byte("#!/bin/sh\nexec "+r.SSHD+" -p $RUNPOD_TCP_PORT_22 \"$@\"\n"), 0o755)
		env["PATH"] = bin + ":" + env["PATH"]
	}
	maps.Copy(env, p.Env)
	argv := command(p.Args)
	if len(argv) == 0 {
		argv = []string{"sleep", "infinity"}
	}
	b.cmd = exec.Command(argv[0], argv[1:]...)
	b.cmd.Dir = disk
	b.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	b.cmd.Env = []string{}
	for k, v := range env {
		b.cmd.Env = append(b.cmd.Env, k+"="+v)
	}
	out, in, err := os.Pipe()
	if err == nil {
		b.cmd.Stdout, b.cmd.Stderr = in, in
		err = b.cmd.Start()
		_ = in.Close()
	}
	if err != nil {
		p.log.system(time.Now(), "error starting container: "+err.Error())
		go b.over()
		return b
	}
	read := make(chan struct{})
	go func() {
		defer close(read)
		readLines(out, func(line string) {
			p.f.mu.Lock()
			defer p.f.mu.Unlock()
			p.log.container(time.Now(), line)
			p.f.notify()
		})
	}()
	go func() {
		_ = b.cmd.Wait()
		b.sweep() // the rest of a container goes with its first process
		select {  // who fled from the container may hold its output
		case <-read:
		case <-time.After(2 * time.Second):
		}
		_ = out.Close()
		b.over()
	}()
	return b
}

// over tells the host that nothing is left.
func (b *box) over() {
	close(b.done)
	b.p.f.mu.Lock()
	defer b.p.f.mu.Unlock()
	if b.p.box == b {
		b.p.returned(time.Now())
	}
}

// stop asks the first process to end, and after the grace ends all.
func (b *box) stop(grace time.Duration) {
	b.signal(syscall.SIGTERM)
	t := time.NewTimer(grace)
	defer t.Stop()
	select {
	case <-b.done:
	case <-t.C:
		b.kill()
	}
}

// kill ends the first process, and all others go with it.
func (b *box) kill() { b.signal(syscall.SIGKILL) }

func (b *box) signal(s syscall.Signal) {
	if b.cmd != nil && b.cmd.Process != nil {
		_ = b.cmd.Process.Signal(s)
	}
}

// sweep kills what carries the pod's id in its environment, until nothing does: whatever session or group it is in.
func (b *box) sweep() {
	for range 1000 {
		left := b.processes()
		if len(left) == 0 {
			return
		}
		for _, pid := range left {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
		time.Sleep(2 * time.Millisecond)
	}
}

// processes are those of the container, but for the dead: what carries the pod's id in its environment, is in the first
// process's session, or comes from one that is. Programs that write their title over their environment are found by the latter two.
func (b *box) processes() (pids []int) {
	if b.cmd == nil || b.cmd.Process == nil {
		return nil
	}
	mark := []byte("\x00RUNPOD_POD_ID=" + b.id + "\x00")
	parents, mine := map[int]int{}, map[int]bool{}
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, file := range stats {
		stat, err := os.ReadFile(file)
		_, rest, ok := strings.Cut(string(stat), ") ")
		fields := strings.Fields(rest) // state, parent, group, session
		if pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(file))); err == nil && ok && len(fields) > 3 && fields[0] != "Z" {
			parents[pid], _ = strconv.Atoi(fields[1])
			env, _ := os.ReadFile(filepath.Join(filepath.Dir(file), "environ"))
			mine[pid] = fields[3] == strconv.Itoa(b.cmd.Process.Pid) || bytes.Contains(append([]byte{0}, env...), mark)
		}
	}
	for pid := range parents {
		for at, depth := pid, 0; at > 1 && depth < 64; at, depth = parents[at], depth+1 {
			if mine[at] && pid != os.Getpid() {
				pids = append(pids, pid)
				break
			}
		}
	}
	return pids
}

// freePort is one that nobody listens on now.
func freePort() int {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// Kill sends SIGKILL to the pod's processes whose command line begins with text, as the kernel does when memory is out, and
// returns how many there were.
func (f *Face) Kill(id, text string) (n int) {
	var b *box
	f.with(id, func(p *pod, _ time.Time) { b = p.box })
	if b == nil {
		return 0
	}
	for _, pid := range b.processes() {
		line, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "cmdline"))
		if err == nil && strings.HasPrefix(strings.ReplaceAll(string(line), "\x00", " "), text) && syscall.Kill(pid, syscall.SIGKILL) == nil {
			n++
		}
	}
	return n
}
