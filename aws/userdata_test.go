//go:build unix

package aws

import (
	"bytes"
	"compress/gzip"
	"crypto/rand"
	"io"
	"mime"
	"mime/multipart"
	"net/mail"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"runctl"
	"runctl/internal/execfile"
	"runctl/internal/job"
)

const publicKey = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKq6hP0oSAUDzZ1BSlhoXz0MbSf5fFzJhPpxWYyuQj1Y runctl"

// machine is a root directory like that of a machine that has just booted.
func machine(t *testing.T) string {
	t.Helper()
	root := t.TempDir()
	for _, d := range []string{"etc/ssh", "root"} {
		require.NoError(t, os.MkdirAll(filepath.Join(root, d), 0o755))
	}
	require.NoError(t, os.WriteFile(filepath.Join(root, "etc/ssh/sshd_config"), []byte("Include /etc/ssh/sshd_config.d/*.conf\nPermitRootLogin forced-commands-only\n"), 0o600))
	return root
}

// boot does what cloud-init does with a boothook: it takes the first line away, and runs the rest.
func boot(t *testing.T, root string, data []byte) {
	t.Helper()
	text, ok := strings.CutPrefix(string(data), "#cloud-boothook\n")
	require.True(t, ok)
	require.True(t, strings.HasPrefix(text, "#!/bin/sh\n"))
	hook := filepath.Join(root, "boothook")
	require.NoError(t, execfile.Write(hook, text))
	cmd := exec.Command("/bin/sh", hook)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "RUNCTL_SYSROOT=" + root, "HOME=" + filepath.Join(root, "root")}
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	assert.Empty(t, string(out))
}

func read(t *testing.T, parts ...string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(parts...))
	require.NoError(t, err)
	return string(b)
}

func TestTheBoothookRunsTheBootScriptAtEveryBootAndLetsTheKeyIn(t *testing.T) {
	root := machine(t)
	// What a quoted here-document must not touch, and a script that ends in exec as the real one does.
	script := "#!/bin/sh\necho \"$HOME `echo ran` \\$x 'q'\" >>\"$HOME/boots\"\nexec sh -c 'exit 7'\n"
	data, err := userData([]byte(script), publicKey+"\n", nil)
	require.NoError(t, err)
	boot(t, root, data)
	boot(t, root, data)
	line := filepath.Join(root, "root") + " ran $x 'q'\n"
	assert.Equal(t, line+line, read(t, root, "root/boots"))
	assert.Equal(t, script, read(t, root, "etc/runctl/boot"))
	assert.Equal(t, "\n"+publicKey+"\n", read(t, root, "root/.ssh/authorized_keys"), "once")
	assert.Equal(t, "PermitRootLogin prohibit-password\nInclude /etc/ssh/sshd_config.d/*.conf\nPermitRootLogin forced-commands-only\n", read(t, root, "etc/ssh/sshd_config"))
	nonce := nonceOf(data)
	assert.Len(t, nonce, 64)
	assert.Equal(t, nonce+"\n", read(t, root, "etc/runctl/nonce"))
	for _, f := range []string{"etc/runctl/nonce", "root/.ssh/authorized_keys", "etc/ssh/sshd_config"} {
		info, err := os.Stat(filepath.Join(root, f))
		require.NoError(t, err)
		assert.Zero(t, info.Mode().Perm()&0o077, "%s is for root alone", f)
	}
}

func TestTheGuardIsArmedEvenWhereNothingElseWorks(t *testing.T) {
	root := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(root, "etc"), nil, 0o600)) // no directory can be made there
	data, err := userData([]byte("#!/bin/sh\n: >\"$HOME/armed\"\n"), publicKey, nil)
	require.NoError(t, err)
	require.NoError(t, os.Mkdir(filepath.Join(root, "root"), 0o700))
	hook := strings.TrimPrefix(string(data), "#cloud-boothook\n")
	cmd := exec.Command("/bin/sh", "-c", hook)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "RUNCTL_SYSROOT=" + root, "HOME=" + filepath.Join(root, "root")}
	require.NoError(t, cmd.Run())
	assert.FileExists(t, filepath.Join(root, "root/armed"))
}

func TestKeysThatAreThereStayAndNoKeyIsNone(t *testing.T) {
	root := machine(t)
	require.NoError(t, os.Mkdir(filepath.Join(root, "root/.ssh"), 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(root, "root/.ssh/authorized_keys"), []byte("ssh-rsa AAAA of-somebody"), 0o600)) // without an end of line
	data, err := userData([]byte("true"), publicKey, nil)
	require.NoError(t, err)
	boot(t, root, data)
	assert.Equal(t, "ssh-rsa AAAA of-somebody\n"+publicKey+"\n", read(t, root, "root/.ssh/authorized_keys"))

	root = machine(t)
	data, err = userData([]byte("true"), "", nil)
	require.NoError(t, err)
	before := read(t, root, "etc/ssh/sshd_config")
	boot(t, root, data)
	assert.NoFileExists(t, filepath.Join(root, "root/.ssh/authorized_keys"))
	assert.Equal(t, before, read(t, root, "etc/ssh/sshd_config"), "who lets nobody in needs no sshd of ours")
}

