package lyceum

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"runctl"
)

const testLabel = "rc1-me-k1-abc-1h-defg-0123456789"

const testPublicKey = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIB0dHR0dHR0dHR0dHR0dHR0dHR0dHR0dHR0dHR0dHR0d runctl"

func vmRequest(change ...func(*runctl.LaunchRequest)) runctl.LaunchRequest {
	r := runctl.LaunchRequest{Label: testLabel, Offer: runctl.Offer{ID: "vm:on-demand:h100:2", Market: runctl.OnDemand}, Lifetime: 8 * time.Hour, AuthorizedKey: testPublicKey + "\n"}
	for _, f := range change {
		f(&r)
	}
	return r
}

func runRequest(change ...func(*runctl.LaunchRequest)) runctl.LaunchRequest {
	r := runctl.LaunchRequest{Label: testLabel, Offer: runctl.Offer{ID: "run:gpu.h100", Market: runctl.OnDemand}, Lifetime: 5 * time.Minute,
		Job: &runctl.Job{ID: "k1", Args: []string{"train", "--lr", "1e-3"}, Image: "me/train:1", Env: map[string]string{"A": "b c"}}}
	for _, f := range change {
		f(&r)
	}
	return r
}

const created = `{"vm_id":"0a1b","status":"pending","created_at":"2026-08-01T10:00:00.000001","instance_specs":{"gpu_type":"h100","gpu_count":2},"ip_address":null,
	"hardware_profile":null,"gpu_count":null,"instance_type":"on-demand","name":"theirs","display_name":"` + testLabel + `","billed":null}`

func TestALaunchLeavesNothingToTheServersDefaults(t *testing.T) {
	s := newServer(t, map[string][]reply{"POST /vms/create": ok(created)})
	p := s.provider()
	i, err := p.Launch(t.Context(), vmRequest())
	require.NoError(t, err)
	assert.Equal(t, map[string]any{"user_public_key": testPublicKey, "hardware_profile": "h100", "instance_specs": map[string]any{"gpu_count": 2.0},
		"display_name": testLabel, "instance_type": "on-demand"}, fields(t, s.calls("POST /vms/create")[0].body))
	assert.Equal(t, []any{"vm:0a1b", testLabel, runctl.StatePending, "h100.2x", runctl.OnDemand, runctl.RoadShell, ""}, []any{i.ID, i.Label, i.State, i.Type, i.Market, i.Road, i.Addr})
	assert.True(t, i.Launched.Equal(time.Date(2026, 8, 1, 10, 0, 0, 1000, time.UTC)), "no zone is UTC")

	s = newServer(t, map[string][]reply{"POST /execution/image/start": ok(`{"execution_id":"e-1","status":"pending","streaming_url":"https://x.test/s"}`)})
	i, err = s.provider().Launch(t.Context(), runRequest())
	require.NoError(t, err)
	place := "/mnt/s3/runctl/" + testLabel
	assert.Equal(t, map[string]any{"docker_image_ref": "me/train:1", "docker_run_cmd": []any{"train", "--lr", "1e-3"}, "timeout": 300.0, "file_name": testLabel, "execution_type": "gpu.h100",
		"docker_run_env":  "A=b c\nRUNCTL_ATTEMPT=1\nRUNCTL_CHECKPOINT_DIR=" + place + "/checkpoints\nRUNCTL_OUTPUT_DIR=" + place + "/outputs\nRUNCTL_RUN_ID=k1",
		"enable_s3_mount": true, "graceful_timeout": 30.0}, fields(t, s.calls("POST /execution/image/start")[0].body))
	assert.Equal(t, []any{"run:e-1", testLabel, runctl.StatePending, "gpu.h100", runctl.RoadJob, "H100-SXM"}, []any{i.ID, i.Label, i.State, i.Type, i.Road, i.GPU.Model})
	assert.Equal(t, i.Seen, i.Launched, "the reply's own clock")

	_, err = s.provider().Launch(t.Context(), runRequest(func(r *runctl.LaunchRequest) {
		r.Job.Limit, r.Job.Grace, r.Job.Attempt, r.Job.Resume, r.Image = 90500*time.Millisecond, time.Hour, 3, "/mnt/s3/old", "other:2"
		r.Options = []runctl.LaunchOption{&LaunchOptions{NoBucket: true, Username: "u", Password: runctl.NewSecret("hunter22")}}
	}))
	require.NoError(t, err)
	got := fields(t, s.calls("POST /execution/image/start")[1].body)
	assert.Equal(t, []any{"other:2", 91.0, 300.0, false, "basic", "u", "hunter22", "A=b c\nRUNCTL_ATTEMPT=3\nRUNCTL_RESUME=/mnt/s3/old\nRUNCTL_RUN_ID=k1"},
		[]any{got["docker_image_ref"], got["timeout"], got["graceful_timeout"], got["enable_s3_mount"], got["docker_registry_credential_type"], got["docker_username"], got["docker_password"], got["docker_run_env"]})
}

