//go:build live

package lyceum_test

import (
	"bytes"
	"cmp"
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"runctl"
	"runctl/lyceum"
	"runctl/rest"
)

// What this test may cost at most, and how long it may take.
const (
	liveCeiling = 2.00 // USD
	liveTime    = 30 * time.Minute
	liveImage   = "busybox:1.36"
)

// liveQuestions are what Lyceum's pages leave open.
var liveQuestions = []string{
	"when lists and reads know what was created",
	"what labels may be",
	"who is let in on a machine, and what he may do",
	"how a machine ends",
	"what a run's record has, and what its states are",
	"how a run's stream is asked for, and whether it begins anew",
	"when the store of logs has what, and in what order",
	"what an abort and a time limit lead to",
	"what lists of runs have, and how long their pages may be",
	"which calls of older pages there are, and which headers tell limits",
	"what a container finds",
	"how long credentials of the bucket live",
}

// livePython prints, says what it sees, and ends with a code.
const livePython = `for i in 1 2 3 4 5 6 7 8; do echo "LIVE line $i"; sleep 1; done; echo "LIVE err" >&2; echo; echo "LIVE user=$(id -un) cwd=$PWD key=$(env | grep -c -i lyceum)"; exit 3`

// liveProbe is what was created, and what was learnt from it.
type liveProbe struct {
	t       *testing.T
	ctx     context.Context
	p       *lyceum.Provider
	label   string
	n       int
	ids     []string
	answers map[int][]string
}

func (l *liveProbe) learn(n int, format string, args ...any) {
	s := fmt.Sprintf(format, args...)
	l.t.Logf("(%d) %s", n, s)
	l.answers[n] = append(l.answers[n], s)
}

func (l *liveProbe) wait(d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-l.ctx.Done():
	}
}

// call makes one request, at the pace that the older pages allow, and returns the status; 0: there was no reply.
func (l *liveProbe) call(ctx context.Context, method, path string, query url.Values, out any) (rest.Reply, error) {
	l.wait(1100 * time.Millisecond)
	reply, err := l.p.REST().Do(ctx, rest.Request{Method: method, Path: path, Query: query}, out)
	if reply.Status == http.StatusTooManyRequests || len(reply.Header.Values("X-RateLimit-Limit")) > 0 {
		l.learn(10, "%s %s: status %d, limit %q, remaining %q, reset %q, retry %q", method, path, reply.Status, reply.Header.Get("X-RateLimit-Limit"),
			reply.Header.Get("X-RateLimit-Remaining"), reply.Header.Get("X-RateLimit-Reset"), reply.Header.Get("Retry-After"))
	}
	return reply, err
}

// launch starts something under a label of its own, and sees when lists and reads know it: question 1.
func (l *liveProbe) launch(o runctl.Offer, lifetime time.Duration, key string, job *runctl.Job) (runctl.Instance, bool) {
	l.n++
	req := runctl.LaunchRequest{Label: fmt.Sprintf("%s-%d", l.label, l.n), Offer: o, Lifetime: lifetime, AuthorizedKey: key, Job: job}
	i, err := l.p.Launch(l.ctx, req)
	born := time.Now()
	if err != nil {
		l.t.Logf("launch of %s: %v", o.ID, err)
		return i, false
	}
	l.ids = append(l.ids, i.ID)
	var listed, read time.Duration
	for (listed == 0 || read == 0) && time.Since(born) < time.Minute && l.ctx.Err() == nil {
		if got, err := l.p.Get(l.ctx, i.ID); read == 0 && err == nil {
			read = time.Since(born)
			l.learn(2, "%s: the label came back as it was: %t", o.ID, got.Label == req.Label)
		}
		all, err := l.p.List(l.ctx, runctl.ListQuery{})
		if listed == 0 && err == nil && slices.ContainsFunc(all, func(x runctl.Instance) bool { return x.ID == i.ID }) {
			listed = time.Since(born)
		}
		l.wait(time.Second)
	}
	l.learn(1, "%s: a read knew it after %s at the latest, a list after %s", o.ID, read.Round(time.Second), listed.Round(time.Second))
	return i, true
}

// sweep ends everything of this test and says so when something is left. It has its own time: whatever happened before, this runs.
func (l *liveProbe) sweep() {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	for clean := 0; clean < 3; {
		all, err := l.p.List(ctx, runctl.ListQuery{})
		if clean++; err != nil {
			clean = 0
		}
		for _, i := range all {
			if i.State.Billing() && (strings.HasPrefix(i.Label, l.label) || slices.Contains(l.ids, i.ID)) {
				clean = 0
				l.t.Logf("ending %s: %v", i.ID, l.p.Terminate(ctx, i.ID))
			}
		}
		if ctx.Err() != nil {
			l.t.Errorf("SOMETHING MAY BE LEFT BILLING: end what is named %s-… in Lyceum's dashboard (%s)", l.label, strings.Join(l.ids, ", "))
			return
		}
		select {
		case <-time.After(5 * time.Second):
		case <-ctx.Done():
		}
	}
}

