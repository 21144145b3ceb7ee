package lyceum

import (
	"cmp"
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// runRequest is the body of a submission as the server reads it: Python, or an image.
type runRequest struct {
	Code        *string `json:"code"`
	ImportFiles *string `json:"import_files"` // a JSON object in a string

	Image   string   `json:"docker_image_ref"`
	Command []string `json:"docker_run_cmd"`
	Env     *string  `json:"docker_run_env"`
	Mount   *bool    `json:"enable_s3_mount"`
	Grace   *int     `json:"graceful_timeout"`

	Timeout  *int    `json:"timeout"` // seconds
	Machine  string  `json:"execution_type"`
	FileName *string `json:"file_name"`
}

// inTime reports whether the time limit is one that the server takes.
func (c *runRequest) inTime() bool { return c.Timeout == nil || *c.Timeout >= 1 && *c.Timeout <= 600 }

// seconds is a number of them, or another if there is none.
func seconds(n *int, otherwise int) time.Duration {
	if n != nil {
		otherwise = *n
	}
	return time.Duration(otherwise) * time.Second
}

// unsaid are what a submission leaves to the server: defaults that have changed before.
var unsaid = []struct {
	what   string
	absent func(c *runRequest) bool
}{
	{"execution_type", func(c *runRequest) bool { return c.Machine == "" }},
	{"timeout", func(c *runRequest) bool { return c.Timeout == nil }},
	{"file_name", func(c *runRequest) bool { return c.FileName == nil || *c.FileName == "" }},
	{"enable_s3_mount", func(c *runRequest) bool { return c.Image != "" && c.Mount == nil }},
}

// submit starts a run, of whatever kind.
func (x *exchange) submit(c *runRequest, is Run) answer {
	f := x.f
	for _, u := range unsaid {
		if u.absent(c) {
			f.Wrong("%s: %s is left to the server", x.Op, u.what)
		}
	}
	if strings.Contains(string(x.Body), f.opt.Key) {
		f.Wrong("%s: the account's key is in the request", x.Op)
	}
	is.Timeout, is.Grace, is.Machine = seconds(c.Timeout, 60), seconds(c.Grace, 10), cmp.Or(c.Machine, "cpu")
	if c.FileName != nil {
		is.FileName = *c.FileName
	}
	switch {
	case f.broke:
		return refuse(http.StatusPaymentRequired, "Insufficient credits")
	case machines[is.Machine] == 0:
		return refuse(http.StatusBadRequest, "Invalid execution type")
	case f.dry:
		return refuse(http.StatusInternalServerError, capacity)
	}
	r := f.launch(is)
	reply := map[string]any{"execution_id": r.ID, "status": Pending, "streaming_url": f.streamURL(x.Request, r.ID)}
	return ok(f.dress(reply, "execution_id", "status", "streaming_url"))
}

func (x *exchange) startPython() answer {
	var c runRequest
	if err := json.Unmarshal(x.Body, &c); err != nil || c.Code == nil {
		return malformed([]string{"code is required"})
	}
	is := Run{Code: *c.Code}
	if c.ImportFiles != nil {
		if err := json.Unmarshal([]byte(*c.ImportFiles), &is.Files); err != nil {
			return refuse(http.StatusBadRequest, "import_files is not a JSON object")
		}
	}
	return x.submit(&c, is)
}

func (x *exchange) startImage() answer {
	var c runRequest
	if err := json.Unmarshal(x.Body, &c); err != nil {
		return malformed([]string{err.Error()})
	}
	is := Run{Image: c.Image, Command: c.Command, Env: map[string]string{}}
	if c.Env != nil {
		for _, line := range strings.Split(*c.Env, "\n") {
			if name, value, ok := strings.Cut(line, "="); ok {
				is.Env[name] = value
			}
		}
	}
	return x.submit(&c, is)
}

// run is the run that the request names; nil: as far as it is told, there is none.
func (x *exchange) run(now time.Time) *run {
	for _, r := range x.f.runs {
		if r.ID == x.Path["execution_id"] && !r.unknown.After(now) {
			return r
		}
	}
	return nil
}

func noRun() answer { return refuse(http.StatusNotFound, "Execution not found") }

func (x *exchange) runStatus() answer {
	now := time.Now()
	r := x.run(now)
	if r == nil {
		return noRun()
	}
	m := map[string]any{"execution_id": r.ID, "status": r.status(now)}
	if r.over(now) && r.fault != "" {
		m["errors"] = r.fault
	}
	return ok(x.f.dress(m))
}

// when is a time in a record, null while it is to come.
func when(t, now time.Time) any {
	if t.IsZero() || t.After(now) {
		return nil
	}
	return t.UTC().Format(zulu)
}

// getRun is the record of a run. It has no file_name: none was seen there.
func (x *exchange) getRun() answer {
	now := time.Now()
	r := x.run(now)
	if r == nil {
		return noRun()
	}
	m := map[string]any{"execution_id": r.ID, "status": r.status(now), "return_code": r.told(now).ReturnCode}
	if x.f.opt.Bare {
		return ok(x.f.dress(m))
	}
	for k, v := range map[string]any{
		"created_at": when(r.Born, now), "execution_type": r.Machine, "hardware_profile": r.Machine, "execelet_start": when(r.began, now),
		"start_time": when(r.began, now), "end_time": when(r.ended, now), "finish_time": when(r.ended, now), "python_code": r.Code,
		"combined_output": r.output(now, ""), "stdout": r.output(now, "stdout"), "stderr": r.output(now, "stderr"),
		"errors_docker": nil, "install_log": nil, "install_return_code": nil, "billed": r.billed(now),
	} {
		m[k] = v
	}
	if r.over(now) && r.fault != "" {
		m["errors"] = r.fault
	}
	return ok(x.f.dress(m, "execution_id", "status", "return_code"))
}

func (x *exchange) timing() answer {
	now := time.Now()
	r := x.run(now)
	if r == nil {
		return noRun()
	}
	return ok(map[string]any{"timing": map[string]any{"start": when(r.began, now), "end": when(r.ended, now)}})
}

func (x *exchange) forget() answer {
	r := x.run(time.Now())
	if r == nil {
		return noRun()
	}
	x.f.runs = slices.DeleteFunc(x.f.runs, func(o *run) bool { return o == r })
	return ok(map[string]any{"message": "deleted"})
}

// summary is a run as lists show it.
func (f *Face) summary(r *run, now time.Time) map[string]any {
	m := map[string]any{"execution_id": r.ID, "status": r.status(now), "created_at": r.Born.UTC().Format(zulu), "execution_type": r.Machine,
		"hardware_profile": r.Machine, "file_name": r.FileName}
	if f.opt.NoLabel {
		m["file_name"] = nil
	}
	return m
}

func (x *exchange) active() answer {
	now := time.Now()
	all := []any{}
	for _, r := range x.f.runs {
		if !r.over(now) && !r.hidden.After(now) {
			all = append(all, x.f.dress(with(x.f.summary(r, now), "execution_owner", "user-1"), "execution_id", "status", "created_at", "file_name"))
		}
	}
	return ok(all)
}

// history has the newest first, and what is not over too.
func (x *exchange) history() answer {
	q, now := x.Request.URL.Query(), time.Now()
	limit, offset := number(q.Get("limit"), 50), number(q.Get("offset"), 0)
	all, spent, byStatus := []any{}, 0.0, map[string]any{}
	for _, r := range slices.Backward(x.f.runs) {
		if r.hidden.After(now) {
			continue
		}
		m := x.f.summary(r, now)
		for k, v := range map[string]any{"status_details": nil, "billed": r.billed(now), "start_time": when(r.began, now), "end_time": when(r.ended, now),
			"job_start": when(r.began, now), "job_end": when(r.ended, now), "errors_docker": nil, "parent_execution_id": nil, "local_imports": "", "metadata": map[string]any{}} {
			m[k] = v
		}
		spent += r.billed(now)
		n, _ := byStatus[r.status(now)].(int)
		byStatus[r.status(now)] = n + 1
		all = append(all, x.f.dress(m, "execution_id", "status", "created_at", "file_name", "billed", "local_imports", "metadata"))
	}
	total := len(all)
	all = all[min(offset, total):min(offset+limit, total)]
	return ok(x.f.dress(map[string]any{"executions": all, "total_executions": total, "total_credits_spent": spent, "limit": limit, "offset": offset,
		"counts_by_status": byStatus}))
}

func number(s string, otherwise int) int {
	if n, err := strconv.Atoi(s); err == nil {
		return n
	}
	return otherwise
}

// abort sets a flag, and answers before anything has ended.
func (x *exchange) abort() answer {
	now := time.Now()
	r := x.run(now)
	if r == nil || r.over(now) {
		return refuse(http.StatusNotFound, "Execution not found or not active")
	}
	r.halt(now)
	return ok(x.f.dress(map[string]any{"execution_id": r.ID, "status": Cancelling, "message": "Abort requested"}))
}

// logs are the stored lines of a run, of which some may not be there yet. They are in the order of time, or in the reverse.
func (x *exchange) logs() answer {
	now := time.Now()
	r := x.run(now)
	if r == nil {
		return noRun()
	}
	q := x.Request.URL.Query()
	limit, hours := number(q.Get("limit"), 1000), time.Duration(number(q.Get("hours"), 24))*time.Hour
	all := []any{}
	for _, l := range r.lines(now.Add(-x.f.opt.LogLag)) {
		if now.Sub(l.at) < hours {
			all = append(all, x.f.dress(map[string]any{"timestamp": l.at.UTC().Format(zulu), "message": l.text, "level": nil, "execution_id": r.ID,
				"user_id": "user-1", "hostname": "node-1", "labels": map[string]any{"stream": cmp.Or(l.channel, "stdout")}}))
		}
	}
	total := len(all)
	all = all[:min(limit, total)]
	if x.f.opt.Reversed {
		slices.Reverse(all)
	}
	return ok(x.f.dress(map[string]any{"logs": all, "total": total}))
}

// lines are what a run has printed until a time, line by line. One that has no end yet is kept back until the run's end.
func (r *run) lines(until time.Time) (all []entry) {
	open := entry{}
	for _, e := range r.entries {
		if e.at.After(until) {
			break
		}
		open.at, open.channel, open.text = e.at, e.channel, open.text+e.text
		for {
			line, rest, whole := strings.Cut(open.text, "\n")
			if !whole {
				break
			}
			all = append(all, entry{open.at, line, open.channel})
			open.text = rest
		}
	}
	if open.text != "" && r.over(until) {
		all = append(all, open)
	}
	return all
}
