package runctl

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var (
	markSecret = []byte("the owner's secret")
	fullMark   = Mark{Owner: strings.Repeat("o", maxOwner), Key: strings.Repeat("k", maxKey), Controller: "a2z", Lifetime: MaxLifetime, Digest: "d7d7"}
	plainMark  = Mark{Owner: "ann", Key: "tune-42", Controller: "abc", Lifetime: 12 * time.Hour, Digest: "wxyz"}
)

func TestMarkRoundTrip(t *testing.T) {
	short := Mark{Owner: "a", Key: "k", Controller: "222", Lifetime: time.Minute, Digest: "aaaa"}
	for _, m := range []Mark{fullMark, plainMark, short} {
		for _, secret := range [][]byte{markSecret, nil} {
			label := m.Label(secret)
			got, ok := ParseMark(label, secret)
			require.True(t, ok, label)
			require.Equal(t, m, got)
			require.Equal(t, label, got.Label(secret))
			require.LessOrEqual(t, len(label), 60)
			require.Empty(t, strings.Trim(label, "abcdefghijklmnopqrstuvwxyz0123456789-"), label)
			owner, key, ok := LabelOwner(label)
			require.True(t, ok)
			require.Equal(t, []string{m.Owner, m.Key}, []string{owner, key})
		}
	}
	require.Len(t, fullMark.Label(markSecret), 60, "the longest owner and key fill the label")
}

func TestMarkLifetimeIsRoundedUp(t *testing.T) {
	for in, want := range map[time.Duration]time.Duration{1: time.Minute, time.Minute: time.Minute, time.Minute + 1: 2 * time.Minute,
		MaxLifetime - 1: MaxLifetime, MaxLifetime: MaxLifetime} {
		m := plainMark
		m.Lifetime = in
		got, ok := ParseMark(m.Label(nil), nil)
		require.True(t, ok)
		require.Equal(t, want, got.Lifetime, in.String())
	}
}

func TestMarkSealNeedsTheSecret(t *testing.T) {
	label, old := plainMark.Label(markSecret), []byte("before")
	for _, wrong := range [][][]byte{nil, {nil}, {old}, {[]byte("the owner's secret ")}} {
		got, ok := ParseMark(label, wrong...)
		assert.False(t, ok)
		assert.Zero(t, got, "an unsealed label gives nothing away to be used by mistake")
	}
	_, ok := ParseMark(plainMark.Label(nil), markSecret)
	assert.False(t, ok, "whoever knows the rule without a secret makes no mark of an owner with one")

	// After a rotation the old marks are still ours, and new ones carry the new seal.
	rotated := [][]byte{markSecret, old}
	for _, s := range rotated {
		m, ok := ParseMark(plainMark.Label(s), rotated...)
		assert.True(t, ok)
		assert.Equal(t, plainMark, m)
	}
}

// Every byte of the label is under the seal: no other byte in its place, no cut and no addition passes.
func TestMarkRefusesEveryChange(t *testing.T) {
	for _, m := range []Mark{fullMark, plainMark} {
		label := m.Label(markSecret)
		changed, cut := 0, 0
		for i := range label {
			for b := range 256 {
				if byte(b) == label[i] {
					continue
				}
				other := label[:i] + string([]byte{byte(b)}) + label[i+1:]
				_, ok := ParseMark(other, markSecret)
				require.False(t, ok, "%q passes for %q", other, label)
				changed++
			}
			for j := i; j <= len(label); j++ {
				part := label[i:j]
				if part == label {
					continue
				}
				_, ok := ParseMark(part, markSecret)
				require.False(t, ok, "cut to %q", part)
				_, ok = ParseMark(label[:i]+label[j:], markSecret)
				require.False(t, ok && i != j, "%q cut out", part)
				cut++
			}
		}
		for _, more := range []string{" ", "\n", "a", "-", "\x00"} {
			_, ok := ParseMark(label+more, markSecret)
			require.False(t, ok)
			_, ok = ParseMark(more+label, markSecret)
			require.False(t, ok)
		}
		t.Logf("%d changes and %d cuts refused", changed, cut)
	}
}

// Labels come from whoever can write into the account: none may stop the program.
func TestMarkSurvivesOddLabels(t *testing.T) {
	label := plainMark.Label(markSecret)
	for i := range label {
		for _, b := range []string{"\n", "\r", "\r\n", "\x00", "é", "=", "A", "1"} {
			odd := label[:i] + b + label[i+1:]
			require.NotPanics(t, func() { ParseMark(odd, markSecret) }, "%q", odd)
			require.NotPanics(t, func() { LabelOwner(odd) }, "%q", odd)
		}
	}
	body := "rc1-ann-k-abc\nab\nwxyz" // sealed by the rule without a secret
	_, ok := ParseMark(body+seal(body, "ann", nil), nil)
	require.False(t, ok)
}

func TestMarkNames(t *testing.T) {
	owners := map[string]bool{"a": true, "0": true, "ann7": true, strings.Repeat("a", 12): true,
		"": false, strings.Repeat("a", 13): false, "Ann": false, "a-b": false, "a b": false, "ä": false, "a\n": false, "a/b": false}
	for s, want := range owners {
		assert.Equal(t, want, validOwner(s), "owner %q", s)
		_, err := New(Config{Owner: s}, newModelCloud())
		assert.Equal(t, want, err == nil, "owner %q", s)
	}
	keys := map[string]bool{"a": true, "7": true, "a-b": true, "a--b": true, strings.Repeat("a", 24): true,
		"": false, "-a": false, "a-": false, "-": false, strings.Repeat("a", 25): false, "A": false, "a_b": false, "a.b": false, "é": false}
	for s, want := range keys {
		assert.Equal(t, want, validKey(s, maxKey), "key %q", s)
	}
	for s, want := range map[string]bool{"abc": true, "2z7": true, "ab": false, "abcd": false, "ab1": false, "ab8": false, "aB2": false, "a-b": false} {
		_, err := New(Config{Owner: "ann", Controller: s}, newModelCloud())
		assert.Equal(t, want, err == nil, "controller %q", s)
	}
}

func TestDigestTellsRequestsApart(t *testing.T) {
	job := func(args ...string) *Job { return &Job{ID: "j", Args: args} }
	base := LaunchSpec{Key: "k", Lifetime: time.Hour}
	other := base
	other.Lifetime = 2 * time.Hour
	seen := map[string]string{}
	for name, d := range map[string]string{"plain": digest(base, nil), "longer": digest(other, nil), "job": digest(base, job("a", "b")),
		"other words": digest(base, job("a b")), "with a secret": digest(base, &Job{ID: "j", Args: []string{"a", "b"}, Secrets: map[string]Secret{"X": NewSecret("1")}})} {
		require.Len(t, d, digestLen)
		require.Empty(t, seen[d], name)
		seen[d] = name
	}
	dear := base
	dear.MaxHourly, dear.MaxCost, dear.Needs.MaxHourly = USD(1), USD(2), USD(3)
	require.Equal(t, digest(base, nil), digest(dear, nil), "a ceiling does not make another machine")
	secret := func(v string) string {
		return digest(base, &Job{ID: "j", Args: []string{"a"}, Secrets: map[string]Secret{"X": NewSecret(v)}})
	}
	require.Equal(t, secret("1"), secret("2"), "nor does a secret's value")
}
