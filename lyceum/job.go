package lyceum

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"runctl"
)

// pythonRun is the body of a run without an image. Lyceum's own environment has Python.
type pythonRun struct {
	Code         string `json:"code"`
	NbCode       int    `json:"nbcode"` // every client sends 0
	Timeout      int    `json:"timeout"`
	Requirements string `json:"requirements_content,omitempty"`
	FileName     string `json:"file_name"`
	Type         string `json:"execution_type"`
}

// imageRun is the body of a run of a container image.
type imageRun struct {
	Image    string   `json:"docker_image_ref"`
	Command  []string `json:"docker_run_cmd"`
	Env      string   `json:"docker_run_env,omitempty"` // lines NAME=VALUE
	Registry string   `json:"docker_registry_credential_type,omitempty"`
	Username string   `json:"docker_username,omitempty"`
	Password string   `json:"docker_password,omitempty"`
	Timeout  int      `json:"timeout"`
	FileName string   `json:"file_name"`
	Type     string   `json:"execution_type"`
	Mount    bool     `json:"enable_s3_mount"`
	Grace    int      `json:"graceful_timeout"`
}

//go:embed launcher.py
var launcher string

const defaultGrace = 30 * time.Second

func imageOf(req runctl.LaunchRequest) string {
	if req.Image == "" && req.Job != nil {
		return req.Job.Image
	}
	return req.Image
}

// runBody makes the request for a run, and refuses what a run cannot do before anything is sent. secrets are values in it that
// must be seen nowhere.
func runBody(req runctl.LaunchRequest, s shape, o LaunchOptions) (path string, body any, secrets []string, err error) {
	j := req.Job
	limit := req.Lifetime
	if j.Limit > 0 {
		limit = min(limit, j.Limit)
	}
	switch {
	case req.Lifetime <= 0 || req.Lifetime > MaxRun:
		err = invalid("Lifetime: %s: a run of Lyceum's takes at most %s; use a machine of Lyceum's, which is an offer of the shell road", req.Lifetime, MaxRun)
	case len(j.Secrets) > 0:
		err = unsupported("Lyceum shows what a run is launched with to everybody in the organisation, so a secret's value is not sent: " +
			"store it in Lyceum's dashboard as an environment variable of runs, or use a machine")
	case len(j.Outputs) > 0 && !j.DiscardOutputs:
		err = unsupported("Job.Outputs cannot be collected from a run: let the job write to its bucket, at $RUNCTL_OUTPUT_DIR, or use a machine")
	case req.Disk > 0:
		err = invalid("Disk: that of a run cannot be chosen")
	case len(j.Args) == 0:
		err = invalid("Job.Args: give the program and its arguments")
	}
	if err != nil {
		return "", nil, nil, err
	}
	env := map[string]string{"RUNCTL_RUN_ID": j.ID, "RUNCTL_ATTEMPT": strconv.Itoa(max(j.Attempt, 1))}
	if j.Resume != "" {
		env["RUNCTL_RESUME"] = j.Resume
	}
	image := imageOf(req)
	if image != "" && !o.NoBucket {
		place := Mount + "/" + RunPrefix(req.Label)
		env["RUNCTL_OUTPUT_DIR"], env["RUNCTL_CHECKPOINT_DIR"] = place+"outputs", place+"checkpoints"
	}
	maps.Copy(env, j.Env)
	for _, text := range append(append(slices.Clone(j.Args), j.Dir), slices.Collect(maps.Values(env))...) {
		if !utf8.ValidString(text) {
			return "", nil, nil, invalid("Job: Lyceum takes text alone, and an argument, a variable or the directory is not UTF-8")
		}
	}
	if image == "" {
		code, err := pythonCode(j, env)
		return pythonPath, pythonRun{Code: code, Timeout: seconds(limit, 600), Requirements: o.Requirements, FileName: req.Label, Type: s.profile}, nil, err
	}
	if j.Dir != "" {
		return "", nil, nil, unsupported("Job.Dir: a container of Lyceum's starts in its image's own directory: leave it empty")
	}
	b := imageRun{Image: image, Command: j.Args, Timeout: seconds(limit, 600), FileName: req.Label, Type: s.profile, Mount: !o.NoBucket,
		Grace: seconds(graceOf(j), 300)}
	if b.Env, err = envLines(env); err != nil {
		return "", nil, nil, err
	}
	if o.Username != "" {
		password, err := o.Password.Reveal()
		if err != nil {
			return "", nil, nil, invalid("LaunchOptions.Password cannot be had")
		}
		b.Registry, b.Username, b.Password, secrets = "basic", o.Username, password, []string{password}
	}
	return imagePath, b, secrets, nil
}

func graceOf(j *runctl.Job) time.Duration {
	if j.Grace > 0 {
		return j.Grace
	}
	return defaultGrace
}

// seconds is a duration in whole ones, rounded up, 1 to most.
func seconds(d time.Duration, most int) int {
	return min(max(int((d+time.Second-1)/time.Second), 1), most)
}

// envLines writes variables as Lyceum takes them: one a line, so that none may have two.
func envLines(env map[string]string) (string, error) {
	var lines []string
	for _, name := range slices.Sorted(maps.Keys(env)) {
		if strings.ContainsAny(env[name], "\r\n") {
			return "", invalid("Job.Env: %s: Lyceum takes no variable with several lines", name)
		}
		lines = append(lines, name+"="+env[name])
	}
	return strings.Join(lines, "\n"), nil
}

// pythonCode is a program that runs the job's, whose output and exit code are its own. What the job is stands in it as a
// string of JSON, which is one of Python's too.
func pythonCode(j *runctl.Job, env map[string]string) (string, error) {
	text := func(v any) (string, error) {
		var b bytes.Buffer
		e := json.NewEncoder(&b)
		e.SetEscapeHTML(false)
		err := e.Encode(v)
		return strings.TrimSpace(b.String()), err
	}
	spec, err := text(map[string]any{"args": j.Args, "env": env, "dir": j.Dir})
	if err != nil {
		return "", err
	}
	literal, err := text(spec)
	return strings.Replace(launcher, `"{}"`, literal, 1), err
}
