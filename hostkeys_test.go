package runctl_test

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"runctl"
	"runctl/fake"
)

// lenient is a provider that does not look at the host key that it is told, and so leaves that to the client.
type lenient struct{ *fake.Cloud }

func (l lenient) Connect(ctx context.Context, i runctl.Instance, a runctl.Access) (runctl.Machine, error) {
	a.HostKey = ""
	return l.Cloud.Connect(ctx, i, a)
}

func clientOf(t *testing.T, p runctl.Provider) *runctl.Client {
	t.Helper()
	c, err := runctl.New(runctl.Config{Owner: "one"}, p)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, c.Close()) })
	return c
}

func runSpec(key string) runctl.RunSpec {
	return runctl.RunSpec{Key: key, Lifetime: 2 * time.Hour, MaxHourly: runctl.USD(99), Job: runctl.Job{Args: []string{"train"}}}
}

// Whoever shows another host key than the machine was known by is sent nothing: no verb, no question.
func TestAnImpostorIsSentNothing(t *testing.T) {
	for name, wrap := range map[string]func(*fake.Cloud) runctl.Provider{
		"refused by the provider": func(c *fake.Cloud) runctl.Provider { return c },
		"refused by the client":   func(c *fake.Cloud) runctl.Provider { return lenient{c} },
	} {
		synctest.Test(t, func(t *testing.T) {
			t.Log(name)
			cloud := fake.New(fake.ShellOnly(), fake.HostKeys(runctl.TrustChallenged))
			cloud.Script("", fake.Script{Hold: true})
			p := wrap(cloud)
			mine := clientOf(t, p)
			run, err := mine.Start(t.Context(), runSpec("tune"))
			require.NoError(t, err)
			ref := run.Ref()
			id, key := ref.ID, cloud.HostKey(ref.ID)
			require.Equal(t, key, ref.HostKey)
			require.False(t, ref.FirstUse)
			require.Equal(t, runctl.TrustChallenged, run.HostTrust())

			// Another process knows the machine by its reference alone.
			stored, err := runctl.ParseRef(ref.String())
			require.NoError(t, err)
			other := clientOf(t, p)
			again, err := other.Attach(t.Context(), stored)
			require.NoError(t, err)
			_, err = again.Status(t.Context())
			require.NoError(t, err)

			cloud.Impostor(id)
			poser := cloud.HostKey(id)
			sent := cloud.Calls(fake.OpExec)
			refused := func(err error, what string) {
				t.Helper()
				require.ErrorIs(t, err, runctl.ErrHostKey, what)
				assert.Contains(t, err.Error(), key, what)
				assert.Contains(t, err.Error(), poser, what)
				assert.Equal(t, sent, cloud.Calls(fake.OpExec), "%s sent something", what)
			}
			third := clientOf(t, p)
			fresh, err := third.Attach(t.Context(), stored)
			require.NoError(t, err)
			_, err = fresh.Status(t.Context())
			refused(err, "Status")
			_, err = fresh.Wait(t.Context())
			refused(err, "Wait")
			refused(fresh.Cancel(t.Context(), 0), "Cancel")
			for _, err := range fresh.Logs(t.Context(), runctl.LogQuery{Follow: true}) {
				refused(err, "Logs")
			}
			refused(fresh.Download(t.Context(), ".", t.TempDir()), "Download")
			on := stored
			on.Run = ""
			_, err = third.Submit(t.Context(), on, runctl.Job{ID: "b", Args: []string{"train"}, Shared: true})
			refused(err, "Submit")
			_, err = clientOf(t, p).Machine(t.Context(), on)
			refused(err, "Machine")

			// The first client has no reference, but it remembers.
			cloud.Inject(fake.Fault{Op: fake.OpExec, Nth: 1, Err: runctl.ErrUnavailable})
			_, err = run.Status(t.Context())
			require.Error(t, err, "the connection broke")
			sent = cloud.Calls(fake.OpExec)
			_, err = run.Status(t.Context())
			refused(err, "a new connection")
		})
	}
}

// A provider is told the key on every connection but the first, so that it can refuse before it sends anything.
func TestAProviderIsToldTheKeyThatTheMachineIsKnownBy(t *testing.T) {
	cloud := fake.New(fake.ShellOnly(), fake.HostKeys(runctl.TrustFirstUse))
	told := &[]string{}
	run, err := clientOf(t, telling{cloud, told}).Start(t.Context(), runSpec("tune"))
	require.NoError(t, err)
	again, err := clientOf(t, telling{cloud, told}).Attach(t.Context(), run.Ref())
	require.NoError(t, err)
	_, err = again.Status(t.Context())
	require.NoError(t, err)
	assert.Equal(t, []string{"", cloud.HostKey(run.Ref().ID)}, *told)
}

type telling struct {
	*fake.Cloud
	told *[]string
}

