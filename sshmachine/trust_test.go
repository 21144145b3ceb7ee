package sshmachine_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"

	"runctl"
	"runctl/internal/enginetest"
	"runctl/sshmachine"
)

// refusal is the error of a host that was not believed and heard nothing.
func refusal(t *testing.T, err error, got string, want ...string) {
	t.Helper()
	require.ErrorIs(t, err, runctl.ErrHostKey)
	var bad *sshmachine.HostKeyError
	require.ErrorAs(t, err, &bad)
	assert.Equal(t, got, bad.Got)
	for _, fp := range append(want, got) {
		assert.Contains(t, err.Error(), fp)
	}
	assert.Contains(t, err.Error(), "sent")
}

func fingerprint(k ssh.PublicKey) string { return ssh.FingerprintSHA256(k) }

func TestSomeoneBetweenHearsNothing(t *testing.T) {
	real, between := newHost(t), newHost(t).serve(t)
	file := filepath.Join(t.TempDir(), "known")
	require.NoError(t, os.WriteFile(file, []byte(knownhosts.Line([]string{between.Addr}, real.Key.PublicKey())+"\n"), 0o600))
	known, err := sshmachine.KnownHosts(file)
	require.NoError(t, err)
	for name, trust := range map[string]sshmachine.Trust{"pinned": sshmachine.Pinned(fingerprint(real.Key.PublicKey())), "known": known} {
		c := between.enter()
		c.Trust = trust
		c.Auth = []ssh.AuthMethod{ssh.Password("hunter2")}
		_, err := sshmachine.Dial(t.Context(), c)
		refusal(t, err, fingerprint(between.Key.PublicKey()), fingerprint(real.Key.PublicKey()))
		assert.NotContains(t, err.Error(), "hunter2")
		assert.Empty(t, between.heard(), name)
	}
	c := between.enter()
	no := errors.New("not that one")
	c.Trust = sshmachine.FirstUse(func(fp string) error {
		assert.Equal(t, fingerprint(between.Key.PublicKey()), fp)
		assert.Empty(t, between.heard())
		return no
	})
	_, err = sshmachine.Dial(t.Context(), c)
	assert.ErrorIs(t, err, no)
	assert.Empty(t, between.heard())
}

func TestFirstUseTellsTheKeyOnceBeforeAnythingIsSent(t *testing.T) {
	h := newHost(t).serve(t)
	var told []string
	c := h.enter()
	c.Trust = sshmachine.FirstUse(func(fp string) error {
		assert.Empty(t, h.heard())
		told = append(told, fp)
		return nil
	})
	m := dial(t, c)
	fp, grade := m.HostKey()
	assert.Equal(t, runctl.TrustFirstUse, grade)
	assert.Equal(t, []string{fp}, told)
	h.cut()
	eventually(t, func() bool {
		_, err := m.Exec(t.Context(), []string{"true"}, nil, nil, nil)
		return err == nil
	}, "the command after the cut")
	assert.Len(t, told, 1, "the key is pinned now")
	_, grade = m.HostKey()
	assert.Equal(t, runctl.TrustFirstUse, grade, "and no better for it")
}

func TestAPersonMayTakeTimeToBelieve(t *testing.T) {
	t.Parallel()
	h := newHost(t).serve(t)
	c := h.enter()
	c.StepTimeout = 3 * time.Second
	c.Trust = sshmachine.FirstUse(func(string) error { <-time.After(4 * time.Second); return nil })
	dial(t, c)
}

func TestAHostThatChangesItsKeyIsRefusedAfterwards(t *testing.T) {
	for name, trust := range map[string]func(string) sshmachine.Trust{
		"first use": func(string) sshmachine.Trust { return sshmachine.FirstUse(func(string) error { return nil }) },
		"pinned":    func(fp string) sshmachine.Trust { return sshmachine.Pinned(fp) },
	} {
		t.Run(name, func(t *testing.T) {
			s := enginetest.SSHD(t)
			c := config(t, s)
			c.Trust = trust(fingerprint(s.HostKey))
			m := dial(t, c)
			next := enginetest.NewKey(t)
			s.SetHostKey(next)
			s.Restart()
			nextKey, err := ssh.NewPublicKey(next.Public())
			require.NoError(t, err)
			eventually(t, func() bool {
				_, err = m.Exec(t.Context(), []string{"true"}, nil, nil, nil)
				return errors.Is(err, runctl.ErrHostKey)
			}, "a refusal")
			refusal(t, err, fingerprint(nextKey), fingerprint(s.HostKey))
			fp, _ := m.HostKey()
			assert.Equal(t, fingerprint(s.HostKey), fp)
		})
	}
}

