//go:build live

package runpod_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"runctl"
	"runctl/internal/cloudtest"
	"runctl/rest"
	"runctl/runpod"
)

// What this test may cost at most, and how long it may take.
const (
	liveCeiling = 1.00 // USD
	liveTime    = 25 * time.Minute
	liveImage   = "curlimages/curl:8.11.1"
)

// liveScript is what the pod runs: what it does depends on the stage that its environment names.
const liveScript = `b=$(cat /proc/sys/kernel/random/uuid)
say() { echo "LIVE boot=$b stage=$STAGE at=$(date +%s) $*"; }
api() { # METHOD PATH [BODY]: the status; the key is no argument
  printf 'header = "Authorization: Bearer %s"\n' "$RUNPOD_API_KEY" |
    curl -q -K - -s -m 20 -A runctl-live -o /dev/null -w '%{http_code}' -X "$1" ${3:+-H content-type:application/json -d "$3"} "$LIVE_API/v2/pods/$RUNPOD_POD_ID$2"
}
say "up argv=$#,$1,$2"
case $STAGE in
zero) sleep 5; say exits; exit 0 ;;
one) sleep 5; say exits; exit 1 ;;
rights) say "get=$(api GET '')"; say "patch=$(api PATCH '' "{\"name\":\"$LIVE_NAME\"}")"; say "stop=$(api POST /action '{"action":"stop"}')" ;;
delete) say "delete=$(api DELETE '')" ;;
esac
n=0
trap 'while :; do n=$((n+1)); say "after TERM $n"; sleep 0.5; done' TERM
while :; do say alive; sleep 2 & wait; done`

// liveProbe is the one pod, and what was learnt from it.
type liveProbe struct {
	*cloudtest.Live
	api *rest.Client
	id  string
	env map[string]string
	odd []string // answers of 5xx
}

// call makes one request, at the pace of the documented quota, and returns the status; 0: there was no reply.
func (l *liveProbe) call(ctx context.Context, method, path string, body, out any) (int, error) {
	l.Wait(1100 * time.Millisecond)
	reply, err := l.api.Do(ctx, rest.Request{Method: method, Path: path, Body: body}, out)
	if reply.Status >= 500 {
		l.odd = append(l.odd, fmt.Sprintf("%s %s: %v", method, path, err))
	}
	return reply.Status, err
}

func (l *liveProbe) path() string { return rest.Path("v2", "pods", l.id) }

func (l *liveProbe) pod() (p runpod.Pod) {
	_, _ = l.call(l.Ctx, "GET", l.path(), nil, &p)
	return p
}

// lines are the pod's own lines of its log so far.
func (l *liveProbe) lines() (all []string) {
	ctx, cancel := context.WithTimeout(l.Ctx, 5*time.Second)
	defer cancel()
	req := rest.Request{Method: "GET", Path: l.path() + "/logs", Query: map[string][]string{"source": {"container"}, "tail": {"1000"}}}
	for e, err := range l.api.Events(ctx, req) {
		var data struct{ Line string }
		if err == nil && json.Unmarshal([]byte(e.Data), &data) == nil && strings.HasPrefix(data.Line, "LIVE ") {
			all = append(all, data.Line)
		}
	}
	return all
}

// with returns the lines that have all of the words.
func with(lines []string, words ...string) (fit []string) {
	for _, s := range lines {
		if !slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(s, w) }) {
			fit = append(fit, s)
		}
	}
	return fit
}

func boots(lines []string) int {
	seen := map[string]bool{}
	for _, s := range with(lines, " up ") {
		seen[strings.Fields(s)[1]] = true
	}
	return len(seen)
}

func (l *liveProbe) action(word string) {
	if status, err := l.call(l.Ctx, "POST", l.path()+"/action", map[string]string{"action": word}, nil); err != nil {
		l.T.Logf("%s: %d %v", word, status, err)
	}
}

// until polls the pod until it is in the state, and returns how long that took.
func (l *liveProbe) until(status string, most time.Duration) (time.Duration, bool) {
	start := time.Now()
	for time.Since(start) < most && l.Ctx.Err() == nil {
		if l.pod().Status == status {
			return time.Since(start), true
		}
	}
	return time.Since(start), false
}

// enter brings the pod into a stage, and tells what that took.
func (l *liveProbe) enter(stage string) bool {
	l.env["STAGE"] = stage
	before := l.pod().Status
	status, err := l.call(l.Ctx, "PATCH", l.path(), map[string]any{"env": l.env}, nil)
	if err != nil {
		l.Learn(6, "PATCH env: status %d, %v", status, err)
	}
	if before == "EXITED" {
		l.action("start")
	}
	for _, how := range []string{"by itself", "after a restart"} {
		for start := time.Now(); time.Since(start) < 90*time.Second && l.Ctx.Err() == nil; l.Wait(3 * time.Second) {
			if len(with(l.lines(), "stage="+stage)) > 0 {
				l.Learn(6, "a new env reached a %s pod %s", before, how)
				return true
			}
		}
		l.action("restart")
	}
	return false
}

