package job

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// together has the first two ln that would make what ends so begin at the same moment.
func (m *shellMachine) together(t *testing.T, end string) {
	t.Helper()
	m.instead(t, "ln", `case $* in *`+end+`)
	echo x >>`+m.root+`/waiting
	until [ "$(wc -l <`+m.root+`/waiting)" -ge 2 ]; do sleep 0.02; done
esac
exec $real "$@"`)
}

func TestOfTwoThatClaimAtTheSameMomentOneHasIt(t *testing.T) {
	onEveryLinux(t, func(t *testing.T, m *shellMachine) {
		machine := m.another(t)
		machine.together(t, "/lock.1")
		gate := fifo(t)
		for n, err := range atOnce(2, func(i int) error { return Start(t.Context(), machine, sh([]string{"a", "b"}[i], "read x <"+gate)) }) {
			run := []string{"a", "b"}[n]
			if lock, _ := os.Readlink(filepath.Join(machine.root, "lock.1")); strings.HasSuffix(lock, ":"+run) {
				assert.NoError(t, err)
				defer func() {
					tell(t, gate, "go")
					done(t, machine, run)
				}()
			} else {
				refusedWith(t, RefusedBusy, err)
			}
		}
		run := m.another(t)
		run.together(t, "/own/r/1")
		s := sh("r", "echo once")
		for _, err := range atOnce(2, func(int) error { return Start(t.Context(), run, s) }) {
			assert.NoError(t, err)
		}
		done(t, run, "r")
		assert.Equal(t, "once\n", text(t, run, "r"))
		locks, err := filepath.Glob(filepath.Join(run.root, "lock.*"))
		require.NoError(t, err)
		assert.Len(t, locks, 1, "one of the two went on")
	})
}

func TestTheReceiptIsOnTheDiskBeforeItHasItsName(t *testing.T) {
	onEveryLinux(t, func(t *testing.T, m *shellMachine) {
		said := filepath.Join(m.root, "said")
		for _, program := range []string{"dd", "mv"} {
			m.instead(t, program, `echo "`+program+` $*" >>`+said+"\n"+`exec $real "$@"`)
		}
		start(t, m, sh("r", "exit 3"))
		assert.Equal(t, 3, done(t, m, "r").Code)
		b, err := os.ReadFile(said)
		require.NoError(t, err)
		lines := strings.Split(strings.TrimSpace(string(b)), "\n")
		slot := filepath.Join(m.root, "run", "r", "ctl", "exit.slot")
		n := len(lines) - 2
		assert.Equal(t, []string{"dd of=" + slot + " bs=4096 conv=notrunc,fsync", "mv -f " + slot + " " + strings.TrimSuffix(slot, ".slot")}, lines[max(n, 0):],
			"synced, and into the room that it has since before the job")
	})
}
