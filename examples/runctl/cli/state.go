package cli

import (
	"cmp"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strings"

	"runctl"
)

// Files of state are JSON objects that begin with what they are and the version of their format.
const stateVersion = 1

// maxState bounds a file of state.
const maxState = 1 << 20

type header struct {
	What    string `json:"runctl"` // "owner", "controller" or "run"
	Version int    `json:"version"`
	Owner   string `json:"owner"`
}

// ownerFile is who we are. It may be copied to the same person's other computers.
type ownerFile struct {
	header
	Secret []byte `json:"secret"` // seals marks, enters machines
}

// controllerFile tells this computer from the owner's others. It must not be copied.
type controllerFile struct {
	header
	Controller string `json:"controller"`
}

// state is the state directory: who we are, what was launched from here, and the record of each run.
type state struct {
	dir        string
	owner      string
	secret     []byte
	controller string
	intents    *runctl.FileIntents
}

// openState opens the state directory and makes it at first use. Concurrent first uses agree on one owner.
func (a *app) openState() (*state, error) {
	dir, err := a.stateDir()
	if err != nil {
		return nil, err
	}
	s := &state{dir: dir}
	if err := os.MkdirAll(s.path("runs"), 0o700); err != nil {
		return nil, fmt.Errorf("the state directory cannot be made: %w. RUNCTL_STATE_DIR names another one", err)
	}
	if err := s.identify(a); err != nil {
		return nil, err
	}
	s.intents, err = runctl.OpenIntents(s.path("intents.log"))
	if err != nil {
		return nil, err
	}
	return s, nil
}

func (s *state) path(parts ...string) string {
	return filepath.Join(append([]string{s.dir}, parts...)...)
}

func (a *app) stateDir() (string, error) {
	if dir := a.env("RUNCTL_STATE_DIR"); dir != "" {
		return filepath.Join(a.abs(dir)), nil
	}
	if dir := a.env("XDG_STATE_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "runctl"), nil
	}
	home := a.env("HOME")
	if home == "" {
		return "", errors.New("no place for the state directory: HOME is not set. Set RUNCTL_STATE_DIR")
	}
	return filepath.Join(home, ".local", "state", "runctl"), nil
}

// abs is a path as seen from where the command was started.
func (a *app) abs(path string) string {
	if filepath.IsAbs(path) {
		return filepath.Clean(path)
	}
	return filepath.Join(a.dir, path)
}

// identify reads the owner and the controller, and makes them at first use.
func (s *state) identify(a *app) error {
	want := a.env("RUNCTL_OWNER")
	if want != "" && slug(want, maxOwner, false) != want {
		return usagef("RUNCTL_OWNER %q: 1 to %d characters of a-z and 0-9", want, maxOwner)
	}
	var o ownerFile
	path := s.path("owner.json")
	err := s.once(path, "owner", want, &o, func() any {
		o := ownerFile{header: header{What: "owner", Version: stateVersion, Owner: cmp.Or(want, defaultOwner(a))}, Secret: make([]byte, 32)}
		_, _ = rand.Read(o.Secret) // never fails
		return o
	})
	if err != nil {
		return err
	}
	if fi, err := os.Stat(path); err == nil && fi.Mode().Perm()&0o077 != 0 {
		return fmt.Errorf("%s can be read by others and holds a secret. Run %s", path, command("chmod", "600", path))
	}
	if slug(o.Owner, maxOwner, false) != o.Owner || o.Owner == "" || len(o.Secret) < 16 {
		return brokenState(path, "its owner or secret is not usable")
	}
	s.owner, s.secret = o.Owner, o.Secret
	var c controllerFile
	err = s.once(s.path("controller.json"), "controller", s.owner, &c, func() any {
		return controllerFile{header: header{What: "controller", Version: stateVersion, Owner: s.owner},
			Controller: randomText("abcdefghijklmnopqrstuvwxyz234567", 3)}
	})
	s.controller = c.Controller
	return err
}

// once reads a file of state that is made at first use; whoever is first wins.
func (s *state) once(path, what, owner string, into any, first func() any) error {
	err := readState(path, what, owner, into)
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := createState(path, first()); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return readState(path, what, owner, into)
}

// maxOwner is the longest owner's name.
const maxOwner = 12

// defaultOwner is a slug of user@host.
func defaultOwner(a *app) string {
	name := a.env("USER")
	if u, err := user.Current(); err == nil {
		name = u.Username
	}
	host, _ := os.Hostname()
	return cmp.Or(slug(name+"@"+host, maxOwner, false), "user")
}

// slug keeps the letters and digits of s, in lower case, and with dashes puts '-' for runs of all else; it
// cuts to n characters.
func slug(s string, n int, dashes bool) string {
	var b strings.Builder
	for _, r := range strings.ToLower(s) {
		switch {
		case r >= 'a' && r <= 'z' || r >= '0' && r <= '9':
			b.WriteRune(r)
		case dashes && b.Len() > 0 && !strings.HasSuffix(b.String(), "-"):
			b.WriteByte('-')
		}
	}
	s = b.String()
	return strings.Trim(s[:min(len(s), n)], "-")
}

// randomText draws n characters of the alphabet, whose length divides 256.
func randomText(alphabet string, n int) string {
	b := make([]byte, n)
	_, _ = rand.Read(b)
	for i := range b {
		b[i] = alphabet[int(b[i])%len(alphabet)]
	}
	return string(b)
}

// readState reads a file of state. One that is torn, newer, or of another kind or owner is an error that
// names the file and what to do. An empty owner means any.
func readState(path, what, owner string, into any) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxState+1))
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	var h header
	if len(data) > maxState {
		return brokenState(path, "it is longer than any that runctl writes")
	}
	if err := json.Unmarshal(data, &h); err != nil {
		return brokenState(path, "it is torn: "+err.Error())
	}
	switch {
	case h.What != what || h.Version < 1:
		return brokenState(path, "it is no "+what+" file of runctl")
	case h.Version > stateVersion:
		return fmt.Errorf("%s was written by a newer runctl (format %d; this one reads up to %d). Use the newer one, "+
			"or another directory by RUNCTL_STATE_DIR", path, h.Version, stateVersion)
	case owner != "" && h.Owner != owner:
		return fmt.Errorf("%s belongs to owner %q, and we are %q. Set RUNCTL_OWNER=%s, or another directory by RUNCTL_STATE_DIR",
			path, h.Owner, owner, quote(h.Owner))
	}
	if err := json.Unmarshal(data, into); err != nil {
		return brokenState(path, "it is damaged: "+err.Error())
	}
	return nil
}

func brokenState(path, why string) error {
	return fmt.Errorf("%s cannot be used: %s. Restore it, or move it away: %s", path, why, command("mv", path, path+".bad"))
}

// createState writes a new file of state, whole or not at all; fs.ErrExist when somebody was faster.
func createState(path string, v any) error {
	return writeState(path, v, func(temp string) error {
		defer os.Remove(temp)
		return os.Link(temp, path)
	})
}

// replaceState writes a file of state, whole or not at all.
func replaceState(path string, v any) error {
	return writeState(path, v, func(temp string) error { return os.Rename(temp, path) })
}

// writeState writes v into a temporary file on stable storage and has it put in place.
func writeState(path string, v any, place func(temp string) error) error {
	data, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*") // mode 0600
	if err != nil {
		return err
	}
	_, err = f.Write(append(data, '\n'))
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = place(f.Name())
	}
	if err != nil {
		_ = os.Remove(f.Name())
		return err
	}
	if d, err := os.Open(filepath.Dir(path)); err == nil {
		_ = d.Sync()
		_ = d.Close()
	}
	return nil
}