// left are the pods of this test that are there.
func (l *liveProbe) left(ctx context.Context) (ids []string, err error) {
	var page struct{ Pods *[]runpod.Pod }
	if _, err := l.api.Do(ctx, rest.Request{Method: "GET", Path: "/v2/pods"}, &page); err != nil {
		return nil, err
	}
	if page.Pods == nil {
		return nil, errors.New("the reply is not a listing")
	}
	for _, p := range *page.Pods {
		if strings.HasPrefix(p.Name, l.Name) || p.ID == l.id {
			ids = append(ids, p.ID)
		}
	}
	return ids, nil
}

func (l *liveProbe) end(ctx context.Context, id string) error {
	_, err := l.api.Do(ctx, rest.Request{Method: "DELETE", Path: rest.Path("v2", "pods", id)}, nil)
	return err
}

// liveQuestions are what RunPod's documents leave open.
var liveQuestions = []string{
	"what a command that returns looks like",
	"what of a log is left when a pod is EXITED",
	"what a pod's own key may do",
	"what happens between TERM and the end",
	"when lists and reads know what was created",
	"what a change of the name or the environment does to a container",
	"what a name may be",
	"how args reach the command",
	"what is said at the spending limit",
	"which errors of 5xx are met",
}

func TestLiveWhatRunPodsDocumentsLeaveOpen(t *testing.T) {
	if !cloudtest.Asked(t, "runpod", "RUNPOD_API_KEY", liveCeiling) {
		return
	}
	opened, err := runpod.Factory.Open(t.Context(), os.Getenv)
	require.NoError(t, err)
	p := opened.(*runpod.Provider)
	offer, err := cheapest(t.Context(), p)
	require.NoError(t, err)
	l := &liveProbe{Live: cloudtest.NewLive(t, offer, liveCeiling, liveTime), api: p.REST()}
	defer l.Sweep(l.left, l.end) // on a panic too
	l.create(offer)
	l.loops()
	l.names()
	l.endings()
	l.Answers(liveQuestions...)
}

// cheapest is the machine without GPUs that costs least.
func cheapest(ctx context.Context, p *runpod.Provider) (best runctl.Offer, err error) {
	all, err := p.Offers(ctx, runctl.OfferQuery{VCPU: 2})
	for _, o := range all {
		if o.VCPU == 2 && o.Price.Hourly.Known() && (best.ID == "" || o.Price.Hourly.Nanos < best.Price.Hourly.Nanos) {
			best = o
		}
	}
	if err == nil && best.ID == "" {
		err = fmt.Errorf("there is no machine without GPUs and with a price")
	}
	return best, err
}

// create launches, and sees when listings and reads know the pod: questions 5, 8, 10.
func (l *liveProbe) create(o runctl.Offer) {
	l.env = map[string]string{"STAGE": "zero", "LIVE_NAME": l.Name, "LIVE_API": l.api.Base()}
	form, _ := json.Marshal(map[string][]string{"entrypoint": {"/bin/sh", "-c"}, "cmd": {liveScript, "zeroth", "a b", `"c'$d`}})
	part := strings.SplitN(o.ID, ":", 6)
	var v runpod.Pod
	status, err := l.call(l.Ctx, "POST", "/v2/pods", map[string]any{"name": l.Name, "image": liveImage, "args": string(form), "disk": 5, "env": l.env,
		"cpu": map[string]any{"id": part[5], "vcpuCount": o.VCPU}, "cloud": "SECURE", "dataCenterIds": []string{o.Region}}, &v)
	born := time.Now()
	l.Learn(10, "create answered %d (%v); no 5xx can be provoked, so those that were met are what there is", status, err)
	l.id = v.ID
	require.NotEmpty(l.T, l.id, "nothing to ask: %v", err)
	l.Learn(8, "args came back as they were sent: %t", v.Args == string(form))
	var listed, read time.Duration
	for (listed == 0 || read == 0) && time.Since(born) < 3*time.Minute && l.Ctx.Err() == nil {
		var page struct{ Pods []runpod.Pod }
		if _, err := l.call(l.Ctx, "GET", "/v2/pods", nil, &page); err == nil && listed == 0 &&
			slices.ContainsFunc(page.Pods, func(p runpod.Pod) bool { return p.ID == l.id }) {
			listed = time.Since(born)
		}
		if read == 0 && l.pod().ID == l.id {
			read = time.Since(born)
		}
	}
	l.Learn(5, "after the 201, the listing had it after %s at the latest, a GET after %s", listed.Round(time.Second), read.Round(time.Second))
}

