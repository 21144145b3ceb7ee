package lyceum

import (
	"cmp"
	"encoding/json"
	"time"

	"runctl"
)

// Run is a run as it stands in replies of the API; Instance.Native is a pointer to one. Submissions, lists and records
// each have some of the fields; what was not told is empty.
type Run struct {
	ID        Text `json:"execution_id"`
	Status    Text `json:"status"`
	CreatedAt Text `json:"created_at"`
	Type      Text `json:"execution_type"` // its machine: cpu, gpu.h100
	FileName  Text `json:"file_name"`      // our label
	StreamURL Text `json:"streaming_url"`

	ExeceletStart Text `json:"execelet_start"` // the spelling is Lyceum's
	Start         Text `json:"start_time"`
	JobStart      Text `json:"job_start"`
	JobEnd        Text `json:"job_end"`
	End           Text `json:"end_time"`
	Finish        Text `json:"finish_time"`

	ReturnCode   Text            `json:"return_code"`
	Result       json.RawMessage `json:"result"` // may have the return code
	Errors       Text            `json:"errors"`
	DockerErrors Text            `json:"errors_docker"`
	Output       Text            `json:"combined_output"`
	Stdout       Text            `json:"stdout"`
	Stderr       Text            `json:"stderr"`
	Billed       Text            `json:"billed"` // credits
}

// ending is what a word for a run's state says of the job.
type ending struct {
	state runctl.State
	cause runctl.Cause // of the receipt; empty: such a run leaves none
}

// runStates are Lyceum's words for the state of a run, in lower case and with underscores. A word that is not here is
// StateUnknown, which bills.
var runStates = map[string]ending{
	"pending":                      {state: runctl.StatePending},
	"queued":                       {state: runctl.StatePending},
	"starting":                     {state: runctl.StatePending},
	"waiting_for_docker_container": {state: runctl.StatePending},
	"running":                      {state: runctl.StateRunning},
	"paused":                       {state: runctl.StateRunning},
	"cancelling":                   {state: runctl.StateStopping},
	"completed":                    {runctl.StateTerminated, runctl.CauseExit},
	"success":                      {runctl.StateTerminated, runctl.CauseExit},
	"failed":                       {runctl.StateTerminated, runctl.CauseExit},
	"failed_user":                  {runctl.StateTerminated, runctl.CauseExit},
	"error":                        {runctl.StateTerminated, runctl.CauseExit},
	"timeout":                      {runctl.StateTerminated, runctl.CauseLifetime},
	"cancelled":                    {runctl.StateTerminated, runctl.CauseCancel},
	"aborted":                      {runctl.StateTerminated, runctl.CauseCancel},
	"system_failure":               {state: runctl.StateTerminated},
	"failed_system":                {state: runctl.StateTerminated},
}

func (r *Run) state() runctl.State { return runStates[r.Status.word()].state }

// instance maps a run. seen is the clock of the reply.
func (r *Run) instance(seen time.Time) runctl.Instance {
	kind := string(r.Type)
	i := runctl.Instance{
		ID: runPrefix + string(r.ID), Label: string(r.FileName), State: r.state(), Reason: string(r.Status), Type: kind,
		GPU: runGPU(kind), Market: runctl.OnDemand, Road: runctl.RoadJob, Launched: r.CreatedAt.Time(), Seen: seen, Native: r,
	}
	if i.State == runctl.StateTerminated {
		i.Ended = r.ended()
	}
	return i
}

func (r *Run) started() time.Time { return cmp.Or(r.JobStart, r.Start, r.ExeceletStart).Time() }
func (r *Run) ended() time.Time   { return cmp.Or(r.JobEnd, r.End, r.Finish).Time() }

// code is the job's exit code; false: the record has none.
func (r *Run) code() (int, bool) {
	if n, ok := r.ReturnCode.Int(); ok {
		return n, true
	}
	var result struct {
		Snake Text `json:"return_code"`
		Camel Text `json:"returnCode"`
	}
	_ = json.Unmarshal(r.Result, &result) // of another form there is none in it
	return cmp.Or(result.Snake, result.Camel).Int()
}

// noCode stands for the exit code of a job that was ended and for which Lyceum tells none.
const noCode = 255

// conclude is what a run's record says of its job. final: it stays so. asked: this process has asked for the end, and
// Lyceum may call that completed.
func (r *Run) conclude(asked bool) (s runctl.Status, final bool) {
	e := runStates[r.Status.word()]
	s = runctl.Status{At: time.Now(), LogBytes: -1, Evidence: "Lyceum's record calls the run " + clip(r.Status)}
	switch e.state {
	case runctl.StateRunning, runctl.StateStopping:
		s.Live = runctl.Alive
		return s, false
	case runctl.StateTerminated:
		s.Live = runctl.Dead
	default:
		return s, false
	}
	code, told := r.code()
	succeeded := r.Status.word() == "completed" || r.Status.word() == "success"
	switch {
	case asked && succeeded && told && code == 0:
		e.cause = runctl.CauseCancel
	case e.cause == runctl.CauseExit && !told:
		s.Evidence += ", and tells no exit code"
		e.cause = ""
	case e.cause == runctl.CauseExit && code == 0 && !succeeded:
		s.Evidence += ", with exit code 0, which contradicts that"
		e.cause = ""
	case !told:
		code = noCode
	}
	if e.cause == "" {
		if why := cmp.Or(r.DockerErrors, r.Errors); why != "" {
			s.Evidence += ": " + clip(why)
		}
		return s, true
	}
	s.Receipt = &runctl.Receipt{Source: DefaultName, ExitCode: code, Cause: e.cause, Started: r.started(), Ended: r.ended(), LogBytes: -1}
	return s, true
}
