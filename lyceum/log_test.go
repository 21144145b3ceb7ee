package lyceum

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"runctl"
)

const (
	recordCall = "GET /execution/e1"
	storeCall  = "GET /logs/execution/e1"
	streamCall = "POST /api/v1/stream/e1"
)

// streamOf is a stream that has these data, and then is over.
func streamOf(data ...string) reply {
	r := reply{head: map[string]string{"Content-Type": "text/event-stream"}}
	for _, d := range data {
		r.body += "data: " + d + "\n\n"
	}
	return r
}

func said(text string) string { return fmt.Sprintf(`{"output":{"content":%q}}`, text) }

const finished = `{"jobFinished":{"job":{"result":{"returnCode":0}}}}`

// followed is the log of run e1 as it is followed, and where something was named as lost.
func followed(t *testing.T, s *server, follow bool) (log string, lost []int64) {
	p, err := New(Config{APIKey: testKey, BaseURL: "http://lyceum.test", Transport: s})
	require.NoError(t, err)
	proc, err := p.Process(t.Context(), runctl.Instance{ID: "run:e1"})
	require.NoError(t, err)
	for c, err := range proc.Logs(t.Context(), runctl.LogQuery{Follow: follow}) {
		require.NoError(t, err)
		if c.Lost != 0 {
			lost = append(lost, c.Offset)
		}
		log += string(c.Data)
	}
	return log, lost
}

// within is a test on virtual time, over a server without a network.
func within(t *testing.T, table map[string][]reply, do func(t *testing.T, s *server)) {
	synctest.Test(t, func(t *testing.T) { do(t, &server{t: t, table: table}) })
}

func TestAStreamThatMayHaveBegunLateIsHeldAgainstTheRecord(t *testing.T) {
	within(t, map[string][]reply{
		recordCall: {{body: `{"status":"running"}`}, {body: `{"status":"completed","return_code":0,"combined_output":"x\nx\nx\nx\n"}`}},
		storeCall:  ok(`{"logs":[{"timestamp":"2026-08-01T10:00:00Z","message":"x"},{"timestamp":"2026-08-01T10:00:01Z","message":"x"}],"total":2}`),
		streamCall: {streamOf(said("x\n"), said("x\n"), finished)}, // the last two of four lines that are alike
	}, func(t *testing.T, s *server) {
		log, lost := followed(t, s, true)
		assert.Equal(t, "x\nx\nx\nx\n", log)
		assert.Empty(t, lost)
	})
}

func TestAStreamThatHadAllFromTheStartNeedsNoOtherPlace(t *testing.T) {
	within(t, map[string][]reply{
		recordCall: {{body: `{"status":"starting"}`}, {body: `{"status":"completed","return_code":0,"combined_output":"something else"}`}},
		storeCall:  ok(`{"logs":[]}`),
		streamCall: {streamOf(said("one\ntw"), said("o\n\n"), said("three"), finished)},
	}, func(t *testing.T, s *server) {
		log, lost := followed(t, s, true)
		assert.Equal(t, "one\ntwo\nthree\n", log)
		assert.Empty(t, lost)
		assert.Len(t, s.calls(recordCall), 1)
	})
}

func TestTheStoreIsSortedAndWaitedForAfterTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		line := func(second int, text string) string {
			return fmt.Sprintf(`{"timestamp":"2026-08-01T10:00:%02dZ","message":%q}`, second, text)
		}
		s := &server{t: t, table: map[string][]reply{
			recordCall: ok(fmt.Sprintf(`{"status":"completed","return_code":0,"end_time":%q}`, time.Now().UTC().Add(-2*time.Second).Format(time.RFC3339))),
			storeCall: {{body: `{"logs":[` + line(1, "one") + `],"total":1}`}, {body: `{"logs":[` + line(2, "two") + "," + line(1, "one") + `],"total":2}`},
				{body: `{"logs":[` + line(2, "two") + "," + line(1, "one") + "," + line(2, "too") + `],"total":3}`}},
		}}
		log, lost := followed(t, s, true)
		assert.Equal(t, "one\ntwo\ntoo\n", log, "those of one time in the order in which they came")
		assert.Empty(t, lost)
		assert.Less(t, len(s.calls(storeCall)), 15)
		assert.Equal(t, "hours=168&limit=10000", s.calls(storeCall)[0].query)
	})
	within(t, map[string][]reply{recordCall: ok(`{"status":"completed","return_code":0}`), storeCall: ok(`{"logs":[{"timestamp":"2026-08-01T10:00:00Z","message":"x"}],"total":10001}`)},
		func(t *testing.T, s *server) {
			log, lost := followed(t, s, false)
			assert.Equal(t, []any{"x\n", []int64{2}}, []any{log, lost}, "that there is more is a gap")
			assert.Len(t, s.calls(storeCall), 1)
		})
	within(t, map[string][]reply{recordCall: ok(`{"status":"failed","return_code":1,"stdout":"out","stderr":"err\n"}`), storeCall: ok(`{"logs":[]}`)}, func(t *testing.T, s *server) {
		log, _ := followed(t, s, false)
		assert.Equal(t, "out\nerr\n", log)
	})
}

func TestALogThatIsNotFollowedIsWhatThereIsNow(t *testing.T) {
	within(t, map[string][]reply{recordCall: ok(`{"status":"running","combined_output":"one\ntw"}`)}, func(t *testing.T, s *server) {
		log, _ := followed(t, s, false)
		assert.Equal(t, "one\n", log, "a line that has no end yet may go on")
		assert.Empty(t, s.calls(streamCall))
	})
}

func TestALaunchVoidsWhatIsKnownOfEndedRuns(t *testing.T) {
	s := newServer(t, map[string][]reply{"GET /vms/list": ok(noVMs), "GET /workloads/list": ok(`[]`), "POST /execution/image/start": ok(`{"execution_id":"e1"}`),
		"GET /billing/history": {{body: `{"executions":[]}`}, {body: `{"executions":[{"execution_id":"e1","status":"completed"}]}`}}})
	p := s.provider()
	for _, want := range []int{0, 0} {
		all, err := p.List(t.Context(), runctl.ListQuery{})
		require.NoError(t, err)
		assert.Len(t, all, want)
	}
	_, err := p.Launch(t.Context(), runRequest())
	require.NoError(t, err)
	all, err := p.List(t.Context(), runctl.ListQuery{})
	require.NoError(t, err)
	require.Len(t, all, 1, "a run that was over before anybody looked")
	assert.Equal(t, testLabel, all[0].Label)
}
