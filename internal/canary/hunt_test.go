package canary

import (
	"crypto/ed25519"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"
)

// hunt plants values and looks for them. Its methods may be called concurrently.
type hunt struct {
	t    testing.TB
	rand *rand.Rand

	mu       sync.Mutex
	now      string // what is being done
	text     *index
	number   *index
	planted  map[string]bool
	plain    map[string]bool            // names of controls
	seen     map[string]map[string]bool // place → controls found there
	reported map[string]bool            // secret at a place
	repeats  map[string]bool            // of again
}

// newHunt prints its seed. RUNCTL_CANARY_SEED repeats one.
func newHunt(t testing.TB) *hunt {
	seed := uint64(time.Now().UnixNano())
	if s, err := strconv.ParseUint(os.Getenv("RUNCTL_CANARY_SEED"), 10, 64); err == nil {
		seed = s
	}
	t.Logf("seed %d", seed)
	return &hunt{t: t, rand: rand.New(rand.NewPCG(seed, 0)), text: newIndex(pieceLen), number: newIndex(numberLen),
		planted: map[string]bool{}, plain: map[string]bool{}, seen: map[string]map[string]bool{}, reported: map[string]bool{}, repeats: map[string]bool{}}
}

const (
	letters = "abcdefghijklmnopqrstuvwxyz0123456789"
	mixed   = "ABCDEFGHIJKLMNOPQRSTUVWXYZ" + letters
)

func (h *hunt) draw(alphabet string, n int) string {
	h.mu.Lock()
	defer h.mu.Unlock()
	b := make([]byte, n)
	for i := range b {
		b[i] = alphabet[h.rand.IntN(len(alphabet))]
	}
	return string(b)
}

// secret plants a value that stands for nothing else: letters and digits on both sides of what shells, URLs, JSON
// and Go each write in their own way.
func (h *hunt) secret(name string) string {
	value := h.draw(mixed, 20)
	for _, special := range "'\"$& <é>/+=%\\`;" {
		value += string(special) + h.draw(mixed, 2)
	}
	return h.plant(name, value+h.draw(mixed, 20))
}

// token plants a value of letters and digits.
func (h *hunt) token(name string) string { return h.plant(name, h.draw(mixed, 40)) }

// control plants a plain string, which must be found. It can be a launch key.
func (h *hunt) control(name string) string {
	h.mu.Lock()
	h.plain[name] = true
	h.mu.Unlock()
	return h.plant(name, "c"+h.draw(letters, 23))
}

// known makes a control of a string that is there anyway.
func (h *hunt) known(name, value string) {
	h.mu.Lock()
	h.plain[name] = true
	h.mu.Unlock()
	h.plant(name, value)
}

// key plants a private key: its seed, which is all of it, is in every encoding of it.
func (h *hunt) key(name string, k ed25519.PrivateKey) { h.plant(name, string(k.Seed())) }

// plant takes a value into the search.
func (h *hunt) plant(name, value string) string {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.planted[value] {
		return value
	}
	h.planted[value] = true
	texts, numbers := forms(value)
	for _, f := range texts {
		h.text.add(name, f)
	}
	for _, f := range numbers {
		h.number.add(name, f)
	}
	return value
}

// doing says what is being done, for what is found.
func (h *hunt) doing(what string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.now = what
}

// look searches a text that came out at a place; what says more of where. A secret in it fails the test, unless it is
// named in allowed.
func (h *hunt) look(place, what, text string, allowed ...string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	hit := func(name string, at int) {
		switch {
		case h.plain[name]:
			if h.seen[place] == nil {
				h.seen[place] = map[string]bool{}
			}
			h.seen[place][name] = true
		case !slices.Contains(allowed, name) && !h.reported[h.now+place+name] && len(h.reported) < 30:
			h.reported[h.now+place+name] = true
			h.t.Errorf("%s, %s, %s: it shows %s: %q", h.now, place, what, name, text[max(at-200, 0):min(at+100, len(text))])
		}
	}
	h.text.find(text, hit)
	h.number.find(text, hit)
}

// again reports whether it was called with the same before.
func (h *hunt) again(like string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	again := h.repeats[like]
	h.repeats[like] = true
	return again
}

// has reports whether a text has any piece of the named value.
func (h *hunt) has(text, name string) (found bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	hit := func(n string, _ int) { found = found || n == name }
	h.text.find(text, hit)
	h.number.find(text, hit)
	return found
}

// saw reports whether a control was found at a place.
func (h *hunt) saw(place, name string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.seen[place][name]
}

// mustHaveSeen fails the test when a place has shown no control: a search there is blind.
func (h *hunt) mustHaveSeen(places ...string) {
	h.t.Helper()
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, p := range places {
		if len(h.seen[p]) == 0 {
			h.t.Errorf("%s: the plain string that must be there was not found, so nothing would be", p)
		}
	}
}
