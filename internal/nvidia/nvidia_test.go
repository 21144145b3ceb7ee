package nvidia

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"runctl"
)

func TestNamesOfNvidiaSMIBecomeCanonical(t *testing.T) {
	for line, want := range map[string]runctl.GPU{
		"NVIDIA A100-SXM4-80GB, 81920":                        {Model: "A100-80GB", Memory: 80 << 10},
		"NVIDIA A100-SXM4-40GB, 40960":                        {Model: "A100-40GB", Memory: 40 << 10},
		"NVIDIA A100 80GB PCIe, 81920":                        {Model: "A100-80GB", Memory: 80 << 10},
		"A100-PCIE-40GB, [N/A]":                               {Model: "A100-40GB", Memory: 40 << 10},
		"NVIDIA H100 80GB HBM3, 81559":                        {Model: "H100-SXM", Memory: 80 << 10},
		"NVIDIA H100 PCIe, 81559":                             {Model: "H100-PCIE", Memory: 80 << 10},
		"NVIDIA H100 NVL, 95830":                              {Model: "H100-NVL", Memory: 94 << 10},
		"NVIDIA H200, 143771":                                 {Model: "H200-SXM", Memory: 141 << 10},
		"NVIDIA H200 NVL, 143771":                             {Model: "H200-NVL", Memory: 141 << 10},
		"NVIDIA GH200 480GB, 97871":                           {Model: "GH200", Memory: 96 << 10},
		"NVIDIA GH200 144G HBM3e, 146831":                     {Model: "GH200", Memory: 146831},
		"NVIDIA B200, 183359":                                 {Model: "B200", Memory: 180 << 10},
		"NVIDIA GeForce RTX 4090, 24564":                      {Model: "RTX4090", Memory: 24 << 10},
		"NVIDIA GeForce RTX 4090 Laptop GPU, 16376":           {Model: "RTX-4090-LAPTOP-GPU", Memory: 16376},
		"NVIDIA GeForce RTX 3080, 12288":                      {Model: "RTX3080", Memory: 12288},
		"NVIDIA RTX A6000, 49140":                             {Model: "RTXA6000", Memory: 48 << 10},
		"NVIDIA RTX 6000 Ada Generation, 49140":               {Model: "RTX6000-ADA", Memory: 48 << 10},
		"NVIDIA RTX 4000 SFF Ada Generation, 20475":           {Model: "RTX-4000-SFF-ADA-GENERATION", Memory: 20475},
		"NVIDIA RTX PRO 6000 Blackwell Server Edition, 97887": {Model: "RTXPRO6000", Memory: 96 << 10},
		"Quadro RTX 6000, 23040":                              {Model: "RTX-6000", Memory: 23040},
		"Tesla T4, 15360":                                     {Model: "T4", Memory: 16 << 10},
		"NVIDIA T4G, 15360":                                   {Model: "T4G", Memory: 16 << 10},
		"Tesla V100-SXM2-16GB, 16384":                         {Model: "V100-16GB", Memory: 16 << 10},
		"Tesla V100-SXM2-32GB, 32768":                         {Model: "V100-32GB", Memory: 32 << 10},
		"NVIDIA L4, 23034":                                    {Model: "L4", Memory: 24 << 10},
		"NVIDIA L40S, 46068":                                  {Model: "L40S", Memory: 48 << 10},
		"NVIDIA A10G, 23028":                                  {Model: "A10G", Memory: 24 << 10},
		"NVIDIA GeForce GTX 1080 Ti, 11264":                   {Model: "GTX-1080-TI", Memory: 11264},
		"NVIDIA A100 80, 81920":                               {Model: "A100-80", Memory: 81920},
		"NVIDIA GB10, 99999999":                               {Model: "GB10"},
		"NVIDIA " + strings.Repeat("X", 70) + ", 5":           {Model: strings.Repeat("X", 64), Memory: 5},
		"NVIDIA GB10, [N/A]":                                  {Model: "GB10"},
		"NVIDIA, 5":                                           {}, "": {}, ",": {}, "No devices were found": {},
		"NVIDIA-SMI has failed because it couldn't communicate": {},
	} {
		if want.Model != "" {
			want.Count = 1
		}
		assert.Equal(t, want, Parse(line+"\n"), line)
	}
}

func TestEqualGPUsAreCountedAndTheLargerGroupIsOffered(t *testing.T) {
	assert.Equal(t, runctl.GPU{Model: "H100-SXM", Count: 8, Memory: 80 << 10},
		Parse(strings.Repeat("NVIDIA H100 80GB HBM3, 81559\r\n", 8)))
	assert.Equal(t, runctl.GPU{Model: "T4", Count: 2, Memory: 16 << 10}, Parse("NVIDIA L4, 23034\nTesla T4, 15360\nTesla T4, 15360\n"))
	assert.Equal(t, runctl.GPU{Model: "L4", Count: 1, Memory: 24 << 10}, Parse("Tesla T4, 15360\nNVIDIA L4, 23034"))
	assert.Equal(t, runctl.GPU{Model: "L4", Count: 1, Memory: 24 << 10}, Parse("NVIDIA L4, 23034\nTesla T4, 15360"))
	assert.Equal(t, runctl.GPU{Model: "RTX3080", Count: 1, Memory: 12288}, Parse("NVIDIA GeForce RTX 3080, 10240\nNVIDIA GeForce RTX 3080, 12288"), "of one name, and not equal")
}

func TestEveryCanonicalNameMapsToItself(t *testing.T) {
	for _, m := range runctl.GPUModels() {
		if m.Maker == "NVIDIA" && !strings.HasPrefix(m.Name, "RTX") {
			g, ok := Named(m.Name, m.Memory)
			require.True(t, ok)
			assert.Equal(t, m.Name, g.Model)
		}
	}
}

func FuzzParseGPUs(f *testing.F) {
	for _, s := range []string{"NVIDIA H100 80GB HBM3, 81559\n", "Tesla T4, [N/A]\n", ",,,\n,1", "RTX PRO, 9", "RTX, 1", "\x00\xff, -1\n", "A100, 99999999999999999999", "A100, 99999999"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		g := Parse(s)
		if g == (runctl.GPU{}) {
			return
		}
		assert.True(t, g.Count > 0 && g.Count <= strings.Count(s, "\n")+1)
		assert.True(t, g.Memory >= 0 && g.Memory <= 16<<20)
		assert.True(t, len(g.Model) > 0 && len(g.Model) <= 64)
		assert.Empty(t, strings.Trim(g.Model, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-"))
	})
}
