// Package carry makes a job's command one that first fetches what the job needs, and in the end delivers what it leaves,
// by addresses that whoever has them may use for a while. On the machine it is POSIX sh, with curl, python3 or GNU wget.
package carry

import (
	_ "embed"
	"fmt"
	"strconv"
	"strings"
)

//go:embed carry.sh
var script string

// Env is the variable of the job's environment in which the rows travel. It holds secrets.
const Env = "_RUNCTL_CARRY"

// Failed is the exit code where something could not be fetched, or delivered after the job's own success: EX_IOERR.
const Failed = 74

// What says what is done with a row.
type What string

// To be fetched: a file, a tar that is unpacked into a directory, and the checkpoint to begin with. To be delivered: a
// file or, as a tar, a directory; and the last checkpoint.
const (
	File       = What("file")
	Tree       = What("tree")
	Resume     = What("resume")
	Result     = What("result")
	Checkpoint = What("checkpoint")
)

// Row is one thing to carry. Path is the job's, or what it is called where it has none.
type Row struct {
	What What
	Path string
	Size int64  // of what is fetched; -1: not known
	Tag  string // its ETag; empty: not known
	URL  string
}

// Max is how many rows there may be.
const Max = 32

// Command is the argument list that carries around argv, and the value of Env. Its arguments hold no address.
func Command(argv []string, fetch, deliver []Row) ([]string, string, error) {
	if len(fetch)+len(deliver) > Max {
		return nil, "", fmt.Errorf("at most %d things are carried for a job", Max)
	}
	var b strings.Builder
	b.WriteString("\n") // so that every row begins after a newline
	write := func(rows []Row) error {
		for _, r := range rows {
			for _, text := range []string{r.Path, r.Tag, r.URL} {
				if strings.ContainsFunc(text, func(c rune) bool { return c < ' ' || c == 0x7f }) {
					return fmt.Errorf("%q has control characters", r.Path)
				}
			}
			if strings.ContainsAny(r.URL, "\"\\ ") || r.URL == "" {
				return fmt.Errorf("the address for %q is not one that can be used", r.Path)
			}
			b.WriteString(string(r.What) + "\n" + r.Path + "\n" + strconv.FormatInt(r.Size, 10) + "\n" + r.Tag + "\n" + r.URL + "\n")
		}
		return nil
	}
	if err := write(fetch); err != nil {
		return nil, "", err
	}
	b.WriteString("//\n") // the job; no path and no address is that
	if err := write(deliver); err != nil {
		return nil, "", err
	}
	return append([]string{"sh", "-c", script, "runctl"}, argv...), b.String(), nil
}
