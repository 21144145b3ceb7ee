package job

import (
	"math/bits"
	"strings"
	"time"
)

// emuLog is a scripted log and how far its clock has come. It holds no lines, only the script's own text
// and the place that the last look reached, which never goes back.
type emuLog struct {
	text string
	over time.Duration // the lines are spread over it
	n    int           // lines; a last one without its newline counts
	line int           // lines produced at the last look
	off  int           // their bytes
}

func newEmuLog(text string, over time.Duration) emuLog {
	n := strings.Count(text, "\n")
	if text != "" && text[len(text)-1] != '\n' {
		n++
	}
	return emuLog{text: text, over: over, n: n}
}

// produced returns the log as it is when the job is so old. Ages only grow; an earlier one is taken for
// the latest.
func (l *emuLog) produced(age time.Duration) string {
	k := l.n
	if age < l.over {
		k = int(mulDiv(uint64(max(age, 0)), uint64(l.n), uint64(l.over), false))
	}
	if k == l.n {
		l.line, l.off = l.n, len(l.text)
	}
	for ; l.line < k; l.line++ {
		l.off += strings.IndexByte(l.text[l.off:], '\n') + 1
	}
	return l.text[:l.off]
}

// next returns the age at which the next line appears; false when all have.
func (l *emuLog) next(age time.Duration) (time.Duration, bool) {
	l.produced(age)
	if l.line >= l.n {
		return 0, false
	}
	return time.Duration(mulDiv(uint64(l.line+1), uint64(l.over), uint64(l.n), true)), true
}

// mulDiv returns a·b/c without overflow, rounded down or up. a·b/c must fit, and c must not be 0.
func mulDiv(a, b, c uint64, up bool) uint64 {
	hi, lo := bits.Mul64(a, b)
	q, r := bits.Div64(hi, lo, c)
	if up && r > 0 {
		q++
	}
	return q
}
