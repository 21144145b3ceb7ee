package lyceum

import (
	"bytes"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"runctl"
)

// taken is a reader and what it gave.
type taken struct {
	*reader
	got  bytes.Buffer
	lost []int64
}

func takes(r *process, from int64) *taken {
	k := &taken{reader: &reader{r: r, next: from}}
	k.give = func(c runctl.LogChunk) bool {
		if c.Lost != 0 {
			k.lost = append(k.lost, c.Offset)
		}
		k.got.Write(c.Data)
		return true
	}
	return k
}

func read(k *taken, last bool, text string) (more, wrong bool) {
	p := k.pass()
	p.last = last
	more = p.add(text) && p.end()
	return more, p.wrong
}

func TestEveryPlaceGivesTheSameBytes(t *testing.T) {
	const want = "one\n  two\nthree\n"
	for _, text := range []string{"one\n  two\nthree\n", "one\n\n  two\n\nthree\n\n", "one\r\n  two\r\nthree", "\n\none\n  two\nthree"} {
		k := takes(&process{}, 0)
		more, wrong := read(k, false, text)
		assert.Equal(t, []any{want, true, false}, []any{k.got.String(), more, wrong}, "%q", text)
		for from := range int64(len(want)) {
			k := takes(&process{}, from)
			read(k, false, text)
			assert.Equal(t, want[from:], k.got.String(), "%q from %d", text, from)
		}
	}
}

// FuzzALogIsTheSameHoweverItIsCut cuts a text into pieces, and reads it again from the middle.
func FuzzALogIsTheSameHoweverItIsCut(f *testing.F) {
	f.Add("one\n\ntwo\r\nthree", uint8(3), uint8(2))
	f.Add("\n\r\n\r", uint8(1), uint8(0))
	f.Add("\ra\r\r\nb", uint8(2), uint8(9))
	f.Fuzz(func(t *testing.T, text string, step, from uint8) {
		r := &process{}
		k := takes(r, 0)
		p := k.pass()
		for rest := text; rest != ""; {
			n := min(int(step)+1, len(rest))
			require.True(t, p.add(rest[:n]))
			rest = rest[n:]
		}
		require.True(t, p.end())
		whole := k.got.String()
		require.Equal(t, k.next, int64(len(whole)))
		require.NotContains(t, "\n"+whole, "\n\n")
		k = takes(r, int64(from))
		_, wrong := read(k, false, text)
		require.False(t, wrong)
		require.Equal(t, whole[min(int(from), len(whole)):], k.got.String())
		k = takes(r, int64(len(whole))) // the mark fits
		_, wrong = read(k, false, text+"\nmore")
		require.False(t, wrong)
		require.Equal(t, "more\n", k.got.String())
	})
}

func TestAPlaceThatDoesNotBeginWithWhatWasGivenIsNotBelieved(t *testing.T) {
	r := &process{}
	k := takes(r, 0)
	read(k, false, "one\ntwo\n")
	for _, other := range []string{"two\nthree\nfour\n", "eno\ntwo\nthree\n", "one\ntwo, and more\nthree\n"} {
		on := takes(r, k.next)
		_, wrong := read(on, false, other)
		assert.Equal(t, []any{true, ""}, []any{wrong, on.got.String()}, other)
	}
	on := takes(r, k.next)
	_, wrong := read(on, false, "one\ntwo\nthree\n")
	assert.Equal(t, []any{false, "three\n"}, []any{wrong, on.got.String()})

	r = &process{}
	read(takes(r, 0), false, "one\ntwo\n")
	on = takes(r, 8)
	more, wrong := read(on, true, "eins\nzwei\ndrei\nvier\n")
	assert.True(t, more && wrong)
	assert.Equal(t, []any{"i\ndrei\nvier\n", []int64{8}}, []any{on.got.String(), on.lost}, "there is no other place: what does not fit is a gap with a name")

	p := takes(&process{}, 0).pass()
	p.begins = []byte("one\n")
	assert.False(t, p.add("two\n"))
	assert.True(t, p.wrong, "a stream that begins late")
}

func TestALineIsBounded(t *testing.T) {
	k := takes(&process{}, 0)
	p := k.pass()
	for range 5 {
		require.True(t, p.add(strings.Repeat("x", maxLine/2)))
		assert.LessOrEqual(t, len(p.part), maxLine)
	}
	require.True(t, p.end())
	assert.Equal(t, 5*maxLine/2, strings.Count(k.got.String(), "x"), "and nothing is left out")
}