func TestWhatLyceumCannotDoIsRefusedBeforeAnythingIsSent(t *testing.T) {
	opt := func(o ...runctl.LaunchOption) func(*runctl.LaunchRequest) {
		return func(r *runctl.LaunchRequest) { r.Options = o }
	}
	noImage := func(r *runctl.LaunchRequest) { r.Job.Image = "" }
	for name, r := range map[string]runctl.LaunchRequest{
		"an offer of nobody's":           vmRequest(func(r *runctl.LaunchRequest) { r.Offer.ID = "h100" }),
		"three GPUs":                     vmRequest(func(r *runctl.LaunchRequest) { r.Offer.ID = "vm:on-demand:h100:3" }),
		"no GPUs, which would be one":    vmRequest(func(r *runctl.LaunchRequest) { r.Offer.ID = "vm:on-demand:h100:0" }),
		"spot that was not asked for":    vmRequest(func(r *runctl.LaunchRequest) { r.Offer.ID = "vm:spot:h100:1" }),
		"no label":                       vmRequest(func(r *runctl.LaunchRequest) { r.Label = "" }),
		"no key":                         vmRequest(func(r *runctl.LaunchRequest) { r.AuthorizedKey = "" }),
		"no key in the key":              vmRequest(func(r *runctl.LaunchRequest) { r.AuthorizedKey = "ssh-ed25519 AAAA\nssh-rsa BBBB" }),
		"a machine with an image":        vmRequest(func(r *runctl.LaunchRequest) { r.Image = "me/train" }),
		"a large disk":                   vmRequest(func(r *runctl.LaunchRequest) { r.Disk = 200 << 10 }),
		"a machine with a job":           vmRequest(func(r *runctl.LaunchRequest) { r.Job = &runctl.Job{Args: []string{"x"}} }),
		"a machine with options of runs": vmRequest(opt(LaunchOptions{NoBucket: true})),
		"a run without a job":            runRequest(func(r *runctl.LaunchRequest) { r.Job = nil }),
		"a run of more than ten minutes": runRequest(func(r *runctl.LaunchRequest) { r.Lifetime = 601 * time.Second }),
		"a run without an end":           runRequest(func(r *runctl.LaunchRequest) { r.Lifetime = 0 }),
		"a run with a spot market":       runRequest(func(r *runctl.LaunchRequest) { r.Offer.Market = runctl.Spot }),
		"a run with secrets":             runRequest(func(r *runctl.LaunchRequest) { r.Job.Secrets = map[string]runctl.Secret{"T": runctl.NewSecret("v")} }),
		"a run with outputs":             runRequest(func(r *runctl.LaunchRequest) { r.Job.Outputs = []string{"out"} }),
		"a run with a disk":              runRequest(func(r *runctl.LaunchRequest) { r.Disk = 1 }),
		"a run with no program":          runRequest(func(r *runctl.LaunchRequest) { r.Job.Args = nil }),
		"a directory in an image":        runRequest(func(r *runctl.LaunchRequest) { r.Job.Dir = "src" }),
		"a variable with two lines":      runRequest(func(r *runctl.LaunchRequest) { r.Job.Env["A"] = "1\nB=2" }),
		"bytes that are no text":         runRequest(func(r *runctl.LaunchRequest) { r.Job.Args = []string{"x", "\xff"} }),
		"the account's key":              runRequest(func(r *runctl.LaunchRequest) { r.Job.Args = []string{"x", testKey} }),
		"the account's key in Python":    runRequest(noImage, func(r *runctl.LaunchRequest) { r.Job.Env["K"] = testKey }),
		"options twice":                  runRequest(opt(LaunchOptions{}, LaunchOptions{})),
		"requirements beside an image":   runRequest(opt(LaunchOptions{Requirements: "numpy"})),
		"a registry without an image":    runRequest(noImage, opt(LaunchOptions{Username: "u"})),
		"a password that cannot be had":  runRequest(opt(LaunchOptions{Username: "u", Password: runctl.SecretEnv("LYCEUM_TEST_NO_SUCH_VARIABLE")})),
		"requirements that are not text": runRequest(noImage, opt(LaunchOptions{Requirements: "a\x00"})),
	} {
		s := newServer(t, nil)
		_, err := s.provider().Launch(t.Context(), r)
		var e *runctl.Error
		require.ErrorAs(t, err, &e, name)
		assert.True(t, e.NotStarted, name)
		assert.True(t, e.Kind == runctl.ErrInvalid || e.Kind == runctl.ErrNotFound, "%s: %v", name, err)
		assert.NotContains(t, err.Error(), testKey)
		assert.Empty(t, s.log, name)
	}
	_, err := newServer(t, nil).provider().Launch(t.Context(), runRequest(func(r *runctl.LaunchRequest) { r.Lifetime = 11 * time.Minute }))
	assert.ErrorContains(t, err, "use a machine", "with the advice what to take instead")
}

