//go:build unix

package runpod

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"runctl/internal/execfile"
	"runctl/internal/wire"
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
func (r *Real) start(p *pod) *wire.Box {
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
	maps.Copy(env, map[string]string{"RUNPOD_API_KEY": p.key, "RUNPOD_DC_ID": *p.DataCenterID, "RUNPOD_GPU_COUNT": "0"})
	if p.GPU != nil {
		env["RUNPOD_GPU_COUNT"] = strconv.Itoa(*p.GPU.Count)
	}
	for _, m := range p.Mounts.Network {
		env["RUNPOD_VOLUME_ID"] = m.VolumeID
		_ = os.MkdirAll(m.Path, 0o755)
	}
	if p.port = 0; r.SSHD != "" && slices.Contains(p.Ports, "22/tcp") {
		p.port = wire.FreePort()
		env["RUNPOD_PUBLIC_IP"], env["RUNPOD_TCP_PORT_22"] = "127.0.0.1", strconv.Itoa(p.port)
		bin := filepath.Join(disk, "bin") // no network of its own: an sshd that is told port 22 listens on the public one
		_ = os.MkdirAll(bin, 0o755)
		_ = execfile.Write(filepath.Join(bin, "sshd"), "#!/bin/sh\nexec "+r.SSHD+" -p $RUNPOD_TCP_PORT_22 \"$@\"\n")
		env["PATH"] = bin + ":" + env["PATH"]
	}
	maps.Copy(env, p.Env)
	argv := command(p.Args)
	if len(argv) == 0 {
		argv = []string{"sleep", "infinity"}
	}
	c := wire.Command{ID: p.ID, Mark: "RUNPOD_POD_ID", Argv: argv, Dir: disk}
	for k, v := range env {
		c.Env = append(c.Env, k+"="+v)
	}
	c.Read = func(out *os.File) {
		readLines(out, func(line string) {
			p.f.mu.Lock()
			defer p.f.mu.Unlock()
			p.log.container(time.Now(), line)
			p.f.changed.Notify()
		})
	}
	c.Over = func(b *wire.Box) { // the lock is free by then: it is called by another goroutine
		p.f.mu.Lock()
		defer p.f.mu.Unlock()
		if p.box == b {
			p.returned(time.Now())
		}
	}
	b := wire.Start(c)
	if b.Err != nil {
		p.log.system(time.Now(), "error starting container: "+b.Err.Error())
	}
	return b
}

// Kill sends SIGKILL to the pod's processes whose command line begins with text, as the kernel does when memory is out, and
// returns how many there were.
func (f *Face) Kill(id, text string) int {
	var b *wire.Box
	f.with(id, func(p *pod, _ time.Time) { b = p.box })
	if b == nil {
		return 0
	}
	return b.KillMatching(text)
}
