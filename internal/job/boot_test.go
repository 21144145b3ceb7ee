package job

import (
	"bytes"
	"compress/gzip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestTheBootScriptFitsIntoUserData(t *testing.T) {
	boot := Boot(Guard{Lifetime: 24 * time.Hour, Keep: time.Hour, User: "ubuntu"}, nil)
	var packed bytes.Buffer
	w, err := gzip.NewWriterLevel(&packed, gzip.BestCompression)
	require.NoError(t, err)
	_, err = w.Write(boot)
	require.NoError(t, err)
	require.NoError(t, w.Close())
	t.Logf("%d bytes, %d compressed", len(boot), packed.Len())
	assert.Less(t, len(boot), 64<<10)
	assert.Less(t, packed.Len(), 12<<10)
	assert.Equal(t, 1, strings.Count(string(boot), "\n"+scriptDelimiter+"\n"))
}

// TestProductionTurnsMachinesOffInThisOrder is the one place that pins what ends a machine.
func TestProductionTurnsMachinesOffInThisOrder(t *testing.T) {
	assert.Equal(t, map[string]string{
		"10-systemctl-poweroff": "systemctl poweroff\n",
		"20-poweroff-f":         "poweroff -f\n",
		"30-sysrq-o":            "echo s >/proc/sysrq-trigger\necho o >/proc/sysrq-trigger\n",
	}, powerOff)
	boot := string(Boot(Guard{Lifetime: time.Hour}, nil))
	for _, line := range []string{
		"printf '%s' 'systemctl poweroff\n' >\"$R/guard/end.d/10-systemctl-poweroff\"\n",
		"printf '%s' 'poweroff -f\n' >\"$R/guard/end.d/20-poweroff-f\"\n",
		"printf '%s' 'echo s >/proc/sysrq-trigger\necho o >/proc/sysrq-trigger\n' >\"$R/guard/end.d/30-sysrq-o\"\n",
		"exec sh \"$S\" guard 3600000 0 30000 -\n",
	} {
		assert.Contains(t, boot, line)
	}
}

func TestThePartsOfTheScriptAreShort(t *testing.T) {
	parts, err := filepath.Glob("sh/*.sh")
	require.NoError(t, err)
	for _, part := range parts {
		text, err := os.ReadFile(part)
		require.NoError(t, err)
		assert.LessOrEqual(t, bytes.Count(text, []byte("\n")), 120, part)
	}
}

func TestWithoutItsRemarksTheScriptIsTheSame(t *testing.T) {
	for i, line := range strings.Split(source(nil), "\n") {
		code, _, found := strings.Cut(" "+line, " # ")
		if !found || strings.TrimSpace(code) == "" {
			continue
		}
		for _, quote := range []string{`'`, `"`} {
			bare := strings.NewReplacer(`\`+quote, "", `'"'`, "", `"'"`, "").Replace(code)
			assert.Zero(t, strings.Count(bare, quote)%2, "line %d: a # that may stand inside quotes: %s", i+1, line)
		}
	}
	for _, shell := range []string{"dash", "bash"} {
		for _, text := range []string{script, bootScript} {
			if _, err := exec.LookPath(shell); err == nil {
				cmd := exec.Command(shell, "-n")
				cmd.Stdin = strings.NewReader(text)
				out, err := cmd.CombinedOutput()
				assert.NoError(t, err, "%s: %s", shell, out)
			}
		}
	}
	assert.NotRegexp(t, regexp.MustCompile(`(?m)^#|^[ \t]|[ \t]# `), script)
}

// TestOnlyTheReceiptsTextReadsTheWallClock holds for where a machine has /proc: what ps(1) knows has no uptime.
func TestOnlyTheReceiptsTextReadsTheWallClock(t *testing.T) {
	assert.Equal(t, []string{
		"now() { now=$(date +%s)00; }",
		"now; sp_t0=$now sp_w0=$(date +%s)",
		`want="v=1 run=$run code=$code sig=$sig cause=$cause t0=$sp_w0 t1=$(date +%s) out=$size stragglers=$stragglers ckpt=$c end=$end"`,
	}, regexp.MustCompile(`(?m)^.*(?:\bdate\b|EPOCH|SECONDS).*$`).FindAllString(script, -1))
}
