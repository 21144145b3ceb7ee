package lyceum

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Submissions that a correct client sends.
const (
	pythonRun = `{"code":"print(1)","nbcode":0,"timeout":600,"execution_type":"cpu","file_name":"rc1-r","import_files":null}`
	imageRun  = `{"docker_image_ref":"busybox","docker_run_cmd":["sh","-c","exit 3"],"docker_run_env":"A=b\nC=d=e","timeout":60,"execution_type":"gpu.l40s","file_name":"rc1-i","enable_s3_mount":false}`
)

func (c *client) start(body string) string {
	c.t.Helper()
	kind := "streaming"
	if strings.Contains(body, "docker_image_ref") {
		kind = "image"
	}
	r := c.do("POST", "/execution/"+kind+"/start", body)
	require.NoError(c.t, r.err)
	require.Equal(c.t, 200, r.StatusCode, r.text)
	return r.json(c.t)["execution_id"].(string)
}

func (c *client) runState(id string) any {
	return c.do("GET", "/execution/streaming/"+id+"/status", "").json(c.t)["status"]
}

// stream reads a run's stream to its end: the frames' data.
func (c *client) stream(method, id string) (frames []string, err error) {
	c.t.Helper()
	req, _ := http.NewRequestWithContext(c.t.Context(), method, "http://lyceum.test/api/v1/stream/"+id, nil)
	req.Header.Set("Accept", "text/event-stream")
	if c.key != "" {
		req.Header.Set("Authorization", "Bearer "+c.key)
	}
	resp, err := c.http.Do(req)
	require.NoError(c.t, err)
	defer resp.Body.Close()
	if resp.StatusCode != 200 {
		return nil, fmt.Errorf("status %d", resp.StatusCode)
	}
	lines := bufio.NewScanner(resp.Body)
	for lines.Scan() {
		if data, ok := strings.CutPrefix(lines.Text(), "data: "); ok {
			frames = append(frames, data)
		}
	}
	return frames, lines.Err()
}

// two is a run that prints two lines and ends.
func two(code int) func(Run) Script {
	return func(Run) Script {
		return Script{Lines: []Line{{0, "one\n", ""}, {10 * time.Second, "two\n", "stderr"}}, Exit: 20 * time.Second, Code: code}
	}
}

func TestARunGoesThroughItsLifeAndIsListedWhileItLasts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClient(t, Options{Queue: time.Minute, Boot: time.Minute, Script: two(3)})
		id := c.start(imageRun)
		assert.Equal(t, map[string]string{"A": "b", "C": "d=e"}, c.face.Runs()[0].Env)
		assert.Equal(t, "pending", c.runState(id))
		assert.Contains(t, c.do("GET", "/workloads/list", "").text, `"file_name":"rc1-i"`)
		pass(time.Minute)
		assert.Equal(t, "starting", c.runState(id))
		pass(time.Minute + 11*time.Second)
		assert.Equal(t, "running", c.runState(id))
		r := c.do("GET", "/execution/"+id, "").json(t)
		assert.Equal(t, []any{"one\ntwo\n", "one\n", "two\n", nil}, []any{r["combined_output"], r["stdout"], r["stderr"], r["return_code"]})
		pass(10 * time.Second)
		r = c.do("GET", "/execution/"+id, "").json(t)
		assert.Equal(t, []any{"failed", 3.0}, []any{r["status"], r["return_code"]})
		assert.Equal(t, "[]", strings.TrimSpace(c.do("GET", "/workloads/list", "").text))
		h := c.do("GET", "/billing/history?limit=1", "").json(t)
		one := h["executions"].([]any)[0].(map[string]any)
		assert.Equal(t, []any{"rc1-i", "failed", 1.0}, []any{one["file_name"], one["status"], h["total_executions"]})
		assert.InDelta(t, 20*1.19/3600, one["billed"], 1e-6, "from its start to its end")
		assert.Equal(t, 404, c.do("POST", "/workloads/abort/"+id, "").StatusCode, "it is over")
		assert.NotNil(t, c.do("GET", "/execution/"+id+"/timing", "").json(t)["timing"])
		assert.Equal(t, 200, c.do("DELETE", "/execution/"+id, "").StatusCode)
		assert.Equal(t, 404, c.do("GET", "/execution/"+id, "").StatusCode)
		c.clean()
	})
}