func TestTrustThatCannotBeUsedIsRefusedBeforeTheNetwork(t *testing.T) {
	h := newHost(t).serve(t)
	for name, trust := range map[string]sshmachine.Trust{
		"none":             {},
		"no fingerprint":   sshmachine.Pinned(),
		"MD5":              sshmachine.Pinned("MD5:00:11"),
		"short":            sshmachine.Pinned("SHA256:AAAA"),
		"nobody to tell":   sshmachine.FirstUse(nil),
		"short nonce":      sshmachine.Challenge([]byte("short")),
		"nonce with space": sshmachine.Challenge([]byte("0123456789 0123456789 0123456789")),
	} {
		c := h.enter()
		c.Trust = trust
		_, err := sshmachine.Dial(t.Context(), c)
		assert.ErrorIs(t, err, runctl.ErrInvalid, name)
	}
	assert.Zero(t, h.connections())
	_, err := sshmachine.KnownHosts(filepath.Join(t.TempDir(), "absent"))
	assert.ErrorIs(t, err, os.ErrNotExist)
}

// keys writes host keys of every kind and returns sshd_config lines for them.
func keys(t *testing.T) (public map[string]ssh.PublicKey, opts []enginetest.Option) {
	t.Helper()
	r, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	e, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	public = map[string]ssh.PublicKey{}
	for name, k := range map[string]any{"rsa": r, "ecdsa": e} {
		block, err := ssh.MarshalPrivateKey(k, "")
		require.NoError(t, err)
		file := filepath.Join(t.TempDir(), name)
		require.NoError(t, os.WriteFile(file, pem.EncodeToMemory(block), 0o600))
		s, err := ssh.NewSignerFromKey(k)
		require.NoError(t, err)
		public[name] = s.PublicKey()
		opts = append(opts, enginetest.Line("HostKey "+file))
	}
	return public, opts
}

// TestAHostIsAskedForTheKeyThatIsKnown is the trap of every client that offers all kinds of keys: the host picks one
// that nobody knows, and is refused although it is the right one.
func TestAHostIsAskedForTheKeyThatIsKnown(t *testing.T) {
	public, opts := keys(t)
	s := enginetest.SSHD(t, opts...)
	public["ed25519"] = s.HostKey
	for kind, key := range public {
		for _, host := range []string{knownhosts.Normalize(s.Addr), knownhosts.HashHostname(knownhosts.Normalize(s.Addr))} {
			file := filepath.Join(t.TempDir(), "known")
			require.NoError(t, os.WriteFile(file, []byte("# a comment\n\n"+host+" "+string(ssh.MarshalAuthorizedKey(key))), 0o600))
			trust, err := sshmachine.KnownHosts(file)
			require.NoError(t, err)
			c := config(t, s)
			c.Trust = trust
			fp, grade := dial(t, c).HostKey()
			assert.Equal(t, fingerprint(key), fp, kind)
			assert.Equal(t, runctl.TrustRead, grade)
		}
		c := config(t, s)
		c.Trust = sshmachine.Pinned(fingerprint(key))
		m := dial(t, c)
		fp, _ := m.HostKey()
		assert.Equal(t, fingerprint(key), fp, "pinned %s", kind)
		s.Restart()
		eventually(t, func() bool { _, err := m.Exec(t.Context(), []string{"true"}, nil, nil, nil); return err == nil }, "the same kind of key again")
	}
}

func TestRevokedAndUnknownHostsAreRefused(t *testing.T) {
	s := enginetest.SSHD(t)
	line := knownhosts.Line([]string{s.Addr}, s.HostKey)
	for want, text := range map[string]string{
		"line 2 revokes it": line + "\n@revoked * " + strings.TrimSpace(string(ssh.MarshalAuthorizedKey(s.HostKey))) + "\n",
		"no known_hosts":    "",
		"no known_hosts ":   strings.Replace(line, "127.0.0.1", "127.0.0.2", 1) + "\n",
	} {
		file := filepath.Join(t.TempDir(), "known")
		require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
		trust, err := sshmachine.KnownHosts(file)
		require.NoError(t, err)
		c := config(t, s)
		c.Trust = trust
		_, err = sshmachine.Dial(t.Context(), c)
		refusal(t, err, fingerprint(s.HostKey))
		assert.Contains(t, err.Error(), strings.TrimSpace(want))
	}
	assert.NotContains(t, s.Log(), "Accepted publickey")
}

