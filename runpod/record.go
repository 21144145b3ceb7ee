package runpod

import (
	"fmt"
	"slices"
	"time"

	"runctl"
	"runctl/internal/job"
)

// What is known of a run comes from two places: RunPod's record of the pod, which has neither an exit code nor a reason, and
// the lines of our own first process in the pod's log, which carry the launch's nonce.

// conclude is what the starts of a container say of its job. final: nothing that comes later changes it.
func conclude(run string, births []*job.Birth) (s runctl.Status, final bool) {
	s = runctl.Status{At: time.Now(), LogBytes: -1}
	if len(births) == 0 {
		s.Evidence = "the pod's container has not said anything yet"
		return s, false
	}
	var ran []*job.Birth
	for _, b := range births {
		if b.Ran {
			ran = append(ran, b)
		}
	}
	last := births[len(births)-1]
	switch {
	case len(ran) > 1:
		s.Evidence = fmt.Sprintf("the pod's container was started %d times and ran the program %d times: the host starts again whatever ends, here the container's first process",
			len(births), len(ran))
		s.Receipt = ranAgain(run, ran[0].Start.At, ran[1].Start.At)
	case last.Start.Role == job.RoleLate:
		s.Evidence = "the pod's container was started after the time for the job to begin: " + last.Start.Text
		s.Receipt = ranAgain(run, births[0].Start.At, last.Start.At)
	}
	if s.Receipt != nil {
		s.Live = runctl.Dead
		return s, true
	}
	for _, b := range births {
		if b.Receipt != nil && b.Receipt.Run == run {
			s.Live, s.Receipt, s.LogBytes = runctl.Dead, receipt(*b.Receipt), b.Receipt.LogBytes
			s.Evidence = "the supervisor's receipt, in the pod's log"
			if b.Start.Role == job.RoleDone {
				s.Evidence = "the supervisor's receipt, kept on the network volume and read from the pod's log"
			}
			return s, true
		}
	}
	if why, gone := unfinished[last.Start.Role]; gone {
		s.Live, s.Evidence = runctl.Dead, why
		if last.Start.Text != "" {
			s.Evidence += ": " + last.Start.Text
		}
		return s, true
	}
	s.Live, s.Evidence = runctl.Alive, fmt.Sprintf("the pod's first process says so; may the pod stop itself: %s", last.Start.SelfEnd)
	return s, false
}

// unfinished are the roles of a container in which the job will never leave a receipt.
var unfinished = map[job.Role]string{
	job.RoleLost:    "the job's processes are gone without a receipt",
	job.RoleBegun:   "the pod's container was started again, and the job, which ran at most once, had left no receipt on the network volume",
	job.RoleRefused: "the pod could not start the job",
}

// ranAgain is the receipt of a program that was started more than once, or may have been. It may go on.
func ranAgain(run string, first, again int64) *runctl.Receipt {
	return &runctl.Receipt{Run: run, Source: "supervisor", ExitCode: 255, Cause: runctl.CauseAgain,
		Started: time.Unix(first, 0).UTC(), Ended: time.Unix(again, 0).UTC(), LogBytes: -1}
}

// receipt is the supervisor's in the client's words.
func receipt(r job.Receipt) *runctl.Receipt {
	return &runctl.Receipt{Run: r.Run, Source: r.Source, ExitCode: r.Code, Signal: r.Signal, Cause: runctl.Cause(r.Cause),
		Checkpoint: r.Checkpoint, Started: r.Started, Ended: r.Ended, LogBytes: r.LogBytes}
}

// over are RunPod's words for a pod in which nothing runs.
var over = map[string]bool{"EXITED": true, "ERROR": true, "TERMINATED": true}

// together are the starts that either reader has seen, each once, with what both know of it.
func together(head, tail []*job.Birth) []*job.Birth {
	all := slices.Clone(head)
	for _, t := range tail {
		i := slices.IndexFunc(head, func(h *job.Birth) bool { return h.ID == t.ID })
		if i < 0 {
			all = append(all, t)
			continue
		}
		both := *t
		both.Ran = both.Ran || head[i].Ran
		if both.Start.Role == "" { // of this one the tail has no start line
			both.Start = head[i].Start
		}
		all[i] = &both
	}
	return all
}
