package runpod_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"runctl"
	wire "runctl/internal/wire/runpod"
	"runctl/rest"
	"runctl/runpod"
)

// created launches, and returns what was sent.
func created(t *testing.T, req runctl.LaunchRequest, change ...func(*runpod.Config)) (body map[string]any, err error) {
	t.Helper()
	cfg := runpod.Config{APIKey: accountKey, BaseURL: "http://api.runpod.test", Transport: carry(func(r *http.Request) (*http.Response, error) {
		text, _ := io.ReadAll(r.Body)
		assert.NoError(t, json.Unmarshal(text, &body))
		assert.NotContains(t, string(text), accountKey)
		return replying(201, fmt.Sprintf(`{"id":"abc","name":%q,"status":"PROVISIONING"}`, req.Label))(r)
	})}
	for _, f := range change {
		f(&cfg)
	}
	p, err := runpod.New(cfg)
	require.NoError(t, err)
	_, err = p.Launch(t.Context(), req)
	return body, err
}

func TestALaunchSaysAllThatMustNotBeLeftToTheServer(t *testing.T) {
	req := request(runctl.RoadJob)
	req.Offer.ID = "job:gpu:SECURE:us-ks-2:8:" + h100 // Trap 21: a data center in lower case is taken, and does not work
	req.Disk = 100<<10 + 1
	req.Options = []runctl.LaunchOption{runpod.LaunchOptions{Volume: "vol1", Registry: "reg1", MinCUDA: "12.4", Ports: []string{"8888/http"},
		Secrets: map[string]string{"HF_TOKEN": "hf"}}}
	body, err := created(t, req)
	require.NoError(t, err)
	env := body["env"].(map[string]any)
	assert.Regexp(t, regexp.MustCompile(`^[0-9a-f]{32}$`), env["RUNCTL_NONCE"])
	for k, want := range map[string]any{"RUNCTL_MARK": req.Label, "RUNCTL_ROAD": "job", "HF_TOKEN": "{{ RUNPOD_SECRET_hf }}"} {
		assert.Equal(t, want, env[k], k)
	}
	var command struct{ Entrypoint, Cmd []string }
	require.NoError(t, json.Unmarshal([]byte(body["args"].(string)), &command), "the form that no shell splits")
	assert.NotEmpty(t, command.Entrypoint)
	assert.NotEmpty(t, command.Cmd)
	delete(body, "env")
	delete(body, "args")
	assert.Equal(t, map[string]any{
		"name": req.Label, "image": "busybox:1.36", "cloud": "SECURE", "dataCenterIds": []any{"US-KS-2"}, "disk": 101.0, "registry": "reg1",
		"gpu":    map[string]any{"id": h100, "count": 8.0, "minCudaVersion": "12.4"},
		"mounts": map[string]any{"network": []any{map[string]any{"volumeId": "vol1", "path": "/workspace"}}},
		"ports":  []any{"8888/http"},
	}, body)
}

func TestEveryLaunchHasANonceOfItsOwn(t *testing.T) {
	seen := map[any]bool{}
	for range 5 {
		body, err := created(t, request(runctl.RoadJob))
		require.NoError(t, err)
		seen[body["env"].(map[string]any)["RUNCTL_NONCE"]] = true
	}
	assert.Len(t, seen, 5)
}

func TestAShellPodOpensItsDoorAndNoOther(t *testing.T) {
	body, err := created(t, request(runctl.RoadShell))
	require.NoError(t, err)
	assert.Equal(t, []any{"22/tcp"}, body["ports"])
	env := body["env"].(map[string]any)
	assert.Equal(t, "shell", env["RUNCTL_ROAD"])
	assert.Equal(t, request(runctl.RoadShell).AuthorizedKey, env["PUBLIC_KEY"])
	assert.NotContains(t, body, "startSsh", "which would add the account's keys")
	body, err = created(t, request(runctl.RoadJob))
	require.NoError(t, err)
	assert.NotContains(t, body, "ports")
}