func TestACertificateAuthorityInKnownHostsVouchesForAHost(t *testing.T) {
	authority, err := ssh.NewSignerFromSigner(enginetest.NewKey(t))
	require.NoError(t, err)
	k := enginetest.NewKey(t)
	public, err := ssh.NewPublicKey(k.Public())
	require.NoError(t, err)
	certFile := filepath.Join(t.TempDir(), "host-cert.pub")
	certify := func(principal string) {
		cert := &ssh.Certificate{Key: public, CertType: ssh.HostCert, ValidPrincipals: []string{principal}, ValidBefore: ssh.CertTimeInfinity}
		require.NoError(t, cert.SignCert(rand.Reader, authority))
		require.NoError(t, os.WriteFile(certFile, ssh.MarshalAuthorizedKey(cert), 0o644))
	}
	certify("127.0.0.1")
	s := enginetest.SSHD(t, enginetest.HostKey(k), enginetest.Line("HostCertificate "+certFile))
	file := filepath.Join(t.TempDir(), "known")
	_, port, _ := strings.Cut(s.Addr, ":")
	require.NoError(t, os.WriteFile(file, []byte("@cert-authority [127.0.0.*]:"+port+" "+string(ssh.MarshalAuthorizedKey(authority.PublicKey()))), 0o600))
	trust, err := sshmachine.KnownHosts(file)
	require.NoError(t, err)
	c := config(t, s)
	c.Trust = trust
	m := dial(t, c)
	fp, _ := m.HostKey()
	assert.Equal(t, fingerprint(public), fp, "the certified key's")
	s.Restart()
	eventually(t, func() bool { _, err := m.Exec(t.Context(), []string{"true"}, nil, nil, nil); return err == nil }, "again")

	certify("another.example")
	s.Restart()
	_, err = sshmachine.Dial(t.Context(), c)
	assert.ErrorIs(t, err, runctl.ErrHostKey)
}

func TestAChallengedHostProvesItsKey(t *testing.T) {
	nonce := "0123456789abcdef0123456789abcdef"
	s := enginetest.SSHD(t)
	file := filepath.Join(s.Dir, "nonce")
	ask := sshmachine.Ask{Nonce: file, Keys: filepath.Join(s.Dir, "ho*.pub")}
	c := config(t, s)
	try := func() (*sshmachine.Machine, error) {
		c.Trust = sshmachine.Challenge([]byte(nonce), ask)
		return sshmachine.Dial(t.Context(), c)
	}
	_, err := try()
	assert.ErrorIs(t, err, runctl.ErrUnavailable, "it may write the file yet")
	assert.ErrorContains(t, err, file)
	assert.ErrorContains(t, err, fingerprint(s.HostKey))

	for _, text := range []string{nonce, nonce + "\n", nonce + "\n\n"} {
		require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
		m, err := try()
		require.NoError(t, err)
		fp, grade := m.HostKey()
		assert.Equal(t, fingerprint(s.HostKey), fp)
		assert.Equal(t, runctl.TrustChallenged, grade)
		require.NoError(t, os.Remove(file))
		s.Restart()
		eventually(t, func() bool { _, err := m.Exec(t.Context(), []string{"true"}, nil, nil, nil); return err == nil }, "pinned, not asked again")
		require.NoError(t, m.Close())
	}
	require.NoError(t, os.WriteFile(file, []byte(strings.Replace(nonce, "0", "1", 1)), 0o600))
	_, err = try()
	refusal(t, err, fingerprint(s.HostKey))
	assert.NotContains(t, err.Error(), nonce)
	assert.NotContains(t, s.Log(), nonce)
}

// TestAChallengeThatIsPassedOnFails is someone between who lets everybody in, and asks the real machine himself.
func TestAChallengeThatIsPassedOnFails(t *testing.T) {
	nonce := "0123456789abcdef0123456789abcdef"
	s := enginetest.SSHD(t)
	file := filepath.Join(s.Dir, "nonce")
	require.NoError(t, os.WriteFile(file, []byte(nonce), 0o600))
	inside := dial(t, config(t, s))
	between := newHost(t)
	between.Exec = func(ch ssh.Channel, line string, _ <-chan *ssh.Request) {
		code, err := inside.Exec(context.Background(), []string{"sh", "-c", line}, nil, ch, ch.Stderr())
		assert.NoError(t, err)
		exit(ch, uint32(code))
	}
	between.serve(t)
	c := between.enter()
	c.Trust = sshmachine.Challenge([]byte(nonce), sshmachine.Ask{Nonce: file, Keys: s.HostKeyFile()})
	_, err := sshmachine.Dial(t.Context(), c)
	refusal(t, err, fingerprint(between.Key.PublicKey()))
	assert.Len(t, between.heard(), 2, "the login and the question")
	assert.NotContains(t, strings.Join(between.heard(), " "), nonce)
}

