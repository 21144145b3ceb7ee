package runctl

import (
	"bytes"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"
)

func FuzzParseRef(f *testing.F) {
	for _, r := range []Ref{{Provider: "aws", Owner: "ann", Key: "tune-42", ID: "i-0abc", Run: "tune-42"}, {Provider: "p", Owner: "o", Key: "k"},
		{Provider: "p", Owner: "o", ID: "a:b_c.d-e"}} {
		f.Add(r.String())
	}
	f.Add("rc1:p/o/k%2F/i/r")
	f.Add("rc1:p/o/k/i;rm/")
	f.Fuzz(func(t *testing.T, s string) {
		r, err := ParseRef(s)
		if err != nil {
			require.ErrorIs(t, err, ErrInvalid)
			requirePrintable(t, err.Error())
			return
		}
		again, err := ParseRef(r.String())
		require.NoError(t, err)
		require.Equal(t, r, again)
		var text Ref
		b, _ := r.MarshalText()
		require.NoError(t, text.UnmarshalText(b))
		require.Equal(t, r, text)
		require.Empty(t, strings.Trim(r.String(), "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._:-/"), "fit for a shell")
	})
}

func FuzzParseMark(f *testing.F) {
	f.Add(plainMark.Label(markSecret), []byte(markSecret))
	f.Add(fullMark.Label(nil), []byte(nil))
	f.Add("rc1-o-k-abc\naaaaaaaaaaaaaa", []byte(nil))
	f.Fuzz(func(t *testing.T, label string, secret []byte) {
		LabelOwner(label)
		_, _ = ParseMark(label, secret)
		// The seal is ours to make, so that the fuzzer gets past it.
		body := label[:max(len(label)-sealLen, 0)]
		m, _ := splitLabel(label)
		sealed := body + seal(body, m.Owner, secret)
		if m, ok := ParseMark(sealed, secret); ok {
			require.Equal(t, sealed, m.Label(secret))
			require.True(t, validOwner(m.Owner) && validKey(m.Key, maxKey))
			require.True(t, m.Lifetime >= 0 && m.Lifetime <= MaxLifetime)
		}
	})
}

func FuzzParseGPU(f *testing.F) {
	for _, s := range []string{"H100", "A100-80GB:4", "h100-sxm:8", "8xH100", "H100x8", "H10O", " L4 ", "", ":8", "H100:0", "0xH100"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		g, err := ParseGPU(s)
		if err != nil {
			require.ErrorIs(t, err, ErrInvalid)
			requirePrintable(t, err.Error())
			if _, advice, ok := strings.Cut(err.Error(), "write "); ok && !strings.HasPrefix(advice, "MODEL") {
				_, err := ParseGPU(advice)
				require.NoError(t, err, "advice that does not work")
			}
			return
		}
		again, err := ParseGPU(g.String())
		require.NoError(t, err)
		require.Equal(t, g, again)
		require.True(t, g.Matches(GPU{Model: g.Model, Count: g.Count}))
	})
}

// goodLog is a log of n lines.
func goodLog(t testing.TB, n int) ([]byte, []Intent) {
	path := filepath.Join(t.TempDir(), "intents")
	log, err := OpenIntents(path)
	require.NoError(t, err)
	for k := range n {
		in := Intent{Time: time.Unix(int64(1.7e9)+int64(k), 5).UTC(), Event: IntentLaunching, Provider: "model", Owner: "ann",
			Controller: "abc", Key: fmt.Sprint("k", k), Digest: "wxyz", Trial: k, Offer: &Offer{Provider: "model", ID: "ö<&>\n\"", Market: Spot}}
		require.NoError(t, log.Record(in))
	}
	all, err := log.Load()
	require.NoError(t, err)
	b, err := os.ReadFile(path)
	require.NoError(t, err)
	return b, all
}

// FuzzParseIntents damages a good log: cut at a place, a byte changed, another put in. What loads is a
// prefix of what was written, and everything else is refused by line.
func FuzzParseIntents(f *testing.F) {
	good, all := goodLog(f, 4)
	for at := 0; at <= len(good); at += 7 {
		f.Add(uint(at), byte(0), byte(0))
		f.Add(uint(at), byte(1), byte(1))
		f.Add(uint(at), byte(2), byte('\n'))
	}
	f.Add(uint(len(good)-1), byte(1), byte(1))
	f.Fuzz(func(t *testing.T, place uint, how, with byte) {
		at := int(place % uint(len(good)+1))
		var bad []byte
		switch how % 3 {
		case 0:
			bad = good[:at]
		case 1:
			bad = bytes.Clone(good)
			bad[min(at, len(good)-1)] ^= with
		case 2:
			bad = append(append(bytes.Clone(good[:at]), with), good[at:]...)
		}
		log, end, err := parseIntents(bytes.NewReader(bad))
		if err != nil {
			require.Regexp(t, `^(line \d+: |not an intent log|version \d+)`, err.Error())
			return
		}
		require.LessOrEqual(t, len(log.intents), len(all))
		require.Empty(t, cmp.Diff(all[:len(log.intents)], append([]Intent{}, log.intents...)), "what loads was written")
		require.LessOrEqual(t, end, int64(len(bad)))
		lost := len(all) - len(log.intents)
		whole := bytes.Count(good[:min(at, len(good))], []byte("\n")) - 1
		require.True(t, how%3 == 0 && len(log.intents) == whole || lost <= 1, "%d lines are missing without a word", lost)
	})
}

func FuzzMoney(f *testing.F) {
	f.Add(1.5, 2.5, int64(3), int64(time.Hour))
	f.Add(math.NaN(), math.Inf(1), int64(math.MinInt64), int64(math.MaxInt64))
	f.Fuzz(func(t *testing.T, x, y float64, nanos, d int64) {
		a, b := USD(x), USD(y)
		n, err := a.Cmp(b)
		if !a.Known() || !b.Known() {
			require.ErrorIs(t, err, ErrInvalid)
			return
		}
		back, err := b.Cmp(a)
		require.NoError(t, err)
		require.Equal(t, -n, back)
		require.True(t, math.Abs(x-y) < 1e-9 || n < 0 == (x < y), "%v %v %d", x, y, n)
		_, err = a.Cmp(MoneyOf(y, "EUR"))
		require.ErrorIs(t, err, ErrInvalid)
		cost := a.perHour(time.Duration(d))
		require.True(t, cost.Known())
		require.True(t, d <= 0 || cost.Nanos >= 0 || x < 0, "%s for %d is %s", a, d, cost)
		require.Regexp(t, `^-?\d+\.\d{2,9} USD$`, Money{nanos, "USD"}.String())
	})
}

// requirePrintable holds for every text that is shown to people.
func requirePrintable(t testing.TB, s string) {
	t.Helper()
	require.LessOrEqual(t, len(s), 3<<10)
	for _, r := range s {
		require.False(t, r < 0x20 || r == 0x7f || r >= 0x80 && r < 0xa0, "%q holds %U", s, r)
	}
}

// FuzzSuspect holds the short way of redact to the patterns: what it passes over, none of them would have changed.
func FuzzSuspect(f *testing.F) {
	for _, s := range []string{"bearer abcdef0123", "BaSiC dXNlcjpwYXNz", "baſic abcdef0123", "https://a@b", "token=x", "a%3a%2f%2fb%3fc", "[[redacted]]", "stopped by its owner"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if suspect(s) {
			return
		}
		for _, p := range secretPatterns {
			require.Equal(t, s, p.find.ReplaceAllString(s, p.put), p.find)
		}
	})
}
