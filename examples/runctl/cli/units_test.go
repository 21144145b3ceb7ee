package cli

import (
	"fmt"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"runctl"
)

// What the command can do, every program outside of this module must be able to do.
func TestNothingInternalIsImported(t *testing.T) {
	files := 0
	require.NoError(t, filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".go") {
			return err
		}
		files++
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
		require.NoError(t, err)
		for _, i := range f.Imports {
			name, err := strconv.Unquote(i.Path.Value)
			require.NoError(t, err)
			if strings.HasSuffix(path, "_test.go") && name == "runctl/internal/enginetest" {
				continue // it ends the processes of tests, and does nothing for the command
			}
			assert.NotContains(t, name+"/", "/internal/", path)
		}
		return nil
	}))
	assert.Greater(t, files, 20)
}

func TestNames(t *testing.T) {
	for want, args := range map[string][]string{
		"train":             {"./bin/train", "--steps"},
		"train-v2":          {"train_v2.sh"},
		"finetune":          {"python3", "-u", "finetune.py", "x"},
		"tune":              {"uv", "run", "tune.py"},
		"main":              {"go", "run", "./main.go"},
		"trainer":           {"go", "run", "./examples/trainer"},
		"sh":                {"sh", "-c", "echo hi"},
		"job":               {"env", "A=1", "job"},
		"run":               {"日本"},
		"a-very-long-progr": {"a-very-long-program-name-indeed"},
	} {
		got := programName(args)
		assert.LessOrEqual(t, len(got), 16)
		if len(want) <= 16 {
			assert.Equal(t, want, got)
		}
		r := &record{Args: args}
		require.NoError(t, nameRun(r, "", nil))
		assert.Regexp(t, validName, r.Name)
	}
	long := strings.Repeat("a", 24)
	r := &record{Args: []string{"x"}}
	require.NoError(t, nameRun(r, long, nil))
	assert.Error(t, nameRun(r, long, []*record{{Name: long, Job: long, Attempt: 1, Phase: phaseEnded}}), "no room for the next attempt")
	require.NoError(t, nameRun(r, "a", []*record{{Name: "a", Job: "a", Attempt: 1, Phase: phaseEnded}, {Name: "a-2", Job: "a-2", Attempt: 1, Phase: phaseEnded}}))
	assert.Equal(t, "a-3", r.Name, "another job has that name")
}

func TestFlagsOfTheCommandLineMoveBehindItsWord(t *testing.T) {
	root := (&app{}).rootCommand()
	for _, tc := range [][2]string{
		{"run x", "run x"},
		{"-p local run x", "run -p local x"},
		{"-p=local -v run -q x", "run -p=local -v -q x"},
		{"--lifetime 1h --spot run -- ps -a", "run --lifetime 1h --spot -- ps -a"},
		{"-vp local run x", "run -vp local x"},
		{"-plocal run x", "run -plocal x"},
		{"--help", "--help"},
		{"-p local", "-p local"},
		{"--nonsense run", "--nonsense run"},
		{"-- run", "-- run"},
	} {
		assert.Equal(t, strings.Fields(tc[1]), commandFirst(root, strings.Fields(tc[0])), tc[0])
	}
}

func TestTailFindsLastLinesHoweverTheyAreCut(t *testing.T) {
	for _, text := range []string{"", "a", "a\n", "a\nb", "a\nb\n", "\n\n\n", "one\ntwo\nthree\nfour"} {
		for n := range 6 {
			lines := strings.SplitAfter(text, "\n")
			if lines[len(lines)-1] == "" {
				lines = lines[:len(lines)-1]
			}
			want := strings.Join(lines[max(len(lines)-n, 0):], "")
			for size := 1; size <= max(len(text), 1); size++ {
				tl := newTail(n)
				for at := 0; at < len(text); at += size {
					tl.add(int64(at), []byte(text[at:min(at+size, len(text))]))
				}
				assert.Equal(t, want, text[tl.offset():], "%q, %d lines, pieces of %d", text, n, size)
			}
		}
	}
}

