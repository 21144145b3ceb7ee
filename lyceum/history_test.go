package lyceum

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"runctl"
)

const noVMs = `{"vms":[],"total":0}`

func past(newest bool, n int, total int) string {
	var rows []string
	for k := range n {
		at := time.Date(2026, 8, 1, 10, k, 0, 0, time.UTC)
		if newest {
			at = time.Date(2026, 8, 1, 10, n-k, 0, 0, time.UTC)
		}
		rows = append(rows, fmt.Sprintf(`{"execution_id":"e%d","status":"completed","file_name":"f%d","created_at":%q}`, k, k, at.Format(time.RFC3339)))
	}
	return fmt.Sprintf(`{"executions":[%s],"total_executions":%d}`, strings.Join(rows, ","), total)
}

func TestRunsThatHaveEndedAreListedByFewCallsForTheHistory(t *testing.T) {
	const history = "GET /billing/history"
	s := newServer(t, map[string][]reply{"GET /vms/list": ok(noVMs), history: ok(past(true, 3, 500)),
		"GET /workloads/list": {{body: `[{"execution_id":"a","status":"running","file_name":"fa"}]`}, {body: `[{"execution_id":"a","status":"running"}]`}, {body: `[]`}}})
	p := s.provider()
	list := func() (ids []string) {
		all, err := p.List(t.Context(), runctl.ListQuery{})
		require.NoError(t, err)
		for _, i := range all {
			ids = append(ids, i.ID+" "+i.State.String())
		}
		return ids
	}
	want := []string{"run:a running", "run:e0 terminated", "run:e1 terminated", "run:e2 terminated"}
	assert.Equal(t, want, list())
	assert.Equal(t, want, list())
	assert.Len(t, s.calls(history), 1, "it is kept for a while")
	assert.Equal(t, want[1:], list())
	assert.Len(t, s.calls(history), 2, "unless a run that went on has vanished")
	assert.Equal(t, "limit=100&offset=0", s.calls(history)[1].query)

	s = newServer(t, map[string][]reply{history: {{body: past(false, 3, 500)}, {body: `{"executions":[{"execution_id":"last","status":"failed"},{"execution_id":"vm-1","status":"ready"},{"status":"x"}],"total_executions":500}`}}})
	runs, err := s.provider().history(t.Context())
	require.NoError(t, err)
	assert.Equal(t, "offset=400", s.calls(history)[1].query[len("limit=100&"):], "where the oldest come first, the end of it is read too")
	assert.Len(t, runs, 4, "what may be a machine, or has no id, is no run that has ended")
	assert.Equal(t, Text("last"), runs[0].ID)
}

func TestAnAccountThatMayNotSeeItsHistoryStillSeesWhatBills(t *testing.T) {
	for status, want := range map[int]runctl.Kind{403: "", 404: "", 500: runctl.ErrUnavailable, 429: runctl.ErrRateLimit} {
		s := newServer(t, map[string][]reply{"GET /vms/list": ok(`{"vms":[{"vm_id":"v","status":"odd"}]}`), "GET /workloads/list": ok(`[]`), "GET /billing/history": {{status: status, body: `{"detail":"no"}`}}})
		all, err := s.provider().List(t.Context(), runctl.ListQuery{})
		if want == "" {
			require.NoError(t, err)
			assert.Len(t, all, 1)
			assert.Equal(t, "include_failed=false&include_terminated=false", s.calls("GET /vms/list")[0].query)
			continue
		}
		assert.ErrorIs(t, err, want)
		assert.Empty(t, all, "all or nothing")
	}
}

func TestAListingThatIsNoneIsAnError(t *testing.T) {
	good := map[string]string{"GET /vms/list": noVMs, "GET /workloads/list": `[]`, "GET /billing/history": past(true, 1, 1)}
	for call := range good {
		for _, body := range []string{`{}`, `null`, ``, `<html>`, `{"vms":null}`, `{"vms":[{}]}`, `[{}]`, `7`} {
			table := map[string][]reply{}
			for c, b := range good {
				table[c] = ok(b)
			}
			table[call] = ok(body)
			_, err := newServer(t, table).provider().List(t.Context(), runctl.ListQuery{})
			assert.Error(t, err, "%s: %s", call, body)
		}
	}
}

