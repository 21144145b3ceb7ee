package enginetest

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"testing"
)

// undertaker reads directories until this process has ended, whatever ended it. Those that are still there belong to tests that
// came to no cleanup: it kills every process that has one of them in its arguments or its environment, until there is none, and
// removes them. It looks again and again, because what is killed may be what another one starts anew.
const undertaker = `
here() { for dir do [ ! -d "$dir" ] || printf '%s\n' "$dir"; done; }
while read -r dir; do set -- "$@" "$dir"; done
[ "$(here "$@")" ] || exit 0
n=0
while [ $n -lt 100 ]; do
  found=$(here "$@" | grep -lsF -f - /proc/[0-9]*/cmdline /proc/[0-9]*/environ)
  [ "$found" ] || break
  for file in $found; do file=${file#/proc/}; kill -s KILL "${file%%/*}" 2>/dev/null; done
  n=$((n + 1)); sleep 0.1
done
for dir do rm -rf "$dir"; rmdir "${dir%/*}" 2>/dev/null; done
`

// graveyard is the undertaker's input, which only this process holds open: no child inherits it.
var graveyard = sync.OnceValues(func() (*os.File, error) {
	in, out, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer in.Close()
	cmd := exec.Command("sh", "-c", undertaker)
	cmd.Stdin, cmd.Dir, cmd.Env = in, "/", []string{"PATH=/usr/local/bin:/usr/bin:/bin", "LC_ALL=C"}
	ownSession(cmd)
	return out, cmd.Start()
})

// Doom has a directory of a test's, and every process that has its path in its arguments or its environment, end with the test's
// process even where that is killed, panics or runs out of time, so that no cleanup is run. Of a test that comes to its cleanups
// it touches nothing, if the directory is gone by then. The path has no line break and is no prefix of another's. It works on Linux
// alone; elsewhere what is left stays.
func Doom(t testing.TB, dir string) {
	t.Helper()
	if runtime.GOOS != "linux" {
		return
	}
	out, err := graveyard()
	must(t, err)
	_, err = fmt.Fprintln(out, dir) // one write, shorter than what a pipe takes as a whole
	must(t, err)
}

// Dir is a directory of the test's own, as t.TempDir makes it, that is doomed.
func Dir(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	Doom(t, dir)
	return dir
}
