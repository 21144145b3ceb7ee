package aws_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"runctl"
	"runctl/aws"
	face "runctl/internal/wire/aws"
)

// The scenarios below are the defects of an earlier tool for EC2, one test each, written so that its behaviour fails them. Those about
// jobs on a machine are in machine_test.go.

func TestEarlierTool01ASpotMachineIsBoughtOnceByTheLaunchItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTenant(t, face.Options{Pending: 6 * time.Minute}) // longer than it waited before it bought a second one
		spec := machine("k1")
		spec.Needs.Market = runctl.Spot
		i, err := w.c.Launch(t.Context(), spec)
		require.NoError(t, err)
		_, err = w.c.WaitInstance(t.Context(), i.Ref(), runs)
		require.NoError(t, err)
		all := w.face.Instances()
		require.Len(t, all, 1)
		assert.True(t, all[0].Spot)
		assert.NotEmpty(t, all[0].Tags["runctl:mark"], "it is known by its own tags")
		assert.Zero(t, w.face.Served("RequestSpotInstances"))
	})
}

func TestEarlierTool01SpotNeverBecomesOnDemand(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTenant(t, face.Options{})
		w.face.SoldOut("spot *", "*", true)
		spec := machine("k1")
		spec.Needs.Market = runctl.Spot
		_, err := w.c.Launch(t.Context(), spec)
		require.ErrorIs(t, err, runctl.ErrCapacity)
		assert.Empty(t, w.face.Instances())
		spec.Key, spec.Needs.Market = "k2", runctl.Spot|runctl.OnDemand
		i, err := w.c.Launch(t.Context(), spec)
		require.NoError(t, err, "both were allowed")
		assert.Equal(t, runctl.OnDemand, i.Market)
	})
}

func TestEarlierTool02ReapEndsOursThatAreOverAndNobodyElses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTenant(t, face.Options{MaxPage: 5})
		var others []string
		for n := range 12 { // old, running, without a tag of ours: what it ended
			others = append(others, w.face.Add("", map[string]string{"Name": fmt.Sprint("somebody's ", n)}))
		}
		disk := w.face.AddVolume(w.face.Zones()[0], 100) // detached, and not ours
		pass(48 * time.Hour)
		w.launch("k1")
		pass(30 * time.Hour)
		fresh := w.launch("k2")
		done, err := w.c.Reap(t.Context(), runctl.ReapRequest{Most: 100})
		require.NoError(t, err)
		require.Len(t, done, 1, "what is past its own lifetime, on whatever page")
		pass(time.Minute)
		assert.ElementsMatch(t, append(others, fresh.ID), w.face.Billing())
		assert.Contains(t, w.face.Volumes(), disk)
	})
}

func TestEarlierTool09WhatIsTriedAgainIsWhatMayHelp(t *testing.T) {
	for _, x := range []struct {
		status int
		code   string
		tries  int
		kind   error
	}{
		{503, "RequestLimitExceeded", 3, runctl.ErrRateLimit}, {500, "InternalError", 3, runctl.ErrUnavailable}, {503, "Unavailable", 3, runctl.ErrUnavailable},
		{401, "AuthFailure", 1, runctl.ErrAuth}, {403, "UnauthorizedOperation", 1, runctl.ErrAuth}, {400, "InvalidParameterValue", 1, runctl.ErrInvalid},
		{400, "InvalidInstanceID.NotFound", 1, runctl.ErrNotFound},
	} {
		synctest.Test(t, func(t *testing.T) {
			w := newTenant(t, face.Options{})
			i := w.launch("k1")
			pass(time.Hour)
			n := w.face.Served("DescribeInstances")
			w.face.Inject(face.Fault{On: "DescribeInstances", Times: -1, Status: x.status, Code: x.code})
			_, err := w.p.Get(t.Context(), i.ID)
			require.ErrorIs(t, err, x.kind, x.code)
			assert.Equal(t, x.tries, w.face.Served("DescribeInstances")-n, x.code)
		})
	}
}

