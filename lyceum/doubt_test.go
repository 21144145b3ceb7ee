package lyceum_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"runctl"
	face "runctl/internal/wire/lyceum"
	"runctl/lyceum"
)

// TestAWholeCopyOfANameIsLeftAlone has somebody give a machine of theirs the very name of ours. Lyceum has no place for a seal that
// cannot be copied, so the older of the two is ours, and nothing is done to the other.
func TestAWholeCopyOfANameIsLeftAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTenant(t, face.Options{}, lyceum.Config{})
		first := w.Launch("k1")
		pass(time.Minute)
		copied := w.face.Add(first.Label)
		again, err := w.Client().Launch(t.Context(), machine("k1"))
		require.NoError(t, err)
		assert.Equal(t, first.ID, again.ID, "another process adopts ours")
		w.ReapAll()
		assert.Equal(t, []string{copied}, w.face.Billing(), "ours is ended, and ours alone")
	})
}

func TestAMachineWithACutNameIsEndedAtOnce(t *testing.T) {
	for _, most := range []int{20, -1} {
		for _, op := range []string{"createVM", "terminateVM"} {
			synctest.Test(t, func(t *testing.T) {
				w := newTenant(t, face.Options{LabelMax: most}, lyceum.Config{})
				if op == "terminateVM" {
					w.face.Inject(face.Fault{On: op, Times: -1, Status: 500, Body: `{"detail":"x"}`})
				}
				_, err := w.c.Launch(t.Context(), machine("k1"))
				require.Error(t, err)
				e := new(runctl.Error)
				require.ErrorAs(t, err, &e)
				assert.Equal(t, len(w.face.Billing()) > 0, e.MayBill, "%v", err)
				assert.Equal(t, op == "terminateVM", e.MayBill, "%v", err)
			})
		}
	}
}
