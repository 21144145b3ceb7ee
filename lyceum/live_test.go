//go:build live

package lyceum_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"runctl"
	"runctl/internal/cloudtest"
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
	*cloudtest.Live
	p   *lyceum.Provider
	n   int
	ids []string
}

// call makes one request, at the pace that the older pages allow, and returns the status; 0: there was no reply.
func (l *liveProbe) call(ctx context.Context, method, path string, query url.Values, out any) (rest.Reply, error) {
	l.Wait(1100 * time.Millisecond)
	reply, err := l.p.REST().Do(ctx, rest.Request{Method: method, Path: path, Query: query}, out)
	if reply.Status == http.StatusTooManyRequests || len(reply.Header.Values("X-RateLimit-Limit")) > 0 {
		l.Learn(10, "%s %s: status %d, limit %q, remaining %q, reset %q, retry %q", method, path, reply.Status, reply.Header.Get("X-RateLimit-Limit"),
			reply.Header.Get("X-RateLimit-Remaining"), reply.Header.Get("X-RateLimit-Reset"), reply.Header.Get("Retry-After"))
	}
	return reply, err
}

// launch starts something under a label of its own, and sees when lists and reads know it: question 1.
func (l *liveProbe) launch(o runctl.Offer, lifetime time.Duration, key string, job *runctl.Job) (runctl.Instance, bool) {
	l.n++
	req := runctl.LaunchRequest{Label: fmt.Sprintf("%s-%d", l.Name, l.n), Offer: o, Lifetime: lifetime, AuthorizedKey: key, Job: job}
	i, err := l.p.Launch(l.Ctx, req)
	born := time.Now()
	if err != nil {
		l.T.Logf("launch of %s: %v", o.ID, err)
		return i, false
	}
	l.ids = append(l.ids, i.ID)
	var listed, read time.Duration
	for (listed == 0 || read == 0) && time.Since(born) < time.Minute && l.Ctx.Err() == nil {
		if got, err := l.p.Get(l.Ctx, i.ID); read == 0 && err == nil {
			read = time.Since(born)
			l.Learn(2, "%s: the label came back as it was: %t", o.ID, got.Label == req.Label)
		}
		all, err := l.p.List(l.Ctx, runctl.ListQuery{})
		if listed == 0 && err == nil && slices.ContainsFunc(all, func(x runctl.Instance) bool { return x.ID == i.ID }) {
			listed = time.Since(born)
		}
		l.Wait(time.Second)
	}
	l.Learn(1, "%s: a read knew it after %s at the latest, a list after %s", o.ID, read.Round(time.Second), listed.Round(time.Second))
	return i, true
}

// left is what this test has made and bills.
func (l *liveProbe) left(ctx context.Context) (ids []string, err error) {
	all, err := l.p.List(ctx, runctl.ListQuery{})
	for _, i := range all {
		if i.State.Billing() && (strings.HasPrefix(i.Label, l.Name) || slices.Contains(l.ids, i.ID)) {
			ids = append(ids, i.ID)
		}
	}
	return ids, err
}

func TestLiveWhatLyceumsPagesLeaveOpen(t *testing.T) {
	if !cloudtest.Asked(t, "lyceum", "LYCEUM_API_KEY", liveCeiling) {
		return
	}
	opened, err := lyceum.Factory.Open(t.Context(), os.Getenv)
	require.NoError(t, err)
	p := opened.(*lyceum.Provider)
	offer, kind, err := liveOffers(t.Context(), p)
	require.NoError(t, err)
	l := &liveProbe{Live: cloudtest.NewLive(t, offer, liveCeiling, liveTime), p: p}
	defer l.Sweep(l.left, p.Terminate) // on a panic too
	t.Logf("runs on %s", kind.Type)
	l.calls()
	l.python(kind)
	l.container(kind)
	l.endings(kind)
	l.lists()
	l.machine(offer)
	l.Answers(liveQuestions...)
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
		reply, err := l.call(l.Ctx, "GET", path, nil, &body)
		l.Learn(10, "%s: status %d, %d bytes, %t", path, reply.Status, len(body), err == nil)
	}
	c, err := l.p.S3Credentials(l.Ctx)
	l.Learn(12, "they live for %s, at %s (%v)", time.Until(c.Expires).Round(time.Second), c.Endpoint, err)
}

