package runpod

import (
	"cmp"
	"fmt"
	"maps"
	"net"
	"slices"
	"strconv"
	"time"

	"runctl/internal/wire"
)

// The states, in the document's words.
const (
	Provisioning = "PROVISIONING"
	Starting     = "STARTING"
	Running      = "RUNNING"
	Exited       = "EXITED"
	Errored      = "ERROR"
	Terminated   = "TERMINATED"
)

// legal has the actions of each state.
var legal = map[string][]string{
	Provisioning: {"stop", "terminate"}, Starting: {"stop", "terminate"}, Running: {"stop", "restart", "terminate"},
	Exited: {"start", "terminate"}, Errored: {"start", "terminate"}, Terminated: {},
}

// stuck is further away than any test looks.
const stuck = 1000 * time.Hour

// pod is one pod as it is, whatever a request may be told.
type pod struct {
	Pod
	f        *Face
	key      string // that the pod finds in its environment
	hourly   float64
	next     []step               // what time will do, in order
	hidden   map[string]time.Time // by operationId: 404, or missing from the list, until then
	ended    time.Time
	log      journal
	starts   int       // containers so far
	since    time.Time // when the present container started; zero: none
	stopping bool      // the container's end is the pod's
	box      *wire.Box // the process, in real mode
	port     int       // of its sshd, in real mode; 0: none
	astray   string    // host:port that is told instead of its address; empty: its own
}

// step is something that time does to a pod.
type step struct {
	at  time.Time
	box bool // of the present container: it goes with it
	do  func(at time.Time)
}

// at lets time do something, at the earliest now.
func (p *pod) at(t time.Time, ofBox bool, do func(time.Time)) {
	i := len(p.next)
	for i > 0 && p.next[i-1].at.After(t) {
		i--
	}
	p.next = slices.Insert(p.next, i, step{t, ofBox, do})
	if p.f.opt.Real != nil { // processes start although nobody asks
		time.AfterFunc(time.Until(t), func() {
			p.f.mu.Lock()
			defer p.f.mu.Unlock()
			p.f.advance(time.Now())
		})
	}
}

// advance lets all pods live until now. The lock is held.
func (f *Face) advance(now time.Time) {
	for _, p := range f.pods {
		for len(p.next) > 0 && !p.next[0].at.After(now) {
			s := p.next[0]
			p.next = p.next[1:]
			s.do(s.at)
		}
	}
}

// become changes the state, and what the pod costs.
func (p *pod) become(t time.Time, status string) {
	p.Status = status
	p.Cost = p.hourly
	if status == Exited || status == Terminated {
		p.Cost = 0
	}
	if status == Terminated {
		p.ended, p.next = t, nil
		p.f.ledger.End(p.ID, t)
	} else {
		p.f.ledger.Set(p.ID, status, t, p.Cost)
	}
	p.f.changed.Notify()
}

// boot brings a pod from PROVISIONING to RUNNING, as time goes.
func (p *pod) boot(t time.Time) {
	p.stopping = false
	p.become(t, Provisioning)
	placing := p.f.opt.Provisioning
	if placing < 0 {
		placing = stuck
	}
	p.at(t.Add(placing), false, func(t time.Time) {
		p.become(t, Starting)
		p.log.system(t, "create container "+p.Image)
		p.at(t.Add(p.f.opt.Starting), false, func(t time.Time) {
			started := t
			p.StartedAt = &started
			p.become(t, Running)
			p.open(t)
		})
	})
}

// open starts a container.
func (p *pod) open(t time.Time) {
	if p.f.closed {
		return
	}
	p.starts++
	p.since = t
	p.log.system(t, "start container")
	if p.f.opt.Real != nil {
		p.box = p.f.opt.Real.start(p)
		return
	}
	if p.f.opt.Script == nil {
		return
	}
	s := p.f.opt.Script(p.view(), p.starts)
	for _, l := range s.Lines {
		p.at(t.Add(l.After), true, func(t time.Time) { p.log.container(t, l.Text); p.f.changed.Notify() })
	}
	if s.Exit > 0 {
		p.at(t.Add(s.Exit), true, p.returned)
	}
}