func TestWhatAPodRunsWithoutAnImage(t *testing.T) {
	req := request(runctl.RoadJob)
	req.Job.Image = ""
	body, err := created(t, req)
	require.NoError(t, err)
	assert.Equal(t, runpod.DefaultImage, body["image"])
	assert.Equal(t, "12.8", body["gpu"].(map[string]any)["minCudaVersion"], "Trap 22: hosts with old drivers")
	body, err = created(t, req, func(c *runpod.Config) { c.Image = "own:1" })
	require.NoError(t, err)
	assert.Equal(t, "own:1", body["image"])
	assert.NotContains(t, body["gpu"], "minCudaVersion", "an image whose needs we do not know")
	req.Image = "launch:1"
	body, err = created(t, req)
	require.NoError(t, err)
	assert.Equal(t, "launch:1", body["image"])
	req.Image, req.Offer.ID = "", "job:gpu:SECURE:EU-RO-1:1:AMD Instinct MI300X OAM"
	body, err = created(t, req)
	require.NoError(t, err)
	assert.NotContains(t, body["gpu"], "minCudaVersion", "there is no CUDA on it")
}

func TestWhatRunPodCannotDoIsRefusedBeforeItIsSent(t *testing.T) {
	never := carry(func(*http.Request) (*http.Response, error) { panic("sent") })
	option := func(o runpod.LaunchOptions) func(*runctl.LaunchRequest) {
		return func(r *runctl.LaunchRequest) { r.Options = []runctl.LaunchOption{o} }
	}
	many := map[string]string{}
	for i := range 50 {
		many[fmt.Sprintf("S%d", i)] = "s"
	}
	for name, c := range map[string]struct {
		road        runctl.Road
		change      func(*runctl.LaunchRequest)
		kind        runctl.Kind
		unsupported bool
		text        string
	}{
		"spot": {runctl.RoadJob, func(r *runctl.LaunchRequest) { r.Offer.Market = runctl.Spot }, runctl.ErrInvalid, true, "no spot"},
		"a secret's value": {runctl.RoadJob, func(r *runctl.LaunchRequest) {
			r.Job.Secrets = map[string]runctl.Secret{"TOKEN": runctl.NewSecret("canary-4b1d")}
		}, runctl.ErrInvalid, true, "LaunchOptions.Secrets"},
		"no offer":         {runctl.RoadJob, func(r *runctl.LaunchRequest) { r.Offer.ID = "h100" }, runctl.ErrNotFound, false, "Offers"},
		"no label":         {runctl.RoadJob, func(r *runctl.LaunchRequest) { r.Label = "" }, runctl.ErrInvalid, false, "label"},
		"a long label":     {runctl.RoadJob, func(r *runctl.LaunchRequest) { r.Label = strings.Repeat("a", 61) }, runctl.ErrInvalid, false, "60"},
		"a job on a shell": {runctl.RoadShell, func(r *runctl.LaunchRequest) { r.Job = request(runctl.RoadJob).Job }, runctl.ErrInvalid, false, "road"},
		"no job":           {runctl.RoadJob, func(r *runctl.LaunchRequest) { r.Job = nil }, runctl.ErrInvalid, false, "road"},
		"twice": {runctl.RoadJob, func(r *runctl.LaunchRequest) {
			r.Options = []runctl.LaunchOption{runpod.LaunchOptions{}, &runpod.LaunchOptions{}}
		}, runctl.ErrInvalid, false, "twice"},
		"a long request":        {runctl.RoadJob, func(r *runctl.LaunchRequest) { r.Image = strings.Repeat("x", 102_400) }, runctl.ErrInvalid, false, "102400"},
		"too many secrets":      {runctl.RoadJob, option(runpod.LaunchOptions{Secrets: many}), runctl.ErrInvalid, false, "50"},
		"a secret for a shell":  {runctl.RoadShell, option(runpod.LaunchOptions{Secrets: map[string]string{"A": "a"}}), runctl.ErrInvalid, false, "shell road"},
		"a secret's odd name":   {runctl.RoadJob, option(runpod.LaunchOptions{Secrets: map[string]string{"A": "a }}{{"}}), runctl.ErrInvalid, false, "not its value"},
		"a variable of RunPod":  {runctl.RoadJob, option(runpod.LaunchOptions{Secrets: map[string]string{"RUNPOD_API_KEY": "a"}}), runctl.ErrInvalid, false, "RUNPOD_API_KEY"},
		"a variable of runctl":  {runctl.RoadJob, option(runpod.LaunchOptions{Secrets: map[string]string{"RUNCTL_NONCE": "a"}}), runctl.ErrInvalid, false, "RUNCTL_NONCE"},
		"a volume that is none": {runctl.RoadJob, option(runpod.LaunchOptions{Volume: "a b"}), runctl.ErrInvalid, false, "Volume"},
		"a relative path":       {runctl.RoadJob, option(runpod.LaunchOptions{Volume: "v", VolumePath: "data"}), runctl.ErrInvalid, false, "VolumePath"},
		"the root":              {runctl.RoadJob, option(runpod.LaunchOptions{Volume: "v", VolumePath: "/"}), runctl.ErrInvalid, false, "VolumePath"},
		"a registry":            {runctl.RoadJob, option(runpod.LaunchOptions{Registry: "a/b"}), runctl.ErrInvalid, false, "Registry"},
		"a bare CUDA":           {runctl.RoadJob, option(runpod.LaunchOptions{MinCUDA: "12"}), runctl.ErrInvalid, false, "12.8"},
		"an odd port":           {runctl.RoadJob, option(runpod.LaunchOptions{Ports: []string{"53/udp"}}), runctl.ErrInvalid, false, "6006/tcp"},
		"the key, in the job's environment": {runctl.RoadJob, func(r *runctl.LaunchRequest) { r.Image = "x:" + accountKey },
			runctl.ErrInvalid, false, "API key"},
	} {
		req := request(c.road)
		c.change(&req)
		_, err := over(t, never).Launch(t.Context(), req)
		e := classified(t, err)
		assert.Equal(t, c.kind, e.Kind, "%s: %v", name, err)
		assert.True(t, e.NotStarted, name)
		assert.Equal(t, c.unsupported, errors.Is(err, errors.ErrUnsupported), name)
		assert.Contains(t, err.Error(), c.text, name)
		assert.NotContains(t, err.Error(), "canary-4b1d")
		assert.NotContains(t, err.Error(), accountKey)
	}
}

