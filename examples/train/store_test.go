package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// files returns the names in dir with their contents.
func files(t *testing.T, dir string) map[string]string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	all := map[string]string{}
	for _, e := range entries {
		if e.IsDir() {
			all[e.Name()] = "(directory)"
			continue
		}
		data, err := os.ReadFile(filepath.Join(dir, e.Name()))
		require.NoError(t, err)
		all[e.Name()] = string(data)
	}
	return all
}

func names(t *testing.T, dir string) []string {
	t.Helper()
	var all []string
	for name := range files(t, dir) {
		all = append(all, name)
	}
	return all
}

// saveSteps saves a checkpoint for each step into a store.
func saveSteps(t *testing.T, st *Store, steps ...int) {
	t.Helper()
	s := sampleState(t)
	for _, step := range steps {
		s.Step, s.Window = step, Window{}
		require.NoError(t, st.Save(s))
	}
}

func TestOnlyTheLastThreeAreKept(t *testing.T) {
	dir := t.TempDir()
	res := runIn(t, dir, "--steps", "11", "--checkpoint-every", "2")
	require.Equal(t, exitOK, res.code, res.stderr)
	got := files(t, filepath.Join(dir, "checkpoints"))
	assert.ElementsMatch(t, []string{"latest", checkpointName(8), checkpointName(10), checkpointName(11)},
		names(t, filepath.Join(dir, "checkpoints")))
	assert.Equal(t, checkpointName(11)+"\n", got["latest"])
}

func TestCheckpointEveryZeroSavesOnlyTheEnd(t *testing.T) {
	dir := t.TempDir()
	require.Equal(t, exitOK, runIn(t, dir, "--steps", "5", "--checkpoint-every", "0").code)
	assert.ElementsMatch(t, []string{"latest", checkpointName(5)}, names(t, filepath.Join(dir, "checkpoints")))
}

func TestPruningNeverRemovesTheCommitted(t *testing.T) {
	st, err := openStore(t.TempDir())
	require.NoError(t, err)
	saveSteps(t, st, 400, 500, 600, 310) // as after a resume from step 300
	path, err := latestIn(st.dir)
	require.NoError(t, err)
	assert.Equal(t, filepath.Join(st.dir, checkpointName(310)), path)
	assert.ElementsMatch(t, []string{"latest", checkpointName(310), checkpointName(500), checkpointName(600)},
		names(t, st.dir))
	_, err = loadCheckpoint(path, smallConfig())
	require.NoError(t, err)
}

func TestPruningLeavesOtherFilesAlone(t *testing.T) {
	st, err := openStore(t.TempDir())
	require.NoError(t, err)
	mine := []string{"notes.txt", "notes.txt.tmp", "step-5.ckpt", "step-0000000005.ckpt.bak", "step-x.ckpt"}
	left := []string{checkpointName(7) + tempSuffix, pointerName + tempSuffix}
	for _, name := range append(mine, left...) {
		require.NoError(t, os.WriteFile(filepath.Join(st.dir, name), nil, 0o666))
	}
	saveSteps(t, st, 1, 2, 3, 4, 5)
	assert.ElementsMatch(t, append(mine, "latest", checkpointName(3), checkpointName(4), checkpointName(5)),
		names(t, st.dir))
}

func TestUncommittedCheckpointDoesNotCount(t *testing.T) {
	dir := t.TempDir()
	require.Equal(t, exitOK, runIn(t, dir, "--steps", "4").code)
	checkpoints := filepath.Join(dir, "checkpoints")
	// What a crash in the middle of the next save can leave behind.
	require.NoError(t, os.WriteFile(filepath.Join(checkpoints, checkpointName(6)), []byte("half"), 0o666))
	require.NoError(t, os.WriteFile(filepath.Join(checkpoints, pointerName+tempSuffix), []byte("step-"), 0o666))
	res := runIn(t, dir, "--steps", "8", "--checkpoint-every", "1")
	assert.Equal(t, exitOK, res.code, res.stderr)
	assert.Contains(t, res.stdout, "resumed from step 4\n")
	assert.Equal(t, modelAfter(t, "8"), readModel(t, dir))
}