// TestWhatARefusedCreateProves has the one 5xx after which nothing was started, and those that look like it.
func TestWhatARefusedCreateProves(t *testing.T) {
	const full = `{"detail":"The instance Could Not Be Provisioned right now."}`
	for _, x := range []struct {
		name   string
		status int
		body   string
		kind   runctl.Kind
		scope  runctl.Scope
		proves bool
	}{
		{"none left", 500, full, runctl.ErrCapacity, runctl.ScopeOffer, true},
		{"none left, by a page of somebody on the way", 500, "<html>could not be provisioned</html>", runctl.ErrUnavailable, 0, false},
		{"none left, with another status", 503, full, runctl.ErrUnavailable, 0, false},
		{"another fault", 500, `{"detail":"Internal Server Error"}`, runctl.ErrUnavailable, 0, false},
		{"a gateway", 502, "<html>bad gateway</html>", runctl.ErrUnavailable, 0, false},
		{"no credits", 402, `{"detail":"Insufficient credits"}`, runctl.ErrPayment, runctl.ScopeAccount, true},
		{"a page about credits", 402, `<html>pay</html>`, runctl.ErrUnavailable, 0, false},
		{"a wrong request", 400, `{"detail":"Invalid profile"}`, runctl.ErrInvalid, runctl.ScopeRequest, true},
		{"a malformed one", 422, `{"detail":[{"loc":["body","x"],"msg":"field required","type":"missing"}]}`, runctl.ErrInvalid, runctl.ScopeRequest, true},
		{"a wrong key", 401, `{"detail":"Invalid token"}`, runctl.ErrAuth, runctl.ScopeAccount, true},
		{"too fast", 429, `{"detail":"slow down"}`, runctl.ErrRateLimit, runctl.ScopeAccount, true},
		{"another API", 404, `{"detail":"Not Found"}`, runctl.ErrInvalid, runctl.ScopeProvider, true},
	} {
		for call, r := range map[string]runctl.LaunchRequest{"POST /vms/create": vmRequest(), "POST /execution/image/start": runRequest()} {
			x := x
			if x.kind == runctl.ErrCapacity && call != "POST /vms/create" {
				x.kind, x.scope, x.proves = runctl.ErrUnavailable, 0, false // nobody has seen that said of a run
			}
			s := newServer(t, map[string][]reply{call: {{status: x.status, body: x.body}}})
			_, err := s.provider().Launch(t.Context(), r)
			var e *runctl.Error
			require.ErrorAs(t, err, &e, x.name)
			if call == "POST /vms/create" || x.kind != runctl.ErrUnavailable {
				assert.Equal(t, []any{x.kind, x.scope, x.proves}, []any{e.Kind, e.Scope, e.NotStarted}, "%s: %s", x.name, call)
			}
			assert.Len(t, s.calls(call), 1, "a launch is sent once")
		}
	}
}