func TestEarlierTool09NoCapacityFailsOverAtOnceAlthoughItIsA500(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTenant(t, face.Options{})
		w.face.SoldOut("p5.4xlarge", "us-west-2a", true)
		began := time.Now()
		i := w.launch("k1")
		assert.Equal(t, "us-west-2b", i.Zone)
		assert.Equal(t, 2, w.face.Served("RunInstances"), "one for each zone, and none of them twice")
		assert.Less(t, time.Since(began), 2*time.Second)
		tokens := map[any]bool{}
		for _, c := range w.face.Calls() {
			if c.Op == "RunInstances" {
				tokens[c.Params["ClientToken"]] = true
			}
		}
		assert.Len(t, tokens, 2, "no two zones share a token")
	})
}

func TestEarlierTool10TheTokenIsOursAndTheTagsAreThereFromTheBirth(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTenant(t, face.Options{})
		w.face.Deny("CreateTags", true)
		w.face.Inject(face.LostReply)
		i := w.launch("k1")
		got := w.face.Instance(i.ID)
		assert.True(t, strings.HasPrefix(got.Token, i.Label), "the label is in what a copy does not have")
		for what, tags := range map[string]map[string]string{"instance": got.Tags, "volume": got.VolumeTags, "interface": got.InterfaceTags} {
			assert.Equal(t, i.Label, tags["runctl:mark"], what)
			assert.Equal(t, "tester", tags["runctl:owner"], what)
		}
		assert.Zero(t, w.face.Served("CreateTags"))
	})
}

func TestEarlierTool11APriceIsTheOffersAndUnknownIsNoNumber(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTenant(t, face.Options{})
		want := map[string]float64{}
		for _, x := range face.Types() {
			want[x.Name] = x.Hourly
		}
		offers, err := w.c.Offers(t.Context(), runctl.OfferQuery{})
		require.NoError(t, err)
		for _, o := range offers {
			assert.Equal(t, runctl.USD(want[o.Type]), o.Price.Hourly, "%s: not Windows, not a reservation, not a block", o.Type)
			assert.NotEmpty(t, o.Price.Source)
			assert.False(t, o.Price.At.IsZero())
		}
		w.p = w.provider()
		w.face.Deny("GetProducts", true)
		offers, err = w.client().Offers(t.Context(), runctl.OfferQuery{})
		require.NoError(t, err, "types are known without their prices")
		require.NotEmpty(t, offers)
		for _, o := range offers {
			assert.False(t, o.Price.Hourly.Known(), o.Type)
			assert.Contains(t, o.Price.Source, "unknown")
		}
	})
}

func TestEarlierTool12EndedIsWhatTheCloudCallsEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTenant(t, face.Options{ShuttingDown: 3 * time.Minute})
		i := w.launch("k1")
		require.NoError(t, w.p.Terminate(t.Context(), i.ID))
		pass(time.Minute)
		got, err := w.p.Get(t.Context(), i.ID)
		require.NoError(t, err)
		assert.True(t, got.State.Billing(), "shutting down is not ended")
		pass(2 * time.Minute)
		got, err = w.p.Get(t.Context(), i.ID)
		require.NoError(t, err)
		assert.Equal(t, runctl.StateTerminated, got.State)
		protected := w.launch("k2")
		w.face.Protect(protected.ID)
		require.Error(t, w.p.Terminate(t.Context(), protected.ID))
		assert.Equal(t, []string{protected.ID}, w.face.Billing(), "and a refusal is told")
	})
}

func TestEarlierTool13WhatCannotBeFoundOutStopsWhatDependsOnIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTenant(t, face.Options{})
		w.launch("k1")
		w.p = w.provider()
		w.face.Inject(face.Fault{On: "DescribeInstances", Times: -1, Status: 500, Code: "InternalError"})
		c := w.client()
		_, err := c.Launch(t.Context(), machine("k1"))
		require.Error(t, err, "whether the key has a machine is not known, so none is launched")
		_, err = c.Reap(t.Context(), runctl.ReapRequest{Most: 100})
		require.Error(t, err)
		assert.Len(t, w.face.Billing(), 1)
		assert.Equal(t, 1, w.face.Served("RunInstances"))
	})
}

