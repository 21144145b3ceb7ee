package job

import (
	"encoding/hex"
	"regexp"
	"strconv"
	"strings"
)

// A container's first process prints lines between those of its job:
//
//	RUNCTL_WORD v=1 nonce=NONCE boot=ID ...
//
//	START run=RUN at=SECONDS job=ROLE selfend=asked|ok|no keeps=ok| text=WHY   first, each minute, and when it changes
//	HEX DIGITS                          bytes of the log that would not survive as a line
//	AT from=BYTES off=BYTES sum=HEX     what came since the last AT is the log from from to off, with this SHA-256
//	EXIT RECEIPT                        the receipt, see [Receipt.Marshal]; each half a minute
//	HOST type=TYPE key=BASE64 sum=HEX   the host key of its sshd; the sum is SHA-256 over the nonce, the two joined by a
//	                                    blank, and the nonce
//
// The nonce is of the launch, and tells them from what a job prints; the boot is random, and differs from one start of
// the container to the next. Between START and EXIT all other lines are the job's, each with its end of line.
const notePrefix = "RUNCTL_"

// Note is one such line.
type Note struct {
	Word    string   // START, HEX, AT, EXIT, HOST; empty: it is ours, and damaged
	Boot    string   // of the container that printed it
	Start   *Started // of START
	From    int64    // of AT
	Off     int64    // of AT
	Sum     string   // of AT, in hex
	Data    []byte   // of HEX
	Receipt *Receipt // of EXIT
	HostKey string   // of HOST: type and base64, as in an authorized_keys file
}

// Started is what a container says of itself when it starts.
type Started struct {
	Run     string
	At      int64 // seconds since 1970, by its clock
	Role    Role
	SelfEnd string // may it end itself? asked: it has just asked; ok; no
	Keeps   bool   // receipt and log go to storage that outlives it
	Text    string // why, for a person; may be empty
}

// Role is what a container has to do with its job.
type Role string

// The roles.
const (
	RoleRun     = Role("run")     // it runs the job
	RoleEnded   = Role("ended")   // it ran the job, which has left a receipt
	RoleLost    = Role("lost")    // it ran the job, which has left none
	RoleDone    = Role("done")    // a container before it did, and it has the receipt from the lasting storage
	RoleBegun   = Role("begun")   // a container before it began the job, and nobody knows how that ended
	RoleLate    = Role("late")    // it was started too late to run the job
	RoleRefused = Role("refused") // it could not start the job
	RoleShell   = Role("shell")   // it has no job of its own
)

var roles = map[Role]bool{RoleRun: true, RoleEnded: true, RoleLost: true, RoleDone: true, RoleBegun: true, RoleLate: true,
	RoleRefused: true, RoleShell: true}

// Ran reports whether the job was started in the container that has the role.
func (r Role) Ran() bool { return r == RoleRun || r == RoleEnded || r == RoleLost }

var (
	bootName = regexp.MustCompile(`^[0-9a-f]{1,32}$`)
	keyType  = regexp.MustCompile(`^[a-z0-9@.-]{1,64}$`)
	keyText  = regexp.MustCompile(`^[A-Za-z0-9+/]{16,1000}=*$`)
)

// maxNote bounds a line of ours; HEX has 4000 digits.
const maxNote = 16 << 10

// ReadNote reads a line, without its end, of a container that was launched with the nonce. It reports false for one that
// is not its first process's: the nonce decides, whatever the words.
func ReadNote(line, nonce string) (n Note, ours bool) {
	word, rest, _ := strings.Cut(strings.TrimRight(line, " \r\n"), " ")
	word, ok := strings.CutPrefix(word, notePrefix)
	rest, v := strings.CutPrefix(rest, "v=1 nonce="+nonce+" boot=")
	if !ok || !v || nonce == "" || len(line) > maxNote {
		return n, false
	}
	n.Boot, rest, _ = strings.Cut(rest, " ")
	read, known := notes[word]
	if !known || !bootName.MatchString(n.Boot) || !read(&n, rest, nonce) {
		return Note{}, true
	}
	n.Word = word
	return n, true
}

// notes read what stands after the boot.
var notes = map[string]func(n *Note, rest, nonce string) bool{
	"START": func(n *Note, rest, _ string) bool {
		rest, text, ok := strings.Cut(rest, " text=")
		if !ok {
			rest, ok = strings.CutSuffix(rest, " text=")
		}
		f := noteFields(rest)
		at, err := strconv.ParseInt(f["at"], 10, 64)
		n.Start = &Started{Run: f["run"], At: at, Role: Role(f["job"]), SelfEnd: f["selfend"], Keeps: f["keeps"] == "ok", Text: clip(text)}
		return ok && err == nil && at >= 0 && at < 1<<53 && roles[n.Start.Role] && validRun(n.Start.Run)
	},
	"HEX": func(n *Note, rest, _ string) (ok bool) {
		b, err := hex.DecodeString(rest)
		n.Data = b
		return err == nil
	},
	"AT": func(n *Note, rest, _ string) bool {
		f := noteFields(rest)
		from, err1 := strconv.ParseInt(f["from"], 10, 64)
		off, err2 := strconv.ParseInt(f["off"], 10, 64)
		n.From, n.Off, n.Sum = from, off, f["sum"]
		return err1 == nil && err2 == nil && 0 <= from && from <= off && off < 1<<53
	},
	"EXIT": func(n *Note, rest, _ string) bool {
		r, err := ParseReceipt([]byte(rest))
		n.Receipt = &r
		return err == nil
	},
	"HOST": func(n *Note, rest, nonce string) bool {
		f := noteFields(rest)
		n.HostKey = f["type"] + " " + f["key"]
		return keyType.MatchString(f["type"]) && keyText.MatchString(f["key"]) && f["sum"] == hostSum(nonce, n.HostKey)
	},
}

// noteFields are the fields KEY=VALUE, split by single blanks.
func noteFields(s string) map[string]string {
	f := map[string]string{}
	for field := range strings.SplitSeq(s, " ") {
		if key, value, ok := strings.Cut(field, "="); ok {
			f[key] = value
		}
	}
	return f
}