func (p telling) Connect(ctx context.Context, i runctl.Instance, a runctl.Access) (runctl.Machine, error) {
	*p.told = append(*p.told, a.HostKey)
	return p.Cloud.Connect(ctx, i, a)
}

// The job is not handed to whoever answers after a cut, and the machine, which cannot be trusted, gets its end.
func TestAnImpostorBetweenTwoTriesIsSentNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cloud := fake.New(fake.ShellOnly(), fake.HostKeys(runctl.TrustRead))
		cloud.Inject(fake.Fault{Op: fake.OpExec, Nth: 1, Err: runctl.ErrUnavailable})
		failed := make(chan error)
		began := time.Now()
		go func() {
			_, err := clientOf(t, cloud).Start(t.Context(), runSpec("tune"))
			failed <- err
		}()
		synctest.Wait()
		cloud.Impostor(cloud.Billing()[0].ID)
		require.ErrorIs(t, <-failed, runctl.ErrHostKey)
		assert.Equal(t, 1, cloud.Calls(fake.OpExec))
		assert.Less(t, time.Since(began), time.Minute, "more tries change nothing")
		assert.Empty(t, cloud.Billing())
	})
}

// A machine's address may have gone to somebody else: what the cloud says of the machine comes first.
func TestAnotherKeyAtTheAddressOfAMachineThatEndedIsJustItsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cloud := fake.New(fake.ShellOnly(), fake.Forgetful(), fake.HostKeys(runctl.TrustRead))
		cloud.Script("", fake.Script{Hold: true})
		c := clientOf(t, answering{cloud})
		run, err := c.Start(t.Context(), runSpec("tune"))
		require.NoError(t, err)
		id := run.Ref().ID
		cloud.Impostor(id)
		require.NoError(t, cloud.Terminate(t.Context(), id))
		_, err = run.Wait(t.Context())
		require.ErrorIs(t, err, runctl.ErrLost)
	})
}

// answering is a cloud at which somebody answers at every address, for ever.
type answering struct{ *fake.Cloud }

func (a answering) Connect(ctx context.Context, i runctl.Instance, acc runctl.Access) (runctl.Machine, error) {
	if m, err := a.Cloud.Connect(ctx, i, acc); err == nil || acc.HostKey == "" {
		return m, err
	}
	return nil, &runctl.Error{Kind: runctl.ErrHostKey, Msg: "another key"}
}

// A reference that contradicts what is known already is refused before anything is sent.
func TestAReferenceWithAnotherKeyIsRefused(t *testing.T) {
	cloud := fake.New(fake.ShellOnly(), fake.HostKeys(runctl.TrustRead))
	cloud.Script("", fake.Script{Hold: true})
	c := clientOf(t, cloud)
	run, err := c.Start(t.Context(), runSpec("tune"))
	require.NoError(t, err)
	ref, sent := run.Ref(), cloud.Calls(fake.OpExec)
	ref.HostKey = "SHA256:" + strings.Repeat("A", 43)
	_, err = c.Attach(t.Context(), ref)
	require.ErrorIs(t, err, runctl.ErrHostKey)
	_, err = c.Submit(t.Context(), ref, runctl.Job{Args: []string{"train"}})
	require.ErrorIs(t, err, runctl.ErrHostKey)
	assert.Equal(t, sent, cloud.Calls(fake.OpExec))
	_, err = run.Status(t.Context())
	require.NoError(t, err, "what was known stays")
}

