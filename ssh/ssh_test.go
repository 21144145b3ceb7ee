//go:build linux

package ssh_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"runctl"
	"runctl/internal/enginetest"
	"runctl/ssh"
	"runctl/sshmachine"
)

// request is a launch on the fleet's host k.
func (f *fleet) request(k int, token string) runctl.LaunchRequest {
	return runctl.LaunchRequest{Label: runctl.Mark{Owner: "me", Key: token, Controller: "abc", Lifetime: time.Hour, Digest: "defg"}.Label(nil),
		Token: token, Offer: runctl.Offer{ID: f.cfg.Hosts[k].Name}, Lifetime: time.Hour}
}

func (f *fleet) launch(t testing.TB, p *ssh.Provider, k int, token string) runctl.Instance {
	t.Helper()
	i, err := p.Launch(context.Background(), f.request(k, token))
	require.NoError(t, err)
	return i
}

// end terminates and waits until the host is free.
func (f *fleet) end(t testing.TB, p *ssh.Provider, id string) {
	t.Helper()
	require.NoError(t, p.Terminate(context.Background(), id))
	f.ended(t, p, id)
}

func (f *fleet) ended(t testing.TB, p *ssh.Provider, id string) (i runctl.Instance) {
	t.Helper()
	eventually(t, id+" ends", func() bool {
		var err error
		i, err = p.Get(context.Background(), id)
		return err == nil && i.State == runctl.StateTerminated
	})
	return i
}

func eventually(t testing.TB, what string, cond func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !cond(); <-time.After(20 * time.Millisecond) {
		require.True(t, time.Now().Before(deadline), "never: %s", what)
	}
}

func classified(t testing.TB, err error) runctl.Error {
	t.Helper()
	var e *runctl.Error
	require.ErrorAs(t, err, &e)
	return *e
}

func TestTwoControllersCannotHaveOneHost(t *testing.T) {
	f := newFleet(t, enginetest.SSHD(t), 1)
	a, b := f.provider(t), f.provider(t)
	const many = 20
	got, errs := make([]runctl.Instance, many), make([]error, many)
	var all sync.WaitGroup
	for k := range many {
		all.Go(func() {
			p := a
			if k%2 == 1 {
				p = b
			}
			got[k], errs[k] = p.Launch(t.Context(), f.request(0, fmt.Sprint("k", k)))
		})
	}
	all.Wait()
	won := 0
	for k, err := range errs {
		if err == nil {
			won++
			assert.Equal(t, runctl.StateRunning, got[k].State)
			continue
		}
		e := classified(t, err)
		assert.Equal(t, runctl.ErrCapacity, e.Kind)
		assert.Equal(t, runctl.ScopeOffer, e.Scope)
		assert.True(t, e.NotStarted)
		assert.Contains(t, e.Msg, "host host-g is held by me (k")
	}
	assert.Equal(t, 1, won)
	assert.Equal(t, []string{"1"}, f.claims(0))
}

func TestALaunchWhoseReplyWasLostIsAdopted(t *testing.T) {
	sshd, w := wrapped(t)
	f := newFleet(t, sshd, 1)
	p := f.provider(t)
	_, err := p.Offers(t.Context(), runctl.OfferQuery{}) // the script is there
	require.NoError(t, err)
	for _, verb := range []string{"claim", "guard"} {
		w.next(verb, "lost")
		_, err := p.Launch(t.Context(), f.request(0, verb))
		require.Error(t, err)
		require.True(t, w.used(verb))
		assert.False(t, classified(t, err).NotStarted, "it may have started: %v", err)
		again := f.launch(t, f.provider(t), 0, verb) // another process
		assert.Equal(t, runctl.StateRunning, again.State)
		assert.Len(t, f.claims(0), 1)
		f.end(t, p, again.ID)
	}
	w.next("claim", "before")
	_, err = p.Launch(t.Context(), f.request(0, "x"))
	require.Error(t, err)
	assert.False(t, classified(t, err).NotStarted, "nobody can tell the two apart")
	assert.Empty(t, f.claims(0))
}

