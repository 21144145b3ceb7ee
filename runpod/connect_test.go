//go:build linux

package runpod_test

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"runctl"
	"runctl/internal/enginetest"
	face "runctl/internal/wire/runpod"
	"runctl/sshmachine"
)

// shellPod launches a pod that the owner of key enters, and returns it when it runs.
func (w *world) shellPod(key ed25519.PrivateKey) runctl.Instance {
	w.t.Helper()
	offers, err := w.c.Offers(w.t.Context(), runctl.OfferQuery{Road: runctl.RoadShell})
	require.NoError(w.t, err)
	label := runctl.Mark{Owner: "me", Key: "k1", Controller: "abc", Lifetime: time.Hour, Digest: "defg"}.Label(nil)
	i, err := w.cloud.Launch(w.t.Context(), runctl.LaunchRequest{Label: label, Offer: offers[0], Lifetime: time.Hour,
		AuthorizedKey: enginetest.AuthorizedKey(w.t, key)})
	require.NoError(w.t, err)
	w.until("the pod", func() bool {
		i, err = w.cloud.Get(w.t.Context(), i.ID)
		return err == nil && i.Addr != ""
	})
	return i
}

// entered connects once the pod has printed its host key and answers.
func (w *world) entered(i runctl.Instance, a runctl.Access) *sshmachine.Machine {
	w.t.Helper()
	var m runctl.Machine
	w.until("a way into the pod", func() bool {
		var err error
		m, err = w.cloud.Connect(w.t.Context(), i, a)
		if err != nil {
			require.ErrorIs(w.t, err, runctl.ErrUnavailable, "what time mends, and nothing else")
		}
		return err == nil
	})
	w.t.Cleanup(func() { _ = m.Close() })
	return m.(*sshmachine.Machine)
}

// sshdUser lets containers have an sshd that lets the test's own user in.
func sshdUser(t *testing.T) func(*face.Options) {
	user := enginetest.SSHD(t).User
	return func(o *face.Options) { o.Real.SSHD, o.Real.User = sshdPath(), user }
}

func TestAPodIsEnteredByTheKeyThatItPrintedAtItsBirth(t *testing.T) {
	t.Parallel()
	w := newWorld(t, sshdUser(t))
	mine := enginetest.NewKey(t)
	i := w.shellPod(mine)
	m := w.entered(i, runctl.Access{Signer: mine})
	var out bytes.Buffer
	code, err := m.Exec(t.Context(), []string{"sh", "-c", "echo $RUNPOD_POD_ID"}, nil, &out, &out)
	require.NoError(t, err)
	assert.Zero(t, code)
	assert.Equal(t, i.ID+"\n", out.String(), "with the environment of the pod")
	print, trust := m.HostKey()
	assert.NotEmpty(t, print)
	assert.Equal(t, runctl.TrustRead, trust, "nobody has guessed")

	_, err = w.cloud.Connect(t.Context(), i, runctl.Access{Signer: mine, HostKey: "SHA256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"})
	require.ErrorIs(t, err, runctl.ErrHostKey, "what was pinned before wins over what the log says now")
	_, err = w.cloud.Connect(t.Context(), i, runctl.Access{Signer: enginetest.NewKey(t)})
	require.ErrorIs(t, err, runctl.ErrAuth, "another owner's key")
	assert.NotErrorIs(t, err, runctl.ErrHostKey)
}

func TestTheAddressOfAnEarlierPodIsNeverEntered(t *testing.T) {
	t.Parallel()
	w := newWorld(t, sshdUser(t))
	mine := enginetest.NewKey(t)
	i := w.shellPod(mine)
	known, _ := w.entered(i, runctl.Access{Signer: mine}).HostKey()
	stranger := enginetest.SSHD(t) // a pod of somebody who lets everybody in, to hear what they say
	stranger.AuthorizedKeys(enginetest.AuthorizedKey(t, mine))
	w.face.Astray(i.ID, stranger.Addr)

	_, err := w.cloud.Connect(t.Context(), i, runctl.Access{Signer: mine})
	require.ErrorIs(t, err, runctl.ErrUnavailable, "the address may be right a minute later")
	assert.NotErrorIs(t, err, runctl.ErrHostKey, "so nobody is told to look for an attacker yet")
	assert.ErrorContains(t, err, "earlier pod")
	_, err = w.cloud.Connect(t.Context(), i, runctl.Access{Signer: mine, HostKey: known})
	require.ErrorIs(t, err, runctl.ErrHostKey, "once met, another key is another host")
	assert.NotContains(t, stranger.Log(), "Accepted publickey")
	assert.NotContains(t, stranger.Log(), "userauth-request", "not even a name was told")

	w.face.Astray(i.ID, "")
	w.entered(i, runctl.Access{Signer: mine, HostKey: known})
}

func TestAPodWhoseImageHasNoSSHDSaysSoAndIsNotWaitedFor(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(o *face.Options) { o.Real.SSHD = "/nowhere/sshd" })
	mine := enginetest.NewKey(t)
	i := w.shellPod(mine)
	var err error
	w.until("a word about sshd", func() bool {
		_, err = w.cloud.Connect(t.Context(), i, runctl.Access{Signer: mine})
		return !errors.Is(err, runctl.ErrUnavailable)
	})
	require.ErrorIs(t, err, errors.ErrUnsupported)
	assert.ErrorContains(t, err, "use an image with an sshd")
}

func TestAPodThatIsEnteredEndsItselfAtItsLifetimeToo(t *testing.T) {
	t.Parallel()
	w := newWorld(t, sshdUser(t))
	offers, err := w.c.Offers(t.Context(), runctl.OfferQuery{Road: runctl.RoadShell})
	require.NoError(t, err)
	label := runctl.Mark{Owner: "me", Key: "k1", Controller: "abc", Lifetime: time.Hour, Digest: "defg"}.Label(nil)
	i, err := w.cloud.Launch(t.Context(), runctl.LaunchRequest{Label: label, Offer: offers[0], Lifetime: 2 * time.Second,
		AuthorizedKey: enginetest.AuthorizedKey(t, enginetest.NewKey(t))})
	require.NoError(t, err)
	w.until("its own end", func() bool { return w.face.Pod(i.ID).Status == face.Exited })
	assert.Zero(t, w.face.Served("deletePod"), "nobody else has ended it")
	assert.Equal(t, 1, w.face.Starts(i.ID))
}
