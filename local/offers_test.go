//go:build linux

package local

import (
	"context"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"runctl"
	"runctl/internal/execfile"
)

// withTool puts a program of the given name before everything else in PATH.
func withTool(t *testing.T, name, script string) {
	dir := t.TempDir()
	require.NoError(t, execfile.Write(filepath.Join(dir, name), "#!/bin/sh\n"+script))
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
}

func offer(t *testing.T, p *Provider) runctl.Offer {
	offers, err := p.Offers(t.Context(), runctl.OfferQuery{})
	require.NoError(t, err)
	require.Len(t, offers, 1)
	return offers[0]
}

func TestTheOneOfferIsThisComputerAndFree(t *testing.T) {
	withTool(t, "nvidia-smi", `[ "$*" = "--query-gpu=name,memory.total --format=csv,noheader,nounits" ] && echo 'Tesla T4, 15360'`)
	o := offer(t, newProvider(t))
	assert.Equal(t, OfferID, o.ID)
	assert.True(t, o.Price.Free())
	assert.Equal(t, "own machine", o.Price.Source)
	assert.Equal(t, runtime.NumCPU(), o.VCPU)
	assert.Equal(t, runctl.GPU{Model: "T4", Count: 1, Memory: 16 << 10}, o.GPU)
	assert.Greater(t, o.Memory, int64(64))
	assert.Greater(t, o.Disk, int64(0), "the state directory need not exist yet")
	assert.True(t, o.EndsItself && o.Keeps)
	assert.Equal(t, runctl.RoadShell, o.Roads)
	assert.True(t, runctl.OfferQuery{GPU: runctl.GPU{Model: "T4"}, Road: runctl.RoadShell, Lifetime: time.Hour}.Match(o))
}

func TestAToolThatFailsMeansNoGPU(t *testing.T) {
	for name, script := range map[string]string{
		"fails":         `echo 'Tesla T4, 15360'; exit 9`,
		"floods":        `while :; do echo 'Tesla T4, 15360'; done`,
		"knows no card": `echo 'No devices were found'; exit 6`,
	} {
		t.Run(name, func(t *testing.T) {
			withTool(t, "nvidia-smi", script)
			assert.Equal(t, runctl.GPU{}, offer(t, newProvider(t)).GPU)
		})
	}
}

func TestAToolThatHangsIsLeftInTime(t *testing.T) {
	withTool(t, "nvidia-smi", `sleep 600 & sleep 600`)
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	begun := time.Now()
	_, err := newProvider(t).Offers(ctx, runctl.OfferQuery{})
	assert.ErrorIs(t, err, context.DeadlineExceeded, "the caller's own deadline is an error")
	assert.Less(t, time.Since(begun), askTime)

	begun = time.Now()
	assert.Equal(t, runctl.GPU{}, offer(t, newProvider(t)).GPU, "the tool's is none")
	assert.Less(t, time.Since(begun), 2*askTime)
}

func TestMeminfo(t *testing.T) {
	assert.EqualValues(t, 64, parseMeminfo("MemTotal:       65536 kB\nMemFree: 1 kB\n"))
	for _, s := range []string{"", "MemTotal:", "MemTotal: x kB", "MemTotal: -1 kB", "MemTotal: 5 MB", "MemTotal: 99999999999999999999 kB"} {
		assert.Zero(t, parseMeminfo(s), s)
	}
}
