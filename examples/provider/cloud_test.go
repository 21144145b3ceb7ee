package acme_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"
)

// cloud is Acme in memory: what its reference says, in a hundred lines.
type cloud struct {
	mu   sync.Mutex
	key  string
	vms  []*machine
	once map[string]*machine
}

type machine struct {
	ID    string    `json:"id"`
	Label string    `json:"label"`
	Size  string    `json:"size"`
	State string    `json:"state"`
	Born  time.Time `json:"born"`
	job   *job
}

func newCloud(key string) *cloud { return &cloud{key: key, once: map[string]*machine{}} }

func (c *cloud) billing() (ids []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, m := range c.vms {
		if m.State != "gone" {
			ids = append(ids, m.ID)
		}
	}
	return ids
}

func (c *cloud) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /sizes", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, 200, map[string]any{"sizes": []map[string]any{
			{"name": "small", "cpus": 4, "price": 0.12}, {"name": "h100", "gpu": "H100-SXM", "gpus": 1, "cpus": 26, "price": 2.4},
			{"name": "b200", "gpu": "B200", "gpus": 8, "cpus": 224, "price": nil},
		}})
	})
	mux.HandleFunc("POST /vms", c.launch)
	mux.HandleFunc("GET /vms", c.list)
	mux.HandleFunc("GET /vms/{id}", c.one(func(*machine) {}))
	mux.HandleFunc("DELETE /vms/{id}", c.one(func(m *machine) { m.State = "gone"; m.job.end("cancelled", 143) }))
	mux.HandleFunc("GET /vms/{id}/job", c.ofJob((*job).serveState))
	mux.HandleFunc("GET /vms/{id}/log", c.ofJob((*job).serveLog))
	mux.HandleFunc("POST /vms/{id}/cancel", c.ofJob(func(j *job, w http.ResponseWriter, _ *http.Request) {
		j.end("cancelled", 143)
		answer(w, 202, nil)
	}))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer "+c.key {
			refuse(w, 401, "key")
			return
		}
		mux.ServeHTTP(w, r)
	})
}

func (c *cloud) launch(w http.ResponseWriter, r *http.Request) {
	var in struct {
		Label, Size, Once string
		Run               struct{ Args []string }
	}
	if json.NewDecoder(r.Body).Decode(&in) != nil || !slices.Contains([]string{"small", "h100", "b200"}, in.Size) {
		refuse(w, 400, "input")
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	m := c.once[in.Once]
	if m == nil {
		m = &machine{ID: fmt.Sprintf("a-%06d", len(c.vms)+1), Label: in.Label, Size: in.Size, State: "up", Born: time.Now(), job: newJob(in.Run.Args)}
		c.vms = append(c.vms, m)
		c.once[in.Once] = m
	}
	answer(w, 201, m)
}

func (c *cloud) list(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	from := 1 + slices.IndexFunc(c.vms, func(m *machine) bool { return m.ID == r.URL.Query().Get("after") })
	page := c.vms[from:min(from+3, len(c.vms))]
	next := ""
	if from+3 < len(c.vms) {
		next = page[2].ID
	}
	answer(w, 200, map[string]any{"vms": page, "next": next})
}

func (c *cloud) one(change func(*machine)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		c.mu.Lock()
		defer c.mu.Unlock()
		k := slices.IndexFunc(c.vms, func(m *machine) bool { return m.ID == r.PathValue("id") })
		if k < 0 {
			refuse(w, 404, "no vm")
			return
		}
		change(c.vms[k])
		answer(w, 200, c.vms[k])
	}
}

func (c *cloud) ofJob(serve func(*job, http.ResponseWriter, *http.Request)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		c.mu.Lock()
		var found *machine
		for _, m := range c.vms {
			if m.ID == r.PathValue("id") {
				found = m
			}
		}
		c.mu.Unlock()
		if found == nil {
			refuse(w, 404, "no vm")
			return
		}
		serve(found.job, w, r)
	}
}

func answer(w http.ResponseWriter, status int, body any) {
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}

func refuse(w http.ResponseWriter, status int, code string) {
	answer(w, status, map[string]string{"code": code, "message": "refused: " + code})
}
