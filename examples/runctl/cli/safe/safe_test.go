package safe

import (
	"bytes"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// attacks are what a job or a cloud may send, and what the terminal gets.
var attacks = map[string]struct{ in, out string }{
	"plain text":             {"step 20  loss 1.83\n", "step 20  loss 1.83\n"},
	"other scripts":          {"größe 損失 שלום 👩‍🔬\n", "größe 損失 שלום 👩‍🔬\n"},
	"progress bar":           {"\r 40%|####\t\b", "\r 40%|####\t\b"},
	"colour":                 {"\x1b[1;38;5;208mhot\x1b[0m", "\x1b[1;38;5;208mhot\x1b[0m"},
	"colour with colons":     {"\x1b[38:2::1:2:3mx\x1b[m", "\x1b[38:2::1:2:3mx\x1b[m"},
	"colour left on":         {"\x1b[31mred", "\x1b[31mred\x1b[0m"},
	"OSC 52 clipboard":       {"\x1b]52;c;cm0gLXJmIC8=\a", `\x1b]52;c;cm0gLXJmIC8=\a`},
	"OSC 8 link":             {"\x1b]8;;https://evil\x1b\\x", `\x1b]8;;https://evil\x1b\x`},
	"OSC 0 title":            {"\x1b]0;title\a", `\x1b]0;title\a`},
	"DCS":                    {"\x1bP+q544e\x1b\\", `\x1bP+q544e\x1b\`},
	"APC":                    {"\x1b_Gi=1;AAAA\x1b\\", `\x1b_Gi=1;AAAA\x1b\`},
	"PM and SOS":             {"\x1b^x\x1bXy", `\x1b^x\x1bXy`},
	"cursor up, clear":       {"\x1b[2A\x1b[2J\x1b[H", `\x1b[2A\x1b[2J\x1b[H`},
	"report asked":           {"\x1b[6n\x1b[c", `\x1b[6n\x1b[c`},
	"private m":              {"\x1b[>4;2m\x1b[?1m", `\x1b[>4;2m\x1b[?1m`},
	"intermediate m":         {"\x1b[1 m", `\x1b[1 m`},
	"reset":                  {"\x1bc", `\x1bc`},
	"C1 as UTF-8":            {"\u009b2J\u009d52;c;x\u009c", `\u009b2J\u009d52;c;x\u009c`},
	"C1 as a byte":           {"\x9b2J\x9d52;c;x\x9c", `\x9b2J\x9d52;c;x\x9c`},
	"bidi override":          {"user\u202etxt.exe\u2066\u2069\u200f", `user\u202etxt.exe\u2066\u2069\u200f`},
	"tag characters":         {"a\U000e0041", `a\U000e0041`},
	"line separators":        {"a\u2028b\u2029", `a\u2028b\u2029`},
	"NUL, BEL, DEL, FF, VT":  {"\x00\a\x7f\f\v", `\x00\a\x7f\f\v`},
	"truncated at the end":   {"x\x1b[31", `x\x1b[31`},
	"half a character":       {"x\xe2\x82", `x\xe2\x82`},
	"endless parameters":     {"\x1b[" + strings.Repeat("1;", 60) + "m", `\x1b[` + strings.Repeat("1;", 60) + "m"},
	"escape before a colour": {"\x1b\x1b[31mx", `\x1b` + "\x1b[31mx\x1b[0m"},
}

func TestWriterShowsWhatATerminalWouldObey(t *testing.T) {
	for name, tc := range attacks {
		t.Run(name, func(t *testing.T) {
			assert.Equal(t, tc.out, written(t, []byte(tc.in), len(tc.in)))
		})
	}
}

func TestWriterDoesNotDependOnWhereTheStreamIsCut(t *testing.T) {
	for name, tc := range attacks {
		for size := 1; size < len(tc.in); size++ {
			require.Equalf(t, tc.out, written(t, []byte(tc.in), size), "%s in pieces of %d", name, size)
		}
	}
}

func TestWriterHoldsBackLittle(t *testing.T) {
	var out bytes.Buffer
	w := NewWriter(&out)
	for range 1000 {
		_, err := w.Write([]byte("\x1b[1;1;1;1;1;1;1;1"))
		require.NoError(t, err)
		require.LessOrEqual(t, len(w.held), maxSGR)
	}
	require.NoError(t, w.Close())
	assert.Equal(t, 1000, strings.Count(out.String(), `\x1b`))
}

func TestLineAndText(t *testing.T) {
	assert.Equal(t, `a\nb\x1b[31mc\td`, Line("a\nb\x1b[31mc\td"))
	assert.Equal(t, "a\nb\\x1b[31mc\td\\r", Text("a\nb\x1b[31mc\td\r"))
	assert.Equal(t, "�ok", Line("�ok"), "a real replacement character is text")
}

// written is what a terminal gets when data comes in pieces of the given size.
func written(t testing.TB, data []byte, size int) string {
	t.Helper()
	var out bytes.Buffer
	w := NewWriter(&out)
	for len(data) > 0 {
		n := min(size, len(data))
		wrote, err := w.Write(data[:n])
		require.NoError(t, err)
		require.Equal(t, n, wrote)
		data = data[n:]
	}
	require.NoError(t, w.Close())
	return out.String()
}

func FuzzWriter(f *testing.F) {
	for _, tc := range attacks {
		f.Add([]byte(tc.in), 3)
	}
	f.Fuzz(func(t *testing.T, data []byte, size int) {
		size = min(max(size, 1), 1<<10)
		whole := written(t, data, max(len(data), 1))
		require.Equal(t, whole, written(t, data, size))
		require.True(t, utf8.ValidString(whole))
		for rest := []byte(whole); len(rest) > 0; {
			if rest[0] == 0x1b {
				n, _ := style(rest)
				require.Positive(t, n, "an escape that is no style: %q", rest[:min(len(rest), 8)])
				rest = rest[n:]
				continue
			}
			r, n := utf8.DecodeRune(rest)
			require.False(t, hidden(r) && !strings.ContainsRune("\n\r\b\t", r), "%q passed", r)
			rest = rest[n:]
		}
		for _, s := range []string{Line(string(data)), Text(string(data))} {
			require.NotContains(t, s, "\x1b")
			require.NotContains(t, s, "\r")
		}
	})
}