func TestRepliesThatCannotBeRead(t *testing.T) {
	sshd, w := wrapped(t)
	f := newFleet(t, sshd, 1)
	p := f.provider(t)
	i := f.launch(t, p, 0, "a")
	head := "RUNCTLH1 host up=1 wall=1 boot=b id=0 text=/r"
	for _, lines := range [][]string{
		{""}, {"RUNCTLH1 end"}, {head}, {head, "RUNCTLH1 end"}, {head, "RUNCTLH1 claim n=2 text=v=1", "RUNCTLH1 end"},
		{"RUNCTLH1 host up=x wall=1 text=/r", "RUNCTLH1 end"}, {"RUNCTLH1 absent"}, {"<html>"},
	} {
		w.reply("look", lines...)
		_, err := p.Get(t.Context(), i.ID)
		require.Error(t, err, lines)
		assert.NotErrorIs(t, err, runctl.ErrNotFound, "%q", lines)
		w.reply("release", lines...)
		err = p.Terminate(t.Context(), i.ID)
		require.Error(t, err, lines)
		assert.NotErrorIs(t, err, runctl.ErrNotFound, "%q", lines)
		w.reply("claim", lines...)
		_, err = p.Launch(t.Context(), f.request(0, "b"))
		require.Error(t, err, lines)
		var e *runctl.Error
		assert.False(t, errors.As(err, &e) && e.NotStarted, "%q: %v", lines, err)
	}
	w.reply("release", head, "RUNCTLH1 claim n=1 text=v=1", "RUNCTLH1 end")
	assert.Error(t, p.Terminate(t.Context(), i.ID), "it does not say that the end was asked for")
	w.next("look", "noise")
	got, err := p.Get(t.Context(), i.ID)
	require.NoError(t, err, "what start-up files print means nothing")
	assert.Equal(t, i.Label, got.Label)
	assert.Len(t, f.claims(0), 1)
}

func TestAHostThatIsDown(t *testing.T) {
	up, down := enginetest.SSHD(t), enginetest.SSHD(t)
	f, g := newFleet(t, up, 1), newFleet(t, down, 2)
	text, err := os.ReadFile(g.cfg.ConfigFile)
	require.NoError(t, err)
	own, err := os.ReadFile(f.cfg.ConfigFile)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(f.cfg.ConfigFile, []byte(string(own)+strings.ReplaceAll(string(text), "Host host-", "Host down-")), 0o600))
	f.cfg.Hosts = append(f.cfg.Hosts, ssh.Host{Name: "down-h", Root: g.root(1)})
	p := f.provider(t)
	i := f.launch(t, p, 1, "a")
	other := f.launch(t, p, 0, "b")
	down.Stop()

	_, err = p.List(t.Context(), runctl.ListQuery{})
	assert.ErrorContains(t, err, "down-h of 2 hosts did not answer, so the list would not be complete")
	assert.Equal(t, runctl.ErrUnavailable, classified(t, err).Kind)
	offers, err := p.Offers(t.Context(), runctl.OfferQuery{})
	require.NoError(t, err)
	require.Len(t, offers, 1, "a host that does not answer cannot be launched now")
	assert.Equal(t, "held", offers[0].Avail)
	_, err = p.Get(t.Context(), i.ID)
	assert.NotErrorIs(t, err, runctl.ErrNotFound)
	assert.Error(t, err)
	_, err = p.Get(t.Context(), other.ID)
	assert.NoError(t, err, "the other host has no part in it")
	err = p.Terminate(t.Context(), i.ID)
	assert.NotErrorIs(t, err, runctl.ErrNotFound)
	assert.Error(t, err)
	_, err = p.Launch(t.Context(), f.request(1, "c"))
	e := classified(t, err)
	assert.True(t, e.NotStarted && e.Kind == runctl.ErrCapacity && e.Scope == runctl.ScopeOffer, "%v", err)

	down.Start()
	got, err := p.Get(t.Context(), i.ID)
	require.NoError(t, err, "the connection heals by itself")
	assert.Equal(t, i.Launched, got.Launched)
	up.Stop()
	down.Stop()
	_, err = p.Offers(t.Context(), runctl.OfferQuery{})
	assert.ErrorContains(t, err, "of 2 hosts did not answer, so there is nothing to offer")
}

func TestTheEndOfAnOldClaimLeavesAnotherControllersAlone(t *testing.T) {
	f := newFleet(t, enginetest.SSHD(t), 1)
	mine, theirs := f.provider(t), f.provider(t)
	f.launch(t, mine, 0, "mine")
	listed, err := mine.List(t.Context(), runctl.ListQuery{})
	require.NoError(t, err)
	require.Len(t, listed, 1)
	f.end(t, theirs, listed[0].ID) // it ended, and another one came, since we looked
	new := f.launch(t, theirs, 0, "theirs")

	require.NoError(t, mine.Terminate(t.Context(), listed[0].ID))
	got, err := mine.Get(t.Context(), new.ID)
	require.NoError(t, err)
	assert.Equal(t, runctl.StateRunning, got.State)
	assert.Equal(t, new.Label, got.Label)
	assert.NotEqual(t, listed[0].ID, new.ID)
}