func TestLiveWhatLyceumsPagesLeaveOpen(t *testing.T) {
	if os.Getenv("RUNCTL_LIVE_LYCEUM") != "1" {
		t.Logf("not asked: set RUNCTL_LIVE_LYCEUM=1 and LYCEUM_API_KEY to launch one machine and a few runs, for less than %.0f USD", liveCeiling)
		return
	}
	opened, err := lyceum.Factory.Open(t.Context(), os.Getenv)
	require.NoError(t, err)
	p := opened.(*lyceum.Provider)
	offer, kind, err := liveOffers(t.Context(), p)
	require.NoError(t, err)
	end := time.Now().Add(liveTime)
	if d, ok := t.Deadline(); ok && d.Add(-6*time.Minute).Before(end) {
		end = d.Add(-6 * time.Minute) // time to clean up: a test that is out of time is killed
	}
	require.Greater(t, time.Until(end), 2*time.Minute, "give the test more time: go test -timeout 45m")
	require.LessOrEqual(t, offer.Cost(time.Hour).Nanos, runctl.USD(liveCeiling).Nanos, "an hour of it must stay below the ceiling")
	ctx, cancel := context.WithDeadline(t.Context(), end)
	defer cancel()
	l := &liveProbe{t: t, ctx: ctx, p: p, label: fmt.Sprintf("runctl-live-%d", time.Now().Unix()), answers: map[int][]string{}}
	defer l.sweep() // on a panic too
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	defer signal.Stop(signals)
	go func() {
		select {
		case <-signals:
			cancel() // everything below ends early, and the sweep runs
		case <-ctx.Done():
		}
	}()
	t.Logf("runs on %s, and a machine %s for %s an hour; should this be killed, end what is named %s-… in Lyceum's dashboard", kind.Type, offer.Type, offer.Price.Hourly, l.label)
	l.calls()
	l.python(kind)
	l.container(kind)
	l.endings(kind)
	l.lists()
	l.machine(offer)
	for n, question := range liveQuestions {
		t.Logf("ANSWER %d, %s: %s", n+1, question, cmp.Or(strings.Join(l.answers[n+1], "; "), "not answered"))
	}
}

// liveOffers are the cheapest machine with a price, and the plainest kind of run.
func liveOffers(ctx context.Context, p *lyceum.Provider) (vm, run runctl.Offer, err error) {
	all, err := p.Offers(ctx, runctl.OfferQuery{})
	for _, o := range all {
		switch {
		case o.Roads == runctl.RoadJob && (run.ID == "" || o.Type == "cpu"):
			run = o
		case o.Roads == runctl.RoadShell && o.Market == runctl.OnDemand && o.Price.Hourly.Known() && (vm.ID == "" || o.Price.Hourly.Nanos < vm.Price.Hourly.Nanos):
			vm = o
		}
	}
	if err == nil && (vm.ID == "" || run.ID == "") {
		err = fmt.Errorf("there is no machine with a price, or no kind of run")
	}
	return vm, run, err
}

// calls sees which of the calls of older pages there are: questions 10 and 12.
func (l *liveProbe) calls() {
	for _, path := range []string{"/user/status", "/user/quotas/available-hardware", "/machine-types", "/pricing", "/billing/credits", "/health/version"} {
		var body json.RawMessage
		reply, err := l.call(l.ctx, "GET", path, nil, &body)
		l.learn(10, "%s: status %d, %d bytes, %t", path, reply.Status, len(body), err == nil)
	}
	c, err := l.p.S3Credentials(l.ctx)
	l.learn(12, "they live for %s, at %s (%v)", time.Until(c.Expires).Round(time.Second), c.Endpoint, err)
}

// record is a run's record as it stands there.
func (l *liveProbe) record(id string) (m map[string]any) {
	_, _ = l.call(l.ctx, "GET", rest.Path("execution", strings.TrimPrefix(id, "run:")), nil, &m)
	return m
}

// over waits for a run's end and returns the words for its states.
func (l *liveProbe) over(proc runctl.Process, id string, most time.Duration) (words []string, last runctl.Status) {
	for start := time.Now(); time.Since(start) < most && l.ctx.Err() == nil; l.wait(time.Second) {
		word := fmt.Sprint(l.record(id)["status"])
		if len(words) == 0 || words[len(words)-1] != word {
			words = append(words, word)
		}
		if last, _ = proc.Status(l.ctx); last.Live == runctl.Dead {
			break
		}
	}
	return words, last
}

