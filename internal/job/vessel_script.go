package job

import (
	"embed"
	"fmt"
	"strings"
	"time"
)

//go:embed sh/vessel/*.sh
var vesselParts embed.FS

// supervision is what a container's first process needs of the supervisor.
var supervision = source(map[string]bool{"52-end.sh": true, "54-verify.sh": true, "55-code.sh": true, "60-files.sh": true, "90-main.sh": true})

// settings become variables ve_NAME of the script.
type settings [][2]string

func centis(d time.Duration) string { return fmt.Sprint((ceilMilli(d) + 9) / 10) }

func vesselPart(name string) string { return embedded(vesselParts, "sh/vessel/"+name) }

func scriptPart(name string) string { return embedded(scriptParts, "sh/"+name) }

func embedded(fs embed.FS, name string) string {
	text, err := fs.ReadFile(name)
	if err != nil {
		panic(err) // a name of our own
	}
	return string(text)
}

// firstProcess is the script that writes down the supervisor, and the spec where there is one, and becomes it with the
// verb. Where nothing can be written it says so for ever.
func firstProcess(verb, run string, set settings, end, spec string, parts ...string) string {
	var b strings.Builder
	if b.WriteString(compact(supervision)); verb == "berth" {
		b.WriteString(compact(scriptPart("52-end.sh")))
	}
	for _, s := range append(settings{{"run", run}}, set...) {
		fmt.Fprintf(&b, "ve_%s=%s\n", s[0], quote(s[1]))
	}
	b.WriteString(compact(end + "\n"))
	for _, name := range append([]string{"70-first.sh"}, parts...) {
		b.WriteString(compact(vesselPart(name)))
	}
	fmt.Fprintf(&b, "case $1 in %s) verb=$1; shift; %s \"$@\" ;; esac\n", verb, verb)
	b.WriteString(compact(scriptPart("90-main.sh")))
	text := b.String()
	return fmt.Sprintf(prologue, "sup-"+idOf(text), quote(text), len(text), quote(spec), len(spec), verb, run)
}

// prologue chooses where the supervisor lives: the root of a container is its own, and nothing of it must survive.
const prologue = `for R in "$RUNCTL_ROOT" "$HOME/.runctl" /var/lib/runctl /tmp/.runctl /dev/shm/.runctl; do
case $R in /*) (umask 077; mkdir -p "$R/v1") 2>/dev/null && [ -w "$R/v1" ] && break ;; esac
done
RUNCTL_ROOT=$R RUNCTL_DIR=$PWD S=$R/v1/%s
export RUNCTL_ROOT RUNCTL_DIR
(
umask 077
printf '%%s' %s >"$S" && [ $(($(wc -c <"$S"))) = %d ] && printf '%%s' %s >"$R/spec" && [ $(($(wc -c <"$R/spec"))) = %d ] || exit
[ -p "$R/hold" ] || mkfifo "$R/hold"
) && exec sh "$S" %s
N=$RUNCTL_NONCE A=$(date +%%s)
unset RUNCTL_NONCE
trap : HUP INT QUIT TERM
while :; do
echo "RUNCTL_START v=1 nonce=$N boot=0 run=%s at=$A job=refused selfend=no keeps= text=nothing can be written in this container"
sleep 30
done
`
