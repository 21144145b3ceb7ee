package cli

import (
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"runctl"
)

// maxName is the longest name of a run: it is the key of the launch.
const maxName = 24

var validName = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,22}[a-z0-9])?$`)

// wrappers are programs that run another one, which names the run better.
var wrappers = []string{"python", "python3", "sh", "bash", "go", "uv", "env", "node", "torchrun", "time"}

// programName is the part of a new run's name that people recognise.
func programName(args []string) string {
	word := func(s string) string {
		base := filepath.Base(s)
		return slug(strings.TrimSuffix(base, filepath.Ext(base)), maxName-8, true)
	}
	name := word(args[0])
	if slices.Contains(wrappers, name) {
		for _, w := range args[1:] {
			if w == "-c" {
				break
			}
			if inner := word(w); !strings.HasPrefix(w, "-") && w != "run" && !strings.Contains(w, "=") && inner != "" {
				name = inner
				break
			}
		}
	}
	if name == "" {
		return "run"
	}
	return name
}

// nameRun fills in the record's name, job and attempt. Without a wish a new name is made; a name whose last
// attempt has ended gives the next attempt of the same job.
func nameRun(r *record, wish string, all []*record) error {
	if wish == "" {
		r.Job = programName(r.Args) + "-" + randomText("abcdefghjkmnpqrstuvwxyz023456789", 4)
		r.Name, r.Attempt = r.Job, 1
		return nil
	}
	if !validName.MatchString(wish) {
		return usagef("--name %q: 1 to %d characters of a-z, 0-9 and inner '-'", wish, maxName)
	}
	r.Job, r.Name, r.Attempt = wish, wish, 1
	taken := map[string]bool{}
	for _, o := range all {
		taken[o.Name] = true
		if o.Job != wish && o.Name != wish {
			continue
		}
		if o.live() {
			return fmt.Errorf("%s: the name is in use by a live run. Nothing was launched.\n%s", o.Name, followUp(o))
		}
		if o.Job == wish {
			r.Attempt = max(r.Attempt, o.Attempt+1)
		}
	}
	for n := max(r.Attempt, 2); taken[r.Name]; n++ {
		r.Attempt, r.Name = n, wish+"-"+strconv.Itoa(n)
	}
	if !validName.MatchString(r.Name) {
		return usagef("--name %q: too long for attempt %d; choose a shorter one", wish, r.Attempt)
	}
	return nil
}

// followUp are the commands that go on with a run and end it.
func followUp(r *record) string {
	return fmt.Sprintf("%-36s follow again, collect, terminate\n%-36s stop now, checkpoint first",
		command("runctl", "attach", r.Name), command("runctl", "cancel", r.Name))
}

// findRun finds the run that the arguments mean: the last attempt of a job by its name, a run by its name,
// its reference or a unique beginning, or without arguments the only live one.
func (a *app) findRun(s *state, args []string) (*record, error) {
	all, broken := s.records()
	if len(args) == 0 {
		live := slices.DeleteFunc(slices.Clone(all), func(r *record) bool { return !r.live() })
		switch {
		case broken != nil:
			return nil, broken
		case len(live) == 0:
			return nil, usagef("no run is live: name one; runctl ps -a lists those that ended")
		case len(live) > 1:
			return nil, usagef("%d runs are live: name one of %s", len(live), nameList(live))
		}
		a.say.sayf("%s, the only live run", live[0].Name)
		return live[0], nil
	}
	name := args[0]
	if strings.HasPrefix(name, "rc1:") {
		return a.recordOf(s, name, all)
	}
	var last *record
	for _, r := range all {
		if r.Job == name && (last == nil || r.Attempt > last.Attempt) {
			last = r
		}
	}
	if last != nil {
		return last, nil
	}
	var found []*record
	for _, r := range all {
		if r.Name == name || r.Attempt == 1 && r.Name+"-1" == name {
			return r, nil
		}
		if strings.HasPrefix(r.Name, name) && name != "" {
			found = append(found, r)
		}
	}
	switch {
	case len(found) == 1:
		return found[0], nil
	case len(found) > 1:
		return nil, usagef("%q is the beginning of %s: write more of it", name, nameList(found))
	case broken != nil:
		return nil, broken
	}
	return nil, fmt.Errorf("no run %q is known here; runctl ps -a lists them", name)
}

// recordOf makes a record for a run that was started elsewhere, from its reference.
func (a *app) recordOf(s *state, text string, all []*record) (*record, error) {
	ref, err := runctl.ParseRef(text)
	if err != nil {
		return nil, err
	}
	if ref.Run == "" {
		return nil, usagef("%q is a machine's reference: one of a run is needed", text)
	}
	for _, r := range all {
		if r.Name == ref.Run {
			return r, nil
		}
	}
	if ref.Owner != s.owner {
		return nil, fmt.Errorf("the run belongs to owner %q, and we are %q", ref.Owner, s.owner)
	}
	return &record{Name: ref.Run, Job: ref.Run, Attempt: 1, Ref: ref, Dir: a.dir, OutDir: a.outDir(ref.Run),
		Created: a.now().UTC(), Phase: phaseRunning, ByHand: ref.Run != ref.Key}, nil
}

// outDir is where the log and the outputs of a run go.
func (a *app) outDir(name string) string { return filepath.Join(a.dir, "runctl-out", name) }

func nameList(rs []*record) string {
	var names []string
	for _, r := range rs {
		names = append(names, r.Name)
	}
	return strings.Join(names, ", ")
}
