package job

import (
	"embed"
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

//go:embed sh/vessel/*.sh
var vesselParts embed.FS

// first are the parts of the supervisor that a container's first process needs.
var first = source(map[string]bool{"52-end.sh": true, "54-verify.sh": true, "55-code.sh": true, "60-files.sh": true, "90-main.sh": true})

func vesselPart(name string) string {
	text, err := vesselParts.ReadFile("sh/vessel/" + name)
	if err != nil {
		panic(err) // it is embedded
	}
	return string(text)
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
	settings := settings{{"run", s.Run}, {"digest", s.Digest}, {"bytes", fmt.Sprint(len(spec))}, {"durable", v.Durable},
		{"start_by", fmt.Sprint(v.StartBy.Unix())}, {"end_by", fmt.Sprint(v.EndBy.Unix())}, {"life", centis(v.Lifetime)},
		{"linger", centis(v.Linger)}, {"grace", centis(grace)}}
	return firstProcess("vessel", settings, v.End, map[string]string{"spec": spec}, "74-vessel.sh"), nil
}

func centis(d time.Duration) string { return fmt.Sprint((ceilMilli(d) + 9) / 10) }

type settings [][2]string

// firstProcess is the script that writes the supervisor and files down, and becomes it. Where nothing can be written
// it says so for ever.
func firstProcess(verb string, set settings, end string, files map[string]string, parts ...string) string {
	var b strings.Builder
	b.WriteString(first)
	for _, s := range set {
		fmt.Fprintf(&b, "ve_%s=%s\n", s[0], quote(s[1]))
	}
	b.WriteString(strings.TrimSuffix(end, "\n") + "\n")
	for _, name := range append([]string{"70-first.sh"}, parts...) {
		if name == "74-vessel.sh" {
			b.WriteString(vesselPart("72-pump.sh"))
		}
		b.WriteString(vesselPart(name))
	}
	main, _ := scriptParts.ReadFile("sh/90-main.sh")
	b.Write(main)
	supervisor := compact(b.String())

	var p strings.Builder
	p.WriteString(`for R in "$RUNCTL_ROOT" "$HOME/.runctl" /var/lib/runctl /tmp/.runctl /dev/shm/.runctl; do
case $R in /*) (umask 077; mkdir -p "$R/v1") 2>/dev/null && [ -w "$R/v1" ] && break ;; esac
done
RUNCTL_ROOT=$R RUNCTL_DIR=$PWD S=$R/v1/sup-` + idOf(supervisor) + `
export RUNCTL_ROOT RUNCTL_DIR
(
umask 077
printf '%s' ` + quote(supervisor) + ` >"$S"
`)
	size := fmt.Sprintf(`[ $(($(wc -c <"$S"))) = %d ]`, len(supervisor))
	for name, text := range files {
		fmt.Fprintf(&p, "printf '%%s' %s >\"$R/%s\"\n", quote(text), name)
		size += fmt.Sprintf(` && [ $(($(wc -c <"$R/%s"))) = %d ]`, name, len(text))
	}
	p.WriteString(`[ -p "$R/hold" ] || mkfifo "$R/hold"
` + size + `
) && exec sh "$S" ` + verb + `
N=$RUNCTL_NONCE A=$(date +%s)
unset RUNCTL_NONCE
trap : HUP INT QUIT TERM
while :; do
echo "RUNCTL_START v=1 nonce=$N boot=0 run=` + runOf(set) + ` at=$A job=refused selfend=no keeps= text=nothing can be written in this container"
sleep 30
done
`)
	return p.String()
}

func runOf(set settings) string {
	for _, s := range set {
		if s[0] == "run" {
			return s[1]
		}
	}
	return ""
}