// loops sees what a command that returns looks like: questions 1 and 8.
func (l *liveProbe) loops() {
	for n, stage := range []string{"zero", "one"} {
		if n > 0 && !l.enter(stage) {
			l.Learn(1, "stage %s was never seen", stage)
			continue
		}
		var seen []string
		for start := time.Now(); time.Since(start) < 4*time.Minute && boots(with(l.lines(), "stage="+stage)) < 4 && l.Ctx.Err() == nil; {
			p := l.pod()
			now := p.Status
			if p.Runtime != nil {
				now += fmt.Sprintf(" %ds", p.Runtime.Uptime)
			}
			if len(seen) == 0 || seen[len(seen)-1] != now {
				seen = append(seen, now)
			}
		}
		l.Learn(1, "a command that exits %d: %d starts; status and uptime: %s", n, boots(with(l.lines(), "stage="+stage)), strings.Join(seen, ", "))
	}
	if up := with(l.lines(), " up "); len(up) > 0 {
		l.Learn(8, "the command saw: %s", up[0][strings.Index(up[0], "argv="):])
	}
}

// names sees what a name may be, and what changing it does: questions 6 and 7.
func (l *liveProbe) names() {
	if !l.enter("stay") {
		return
	}
	before := boots(l.lines())
	rename := func(name string) (int, string) {
		var v runpod.Pod
		status, _ := l.call(l.Ctx, "PATCH", l.path(), map[string]string{"name": name}, &v)
		return status, v.Name
	}
	status, _ := rename(l.Name + "-renamed")
	l.Wait(30 * time.Second)
	l.Learn(6, "PATCH of the name: status %d, %d new starts of the container", status, boots(l.lines())-before)
	for _, n := range []int{60, 64, 100, 128, 191, 192, 255, 256} {
		name := l.Name + "-" + strings.Repeat("n", n-len(l.Name)-1)
		status, got := rename(name)
		l.Learn(7, "%d characters: status %d, kept %d of them", n, status, len(got))
	}
	for _, tail := range []string{"_", ".", "A", " b", "/", "é"} {
		status, got := rename(l.Name + tail)
		l.Learn(7, "%q: status %d, kept: %t", tail, status, got == l.Name+tail)
	}
	_, _ = rename(l.Name)
}

// endings sees how a pod ends, and what its own key may do: questions 2, 3, 4 and 9.
func (l *liveProbe) endings() {
	l.Learn(9, "not provoked: it would cost 80 USD an hour")
	if len(with(l.lines(), "stage=stay")) > 0 {
		l.action("stop")
		took, ok := l.until("EXITED", 2*time.Minute)
		after := l.lines()
		l.Learn(2, "a pod that is EXITED shows %d lines of its log", len(after))
		l.Learn(4, "stop: EXITED %t after %s; lines after TERM: %s", ok, took.Round(time.Second), ends(with(after, "after TERM")))
	}
	if l.enter("rights") {
		took, ok := l.until("EXITED", time.Minute)
		for _, word := range []string{"get=", "patch=", "stop="} {
			l.Learn(3, "own key, %s", ends(with(l.lines(), "stage=rights", word)))
		}
		l.Learn(3, "stopped by itself: %t after %s", ok, took.Round(time.Second))
		if !ok {
			l.action("stop")
			l.until("EXITED", 2*time.Minute)
		}
	}
	if l.enter("delete") {
		l.Learn(3, "own key, %s; gone: %t", ends(with(l.lines(), "stage=delete", "delete=")), l.pod().ID == "")
	}
	if l.pod().ID != "" && l.enter("last") {
		ctx, cancel := context.WithTimeout(l.Ctx, time.Minute)
		defer cancel()
		var last []string
		for e, err := range l.api.Events(ctx, rest.Request{Method: "GET", Path: l.path() + "/logs", Query: map[string][]string{"source": {"container"}}}) {
			if len(last) == 0 {
				_, _ = l.call(l.Ctx, "DELETE", l.path(), nil, nil)
			}
			if err == nil {
				last = append(last, e.Data)
			}
		}
		l.Learn(4, "delete: lines after TERM: %s", ends(with(last, "after TERM")))
	}
	if len(l.odd) > 0 {
		l.Learn(10, "met: %s", strings.Join(l.odd, "; "))
	}
}

// ends are the first and the last of some lines, which have times.
func ends(lines []string) string {
	switch len(lines) {
	case 0:
		return "none"
	case 1:
		return lines[0]
	}
	return fmt.Sprintf("%d, from %q to %q", len(lines), lines[0], lines[len(lines)-1])
}
