package runctl

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// reapWorld is an account shared by two controllers of one owner, another owner, and strangers who clone,
// imitate and cut names. It judges every termination by what really is whose.
type reapWorld struct {
	cloud     *modelCloud
	rng       *rand.Rand
	clients   []*Client // a and b of owner one, c of owner two
	whose     map[string]int
	abandoned map[string]bool
	reaping   int // who reaps now, -1 nobody
	crimes    []string
	nextKey   int
	nameOnly  bool // the cloud has no place that a clone cannot copy
}

const (
	reapGrace = 10 * time.Minute
	stranger  = -1
)

// window is one client's view of the shared cloud; it knows who terminates.
type window struct {
	*modelCloud
	w  *reapWorld
	me int
}

func (v *window) Terminate(ctx context.Context, id string) error {
	v.w.judge(v.me, id)
	return v.modelCloud.Terminate(ctx, id)
}

// memory is an intent log in memory.
type memory []Intent

func (m *memory) Record(in Intent) error  { *m = append(*m, in); return nil }
func (m *memory) Load() ([]Intent, error) { return slices.Clone(*m), nil }

func newReapWorld(t testing.TB, rng *rand.Rand) *reapWorld {
	w := &reapWorld{cloud: newModelCloud(), rng: rng, whose: map[string]int{}, abandoned: map[string]bool{}, reaping: -1}
	w.cloud.info.Settle = 1
	w.cloud.skew = time.Duration(rng.IntN(240)-120) * time.Minute
	w.nameOnly = rng.IntN(2) == 0
	for n, cfg := range []Config{{Owner: "one", Controller: "aaa"}, {Owner: "one", Controller: "bbb"}, {Owner: "two", Controller: "aaa"}} {
		cfg.Intents, cfg.Secret = &memory{}, []byte("secret of "+cfg.Owner)
		c, err := New(cfg, &window{w.cloud, w, n})
		require.NoError(t, err)
		w.clients = append(w.clients, c)
	}
	return w
}

func (w *reapWorld) owner(n int) string { return w.clients[n].cfg.Owner }

// judge notes a crime when somebody ends what he must not.
func (w *reapWorld) judge(me int, id string) {
	m, whose := w.cloud.machines[id], w.whose[id]
	switch {
	case whose == stranger || w.owner(whose) != w.owner(me):
		w.crimes = append(w.crimes, fmt.Sprintf("client %d ended %s, which belongs to %d (%s)", me, id, whose, m.Label))
	case w.reaping == me && w.age(m) < w.lifetime(m)+reapGrace && !(whose == me && w.abandoned[id]):
		w.crimes = append(w.crimes, fmt.Sprintf("client %d reaped %s of client %d at age %s, lifetime %s", me, id, whose, w.age(m), w.lifetime(m)))
	}
}

func (w *reapWorld) age(m *modelMachine) time.Duration { return w.cloud.now().Sub(m.Launched) }

func (w *reapWorld) lifetime(m *modelMachine) time.Duration {
	mark, _ := splitLabel(m.Label)
	return mark.Lifetime
}

func (w *reapWorld) put(whose int, label string) string {
	i := w.cloud.add(LaunchRequest{Label: label, Token: fmt.Sprint("t", w.cloud.seq), Offer: w.cloud.offers[0]})
	w.whose[i.ID] = whose
	return i.ID
}

// any returns a random living machine's id, "" when there is none.
func (w *reapWorld) any(ok func(string) bool) string {
	var ids []string
	for id, m := range w.cloud.machines {
		if !m.ended && ok(id) {
			ids = append(ids, id)
		}
	}
	if len(ids) == 0 {
		return ""
	}
	slices.Sort(ids)
	return ids[w.rng.IntN(len(ids))]
}

