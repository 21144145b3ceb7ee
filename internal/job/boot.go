package job

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// powerOff is how a machine of a cloud turns itself off, from the mildest. Each is a script of its own that is given
// the cause as $1. None may use exec: where the machine cannot make another process any more, they are read in by
// the guard's own shell, and the last, which needs none, is the one that works.
var powerOff = map[string]string{
	"10-systemctl-poweroff": "systemctl poweroff\n",
	"20-poweroff-f":         "poweroff -f\n",
	"30-sysrq-o":            "echo s >/proc/sysrq-trigger\necho o >/proc/sysrq-trigger\n",
}

const scriptDelimiter = "RUNCTL-END-OF-SCRIPT"

// bootScript is the supervisor without what only a client asks for, which brings its own.
var bootScript = compact(source(map[string]bool{"55-code.sh": true, "60-files.sh": true}))

// sharedRoot is where the supervisor lives when jobs run as another user, who may not pass through root's home.
const sharedRoot = "/var/lib/runctl"

// Boot returns a POSIX sh script for the machine's root to run at every boot, such as a cloud-boothook: it installs a
// supervisor, writes the end steps and arms the guard, or finds all that and starts the guard again. It is meant for
// machines that are entered as root: the root of the supervisor is $RUNCTL_ROOT, else .runctl in the home of whoever
// runs it, which for a guard with a User becomes a link to /var/lib/runctl. steps are the end steps by name, a digit
// and then letters, digits and '-'; each is the text of a script that must not use exec. nil: the set that turns a
// machine off. It has no secret. Boot panics when the guard or a name is not valid: both are the program's, not its
// user's.
func Boot(g Guard, steps map[string]string) []byte {
	if err := g.Validate(); err != nil {
		panic(err)
	}
	if steps == nil {
		steps = powerOff
	}
	var b bytes.Buffer
	b.WriteString("#!/bin/sh\numask 077\n[ -n \"$HOME\" ] || HOME=~root\nexport HOME\n")
	if g.User != "" {
		fmt.Fprintf(&b, "[ -n \"$RUNCTL_ROOT\" ] || [ -e \"$HOME/.runctl\" ] || { mkdir -p %s && chmod 711 %s && ln -s %s \"$HOME/.runctl\"; }\n",
			sharedRoot, sharedRoot, sharedRoot)
	}
	fmt.Fprintf(&b, "R=${RUNCTL_ROOT:-$HOME/.runctl} S=$R/v1/sup-%s\nmkdir -p \"$R/v1\" \"$R/guard/end.d\" || exit\n", idOf(bootScript))
	fmt.Fprintf(&b, "[ -f \"$S\" ] || { cat >\"$S.$$\" <<'%s'\n%s%s\nmv -f \"$S.$$\" \"$S\"; }\n", scriptDelimiter, bootScript, scriptDelimiter)
	for _, name := range slices.Sorted(maps.Keys(steps)) {
		if !stepName.MatchString(name) {
			panic(&FieldError{"steps", "has a name that is not a digit and then letters, digits and '-'"})
		}
		fmt.Fprintf(&b, "printf '%%s' %s >\"$R/guard/end.d/%s\"\n", quote(steps[name]), name)
	}
	fmt.Fprintf(&b, "exec sh \"$S\" guard %s\n", strings.Join(g.args(), " "))
	return b.Bytes()
}
