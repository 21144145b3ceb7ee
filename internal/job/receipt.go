package job

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
)

var (
	errReceipt = errors.New("job: not a valid receipt")
	causes     = map[string]bool{"exit": true, "signal": true, "cancel": true, "lifetime": true, "lease": true, "preempted": true,
		"notfound": true, "notexec": true, "again": true}
	endings    = map[string]bool{EndSelf: true, EndTerm: true, EndKill: true}
	signalName = regexp.MustCompile(`^(\?|[A-Z][A-Z0-9+-]{0,15}|[0-9]{1,3})?$`)
	checkpoint = regexp.MustCompile(`^[A-Za-z0-9._/-]{1,256}$`)
)

// Marshal returns the receipt's line, with its newline:
//
//	v=1 run= code= sig= cause= t0= t1= out= stragglers= ckpt= end= sum=N .
//
// Times are seconds since 1970; sum is the length of what stands before " sum=", so that a cut line is seen.
func (r Receipt) Marshal() []byte {
	line := fmt.Sprintf("v=1 run=%s code=%d sig=%s cause=%s t0=%d t1=%d out=%d stragglers=%d ckpt=%s end=%s",
		r.Run, r.Code, r.Signal, r.Cause, r.Started.Unix(), r.Ended.Unix(), r.LogBytes, r.Stragglers, r.Checkpoint, r.End)
	return fmt.Appendf(nil, "%s sum=%d .\n", line, len(line))
}

// ParseReceipt reads the first line of b. It accepts only what Marshal or the supervisor can have written;
// fields it does not know are skipped, so that a later supervisor may say more.
func ParseReceipt(b []byte) (Receipt, error) {
	line, _, _ := bytes.Cut(b[:min(len(b), maxLine)], []byte("\n"))
	body, tail, ok := strings.Cut(string(line), " sum=")
	if !ok || tail != strconv.Itoa(len(body))+" ." || !strings.HasPrefix(body, "v=1 run=") {
		return Receipt{}, errReceipt
	}
	f := map[string]string{}
	for field := range strings.SplitSeq(body, " ") {
		key, value, ok := strings.Cut(field, "=")
		if _, twice := f[key]; !ok || twice {
			return Receipt{}, errReceipt
		}
		f[key] = value
	}
	r := Receipt{Run: f["run"], Source: "supervisor", Cause: f["cause"], Signal: f["sig"], Checkpoint: f["ckpt"], End: f["end"]}
	var numbers [5]int64
	for i, key := range [...]string{"code", "t0", "t1", "out", "stragglers"} {
		n, err := strconv.ParseInt(f[key], 10, 64)
		if err != nil || n < -1 || n > 1<<53 {
			return Receipt{}, errReceipt
		}
		numbers[i] = n
	}
	r.Code, r.LogBytes, r.Stragglers = int(numbers[0]), numbers[3], int(numbers[4])
	r.Started, r.Ended = time.Unix(numbers[1], 0).UTC(), time.Unix(numbers[2], 0).UTC()
	if !validRun(r.Run) || r.Code < 0 || r.Code > 255 || r.Stragglers < 0 || !causes[r.Cause] || !endings[r.End] ||
		!signalName.MatchString(r.Signal) || r.Checkpoint != "" && !validCheckpoint(r.Checkpoint) {
		return Receipt{}, errReceipt
	}
	return r, nil
}

// parseLatest reads the content of a checkpoint directory's file "latest": one line, a relative path of
// plain characters that stays inside. Anything else is no checkpoint.
func parseLatest(b []byte) (string, bool) {
	name := strings.TrimSuffix(string(b), "\n")
	return name, validCheckpoint(name)
}

func validCheckpoint(name string) bool {
	return checkpoint.MatchString(name) && !strings.HasPrefix(name, "/") && !strings.Contains("/"+name+"/", "/../")
}
