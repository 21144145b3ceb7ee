package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"

	"runctl/code"
	"runctl/internal/enginetest"
	"runctl/sshmachine"
)

const (
	syncRounds = 7
	farRounds  = 3
	farDelay   = 10 * time.Millisecond // each way
	farRate    = 100_000_000 / 8       // bytes a second; the proxy's pauses are too coarse for much more
)

// syncer is a way to bring the tree to the host.
type syncer struct {
	name string
	far  bool // it is quick enough to be measured over the slow line too
	run  func(r *syncRun) error
}

// syncRun is where a syncer works.
type syncRun struct {
	ctx             context.Context
	t               *tb
	server          *enginetest.Server
	addr, key, host string // host:port, key file, known_hosts file
	src, dst        string
	cache           string
	peak            int64 // of ours, KiB
	sent            int64
}

var syncers = []syncer{
	{"tar \\| ssh tar", true, func(r *syncRun) error {
		return r.shell("tar -C $SRC -cf - . | $SSH $HOST 'mkdir -p $DST && tar -C $DST -xf -'")
	}},
	{"rsync -a", true, func(r *syncRun) error { return r.shell("rsync -a -e \"$SSH\" $SRC/ $HOST:$DST/") }},
	{"scp -r", false, func(r *syncRun) error { return r.shell("rm -rf $DST; $SCP -qr $SRC $HOST:$DST") }},
	{"runctl", true, (*syncRun).ours},
}

// shell runs a line with the names of the run in place.
func (r *syncRun) shell(line string) error {
	host, port, _ := net.SplitHostPort(r.addr)
	options := fmt.Sprintf("-F none -i %s -o UserKnownHostsFile=%s -o StrictHostKeyChecking=yes -o IdentitiesOnly=yes -o LogLevel=ERROR", r.key, r.host)
	line = strings.NewReplacer("$SRC", r.src, "$DST", r.dst, "$HOST", r.server.User+"@"+host,
		"$SSH", "ssh -p "+port+" "+options, "$SCP", "scp -P "+port+" "+options).Replace(line)
	out, err := exec.CommandContext(r.ctx, "sh", "-c", line).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w: %s", line, err, out)
	}
	return nil
}

// sendReport is what a child says of its send.
type sendReport struct {
	Peak int64 // KiB of memory
	Sent int64
}

// ours sends the tree from a process of its own: its start, hashing and the login are measured too.
func (r *syncRun) ours() error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(r.ctx, self, "sync-send", r.addr, r.server.User, r.key, ssh.FingerprintSHA256(r.server.HostKey), r.src, r.cache)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return err
	}
	var report sendReport
	err = json.Unmarshal(out, &report)
	r.peak, r.sent = max(r.peak, report.Peak), report.Sent
	return err
}

// sendChild is the other end of ours.
func sendChild(ctx context.Context, args []string) error {
	addr, user, key, fingerprint, src, cache := args[0], args[1], args[2], args[3], args[4], args[5]
	auth, err := sshmachine.KeyFile(key)
	if err != nil {
		return err
	}
	var report sendReport
	tree, err := code.Dir(src, code.Options{Cache: cache, Progress: func(p code.Progress) { report.Sent = p.Sent }})
	if err != nil {
		return err
	}
	m, err := sshmachine.Dial(ctx, sshmachine.Config{Addr: addr, User: user, Auth: []ssh.AuthMethod{auth}, Trust: sshmachine.Pinned(fingerprint)})
	if err != nil {
		return err
	}
	defer m.Close()
	if err := tree.Send(ctx, m); err != nil {
		return err
	}
	_, _ = fmt.Sscan(field("/proc/self/status", "VmHWM:"), &report.Peak)
	return json.NewEncoder(os.Stdout).Encode(report)
}

// clear makes the host as if nothing had ever been sent.
func (r *syncRun) clear() {
	r.t.must(os.RemoveAll(r.dst))
	r.t.must(os.RemoveAll(filepath.Join(r.server.Home, ".runctl", "code")))
	r.t.must(os.RemoveAll(r.cache))
}

