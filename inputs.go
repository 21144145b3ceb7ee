package runctl

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"runctl/internal/carry"
	"runctl/internal/job"
)

// Place is where one object is kept outside of machines, such as under a key of a bucket; package s3store has one. A
// machine gets to it by addresses that hold for a while, made on this computer, and never has the keys of the store.
type Place interface {
	// String names it, without a secret: it is part of what a job is.
	String() string
	// Fetch returns how to read what is there. Nothing there is ErrNotFound.
	Fetch(ctx context.Context, hold time.Duration) (Fetch, error)
	// Deliver returns an address for one HTTP PUT, which holds that long; where it cannot, such as because whatever signs it
	// ends sooner, the error is ErrInvalid. It is asked before a launch, too, and sends nothing.
	Deliver(ctx context.Context, hold time.Duration) (Secret, error)
}

// Placer is implemented by providers that also keep objects, such as AWS in S3. A job on any provider may use them.
type Placer interface {
	// Place is the object at an address such as s3://bucket/key, which need not be there yet. An address of a scheme
	// that is not the provider's is ErrInvalid and errors.ErrUnsupported. It does no I/O but to find the bucket.
	Place(ctx context.Context, address string) (Place, error)
}

// Fetch is how to read an object, with one HTTP GET.
type Fetch struct {
	URL  Secret
	ETag string // what it must still be; empty: not known
	Size int64  // bytes; -1: not known
}

// Input is an object that is on the machine before a job starts.
type Input struct {
	From   Place
	To     string // a path below the job's directory
	Unpack bool   // it is a tar, and To the directory that it is unpacked into
}

// Result is a file or directory of a job's that is brought to a place when the job has ended, also by a signal, a
// cancel or a deadline, within its grace.
type Result struct {
	// From is a path below the job's directory, or else below $RUNCTL_OUTPUT_DIR; "." is all of that. A directory goes
	// as a tar. It may have 5 GiB.
	From string
	To   Place
}

// MarshalJSON names the place. It is what a request's digest has of an input.
func (i Input) MarshalJSON() ([]byte, error) {
	return json.Marshal(map[string]any{"from": nameOf(i.From), "to": i.To, "unpack": i.Unpack})
}

// MarshalJSON names the place. It is what a request's digest has of a result.
func (r Result) MarshalJSON() ([]byte, error) {
	return json.Marshal(map[string]any{"from": r.From, "to": nameOf(r.To)})
}

func nameOf(p Place) string {
	if p == nil {
		return ""
	}
	return p.String()
}

const (
	// fetchHold is how long an address of an input holds. The job fetches it at once.
	fetchHold = time.Hour
	// deliverHold is the longest that an address of a result can hold: S3's bound.
	deliverHold = 7 * 24 * time.Hour
)

// carries names the first field by which things are carried for the job; empty: none are.
func (j *Job) carries() string {
	switch {
	case len(j.Inputs) > 0:
		return "Job.Inputs"
	case len(j.Results) > 0:
		return "Job.Results"
	case j.Checkpoints != nil:
		return "Job.Checkpoints"
	}
	return ""
}

// checkCarried refuses what no machine could carry.
func checkCarried(j Job) error {
	path := func(field, p string, whole bool) error {
		if p == "" || p == "." && !whole || !filepath.IsLocal(filepath.FromSlash(p)) || strings.HasPrefix(p, "-") ||
			strings.ContainsFunc(p, func(r rune) bool { return r < ' ' || r == 0x7f || r == '\\' }) {
			return invalid(field, "%q: a path below the job's directory", clip(oneLine(p), 80))
		}
		return nil
	}
	for _, i := range j.Inputs {
		if err := path("Job.Inputs", i.To, i.Unpack); err != nil {
			return err
		}
		if i.From == nil {
			return invalid("Job.Inputs", "%s comes from nowhere: give its From", i.To)
		}
	}
	for _, r := range j.Results {
		if err := path("Job.Results", r.From, true); err != nil {
			return err
		}
		if r.To == nil {
			return invalid("Job.Results", "%s goes nowhere: give its To", r.From)
		}
	}
	switch n := len(j.Inputs) + len(j.Results); {
	case n+2 > carry.Max:
		return invalid("Job.Inputs", "and Job.Results: %d together, at most %d; put many files into one tar", n, carry.Max-2)
	case j.Checkpoints != nil && j.Resume != "":
		return invalid("Job.Resume", "Job.Checkpoints says already where to begin; give one of them")
	}
	return nil
}

