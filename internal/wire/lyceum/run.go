package lyceum

import (
	"cmp"
	"math"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"runctl/internal/wire"
)

// The states of a run that the face brings about by itself.
const (
	Starting      = "starting"
	Running       = "running"
	Cancelling    = "cancelling"
	Completed     = "completed"
	RunFailed     = "failed"
	SystemFailure = "system_failure"
	Aborted       = "aborted"
	TimedOut      = "timeout"
)

// Run is a run as it is, whatever a request may be told.
type Run struct {
	ID, FileName, Machine string
	Image                 string // of a container; empty: Code is Python
	Command               []string
	Env                   map[string]string
	Code                  string
	Files                 map[string]string // beside the code
	Timeout, Grace        time.Duration
	Status                string
	Over                  bool
	ReturnCode            *int // nil: none
	Born                  time.Time
}

// Line is something that a scripted run prints, so long after it has begun. Text is printed as it is, so a line has its
// end in it.
type Line struct {
	After   time.Duration
	Text    string
	Channel string // "stderr"; empty: stdout
}

// Script is what a run does.
type Script struct {
	Lines []Line        // in the order of time
	Exit  time.Duration // it ends so long after its beginning; negative: never
	Code  int           // with this exit code
	Fault string        // it is the platform that ends it, with these words; empty: it ends by itself
}

// entry is something that a run has printed, or will.
type entry struct {
	at            time.Time
	text, channel string
}

// run is a run and what becomes of it. What a script does is known from the start, with its times.
type run struct {
	Run
	f       *Face
	began   time.Time // when it starts running
	ended   time.Time // when it is over; zero: not known yet
	state   string    // from then on
	fault   string    // the platform's words about its failure
	asked   time.Time // when an abort was asked for
	late    bool      // a process has been killed for the time that it took
	entries []entry
	hidden  time.Time // missing from lists until then
	unknown time.Time // 404 until then
	box     *wire.Box
}

// launch makes a run. The lock is held.
func (f *Face) launch(is Run) *run {
	now := time.Now()
	f.serial++
	r := &run{Run: is, f: f, hidden: now.Add(f.opt.ListLag), unknown: now.Add(f.opt.GetLag)}
	r.ID, r.Born, r.began = f.newID(), now, now.Add(f.opt.Queue+f.opt.Boot)
	f.runs = append(f.runs, r)
	f.ledger.Set(r.ID, Pending, now, 0)
	f.ledger.Set(r.ID, Running, r.began, machines[r.Machine])
	if f.opt.Real != nil {
		time.AfterFunc(time.Until(r.began), func() {
			f.mu.Lock()
			defer f.mu.Unlock()
			if !f.closed && r.ended.IsZero() && r.asked.IsZero() {
				r.box = f.opt.Real.start(r)
			}
		})
		return r
	}
	var s Script
	if f.opt.Script != nil {
		s = f.opt.Script(r.Run)
	}
	for _, l := range s.Lines {
		r.entries = append(r.entries, entry{r.began.Add(l.After), l.Text, l.Channel})
	}
	switch {
	case s.Exit < 0 || s.Exit > r.Timeout:
		r.end(r.began.Add(r.Timeout), TimedOut, nil)
	case s.Fault != "":
		r.fault = s.Fault
		r.end(r.began.Add(s.Exit), SystemFailure, nil)
	case s.Code != 0:
		r.end(r.began.Add(s.Exit), RunFailed, &s.Code)
	default:
		r.end(r.began.Add(s.Exit), Completed, &s.Code)
	}
	return r
}

// end says when a run is over, and how. What it would have printed later it does not. The lock is held.
func (r *run) end(at time.Time, state string, code *int) {
	r.ended, r.state, r.ReturnCode = at, state, code
	r.entries = slices.DeleteFunc(r.entries, func(e entry) bool { return e.at.After(at) })
	r.f.ledger.End(r.ID, at)
	r.f.changed.Notify()
}

func (r *run) over(now time.Time) bool { return !r.ended.IsZero() && !r.ended.After(now) }

// status is the state at a time.
func (r *run) status(now time.Time) string {
	switch {
	case r.over(now):
		return r.state
	case !r.asked.IsZero():
		return Cancelling
	case now.Before(r.Born.Add(r.f.opt.Queue)):
		return Pending
	case now.Before(r.began):
		return Starting
	}
	return Running
}

