package runctl

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// writeLog puts a file of the given content somewhere and opens it.
func writeLog(t *testing.T, content []byte) (string, *FileIntents, error) {
	path := filepath.Join(t.TempDir(), "intents.log")
	require.NoError(t, os.WriteFile(path, content, 0o600))
	log, err := OpenIntents(path)
	return path, log, err
}

func TestIntentsComeBackInOrder(t *testing.T) {
	good, all := goodLog(t, 5)
	_, log, err := writeLog(t, good)
	require.NoError(t, err)
	again, err := log.Load()
	require.NoError(t, err)
	require.Empty(t, cmp.Diff(all, again))
	for k, in := range again {
		require.Equal(t, fmt.Sprint("k", k), in.Key)
	}
}

func TestIntentsAreTheOwnersAlone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "intents.log")
	log, err := OpenIntents(path)
	require.NoError(t, err)
	require.NoError(t, log.Record(Intent{Key: "k"}))
	st, err := os.Stat(path)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), st.Mode())
}

// A crash while a line is written: its request was never sent, so it is dropped, and the next line stands in
// its place.
func TestATornLastLineIsDropped(t *testing.T) {
	good, all := goodLog(t, 3)
	start := bytes.LastIndexByte(good[:len(good)-1], '\n') + 1
	for cut := start; cut < len(good); cut++ {
		_, log, err := writeLog(t, good[:cut])
		require.NoError(t, err, "cut at %d", cut)
		got, err := log.Load()
		require.NoError(t, err)
		require.Empty(t, cmp.Diff(all[:2], got))
		require.NoError(t, log.Record(all[2]))
		got, err = log.Load()
		require.NoError(t, err)
		require.Empty(t, cmp.Diff(all, got), "cut at %d", cut)
	}
}

func TestADamagedLogIsRefused(t *testing.T) {
	good, _ := goodLog(t, 4)
	lines := bytes.SplitAfter(good, []byte("\n"))
	join := func(ls ...[]byte) []byte { return bytes.Join(ls, nil) }
	foreign, _ := goodLog(t, 1)
	for name, k := range map[string]struct {
		content []byte
		want    string
	}{
		"a line is missing":                       {join(lines[0], lines[1], lines[3], lines[4]), "line 3: damaged, or lines before it are missing"},
		"the first line is missing":               {join(lines[0], lines[2], lines[3]), "line 2: damaged"},
		"two lines are swapped":                   {join(lines[0], lines[2], lines[1], lines[3]), "line 2: damaged"},
		"a line is there twice":                   {join(lines[0], lines[1], lines[1], lines[2]), "line 3: damaged"},
		"a line was edited":                       {bytes.Replace(good, []byte(`"key":"k1"`), []byte(`"key":"k9"`), 1), "line 3: damaged"},
		"a sync tool wrote its marks into it":     {join(lines[0], lines[1], []byte("<<<<<<< mine\n"), lines[2]), "line 3: damaged"},
		"another log is glued to its end":         {join(good, foreign), "line 6: damaged"},
		"an empty line":                           {join(lines[0], lines[1], []byte("\n"), lines[2]), "line 3: damaged"},
		"of a newer version":                      {bytes.Replace(good, []byte(`"version":1`), []byte(`"version":2`), 1), "version 2: written by a newer runctl; use that one"},
		"another program's JSON":                  {[]byte("{\"version\":1}\n"), "not an intent log of runctl; move it away"},
		"a text":                                  {[]byte("dear diary\n"), "not an intent log of runctl; move it away"},
		"a text without a line end":               {[]byte("dear diary"), "not an intent log of runctl (its first line is cut); move it away"},
		"an endless line":                         {join(lines[0], bytes.Repeat([]byte("x"), maxIntentLine+10), []byte("\n")), "line 2: longer than"},
		"zeros, as after a loss of power":         {join(lines[0], lines[1], make([]byte, 600), []byte("\n")), "line 3: damaged"},
		"a header of an older copy in the middle": {join(lines[0], lines[1], lines[0], lines[2]), "line 3: damaged"},
	} {
		t.Run(name, func(t *testing.T) {
			path, _, err := writeLog(t, k.content)
			require.ErrorContains(t, err, k.want)
			require.ErrorContains(t, err, path, "the error names the file")
			after, err := os.ReadFile(path)
			require.NoError(t, err)
			require.Equal(t, k.content, after, "a file that is not understood is not written")
		})
	}
}

