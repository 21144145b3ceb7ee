package sshmachine_test

import (
	"bytes"
	"fmt"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"runctl/internal/enginetest"
	"runctl/sshmachine"
)

// shells are the ways to run a line that this computer has.
func shells() map[string][]string {
	all := map[string][]string{}
	for _, argv := range [][]string{{"dash", "-c"}, {"bash", "-c"}, {"zsh", "-c"}, {"fish", "-c"}, {"busybox", "sh", "-c"}, {"ksh", "-c"}} {
		if _, err := exec.LookPath(argv[0]); err == nil {
			all[argv[0]] = argv
		}
	}
	return all
}

func command(argv ...string) *exec.Cmd { return exec.Command(argv[0], argv[1:]...) }

// awkward are arguments that have broken somebody's quoting.
var awkward = []string{"", " ", "a b", "'", "''", `"`, `\`, `\\`, `\'`, `'\''`, `\n`, "new\nline\n", "\ttab", "$HOME", "${x}", "$(false)", "`false`",
	"a;b", "a&&b|c>d<e", "*", "?", "[a-z]", "~", "~root", "{a,b}", "!", "!!", "#", "-n", "--", "=", "A=b", "%s", "\x01\x7f", "\xff\xfe", "ünïcode", "\r\n", "^", "(x)", "a'b\\c'd\\"}

// printed splits what `printf '%s\0'` has written.
func printed(b []byte) []string {
	return strings.Split(strings.TrimSuffix(string(b), "\x00"), "\x00")
}

func TestArgumentsSurviveEveryShell(t *testing.T) {
	line, err := sshmachine.CommandLine(append([]string{"printf", `%s\0`}, awkward...), map[string]string{"A": `it's \ $x`, "B": ""}, "")
	require.NoError(t, err)
	env, err := sshmachine.CommandLine([]string{"sh", "-c", `printf '%s\0' "$A" "${B-unset}"`}, map[string]string{"A": "it's \\ $x\n", "B": ""}, "")
	require.NoError(t, err)
	for name, argv := range shells() {
		out, err := command(append(argv, line)...).Output()
		require.NoError(t, err, name)
		assert.Equal(t, awkward, printed(out), name)
		out, err = command(append(argv, env)...).Output()
		require.NoError(t, err, name)
		assert.Equal(t, []string{"it's \\ $x\n", ""}, printed(out), name)
	}
	assert.GreaterOrEqual(t, len(shells()), 2)
}

func TestArgumentsSurviveTheWholeWay(t *testing.T) {
	c := config(t, enginetest.SSHD(t))
	c.Env = map[string]string{"RUNCTL_TEST": "it's\n$1"}
	m := dial(t, c)
	_, out, _ := run(t, m, "", append([]string{"printf", `%s\0`}, awkward...)...)
	assert.Equal(t, awkward, printed([]byte(out)))
	_, out, _ = run(t, m, "", "printenv", "RUNCTL_TEST")
	assert.Equal(t, "it's\n$1\n", out)
	long := strings.Repeat("0123456789 $'\n", 100_000/14)[:90_000]
	long = strings.ReplaceAll(long, "'", `"`) + "'"
	_, out, _ = run(t, m, "", "printf", "%s", long)
	assert.Equal(t, long, out)
	hundred := strings.Repeat("x", 100<<10)
	_, out, _ = run(t, m, "", "printf", "%s", hundred)
	assert.Equal(t, hundred, out)
	code, out, _ := run(t, m, "", "A=b") // a program, not a setting
	assert.Equal(t, 127, code, out)
}

func FuzzQuoting(f *testing.F) {
	for _, a := range awkward {
		f.Add(a, "x")
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		line, err := sshmachine.CommandLine([]string{"printf", `%s\0`, a, b}, map[string]string{"E": b}, "")
		if strings.ContainsRune(a+b, 0) {
			require.Error(t, err)
			return
		}
		require.NoError(t, err)
		out, err := exec.Command("sh", "-c", line).Output()
		require.NoError(t, err)
		require.Equal(t, []string{a, b}, printed(out))
	})
}

// TestTheLineThatTellsTheProcessIsTakenOutHoweverItIsCut feeds every cut of standard error to the filter.
func TestTheLineThatTellsTheProcessIsTakenOutHoweverItIsCut(t *testing.T) {
	for _, c := range []struct{ in, out, pid, start string }{
		{"WORD 42 42 (sh) S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 777 20\n", "", "42", "777"},
		{"noiseWORD 42 42 (a) b) S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 777 20\nmore\n", "noisemore\n", "42", "777"},
		{"WOR\nWORD 42 \nmore", "WOR\nmore", "42", ""},
		{"WORWORD 42\n", "WOR", "42", ""},
		{"WORD 1 \n", "", "", ""},
		{"WORD -1 \n", "", "", ""},
		{"WORD 12345678901 \n", "", "", ""},
		{"no word at all WOR", "no word at all WOR", "", ""},
		{"WORD 42 cut", "WORD 42 cut", "", ""},
		{"", "", "", ""},
		{"WORD " + strings.Repeat("9", 5000) + "\nmore", "WORD " + strings.Repeat("9", 5000) + "\nmore", "", ""},
	} {
		for size := 1; size <= min(len(c.in)+1, 300); size++ {
			var out bytes.Buffer
			pid, start, err := sshmachine.Filter(&out, "WORD", strings.NewReader(c.in), size)
			require.NoError(t, err)
			if len(c.in) > 5000 && size >= len(c.in) {
				continue // a line that long is only damaged when its end is late
			}
			require.Equal(t, c.out, out.String(), "%q by %d", c.in, size)
			require.Equal(t, []string{c.pid, c.start}, []string{pid, start}, "%q by %d", c.in, size)
		}
	}
}

func FuzzStandardErrorIsPassedOn(f *testing.F) {
	f.Add("a", "42", "b", 3)
	f.Fuzz(func(t *testing.T, before, pid, after string, size int) {
		if strings.Contains(before+pid, "WORD") || strings.ContainsAny(pid, "\n") || len(pid) > 1000 {
			return
		}
		in := fmt.Sprintf("%sWORD %s\n%s", before, pid, after)
		var out bytes.Buffer
		_, _, err := sshmachine.Filter(&out, "WORD", strings.NewReader(in), max(size%64, 1))
		require.NoError(t, err)
		want := before + after
		if strings.HasSuffix(before, "W") || strings.HasSuffix(before, "WO") || strings.HasSuffix(before, "WOR") {
			return // overlaps are in the table
		}
		require.Equal(t, want, out.String())
	})
}