func TestARunEndsInFourWays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		scripts := map[string]Script{"ends": {}, "fails": {Code: 7}, "hangs": {Exit: -1}, "is too slow": {Exit: 11 * time.Minute, Lines: []Line{{650 * time.Second, "late\n", ""}}}, "breaks": {Exit: time.Second, Fault: "node lost"}, "is aborted": {Exit: -1, Lines: []Line{{time.Second, "before\n", ""}, {time.Minute, "after\n", ""}}}}
		c := newClient(t, Options{Aborting: 5 * time.Second, Script: func(r Run) Script { return scripts[r.FileName] }})
		ids := map[string]string{}
		for name := range scripts {
			ids[name] = c.start(strings.Replace(pythonRun, "rc1-r", name, 1))
		}
		assert.Equal(t, "cancelling", c.do("POST", "/workloads/abort/"+ids["is aborted"], "").json(t)["status"])
		assert.Equal(t, "cancelling", c.runState(ids["is aborted"]))
		pass(5 * time.Second)
		assert.Equal(t, "aborted", c.runState(ids["is aborted"]))
		pass(10 * time.Minute)
		for name, want := range map[string][]any{"ends": {"completed", 0.0}, "fails": {"failed", 7.0}, "hangs": {"timeout", nil}, "is too slow": {"timeout", nil}, "breaks": {"system_failure", nil}} {
			r := c.do("GET", "/execution/"+ids[name], "").json(t)
			assert.Equal(t, want, []any{r["status"], r["return_code"]}, name)
		}
		for name, want := range map[string]string{"is aborted": "before\n", "is too slow": ""} {
			assert.Equal(t, want, c.do("GET", "/execution/"+ids[name], "").json(t)["stdout"], "what it would have printed later it does not")
		}
		assert.Equal(t, "node lost", c.do("GET", "/execution/streaming/"+ids["breaks"]+"/status", "").json(t)["errors"])
		assert.Equal(t, "node lost", c.do("GET", "/execution/"+ids["breaks"], "").json(t)["errors"])
		c.clean()

		late := newClient(t, Options{AbortedAs: Completed, Script: two(0)})
		id := late.start(pythonRun)
		late.do("POST", "/workloads/abort/"+id, "")
		assert.Equal(t, "completed", late.runState(id), "an abort may come too late")
	})
}

func TestTheStreamHasEveryShapeOfEvents(t *testing.T) {
	for n, shape := range Shapes {
		t.Run(shape.Name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newClient(t, Options{Script: two(3), Stream: Stream{Shape: n, Doubled: n == 0, Pings: n == 3, AsText: n == 1, CRLF: n == 2}})
				id := c.start(pythonRun)
				began := time.Now()
				frames, err := c.stream("POST", id)
				require.NoError(t, err)
				assert.Equal(t, 20*time.Second, time.Since(began), "as it comes")
				all := strings.Join(frames, "\n")
				assert.Equal(t, []int{1, 1}, []int{strings.Count(all, "one"), strings.Count(all, "two")})
				assert.GreaterOrEqual(t, len(frames), 3)
				for _, f := range frames {
					assert.True(t, json.Valid([]byte(f)) || f == "Stream complete", f)
				}
				c.clean()
			})
		})
	}
	synctest.Test(t, func(t *testing.T) {
		c := newClient(t, Options{Script: two(3), Stream: Stream{Shape: -1}})
		frames, err := c.stream("GET", c.start(pythonRun))
		require.NoError(t, err)
		assert.Equal(t, []string{`{"output":{"content":"one\n"}}`, `{"Message":{"Output":{"content":"two\n"}}}`}, frames[:2], "all in one")
	})
}