func TestTheRealGuardFits(t *testing.T) {
	script := job.Boot(job.Guard{Lifetime: time.Hour, Keep: time.Minute}, nil)
	data, err := userData(script, publicKey, []byte("#cloud-config\npackages: [jq]\n"))
	require.NoError(t, err)
	t.Logf("%d bytes of boot script, %d of user data", len(script), len(data))
	assert.LessOrEqual(t, len(data), maxUserData)
	assert.Len(t, nonceOf(data), 64)
}

func TestUserDataOfTheOwnersComesBehindTheGuard(t *testing.T) {
	mine := "#!/bin/bash\necho mine\n"
	data, err := userData([]byte("echo guard"), publicKey, []byte(mine))
	require.NoError(t, err)
	msg, err := mail.ReadMessage(bytes.NewReader(data))
	require.NoError(t, err)
	kind, params, err := mime.ParseMediaType(msg.Header.Get("Content-Type"))
	require.NoError(t, err)
	assert.Equal(t, "multipart/mixed", kind)
	r := multipart.NewReader(msg.Body, params["boundary"])
	first, err := r.NextPart()
	require.NoError(t, err)
	assert.Contains(t, first.Header.Get("Content-Type"), "text/cloud-boothook")
	hook, err := io.ReadAll(first)
	require.NoError(t, err)
	root := machine(t)
	boot(t, root, append([]byte("#cloud-boothook\n"), hook...))
	assert.Equal(t, "echo guard\n", read(t, root, "etc/runctl/boot"))
	second, err := r.NextPart()
	require.NoError(t, err)
	text, err := io.ReadAll(second)
	require.NoError(t, err)
	assert.Equal(t, mine, string(text))
	_, err = r.NextPart()
	assert.ErrorIs(t, err, io.EOF)
}

func TestUserDataThatIsTooLongIsRefusedBeforeAnythingIsSpent(t *testing.T) {
	noise := make([]byte, maxUserData)
	_, _ = rand.Read(noise)
	s, p := newStub(t)
	req := h100(runctl.OnDemand)
	req.Options = []runctl.LaunchOption{LaunchOptions{UserData: noise}}
	_, err := p.Launch(t.Context(), req)
	require.ErrorIs(t, err, runctl.ErrInvalid)
	assert.ErrorContains(t, err, "EC2 takes 16384")
	assert.Empty(t, s.calls)

	_, err = userData(nil, "", bytes.Repeat([]byte("#a long comment\n"), 8<<10))
	assert.NoError(t, err, "what can be compressed is")
}

func TestWrappingCannotBeBrokenOut(t *testing.T) {
	for what, err := range map[string]error{
		"a boot script": func() error { _, err := userData([]byte("x\n"+bootEnd+"\nreboot"), "", nil); return err }(),
		"a part":        func() error { _, err := userData(nil, "", []byte("--RUNCTL-"+boundary+"--\n")); return err }(),
		"a key":         func() error { _, err := userData(nil, "ssh-ed25519 AAAA' ; reboot '", nil); return err }(),
	} {
		assert.ErrorIs(t, err, runctl.ErrInvalid, what)
	}
}

func FuzzTheNonceIsReadFromAnyUserData(f *testing.F) {
	good, _ := userData([]byte("true"), publicKey, nil)
	packed, _ := userData(bytes.Repeat([]byte("true\n"), 10<<10), publicKey, nil)
	for _, seed := range [][]byte{good, packed, packed[:100], nil, []byte("nonce=xyz\n"), {0x1f, 0x8b}} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if n := nonceOf(data); n != "" && (len(n) != 64 || strings.Trim(n, "0123456789abcdef") != "") {
			t.Fatalf("%q", n)
		}
	})
}

func TestASpotMachinesGuardKnowsWhereToListenFromTheFirstBoot(t *testing.T) {
	root := machine(t)
	data, err := userData([]byte("true"), "", nil, noticeLine)
	require.NoError(t, err)
	boot(t, root, data)
	boot(t, root, data)
	at, err := os.Readlink(filepath.Join(root, "root/.runctl/guard/imds"))
	require.NoError(t, err)
	assert.Equal(t, "http://169.254.169.254", at)
}

func TestUserDataOfOthersIsNotUnpackedWithoutABound(t *testing.T) {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, _ = w.Write(append(make([]byte, 1<<20), "\n"+nonceWord+strings.Repeat("a", 64)+"\n"...))
	require.NoError(t, w.Close())
	assert.Empty(t, nonceOf(b.Bytes()))
}
