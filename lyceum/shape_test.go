package lyceum

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"runctl"
)

func TestAnOffersIDIsReadAsItWasWritten(t *testing.T) {
	for id, want := range map[string]shape{
		"vm:on-demand:h100:8": {profile: "h100", count: 8},
		"vm:spot:l40s:1":      {profile: "l40s", count: 1, spot: true},
		"run:gpu.h100":        {profile: "gpu.h100", run: true},
		"run:cpu":             {profile: "cpu", run: true},
	} {
		got, ok := parseShape(id)
		require.True(t, ok, id)
		assert.Equal(t, want, got)
		assert.Equal(t, id, got.String())
	}
	for _, id := range []string{"", "vm", "vm:", "run:", "run:gpu h100", "vm:spot:h100:0", "vm:spot:h100:3", "vm:spot:h100:16", "vm:spot:h100:-1", "vm:spot:h100:01", "vm:spot:h100:+1",
		"vm:Spot:h100:1", "vm:reserved:h100:1", "vm:spot::1", "vm:spot:h1/../00:1", "vm:spot:h100:1:1", "h100:1", "run:" + strings.Repeat("x", 65)} {
		_, ok := parseShape(id)
		assert.False(t, ok, id)
	}
}

func FuzzParseShape(f *testing.F) {
	f.Add("vm:on-demand:h100:8")
	f.Add("run:gpu.l40s")
	f.Fuzz(func(t *testing.T, id string) {
		if s, ok := parseShape(id); ok && s.String() != id {
			t.Errorf("%q is read as %q", id, s)
		}
	})
}

func TestLyceumsNamesOfGPUsAreFoundByTheCanonicalOnes(t *testing.T) {
	for name, want := range map[string]string{"l40s": "L40S", "a100": "A100-80GB", "h100": "H100-SXM", "H100": "H100-SXM", "h200": "H200-SXM", "b200": "B200", "b300": "B300"} {
		g := gpu(name, 2)
		assert.Equal(t, want, g.Model)
		assert.Equal(t, 2, g.Count)
		assert.Positive(t, g.Memory)
		wish, err := runctl.ParseGPU(strings.SplitN(want, "-", 2)[0] + ":2")
		require.NoError(t, err)
		assert.True(t, wish.Matches(g), "%s finds %s", wish, name)
		assert.Equal(t, want, runGPU("gpu."+name).Model)
	}
	assert.Zero(t, runGPU("cpu"))
	assert.Zero(t, gpu("h100", 0), "no GPUs are none")
	assert.Equal(t, "X900", gpu("x900", 1).Model, "one that nobody knows keeps its name")
}

func TestAnAddressIsAHostWithOrWithoutAPort(t *testing.T) {
	for text, want := range map[string]string{
		"203.0.113.9": "203.0.113.9 22", "203.0.113.9:2222": "203.0.113.9 2222", "host.test": "host.test 22", " host.test:7 ": "host.test 7", "2001:db8::1": "2001:db8::1 22",
		"[2001:db8::1]": "2001:db8::1 22", "[2001:db8::1]:7": "2001:db8::1 7",
	} {
		host, port, err := splitAddress(text)
		require.NoError(t, err, text)
		assert.Equal(t, want, host+" "+port)
	}
	for _, text := range []string{"", " ", "host:", "host:0", "host:65536", "host:-1", "host:ssh", ":22", "a b", "user@host", "host/x", "[2001:db8::1", "2001:db8::1]", "host:1:2", "[host]"} {
		_, _, err := splitAddress(text)
		assert.ErrorIs(t, err, runctl.ErrInvalid, text)
	}
}

func FuzzSplitAddress(f *testing.F) {
	f.Add("203.0.113.9:22")
	f.Add("[2001:db8::1]:7")
	f.Fuzz(func(t *testing.T, text string) {
		host, port, err := splitAddress(text)
		if err == nil && (host == "" || port == "" || port == "0" || strings.ContainsAny(host, " /@[]\n")) {
			t.Errorf("%q: %q %q", text, host, port)
		}
	})
}

func TestTextIsReadWhateverItsTypeAndTimesInAllTheirForms(t *testing.T) {
	for in, want := range map[string]Text{`"a"`: "a", `7`: "7", `1.50`: "1.50", `true`: "true", `null`: "", `{"a":1}`: "", `[1]`: "", `""`: ""} {
		var got Text
		require.NoError(t, got.UnmarshalJSON([]byte(in)), in)
		assert.Equal(t, want, got, in)
	}
	want := time.Date(2026, 8, 1, 10, 0, 0, 1000, time.UTC)
	for _, in := range []Text{"2026-08-01T10:00:00.000001Z", "2026-08-01T10:00:00.000001", "2026-08-01T12:00:00.000001+02:00", "2026-08-01 10:00:00.000001", " 2026-08-01 10:00:00.000001+00:00 "} {
		assert.True(t, want.Equal(in.Time()), "%s is %s", in, in.Time())
	}
	for _, in := range []Text{"", "soon", "2026-13-01T10:00:00Z", "1754042400"} {
		assert.True(t, in.Time().IsZero(), in)
	}
	assert.Equal(t, "waiting_for_docker_container", Text(" Waiting for Docker-container ").word())
}

func FuzzText(f *testing.F) {
	f.Add([]byte(`"2026-08-01T10:00:00Z"`))
	f.Add([]byte(`-7`))
	f.Fuzz(func(t *testing.T, b []byte) {
		var x Text
		if err := x.UnmarshalJSON(b); err != nil {
			t.Error(err)
		}
		_, _ = x.Int()
		_ = x.Time().String() + x.word()
	})
}