func TestAnOptionOfAnotherProviderIsPassedOver(t *testing.T) {
	req := request(runctl.RoadJob)
	req.Options = []runctl.LaunchOption{foreign{}, (*runpod.LaunchOptions)(nil)}
	_, err := created(t, req)
	assert.NoError(t, err)
}

type foreign struct{}

func (foreign) ForProvider() string { return "elsewhere" }

func TestAPodOnAFaceIsWhatWasAskedFor(t *testing.T) {
	a := rent(t, wire.Options{})
	for _, road := range []runctl.Road{runctl.RoadJob, runctl.RoadShell} {
		req := request(road)
		i, err := a.Launch(t.Context(), req)
		require.NoError(t, err)
		got, err := a.Get(t.Context(), i.ID)
		require.NoError(t, err)
		all, err := a.List(t.Context(), runctl.ListQuery{})
		require.NoError(t, err)
		require.Len(t, all, 1)
		for _, i := range []runctl.Instance{i, got, all[0]} {
			assert.Equal(t, req.Label, i.Label)
			assert.Equal(t, road, i.Road)
			assert.Equal(t, h100, i.Type)
			assert.Equal(t, "H100-SXM", i.GPU.Model)
			assert.Equal(t, runctl.USD(2.69), i.Price.Hourly)
			assert.Equal(t, "US-KS-2", i.Region)
			assert.Equal(t, "SECURE", i.Zone)
			assert.Less(t, i.Age(), time.Minute)
			assert.GreaterOrEqual(t, i.Age(), time.Duration(0))
			native, ok := i.Native.(*runpod.Pod)
			require.True(t, ok)
			assert.Equal(t, i.ID, native.ID)
			assert.NotContains(t, fmt.Sprintf("%+v", i), native.Env["RUNCTL_NONCE"])
		}
		require.NoError(t, a.Terminate(t.Context(), i.ID))
	}
	assert.Empty(t, a.face.Billing())
}