func TestOneMachineUnderTwoNamesIsNoList(t *testing.T) {
	f := newFleet(t, enginetest.SSHD(t), 2)
	f.cfg.Hosts[1].Root = f.cfg.Hosts[0].Root
	_, err := f.provider(t).List(t.Context(), runctl.ListQuery{})
	assert.ErrorContains(t, err, "host-g and host-h are the same machine, or share the directory "+f.cfg.Hosts[0].Root)
	assert.ErrorIs(t, err, runctl.ErrInvalid)
}

func TestHostKeys(t *testing.T) {
	sshd, another := enginetest.SSHD(t), enginetest.SSHD(t)
	f := newFleet(t, sshd, 1)
	p := f.provider(t)
	i := f.launch(t, p, 0, "a")
	m, err := p.Connect(t.Context(), i, runctl.Access{})
	require.NoError(t, err)
	known, grade := m.(runctl.Hosted).HostKey()
	assert.Equal(t, runctl.TrustRead, grade)
	require.NoError(t, m.Close())

	m, err = p.Connect(t.Context(), i, runctl.Access{HostKey: known})
	require.NoError(t, err)
	require.NoError(t, m.Close())
	_, err = p.Connect(t.Context(), i, runctl.Access{HostKey: "SHA256:" + strings.Repeat("A", 43)})
	var bad *sshmachine.HostKeyError
	require.ErrorAs(t, err, &bad, "it was known by another key")
	assert.Equal(t, known, bad.Got)

	sshd.Stop()
	sshd.SetHostKey(another.Signer)
	sshd.Start()
	for what, call := range map[string]func(p *ssh.Provider) error{
		"List":   func(p *ssh.Provider) error { _, err := p.List(t.Context(), runctl.ListQuery{}); return err },
		"Get":    func(p *ssh.Provider) error { _, err := p.Get(t.Context(), i.ID); return err },
		"Launch": func(p *ssh.Provider) error { _, err := p.Launch(t.Context(), f.request(0, "b")); return err },
		"Offers": func(p *ssh.Provider) error { _, err := p.Offers(t.Context(), runctl.OfferQuery{}); return err },
	} {
		for _, p := range []*ssh.Provider{p, f.provider(t)} { // with a connection from before, and without
			err := call(p)
			require.ErrorAs(t, err, &bad, what)
			assert.Equal(t, runctl.ErrHostKey, classified(t, err).Kind, what)
		}
	}
	assert.Len(t, f.claims(0), 1)
}

func TestAHostThatNobodyKnows(t *testing.T) {
	sshd, another := enginetest.SSHD(t), enginetest.SSHD(t)
	f := newFleet(t, sshd, 1)
	f.cfg.KnownHosts = []string{filepath.Join(f.dir, "none")}
	_, err := f.provider(t).Offers(t.Context(), runctl.OfferQuery{})
	assert.ErrorContains(t, err, "no known_hosts file names this host", "never believed by itself")
	assert.NoFileExists(t, filepath.Join(f.cfg.StateDir, "first-use"))

	f.cfg.FirstUse = true
	p := f.provider(t)
	i := f.launch(t, p, 0, "a")
	m, err := p.Connect(t.Context(), i, runctl.Access{})
	require.NoError(t, err)
	require.NoError(t, m.Close())
	pins, err := os.ReadFile(filepath.Join(f.cfg.StateDir, "first-use"))
	require.NoError(t, err)
	assert.Equal(t, 1, strings.Count(string(pins), "\n"), "%s", pins)

	sshd.Stop()
	sshd.SetHostKey(another.Signer)
	sshd.Start()
	_, err = f.provider(t).Get(t.Context(), i.ID)
	var bad *sshmachine.HostKeyError
	require.ErrorAs(t, err, &bad, "the second use is held to the first")

	f.cfg.KnownHosts = []string{sshd.KnownHosts()} // names the first key
	require.NoError(t, os.Remove(filepath.Join(f.cfg.StateDir, "first-use")))
	_, err = f.provider(t).Get(t.Context(), i.ID)
	require.ErrorAs(t, err, &bad, "FirstUse does not help a host that is known by another key")
}