// python sees one run from its launch to its end: questions 5, 6 and 7.
func (l *liveProbe) python(kind runctl.Offer) {
	i, ok := l.launch(kind, 2*time.Minute, "", &runctl.Job{ID: "live", Args: []string{"sh", "-c", livePython}})
	if !ok {
		return
	}
	proc, err := l.p.Process(l.ctx, i)
	require.NoError(l.t, err)
	l.streams(i)
	words, s := l.over(proc, i.ID, 3*time.Minute)
	m := l.record(i.ID)
	l.learn(5, "an exit with 3: states %s; return_code %v; outcome %+v; the record has %s", strings.Join(words, ", "), m["return_code"], s.Receipt, keysOf(m))
	l.learn(5, "combined_output is %.200q, stdout %.80q, stderr %.80q", m["combined_output"], m["stdout"], m["stderr"])
	ended := time.Now()
	for n := 0; time.Since(ended) < time.Minute && l.ctx.Err() == nil; l.wait(5 * time.Second) {
		var page struct {
			Logs  []struct{ Timestamp, Message, Hostname string }
			Total int
		}
		reply, err := l.call(l.ctx, "GET", rest.Path("logs", "execution", strings.TrimPrefix(i.ID, "run:")), url.Values{"limit": {"10000"}, "hours": {"24"}}, &page)
		if len(page.Logs) != n || err != nil {
			n = len(page.Logs)
			l.learn(7, "after %s: status %d, %d lines of %d, in order of time: %t", time.Since(ended).Round(time.Second), reply.Status, n, page.Total,
				slices.IsSortedFunc(page.Logs, func(a, b struct{ Timestamp, Message, Hostname string }) int {
					return strings.Compare(a.Timestamp, b.Timestamp)
				}))
		}
	}
	var log strings.Builder
	for c, err := range proc.Logs(l.ctx, runctl.LogQuery{}) {
		if err != nil {
			l.learn(7, "the log ended with %v", err)
			break
		}
		log.Write(c.Data)
	}
	l.learn(7, "the log is %.400q", log.String())
}

func keysOf(m map[string]any) string {
	var all []string
	for k, v := range m {
		if v != nil {
			all = append(all, k)
		}
	}
	slices.Sort(all)
	return strings.Join(all, " ")
}

// streams asks for a stream in every way, and twice, to see whether it begins anew: question 6.
func (l *liveProbe) streams(i runctl.Instance) {
	told := i.Native.(*lyceum.Run).StreamURL
	l.learn(6, "streaming_url is %q", told)
	at, err := url.Parse(string(told))
	if told == "" || err != nil || at.Scheme != "https" {
		return
	}
	for _, way := range []struct {
		method string
		key    bool
	}{{"POST", false}, {"GET", false}, {"POST", true}, {"POST", true}, {"GET", true}} {
		c := rest.Config{Base: "https://" + at.Host, UserAgent: "runctl-live"}
		own, _ := url.Parse(l.p.REST().Base())
		if way.key && own.Host == at.Host {
			c.Auth = rest.Bearer(os.Getenv("LYCEUM_API_KEY"))
		}
		api, err := rest.New(c)
		require.NoError(l.t, err)
		ctx, cancel := context.WithTimeout(l.ctx, 4*time.Second)
		var seen []string
		for e, err := range api.Events(ctx, rest.Request{Method: way.method, Path: at.EscapedPath(), Query: at.Query()}) {
			if err != nil {
				seen = append(seen, err.Error())
				break
			}
			if len(seen) < 3 {
				seen = append(seen, fmt.Sprintf("id=%q type=%q %.120s", e.ID, e.Type, e.Data))
			}
		}
		cancel()
		l.learn(6, "%s, with the key %t: %s", way.method, way.key, strings.Join(seen, " | "))
	}
}

// container sees what an image finds: question 11.
func (l *liveProbe) container(kind runctl.Offer) {
	script := `echo "LIVE argv=$*"; env | grep -c RUNCTL_; mkdir -p "$RUNCTL_OUTPUT_DIR" && echo x >"$RUNCTL_OUTPUT_DIR/live" && echo LIVE bucket written; ls -d /mnt/s3`
	i, ok := l.launch(kind, 2*time.Minute, "", &runctl.Job{ID: "live", Image: liveImage, Args: []string{"sh", "-c", script, "zeroth", "a b"}})
	if !ok {
		return
	}
	proc, err := l.p.Process(l.ctx, i)
	require.NoError(l.t, err)
	words, s := l.over(proc, i.ID, 4*time.Minute)
	l.learn(11, "states %s; outcome %+v; it said %.300q", strings.Join(words, ", "), s.Receipt, fmt.Sprint(l.record(i.ID)["combined_output"]))
}