func TestARunsLabelIsFoundWhereItIsTold(t *testing.T) {
	const record = `{"execution_id":"e1","status":"completed","return_code":0}`
	label := func(table map[string][]reply) (string, *server) {
		s := newServer(t, table)
		i, err := s.provider().Get(t.Context(), "run:e1")
		require.NoError(t, err)
		return i.Label, s
	}
	got, s := label(map[string][]reply{"GET /execution/e1": ok(strings.Replace(record, `"status"`, `"file_name":"mine","status"`, 1))})
	assert.Equal(t, []any{"mine", 1}, []any{got, len(s.log)}, "in the record, by one request")
	got, s = label(map[string][]reply{"GET /execution/e1": ok(record), "GET /billing/history": ok(past(true, 3, 3))})
	assert.Equal(t, []any{"f1", 2}, []any{got, len(s.log)}, "in the history")
	got, s = label(map[string][]reply{"GET /execution/e1": ok(strings.Replace(record, "completed", "running", 1)), "GET /workloads/list": ok(`[{"execution_id":"e1","file_name":"on"}]`)})
	assert.Equal(t, []any{"on", 2}, []any{got, len(s.log)}, "among those that go on")
	got, _ = label(map[string][]reply{"GET /execution/e1": ok(record), "GET /billing/history": ok(past(true, 1, 1))})
	assert.Empty(t, got, "nowhere: it cannot be told")

	s = newServer(t, map[string][]reply{"GET /execution/e1": ok(record), "GET /billing/history": ok(`{"executions":[]}`), "POST /execution/image/start": ok(`{"execution_id":"e1"}`)})
	p := s.provider()
	_, err := p.Launch(t.Context(), runRequest())
	require.NoError(t, err)
	i, err := p.Get(t.Context(), "run:e1")
	require.NoError(t, err)
	assert.Equal(t, testLabel, i.Label, "of its own launches this process knows it")
	s.mu.Lock()
	s.table["GET /billing/history"] = []reply{{status: 500, body: "{}"}}
	s.mu.Unlock()
	i, err = p.Get(t.Context(), "run:e1")
	require.NoError(t, err, "also when the lists fail")
	assert.Equal(t, testLabel, i.Label)
	_, err = newServer(t, map[string][]reply{"GET /execution/e1": ok(record), "GET /billing/history": {{status: 500, body: "{}"}}}).provider().Get(t.Context(), "run:e1")
	assert.ErrorIs(t, err, runctl.ErrUnavailable, "whose it is cannot be told")
}

func TestWhatCannotBeAnIDIsNobodys(t *testing.T) {
	s := newServer(t, nil)
	p := s.provider()
	for _, id := range []string{"", "v1", "vm:", "run:", "pod:x", "vm:a/b", "vm:..?x", "run:a b", "vm:" + strings.Repeat("x", 125)} {
		_, err := p.Get(t.Context(), id)
		assert.ErrorIs(t, err, runctl.ErrNotFound, id)
		assert.ErrorIs(t, p.Terminate(t.Context(), id), runctl.ErrNotFound, id)
	}
	assert.Empty(t, s.log)
	for id, body := range map[string]string{"vm:a": `{"vm_id":"b","status":"ready"}`, "run:a": `{"execution_id":"b","status":"running"}`} {
		name := strings.SplitN(id, ":", 2)[1]
		s := newServer(t, map[string][]reply{"GET /vms/" + name + "/status": ok(body), "GET /execution/" + name: ok(body)})
		_, err := s.provider().Get(t.Context(), id)
		assert.ErrorContains(t, err, "the reply is about", id)
	}
}

func TestAnAbortIsSettledByTheRecordWhereTheCallDoesNotKnowTheRun(t *testing.T) {
	unknown := []reply{{status: 404, body: `{"detail":"not active"}`}}
	for status, want := range map[string]runctl.Kind{"completed": "", "aborted": "", "running": runctl.ErrUnavailable, "odd": runctl.ErrUnavailable} {
		s := newServer(t, map[string][]reply{"POST /workloads/abort/e1": unknown, "GET /execution/e1": ok(`{"status":"` + status + `"}`)})
		err := s.provider().Terminate(t.Context(), "run:e1")
		if want == "" {
			assert.NoError(t, err, status)
		} else {
			assert.ErrorIs(t, err, want, status)
			assert.NotErrorIs(t, err, runctl.ErrNotFound, "that would mean that it is gone")
		}
	}
	s := newServer(t, map[string][]reply{"POST /workloads/abort/e1": unknown})
	assert.ErrorIs(t, s.provider().Terminate(t.Context(), "run:e1"), runctl.ErrNotFound)
	s = newServer(t, map[string][]reply{"POST /execution/image/start": ok(`{"execution_id":"e1"}`), "POST /workloads/abort/e1": unknown})
	p := s.provider()
	_, err := p.Launch(t.Context(), runRequest())
	require.NoError(t, err)
	assert.ErrorIs(t, p.Terminate(t.Context(), "run:e1"), runctl.ErrUnavailable, "just after its launch that proves nothing")
}
