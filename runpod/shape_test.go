package runpod

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"runctl"
)

func TestAnOffersIDIsReadAsItWasWritten(t *testing.T) {
	for _, s := range []shape{
		{runctl.RoadJob, "gpu", "SECURE", "US-KS-2", 8, "NVIDIA H100 80GB HBM3"},
		{runctl.RoadShell, "cpu", "SECURE", "", 2, "cpu3c"},
		{runctl.RoadShell, "gpu", "COMMUNITY", "EU-RO-1", 1, "A: new: GPU"},
	} {
		got, ok := parseShape(s.String())
		assert.True(t, ok, s)
		assert.Equal(t, s, got)
	}
	for _, text := range []string{"", "job", "job:gpu:SECURE:US-KS-2:1:", "job:gpu:SECURE:US-KS-2:0:x", "job:gpu:SECURE:US-KS-2:-1:x", "job:gpu:SECURE:US-KS-2:01:x",
		"shell+job:gpu:SECURE:US-KS-2:1:x", "job:tpu:SECURE:US-KS-2:1:x", "job:gpu:ALL:US-KS-2:1:x", "job:gpu:SECURE:US-KS-2:9999:x", ":gpu:SECURE::1:x",
		"job:gpu:SECURE:US-KS-2:1:" + strings.Repeat("x", 300)} {
		_, ok := parseShape(text)
		assert.False(t, ok, text)
	}
}

func FuzzParseShape(f *testing.F) {
	f.Add("job:gpu:SECURE:US-KS-2:1:NVIDIA H100 80GB HBM3")
	f.Add("shell:cpu:COMMUNITY::32:cpu5c")
	f.Fuzz(func(t *testing.T, text string) {
		s, ok := parseShape(text)
		if ok && s.String() != text {
			t.Errorf("%q is %q", text, s)
		}
	})
}

func TestRunPodsNamesOfGPUsAreFoundByTheCanonicalOnes(t *testing.T) {
	for id, want := range map[string]struct {
		gb   int64
		name string
	}{
		"NVIDIA A100 80GB PCIe": {80, "A100-80GB"}, "NVIDIA A100-SXM4-80GB": {80, "A100-80GB"}, "NVIDIA A100-SXM4-40GB": {40, "A100-40GB"},
		"NVIDIA H100 80GB HBM3": {80, "H100-SXM"}, "NVIDIA H100 PCIe": {80, "H100-PCIE"}, "NVIDIA H100 NVL": {94, "H100-NVL"},
		"NVIDIA H200": {141, "H200-SXM"}, "NVIDIA H200 NVL": {143, "H200-NVL"}, "NVIDIA B200": {180, "B200"}, "NVIDIA B300 SXM6 AC": {288, "B300"},
		"NVIDIA L4": {24, "L4"}, "NVIDIA L40": {48, "L40"}, "NVIDIA L40S": {48, "L40S"}, "NVIDIA A40": {48, "A40"}, "NVIDIA A30": {24, "A30"},
		"NVIDIA RTX A6000": {48, "RTXA6000"}, "NVIDIA RTX 6000 Ada Generation": {48, "RTX6000-ADA"},
		"NVIDIA RTX PRO 6000 Blackwell Server Edition": {96, "RTXPRO6000"}, "NVIDIA GeForce RTX 4090": {24, "RTX4090"},
		"NVIDIA GeForce RTX 5090": {32, "RTX5090"}, "AMD Instinct MI300X OAM": {192, "MI300X"}, "Tesla V100-SXM2-16GB": {16, "V100-16GB"},
	} {
		g := gpu(id, 2, want.gb<<10)
		assert.Equal(t, want.name, g.Model, id)
		assert.Equal(t, 2, g.Count)
		assert.Positive(t, g.Memory)
		assert.Equal(t, want.name, gpu(id, 1, 0).Model, "%s: a pod does not tell its memory", id)
		wish, err := runctl.ParseGPU(strings.SplitN(want.name, "-", 2)[0] + ":2")
		assert.NoError(t, err)
		assert.True(t, wish.Matches(g), "%s finds %s", wish, id)
	}
	assert.Equal(t, "RTX-9090-TI", gpu("NVIDIA GeForce RTX 9090 Ti", 1, 0).Model, "one that nobody knows keeps its name")
	assert.False(t, runctl.GPU{Model: "H100"}.Matches(gpu("NVIDIA H1000", 1, 0)))
	assert.Zero(t, gpu("", 1, 0))
}

func FuzzGPUName(f *testing.F) {
	f.Add("NVIDIA H100 80GB HBM3", int64(80<<10))
	f.Add("AMD Instinct  OAM", int64(-1))
	f.Fuzz(func(t *testing.T, id string, mib int64) {
		g := gpu(id, 1, mib)
		if len(g.Model) > 64 || strings.ContainsAny(g.Model, " \n:") {
			t.Errorf("%q: %+v", id, g)
		}
	})
}