// returned is what the host does when the container's command returns, with whatever code: it starts another, on a fresh
// disk, unless somebody has asked for the end.
func (p *pod) returned(t time.Time) {
	p.since, p.box = time.Time{}, nil
	p.next = slices.DeleteFunc(p.next, func(s step) bool { return s.box })
	p.log.ends(t)
	switch {
	case p.Status == Terminated:
	case p.stopping:
		p.log.system(t, "stop container")
		p.become(t, Exited)
	default:
		p.at(t.Add(cmp.Or(p.f.opt.RestartDelay, 100*time.Millisecond)), false, p.open)
	}
	p.f.changed.Notify()
}

// halt ends the container, and with it the pod's compute.
func (p *pod) halt(t time.Time) {
	if p.stopping {
		return
	}
	p.stopping = true
	p.next = slices.DeleteFunc(p.next, func(s step) bool { return !s.box })
	switch {
	case p.box != nil:
		go p.box.Stop(p.f.opt.Real.grace())
	case p.since.IsZero():
		p.become(t, Exited)
	case p.f.opt.Stopping > 0:
		p.at(t.Add(p.f.opt.Stopping), false, p.returned)
	default:
		p.returned(t)
	}
}

// end deletes the pod; it bills until it is gone.
func (p *pod) end(t time.Time) {
	gone := func(t time.Time) {
		p.become(t, Terminated)
		p.log.ends(t)
		if p.box != nil {
			go p.box.Kill()
		}
	}
	if p.f.opt.Deleting <= 0 {
		gone(t)
		return
	}
	if p.f.opt.Deleting < stuck {
		p.at(t.Add(p.f.opt.Deleting), false, gone)
	}
}

// view is the pod as it is told now.
func (p *pod) view() Pod {
	v := p.Pod
	v.Env, v.Actions = maps.Clone(p.Env), legal[p.Status]
	if p.Status != Provisioning {
		v.SSH.Proxy = endpoint("ssh.runpod.io", 22, p.ID+"-64411eb2")
	}
	if p.Status != Running {
		return v
	}
	v.Runtime = &Runtime{}
	if !p.since.IsZero() {
		v.Runtime.Uptime = int(time.Since(p.since) / time.Second)
	}
	if host, port, ok := p.address(); ok {
		user := "root"
		if p.f.opt.Real != nil {
			user = cmp.Or(p.f.opt.Real.User, user)
		}
		v.SSH.Direct = endpoint(host, port, user)
		v.Runtime.Ports = []RuntimePort{{Private: 22, Public: &port, Type: "tcp", IP: host}}
	}
	for _, port := range p.Ports { // a port that is behind the proxy: its address is of no use
		if private, ok := cutSuffixInt(port, "/http"); ok {
			public := 60000 + private%1000
			v.Runtime.Ports = append(v.Runtime.Ports, RuntimePort{Private: private, Public: &public, Type: "http", IP: "100.65.1.7"})
		}
	}
	return v
}

// address is where 22/tcp is reached, once it is assigned.
func (p *pod) address() (host string, port int, ok bool) {
	if p.StartedAt == nil {
		return "", 0, false
	}
	up := time.Since(*p.StartedAt)
	if !slices.Contains(p.Ports, "22/tcp") || up < p.f.opt.AddrLag {
		return "", 0, false
	}
	host, port = "192.0.2.7", 20000+len(p.ID)+p.starts
	if p.port != 0 {
		host, port = "127.0.0.1", p.port
	}
	if other := cmp.Or(p.astray, p.f.opt.SSH); other != "" {
		h, s, err := net.SplitHostPort(other)
		n, err2 := strconv.Atoi(s)
		if err != nil || err2 != nil {
			panic(fmt.Sprintf("runpod: the address %q is no host:port", other))
		}
		host, port = h, n
	}
	if p.f.opt.StalePort && up < 2*p.f.opt.AddrLag {
		port = 1
	}
	return host, port, true
}

func endpoint(host string, port int, user string) *Endpoint {
	return &Endpoint{host, port, user, fmt.Sprintf("ssh %s@%s -p %d", user, host, port)}
}

func cutSuffixInt(s, suffix string) (int, bool) {
	if len(s) <= len(suffix) || s[len(s)-len(suffix):] != suffix {
		return 0, false
	}
	n, err := strconv.Atoi(s[:len(s)-len(suffix)])
	return n, err == nil
}