// A log that was damaged behind the client's back forbids every launch: nobody knows what is in flight.
func TestNothingIsLaunchedWithoutTheLog(t *testing.T) {
	good, _ := goodLog(t, 2)
	path, log, err := writeLog(t, good)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(path, bytes.Replace(good, []byte(`"key":"k0"`), []byte(`"key":"k9"`), 1), 0o600))
	cloud := newModelCloud()
	_, err = newTestClient(t, Config{Intents: log}, cloud).Launch(t.Context(), testSpec)
	require.ErrorIs(t, err, ErrInvalid)
	require.ErrorContains(t, err, "nothing was launched")
	require.Zero(t, cloud.calls["launch"])
	require.ErrorContains(t, log.Record(Intent{}), "line 2")

	require.NoError(t, os.WriteFile(path, good, 0o600))
	_, err = newTestClient(t, Config{Intents: log}, cloud).Launch(t.Context(), testSpec)
	require.NoError(t, err)
}

// The disk is full just before the request: the request is not sent.
func TestNothingIsLaunchedUnlessWritten(t *testing.T) {
	dir := t.TempDir()
	log, err := OpenIntents(filepath.Join(dir, "intents.log"))
	require.NoError(t, err)
	cloud := newModelCloud()
	c := newTestClient(t, Config{Intents: log}, cloud)
	require.NoError(t, c.loadIntents())
	require.NoError(t, os.RemoveAll(dir))
	_, err = c.Launch(t.Context(), testSpec)
	require.ErrorContains(t, err, "the intent log cannot be written, so nothing was launched")
	require.ErrorIs(t, err, os.ErrNotExist)
	require.Zero(t, cloud.calls["launch"])
}

func TestALineThatIsTooLongIsNotWritten(t *testing.T) {
	good, all := goodLog(t, 1)
	_, log, err := writeLog(t, good)
	require.NoError(t, err)
	err = log.Record(Intent{Offer: &Offer{ID: strings.Repeat("\n", maxIntentLine)}})
	require.ErrorContains(t, err, "cannot be written; at most 16384")
	got, err := log.Load()
	require.NoError(t, err)
	require.Empty(t, cmp.Diff(all, got))
}

// The torn line may be longer than the one that takes its place.
func TestATornLongLineLeavesNothing(t *testing.T) {
	good, all := goodLog(t, 2)
	_, log, err := writeLog(t, append(bytes.Clone(good), bytes.Repeat([]byte("x"), 5000)...))
	require.NoError(t, err)
	for range 2 {
		require.NoError(t, log.Record(all[0]))
	}
	got, err := log.Load()
	require.NoError(t, err)
	require.Len(t, got, 4)
}

// Two processes have the log open, each by a handle of its own.
func TestTwoWritersKeepTheChain(t *testing.T) {
	path := filepath.Join(t.TempDir(), "intents.log")
	const lines = 60
	var wg sync.WaitGroup
	for _, who := range []string{"abc", "def"} {
		wg.Go(func() {
			log, err := OpenIntents(path)
			if !assert.NoError(t, err) {
				return
			}
			for k := range lines {
				assert.NoError(t, log.Record(Intent{Controller: who, Trial: k}))
			}
		})
	}
	wg.Wait()
	log, err := OpenIntents(path)
	require.NoError(t, err, "the chain is whole")
	all, err := log.Load()
	require.NoError(t, err)
	require.Len(t, all, 2*lines)
	next := map[string]int{}
	for _, in := range all {
		require.Equal(t, next[in.Controller], in.Trial, "each writer's lines are in its order")
		next[in.Controller]++
	}
}
