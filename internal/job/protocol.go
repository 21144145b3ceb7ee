package job

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
)

// Protocol 1. A verb is one Exec:
//
//	sh -c STUB runctl-job-1 VERB ARGS...
//
// STUB runs the installed supervisor with VERB and ARGS; the emulator looks at argv[3] and after, never at
// STUB. Below the root, ${RUNCTL_ROOT:-$HOME/.runctl}, lies everything: v1/ (scripts by digest), own/RUN
// (durable facts as symlinks), run/RUN/{ctl,out,job/{work,outputs,checkpoints}}, rescue/RUN, lock.N, free.N.
//
//	verb     args                    stdin      reply
//	install  DIGEST BYTES            script     installed
//	start    RUN DIGEST BYTES        spec       started already=0|1
//	status   RUN                                status [receipt]
//	wait     RUN SECONDS                        status [receipt], when the run has ended or the time is over
//	list                                        (status [receipt])..., runs that never started left out
//	log      RUN OFFSET follow|once             (data, bytes)... log
//	cancel   RUN GRACE|spec                     cancelled; GRACE in milliseconds, spec: the spec's own
//	renew    RUN SEEN LENGTH                    renewed until=CENTISECONDS; SEEN in centiseconds of uptime, LENGTH in milliseconds
//	guard    LIFETIME KEEP GRACE USER|-         armed; times in milliseconds
//	hello                                       hello
//	codeask  DIGEST                  a newline  ping, before stdin is read; code, and without the tree (tree)... (part)...
//	codetree DIGEST                             raw, then a manifest to the end of stdout
//	codepart ID                                 raw, then lines KIND SHA256 "  ./" PATH to the end of stdout
//	codeput  DIGEST ID FORMAT SRC... a tar      code have=1; see PutCode
//	tree     RUN PLACE PATH          line       ready, pong once the line came, tree, ROWS, odd, ODD ROWS
//	sums     RUN PLACE               NAMES      sums, SUM ROWS
//	get      RUN PLACE CODEC         NAMES      raw, then tar archives to the end of stdout
//	tail     RUN PLACE CODEC OFFSET NAME        raw, then the file from OFFSET to the end of stdout
//	put      RUN TOKEN CODEC         tar        put text=...
//	patch    RUN TOKEN CODEC OFFSET MODE NAME   bytes      put text=...
//	move     RUN TOKEN               NAMES      moved, but for these
//
// PLACE is work, outputs or put.TOKEN, of tree also any; CODEC is plain or gzip; NAMES are "./" and a path below the
// place, each ended by a NUL. A ROW is "MODE SIZE NAME", an ODD ROW a name, a SUM ROW what sha256sum prints; none of
// them begins with the sentinel.
//
// Every reply line starts with "RUNCTL1 ", a kind and key=value fields split by single spaces; text= is
// always last and takes the rest of the line. Lines without the sentinel are start-up noise and mean
// nothing. A reply is complete only with its line "RUNCTL1 end"; without it nothing is known. The exit code
// is 0 whenever a whole reply was given, also a refusal.
//
// Instead of its reply any verb may give: refused code=N text=..., used run=RUN (start), norun run=RUN (log,
// cancel, renew, and those of files), gap from=SIZE to=OFFSET (log), unsure text=... (start, cancel, renew, guard: it
// may take effect yet), or
// absent without an end (STUB: the script is not installed; exit code 213).
//
//	status run=RUN phase=PHASE up=CENTISECONDS log=BYTES lease=MILLISECONDS text=EVIDENCE
//	hello up=CENTISECONDS boot=ID guard=0|1 left=CENTISECONDS ending=CAUSE notice=WORD steps=NAME,NAME...
//	receipt v=1 run=... (see Receipt.Marshal), directly after its status, exactly when phase=done
//	code have=0|1 formats=NAME,NAME...; tree digest=DIGEST; part id=ID
//	data from=OFFSET n=BYTES; then BYTES raw bytes, then "\nRUNCTL1 .\n"
//	tick (log, so that a cut line is noticed)
//	pong gzip=0|1; tree place=PLACE
//	log next=OFFSET live=0|1; live=0: the run had ended before the last look at the log's length
const (
	sentinel    = "RUNCTL1 "
	protocolTag = "runctl-job-1" // argv[3]
	frameEnd    = "\n" + sentinel + ".\n"
	absentCode  = 213 // of STUB, when the script is not installed

	maxLine  = 16 << 10 // a longer reply line is damage
	maxReply = 4 << 20  // of a whole reply, noise included
	maxFrame = 4 << 20  // bytes of log in one data frame
)