// atHand looks, before anything is spent, whether there is what the job is to fetch, and whether what it leaves can be
// delivered for as long as it may take. left is the most that is left of its machine's lifetime.
func atHand(ctx context.Context, j Job, left time.Duration) error {
	if j.carries() == "" {
		return nil
	}
	if _, err := fetches(ctx, j); err != nil {
		return err
	}
	if j.Limit > 0 {
		left = min(left, j.Limit)
	}
	_, err := deliveries(ctx, j, left)
	return err
}

// fetches are the rows of what is on the machine before the job starts. A checkpoint need not be there yet.
func fetches(ctx context.Context, j Job) (rows []carry.Row, err error) {
	row := func(what carry.What, path string, from Place) error {
		f, err := from.Fetch(ctx, fetchHold)
		if err != nil {
			return err
		}
		url, err := f.URL.Reveal()
		if err == nil {
			rows = append(rows, carry.Row{What: what, Path: path, Size: f.Size, Tag: f.ETag, URL: url})
		}
		return err
	}
	for _, i := range j.Inputs {
		what := carry.File
		if i.Unpack {
			what = carry.Tree
		}
		if err := row(what, i.To, i.From); err != nil {
			return nil, unfit("Job.Inputs", i.From, err)
		}
	}
	if j.Checkpoints != nil {
		if err := row(carry.Resume, "the checkpoint", j.Checkpoints); err != nil && kindOf(err) != ErrNotFound {
			return nil, unfit("Job.Checkpoints", j.Checkpoints, err)
		}
	}
	return rows, nil
}

// deliveries are the rows of what the job leaves, with addresses that hold as long as it may take, and its end.
func deliveries(ctx context.Context, j Job, limit time.Duration) (rows []carry.Row, err error) {
	grace := j.Grace
	if grace == 0 {
		grace = defaultGrace
	}
	hold := min(limit+grace+fetchHold, deliverHold)
	row := func(field string, r carry.Row, to Place) error {
		at, err := to.Deliver(ctx, hold)
		if err != nil {
			return unfit(field, to, err)
		}
		if r.URL, err = at.Reveal(); err == nil {
			rows = append(rows, r)
		}
		return err
	}
	for _, r := range j.Results {
		if err := row("Job.Results", carry.Row{What: carry.Result, Path: r.From}, r.To); err != nil {
			return nil, err
		}
	}
	if j.Checkpoints != nil {
		if err := row("Job.Checkpoints", carry.Row{What: carry.Checkpoint, Path: "the checkpoint"}, j.Checkpoints); err != nil {
			return nil, err
		}
	}
	return rows, nil
}

// unfit is the error of a place that cannot be used: what is not there, or must not be read, waiting does not help.
func unfit(field string, p Place, err error) error {
	if k := kindOf(err); k == ErrNotFound || k == ErrAuth || k == ErrInvalid {
		e := invalid(field, "%s cannot be used", clip(oneLine(p.String()), 200))
		e.Err = err
		return e
	}
	return fmt.Errorf("%s: %w", field, err)
}

// carried makes the job's spec one that carries, with addresses that hold as long as the job may take.
func (p *shellProcess) carried(ctx context.Context, j Job, s *job.Spec) error {
	if j.carries() == "" {
		return nil
	}
	get, err := fetches(ctx, j)
	if err != nil {
		return err
	}
	put, err := deliveries(ctx, j, s.Limit)
	if err != nil {
		return err
	}
	argv, rows, err := carry.Command(s.Argv, get, put)
	if err != nil {
		return invalid(j.carries(), "%v", err)
	}
	s.Argv, s.Env[carry.Env] = argv, rows
	return nil
}

// checkpointsOf is what a request's digest has of the place of its checkpoints.
func checkpointsOf(j *Job) string {
	if j == nil {
		return ""
	}
	return nameOf(j.Checkpoints)
}
