//go:build linux

package ssh_test

import (
	"bytes"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"runctl"
	"runctl/internal/enginetest"
	"runctl/internal/job"
	"runctl/ssh"
)

// quick is the provider with a poll that does not keep tests waiting.
type quick struct{ *ssh.Provider }

func (q quick) Info() runctl.Info {
	i := q.Provider.Info()
	i.Poll = 50 * time.Millisecond
	return i
}

func (f *fleet) client(t testing.TB, p *ssh.Provider) *runctl.Client {
	t.Helper()
	c, err := runctl.New(runctl.Config{Owner: "me", Secret: []byte("secret")}, quick{p})
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// submit starts a job on an instance that the provider launched without a client.
func submit(t testing.TB, c *runctl.Client, i runctl.Instance, id, script string) *runctl.Run {
	t.Helper()
	run, err := c.Submit(t.Context(), ref(i), runctl.Job{ID: id, Args: []string{"sh", "-c", script}, Grace: time.Second})
	require.NoError(t, err)
	return run
}

func ref(i runctl.Instance) runctl.Ref {
	_, key, _ := runctl.LabelOwner(i.Label)
	return runctl.Ref{Provider: "ssh", Owner: "me", Key: key, ID: i.ID}
}

// plain is a client without a secret, as the labels of request have none.
func (f *fleet) plain(t testing.TB, p *ssh.Provider) *runctl.Client {
	t.Helper()
	c, err := runctl.New(runctl.Config{Owner: "me"}, quick{p})
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func logOf(t testing.TB, run *runctl.Run) string {
	t.Helper()
	var b bytes.Buffer
	for chunk, err := range run.Logs(t.Context(), runctl.LogQuery{}) {
		require.NoError(t, err)
		b.Write(chunk.Data)
	}
	return b.String()
}

func TestAJobFromStartToReceipt(t *testing.T) {
	f := newFleet(t, enginetest.SSHD(t), 2)
	p := f.provider(t)
	c := f.client(t, p)
	run, err := c.Start(t.Context(), runctl.RunSpec{Lifetime: time.Hour, Keep: time.Hour,
		Job: runctl.Job{Args: []string{"sh", "-c", "echo hello; echo result >$RUNCTL_OUTPUT_DIR/out; exit 3"}, Outputs: []string{"out"}}})
	require.NoError(t, err)
	receipt, err := run.Wait(t.Context())
	var exit *runctl.ExitError
	require.ErrorAs(t, err, &exit)
	assert.Equal(t, 3, receipt.ExitCode)
	assert.Equal(t, "hello\n", logOf(t, run))
	to := t.TempDir()
	require.NoError(t, run.Download(t.Context(), "out", to))
	got, err := os.ReadFile(filepath.Join(to, "out"))
	require.NoError(t, err)
	assert.Equal(t, "result\n", string(got))
	assert.True(t, run.Instance().Price.Free(), "a machine one has costs nothing unless the file says so")

	require.NoError(t, c.Terminate(t.Context(), run.Ref()))
	_, err = p.Connect(t.Context(), run.Instance(), runctl.Access{})
	assert.ErrorIs(t, err, runctl.ErrNotFound, "its files went with it")
	assert.Empty(t, f.claims(0))
}

func TestRunsOfDifferentClaimsNeverMeet(t *testing.T) {
	f := newFleet(t, enginetest.SSHD(t), 1)
	p := f.provider(t)
	c := f.plain(t, p)
	first := f.launch(t, p, 0, "a")
	run := submit(t, c, first, "job", "echo one")
	_, err := run.Wait(t.Context())
	require.NoError(t, err)
	f.end(t, p, first.ID)
	second := f.launch(t, p, 0, "b")
	run = submit(t, c, second, "job", "echo two")
	_, err = run.Wait(t.Context())
	require.NoError(t, err)
	assert.Equal(t, "two\n", logOf(t, run))
}

func TestTerminateEndsWhatRuns(t *testing.T) {
	f := newFleet(t, enginetest.SSHD(t), 1)
	p := f.provider(t)
	i := f.launch(t, p, 0, "a")
	dir := t.TempDir()
	submit(t, f.plain(t, p), i, "job", "trap 'echo term >"+dir+"/ended; exit' TERM; echo $$ >"+dir+"/pid; while :; do sleep 0.1; done")
	eventually(t, "the job runs", func() bool { return readInt(dir+"/pid") > 0 })
	require.NoError(t, p.Terminate(t.Context(), i.ID))
	f.ended(t, p, i.ID)
	assert.FileExists(t, dir+"/ended", "it was told to end")
	assert.False(t, running(readInt(dir+"/pid")))
	eventually(t, "nothing of the claim is left on the host", func() bool { return len(f.sshd.Left()) == 0 })
}

func TestNothingStartsUnderAClaimThatEnds(t *testing.T) {
	f := newFleet(t, enginetest.SSHD(t), 1)
	p := f.provider(t)
	i := f.launch(t, p, 0, "a")
	m, err := p.Connect(t.Context(), i, runctl.Access{}) // somebody was faster than the end
	require.NoError(t, err)
	defer m.Close()
	f.busy(t)
	require.NoError(t, p.Terminate(t.Context(), i.ID))
	got, err := p.Get(t.Context(), i.ID)
	require.NoError(t, err)
	require.Equal(t, runctl.StateStopping, got.State)
	err = job.Start(t.Context(), m, job.Spec{Run: "late", Digest: "d", Argv: []string{"true"}})
	var no *job.Refused
	require.ErrorAs(t, err, &no)
	assert.Contains(t, no.Reason, "ending")
	require.NoError(t, os.WriteFile(filepath.Join(f.root(0), "1", "v1", "sup-0"), []byte("echo 'RUNCTL1 status run=hold phase=done '; echo RUNCTL1 end"), 0o600))
	f.ended(t, p, i.ID)
	err = job.Start(t.Context(), m, job.Spec{Run: "later", Digest: "d", Argv: []string{"true"}})
	assert.Error(t, err, "nor when it has ended")
}

func readInt(file string) int {
	b, _ := os.ReadFile(file)
	n, _ := strconv.Atoi(strings.TrimSpace(string(b)))
	return n
}

func running(pid int) bool {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	return err == nil && !bytes.Contains(b, []byte(") Z "))
}

func TestAClaimEndsItself(t *testing.T) {
	f := newFleet(t, enginetest.SSHD(t), 2)
	p := f.provider(t)
	c := f.plain(t, p)
	req := f.request(0, "life")
	req.Lifetime = 4 * time.Second
	i, err := p.Launch(t.Context(), req)
	require.NoError(t, err)
	run := submit(t, c, i, "job", "echo begun; exec sleep 1000")
	idle := f.request(1, "idle")
	idle.Keep = 2 * time.Second
	k, err := p.Launch(t.Context(), idle)
	require.NoError(t, err)
	f.sshd.Stop() // nobody can reach it, let alone help
	eventually(t, "both hosts are free", func() bool { return len(f.claims(0)) == 0 && len(f.claims(1)) == 0 })
	f.sshd.Start()

	ended := f.ended(t, p, i.ID)
	assert.Equal(t, "its lifetime is over", ended.Reason)
	assert.InDelta(t, 4, ended.Ended.Sub(ended.Launched).Seconds(), 3)
	assert.Equal(t, "nothing ran on it for its keep time", f.ended(t, p, k.ID).Reason)
	next := f.launch(t, p, 0, "next")
	receipt, err := run.Wait(t.Context())
	require.Error(t, err)
	assert.False(t, receipt.Succeeded())
	assert.Equal(t, "begun\n", logOf(t, run), "its files stay, whoever has the host now")
	_, err = c.Submit(t.Context(), ref(i), runctl.Job{ID: "late", Args: []string{"true"}})
	assert.Error(t, err, "and nothing new starts among them")
	f.end(t, p, next.ID)
	eventually(t, "no guard is left", func() bool { return len(f.sshd.Left()) == 0 })
}

func TestAGuardThatIsGoneIsWokenByTheNextLook(t *testing.T) {
	f := newFleet(t, enginetest.SSHD(t), 1)
	p := f.provider(t)
	i := f.launch(t, p, 0, "a")
	guard := filepath.Join(f.root(0), "1", "guard")
	pid := guardian(guard, 1)
	require.Positive(t, pid)
	require.NoError(t, syscall.Kill(pid, syscall.SIGKILL))
	_, err := p.Get(t.Context(), i.ID)
	require.NoError(t, err)
	eventually(t, "another guard", func() bool { return guardian(guard, 2) > 0 })

	// after a reboot no process is there, and all that was written down names another boot
	require.NoError(t, syscall.Kill(guardian(guard, 2), syscall.SIGKILL))
	for _, link := range []string{filepath.Join(guard, "1"), filepath.Join(guard, "2"), filepath.Join(f.root(0), "claim.1")} {
		text, err := os.Readlink(link)
		require.NoError(t, err)
		boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
		require.NoError(t, err)
		require.NoError(t, os.Remove(link))
		require.NoError(t, os.Symlink(strings.ReplaceAll(text, strings.TrimSpace(string(boot)), "another-boot"), link))
	}
	all, err := p.List(t.Context(), runctl.ListQuery{})
	require.NoError(t, err)
	require.Len(t, all, 1)
	assert.Equal(t, runctl.StateRunning, all[0].State)
	assert.Equal(t, i.Launched, all[0].Launched)
	eventually(t, "a guard in the new boot", func() bool { return guardian(guard, 3) > 0 })
	f.end(t, p, i.ID)
	eventually(t, "no guard is left", func() bool { return len(f.sshd.Left()) == 0 })
}

// guardian is the process of a guard's nth generation.
func guardian(dir string, n int) int {
	text, _ := os.Readlink(filepath.Join(dir, strconv.Itoa(n)))
	parts := strings.Split(text, ":")
	if len(parts) != 3 {
		return 0
	}
	pid, _ := strconv.Atoi(parts[1])
	return pid
}

func TestReapEndsAClaimWhoseTimeIsOver(t *testing.T) {
	f := newFleet(t, enginetest.SSHD(t), 1)
	p := f.provider(t)
	c := f.plain(t, p)
	i := f.launch(t, p, 0, "a")
	reaped, err := c.Reap(t.Context(), runctl.ReapRequest{})
	require.NoError(t, err)
	assert.Empty(t, reaped)

	// another boot's, of long ago: the guard counts uptime alone, and the host was off meanwhile
	link := filepath.Join(f.root(0), "claim.1")
	text, err := os.Readlink(link)
	require.NoError(t, err)
	words := strings.Fields(text)
	for k, w := range words {
		switch name, _, _ := strings.Cut(w, "="); name {
		case "boot":
			words[k] = "boot=another"
		case "at":
			words[k] = "at=" + strconv.FormatInt(time.Now().Add(-2*time.Hour).Unix(), 10)
		}
	}
	require.NoError(t, os.Remove(link))
	require.NoError(t, os.Symlink(strings.Join(words, " "), link))
	reaped, err = c.Reap(t.Context(), runctl.ReapRequest{})
	require.NoError(t, err)
	require.Len(t, reaped, 1)
	assert.True(t, reaped[0].Ended)
	assert.Equal(t, i.ID, reaped[0].Instance.ID)
	f.ended(t, p, i.ID)
}

func TestJobsAsAnotherUser(t *testing.T) {
	if me, err := user.Current(); err != nil || me.Uid != "0" {
		t.Skip("needs root")
	}
	f := newFleet(t, enginetest.SSHD(t), 1)
	for dir := f.dir; dir != os.TempDir() && dir != "/"; dir = filepath.Dir(dir) {
		require.NoError(t, os.Chmod(dir, 0o755))
	}
	f.cfg.Hosts[0].JobUser = "nobody"
	p := f.provider(t)
	i := f.launch(t, p, 0, "a")
	run := submit(t, f.plain(t, p), i, "job", "id -un; touch $RUNCTL_OUTPUT_DIR/x && echo written; ls "+f.root(0)+" 2>/dev/null || echo hidden")
	_, err := run.Wait(t.Context())
	require.NoError(t, err)
	assert.Equal(t, "nobody\nwritten\nhidden\n", logOf(t, run))
	f.end(t, p, i.ID)

	f.cfg.Hosts[0].JobUser = "no-such-user"
	_, err = f.provider(t).Launch(t.Context(), f.request(0, "b"))
	e := classified(t, err)
	assert.True(t, e.Kind == runctl.ErrInvalid && e.NotStarted, "%v", err)
	assert.ErrorContains(t, err, "there is no user no-such-user")
	assert.Empty(t, f.claims(0))
}

func TestAHostWhoseGuardIsRefusedIsNotHeld(t *testing.T) {
	sshd, w := wrapped(t)
	f := newFleet(t, sshd, 1)
	p := f.provider(t)
	w.reply("guard", "RUNCTL1 refused code=69 text=no", "RUNCTL1 end")
	_, err := p.Launch(t.Context(), f.request(0, "a"))
	e := classified(t, err)
	assert.True(t, e.Kind == runctl.ErrInvalid && e.NotStarted, "%v", err)
	eventually(t, "the host is free", func() bool { return len(f.claims(0)) == 0 })
}
