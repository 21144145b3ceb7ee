package local

import (
	"bytes"
	"crypto/sha256"
	"encoding/base32"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"runctl"
)

// Below an instance's directory. The record is written once, together with the directory; the two
// end files are made once, first ending, then ended, and never change.
const (
	recordFile = "instance.json"
	endingFile = "ending.json" // its end was asked for
	endedFile  = "ended.json"  // it has ended, and nothing was alive on it
	rootDir    = "root"        // RUNCTL_ROOT of its runs

	recordFormat  = "runctl-local-instance"
	recordVersion = 1
)

// record is what instance.json holds.
type record struct {
	Format   string        `json:"format"`
	Version  int           `json:"version"`
	ID       string        `json:"id"`
	Label    string        `json:"label"`
	Token    string        `json:"token"`
	Type     string        `json:"type"`
	GPU      runctl.GPU    `json:"gpu"`
	Launched time.Time     `json:"launched"`
	Lifetime time.Duration `json:"lifetime_ns"`
	Keep     time.Duration `json:"keep_ns"`
}

// end is what the two end files hold.
type end struct {
	At     time.Time `json:"at"`
	Reason string    `json:"reason"`
}

const idPrefix, idLen = "l-", 10

var idEncoding = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567")

// idOf is the id of the instance of a token: the same token is the same directory.
func idOf(token string) string {
	h := sha256.Sum256([]byte("runctl local " + token))
	return idPrefix + idEncoding.EncodeToString(h[:])[:idLen]
}

// validID reports whether id is one of ours, and so safe as the name of a directory.
func validID(id string) bool {
	rest, ok := strings.CutPrefix(id, idPrefix)
	return ok && len(rest) == idLen && strings.Trim(rest, "abcdefghijklmnopqrstuvwxyz234567") == ""
}

func (p *Provider) path(id string, elem ...string) string {
	return filepath.Join(append([]string{p.dir, id}, elem...)...)
}

// read returns the record of an instance. An id without a directory is ErrNotFound; a record that is not
// whole, not ours or of a later version is an error that names the file: it is never guessed at.
func (p *Provider) read(id string) (record, error) {
	if !validID(id) {
		return record{}, unknown(id)
	}
	var r record
	fi, err := os.Lstat(p.path(id))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return record{}, unknown(id)
	case err == nil && !fi.IsDir():
		err = errors.New("its directory is none")
	case err == nil:
		err = readJSON(p.path(id, recordFile), &r)
		if _, gone := os.Lstat(p.path(id)); errors.Is(gone, fs.ErrNotExist) {
			return record{}, unknown(id) // removed while we looked
		}
	}
	switch {
	case err != nil:
	case r.Format != recordFormat:
		err = errors.New("it is not a record of an instance")
	case r.Version != recordVersion:
		err = fmt.Errorf("it has version %d and this program knows %d: update this program", r.Version, recordVersion)
	case r.ID != id || r.Launched.IsZero() || r.Lifetime <= 0 || r.Keep < 0:
		err = errors.New("it does not fit its directory")
	}
	if err != nil {
		return record{}, p.unreadable(id, recordFile, err)
	}
	return r, nil
}

func unknown(id string) error {
	return &runctl.Error{Kind: runctl.ErrNotFound, ID: id, Msg: "there is no such instance on this computer"}
}

// readEnd returns what an end file says, nil when there is none.
func (p *Provider) readEnd(id, file string) (*end, error) {
	var e end
	err := readJSON(p.path(id, file), &e)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case err == nil && e.At.IsZero():
		err = errors.New("it has no time")
	}
	if err != nil {
		return nil, p.unreadable(id, file, err)
	}
	return &e, nil
}

func (p *Provider) unreadable(id, file string, err error) error {
	return &runctl.Error{Kind: runctl.ErrUnavailable, ID: id, Err: err, Msg: fmt.Sprintf(
		"%s cannot be read; see that nothing of it runs any more, then remove the directory %s", p.path(id, file), p.path(id))}
}

// writeEnd makes an end file, whole or not at all. The first one stands.
func (p *Provider) writeEnd(id, file string, e end) error {
	tmp, err := os.CreateTemp(p.path(id), "."+file+"-")
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name())
	if err := writeJSON(tmp, e); err != nil {
		return err
	}
	if err := os.Link(tmp.Name(), p.path(id, file)); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}

// writeJSON fills and closes f, durably, so that a name given to it later never shows half of it.
func writeJSON(f *os.File, v any) error {
	b, err := json.Marshal(v)
	if err == nil {
		_, err = f.Write(append(b, '\n'))
	}
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// readJSON reads a file of at most 64 KiB that is no link and holds one value and nothing else.
func readJSON(name string, v any) error {
	f, err := os.OpenFile(name, os.O_RDONLY|noFollow, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	b := make([]byte, 64<<10)
	n, err := f.Read(b)
	if err != nil {
		return fmt.Errorf("reading: %w", err)
	}
	return json.Unmarshal(bytes.TrimSpace(b[:n]), v)
}
