package cli

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"runctl"
)

func TestAMachineThatLetsNobodyInIsNotWaitedForWithoutAWord(t *testing.T) {
	var out syncBuffer
	now := time.Unix(0, 0)
	a := &app{say: &speaker{w: &out}, now: func() time.Time { return now }}
	track := a.newTracker("x")
	defer track.close()
	track.event(runctl.Event{Name: runctl.EventRunning})
	for _, why := range []string{"refused", "refused", "refused", "no agent", "no agent", ""} {
		now = now.Add(bootTime / 2)
		e := runctl.Event{Name: runctl.EventCall, Op: "connect"}
		if why != "" {
			e.Err = &runctl.Error{Kind: runctl.ErrUnavailable, ID: "i-1", Err: errors.New(why)}
		}
		track.event(e)
		track.event(runctl.Event{Name: runctl.EventCall, Op: "get", Err: errors.New("another matter")})
	}
	assert.Equal(t, "· x: not reached yet: unavailable: refused\n· x: not reached yet: unavailable: no agent\n", out.String())
}
