package acme_test

import (
	"net/http"
	"strconv"
	"sync"
	"time"
)

// job is what a machine of the cloud runs: emit LOG CODE prints and ends, a fourth argument lets it stay.
type job struct {
	mu    sync.Mutex
	state string
	exit  int
	log   string
	from  time.Time
	til   time.Time
	over  chan struct{}
}

func newJob(args []string) *job {
	j := &job{state: "runs", from: time.Now(), over: make(chan struct{})}
	if len(args) < 3 || args[0] != "emit" {
		j.end("exited", 127)
		return j
	}
	j.log = args[1]
	if code, err := strconv.Atoi(args[2]); err == nil && len(args) == 3 {
		j.end("exited", code)
	}
	return j
}

func (j *job) end(state string, exit int) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.state == "runs" {
		j.state, j.exit, j.til = state, exit, time.Now()
		close(j.over)
	}
}

func (j *job) hold(r *http.Request) {
	select {
	case <-j.over:
	case <-r.Context().Done():
	}
}

func (j *job) serveState(w http.ResponseWriter, r *http.Request) {
	if r.URL.Query().Get("hold") != "" {
		j.hold(r)
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	answer(w, 200, map[string]any{"state": j.state, "exit": j.exit, "bytes": len(j.log), "from": j.from, "til": j.til})
}

func (j *job) serveLog(w http.ResponseWriter, r *http.Request) {
	from, _ := strconv.Atoi(r.URL.Query().Get("from"))
	from = min(max(from, 0), len(j.log))
	if from == len(j.log) && r.URL.Query().Get("hold") == "true" {
		j.hold(r)
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	to := min(from+100, len(j.log))
	answer(w, 200, map[string]any{"data": []byte(j.log[from:to]), "last": j.state != "runs" && to == len(j.log)})
}
