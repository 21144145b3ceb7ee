package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"runctl"
	"runctl/fake"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// world is a computer with a state directory, a working directory, and clouds in memory.
type world struct {
	t       *testing.T
	dir     string // everything lies below
	env     map[string]string
	reg     *runctl.Registry
	cloud   *fake.Cloud
	signals chan os.Signal
	tty     bool
	stdin   io.Reader

	deadlines runctl.Deadlines
}

// freeOffer is one that costs nothing.
var freeOffer = runctl.Offer{ID: "free", VCPU: 16, Memory: 62 << 10, Price: runctl.Price{Hourly: runctl.USD(0), Source: "own"}, EndsItself: true, Keeps: true}

// pricedOffers are two that cost something.
func pricedOffers() []runctl.Offer {
	offer := func(id string, count int, price float64) runctl.Offer {
		return runctl.Offer{ID: id, VCPU: 24, Memory: 221 << 10, GPU: runctl.GPU{Model: "H100-SXM", Count: count, Memory: 80 << 10},
			Price: runctl.Price{Hourly: runctl.USD(price), Source: "catalog"}, EndsItself: true, Keeps: true, Avail: "high"}
	}
	return []runctl.Offer{offer("h100-1", 1, 2.99), offer("h100-8", 8, 23.92)}
}

// newWorld has one cloud, named fake, with a free offer unless others are given.
func newWorld(t *testing.T, opts ...fake.Option) *world {
	t.Helper()
	w := &world{t: t, dir: t.TempDir(), reg: &runctl.Registry{}, signals: make(chan os.Signal, 8), stdin: strings.NewReader("")}
	w.env = map[string]string{"RUNCTL_STATE_DIR": filepath.Join(w.dir, "state"), "RUNCTL_OWNER": "tester", "HOME": w.dir, "USER": "tester"}
	require.NoError(t, os.Mkdir(filepath.Join(w.dir, "work"), 0o755))
	w.cloud = w.addCloud("fake", append([]fake.Option{fake.Offers(freeOffer)}, opts...)...)
	return w
}

// addCloud registers another cloud, which lives as long as the world.
func (w *world) addCloud(name string, opts ...fake.Option) *fake.Cloud {
	c := fake.New(append([]fake.Option{fake.Name(name)}, opts...)...)
	w.reg.Register(runctl.Factory{Name: name, Open: func(context.Context, func(string) string) (runctl.Provider, error) { return c, nil }})
	return c
}

// outcomeOf is what one command line did.
type outcomeOf struct {
	code           int
	stdout, stderr string
}

// run executes a command line in this process.
func (w *world) run(args ...string) outcomeOf {
	w.t.Helper()
	var stdout, stderr syncBuffer
	code := w.app(&stdout, &stderr).run(w.t.Context(), args)
	return outcomeOf{code, stdout.String(), stderr.String()}
}

func (w *world) app(stdout, stderr io.Writer) *app {
	return &app{
		reg: w.reg, stdin: w.stdin, stdout: stdout, stderr: stderr, dir: filepath.Join(w.dir, "work"),
		getenv: func(name string) (string, bool) { v, ok := w.env[name]; return v, ok },
		inTTY:  w.tty, errTTY: w.tty, deadlines: w.deadlines,
		notify: func() (<-chan os.Signal, func()) { return w.signals, func() {} }, now: time.Now,
	}
}

// started is a command line that runs beside the test.
type started struct {
	stdout, stderr *syncBuffer
	code           chan int
}

func (w *world) start(args ...string) *started {
	s := &started{&syncBuffer{}, &syncBuffer{}, make(chan int, 1)}
	a := w.app(s.stdout, s.stderr)
	go func() { s.code <- a.run(w.t.Context(), args) }()
	return s
}

// wait returns the exit code.
func (s *started) wait(t *testing.T) int {
	t.Helper()
	select {
	case c := <-s.code:
		return c
	case <-time.After(30 * time.Second):
		t.Fatalf("the command did not end; stderr: %s", s.stderr.String())
		return -1
	}
}

// syncBuffer is a buffer that tells who waits for its content.
type syncBuffer struct {
	mu      sync.Mutex
	buf     bytes.Buffer
	changed chan struct{}
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.changed != nil {
		close(b.changed)
		b.changed = nil
	}
	return b.buf.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// waitFor returns when the buffer holds text.
func (b *syncBuffer) waitFor(t *testing.T, text string) {
	t.Helper()
	late := time.After(30 * time.Second)
	for {
		b.mu.Lock()
		if strings.Contains(b.buf.String(), text) {
			b.mu.Unlock()
			return
		}
		if b.changed == nil {
			b.changed = make(chan struct{})
		}
		changed := b.changed
		b.mu.Unlock()
		select {
		case <-changed:
		case <-late:
			t.Fatalf("no %q in time; there is: %s", text, b.String())
		}
	}
}

// record reads the record of a run.
func (w *world) record(name string) *record {
	w.t.Helper()
	data, err := os.ReadFile(filepath.Join(w.dir, "state", "runs", name+".json"))
	require.NoError(w.t, err)
	r := new(record)
	require.NoError(w.t, json.Unmarshal(data, r))
	return r
}

func (w *world) file(parts ...string) string {
	w.t.Helper()
	data, err := os.ReadFile(filepath.Join(append([]string{w.dir}, parts...)...))
	require.NoError(w.t, err)
	return string(data)
}

// nothingLeft requires that nothing bills any more.
func (w *world) nothingLeft() {
	w.t.Helper()
	assert.Empty(w.t, w.cloud.Billing())
}

// volatile are the parts of messages that differ between two runs of a test.
var volatile = []struct {
	find *regexp.Regexp
	put  string
}{
	{regexp.MustCompile(`\bin \d+(\.\d+)?s\b`), "in <dur>"},
	{regexp.MustCompile(`after \d+(\.\d+)?s\b`), "after <dur>"},
	{regexp.MustCompile(`\(\d+(\.\d+)?s ×`), "(<dur> ×"},
	{regexp.MustCompile(`(tomorrow )?\b\d\d:\d\d\b`), "<clock>"},
	{regexp.MustCompile(`\b([a-z]+)-[abcdefghjkmnpqrstuvwxyz0-9]{4}\b`), "$1-<rand>"},
}

// golden compares a text with testdata/NAME.golden, after its volatile parts were replaced.
func (w *world) golden(name, text string) {
	w.t.Helper()
	text = strings.ReplaceAll(text, w.dir, "<dir>")
	for _, v := range volatile {
		text = v.find.ReplaceAllString(text, v.put)
	}
	path := filepath.Join("testdata", name+".golden")
	if *update {
		require.NoError(w.t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(w.t, os.WriteFile(path, []byte(text), 0o644))
	}
	want, err := os.ReadFile(path)
	require.NoError(w.t, err, "run the tests with -update to make it")
	assert.Equal(w.t, string(want), text)
}
