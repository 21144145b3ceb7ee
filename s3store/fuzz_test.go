package s3store

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestSumsAreThoseOfThePublishedVectors(t *testing.T) {
	check := []byte("123456789") // the check value of the CRC catalogue
	for name, want := range map[string]string{"CRC64NVME": "rosUhgp5mIg=", "CRC32C": "4waSgw==", "CRC32": "y/Q5Jg=="} {
		got, err := Sum{Algorithm: name}.measure(bytes.NewReader(check), 9, 0)
		require.NoError(t, err)
		assert.Equal(t, want, got.Value, name)
	}
}

func TestPartsAreAsManyAsS3Takes(t *testing.T) {
	for _, size := range []int64{1, defaultPart, 10_000 * defaultPart, 10_000*defaultPart + 1, 5 << 40} {
		p := partOf(defaultPart, size)
		assert.LessOrEqual(t, (size+p-1)/p, int64(maxParts))
		assert.Less(t, size/p, int64(maxParts), "the transfer manager would choose another size")
		assert.GreaterOrEqual(t, p, int64(defaultPart))
	}
}

func FuzzASumIsReadAsItIsWritten(f *testing.F) {
	for _, s := range []string{"rosUhgp5mIg=", "4waSgw==-3", "-", "4waSgw==-0", "4waSgw==-99999999999", "4waSgw==--1", ""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, value string) {
		for _, a := range algorithms {
			if s := parseSum(a.name, value); s != (Sum{}) {
				require.Equal(t, s, parseSum(a.name, strings.TrimPrefix(s.String(), a.name+":")))
				require.True(t, s.Parts >= 0 && s.Parts <= maxParts)
			}
		}
	})
}

func FuzzNamesStayBelowTheirDirectoryAndApart(f *testing.F) {
	for _, s := range []string{"a\x01A\x01a/b", "../x\x01a/../../b", "a/b\x01a", "/\x01//\x01.", "ü\x01Ü\x01ſ/s\x01S"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, all string) {
		n := newNames()
		kept := map[string]bool{}
		for _, rel := range strings.Split(all, "\x01") {
			p, ok := n.path(rel)
			if !ok {
				continue
			}
			require.True(t, filepath.IsLocal(filepath.FromSlash(p)))
			folded := strings.ToLower(p)
			require.False(t, kept[folded])
			for other := range kept {
				require.False(t, strings.HasPrefix(folded, other+"/") || strings.HasPrefix(other, folded+"/"), "%q and %q", other, folded)
			}
			kept[folded] = true
		}
	})
}

func FuzzARecordIsOnlyTakenForTheSameObject(f *testing.F) {
	f.Add(`{"Version":1,"ETag":"v","Size":10,"Block":4,"Done":"+-+"}`)
	f.Add(`{"Version":2}`)
	f.Add(`{"Version":1,"ETag":"v","Size":10,"Block":4,"Done":"+-+++++"}`)
	f.Fuzz(func(t *testing.T, text string) {
		root := tempRoot(t)
		o := Object{Key: "k", Size: 10, ETag: "v"}
		first, err := openPart(root, "f", "origin", o, 4)
		require.NoError(t, err)
		first.close()
		require.NoError(t, root.WriteFile(first.name+".have", []byte(text), 0o644))
		p, err := openPart(root, "f", "origin", o, 4)
		require.NoError(t, err)
		defer p.close()
		require.LessOrEqual(t, len(p.missing()), 3)
		for _, b := range p.missing() {
			at, size := p.span(b)
			require.True(t, at >= 0 && size > 0 && at+size <= 10)
			require.NoError(t, p.done(b))
		}
		require.Empty(t, p.missing())
	})
}