// TestTheChallengeRunsUnderEveryShell asks the question that hosts are asked.
func TestTheChallengeRunsUnderEveryShell(t *testing.T) {
	dir := t.TempDir()
	nonce, key := filepath.Join(dir, "nonce"), filepath.Join(dir, "key.pub")
	require.NoError(t, os.WriteFile(nonce, []byte("0123456789abcdef0123456789abcdef\n"), 0o600))
	for name, argv := range shells() {
		t.Run(name, func(t *testing.T) {
			h := newHost(t)
			h.Key, h.Exec = hostKey(t, key, h), func(ch ssh.Channel, line string, _ <-chan *ssh.Request) {
				out, err := command(append(argv, line)...).Output()
				assert.NoError(t, err)
				_, _ = ch.Write(append([]byte("noise without an end"), out...))
				exit(ch, 0)
			}
			h.serve(t)
			c := h.enter()
			c.Trust = sshmachine.Challenge([]byte("0123456789abcdef0123456789abcdef"), sshmachine.Ask{Nonce: nonce, Keys: filepath.Join(dir, "*.pub")})
			m := dial(t, c)
			_, grade := m.HostKey()
			assert.Equal(t, runctl.TrustChallenged, grade)
		})
	}
}

// hostKey writes h's public key to file, and returns its key.
func hostKey(t *testing.T, file string, h *host) ssh.Signer {
	t.Helper()
	require.NoError(t, os.WriteFile(file, ssh.MarshalAuthorizedKey(h.Key.PublicKey()), 0o600))
	return h.Key
}

func TestAChallengeThatFloodsOrHangsIsRefused(t *testing.T) {
	h := newHost(t)
	h.Exec = func(ch ssh.Channel, _ string, _ <-chan *ssh.Request) {
		_, _ = io.Copy(ch, io.LimitReader(zeros{}, 8<<20))
		exit(ch, 0)
	}
	h.serve(t)
	c := h.enter()
	c.Trust = sshmachine.Challenge([]byte("0123456789abcdef0123456789abcdef"))
	_, err := sshmachine.Dial(t.Context(), c)
	assert.ErrorIs(t, err, runctl.ErrUnavailable)
	assert.ErrorContains(t, err, "does not answer")

	h = newHost(t)
	h.Exec = func(ssh.Channel, string, <-chan *ssh.Request) {}
	h.serve(t)
	c.Addr, c.StepTimeout = h.Addr, 3*time.Second
	_, err = sshmachine.Dial(t.Context(), c)
	assert.ErrorIs(t, err, runctl.ErrUnavailable)
	assert.ErrorContains(t, err, "challenge: no answer in 3s")
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }

// TestNobodyBelievesAnyKey searches the module.
func TestNobodyBelievesAnyKey(t *testing.T) {
	bad := regexp.MustCompile("Insecure" + "IgnoreHostKey")
	n := 0
	require.NoError(t, filepath.WalkDir("..", func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(path) != ".go" {
			return err
		}
		n++
		b, err := os.ReadFile(path)
		assert.False(t, bad.Match(b), path)
		return err
	}))
	assert.Greater(t, n, 50, fmt.Sprint(n, " files"))
}

func TestAHostKeyIsCheckedAgainWhenKeysAreExchangedAgain(t *testing.T) {
	s := enginetest.SSHD(t, enginetest.Line("RekeyLimit 1M"))
	calls := 0
	c := config(t, s)
	c.Trust = sshmachine.FirstUse(func(string) error { calls++; return nil })
	m := dial(t, c)
	var out bytes.Buffer
	_, err := m.Exec(t.Context(), []string{"head", "-c", "10000000", "/dev/zero"}, nil, &out, nil)
	require.NoError(t, err)
	assert.Equal(t, 10000000, out.Len())
	assert.Equal(t, 1, calls)
	assert.Greater(t, strings.Count(s.Log(), "rekey"), 3)
}
