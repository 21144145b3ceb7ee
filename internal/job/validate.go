package job

import (
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"

	"runctl/internal/manifest"
)

var (
	runID   = regexp.MustCompile(`^[a-z0-9-]{1,64}$`)
	partID  = regexp.MustCompile(`^[a-z0-9]{1,32}$`)
	digest  = regexp.MustCompile(`^[A-Za-z0-9:._-]{1,128}$`)
	envName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
)

// refusedEnv are the names that some shell of ours does not let be set, or that set something in it on
// which the next line depends (seen: OPTIND=abc ends dash; bash keeps UID and its like read-only).
var refusedEnv = map[string]bool{"_": true, "PPID": true, "UID": true, "EUID": true, "SHELLOPTS": true, "BASHOPTS": true,
	"BASH_VERSINFO": true, "BASHPID": true, "RANDOM": true, "SRANDOM": true, "LINENO": true, "SECONDS": true,
	"OPTIND": true, "IFS": true, "FUNCNAME": true, "GROUPS": true, "DIRSTACK": true, "HISTCMD": true,
	"EPOCHSECONDS": true, "EPOCHREALTIME": true}

const (
	maxSpec      = 1 << 20                   // bytes of the whole spec on the wire
	maxArg       = 128<<10 - 1               // of one argument or variable: Linux's MAX_ARG_STRLEN
	maxDuration  = 10 * 365 * 24 * time.Hour // of a grace, limit, lease or lifetime
	defaultGrace = 30 * time.Second
)

// Validate returns a *FieldError for the first thing wrong, before anything is sent or spent.
func (s Spec) Validate() error {
	if !validRun(s.Run) {
		return &FieldError{"Run", "must be 1 to 64 of a-z, 0-9 and '-'"}
	}
	if !digest.MatchString(s.Digest) {
		return &FieldError{"Digest", "must be 1 to 128 of letters, digits, ':', '.', '_' and '-'"}
	}
	if len(s.Argv) == 0 || s.Argv[0] == "" {
		return &FieldError{"Argv", "names no program"}
	}
	for _, arg := range s.Argv {
		if problem := badValue(arg); problem != "" {
			return &FieldError{"Argv", problem}
		}
	}
	if s.Dir != "" && !path.IsAbs(s.Dir) && !inside(s.Dir) {
		return &FieldError{"Dir", "leads out of the run's work directory"}
	}
	switch {
	case s.Code == "":
	case !manifest.IsDigest(s.Code):
		return &FieldError{"Code", "must be a tree's digest, 64 hexadecimal digits"}
	case path.IsAbs(s.Dir):
		return &FieldError{"Dir", "must be relative when code is sent: it lies inside a copy of the code"}
	}
	for _, d := range []struct{ field, value string }{{"Dir", s.Dir}, {"Resume", s.Resume},
		{"CheckpointDir", s.CheckpointDir}, {"OutputDir", s.OutputDir}} {
		if len(d.value) > 4000 || strings.ContainsFunc(d.value, func(r rune) bool { return r < ' ' || r == 0x7f }) {
			return &FieldError{d.field, "has control characters or more than 4000 bytes"}
		}
		if d.field != "Dir" && d.value != "" && !path.IsAbs(d.value) {
			return &FieldError{d.field, "must be absolute"}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(s.Env)) {
		if problem := badEnv(name); problem != "" {
			return &FieldError{"Env", "name " + clip(name) + " " + problem}
		}
		if problem := badValue(s.Env[name]); problem != "" {
			return &FieldError{"Env", name + " " + problem}
		}
	}
	if s.Grace < 0 || s.Grace > maxDuration {
		return &FieldError{"Grace", "must be between 0 and ten years"}
	}
	if s.Limit < 0 || s.Limit > maxDuration {
		return &FieldError{"Limit", "must be between 0 and ten years"}
	}
	if s.Lease < 0 || s.Lease > maxDuration {
		return &FieldError{"Lease", "must be between 0 and ten years"}
	}
	if s.Attempt < 0 || s.Attempt > 1<<30 {
		return &FieldError{"Attempt", "must count from 1"}
	}
	if n := len(formatSpec(s)); n > maxSpec {
		return &FieldError{"Env", "and Argv together are over 1 MiB"}
	}
	return nil
}

func validRun(run string) bool { return runID.MatchString(run) }

func badValue(v string) string {
	switch {
	case strings.ContainsRune(v, 0):
		return "has a NUL byte"
	case len(v) > maxArg:
		return "is over 128 KiB"
	}
	return ""
}

func badEnv(name string) string {
	switch {
	case !envName.MatchString(name) || len(name) > 256:
		return "is no name that every shell can export"
	case refusedEnv[name]:
		return "belongs to the shell"
	case strings.HasPrefix(name, "RUNCTL_") || strings.HasPrefix(name, "sp_"):
		return "is reserved"
	}
	return ""
}

// inside reports whether a relative path stays below where it starts, by its text.
func inside(rel string) bool {
	return !path.IsAbs(rel) && !slices.Contains(strings.Split(rel, "/"), "..")
}