func TestFailedSaveLeavesTheCommitted(t *testing.T) {
	for what, blocked := range map[string]string{
		"checkpoint temp": checkpointName(2) + tempSuffix,
		"checkpoint":      checkpointName(2),
		"pointer temp":    pointerName + tempSuffix,
	} {
		t.Run(what, func(t *testing.T) {
			st, err := openStore(t.TempDir())
			require.NoError(t, err)
			saveSteps(t, st, 1)
			require.NoError(t, os.Mkdir(filepath.Join(st.dir, blocked), 0o777)) // cannot be written
			s := sampleState(t)
			s.Step, s.Window = 2, Window{}
			err = st.Save(s)
			require.ErrorContains(t, err, "the checkpoint of step 2")
			require.ErrorContains(t, err, blocked)

			path, err := latestIn(st.dir)
			require.NoError(t, err)
			assert.Equal(t, filepath.Join(st.dir, checkpointName(1)), path)
			_, err = loadCheckpoint(path, smallConfig())
			assert.NoError(t, err)
		})
	}
}

func TestDamagedDirectoryIsRefused(t *testing.T) {
	for name, tc := range map[string]struct {
		damage func(dir string) error
		want   []string
	}{
		"torn checkpoint": {
			func(dir string) error { return os.Truncate(filepath.Join(dir, checkpointName(4)), 1000) },
			[]string{checkpointName(4), "refused", "incomplete or damaged", "set RUNCTL_RESUME to an earlier checkpoint"}},
		"checkpoint gone": {
			func(dir string) error { return os.Remove(filepath.Join(dir, checkpointName(4))) },
			[]string{checkpointName(4), "no such file", "set RUNCTL_RESUME"}},
		"empty pointer": {
			func(dir string) error { return os.WriteFile(filepath.Join(dir, pointerName), nil, 0o666) },
			[]string{pointerName, "one line with the name of a checkpoint"}},
		"pointer without its newline": {
			func(dir string) error {
				return os.WriteFile(filepath.Join(dir, pointerName), []byte(checkpointName(4)), 0o666)
			},
			[]string{pointerName, "one line with the name of a checkpoint"}},
		"pointer out of the directory": {
			func(dir string) error {
				return os.WriteFile(filepath.Join(dir, pointerName), []byte("../"+checkpointName(4)+"\n"), 0o666)
			},
			[]string{pointerName, "one line with the name of a checkpoint"}},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			require.Equal(t, exitOK, runIn(t, dir, "--steps", "4", "--checkpoint-every", "2").code)
			checkpoints := filepath.Join(dir, "checkpoints")
			require.NoError(t, tc.damage(checkpoints))
			before := files(t, checkpoints)

			res := runIn(t, dir, "--steps", "8")
			assert.Equal(t, exitError, res.code)
			assert.Empty(t, res.stdout)
			for _, part := range append(tc.want, checkpoints) {
				assert.Contains(t, res.stderr, part)
			}
			assert.Equal(t, 1, strings.Count(res.stderr, "\n"), res.stderr)
			assert.Equal(t, before, files(t, checkpoints), "a refusal must change nothing")
		})
	}
}

func TestCheckpointNames(t *testing.T) {
	for _, step := range []int{0, 7, maxSteps} {
		got, ok := checkpointStep(checkpointName(step))
		assert.True(t, ok)
		assert.Equal(t, step, got)
	}
	for _, name := range []string{"", "latest", "step-1.ckpt", "step-000000000+1.ckpt", "step-0000000001", "0000000001.ckpt"} {
		_, ok := checkpointStep(name)
		assert.False(t, ok, name)
	}
}
