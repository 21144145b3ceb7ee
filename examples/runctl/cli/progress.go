package cli

import (
	"fmt"
	"strings"
	"sync"
	"time"

	"runctl"
)

// tracker shows the phases between a request and a running job: on a terminal as one line that grows,
// elsewhere as a line for each phase that took long.
type tracker struct {
	say  *speaker
	now  func() time.Time
	name string

	code bool // the job has code that goes over before it

	mu    sync.Mutex
	ended []string
	phase string
	far   string // how far the phase is
	since time.Time
	told  time.Time // of far, where there is no terminal
	why   string    // a machine that is up was not reached, when that was last told
	stop  chan struct{}
	gone  chan struct{}
}

// longPhase is how long a phase takes at least to be worth a line.
const longPhase = 5 * time.Second

// after names the phase that begins with an event.
var after = map[runctl.EventName]string{
	runctl.EventLaunching: "launching",
	runctl.EventLaunched:  "booting",
	runctl.EventAdopted:   "booting",
	runctl.EventRunning:   "connecting",
	runctl.EventConnected: "submitting", // or "syncing"
	runctl.EventSynced:    "submitting",
	runctl.EventStarted:   "running",
}

// newTracker begins to show progress; its line is drawn again every second on a terminal.
func (a *app) newTracker(name string) *tracker {
	t := &tracker{say: a.say, now: a.now, name: name, stop: make(chan struct{}), gone: make(chan struct{})}
	go func() {
		defer close(t.gone)
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				t.draw()
			case <-t.stop:
				return
			}
		}
	}()
	return t
}

// event takes note of what the client has done.
func (t *tracker) event(e runctl.Event) {
	switch e.Name {
	case runctl.EventDoubt:
		t.say.warnf("%s: %s did not say whether the machine started; looking for it", t.name, e.Provider)
	case runctl.EventRefused:
		t.say.sayf("%s: refused by %s: %s", t.name, e.Provider, problem(e.Err))
	case runctl.EventAdopted:
		t.say.sayf("%s: found machine %s", t.name, e.ID)
	case runctl.EventCall:
		t.unreached(e)
	}
	next, ok := after[e.Name]
	if !ok {
		return
	}
	if t.code && e.Name == runctl.EventConnected {
		next = syncing
	}
	t.mu.Lock()
	took := t.now().Sub(t.since)
	if t.phase != "" && t.phase != next {
		if took >= time.Second/10 {
			t.ended = append(t.ended, fmt.Sprintf("%s %s", t.phase, durText(took)))
		}
		if !t.say.tty && took >= longPhase {
			t.say.sayf("%s: %s took %s", t.name, t.phase, durText(took))
		}
	}
	if t.phase != next {
		t.phase, t.since, t.told, t.far = next, t.now(), t.now(), ""
	}
	t.mu.Unlock()
	t.draw()
}

// bootTime is how long a machine that is up may take to let anybody in before it is worth a line.
const bootTime = 90 * time.Second

// unreached tells why a machine lets nobody in yet: once, and again when the reason is another.
func (t *tracker) unreached(e runctl.Event) {
	if e.Op != "connect" || e.Err == nil {
		return
	}
	why := problem(e.Err)
	t.mu.Lock()
	tell := t.phase == after[runctl.EventRunning] && t.now().Sub(t.since) >= bootTime && why != t.why
	if tell {
		t.why = why
	}
	t.mu.Unlock()
	if tell {
		t.say.sayf("%s: not reached yet: %s", t.name, why)
	}
}

func (t *tracker) draw() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.phase == "" {
		return
	}
	text := t.name + "  " + strings.Join(append(t.ended, t.phase), "  ")
	if t.far != "" {
		text += " " + t.far
	}
	if took := t.now().Sub(t.since); t.phase != "running" && took >= time.Second {
		text += " " + durText(took.Truncate(time.Second))
	}
	t.say.progress(text)
}

// syncing is the phase in which the code goes over.
const syncing = "syncing"

// farPause is how often a long transfer is told of where there is no terminal.
const farPause = 10 * time.Second

// sync takes note of how far the code is on its way.
func (t *tracker) sync(far string) {
	t.mu.Lock()
	t.far = far
	tell := !t.say.tty && t.now().Sub(t.told) >= farPause
	if tell {
		t.told = t.now()
	}
	t.mu.Unlock()
	if tell {
		t.say.sayf("%s: %s %s", t.name, syncing, far)
	}
	t.draw()
}

// close stops showing progress; what stands there stays.
func (t *tracker) close() {
	close(t.stop)
	<-t.gone
	t.say.done()
}
