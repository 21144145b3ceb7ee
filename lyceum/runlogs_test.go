package lyceum_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"runctl"
	face "runctl/internal/wire/lyceum"
	"runctl/lyceum"
)

// steps are n lines, each a second after the one before, and what they make together.
func steps(n int) (lines []face.Line, text string) {
	for i := range n {
		line := fmt.Sprintf("step %d of the training\n", i)
		lines = append(lines, face.Line{After: time.Duration(i) * time.Second, Text: line})
		text += line
	}
	return lines, text
}

// logOf is the log up to its end, and what of it was named as lost.
func logOf(t testing.TB, r *runctl.Run, q runctl.LogQuery) (string, []string) {
	t.Helper()
	var b bytes.Buffer
	var lost []string
	at := q.Offset
	for chunk, err := range r.Logs(t.Context(), q) {
		require.NoError(t, err)
		if chunk.Lost != 0 {
			lost = append(lost, fmt.Sprintf("%d before %d", chunk.Lost, chunk.Offset))
			at = chunk.Offset
		}
		require.Equal(t, at, chunk.Offset)
		b.Write(chunk.Data)
		at += int64(len(chunk.Data))
	}
	return b.String(), lost
}

// TestTheLogOfARunIsWholeAndOnceWhateverItsStreamDoes has streams that break, begin anew, begin late, have doubled lines, other shapes, or are
// not there at all.
func TestTheLogOfARunIsWholeAndOnceWhateverItsStreamDoes(t *testing.T) {
	t.Parallel()
	lines, want := steps(30)
	alike, wanted := steps(30)
	for n := range alike { // the places where a stream may begin look the same
		if n%7 != 3 {
			wanted = strings.Replace(wanted, alike[n].Text, "epoch done\n", 1)
			alike[n].Text = "epoch done\n"
		}
	}
	exit := 40 * time.Second
	streams := map[string]face.Stream{
		"all goes well": {}, "doubled ends of lines": {Doubled: true}, "no end": {NoEnd: true}, "breaks after seven events": {CutAfter: 7},
		"breaks after each event": {CutAfter: 1}, "has only what comes": {Live: true}, "and a little of what was": {Live: true, Tail: 5},
		"has only what comes, and breaks": {Live: true, CutAfter: 7}, "by POST alone": {Method: "POST"}, "by GET alone": {Method: "GET"},
		"is gone with the run": {Gone: true}, "is nowhere": {NoURL: true, Method: "PUT"}, "needs the key": {NeedKey: true},
		"has comments and events of no meaning": {Pings: true, CRLF: true}, "has codes as text": {AsText: true},
		"is elsewhere": {URL: func(id string) string { return "http://elsewhere.test/" + id }}, "is no web address": {URL: func(id string) string { return "file:///etc/passwd" }},
		"all shapes at once": {Shape: -1},
	}
	for n, shape := range face.Shapes {
		streams["in "+shape.Name+", and breaks"] = face.Stream{Shape: n, CutAfter: 11}
	}
	for name, s := range streams {
		for _, bare := range []bool{false, true} { // the record has the output, or the store of logs alone, which is late
			t.Run(fmt.Sprintf("%s, bare %v", name, bare), func(t *testing.T) {
				opt := face.Options{Script: does(face.Script{Lines: lines, Exit: exit}), Stream: s, Bare: bare, LogLag: 5 * time.Second}
				synctest.Test(t, func(t *testing.T) { checkLog(t, opt, want) })
				opt.Script = does(face.Script{Lines: alike, Exit: exit})
				switch {
				case s.Live: // nobody can tell where it begins, but in the end the record or the store does
					synctest.Test(t, func(t *testing.T) {
						log, lost := logOf(t, newTenant(t, opt, lyceum.Config{}).start("k1"), runctl.LogQuery{Follow: true})
						assert.True(t, log == wanted || len(lost) > 0, "what is wrong is named: %q", log)
					})
				case s.CutAfter > 0:
					synctest.Test(t, func(t *testing.T) { checkLog(t, opt, wanted) })
				}
			})
		}
	}
}

// checkLog reads the log of a run while it goes on, and again when it is over.
func checkLog(t *testing.T, opt face.Options, want string) {
	w := newTenant(t, opt, lyceum.Config{})
	r := w.start("k1")
	log, lost := logOf(t, r, runctl.LogQuery{Follow: true})
	assert.Empty(t, lost)
	assert.Equal(t, want, log)
	log, lost = logOf(t, r, runctl.LogQuery{})
	assert.Empty(t, lost, "and again, from the start")
	assert.Equal(t, want, log)
	at := len(want) / 2
	log, _ = logOf(t, r, runctl.LogQuery{Offset: int64(at)})
	assert.Equal(t, want[at:], log, "and from its middle")
	_, err := r.Wait(t.Context())
	require.NoError(t, err)
}

func TestAStreamThatIsCutInTheMiddleGoesOnWhereItWas(t *testing.T) {
	lines, want := steps(60)
	synctest.Test(t, func(t *testing.T) {
		w := newTenant(t, face.Options{Script: does(face.Script{Lines: lines, Exit: 70 * time.Second})}, lyceum.Config{})
		r := w.start("k1")
		for n := range 6 {
			time.AfterFunc(time.Duration(n*11)*time.Second+500*time.Millisecond, w.face.CutStreams)
		}
		log, lost := logOf(t, r, runctl.LogQuery{Follow: true})
		assert.Empty(t, lost)
		assert.Equal(t, want, log)
		assert.LessOrEqual(t, w.face.Served("stream")+w.face.Served("getRunLogs"), 40, "no storm of requests")
	})
}