func TestAJumpHostAndAHostKeyAlias(t *testing.T) {
	jump, inner := enginetest.SSHD(t), enginetest.SSHD(t)
	f := newFleet(t, inner, 1)
	known, err := os.ReadFile(inner.KnownHosts())
	require.NoError(t, err)
	_, key, _ := strings.Cut(string(known), " ")
	aliases := filepath.Join(f.dir, "aliases")
	require.NoError(t, os.WriteFile(aliases, []byte("inner-alias "+key), 0o600))
	text := "Host bastion\n" + entry(t, jump) + "Host inner-x\n HostKeyAlias inner-alias\n ProxyJump bastion\n UserKnownHostsFile " + aliases + "\n" + entry(t, inner)
	require.NoError(t, os.WriteFile(f.cfg.ConfigFile, []byte(text), 0o600))
	f.cfg.Hosts[0].Name = "inner-x"
	p := f.provider(t)
	i := f.launch(t, p, 0, "a")
	m, err := p.Connect(t.Context(), i, runctl.Access{})
	require.NoError(t, err)
	defer m.Close()
	var out strings.Builder
	code, err := m.Exec(t.Context(), []string{"sh", "-c", `printf %s "$RUNCTL_ROOT"`}, nil, &out, &strings.Builder{})
	require.NoError(t, err)
	assert.Zero(t, code)
	assert.Equal(t, f.root(0)+"/1", out.String())
	assert.Contains(t, jump.Log(), "direct-tcpip", "through the jump host")

	jump.Stop()
	_, err = f.provider(t).Get(t.Context(), i.ID)
	assert.Error(t, err)
	require.NoError(t, os.WriteFile(f.cfg.ConfigFile, []byte(strings.Replace(text, "Host bastion\n", "Host bastion\n ProxyJump bastion\n", 1)), 0o600))
	_, err = f.provider(t).Get(t.Context(), i.ID)
	assert.ErrorContains(t, err, "more than 8 jump hosts")
	require.NoError(t, os.WriteFile(f.cfg.ConfigFile, []byte("Host inner-x\n ProxyCommand nc %h %p\n"+entry(t, inner)), 0o600))
	_, err = f.provider(t).Get(t.Context(), i.ID)
	assert.ErrorContains(t, err, "ProxyCommand")
}

func TestOddNames(t *testing.T) {
	sshd := enginetest.SSHD(t)
	f := newFleet(t, sshd, 1)
	name := sshd.User + "@" + sshd.Addr // user@host:port
	require.NoError(t, os.WriteFile(f.cfg.ConfigFile, []byte("Host *\n"+strings.ReplaceAll(strings.ReplaceAll(entry(t, sshd), " HostName", "#"), " Port", "#")), 0o600))
	f.cfg.Hosts[0].Name = name
	p := f.provider(t)
	i := f.launch(t, p, 0, "a")
	assert.Equal(t, name, i.Type)
	assert.Regexp(t, `^[A-Za-z0-9._:-]{1,128}$`, i.ID)
	got, err := p.Get(t.Context(), i.ID)
	require.NoError(t, err)
	assert.Equal(t, i.ID, got.ID)
	f.end(t, p, i.ID)
}

func TestALoginThatIsRefused(t *testing.T) {
	sshd := enginetest.SSHD(t)
	f := newFleet(t, sshd, 1)
	sshd.AuthorizedKeys()
	_, err := f.provider(t).Launch(t.Context(), f.request(0, "a"))
	e := classified(t, err)
	assert.True(t, e.Kind == runctl.ErrAuth && e.NotStarted, "%v", err)
	text, err := os.ReadFile(f.cfg.ConfigFile)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(f.cfg.ConfigFile, []byte(strings.ReplaceAll(string(text), sshd.KeyFile(), "/nowhere")), 0o600))
	_, err = f.provider(t).Launch(t.Context(), f.request(0, "a"))
	assert.ErrorContains(t, err, "there is no key to log in with")
}

func TestACallEndsWithItsContext(t *testing.T) {
	sshd, w := wrapped(t)
	f := newFleet(t, sshd, 1)
	p := f.provider(t)
	i := f.launch(t, p, 0, "a")
	w.next("look", "hang")
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	began := time.Now()
	_, err := p.Get(ctx, i.ID)
	assert.ErrorIs(t, err, context.DeadlineExceeded)
	assert.Less(t, time.Since(began), 5*time.Second)

	w.next("look", "hang") // one that hangs holds up nobody
	hung, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = p.Get(hung, i.ID)
	}()
	eventually(t, "the hang", func() bool { return w.used("look") })
	_, err = p.List(t.Context(), runctl.ListQuery{})
	assert.NoError(t, err)
	stop()
	<-done
	w.next("claim", "hang")
	ctx, cancel = context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	_, err = p.Launch(ctx, f.request(0, "b"))
	assert.False(t, classified(t, err).NotStarted, "who gives up waiting has not taken it back")
}
