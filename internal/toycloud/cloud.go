// Package toycloud is a small cloud in memory with a REST interface, and the reference provider for it.
// Package providertest checks itself against them: the reference passes every row, and each of its
// deliberately wrong variants fails exactly one.
package toycloud

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// The words that the cloud has for the state of a machine.
const (
	Booting   = "BOOTING"
	Active    = "ACTIVE"
	Pausing   = "PAUSING"
	Paused    = "PAUSED"
	Shredding = "SHREDDING" // deletion was asked for; it bills until it is Shredded
	Shredded  = "SHREDDED"
)

// VM is a machine as it stands in replies.
type VM struct {
	ID      string    `json:"id"`
	Name    string    `json:"name"`
	Flavor  string    `json:"flavor"`
	Region  string    `json:"region"`
	Spot    bool      `json:"spot"`
	State   string    `json:"state"`
	Created time.Time `json:"created"`
	Price   *string   `json:"price"`

	job  *job
	boot []byte    // what it runs at every boot
	sup  *emulator // nil: nobody asked for it yet
}

// Flavor is what can be launched, as it stands in replies.
type Flavor struct {
	Name     string  `json:"name"`
	Region   string  `json:"region"`
	GPU      string  `json:"gpu"`
	GPUs     int     `json:"gpus"`
	GPUMiB   int64   `json:"gpu_mib"`
	VCPUs    int     `json:"vcpus"`
	MiB      int64   `json:"mib"`
	Spot     bool    `json:"spot"`
	Price    *string `json:"price"` // an hour
	Currency string  `json:"currency"`
}

func price(s string) *string { return &s }

var flavors = []Flavor{
	{"cpu-4", "north", "", 0, 0, 4, 16 << 10, false, price("0.20"), "EUR"},
	{"h100-1", "north", "H100-SXM", 1, 80 << 10, 24, 220 << 10, false, price("2.50"), "EUR"},
	{"h100-1-spot", "north", "H100-SXM", 1, 80 << 10, 24, 220 << 10, true, price("1.10"), "EUR"},
}

// pageSize is how many items a page of a listing has.
const pageSize = 3

// Cloud is one account. Use [New].
type Cloud struct {
	IDs string // format of a machine's id, for its number
	key string

	mu      sync.Mutex
	vms     []*VM
	byToken map[string]*VM
	holding bool
	changed chan struct{}
}

// New returns an empty account that is entered with the key.
func New(key string) *Cloud {
	return &Cloud{IDs: "vm-%04d", key: key, byToken: map[string]*VM{}, changed: make(chan struct{})}
}

// Billing returns the ids of all machines that bill now.
func (c *Cloud) Billing() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var ids []string
	for _, v := range c.vms {
		if v.State != Shredded {
			ids = append(ids, v.ID)
		}
	}
	return ids
}

// Add puts a machine into the account that nobody asked for through the interface.
func (c *Cloud) Add(name string) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.add(VM{Name: name, Flavor: flavors[0].Name, Region: flavors[0].Region, Price: flavors[0].Price}).ID
}

// SetState changes a machine's state from outside.
func (c *Cloud) SetState(id, state string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if v := c.find(id); v != nil {
		v.State = state
		c.notify()
	}
}

// HoldEnds makes deletions take for ever: machines stay in the state Shredding, and bill.
func (c *Cloud) HoldEnds() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.holding = true
}

// Changed returns a channel that is closed at the next change.
func (c *Cloud) Changed() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.changed
}

func (c *Cloud) notify() {
	close(c.changed)
	c.changed = make(chan struct{})
}

func (c *Cloud) add(v VM) *VM {
	v.ID = fmt.Sprintf(c.IDs, len(c.vms)+1)
	v.State = Active
	v.Created = time.Now()
	c.vms = append(c.vms, &v)
	c.notify()
	return &v
}

func (c *Cloud) find(id string) *VM {
	for _, v := range c.vms {
		if v.ID == id {
			return v
		}
	}
	return nil
}

func (c *Cloud) shred(v *VM) {
	v.State = Shredded
	if c.holding {
		v.State = Shredding
	}
	if v.job != nil {
		v.job.end(143, "gone")
	}
	c.notify()
}