func TestAStreamEndsRepeatsAndRefusesAsItIsTold(t *testing.T) {
	read := func(t *testing.T, s Stream, method string, late time.Duration) ([]string, error) {
		c := newClient(t, Options{Script: two(0), Stream: s})
		id := c.start(pythonRun)
		pass(late)
		frames, err := c.stream(method, id)
		return frames, err
	}
	for _, x := range []struct {
		name   string
		s      Stream
		method string
		late   time.Duration
		frames int
		err    string
	}{
		{"from the start", Stream{}, "POST", time.Minute, 3, ""},
		{"without an end event", Stream{NoEnd: true}, "POST", 0, 2, ""},
		{"what is to come alone", Stream{Live: true}, "POST", 15 * time.Second, 1, ""},
		{"and a little of what was", Stream{Live: true, Tail: 1}, "POST", 15 * time.Second, 2, ""},
		{"cut in the middle", Stream{CutAfter: 1}, "POST", time.Minute, 1, "EOF"},
		{"POST alone", Stream{Method: "POST"}, "GET", 0, 0, "405"},
		{"GET alone", Stream{Method: "GET"}, "POST", 0, 0, "405"},
		{"GET alone, by GET", Stream{Method: "GET"}, "GET", 0, 3, ""},
		{"gone with the run", Stream{Gone: true}, "POST", time.Minute, 0, "404"},
	} {
		t.Run(x.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				frames, err := read(t, x.s, x.method, x.late)
				assert.Len(t, frames, x.frames)
				if x.err == "" {
					assert.NoError(t, err)
				} else {
					assert.ErrorContains(t, err, x.err)
				}
			})
		})
	}
	synctest.Test(t, func(t *testing.T) {
		c := newClient(t, Options{Script: two(0), Stream: Stream{NeedKey: true}})
		id := c.start(pythonRun)
		c.key = ""
		_, err := c.stream("POST", id)
		assert.ErrorContains(t, err, "401")
		c.face.SetStream(func(s *Stream) { s.NeedKey = false })
		_, err = c.stream("POST", id)
		assert.NoError(t, err)
		c.key = "lk_other"
		_, err = c.stream("POST", id)
		assert.ErrorContains(t, err, "401")
		assert.Equal(t, 3, c.face.Served("stream"))
		c.do("GET", "http://lyceum.test/api/v1/stream/"+id, "")
		assert.Contains(t, strings.Join(c.face.Violations(), ""), "Accept")
	})
	synctest.Test(t, func(t *testing.T) {
		c := newClient(t, Options{Stream: Stream{NoURL: true}})
		assert.Nil(t, c.do("POST", "/execution/image/start", imageRun).json(t)["streaming_url"])
		c.face.SetStream(func(s *Stream) { s.NoURL, s.URL = false, func(id string) string { return "ftp://else.test/" + id } })
		assert.Contains(t, c.do("POST", "/execution/image/start", imageRun).json(t)["streaming_url"], "ftp://else.test/")
		c.clean()
	})
}

func TestAStreamIsCutWhileItIsHeld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClient(t, Options{Script: two(0)})
		id := c.start(pythonRun)
		time.AfterFunc(5*time.Second, c.face.CutStreams)
		frames, err := c.stream("POST", id)
		assert.Len(t, frames, 1)
		assert.Error(t, err)
	})
}

func TestStoredLinesComeLateInAnyOrderAndNotAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClient(t, Options{Script: two(0), LogLag: 5 * time.Second})
		id := c.start(pythonRun)
		read := func(query string) (all []string, total any) {
			m := c.do("GET", "/logs/execution/"+id+query, "").json(t)
			for _, l := range m["logs"].([]any) {
				all = append(all, l.(map[string]any)["message"].(string))
			}
			return all, m["total"]
		}
		none, _ := read("")
		assert.Empty(t, none, "not yet")
		pass(16 * time.Second)
		all, _ := read("")
		assert.Equal(t, []string{"one", "two"}, all)
		first, total := read("?limit=1")
		assert.Equal(t, []any{[]string{"one"}, 2.0}, []any{first, total})
		c.face.opt.Reversed = true
		all, _ = read("")
		assert.Equal(t, []string{"two", "one"}, all)
		pass(25 * time.Hour)
		all, _ = read("")
		assert.Empty(t, all, "too long ago")
		all, _ = read("?hours=168")
		assert.Len(t, all, 2)
		c.clean()
	})
}

func TestRunsOfOthersAndWhatTheyDo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClient(t, Options{Bare: true, NoLabel: true})
		theirs := c.face.AddRun("rc1-copy")
		assert.Contains(t, c.do("GET", "/workloads/list", "").text, `"file_name":null`)
		c.face.Say(theirs, "hello\n")
		assert.NotContains(t, c.do("GET", "/execution/"+theirs, "").json(t), "stdout")
		assert.Equal(t, []string{theirs}, c.face.Billing())
		c.face.FailRun(theirs, "gone")
		assert.Equal(t, "system_failure", c.runState(theirs))
		c.face.SetRun(theirs, "Failed User", nil)
		assert.Equal(t, "Failed User", c.runState(theirs))
		c.face.ForgetRun(theirs)
		assert.Equal(t, 404, c.do("GET", "/execution/"+theirs, "").StatusCode)
		c.face.Broke(true)
		assert.Equal(t, 402, c.do("POST", "/execution/image/start", imageRun).StatusCode)
		c.face.Broke(false)
		c.face.SoldOut(true)
		assert.Equal(t, 500, c.do("POST", "/execution/image/start", imageRun).StatusCode)
		c.clean()
	})
}