// record is a run's record as it stands there.
func (l *liveProbe) record(id string) (m map[string]any) {
	_, _ = l.call(l.Ctx, "GET", rest.Path("execution", strings.TrimPrefix(id, "run:")), nil, &m)
	return m
}

// over waits for a run's end and returns the words for its states.
func (l *liveProbe) over(proc runctl.Process, id string, most time.Duration) (words []string, last runctl.Status) {
	for start := time.Now(); time.Since(start) < most && l.Ctx.Err() == nil; l.Wait(time.Second) {
		word := fmt.Sprint(l.record(id)["status"])
		if len(words) == 0 || words[len(words)-1] != word {
			words = append(words, word)
		}
		if last, _ = proc.Status(l.Ctx); last.Live == runctl.Dead {
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
	proc, err := l.p.Process(l.Ctx, i)
	require.NoError(l.T, err)
	l.streams(i)
	words, s := l.over(proc, i.ID, 3*time.Minute)
	m := l.record(i.ID)
	l.Learn(5, "an exit with 3: states %s; return_code %v; outcome %+v; the record has %s", strings.Join(words, ", "), m["return_code"], s.Receipt, keysOf(m))
	l.Learn(5, "combined_output is %.200q, stdout %.80q, stderr %.80q", m["combined_output"], m["stdout"], m["stderr"])
	ended := time.Now()
	for n := 0; time.Since(ended) < time.Minute && l.Ctx.Err() == nil; l.Wait(5 * time.Second) {
		var page struct {
			Logs  []struct{ Timestamp, Message, Hostname string }
			Total int
		}
		reply, err := l.call(l.Ctx, "GET", rest.Path("logs", "execution", strings.TrimPrefix(i.ID, "run:")), url.Values{"limit": {"10000"}, "hours": {"24"}}, &page)
		if len(page.Logs) != n || err != nil {
			n = len(page.Logs)
			l.Learn(7, "after %s: status %d, %d lines of %d, in order of time: %t", time.Since(ended).Round(time.Second), reply.Status, n, page.Total,
				slices.IsSortedFunc(page.Logs, func(a, b struct{ Timestamp, Message, Hostname string }) int {
					return strings.Compare(a.Timestamp, b.Timestamp)
				}))
		}
	}
	var log strings.Builder
	for c, err := range proc.Logs(l.Ctx, runctl.LogQuery{}) {
		if err != nil {
			l.Learn(7, "the log ended with %v", err)
			break
		}
		log.Write(c.Data)
	}
	l.Learn(7, "the log is %.400q", log.String())
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
	l.Learn(6, "streaming_url is %q", told)
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
		require.NoError(l.T, err)
		ctx, cancel := context.WithTimeout(l.Ctx, 4*time.Second)
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
		l.Learn(6, "%s, with the key %t: %s", way.method, way.key, strings.Join(seen, " | "))
	}
}

// container sees what an image finds: question 11.
func (l *liveProbe) container(kind runctl.Offer) {
	script := `echo "LIVE argv=$*"; env | grep -c RUNCTL_; mkdir -p "$RUNCTL_OUTPUT_DIR" && echo x >"$RUNCTL_OUTPUT_DIR/live" && echo LIVE bucket written; ls -d /mnt/s3`
	i, ok := l.launch(kind, 2*time.Minute, "", &runctl.Job{ID: "live", Image: liveImage, Args: []string{"sh", "-c", script, "zeroth", "a b"}})
	if !ok {
		return
	}
	proc, err := l.p.Process(l.Ctx, i)
	require.NoError(l.T, err)
	words, s := l.over(proc, i.ID, 4*time.Minute)
	l.Learn(11, "states %s; outcome %+v; it said %.300q", strings.Join(words, ", "), s.Receipt, fmt.Sprint(l.record(i.ID)["combined_output"]))
}

// endings sees what an abort and a time limit lead to: question 8.
func (l *liveProbe) endings(kind runctl.Offer) {
	for name, limit := range map[string]time.Duration{"an abort": 5 * time.Minute, "a limit of 15 s": 15 * time.Second} {
		i, ok := l.launch(kind, limit, "", &runctl.Job{ID: "live", Args: []string{"sh", "-c", "trap 'echo LIVE TERM; exit 9' TERM; while :; do echo LIVE; sleep 1; done"}})
		if !ok {
			continue
		}
		proc, err := l.p.Process(l.Ctx, i)
		require.NoError(l.T, err)
		began := time.Now()
		if limit > time.Minute {
			for time.Since(began) < 3*time.Minute && fmt.Sprint(l.record(i.ID)["status"]) != "running" && l.Ctx.Err() == nil {
			}
			began = time.Now()
			l.Learn(8, "abort: %v; and again: %v", proc.Cancel(l.Ctx, 0), l.p.Terminate(l.Ctx, i.ID))
		}
		words, s := l.over(proc, i.ID, 4*time.Minute)
		l.Learn(8, "%s: states %s after %s; code %v; outcome %+v", name, strings.Join(words, ", "), time.Since(began).Round(time.Second), l.record(i.ID)["return_code"], s.Receipt)
	}
}

// lists sees what lists of runs have: question 9.
func (l *liveProbe) lists() {
	for _, limit := range []string{"100", "1000", "5000"} {
		var page struct {
			Executions []map[string]any
			Total      int `json:"total_executions"`
		}
		reply, err := l.call(l.Ctx, "GET", "/billing/history", url.Values{"limit": {limit}, "offset": {"0"}}, &page)
		said := fmt.Sprintf("limit %s: status %d (%v), %d of %d", limit, reply.Status, err, len(page.Executions), page.Total)
		if len(page.Executions) > 1 {
			first, last := page.Executions[0], page.Executions[len(page.Executions)-1]
			said += fmt.Sprintf("; from %v to %v; the first has %s", first["created_at"], last["created_at"], keysOf(first))
		}
		l.Learn(9, "%s", said)
	}
}

// machine sees one machine from its launch to its end: questions 2, 3 and 4.
func (l *liveProbe) machine(o runctl.Offer) {
	public, private, err := ed25519.GenerateKey(nil)
	require.NoError(l.T, err)
	key, err := ssh.NewPublicKey(public)
	require.NoError(l.T, err)
	i, ok := l.launch(o, time.Hour, "ssh-ed25519 "+base64.StdEncoding.EncodeToString(key.Marshal())+" live", nil)
	if !ok {
		return
	}
	began := time.Now()
	var seen []string
	for time.Since(began) < 12*time.Minute && l.Ctx.Err() == nil {
		now, err := l.p.Get(l.Ctx, i.ID)
		if err != nil {
			l.Learn(4, "a read said %v", err)
		} else if word := fmt.Sprintf("%s %q", now.Reason, now.Addr); len(seen) == 0 || seen[len(seen)-1] != word {
			seen = append(seen, word)
		}
		if now.State == runctl.StateRunning {
			break
		}
		l.Wait(5 * time.Second)
	}
	l.Learn(3, "states and addresses in %s: %s", time.Since(began).Round(time.Second), strings.Join(seen, ", "))
	for _, user := range []string{"lyceum", "ubuntu", "root"} {
		p, err := lyceum.New(lyceum.Config{APIKey: os.Getenv("LYCEUM_API_KEY"), BaseURL: os.Getenv("LYCEUM_BASE_URL"), Org: os.Getenv("LYCEUM_ORG"), User: user})
		require.NoError(l.T, err)
		ctx, cancel := context.WithTimeout(l.Ctx, 90*time.Second)
		m, err := p.Connect(ctx, i, runctl.Access{Signer: private})
		if err == nil {
			var out bytes.Buffer
			_, err = m.Exec(ctx, []string{"sh", "-c", "id; sudo -n true && echo may sudo; df -h / | tail -1; nproc; grep MemTotal /proc/meminfo; nvidia-smi -L; command -v python3 docker curl"}, nil, &out, &out)
			l.Learn(3, "%s is let in: %.600q", user, out.String())
			_ = m.Close()
		}
		l.Learn(3, "%s: %v", user, err)
		cancel()
	}
	asked := time.Now()
	l.Learn(4, "delete: %v; and again: %v", l.p.Terminate(l.Ctx, i.ID), l.p.Terminate(l.Ctx, i.ID))
	now, err := l.p.Get(l.Ctx, i.ID)
	l.Learn(4, "%s after the delete a read says %s %q (%v)", time.Since(asked).Round(time.Second), now.State, now.Reason, err)
}
