package torture

import (
	"fmt"
	"math/rand/v2"
	"os"
	"time"
)

const exitCode = 23

// write is the job: it notes that it has started, writes the log to its output, slowly enough that a good part is read
// while it is written, and ends with a code that nothing else here has.
func write(p plan) int {
	if err := note(p.Starts, "started"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	w := &paced{rng: rand.New(rand.NewPCG(p.Seed, 2)), every: p.Size / 400, pause: p.Pace / 400}
	if err := produce(w, p.Seed, p.Size); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return exitCode
}

// paced writes to standard output, and pauses for a random while about every so many bytes.
type paced struct {
	rng   *rand.Rand
	every int64
	pause time.Duration // on average
	left  int64
}

func (w *paced) Write(b []byte) (int, error) {
	if w.left -= int64(len(b)); w.left < 0 {
		w.left = w.rng.Int64N(2 * w.every)
		<-time.After(time.Duration(w.rng.Int64N(2 * int64(w.pause))))
	}
	return os.Stdout.Write(b)
}

// note adds a line to a file, whole.
func note(file, line string) error {
	f, err := os.OpenFile(file, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteString(line + "\n")
	if shut := f.Close(); err == nil {
		err = shut
	}
	return err
}