// told is the run as it is.
func (r *run) told(now time.Time) Run {
	is := r.Run
	is.Status, is.Over = r.status(now), r.over(now)
	if !is.Over {
		is.ReturnCode = nil
	}
	return is
}

// halt is an abort that was asked for.
func (r *run) halt(now time.Time) {
	if r.over(now) || !r.asked.IsZero() {
		return
	}
	r.asked = now
	as := cmp.Or(r.f.opt.AbortedAs, Aborted)
	switch {
	case r.box != nil:
		go r.box.Stop(r.Grace)
	case as == Completed:
		r.end(now.Add(r.f.opt.Aborting), as, new(int))
	default:
		r.end(now.Add(r.f.opt.Aborting), as, nil)
	}
	r.f.changed.Notify()
}

// next is when something happens by itself after a time; false: nothing will.
func (r *run) next(now time.Time) (time.Time, bool) {
	for _, e := range r.entries {
		if e.at.After(now) {
			return e.at, true
		}
	}
	return r.ended, r.ended.After(now)
}

// say adds what a process has printed.
func (r *run) say(text string) {
	r.f.mu.Lock()
	defer r.f.mu.Unlock()
	r.entries = append(r.entries, entry{at: time.Now(), text: strings.ToValidUTF8(text, string(utf8.RuneError))})
	r.f.changed.Notify()
}

// returned is what the platform makes of the end of a process. The lock is held.
func (r *run) returned(now time.Time, code int) {
	switch {
	case !r.ended.IsZero():
	case r.late:
		r.end(now, TimedOut, nil)
	case !r.asked.IsZero():
		r.end(now, cmp.Or(r.f.opt.AbortedAs, Aborted), nil)
	case code != 0:
		r.end(now, RunFailed, &code)
	default:
		r.end(now, Completed, &code)
	}
}

// output is what a run has printed until a time, of one channel or, with empty, of both.
func (r *run) output(now time.Time, channel string) string {
	var b strings.Builder
	for _, e := range r.entries {
		if !e.at.After(now) && (channel == "" || channel == cmp.Or(e.channel, "stdout")) {
			b.WriteString(e.text)
		}
	}
	return b.String()
}

// billed is what a run has cost, to a millionth.
func (r *run) billed(now time.Time) float64 {
	return math.Round(r.f.ledger.Spent(r.ID, now)*1e6) / 1e6
}

// withRun runs do on a run, under the lock. An id that never was panics: a mistake of the test.
func (f *Face) withRun(id string, do func(r *run, now time.Time)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, r := range f.runs {
		if r.ID == id {
			do(r, time.Now())
			return
		}
	}
	panic("lyceum: no run " + id)
}

// Runs returns all runs, those that are over too.
func (f *Face) Runs() (all []Run) {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := time.Now()
	for _, r := range f.runs {
		all = append(all, r.told(now))
	}
	return all
}

// AddRun puts a run of somebody else into the organisation, which goes on until it is aborted.
func (f *Face) AddRun(fileName string) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := time.Now()
	f.serial++
	r := &run{Run: Run{FileName: fileName, Machine: "cpu", Image: "busybox", Timeout: stuck, Grace: time.Second}, f: f}
	r.ID, r.Born, r.began = f.newID(), now, now
	f.runs = append(f.runs, r)
	f.ledger.Set(r.ID, Running, now, machines["cpu"])
	return r.ID
}

// FailRun lets the platform end a run, with its words about it.
func (f *Face) FailRun(id, words string) {
	f.withRun(id, func(r *run, now time.Time) {
		r.fault = words
		r.end(now, SystemFailure, nil)
		if r.box != nil {
			go r.box.Kill()
		}
	})
}

// SetRun brings a run into a state that it then has for ever, with a return code or without.
func (f *Face) SetRun(id, state string, code *int) {
	f.withRun(id, func(r *run, now time.Time) { r.end(now, state, code) })
}

// ForgetRun deletes the record of a run.
func (f *Face) ForgetRun(id string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.runs = slices.DeleteFunc(f.runs, func(r *run) bool { return r.ID == id })
	f.ledger.End(id, time.Now())
	f.changed.Notify()
}

// Say lets a run print something.
func (f *Face) Say(id, text string) {
	f.withRun(id, func(r *run, now time.Time) {
		r.entries = append(r.entries, entry{at: now, text: text})
		f.changed.Notify()
	})
}
