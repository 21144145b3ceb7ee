package job

import (
	"context"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Guard is what a machine does by itself, whoever is gone: see [Arm].
type Guard struct {
	// Lifetime is how long the machine may be up in all, reboots included, from the first [Arm] on. Required.
	Lifetime time.Duration
	// Keep is how long the machine may go without an active run; 0: it is never ended for idleness.
	Keep time.Duration
	// Grace is the most that a run gets from TERM to KILL when the machine ends; 0: 30 s. A run whose own grace
	// is shorter gets its own.
	Grace time.Duration
	// User is whom the jobs of this machine run as, where its supervisor is root; empty: as the supervisor. The
	// user must exist on the machine.
	User string
}

// Hello is what a machine says of itself.
type Hello struct {
	Up     time.Duration // the machine's uptime; comparable with itself only
	Boot   string        // changes with every boot
	Guard  bool          // the guard is armed, and its process lives
	Left   time.Duration // until the lifetime is over, by the machine's uptime; 0: over, or no guard
	Ending string        // why the machine is ending: lifetime, lease, idle or reboot; empty: it is not
	Notice string        // whether the cloud's word that it takes the machine back is heard: watched, deaf (it cannot be asked), taken (it has come); empty: not listened for
	Steps  []string      // the names of its end steps, in order; none: it ends its runs, and stays
}

var (
	userName = regexp.MustCompile(`^[a-z_][a-z0-9_-]{0,31}$`)
	endCause = regexp.MustCompile(`^(lifetime|lease|idle|reboot)?$`)
	notices  = regexp.MustCompile(`^(watched|deaf|taken)?$`)
	stepName = regexp.MustCompile(`^[0-9][A-Za-z0-9-]{0,63}$`)
	bootID   = regexp.MustCompile(`^[A-Za-z0-9-]{1,64}$`)
)

// Validate returns a *FieldError for the first thing wrong.
func (g Guard) Validate() error {
	switch {
	case g.Lifetime <= 0 || g.Lifetime > maxDuration:
		return &FieldError{"Lifetime", "must be above 0 and at most ten years"}
	case g.Keep < 0 || g.Keep > maxDuration:
		return &FieldError{"Keep", "must be between 0 and ten years"}
	case g.Grace < 0 || g.Grace > maxDuration:
		return &FieldError{"Grace", "must be between 0 and ten years"}
	case g.User != "" && !userName.MatchString(g.User):
		return &FieldError{"User", "is no plain user name"}
	}
	return nil
}

// args are the guard's words on the wire, where an empty user is "-".
func (g Guard) args() []string {
	grace, user := g.Grace, g.User
	if grace == 0 {
		grace = defaultGrace
	}
	if user == "" {
		user = "-"
	}
	milli := func(d time.Duration) string { return strconv.FormatInt(ceilMilli(d), 10) }
	return []string{milli(g.Lifetime), milli(g.Keep), milli(grace), user}
}

// Arm arms the machine's guard, a process that outlives every caller. It ends the machine when the lifetime is over;
// when no run has been active for Keep; at once when the last run that was active was ended by its lease; and 15
// minutes (or Keep, if that is shorter) after a reboot, unless somebody says [Greet] or starts a run before. Ending
// means: new runs are refused, active ones are drained and get receipts, then the end steps follow each other for ever
// (see [Boot]). The guard also takes over runs whose supervisor was killed. The first Arm holds: the same again is nil,
// other values are *[Refused] with [RefusedGuard].
func Arm(ctx context.Context, m Machine, g Guard) error {
	if err := g.Validate(); err != nil {
		return err
	}
	lines, err := ask(ctx, m, nil, append([]string{"guard"}, g.args()...)...)
	if err == nil && (len(lines) != 1 || lines[0].Kind != kindArmed) {
		err = errDamaged
	}
	return err
}

// Greet asks a machine what it is, and tells a guard that its controller has come back after a reboot.
func Greet(ctx context.Context, m Machine) (Hello, error) {
	lines, err := ask(ctx, m, nil, "hello")
	if err != nil {
		return Hello{}, err
	}
	if len(lines) != 1 || lines[0].Kind != kindHello {
		return Hello{}, errDamaged
	}
	return parseHello(lines[0])
}

// formatHello makes the line of a hello.
func formatHello(h Hello) string {
	guard := 0
	if h.Guard {
		guard = 1
	}
	return formatLine(kindHello, fmt.Sprint("up=", int64(h.Up/centi)), "boot="+h.Boot, fmt.Sprint("guard=", guard),
		fmt.Sprint("left=", int64(h.Left/centi)), "ending="+h.Ending, "notice="+h.Notice, "steps="+strings.Join(h.Steps, ","))
}

func parseHello(l reply) (Hello, error) {
	up, ok1 := l.number("up")
	left, ok2 := l.number("left")
	h := Hello{Up: time.Duration(up) * centi, Boot: l.Fields["boot"], Guard: l.Fields["guard"] == "1",
		Left: time.Duration(left) * centi, Ending: l.Fields["ending"], Notice: l.Fields["notice"]}
	if !ok1 || !ok2 || up < 0 || up > maxCentis || left < 0 || left > maxCentis || !bootID.MatchString(h.Boot) ||
		!endCause.MatchString(h.Ending) || !notices.MatchString(h.Notice) || !h.Guard && l.Fields["guard"] != "0" {
		return Hello{}, errDamaged
	}
	if steps := l.Fields["steps"]; steps != "" {
		h.Steps = strings.Split(steps, ",")
	}
	for _, s := range h.Steps {
		if !stepName.MatchString(s) {
			return Hello{}, errDamaged
		}
	}
	return h, nil
}
