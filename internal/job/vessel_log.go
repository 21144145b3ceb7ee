package job

import (
	"crypto/sha256"
	"encoding/hex"
)

// Journal reads the lines of a container's log: it tells the lines of the first process from those of the job, and
// puts the job's log together again, with every byte at its place. Lines go in by [Journal.Line] in their order; the
// same ones twice do no harm. The zero value does not work: see [NewJournal]. It is not for concurrent use.
type Journal struct {
	nonce  string
	births []*Birth
	base   int64  // where the log of the present birth begins
	next   int64  // up to where all was given or named as lost
	some   []byte // came since the last AT
	flood  bool   // and more than a batch can be
}

// Birth is one start of a container.
type Birth struct {
	ID      string
	Start   Started // as it said last
	Ran     bool    // the job was started in it
	Receipt *Receipt
	HostKey string
}

// Piece is a part of a job's log.
type Piece struct {
	Offset int64 // of the first byte of Data
	Data   []byte
	Lost   int64 // bytes that are missing just before it; -1: an unknown number
}

// maxBatch bounds what stands between two AT lines: vessel/72-pump.sh has the same number.
const maxBatch = 256 << 10

// NewJournal makes one for a container that was launched with the nonce.
func NewJournal(nonce string) *Journal { return &Journal{nonce: nonce} }

// Births are the starts of the container that were seen, in their order.
func (j *Journal) Births() []*Birth { return j.births }

// Next is the offset up to which the log was given, or named as lost.
func (j *Journal) Next() int64 { return j.next }

// Whole reports whether the job has ended and its log was given to its end.
func (j *Journal) Whole() bool {
	if len(j.births) == 0 {
		return false
	}
	b := j.births[len(j.births)-1]
	return b.Receipt != nil && (!b.Ran || j.next-j.base >= b.Receipt.LogBytes)
}

// Line takes a line, without its end, and returns the parts of the log that are complete with it.
func (j *Journal) Line(line string) []Piece {
	n, ours := ReadNote(line, j.nonce)
	switch {
	case !ours:
		j.add([]byte(line), []byte("\n"))
		return nil
	case n.Word == "":
		return nil
	}
	gap := j.aboard(n.Boot)
	if n.Boot != j.births[len(j.births)-1].ID {
		return nil // of a container before, sent once more
	}
	b := j.births[len(j.births)-1]
	switch n.Word {
	case "START":
		if b.Start, b.Ran = *n.Start, b.Ran || n.Start.Role.Ran(); j.next == j.base {
			j.some, j.flood = nil, false // what stood before was nobody's
		}
	case "HEX":
		b.Ran = true
		j.add(n.Data)
	case "HOST":
		b.HostKey = n.HostKey
	case "AT":
		b.Ran = true
		return append(gap, j.batch(n)...)
	case "EXIT":
		b.Receipt = n.Receipt
		if end := j.base + n.Receipt.LogBytes; b.Ran && end > j.next {
			lost := end - j.next
			j.next = end
			return append(gap, Piece{Offset: end, Lost: lost})
		}
	}
	return gap
}

// aboard makes the boot of a line the present one, if it is new. The log goes on behind that of the boot before, whose
// end nobody knows.
func (j *Journal) aboard(boot string) []Piece {
	for _, b := range j.births {
		if b.ID == boot {
			return nil
		}
	}
	cut := len(j.births) > 0 && !j.Whole()
	j.births = append(j.births, &Birth{ID: boot})
	j.base, j.some, j.flood = j.next, nil, false
	if cut {
		return []Piece{{Offset: j.next, Lost: -1}}
	}
	return nil
}

func (j *Journal) add(parts ...[]byte) {
	for _, p := range parts {
		if len(j.some)+len(p) > maxBatch {
			j.flood, j.some = true, nil
		}
		if !j.flood {
			j.some = append(j.some, p...)
		}
	}
}

// batch closes what came since the last AT. Where that is not what was sent, it is lost.
func (j *Journal) batch(n Note) []Piece {
	data, whole := j.some, !j.flood && int64(len(j.some)) == n.Off-n.From && checksum(j.some) == n.Sum
	j.some, j.flood = nil, false
	from, off := j.base+n.From, j.base+n.Off
	if off <= j.next {
		return nil // sent once more
	}
	before := j.next
	j.next = off
	switch {
	case !whole:
		return []Piece{{Offset: off, Lost: off - before}}
	case from < before:
		return []Piece{{Offset: before, Data: data[before-from:]}}
	}
	return []Piece{{Offset: from, Data: data, Lost: from - before}}
}

// checksum is what the tool sha256sum prints.
func checksum(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// hostSum seals the line of a host key.
func hostSum(nonce, key string) string { return checksum([]byte(nonce + key + nonce)) }