// step does one random thing.
func (w *reapWorld) step(ctx context.Context, reap func(context.Context, int)) {
	alive := w.tidy()
	n := w.rng.IntN(3)
	switch op := w.rng.IntN(100); {
	case op < 25 && alive < 24: // somebody launches, and may vanish afterwards
		w.nextKey++
		spec := LaunchSpec{Key: fmt.Sprintf("k%d", w.nextKey), Lifetime: time.Duration(1+w.rng.IntN(180)) * time.Minute, MaxHourly: USD(9)}
		if i, err := w.clients[n].Launch(ctx, spec); err == nil {
			w.whose[i.ID] = n
		}
	case op < 33 && alive < 30: // a stranger's machine: bare, with a look-alike, a cut, or a forged label
		w.put(stranger, w.imitation())
	case op < 40 && alive < 30: // a clone made in the console: all tags, but not what a clone cannot copy
		if id := w.any(func(id string) bool { return w.whose[id] != stranger }); id != "" {
			pass(time.Second) // twins of one instant cannot be told apart, and are both left alone
			label := ""
			if w.nameOnly {
				label = w.cloud.machines[id].Label
			}
			w.put(stranger, label)
		}
	case op < 44: // this controller gives a machine up
		if id := w.any(func(id string) bool { return w.whose[id] == n }); id != "" {
			w.abandoned[id] = true
			mark, _ := splitLabel(w.cloud.machines[id].Label)
			_ = w.clients[n].record(Intent{Event: IntentAbandoned, Provider: "model", Key: mark.Key, ID: id})
		}
	case op < 55: // a stranger ends his own
		if id := w.any(func(id string) bool { return w.whose[id] == stranger }); id != "" {
			w.cloud.machines[id].ended = true
		}
	case op < 60: // a bad moment of the cloud
		for range 3 {
			name := []string{"list", "get", "terminate"}[w.rng.IntN(3)]
			w.cloud.faults = append(w.cloud.faults, modelFault{op: name, nth: w.cloud.calls[name] + 1 + w.rng.IntN(3), after: w.rng.IntN(2) == 0, err: errReset})
		}
	case op < 94:
		pass(time.Duration(w.rng.Int64N(int64(20 * time.Minute))))
	default:
		w.reaping = n
		reap(ctx, n)
		w.reaping = -1
		w.cloud.faults = w.cloud.faults[:0]
	}
}

// tidy makes the cloud forget ended machines after a while, and counts the living. Where nothing on a machine
// is safe from copying, a copy can be told from its original only while the cloud still lists the original, so
// the model keeps that.
func (w *reapWorld) tidy() (alive int) {
	labels := map[string]bool{}
	for _, m := range w.cloud.machines {
		if !m.ended {
			alive++
			labels[m.Label] = w.nameOnly && m.Label != ""
		}
	}
	for id, m := range w.cloud.machines {
		if m.ended && w.age(m) > 6*time.Hour && !labels[m.Label] {
			delete(w.cloud.machines, id)
		}
	}
	return alive
}

func (w *reapWorld) imitation() string {
	id := w.any(func(id string) bool { return w.whose[id] != stranger })
	if id == "" {
		return "rc1-one-web-aaaaaaaaaaaaaaaaaa"
	}
	label := w.cloud.machines[id].Label
	switch w.rng.IntN(5) {
	case 0:
		return ""
	case 1:
		return label[:1+w.rng.IntN(len(label)-1)]
	case 2: // another key under the same seal
		return strings.Replace(label, "-k", "-kk", 1)
	case 3: // one character changed
		at := 4 + w.rng.IntN(len(label)-4)
		if label[at] != 'q' {
			return label[:at] + "q" + label[at+1:]
		}
		return label[:at] + "z" + label[at+1:]
	}
	m, _ := splitLabel(label)
	return m.Label([]byte("a stranger's secret"))
}

// orphans are the machines of an owner that are overdue.
func (w *reapWorld) orphans(n int) (ids []string) {
	for id, m := range w.cloud.machines {
		if whose := w.whose[id]; !m.ended && whose != stranger && w.owner(whose) == w.owner(n) && w.age(m) > w.lifetime(m)+reapGrace+time.Minute {
			ids = append(ids, id)
		}
	}
	return ids
}

// run makes so many steps and returns the crimes; it stops at the first.
func (w *reapWorld) run(t testing.TB, steps int, reap func(context.Context, int)) []string {
	for range steps {
		w.step(t.Context(), reap)
		if len(w.crimes) > 0 {
			break
		}
	}
	return w.crimes
}