// Secrets go only to a machine whose key somebody vouches for, unless the job says otherwise. A key does not get
// better by being seen twice, or by standing in a reference.
func TestSecretsOnFirstUseNeedConsent(t *testing.T) {
	withSecret := func(key string, consent bool) runctl.RunSpec {
		s := runSpec(key)
		s.Job.Secrets = map[string]runctl.Secret{"TOKEN": runctl.NewSecret("canary")}
		s.Job.SecretsOnFirstUse = consent
		return s
	}
	for trust, allowed := range map[runctl.HostTrust]bool{runctl.TrustNone: false, runctl.TrustFirstUse: false,
		runctl.TrustChallenged: true, runctl.TrustRead: true} {
		cloud := fake.New(fake.ShellOnly(), fake.HostKeys(trust))
		_, err := clientOf(t, cloud).Start(t.Context(), withSecret("tune", false))
		if allowed {
			require.NoError(t, err, trust)
			continue
		}
		require.ErrorIs(t, err, runctl.ErrInvalid, trust)
		assert.Contains(t, err.Error(), "SecretsOnFirstUse")
		assert.Zero(t, cloud.Calls(fake.OpExec), "the spec was sent")
		assert.Empty(t, cloud.Billing(), "Start gives its machine an end")
		_, err = clientOf(t, cloud).Start(t.Context(), withSecret("tune-2", true))
		require.NoError(t, err, trust)
	}

	_, err := clientOf(t, fake.New(fake.ShellOnly())).Start(t.Context(), withSecret("tune", false))
	require.NoError(t, err, "a machine that has no host key")

	cloud := fake.New(fake.ShellOnly(), fake.HostKeys(runctl.TrustFirstUse))
	c := clientOf(t, cloud)
	run, err := c.Start(t.Context(), runSpec("box"))
	require.NoError(t, err, "a job without secrets")
	require.Equal(t, runctl.TrustFirstUse, run.HostTrust())
	cloud.Inject(fake.Fault{Op: fake.OpExec, Nth: 1, Err: runctl.ErrUnavailable})
	_, err = run.Status(t.Context())
	require.Error(t, err, "the connection broke, and the next one is pinned")
	sent := cloud.Calls(fake.OpExec)
	j := withSecret("", false).Job
	j.ID = "second"
	_, err = c.Submit(t.Context(), run.Instance().Ref(), j)
	require.ErrorIs(t, err, runctl.ErrInvalid, "seen twice")
	stored, err := runctl.ParseRef(run.Ref().String())
	require.NoError(t, err)
	require.True(t, stored.FirstUse)
	stored.Run = ""
	_, err = clientOf(t, cloud).Submit(t.Context(), stored, j)
	require.ErrorIs(t, err, runctl.ErrInvalid, "by reference")
	assert.Equal(t, sent, cloud.Calls(fake.OpExec))
	j.SecretsOnFirstUse = true
	_, err = c.Submit(t.Context(), run.Instance().Ref(), j)
	require.NoError(t, err)
}

// A provider that makes up fingerprints would have references written that nobody can read.
func TestAHostKeyMustBeAFingerprint(t *testing.T) {
	cloud := fake.New(fake.ShellOnly())
	i, err := cloud.Launch(t.Context(), runctl.LaunchRequest{Label: runctl.Mark{Owner: "one", Key: "k", Controller: "abc",
		Lifetime: time.Hour, Digest: "abcd"}.Label(nil), Token: "t", Offer: fake.Catalog()[0], Lifetime: time.Hour})
	require.NoError(t, err)
	closed := false
	c := clientOf(t, oddKey{cloud, &closed})
	run, err := c.Attach(t.Context(), runctl.Ref{Provider: "fake", Owner: "one", Key: "k", ID: i.ID})
	require.NoError(t, err)
	_, err = run.Status(t.Context())
	require.ErrorIs(t, err, runctl.ErrUnavailable)
	assert.Empty(t, run.Ref().HostKey)
	assert.True(t, closed, "a connection that is not used is closed")
	assert.Zero(t, cloud.Calls(fake.OpExec))
}

type oddKey struct {
	*fake.Cloud
	closed *bool
}

type oddMachine struct {
	runctl.Machine
	closed *bool
}

func (o oddMachine) Close() error {
	*o.closed = true
	return o.Machine.Close()
}

func (oddMachine) HostKey() (string, runctl.HostTrust) { return "SHA256:short", runctl.TrustRead }

func (o oddKey) Connect(ctx context.Context, i runctl.Instance, a runctl.Access) (runctl.Machine, error) {
	m, err := o.Cloud.Connect(ctx, i, a)
	return oddMachine{m, o.closed}, err
}

// References of machines that were never met, and those of earlier versions, have five parts for ever.
func TestReferencesWithAndWithoutAHostKey(t *testing.T) {
	key := "SHA256:" + strings.Repeat("ab+/", 10) + "abc"
	plain := runctl.Ref{Provider: "aws", Owner: "ann", Key: "tune-42", ID: "i-0abc", Run: "tune-42"}
	for text, want := range map[string]runctl.Ref{
		"rc1:aws/ann/tune-42/i-0abc/tune-42": plain,
		"rc1:aws/ann/tune-42/i-0abc/tune-42/" + strings.ReplaceAll(key, "/", "%2F"): {Provider: plain.Provider, Owner: plain.Owner,
			Key: plain.Key, ID: plain.ID, Run: plain.Run, HostKey: key},
		"rc1:aws/ann/tune-42/i-0abc/tune-42/first-use:" + strings.ReplaceAll(key, "/", "%2F"): {Provider: plain.Provider, Owner: plain.Owner,
			Key: plain.Key, ID: plain.ID, Run: plain.Run, HostKey: key, FirstUse: true},
	} {
		got, err := runctl.ParseRef(text)
		require.NoError(t, err, text)
		assert.Equal(t, want, got)
		assert.Equal(t, text, got.String())
	}
	for _, bad := range []string{"/", "/first-use:", "/SHA256:short", "/MD5:" + strings.Repeat("a", 43), "/" + key[:len(key)-1] + "%0A", "/" + key + "/x"} {
		_, err := runctl.ParseRef(plain.String() + strings.ReplaceAll(bad, "ab+/", "abcd"))
		require.ErrorIs(t, err, runctl.ErrInvalid, bad)
	}
}