func TestEarlierTool15ImagesAreChosenByWhatTheyAreAndNotByTheirNames(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTenant(t, face.Options{})
		for typ, parameter := range map[string]string{
			"g5.xlarge":  "/aws/service/deeplearning/ami/x86_64/base-oss-nvidia-driver-gpu-amazon-linux-2023/latest/ami-id",
			"g5g.xlarge": "/aws/service/deeplearning/ami/arm64/base-oss-nvidia-driver-gpu-amazon-linux-2023/latest/ami-id",
			"t4g.small":  "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-arm64",
			"m7i.large":  "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-x86_64",
		} {
			i, err := w.c.Launch(t.Context(), w.of(typ))
			require.NoError(t, err, typ)
			assert.Equal(t, w.face.Image(parameter), w.face.Instance(i.ID).Image, typ)
		}
	})
}

func TestEarlierTool16StatesAreTheCloudsAndAWordThatIsNewBills(t *testing.T) {
	for word, want := range map[string]runctl.State{"pending": runctl.StatePending, "running": runctl.StateRunning, "stopping": runctl.StateStopping,
		"stopped": runctl.StateStopped, "terminated": runctl.StateTerminated} {
		synctest.Test(t, func(t *testing.T) {
			w := newTenant(t, face.Options{})
			i := w.launch("k1")
			w.face.SetState(i.ID, word)
			got, err := w.p.Get(t.Context(), i.ID)
			require.NoError(t, err)
			assert.Equal(t, want, got.State)
			assert.Equal(t, word != "terminated", got.State.Billing())
		})
	}
}

func TestEarlierTool18UserDataFetchesNothingFormatsNothingAndSaysNothingSecret(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTenant(t, face.Options{})
		i := w.launch("k1")
		got := w.face.Instance(i.ID)
		data := string(got.UserData)
		for _, url := range regexp.MustCompile(`[a-z]+://[^\s"'\\]*`).FindAllString(data, -1) {
			assert.Regexp(t, `^http://(\$|169\.254\.169\.254|\[?fd00:ec2)`, url, "nothing but the machine's own metadata is asked for anything")
		}
		assert.NotRegexp(t, `(curl|wget)[^\n]*\|\s*(sh|bash)`, data)
		for _, word := range []string{"apt-get", "yum ", "dnf ", "mkfs", "upgrade", secretKey, session, string(secret)} {
			assert.NotContains(t, data, word)
		}
		assert.True(t, strings.HasPrefix(data, "#cloud-boothook\n"), "what arms the guard runs at every boot")
		for k, v := range got.Tags {
			for _, word := range []string{secretKey, session, string(secret)} {
				assert.NotContains(t, k+v, word)
				assert.NotContains(t, k+v, base64.StdEncoding.EncodeToString([]byte(word)))
			}
		}
		meta := got.Launch["MetadataOptions"]
		text, err := json.Marshal(meta)
		require.NoError(t, err)
		assert.JSONEq(t, `{"HttpTokens":"required","HttpPutResponseHopLimit":1,"HttpEndpoint":"enabled"}`, string(text), "the instance's credentials are out of a container's reach")
		assert.Empty(t, got.Profile, "and there are none unless they are asked for")
		assert.True(t, got.Encrypted)
		for _, g := range w.face.Groups() {
			assert.Empty(t, g.Ingress, "nothing is let in by a launch")
		}
	})
}

// of is a launch of a type, on demand.
func (w *tenant) of(typ string) runctl.LaunchSpec {
	w.t.Helper()
	offers, err := w.c.Offers(w.t.Context(), runctl.OfferQuery{})
	require.NoError(w.t, err)
	for _, o := range offers {
		if o.Type == typ {
			return runctl.LaunchSpec{Lifetime: time.Hour, MaxHourly: runctl.USD(100), Offer: &o}
		}
	}
	w.t.Fatalf("no offer of %s", typ)
	return runctl.LaunchSpec{}
}

func TestEarlierTool18ADataVolumeDecidesTheZoneAndOutlivesTheMachine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTenant(t, face.Options{})
		disk := w.face.AddVolume("us-west-2c", 100)
		spec := machine("k1")
		spec.Options = []runctl.LaunchOption{aws.LaunchOptions{Volumes: []aws.Volume{{ID: disk, Path: "/data"}}}}
		i, err := w.c.Launch(t.Context(), spec)
		require.NoError(t, err)
		assert.Equal(t, "us-west-2c", i.Zone)
		pass(time.Second)
		require.NoError(t, w.c.Terminate(t.Context(), i.Ref()))
		pass(time.Second)
		assert.Equal(t, []string{disk}, w.face.Volumes())
	})
}
