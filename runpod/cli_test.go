//go:build linux

package runpod_test

import (
	"testing"
	"time"

	"runctl/internal/cloudtest"
	"runctl/internal/enginetest"
	face "runctl/internal/wire/runpod"
)

// newTerminal is somebody's, with the command and an account at a RunPod of this computer.
func newTerminal(t *testing.T) (*cloudtest.Terminal, *face.Face) {
	f := face.New(face.Options{Key: apiKey, Real: &face.Real{Dir: enginetest.Dir(t), Grace: 2 * time.Second}})
	return cloudtest.NewTerminal(t, []string{apiKey}, "RUNPOD_BASE_URL="+cloudtest.Serve(t, f), "RUNPOD_API_KEY="+apiKey), f
}

func TestTheCommandWorksAgainstAnotherAddress(t *testing.T) {
	t.Parallel()
	c, f := newTerminal(t)
	cloudtest.TheCommandWorks(t, c, f, cloudtest.Command{Provider: "runpod", Offers: []string{"--gpu", "H100"}, Offered: []string{"NVIDIA H100 80GB HBM3", "US-KS-2"},
		Run: []string{"--max-price", "5"}, Hello: "hello from $RUNPOD_POD_ID", Heard: "hello from p", Launch: "createPod"})
}

func TestTheCommandNamesWhatIsMissing(t *testing.T) {
	t.Parallel()
	c, _ := newTerminal(t)
	cloudtest.TheCommandNamesWhatIsMissing(t, c, "runpod", "RUNPOD_API_KEY", "RUNPOD_API_KEY", "rpa_WRONGKEY12")
}