func TestTextForPeople(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0s", 1500 * time.Millisecond: "1.5s", 41 * time.Second: "41s", 72 * time.Second: "1m12s", 30 * time.Minute: "30m",
		3*time.Hour + 2*time.Minute: "3h 02m", 24 * time.Hour: "24h", -1: "?",
	} {
		assert.Equal(t, want, durText(d))
	}
	for m, want := range map[runctl.Money]string{
		{}: "?", runctl.USD(2.99): "$2.99", runctl.USD(0.526): "$0.526", runctl.MoneyOf(2, "EUR"): "2.00 EUR",
	} {
		assert.Equal(t, want, moneyText(m))
	}
	assert.Equal(t, "$0.01", costText(runctl.Money{Nanos: 1, Currency: "USD"}), "never less than it is")
	assert.Equal(t, "$9.27", costText(runctl.USD(9.27)))
	assert.Equal(t, "?", sizeText(0))
	assert.Equal(t, "62G", sizeText(62<<10))
	now := time.Date(2026, 3, 5, 14, 0, 0, 0, time.Local)
	a := &app{now: func() time.Time { return now }}
	for h, want := range map[int]string{1: "15:00", 12: "tomorrow 02:00", -15: "yesterday 23:00", 100: "9 Mar 18:00", 24 * 365: "5 Mar 2027 14:00"} {
		assert.Equal(t, want, a.clock(now.Add(time.Duration(h)*time.Hour)))
	}
}

func TestFlagsThatAreMeasures(t *testing.T) {
	for text, want := range map[string]time.Duration{"90m": 90 * time.Minute, "2d": 48 * time.Hour, "0.5d": 12 * time.Hour} {
		var d duration
		require.NoError(t, d.Set(text))
		assert.Equal(t, want, time.Duration(d))
	}
	for _, text := range []string{"", "5", "-1h", "0s", "1y", "99999d", "NaNd", "Infd", "1e300d"} {
		assert.Error(t, new(duration).Set(text), text)
	}
	for text, want := range map[string]int64{"64": 64 << 10, "64G": 64 << 10, "64GiB": 64 << 10, "512M": 512, "1T": 1 << 20, "64gb": 64 << 10} {
		var s size
		require.NoError(t, s.Set(text))
		assert.Equal(t, want, int64(s), text)
	}
	for _, text := range []string{"", "x", "-1", "0", "1.5G", "G", "99999999999"} {
		assert.Error(t, new(size).Set(text), text)
	}
	for text, want := range map[string]runctl.Money{"4": runctl.USD(4), "$4.5": runctl.USD(4.5), "4EUR": runctl.MoneyOf(4, "EUR"), "4 EUR": runctl.MoneyOf(4, "EUR")} {
		var m amount
		require.NoError(t, m.Set(text))
		assert.Equal(t, want, runctl.Money(m), text)
	}
	for _, text := range []string{"", "x", "-1", "NaN", "Inf", "1e9", "EUR"} {
		assert.Error(t, new(amount).Set(text), text)
	}
}

func TestSecondsAndMoneySurviveTheRecord(t *testing.T) {
	for _, d := range []time.Duration{0, time.Nanosecond * 1_500_000, 24 * time.Hour, runctl.MaxLifetime} {
		var back seconds
		b, err := seconds(d).MarshalJSON()
		require.NoError(t, err)
		require.NoError(t, back.UnmarshalJSON(b))
		assert.Equal(t, d, time.Duration(back))
	}
	assert.Error(t, new(seconds).UnmarshalJSON([]byte("1e300")))
	for _, m := range []runctl.Money{{}, runctl.USD(0), runctl.USD(2.990000001), runctl.MoneyOf(999_999, "EUR")} {
		assert.Equal(t, m, toMoney(m).money(), fmt.Sprint(m))
	}
}
