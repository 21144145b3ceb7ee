package job

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func note(words string) string {
	word, rest, _ := strings.Cut(words, " ")
	return "RUNCTL_" + word + " v=1 nonce=" + testNonce + " boot=ab " + rest
}

func TestTheNonceDecidesWhoseALineIs(t *testing.T) {
	start := note("START run=r at=1 job=run selfend=ok keeps= text=why not")
	n, ours := ReadNote(start, testNonce)
	require.True(t, ours)
	assert.Equal(t, &Started{Run: "r", At: 1, Role: RoleRun, SelfEnd: "ok", Text: "why not"}, n.Start)
	for _, line := range []string{"", "hello", strings.Replace(start, testNonce, "0", 1), " " + start} {
		_, ours := ReadNote(line, testNonce)
		assert.False(t, ours, line)
	}
	_, ours = ReadNote(start, "")
	assert.False(t, ours, "no nonce, no line of ours")
	for _, damaged := range []string{note("START run=r"), note("AT from=5 off=4 sum=x"), note("HEX 0"), note("EXIT v=1"),
		note("HOST type=ssh-ed25519 key=AAAAAAAAAAAAAAAAAAAA sum=0"), note("OTHER")} {
		n, ours := ReadNote(damaged, testNonce)
		assert.True(t, ours && n.Word == "", damaged)
	}
}

func FuzzJournal(f *testing.F) {
	f.Add(note("START run=r at=1 job=run selfend=ok keeps= text=") + "\nhello\n" + note("AT from=0 off=6 sum="+checksum([]byte("hello\n"))))
	f.Add(note("HEX 6869") + "\n" + note("AT from=4 off=6 sum="+checksum([]byte("hi"))) + "\n" + note("EXIT v=1"))
	f.Add("noise\n" + note("AT from=0 off=9007199254740991 sum=0"))
	f.Fuzz(func(t *testing.T, text string) {
		j := NewJournal(testNonce)
		at := int64(0)
		for line := range strings.SplitSeq(text, "\n") {
			for _, p := range j.Line(line) {
				require.GreaterOrEqual(t, p.Lost, int64(-1))
				require.Equal(t, at+max(p.Lost, 0), p.Offset, "every byte is given, or named as lost")
				at = p.Offset + int64(len(p.Data))
			}
			require.Equal(t, at, j.Next())
			require.LessOrEqual(t, len(j.some), maxBatch)
		}
	})
}