// launch is the body of POST /v1/vms.
type launch struct {
	Name   string   `json:"name"`
	Flavor string   `json:"flavor"`
	Spot   bool     `json:"spot"`
	Hours  float64  `json:"hours"`
	Args   []string `json:"args,omitempty"`
	Boot   []byte   `json:"user_data,omitempty"`
}

// ServeHTTP is the cloud's REST interface.
func (c *Cloud) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Date", time.Now().UTC().Format(http.TimeFormat))
	if r.Header.Get("X-Api-Key") != c.key {
		refuse(w, 401, "bad_key", "the key is not valid")
		return
	}
	path := strings.Split(strings.Trim(strings.TrimPrefix(r.URL.Path, "/v1"), "/"), "/")
	switch {
	case path[0] == "flavors" && r.Method == "GET":
		page(w, r, flavors)
	case path[0] == "vms" && len(path) == 1 && r.Method == "POST":
		c.serveLaunch(w, r)
	case path[0] == "vms" && len(path) == 1 && r.Method == "GET":
		c.mu.Lock()
		var all []VM
		for _, v := range c.vms {
			if strings.HasPrefix(v.Name, r.URL.Query().Get("prefix")) && cmp.Or(r.URL.Query().Get("state"), v.State) == v.State {
				all = append(all, *v)
			}
		}
		c.mu.Unlock()
		page(w, r, all)
	case path[0] == "vms" && len(path) == 1 && r.Method == "DELETE": // the whole account, as some clouds have it
		c.mu.Lock()
		defer c.mu.Unlock()
		for _, v := range c.vms {
			c.shred(v)
		}
	case path[0] == "vms":
		c.serveVM(w, r, path[1], strings.Join(path[2:], "/"))
	default:
		refuse(w, 404, "no_such_page", "there is no "+r.URL.Path)
	}
}

func (c *Cloud) serveLaunch(w http.ResponseWriter, r *http.Request) {
	var l launch
	if err := json.NewDecoder(r.Body).Decode(&l); err != nil {
		refuse(w, 422, "bad_request", err.Error())
		return
	}
	f := slices.IndexFunc(flavors, func(f Flavor) bool { return f.Name == l.Flavor })
	if f < 0 {
		refuse(w, 422, "no_such_flavor", l.Flavor)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	token := r.Header.Get("Idempotency-Key")
	v := c.byToken[token]
	if v == nil {
		v = c.add(VM{Name: l.Name, Flavor: l.Flavor, Region: flavors[f].Region, Spot: l.Spot, Price: flavors[f].Price, boot: l.Boot})
		if l.Args != nil {
			v.job = newJob(l.Args)
		}
		if token != "" {
			c.byToken[token] = v
		}
	}
	reply(w, 201, v)
}

func (c *Cloud) serveVM(w http.ResponseWriter, r *http.Request, id, rest string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	v := c.find(id)
	if v == nil {
		refuse(w, 404, "no_such_vm", id)
		return
	}
	switch r.Method + " " + rest {
	case "GET ":
		reply(w, 200, v)
	case "DELETE ":
		c.shred(v)
		reply(w, 202, v)
	case "PATCH ":
		_ = json.NewDecoder(r.Body).Decode(&struct{ Name *string }{&v.Name})
		reply(w, 200, v)
	case "POST pause", "POST resume":
		if v.State == Shredded {
			refuse(w, 409, "gone", id)
			return
		}
		v.State = map[string]string{"pause": Paused, "resume": Active}[rest]
		c.notify()
		reply(w, 202, v)
	default:
		if v.job == nil {
			refuse(w, 404, "no_job", id)
			return
		}
		c.mu.Unlock() // what follows may wait
		defer c.mu.Lock()
		v.job.serve(w, r, rest)
	}
}

// page answers one page of items, with the cursor of the next.
func page[T any](w http.ResponseWriter, r *http.Request, items []T) {
	from, _ := strconv.Atoi(r.URL.Query().Get("cursor"))
	from = min(max(from, 0), len(items))
	to, next := len(items), ""
	if to > from+pageSize {
		to = from + pageSize
		next = strconv.Itoa(to)
	}
	reply(w, 200, map[string]any{"items": append([]T{}, items[from:to]...), "next": next})
}

func reply(w http.ResponseWriter, status int, body any) {
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}

func refuse(w http.ResponseWriter, status int, code, text string) {
	reply(w, status, map[string]string{"code": code, "text": text})
}