// honest reaps with the client, and then expects no orphan to be left when nothing failed.
func (w *reapWorld) honest(ctx context.Context, n int) {
	clean := len(w.cloud.faults) == 0
	before := w.orphans(n)
	done, err := w.clients[n].Reap(ctx, ReapRequest{Grace: reapGrace, Most: 1000})
	if !clean || err != nil {
		return
	}
	for _, d := range done {
		if d.Err != nil {
			return
		}
	}
	for _, id := range before {
		if !w.cloud.machines[id].ended {
			w.crimes = append(w.crimes, fmt.Sprintf("orphan %s survived a clean pass", id))
		}
	}
}

// TestReapInASharedAccount is promise 2: a million random steps, no crime, no orphan.
func TestReapInASharedAccount(t *testing.T) {
	steps := 1_000_000
	if raceEnabled {
		steps = 100_000 // the detector makes it ten times slower; the plain run does them all
	}
	const perWorld = 5_000
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 2))
	ended := 0
	for range steps / perWorld {
		synctest.Test(t, func(t *testing.T) {
			w := newReapWorld(t, rng)
			require.Empty(t, w.run(t, perWorld, w.honest))
			ended += w.cloud.calls["terminate"]
		})
	}
	require.Positive(t, ended)
	t.Logf("%d steps, %d terminations, none of them wrong", steps, ended)
}

// TestReapModelCatchesWrongReapers shows that the model has teeth: each wrong rule is found out.
func TestReapModelCatchesWrongReapers(t *testing.T) {
	end := func(w *reapWorld, n int, bad func(c *Client, m *modelMachine) bool) {
		for id, m := range w.cloud.machines {
			if !m.ended && bad(w.clients[n], m) {
				_ = w.clients[n].providers[0].Terminate(context.Background(), id)
			}
		}
	}
	for name, rule := range map[string]func(w *reapWorld, c *Client, m *modelMachine) bool{
		"old and untagged, as the earlier tool": func(w *reapWorld, _ *Client, m *modelMachine) bool {
			_, ok := splitLabel(m.Label)
			return !ok && w.age(m) > time.Hour
		},
		"tags without a seal": func(w *reapWorld, c *Client, m *modelMachine) bool {
			mark, ok := splitLabel(m.Label)
			return ok && mark.Owner == c.cfg.Owner && w.age(m) > mark.Lifetime+reapGrace
		},
		"whatever this process does not know": func(w *reapWorld, c *Client, m *modelMachine) bool {
			mark, ok := ParseMark(m.Label, c.secrets()...)
			return ok && mark.Owner == c.cfg.Owner && c.keys[mark.Key] == nil
		},
		"by the local clock": func(w *reapWorld, c *Client, m *modelMachine) bool {
			mark, ok := ParseMark(m.Label, c.secrets()...)
			return ok && mark.Owner == c.cfg.Owner && time.Since(m.Launched) > mark.Lifetime+reapGrace
		},
		"another controller's abandoned ones": func(w *reapWorld, c *Client, m *modelMachine) bool {
			mark, ok := ParseMark(m.Label, c.secrets()...)
			return ok && mark.Owner == c.cfg.Owner && w.abandoned[m.ID]
		},
		"copies too": func(w *reapWorld, c *Client, m *modelMachine) bool {
			mark, ok := ParseMark(m.Label, c.secrets()...)
			return ok && mark.Owner == c.cfg.Owner && w.age(m) > mark.Lifetime+reapGrace
		},
	} {
		t.Run(name, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(7, 7))
			for range 20 {
				var crimes []string
				synctest.Test(t, func(t *testing.T) {
					w := newReapWorld(t, rng)
					crimes = w.run(t, 5_000, func(_ context.Context, n int) {
						end(w, n, func(c *Client, m *modelMachine) bool { return rule(w, c, m) })
					})
				})
				if len(crimes) > 0 {
					t.Log(crimes[0])
					return
				}
			}
			t.Fatal("the model did not notice")
		})
	}
}
