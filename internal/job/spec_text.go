package job

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// The spec travels as shell text: a line NAME='value' for each plain field, then two functions, so that
// sourcing it does nothing but define: sp_env exports, sp_exec WORD runs WORD on the argument list. Values are single-quoted, a quote in them as POSIX wants it. The plain
// lines hold no newline and no secret: the supervisor keeps them, and forgets the rest.
const (
	specEnv  = "sp_env() {\n:\n"
	specExec = "}\nsp_exec() {\n\"$@\"" // sp_exec WORD: WORD argv...
	specEnd  = "\n}\n"
)

func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

// formatSpec writes the text. The spec must be valid.
func formatSpec(s Spec) []byte {
	grace, attempt, shared := s.Grace, max(s.Attempt, 1), "0"
	if grace == 0 {
		grace = defaultGrace
	}
	if s.Shared {
		shared = "1"
	}
	var b strings.Builder
	for _, f := range [...][2]string{{"run", s.Run}, {"digest", s.Digest}, {"dir", s.Dir}, {"code", s.Code},
		{"grace", strconv.FormatInt(ceilMilli(grace), 10)}, {"limit", strconv.FormatInt(ceilMilli(s.Limit), 10)},
		{"lease", strconv.FormatInt(ceilMilli(s.Lease), 10)},
		{"shared", shared}, {"attempt", strconv.Itoa(attempt)}, {"resume", s.Resume},
		{"ckpt", s.CheckpointDir}, {"outputs", s.OutputDir}} {
		fmt.Fprintf(&b, "sp_%s=%s\n", f[0], quote(f[1]))
	}
	b.WriteString(specEnv)
	for _, name := range slices.Sorted(maps.Keys(s.Env)) {
		fmt.Fprintf(&b, "export %s=%s\n", name, quote(s.Env[name]))
	}
	b.WriteString(specExec)
	for _, arg := range s.Argv {
		b.WriteString(" " + quote(arg))
	}
	b.WriteString(specEnd)
	return []byte(b.String())
}

// parseSpec reads what formatSpec wrote, and nothing else: it knows no shell. Defaults come back filled in.
func parseSpec(text []byte) (Spec, error) {
	bad := &Refused{Code: RefusedSpec, Reason: "the spec arrived cut or damaged"}
	left := string(text)
	f := map[string]string{}
	for {
		rest, ok := strings.CutPrefix(left, "sp_")
		name, value, found := strings.Cut(rest, "=")
		if !ok || !found || strings.HasPrefix(left, specEnv) {
			break
		}
		if f[name], left, ok = unquote(value); !ok || !strings.HasPrefix(left, "\n") {
			return Spec{}, bad
		}
		left = left[1:]
	}
	s := Spec{Run: f["run"], Digest: f["digest"], Dir: f["dir"], Code: f["code"], Resume: f["resume"], CheckpointDir: f["ckpt"],
		OutputDir: f["outputs"], Shared: f["shared"] == "1", Env: map[string]string{}}
	grace, err1 := strconv.ParseInt(f["grace"], 10, 64)
	limit, err2 := strconv.ParseInt(f["limit"], 10, 64)
	lease, err3 := strconv.ParseInt(f["lease"], 10, 64)
	attempt, err4 := strconv.Atoi(f["attempt"])
	if errors.Join(err1, err2, err3, err4) != nil || max(grace, limit, lease) > maxDuration.Milliseconds() {
		return Spec{}, bad
	}
	s.Grace, s.Limit, s.Lease, s.Attempt = time.Duration(grace)*time.Millisecond, time.Duration(limit)*time.Millisecond, time.Duration(lease)*time.Millisecond, attempt
	left, ok := strings.CutPrefix(left, specEnv)
	for ok && strings.HasPrefix(left, "export ") {
		var name, value string
		name, left, ok = strings.Cut(left[len("export "):], "=")
		if ok {
			value, left, ok = unquote(left)
			s.Env[name] = value
		}
		if ok {
			left, ok = strings.CutPrefix(left, "\n")
		}
	}
	if ok {
		left, ok = strings.CutPrefix(left, specExec)
	}
	for ok && strings.HasPrefix(left, " ") {
		var arg string
		arg, left, ok = unquote(left[1:])
		s.Argv = append(s.Argv, arg)
	}
	if !ok || left != specEnd || s.Validate() != nil {
		return Spec{}, bad
	}
	return s, nil
}

// unquote reads one value of quote from the front of text.
func unquote(text string) (value, rest string, ok bool) {
	var b strings.Builder
	for {
		if text, ok = strings.CutPrefix(text, "'"); !ok {
			return "", "", false
		}
		part, after, closed := strings.Cut(text, "'")
		if !closed {
			return "", "", false
		}
		b.WriteString(part)
		if text, ok = strings.CutPrefix(after, `\'`); !ok {
			return b.String(), after, true
		}
		b.WriteByte('\'')
	}
}

// ceilMilli rounds up, so that a time above zero never becomes none.
func ceilMilli(d time.Duration) int64 {
	return int64((d + time.Millisecond - 1) / time.Millisecond)
}
