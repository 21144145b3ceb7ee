package job

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

var phases = map[Phase]bool{PhaseRunning: true, PhaseDone: true, PhaseLost: true, PhaseOrphaned: true,
	PhaseNone: true, PhaseUnknown: true}

// number reads a field as a decimal integer, -1 included.
func (l reply) number(key string) (int64, bool) {
	n, err := strconv.ParseInt(l.Fields[key], 10, 64)
	return n, err == nil && n >= -1
}

// formatStatus makes the lines of one status, the receipt's included.
func formatStatus(s Status) string {
	out := formatLine(kindStatus, "run="+s.Run, "phase="+string(s.Phase),
		fmt.Sprint("up=", s.Up.Milliseconds()/10), fmt.Sprint("log=", s.LogBytes),
		fmt.Sprint("lease=", ceilMilli(s.Lease)), "text="+clip(s.Evidence))
	if s.Receipt != nil {
		out += sentinel + kindReceipt + " " + string(s.Receipt.Marshal())
	}
	return out
}

// parseStatuses reads the statuses of a reply. Anything but whole statuses is errDamaged: half a verdict
// is none.
func parseStatuses(lines []reply) ([]Status, error) {
	var all []Status
	for _, l := range lines {
		switch l.Kind {
		case kindStatus:
			up, ok1 := l.number("up")
			size, ok2 := l.number("log")
			lease, ok3 := l.number("lease")
			s := Status{Run: l.Fields["run"], Phase: Phase(l.Fields["phase"]), Evidence: clip(l.Fields["text"]),
				Up: time.Duration(up) * centi, LogBytes: size, Lease: time.Duration(lease) * time.Millisecond}
			if !ok1 || !ok2 || !ok3 || !validRun(s.Run) || !phases[s.Phase] || up < 0 || up > maxCentis || lease < 0 || lease > maxDuration.Milliseconds() {
				return nil, errDamaged
			}
			all = append(all, s)
		case kindReceipt:
			if len(all) == 0 || all[len(all)-1].Phase != PhaseDone || all[len(all)-1].Receipt != nil {
				return nil, errDamaged
			}
			last := &all[len(all)-1]
			if r, err := ParseReceipt([]byte(l.Rest)); err == nil && r.Run == last.Run {
				last.Receipt = &r
			} else { // the reply is whole, so the job wrote this, or a later supervisor
				last.Phase, last.Evidence = PhaseUnknown, "there is a receipt, but not a valid one"
			}
		default:
			if err := l.err(); err != nil {
				return nil, err
			}
			return nil, errDamaged
		}
	}
	for _, s := range all {
		if (s.Phase == PhaseDone) != (s.Receipt != nil) {
			return nil, errDamaged
		}
	}
	return all, nil
}

// clip makes text from a machine fit for one line of a message.
func clip(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, s)
	if len(s) > 2048 {
		s = strings.ToValidUTF8(s[:2048], "")
	}
	return s
}