func TestEveryStateIsToldAsWhatItIs(t *testing.T) {
	a := rent(t, wire.Options{})
	i, err := a.Launch(t.Context(), request(runctl.RoadJob))
	require.NoError(t, err)
	for word, want := range map[string]runctl.State{
		"PROVISIONING": runctl.StatePending, "STARTING": runctl.StatePending, "RUNNING": runctl.StateRunning, "EXITED": runctl.StateStopped, "ERROR": runctl.StateUnknown,
	} {
		a.face.SetStatus(i.ID, word)
		got, err := a.Get(t.Context(), i.ID)
		require.NoError(t, err)
		assert.Equal(t, want, got.State, word)
		assert.Equal(t, word, got.Reason)
		assert.True(t, got.State.Billing(), word)
		assert.Equal(t, word != "EXITED", got.Price.Hourly.Known(), "%s: what does not run shows 0, which is no price", word)
	}
	got, err := over(t, replying(200, `{"id":"abc","status":"HIBERNATING","novel":[1],"env":{}}`)).Get(t.Context(), "abc")
	require.NoError(t, err)
	assert.Equal(t, runctl.StateUnknown, got.State)
	got, err = over(t, replying(200, `{"id":"abc","status":"TERMINATED"}`)).Get(t.Context(), "abc")
	require.NoError(t, err)
	assert.Equal(t, runctl.StateTerminated, got.State)
}

func TestAnActionThatIsNotLegalIsASuccessWhereItsEffectIsThere(t *testing.T) {
	a := rent(t, wire.Options{})
	i, err := a.Launch(t.Context(), request(runctl.RoadJob))
	require.NoError(t, err)
	a.face.SetStatus(i.ID, "RUNNING")
	require.NoError(t, a.Start(t.Context(), i.ID), "it runs already")
	require.NoError(t, a.Stop(t.Context(), i.ID))
	a.face.SetStatus(i.ID, "EXITED")
	require.NoError(t, a.Stop(t.Context(), i.ID), "it is stopped already")
	a.face.SetStatus(i.ID, "ERROR")
	assert.ErrorIs(t, a.Stop(t.Context(), i.ID), runctl.ErrConflict, "which says nothing of its bill")
	a.face.Remove(i.ID)
	assert.ErrorIs(t, a.Stop(t.Context(), i.ID), runctl.ErrNotFound)
}

func TestANameThatWasCutEndsThePodAtOnce(t *testing.T) {
	a := rent(t, wire.Options{NameMax: 20})
	_, err := a.Launch(t.Context(), request(runctl.RoadJob))
	e := classified(t, err)
	assert.True(t, e.NotStarted)
	assert.Contains(t, err.Error(), "rc1-tests-k1-")
	assert.Empty(t, a.face.Billing())
	assert.Equal(t, 1, a.face.Served("deletePod"))

	a.face.Inject(wire.Fault{On: "deletePod", Status: 409, Body: problem(409, "pod belongs to a cluster")})
	_, err = a.Launch(t.Context(), request(runctl.RoadJob))
	e = classified(t, err)
	assert.False(t, e.NotStarted)
	assert.True(t, e.MayBill)
	assert.Len(t, a.face.Billing(), 1)

	a.face.Inject(wire.LostReply)
	_, err = a.Launch(t.Context(), request(runctl.RoadJob))
	assert.False(t, classified(t, err).NotStarted)
	all, err := a.List(t.Context(), runctl.ListQuery{})
	require.NoError(t, err)
	require.Len(t, all, 2)
	for _, i := range all {
		assert.Equal(t, request(runctl.RoadJob).Label, i.Label, "of a doubt, the environment has the whole name")
	}
	other := a.face.Add("somebody's", map[string]string{"RUNCTL_MARK": "rc1-tests-k1-else"})
	got, err := a.Get(t.Context(), other)
	require.NoError(t, err)
	assert.Equal(t, "somebody's", got.Label, "a copied environment does not give another pod our name")
}

func TestALaunchWhoseContextHasEndedSendsNothing(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := over(t, carry(func(*http.Request) (*http.Response, error) { panic("sent") })).Launch(ctx, request(runctl.RoadJob))
	assert.True(t, classified(t, err).NotStarted)
}

func TestTheAPIIsWithinReach(t *testing.T) {
	a := rent(t, wire.Options{})
	var out struct {
		Pods []json.RawMessage
	}
	reply, err := a.REST().Do(t.Context(), rest.Request{Method: "GET", Path: "/v2/pods"}, &out)
	require.NoError(t, err)
	assert.NotNil(t, out.Pods)
	assert.NotEmpty(t, reply.RequestID)
	assert.NotEmpty(t, rest.RateLimit(reply.Header))
}
