package toycloud

import (
	"net/http"
	"strconv"
	"sync"
	"time"
)

// job is what a machine runs when it was launched with one. Its arguments are: emit LOG CODE [block].
type job struct {
	mu      sync.Mutex
	log     string
	started time.Time
	ended   time.Time
	code    int
	cause   string
	changed chan struct{} // closed when it has ended
}

// JobState is a job as it stands in replies.
type JobState struct {
	Ended   bool      `json:"ended"`
	Code    int       `json:"code"`
	Cause   string    `json:"cause"`
	Bytes   int64     `json:"bytes"`
	Started time.Time `json:"started"`
	EndedAt time.Time `json:"ended_at"`
}

func newJob(args []string) *job {
	j := &job{started: time.Now(), changed: make(chan struct{})}
	if len(args) < 3 || args[0] != "emit" {
		j.end(127, "exit")
		return j
	}
	j.log = args[1]
	if code, _ := strconv.Atoi(args[2]); len(args) == 3 {
		j.end(code, "exit")
	}
	return j
}

func (j *job) end(code int, cause string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.ended.IsZero() {
		j.ended, j.code, j.cause = time.Now(), code, cause
		close(j.changed)
	}
}

func (j *job) state() JobState {
	j.mu.Lock()
	defer j.mu.Unlock()
	return JobState{Ended: !j.ended.IsZero(), Code: j.code, Cause: j.cause, Bytes: int64(len(j.log)), Started: j.started, EndedAt: j.ended}
}

// serve answers GET job and GET log, both with ?wait=1 to be held until the job has ended or, for the
// log, until there is something at the offset; and POST cancel.
func (j *job) serve(w http.ResponseWriter, r *http.Request, what string) {
	q := r.URL.Query()
	offset, _ := strconv.ParseInt(q.Get("offset"), 10, 64)
	wait := q.Get("wait") != "" && !(what == "log" && offset < j.state().Bytes)
	switch r.Method + " " + what {
	case "GET job":
		if wait {
			j.hold(r)
		}
		reply(w, 200, j.state())
	case "GET log":
		if wait {
			j.hold(r)
		}
		s := j.state()
		offset = min(offset, s.Bytes)
		part := j.log[offset:]
		if len(part) > 10 {
			part = part[:10]
		}
		w.Header().Set("Content-Type", "application/octet-stream")
		w.Header().Set("X-Last", strconv.FormatBool(s.Ended && offset+int64(len(part)) == s.Bytes))
		_, _ = w.Write([]byte(part))
	case "POST cancel":
		j.end(143, "cancel")
		w.WriteHeader(202)
	default:
		refuse(w, 404, "no_such_page", what)
	}
}

func (j *job) hold(r *http.Request) {
	select {
	case <-j.changed:
	case <-r.Context().Done():
	}
}
