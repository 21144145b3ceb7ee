//go:build linux

package ssh_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"runctl/internal/enginetest"
	"runctl/internal/execfile"
)

// wrapper stands between an sshd and its commands. What it does to the commands of one verb is in files, so that a
// test can change it: each is for the next such command alone.
type wrapper struct {
	t   testing.TB
	dir string
}

const wrapperScript = `#!/bin/sh
D=${0%/*}
for f in "$D"/do.*; do
  [ -e "$f" ] || continue
  case $SSH_ORIGINAL_COMMAND in *"'${f##*/do.}'"*) ;; *) continue ;; esac
  read -r what <"$f"; mv "$f" "$f.done" && mv "$f.done" "$D/was.${f##*.}"
  case $what in
    lost) sh -c "$SSH_ORIGINAL_COMMAND" >/dev/null 2>&1; kill -s KILL $PPID; exit ;;
    before) kill -s KILL $PPID; exit ;;
    reply) cat "$D/reply"; exit ;;
    noise) echo "Welcome to RUNCTLH1 host"; printf 'RUNCTLH1'; echo; exec sh -c "$SSH_ORIGINAL_COMMAND" ;;
    hang) exec sleep 1000 ;;
  esac
done
exec sh -c "$SSH_ORIGINAL_COMMAND"
`

// wrapped starts an sshd behind a wrapper.
func wrapped(t testing.TB) (*enginetest.Server, *wrapper) {
	t.Helper()
	w := &wrapper{t: t, dir: t.TempDir()}
	require.NoError(t, execfile.Write(filepath.Join(w.dir, "wrap"), wrapperScript))
	return enginetest.SSHD(t, enginetest.Line("ForceCommand "+filepath.Join(w.dir, "wrap"))), w
}

// next says what becomes of the next command with this verb.
func (w *wrapper) next(verb, what string) {
	w.t.Helper()
	_ = os.Remove(filepath.Join(w.dir, "was."+verb))
	require.NoError(w.t, os.WriteFile(filepath.Join(w.dir, "do."+verb), []byte(what+"\n"), 0o600))
}

// reply is what the next command with this verb answers.
func (w *wrapper) reply(verb string, lines ...string) {
	w.t.Helper()
	require.NoError(w.t, os.WriteFile(filepath.Join(w.dir, "reply"), []byte(strings.Join(lines, "\n")+"\n"), 0o600))
	w.next(verb, "reply")
}

// used reports whether what next or reply said has happened.
func (w *wrapper) used(verb string) bool {
	_, err := os.Stat(filepath.Join(w.dir, "was."+verb))
	return err == nil
}
