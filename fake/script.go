package fake

import (
	"fmt"
	"strings"
	"time"
)

// Script says what a job does, by the clock since its start. The zero value ends at once with code 0 and
// no output. A job without a script does that too, after one line that names its program.
type Script struct {
	// Log is the whole output. Line i of n is there at (i+1)/n of Duration, and never in part.
	Log string
	// Duration is how long the job runs when nobody interferes; 0: it ends at once, with all of Log.
	Duration time.Duration
	// Hold keeps the job running after Duration until [Cloud.Finish], its limit or a cancel.
	Hold bool

	ExitCode int    // of a job that ends by itself
	Signal   string // without SIG: the job dies of it; ExitCode is then 128 and its number
	Cause    string // of a job that ends by itself, such as notfound or again; empty: exit, or signal with Signal

	Checkpoints []Checkpoint      // committed on the way, in order of At
	Outputs     map[string]string // relative path to content

	// SaveTime is how long the job goes on after TERM before it exits with SaveCode; longer than the
	// grace, KILL ends it. 0: it dies of TERM at once.
	SaveTime time.Duration
	SaveCode int
	// IgnoreTerm lets the job go on after TERM as if nothing had come; KILL ends it after the grace.
	IgnoreTerm bool
}

// Checkpoint is one that a scripted job commits.
type Checkpoint struct {
	At   time.Duration // since the job's start
	Name string        // relative to the checkpoint directory
}

// scripted are the scripts under one key, and how many starts they have served.
type scripted struct {
	scripts []Script
	starts  int
}

// Script says what jobs do that start from now on: those with the run id, or on the machine launched
// with the key; "" is for all others. The nth start takes the nth script, and the last one stays.
// Without scripts the key is forgotten.
func (c *Cloud) Script(key string, scripts ...Script) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if delete(c.scripts, key); len(scripts) > 0 {
		c.scripts[key] = &scripted{scripts: append([]Script(nil), scripts...)}
	}
}

// script chooses a script for a start. c.mu is held.
func (c *Cloud) script(run, key string, argv []string) Script {
	for _, k := range []string{run, key, ""} {
		if s := c.scripts[k]; s != nil {
			n := min(s.starts, len(s.scripts)-1)
			s.starts++
			return s.scripts[n]
		}
	}
	return Script{Log: fmt.Sprintf("fake: %s\n", strings.Join(argv, " "))}
}

// until cuts the script to what it does within d: its log stops, and it goes on without an end of its own.
func (s Script) until(d time.Duration) Script {
	if !s.Hold && s.Duration < d {
		return s
	}
	s.Log = s.Log[:s.logged(d)]
	s.Duration, s.Hold = min(d, s.Duration), true
	return s
}

// logged returns how many bytes of log there are at an age.
func (s Script) logged(age time.Duration) int {
	if age >= s.Duration || s.Log == "" {
		return len(s.Log)
	}
	lines := strings.Count(s.Log, "\n")
	if !strings.HasSuffix(s.Log, "\n") {
		lines++
	}
	// A float is exact to a nanosecond of weeks, and a line more or less at the very edge is no matter.
	want, off := int(float64(lines)*(float64(max(age, 0))/float64(s.Duration))), 0
	for range want {
		off += strings.IndexByte(s.Log[off:], '\n') + 1
	}
	return off
}

// nextLine returns the age at which the next line appears; false when all have.
func (s Script) nextLine(age time.Duration) (time.Duration, bool) {
	have := s.logged(age)
	if have == len(s.Log) {
		return 0, false
	}
	lines, done := strings.Count(s.Log, "\n"), strings.Count(s.Log[:have], "\n")
	if !strings.HasSuffix(s.Log, "\n") {
		lines++
	}
	return time.Duration(float64(s.Duration)*float64(done+1)/float64(lines)) + 1, true
}

// checkpoint returns the last one committed by an age; empty: none.
func (s Script) checkpoint(age time.Duration) (name string) {
	for _, c := range s.Checkpoints {
		if c.At <= age {
			name = c.Name
		}
	}
	return name
}