func benchSync(ctx context.Context, t *tb) string {
	server := enginetest.SSHD(t, enginetest.Line("LogLevel ERROR"))
	r := &syncRun{ctx: ctx, t: t, server: server, addr: server.Addr, key: server.KeyFile(), host: server.KnownHosts(), src: filepath.Join(t.TempDir(), "src"),
		dst: filepath.Join(server.Home, "dst"), cache: filepath.Join(t.TempDir(), "cache")}
	t.must(makeTree(r.src, 1))
	settleTree(ctx)
	near := r.table(syncRounds, func(s syncer) bool { return true })
	proxy := enginetest.Proxy(t, server.Addr, 1)
	proxy.Delay(farDelay)
	proxy.Rate(farRate)
	r.addr = proxy.Addr()
	known, err := os.ReadFile(r.host)
	t.must(err)
	t.must(os.WriteFile(r.host, bytes.ReplaceAll(known, []byte(port(server.Addr)), []byte(port(r.addr))), 0o644))
	far := r.table(farRounds, func(s syncer) bool { return s.far })
	return machine([]string{"ssh", "-V"}, []string{"rsync", "--version"}, []string{"tar", "--version"}) + fmt.Sprintf(`
5,000 files: 4,900 of text, 100 of 1 MiB that do not compress; 200 MB. Both ends on this computer, in memory (tmpfs), over
its sshd. Every method is a process of its own for each copy, and its login is measured. Medians of %d rounds; in each round
every method copies to an empty place, then one file of the tree changes, and it copies again.

What is measured of runctl: reading and hashing the tree, the login, the copy, and the machine's verification of the names,
kinds and links of the whole tree and the contents of what was sent. The other methods verify nothing but rsync what it sent.

%s
The same over a line of %v round trip and %d Mbit/s, %d rounds. scp needs a round trip and more for each file, and was left out.

%s
runctl's memory was never above %d MiB (resident, the whole process).
`, syncRounds, near, 2*farDelay, farRate*8/1_000_000, farRounds, far, (r.peak+1023)/1024)
}

func port(addr string) string {
	_, p, _ := net.SplitHostPort(addr)
	return p
}

// settleTree waits until the tree's files are old enough to be remembered, as those of a real tree are.
func settleTree(ctx context.Context) {
	select {
	case <-ctx.Done():
	case <-time.After(2500 * time.Millisecond):
	}
}

// table measures the methods in turns.
func (r *syncRun) table(rounds int, use func(syncer) bool) string {
	first, second := map[string][]time.Duration{}, map[string][]time.Duration{}
	var sent [2]int64
	for round := range rounds {
		for i := range syncers {
			s := syncers[(i+round)%len(syncers)]
			if !use(s) {
				continue
			}
			r.clear()
			first[s.name] = append(first[s.name], r.time(s))
			firstSent := r.sent
			r.change(round)
			second[s.name] = append(second[s.name], r.time(s))
			if s.name == "runctl" {
				sent = [2]int64{firstSent, r.sent}
			}
		}
	}
	var b strings.Builder
	b.WriteString("| method | first copy | to tar \\| ssh | to rsync | second copy | to tar \\| ssh | to rsync |\n| --- | --- | --- | --- | --- | --- | --- |\n")
	for _, s := range syncers {
		if !use(s) {
			continue
		}
		fmt.Fprintf(&b, "| %s |", s.name)
		for _, times := range []map[string][]time.Duration{first, second} {
			own := median(times[s.name])
			fmt.Fprintf(&b, " %.2f s | %.2f | %.2f |", own.Seconds(), ratio(own, median(times[syncers[0].name])), ratio(own, median(times[syncers[1].name])))
		}
		b.WriteString("\n")
	}
	fmt.Fprintf(&b, "\nrunctl sent %.1f MB, then %.2f MB.\n", float64(sent[0])/1e6, float64(sent[1])/1e6)
	return b.String()
}

func ratio(a, b time.Duration) float64 { return a.Seconds() / b.Seconds() }

func (r *syncRun) time(s syncer) time.Duration {
	began := time.Now()
	r.t.must(s.run(r))
	return time.Since(began)
}

// change writes one file of the tree anew.
func (r *syncRun) change(round int) {
	r.t.must(os.WriteFile(filepath.Join(r.src, "pkg03/sub30/file1500.py"), fmt.Appendf(nil, "# round %d %d\n", round, time.Now().UnixNano()), 0o644))
}