// endings sees what an abort and a time limit lead to: question 8.
func (l *liveProbe) endings(kind runctl.Offer) {
	for name, limit := range map[string]time.Duration{"an abort": 5 * time.Minute, "a limit of 15 s": 15 * time.Second} {
		i, ok := l.launch(kind, limit, "", &runctl.Job{ID: "live", Args: []string{"sh", "-c", "trap 'echo LIVE TERM; exit 9' TERM; while :; do echo LIVE; sleep 1; done"}})
		if !ok {
			continue
		}
		proc, err := l.p.Process(l.ctx, i)
		require.NoError(l.t, err)
		began := time.Now()
		if limit > time.Minute {
			for time.Since(began) < 3*time.Minute && fmt.Sprint(l.record(i.ID)["status"]) != "running" && l.ctx.Err() == nil {
			}
			began = time.Now()
			l.learn(8, "abort: %v; and again: %v", proc.Cancel(l.ctx, 0), l.p.Terminate(l.ctx, i.ID))
		}
		words, s := l.over(proc, i.ID, 4*time.Minute)
		l.learn(8, "%s: states %s after %s; code %v; outcome %+v", name, strings.Join(words, ", "), time.Since(began).Round(time.Second), l.record(i.ID)["return_code"], s.Receipt)
	}
}

// lists sees what lists of runs have: question 9.
func (l *liveProbe) lists() {
	for _, limit := range []string{"100", "1000", "5000"} {
		var page struct {
			Executions []map[string]any
			Total      int `json:"total_executions"`
		}
		reply, err := l.call(l.ctx, "GET", "/billing/history", url.Values{"limit": {limit}, "offset": {"0"}}, &page)
		said := fmt.Sprintf("limit %s: status %d (%v), %d of %d", limit, reply.Status, err, len(page.Executions), page.Total)
		if len(page.Executions) > 1 {
			first, last := page.Executions[0], page.Executions[len(page.Executions)-1]
			said += fmt.Sprintf("; from %v to %v; the first has %s", first["created_at"], last["created_at"], keysOf(first))
		}
		l.learn(9, "%s", said)
	}
}

// machine sees one machine from its launch to its end: questions 2, 3 and 4.
func (l *liveProbe) machine(o runctl.Offer) {
	public, private, err := ed25519.GenerateKey(nil)
	require.NoError(l.t, err)
	key, err := ssh.NewPublicKey(public)
	require.NoError(l.t, err)
	i, ok := l.launch(o, time.Hour, "ssh-ed25519 "+base64.StdEncoding.EncodeToString(key.Marshal())+" live", nil)
	if !ok {
		return
	}
	began := time.Now()
	var seen []string
	for time.Since(began) < 12*time.Minute && l.ctx.Err() == nil {
		now, err := l.p.Get(l.ctx, i.ID)
		if err != nil {
			l.learn(4, "a read said %v", err)
		} else if word := fmt.Sprintf("%s %q", now.Reason, now.Addr); len(seen) == 0 || seen[len(seen)-1] != word {
			seen = append(seen, word)
		}
		if now.State == runctl.StateRunning {
			break
		}
		l.wait(5 * time.Second)
	}
	l.learn(3, "states and addresses in %s: %s", time.Since(began).Round(time.Second), strings.Join(seen, ", "))
	for _, user := range []string{"lyceum", "ubuntu", "root"} {
		p, err := lyceum.New(lyceum.Config{APIKey: os.Getenv("LYCEUM_API_KEY"), BaseURL: os.Getenv("LYCEUM_BASE_URL"), Org: os.Getenv("LYCEUM_ORG"), User: user})
		require.NoError(l.t, err)
		ctx, cancel := context.WithTimeout(l.ctx, 90*time.Second)
		m, err := p.Connect(ctx, i, runctl.Access{Signer: private})
		if err == nil {
			var out bytes.Buffer
			_, err = m.Exec(ctx, []string{"sh", "-c", "id; sudo -n true && echo may sudo; df -h / | tail -1; nproc; grep MemTotal /proc/meminfo; nvidia-smi -L; command -v python3 docker curl"}, nil, &out, &out)
			l.learn(3, "%s is let in: %.600q", user, out.String())
			_ = m.Close()
		}
		l.learn(3, "%s: %v", user, err)
		cancel()
	}
	asked := time.Now()
	l.learn(4, "delete: %v; and again: %v", l.p.Terminate(l.ctx, i.ID), l.p.Terminate(l.ctx, i.ID))
	now, err := l.p.Get(l.ctx, i.ID)
	l.learn(4, "%s after the delete a read says %s %q (%v)", time.Since(asked).Round(time.Second), now.State, now.Reason, err)
}
