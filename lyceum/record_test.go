package lyceum

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"runctl"
)

func TestARecordSaysHowAJobHasEndedInFourWays(t *testing.T) {
	for _, x := range []struct {
		record string
		asked  bool
		live   runctl.Liveness
		cause  runctl.Cause // empty: no receipt
		code   int
		says   string
	}{
		{`{"status":"completed","return_code":0}`, false, runctl.Dead, runctl.CauseExit, 0, "completed"},
		{`{"status":"Completed","return_code":"0"}`, false, runctl.Dead, runctl.CauseExit, 0, ""},
		{`{"status":"completed","result":{"returnCode":0}}`, false, runctl.Dead, runctl.CauseExit, 0, ""},
		{`{"status":"success","result":{"return_code":"4"}}`, false, runctl.Dead, runctl.CauseExit, 4, ""},
		{`{"status":"completed"}`, false, runctl.Dead, "", 0, "tells no exit code"},
		{`{"status":"completed","result":"0"}`, false, runctl.Dead, "", 0, "tells no exit code"},
		{`{"status":"completed","return_code":0}`, true, runctl.Dead, runctl.CauseCancel, 0, ""},
		{`{"status":"completed","return_code":2}`, true, runctl.Dead, runctl.CauseExit, 2, ""},
		{`{"status":"failed","return_code":3}`, false, runctl.Dead, runctl.CauseExit, 3, ""},
		{`{"status":"failed user","return_code":3}`, false, runctl.Dead, runctl.CauseExit, 3, ""},
		{`{"status":"failed","errors_docker":"no such image"}`, false, runctl.Dead, "", 0, "no such image"},
		{`{"status":"failed","return_code":0}`, false, runctl.Dead, "", 0, "contradicts"},
		{`{"status":"timeout"}`, false, runctl.Dead, runctl.CauseLifetime, 255, ""},
		{`{"status":"timeout","return_code":137}`, false, runctl.Dead, runctl.CauseLifetime, 137, ""},
		{`{"status":"aborted"}`, false, runctl.Dead, runctl.CauseCancel, 255, ""},
		{`{"status":"cancelled","return_code":143}`, true, runctl.Dead, runctl.CauseCancel, 143, ""},
		{`{"status":"system failure","return_code":0,"errors":"node lost"}`, false, runctl.Dead, "", 0, "node lost"},
		{`{"status":"running","return_code":0}`, false, runctl.Alive, "", 0, "running"},
		{`{"status":"Cancelling"}`, true, runctl.Alive, "", 0, ""},
		{`{"status":"pending"}`, false, runctl.LiveUnknown, "", 0, ""},
		{`{"status":"doing things","return_code":0}`, false, runctl.LiveUnknown, "", 0, ""},
		{`{"return_code":0}`, false, runctl.LiveUnknown, "", 0, ""},
	} {
		var r Run
		require.NoError(t, json.Unmarshal([]byte(x.record), &r))
		s, final := r.conclude(x.asked)
		assert.Equal(t, []any{x.live, x.live == runctl.Dead, int64(-1)}, []any{s.Live, final, s.LogBytes}, x.record)
		assert.Contains(t, s.Evidence, x.says)
		if x.cause == "" {
			assert.Nil(t, s.Receipt, x.record)
			continue
		}
		require.NotNil(t, s.Receipt, x.record)
		assert.Equal(t, []any{x.cause, x.code, "lyceum"}, []any{s.Receipt.Cause, s.Receipt.ExitCode, s.Receipt.Source}, x.record)
		assert.Equal(t, x.cause == runctl.CauseExit && x.code == 0, s.Receipt.Succeeded(), x.record)
	}
}

func TestARunsTimesAreItsOwn(t *testing.T) {
	var r Run
	require.NoError(t, json.Unmarshal([]byte(`{"execution_id":"e","status":"completed","return_code":0,"created_at":"2026-08-01T10:00:00Z","execelet_start":"2026-08-01T10:00:05Z",
		"start_time":"2026-08-01T10:00:10Z","end_time":"2026-08-01T10:01:00Z","finish_time":"2026-08-01T10:01:05Z"}`), &r))
	seen := time.Date(2026, 8, 1, 11, 0, 0, 0, time.UTC)
	i := r.instance(seen)
	at := func(m, s int) time.Time { return time.Date(2026, 8, 1, 10, m, s, 0, time.UTC) }
	assert.Equal(t, []any{at(0, 0), at(1, 0), seen}, []any{i.Launched, i.Ended, i.Seen})
	s, _ := r.conclude(false)
	assert.Equal(t, []any{at(0, 10), at(1, 0)}, []any{s.Receipt.Started, s.Receipt.Ended})
}

func FuzzRecord(f *testing.F) {
	f.Add(`{"status":"completed","return_code":0}`)
	f.Add(`{"status":"failed","result":{"returnCode":"x"}}`)
	f.Fuzz(func(t *testing.T, text string) {
		var r Run
		if json.Unmarshal([]byte(text), &r) != nil {
			return
		}
		s, final := r.conclude(false)
		if s.Receipt != nil && (!final || s.Live != runctl.Dead) {
			t.Errorf("%q: %+v", text, s)
		}
		_ = r.instance(time.Time{})
	})
}

func TestAMachinesStateIsReadWithItsAddress(t *testing.T) {
	for record, want := range map[string]runctl.State{
		`{"status":"pending"}`: runctl.StatePending, `{"status":"Provisioning"}`: runctl.StatePending, `{"status":"ready","ip_address":null}`: runctl.StatePending,
		`{"status":"ready","ip_address":" "}`: runctl.StatePending, `{"status":"ready","ip_address":"203.0.113.9"}`: runctl.StateRunning,
		`{"status":"RUNNING","ip_address":"203.0.113.9:7"}`: runctl.StateRunning, `{"status":"stopped"}`: runctl.StateStopped, `{"status":"terminated"}`: runctl.StateTerminated,
		`{"status":"failed"}`: runctl.StateTerminated, `{"status":"error"}`: runctl.StateTerminated, `{"status":"reclaimed"}`: runctl.StateUnknown, `{}`: runctl.StateUnknown,
	} {
		var v VM
		require.NoError(t, json.Unmarshal([]byte(record), &v))
		assert.Equal(t, want, v.instance(time.Time{}).State, record)
	}
	var v VM
	require.NoError(t, json.Unmarshal([]byte(`{"vm_id":"x","status":"terminated","instance_type":"spot","ip_address":"203.0.113.9","hardware_profile":"H200","gpu_count":4}`), &v))
	i := v.instance(time.Time{})
	assert.Equal(t, []any{runctl.Spot, "", "h200.4x", "H200-SXM"}, []any{i.Market, i.Addr, i.Type, i.GPU.Model})
	assert.Contains(t, i.Reason, "spot")
}
