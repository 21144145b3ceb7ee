package job

import (
	"fmt"
	"path"
	"strings"
	"time"
	"unicode/utf8"
)

// Vessel is a container that is one job: its first process is a script which supervises the job, prints its log and its
// receipt as lines, and never returns, since hosts start again whatever does. What it prints is read by [ReadLine] and
// [LogReader].
type Vessel struct {
	Spec Spec // Dir is relative to the image's own working directory; Code, Lease and Shared must not be set
	// Durable is a directory on storage that outlives the container: with it at most one start of the job is ever
	// made, and its receipt and log are kept there. Empty: none; then a container that starts again before StartBy
	// runs the job again, and who reads sees that.
	Durable string
	// StartBy is the last moment, by the container's clock, at which the job may begin. Required.
	StartBy time.Time
	// Lifetime is how long the container may go on, and EndBy the moment, by its clock, after which it has no
	// lifetime left, however often it was started. Both are required.
	Lifetime time.Duration
	EndBy    time.Time
	// Linger is how long it stays after the job's end, so that the end can be read. 0: it ends at once.
	Linger time.Duration
	// End is shell text that defines two functions: end_ask says by its exit code whether the container may end
	// itself, end_now asks for that end. They have no terminal and no input.
	End string
}

// Script returns the text for /bin/sh -c. It has no secret but those in Spec.Env. The environment of the container
// must have RUNCTL_NONCE, which the job does not get.
func (v Vessel) Script() (string, error) {
	if err := v.Spec.Validate(); err != nil {
		return "", err
	}
	switch {
	case v.Spec.Code != "" || v.Spec.Lease != 0 || v.Spec.Shared:
		return "", &FieldError{"Spec", "has Code, Lease or Shared, which a container of one job does not take"}
	case path.IsAbs(v.Spec.Dir):
		return "", &FieldError{"Dir", "must be relative to the image's working directory"}
	case v.Durable != "" && (!path.IsAbs(v.Durable) || path.Clean(v.Durable) != v.Durable):
		return "", &FieldError{"Durable", "must be an absolute, clean path"}
	case v.StartBy.IsZero() || v.EndBy.IsZero():
		return "", &FieldError{"StartBy", "and EndBy must be set"}
	case v.Lifetime <= 0 || v.Lifetime > maxDuration || v.Linger < 0 || v.Linger > maxDuration:
		return "", &FieldError{"Lifetime", "must be above 0, Linger not negative, both at most ten years"}
	}
	s := v.Spec
	if v.Durable != "" {
		s.CheckpointDir, s.OutputDir = v.Durable+"/checkpoints", v.Durable+"/outputs"
	}
	// The image's working directory is known to the container alone.
	spec := strings.Replace(string(formatSpec(s)), "sp_dir="+quote(s.Dir)+"\n", "sp_dir=$RUNCTL_DIR/"+quote(s.Dir)+"\n", 1)
	spec = strings.Replace(spec, specEnv, "sp_env() {\nunset RUNCTL_DIR\n", 1)
	if !utf8.ValidString(spec) {
		return "", &FieldError{"Spec", "is not UTF-8, which is all that a container's start command can hold"}
	}
	grace := s.Grace
	if grace == 0 {
		grace = defaultGrace
	}
	set := settings{{"digest", s.Digest}, {"bytes", fmt.Sprint(len(spec))}, {"durable", v.Durable},
		{"start_by", fmt.Sprint(v.StartBy.Unix())}, {"end_by", fmt.Sprint(v.EndBy.Unix())}, {"life", centis(v.Lifetime)},
		{"linger", centis(v.Linger)}, {"grace", centis(grace)}}
	return firstProcess("vessel", s.Run, set, v.End, spec, "72-pump.sh", "74-vessel.sh"), nil
}
