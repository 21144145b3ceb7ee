package runpod

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"runctl"
	"runctl/internal/job"
)

// FuzzConclude draws what a pod's log says of its containers, one byte for each start, and holds what is concluded to
// the rules that money and results hang on.
func FuzzConclude(f *testing.F) {
	roles := []job.Role{job.RoleRun, job.RoleDone, job.RoleLost, job.RoleBegun, job.RoleRefused, job.RoleLate, "", "unheard"}
	f.Add([]byte{0x00})
	f.Add([]byte{0x48, 0x48})
	f.Add([]byte{0x18, 0x09})
	f.Add([]byte{0x05, 0x30})
	f.Fuzz(func(t *testing.T, starts []byte) {
		var births []*job.Birth
		ran, good := 0, false
		for n, x := range starts[:min(len(starts), 20)] {
			b := &job.Birth{ID: string(rune('a' + n)), Ran: x&8 != 0}
			b.Start.Role = roles[x&7]
			if x&16 != 0 {
				b.Receipt = &job.Receipt{Run: "mine", Source: "supervisor", Cause: "exit", Code: int(x >> 6), LogBytes: 5}
				if x&32 != 0 {
					b.Receipt.Run = "of another run"
				}
				good = good || b.Receipt.Run == "mine" && b.Receipt.Code == 0
			}
			if b.Ran {
				ran++
			}
			births = append(births, b)
		}
		s, final := conclude("mine", births)
		assert.NotEmpty(t, s.Evidence)
		assert.Equal(t, s.Live == runctl.Dead, final, "what is dead is final, and nothing else")
		if s.Receipt == nil {
			return
		}
		assert.True(t, final)
		assert.Equal(t, runctl.Dead, s.Live)
		assert.Equal(t, "mine", s.Receipt.Run)
		if s.Receipt.ExitCode == 0 {
			assert.True(t, good, "a success that no container has reported")
			assert.LessOrEqual(t, ran, 1, "a program that ran twice has not succeeded")
			assert.Equal(t, runctl.CauseExit, s.Receipt.Cause)
		}
		if ran > 1 {
			assert.Equal(t, runctl.CauseAgain, s.Receipt.Cause)
		}
	})
}
