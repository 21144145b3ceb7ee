package main

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func env(pairs map[string]string) func(string) string {
	return func(name string) string { return pairs[name] }
}

func TestOptionDefaults(t *testing.T) {
	o, err := parseOptions(nil, env(nil))
	require.NoError(t, err)
	assert.Equal(t, Options{
		Steps: 3000, Every: 100, CheckpointEvery: 200, Seed: 1, LR: 0.003,
		Dir: "checkpoints", Out: "outputs",
	}, o)
}

func TestOptionsFromEnvironmentAndFlags(t *testing.T) {
	vars := env(map[string]string{
		"RUNCTL_CHECKPOINT_DIR": "/c", "RUNCTL_OUTPUT_DIR": "/o", "RUNCTL_RESUME": "/r",
	})
	o, err := parseOptions(nil, vars)
	require.NoError(t, err)
	assert.Equal(t, "/c", o.Dir)
	assert.Equal(t, "/o", o.Out)
	assert.Equal(t, "/r", o.Resume)

	o, err = parseOptions(strings.Fields("--dir d --out=q --steps 7 --every 2 --checkpoint-every 0 "+
		"--seed 18446744073709551615 --lr 1 --pause 5ms --fail-at 7"), vars)
	require.NoError(t, err)
	assert.Equal(t, Options{
		Steps: 7, Every: 2, CheckpointEvery: 0, Seed: 1<<64 - 1, LR: 1,
		Dir: "d", Out: "q", Pause: 5 * time.Millisecond, FailAt: 7, Resume: "/r",
	}, o)
}

func TestBadFlags(t *testing.T) {
	for _, tc := range []struct{ args, want string }{
		{"--steps 0", `--steps "0": want a whole number from 1 to 1000000000`},
		{"--steps abc", `--steps "abc": want a whole number from 1`},
		{"--steps 1000000001", `--steps "1000000001": want a whole number from 1 to 1000000000`},
		{"--steps 99999999999999999999", `--steps "99999999999999999999": want`},
		{"--every 0", `--every "0": want a whole number from 1`},
		{"--checkpoint-every -1", `--checkpoint-every "-1": want a whole number from 0`},
		{"--seed -1", `--seed "-1": want a whole number from 0 to 18446744073709551615`},
		{"--lr 0", `--lr "0": want a number greater than 0 and at most 1`},
		{"--lr NaN", `--lr "NaN": want`},
		{"--lr 1.5", `--lr "1.5": want`},
		{"--dir=", `--dir "": want the path of a directory`},
		{"--out=", `--out "": want the path of a directory`},
		{"--pause 5", `--pause "5": want a duration`},
		{"--pause -1s", `--pause "-1s": want a duration of 0 or more`},
		{"--fail-at -1", `--fail-at "-1": want a whole number from 0 to the value of --steps`},
		{"--fail-at 11 --steps 10", `--fail-at "11": want a whole number from 0 to the value of --steps, here 10`},
		{"--steps", `--steps has no value: want a whole number from 1`},
		{"--stpes 5", `"--stpes": no such flag, want one of --steps, --every`},
		{"--=5", `bad flag syntax`},
		{"50", `argument "50": want only flags`},
	} {
		t.Run(tc.args, func(t *testing.T) {
			dir := t.TempDir()
			res := runIn(t, dir, strings.Fields(tc.args)...)
			assert.Equal(t, exitUsage, res.code)
			assert.Empty(t, res.stdout)
			assert.True(t, strings.HasPrefix(res.stderr, "train: "+tc.want), res.stderr)
			assert.Equal(t, 1, strings.Count(res.stderr, "\n"), res.stderr)
			assert.NoDirExists(t, dir+"/checkpoints", "a bad flag must not touch the disk")
		})
	}
}

func TestHelpNamesEveryFlag(t *testing.T) {
	res := runIn(t, t.TempDir(), "--help")
	assert.Equal(t, exitOK, res.code)
	assert.Empty(t, res.stderr)
	for _, spec := range flagSpecs {
		assert.Contains(t, res.stdout, "--"+spec.name+" ")
	}
}
