package aws

import (
	"crypto/sha256"
	"fmt"
	"slices"
	"time"
)

// The states and their codes.
var stateCodes = map[string]int{"pending": 0, "running": 16, "shutting-down": 32, "terminated": 48, "stopping": 64, "stopped": 80}

// stuck is further away than any test looks.
const stuck = 10_000 * time.Hour

// instance is one machine as it is, whatever a request may be told.
type instance struct {
	f             *Face
	n             int // counted from 1
	id            string
	launch        *launch
	in            params // of the launch
	typ           *Type
	image         *image
	zone          string
	subnet        string
	groups        []*group
	tags, eniTags map[string]string
	volumes       []*volume
	key           *keyPair
	profile       string
	spot, sirOpen bool
	sir           string
	shutdown      string // what the machine's own power-off does
	protected     bool   // the API may not end it

	state      string
	code, text string // why it is in that state
	transition string
	born       time.Time // never changes
	launched   time.Time // of the last start, as LaunchTime tells
	ran        time.Time // when it came to run; zero: it does not
	ended      time.Time
	notice     time.Time // when it will be taken back; zero: no notice
	boots      int
	next       []step
	unlisted   time.Time // missing from lists until then
	unknown    time.Time // unknown by id until then
	spans      []Span
	box        *box // the processes, in real mode
}

// step is something that time does to an instance.
type step struct {
	at time.Time
	do func(at time.Time)
}

// Span is a time in which an instance cost the same.
type Span struct {
	Instance, State string
	From, To        time.Time // To is now where it goes on
	Hourly          float64   // USD, compute alone
}

// id makes an id that depends on its number alone.
func (f *Face) newID(prefix string) string {
	f.serial++
	sum := sha256.Sum256(fmt.Appendf(nil, "%s %d", prefix, f.serial))
	return fmt.Sprintf("%s-0%x", prefix, sum[:8])
}

// second is how exactly EC2 tells times.
func second(t time.Time) time.Time { return t.UTC().Truncate(time.Second) }

// at lets time do something.
func (i *instance) at(t time.Time, do func(time.Time)) {
	n := len(i.next)
	for n > 0 && i.next[n-1].at.After(t) {
		n--
	}
	i.next = slices.Insert(i.next, n, step{t, do})
	if i.f.opt.Real != nil { // processes start and end although nobody asks
		i.f.background(time.Until(t), func() {
			i.f.mu.Lock()
			defer i.f.mu.Unlock()
			i.f.advance(time.Now())
		})
	}
}

// background runs do after some time, unless the face is closed before. The lock is held.
func (f *Face) background(d time.Duration, do func()) {
	if f.closed || d > stuck/2 {
		return
	}
	time.AfterFunc(d, func() {
		f.mu.Lock()
		closed := f.closed
		if !closed {
			f.busy.Add(1)
		}
		f.mu.Unlock()
		if !closed {
			defer f.busy.Done()
			do()
		}
	})
}

// advance lets all instances live until now. The lock is held.
func (f *Face) advance(now time.Time) {
	for _, i := range f.instances {
		for len(i.next) > 0 && !i.next[0].at.After(now) {
			s := i.next[0]
			i.next = i.next[1:]
			s.do(s.at)
		}
	}
}

// after is t and a duration; a negative one never passes.
func after(t time.Time, d time.Duration) time.Time {
	if d < 0 {
		d = stuck
	}
	return t.Add(d)
}

// become changes the state, and what the instance costs: it bills from pending, as far as users are concerned, until it is
// stopped or terminated.
func (i *instance) become(t time.Time, state string) {
	if n := len(i.spans); n > 0 && i.spans[n-1].To.IsZero() {
		i.spans[n-1].To = t
	}
	i.state = state
	hourly := i.hourly()
	if state == "stopped" || state == "terminated" {
		hourly = 0
	}
	if state != "terminated" {
		i.spans = append(i.spans, Span{Instance: i.id, State: state, From: t, Hourly: hourly})
	}
}

// boot brings an instance from pending to running, as time goes.
func (i *instance) boot(t time.Time) {
	i.launched, i.code, i.text, i.transition = second(t), "", "", ""
	i.become(t, "pending")
	i.at(after(t, i.f.opt.Pending), func(t time.Time) {
		if len(i.f.failing) > 0 {
			code := i.f.failing[0]
			i.f.failing = i.f.failing[1:]
			i.gone(t, code, code+": Failed on launch", "")
			return
		}
		i.become(t, "running")
		i.ran = t
		i.boots++
		i.plug()
	})
}

// halt stops an instance.
func (i *instance) halt(t time.Time, code, text, transition string) {
	i.next, i.ran = nil, time.Time{}
	i.code, i.text, i.transition = code, text, transition
	i.become(t, "stopping")
	i.unplug()
	i.at(after(t, i.f.opt.Stopping), func(t time.Time) { i.become(t, "stopped") })
}

// end terminates an instance; it bills until it is gone.
func (i *instance) end(t time.Time, code, text, transition string) {
	if i.state == "terminated" || i.state == "shutting-down" {
		return
	}
	i.next, i.ran = nil, time.Time{}
	i.code, i.text, i.transition = code, text, transition
	i.become(t, "shutting-down")
	i.unplug()
	i.at(after(t, i.f.opt.ShuttingDown), func(t time.Time) { i.gone(t, code, text, transition) })
}

// gone is the end itself: interfaces, groups and the volumes that go with the instance are free.
func (i *instance) gone(t time.Time, code, text, transition string) {
	i.code, i.text, i.transition = code, text, transition
	i.next, i.ran, i.ended, i.groups = nil, time.Time{}, t, nil
	i.become(t, "terminated")
	i.unplug()
	for _, v := range i.volumes {
		v.attached = nil
		if v.goes {
			v.state = "deleted"
		}
	}
	i.volumes = nil
}

// forgotten reports whether the cloud does not remember the instance any longer.
func (i *instance) forgotten(now time.Time) bool {
	keep := i.f.opt.Tombstone
	if keep == 0 {
		keep = time.Hour
	}
	return i.state == "terminated" && now.Sub(i.ended) >= keep
}

// powerOff is what the machine does to itself.
func (i *instance) powerOff(t time.Time) {
	const code, text = "Client.InstanceInitiatedShutdown", "Client.InstanceInitiatedShutdown: Instance initiated shutdown"
	if i.state != "running" {
		return
	}
	if i.shutdown == "terminate" {
		i.end(t, code, text, "")
	} else {
		i.halt(t, code, text, "")
	}
}

// userInitiated is how EC2 words an end that was asked for.
func userInitiated(t time.Time) (code, text, transition string) {
	return "Client.UserInitiatedShutdown", "Client.UserInitiatedShutdown: User initiated shutdown", "User initiated (" + t.UTC().Format("2006-01-02 15:04:05 GMT") + ")"
}
