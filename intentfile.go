package runctl

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
)

// FileIntents is an intent log in one file: a header line, then one JSON object a line, each with a checksum
// that covers the line before it, so that a cut, edited or mixed file is noticed. Several processes may share
// it. Every line is on the disk before Record returns.
type FileIntents struct {
	mu   sync.Mutex
	path string
}

const (
	intentHeader  = `{"runctl":"intents","version":1}`
	maxIntentLine = 16 << 10
	maxIntentFile = 256 << 20
)

// OpenIntents opens the intent log at path, and creates it, readable by its owner alone, where it is missing.
// A file that is no intent log, is of a newer version, or is damaged anywhere but in its last line is an
// error that names it. A last line that a crash cut short is dropped: its request was never sent.
func OpenIntents(path string) (*FileIntents, error) {
	f := &FileIntents{path: path}
	err := f.locked(func(file *os.File) error {
		_, _, err := f.read(file)
		return err
	})
	if err != nil {
		return nil, err
	}
	return f, nil
}

type intentLine struct {
	Intent
	Sum string `json:"sum"`
}

// Record appends one line and returns when it is on stable storage.
func (f *FileIntents) Record(in Intent) error {
	return f.locked(func(file *os.File) error {
		log, end, err := f.read(file)
		if err != nil {
			return err
		}
		line, err := json.Marshal(intentLine{in, intentSum(log.last, in)})
		if err != nil {
			return fmt.Errorf("intent log %s: a line that cannot be written: %w", f.path, err)
		}
		if len(line) > maxIntentLine {
			return fmt.Errorf("intent log %s: a line of %d bytes cannot be written; at most %d", f.path, len(line), maxIntentLine)
		}
		if err := file.Truncate(end); err != nil { // drops a torn last line
			return err
		}
		if _, err := file.WriteAt(append(line, '\n'), end); err != nil {
			return err
		}
		return file.Sync()
	})
}

// Load returns all lines in order.
func (f *FileIntents) Load() ([]Intent, error) {
	var log intentLog
	err := f.locked(func(file *os.File) (err error) {
		log, _, err = f.read(file)
		return err
	})
	return log.intents, err
}

// locked runs do with the file open and locked against other processes and goroutines.
func (f *FileIntents) locked(do func(*os.File) error) (err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	file, err := os.OpenFile(f.path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return fmt.Errorf("intent log: %w", err)
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	if err := lockFile(file); err != nil {
		return fmt.Errorf("intent log %s: cannot lock it: %w", f.path, err)
	}
	return do(file)
}

type intentLog struct {
	intents []Intent
	last    string // checksum of the last whole line
}

// read checks the whole file and returns its lines and where the next one belongs. An empty file gets its
// header.
func (f *FileIntents) read(file *os.File) (intentLog, int64, error) {
	st, err := file.Stat()
	if err != nil {
		return intentLog{}, 0, err
	}
	if st.Size() > maxIntentFile {
		return intentLog{}, 0, fmt.Errorf("intent log %s: larger than %d MiB; move it away", f.path, maxIntentFile>>20)
	}
	if st.Size() == 0 {
		if _, err := file.WriteAt([]byte(intentHeader+"\n"), 0); err != nil {
			return intentLog{}, 0, err
		}
		return intentLog{}, int64(len(intentHeader) + 1), file.Sync()
	}
	log, end, err := parseIntents(io.NewSectionReader(file, 0, st.Size()))
	if err != nil {
		return intentLog{}, 0, fmt.Errorf("intent log %s: %w", f.path, err)
	}
	return log, end, nil
}

// parseIntents reads a log and returns the offset after its last whole line.
func parseIntents(r io.Reader) (intentLog, int64, error) {
	br := bufio.NewReaderSize(r, maxIntentLine+2)
	var log intentLog
	var end int64
	for n := 1; ; n++ {
		line, err := br.ReadSlice('\n')
		if err == io.EOF {
			if n == 1 {
				return log, 0, errors.New("not an intent log of runctl (its first line is cut); move it away")
			}
			return log, end, nil // a torn last line counts as not written
		}
		if err != nil {
			return log, 0, fmt.Errorf("line %d: longer than %d bytes; the file is not ours or is damaged", n, maxIntentLine)
		}
		if n == 1 {
			if err := checkIntentHeader(line); err != nil {
				return log, 0, err
			}
			end += int64(len(line))
			continue
		}
		var l intentLine
		if err := json.Unmarshal(line, &l); err != nil || l.Sum != intentSum(log.last, l.Intent) {
			return log, 0, fmt.Errorf("line %d: damaged, or lines before it are missing; move the file away only after checking that nothing of yours runs", n)
		}
		log.intents, log.last = append(log.intents, l.Intent), l.Sum
		end += int64(len(line))
	}
}

func checkIntentHeader(line []byte) error {
	var h struct {
		Runctl  string `json:"runctl"`
		Version int    `json:"version"`
	}
	if json.Unmarshal(bytes.TrimSpace(line), &h) != nil || h.Runctl != "intents" {
		return errors.New("not an intent log of runctl; move it away")
	}
	if h.Version != 1 {
		return fmt.Errorf("version %d: written by a newer runctl; use that one", h.Version)
	}
	return nil
}

// intentSum chains a line to the one before.
func intentSum(last string, in Intent) string {
	b, _ := json.Marshal(in) // plain data
	h := sha256.Sum256([]byte(strings.Join([]string{last, string(b)}, "\n")))
	return hex.EncodeToString(h[:8])
}
