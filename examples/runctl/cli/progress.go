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

	mu    sync.Mutex
	ended []string
	phase string
	since time.Time
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
	runctl.EventConnected: "submitting",
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
	}
	next, ok := after[e.Name]
	if !ok {
		return
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
		t.phase, t.since = next, t.now()
	}
	t.mu.Unlock()
	t.draw()
}

func (t *tracker) draw() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.phase == "" {
		return
	}
	text := t.name + "  " + strings.Join(append(t.ended, t.phase), "  ")
	if took := t.now().Sub(t.since); t.phase != "running" && took >= time.Second {
		text += " " + durText(took.Truncate(time.Second))
	}
	t.say.progress(text)
}

// close stops showing progress; what stands there stays.
func (t *tracker) close() {
	close(t.stop)
	<-t.gone
	t.say.done()
}