func TestAMachineThatIsNotWhatWasAskedForIsEndedAtOnce(t *testing.T) {
	for name, wrong := range map[string]string{
		"a label that was cut":    strings.Replace(created, testLabel, testLabel[:20], 1),
		"a label in capitals":     strings.Replace(created, testLabel, strings.ToUpper(testLabel), 1),
		"no label":                strings.Replace(created, `"`+testLabel+`"`, "null", 1),
		"another number of GPUs":  strings.Replace(created, `"gpu_count":2`, `"gpu_count":1`, 1),
		"another kind of machine": strings.Replace(created, `"gpu_type":"h100"`, `"gpu_type":"b300"`, 1),
		"spot instead of its own": strings.Replace(created, "on-demand", "spot", 1),
	} {
		require.NotEqual(t, created, wrong)
		s := newServer(t, map[string][]reply{"POST /vms/create": ok(wrong), "DELETE /vms/0a1b": ok(`{"status":"terminated"}`)})
		_, err := s.provider().Launch(t.Context(), vmRequest())
		var e *runctl.Error
		require.ErrorAs(t, err, &e, name)
		assert.Equal(t, []any{true, false}, []any{e.NotStarted, e.MayBill}, name)
		assert.Len(t, s.calls("DELETE /vms/0a1b"), 1)

		s = newServer(t, map[string][]reply{"POST /vms/create": ok(wrong)}) // a DELETE just after a create that does not find it
		_, err = s.provider().Launch(t.Context(), vmRequest())
		require.ErrorAs(t, err, &e, name)
		assert.Equal(t, []any{false, true, "vm:0a1b"}, []any{e.NotStarted, e.MayBill, e.ID}, "%s, and it could not be ended", name)
	}
	for name, right := range map[string]string{"another name for the same": strings.Replace(created, `"gpu_type":"h100"`, `"gpu_type":"NVIDIA H100 80GB"`, 1),
		"hardware that is not told": strings.Replace(created, `{"gpu_type":"h100","gpu_count":2}`, "null", 1)} {
		s := newServer(t, map[string][]reply{"POST /vms/create": ok(right)})
		_, err := s.provider().Launch(t.Context(), vmRequest())
		assert.NoError(t, err, name)
	}
}

func TestAReplyToALaunchThatCannotBeReadIsDoubt(t *testing.T) {
	for _, body := range []string{"", "{}", "null", "[]", "<html>", `{"vm_id":null,"execution_id":null}`, `{"vm_id":"x"`} {
		for call, r := range map[string]runctl.LaunchRequest{"POST /vms/create": vmRequest(), "POST /execution/image/start": runRequest()} {
			_, err := newServer(t, map[string][]reply{call: ok(body)}).provider().Launch(t.Context(), r)
			require.Error(t, err, body)
			var e *runctl.Error
			assert.False(t, errors.As(err, &e) && e.NotStarted, body)
		}
	}
}

func TestARegistrysPasswordIsInNoError(t *testing.T) {
	s := newServer(t, map[string][]reply{"POST /execution/image/start": {{status: 422, body: `{"detail":[{"loc":["body","docker_password"],"msg":"bad: hunter22","input":"hunter22"}]}`}}})
	_, err := s.provider().Launch(t.Context(), runRequest(func(r *runctl.LaunchRequest) {
		r.Options = []runctl.LaunchOption{LaunchOptions{Username: "u", Password: runctl.NewSecret("hunter22")}}
	}))
	require.ErrorContains(t, err, "docker_password")
	assert.NotContains(t, err.Error(), "hunter22")
}