// The kinds of reply lines.
const (
	kindInstalled = "installed"
	kindStarted   = "started"
	kindStatus    = "status"
	kindReceipt   = "receipt"
	kindData      = "data"
	kindTick      = "tick"
	kindLog       = "log"
	kindCancelled = "cancelled"
	kindRenewed   = "renewed"
	kindArmed     = "armed"
	kindHello     = "hello"
	kindRaw       = "raw"
	kindPing      = "ping"
	kindCode      = "code"
	kindTree      = "tree"
	kindPart      = "part"
	kindReady     = "ready"
	kindPong      = "pong"
	kindOdd       = "odd"
	kindSums      = "sums"
	kindPut       = "put"
	kindMoved     = "moved"
	kindRefused   = "refused"
	kindUsed      = "used"
	kindNoRun     = "norun"
	kindGap       = "gap"
	kindUnsure    = "unsure"
	kindAbsent    = "absent"
	kindEnd       = "end"
)

// reply is one line of a reply. Rest is what follows the kind, for receipts, which have their own parser.
type reply struct {
	Kind   string
	Fields map[string]string
	Rest   string
}

var errDamaged = errors.New("job: the machine's reply is cut or damaged")

// formatLine makes a reply line from a kind and fields given as "key=value"; a text= must be the last.
func formatLine(kind string, fields ...string) string {
	return sentinel + strings.Join(append([]string{kind}, fields...), " ") + "\n"
}

// parseLine reads one line without its newline; ok is false for noise.
func parseLine(line string) (l reply, ok bool) {
	rest, ok := strings.CutPrefix(strings.TrimSuffix(line, "\r"), sentinel)
	if !ok || len(line) > maxLine {
		return l, false
	}
	l.Kind, l.Rest, _ = strings.Cut(rest, " ")
	l.Fields = map[string]string{}
	for left := l.Rest; left != ""; {
		if text, found := strings.CutPrefix(left, "text="); found {
			l.Fields["text"] = text
			break
		}
		var field string
		field, left, _ = strings.Cut(left, " ")
		if key, value, found := strings.Cut(field, "="); found {
			l.Fields[key] = value
		}
	}
	return l, true
}

// parseReply reads a whole reply, without its noise and its end line. A reply without an end is errDamaged.
func parseReply(b []byte) ([]reply, error) {
	if len(b) > maxReply {
		return nil, fmt.Errorf("%w: %d bytes", errDamaged, len(b))
	}
	var lines []reply
	for len(b) > 0 {
		line, rest, whole := bytes.Cut(b, []byte("\n"))
		b = rest
		if l, ok := parseLine(string(line)); ok && whole {
			if l.Kind == kindEnd {
				return lines, nil
			}
			if l.Kind != kindAbsent { // the call was repeated after an install
				lines = append(lines, l)
			}
		}
	}
	return nil, errDamaged
}

// err is the refusal that a line carries; nil for any other line.
func (l reply) err() error {
	switch l.Kind {
	case kindRefused:
		code, _ := l.number("code")
		return &Refused{Code: int(code), Reason: clip(l.Fields["text"])}
	case kindUsed:
		return &Used{Run: l.Fields["run"]}
	case kindNoRun:
		return ErrNoRun
	case kindUnsure:
		return fmt.Errorf("job: not known whether it took effect: %s", clip(l.Fields["text"]))
	case kindGap:
		from, ok1 := l.number("from")
		to, ok2 := l.number("to")
		if !ok1 || !ok2 || from >= to {
			return errDamaged
		}
		return &Gap{From: from, To: to}
	}
	return nil
}

// formatErr makes the reply line for an error that err can have made.
func formatErr(err error) string {
	var refused *Refused
	var used *Used
	var gap *Gap
	switch {
	case errors.As(err, &refused):
		return formatLine(kindRefused, fmt.Sprint("code=", refused.Code), "text="+refused.Reason)
	case errors.As(err, &used):
		return formatLine(kindUsed, "run="+used.Run)
	case errors.As(err, &gap):
		return formatLine(kindGap, fmt.Sprint("from=", gap.From), fmt.Sprint("to=", gap.To))
	}
	return formatLine(kindNoRun)
}
