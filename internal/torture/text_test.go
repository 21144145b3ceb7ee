package torture

import (
	"io"
	"math/rand/v2"
	"strconv"
)

// tricky lines look like the protocol's own.
var tricky = []string{"RUNCTL1 end", "RUNCTL1 .", "RUNCTL1 log next=0 live=0", "RUNCTL1 data from=0 n=5", "RUNCTL1 gap from=0 to=9", "RUNCTL1 norun", "", "\r"}

const (
	maxLine  = 128 << 10
	maxPiece = 512 << 10
)

// produce writes the log that a seed stands for: size bytes in numbered lines of 0 to 128 KiB of any bytes, in pieces of
// random length that end anywhere in a line.
func produce(w io.Writer, seed uint64, size int64) error {
	r := rand.New(rand.NewPCG(seed, 1))
	pool := make([]byte, 2*maxLine)
	for i := range pool {
		if pool[i] = byte(r.Uint32()); pool[i] == '\n' {
			pool[i] = 0
		}
	}
	var buf []byte
	for line := 0; size > 0; {
		piece := 1 + int64(r.IntN(1<<(1+r.IntN(19))))
		for int64(len(buf)) < piece {
			buf = strconv.AppendInt(buf, int64(line), 10)
			buf = append(buf, ' ')
			if at := r.IntN(maxLine); line%16 == 15 {
				buf = append(append(buf[:len(buf)-1], '\n'), tricky[at%len(tricky)]...)
			} else {
				buf = append(buf, pool[at:at+r.IntN(1<<r.IntN(18))]...)
			}
			buf = append(buf, '\n')
			line++
		}
		piece = min(piece, size)
		if _, err := w.Write(buf[:piece]); err != nil {
			return err
		}
		size -= piece
		buf = append(buf[:0], buf[piece:]...)
	}
	return nil
}
