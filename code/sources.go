package code

import (
	"bufio"
	"context"
	"encoding/hex"
	"errors"
	"io"
	"slices"
	"strings"

	"runctl/internal/job"
	"runctl/internal/manifest"
)

// maxParts is how many cut arrivals are looked at.
const maxParts = 3

// base plans what a machine need not be sent. What it cannot tell is sent.
func (t *Tree) base(ctx context.Context, m job.Machine, s job.CodeState) (base, error) {
	if len(s.Parts) == 0 && t.before.sources != nil && slices.Contains(s.Trees, t.before.sources[0]) {
		return base{[]string{job.TreeSource(t.before.sources[0])}, t.before.from}, nil
	}
	var sources []string
	var have []candidate
	add := func(name string, files []candidate, err error) {
		if err == nil && len(files) > 0 {
			sources, have = append(sources, name), append(have, files...)
		}
	}
	for _, id := range s.Parts[:min(len(s.Parts), maxParts)] {
		files, err := readPart(ctx, m, id, int32(len(sources)))
		add(job.PartSource(id), files, err)
	}
	if len(s.Trees) > 0 {
		files, err := readTree(ctx, m, s.Trees[0], int32(len(sources)))
		add(job.TreeSource(s.Trees[0]), files, err)
	}
	return plan(t.files, sources, have), context.Cause(ctx)
}

// readTree asks for a tree's manifest, which must be what the tree's name says.
func readTree(ctx context.Context, m job.Machine, digest string, source int32) ([]candidate, error) {
	var all []manifest.Entry
	err := through(func(w io.Writer) error { return job.CodeTree(ctx, m, digest, w) }, func(r io.Reader) (err error) {
		all, err = manifest.Read(r)
		return err
	})
	if err == nil && manifest.Digest(slices.Values(all)) != digest {
		err = errors.New("code: the machine's manifest is another tree's")
	}
	if err != nil {
		return nil, err
	}
	return slices.Collect(candidates(slices.Values(all), source)), nil
}

// readPart asks what arrived before a cut. Lines that make no sense are files that did not.
func readPart(ctx context.Context, m job.Machine, id string, source int32) (have []candidate, err error) {
	err = through(func(w io.Writer) error { return job.CodePart(ctx, m, id, w) }, func(r io.Reader) error {
		s := bufio.NewScanner(r)
		for s.Scan() {
			kind, rest, ok1 := strings.Cut(s.Text(), " ")
			sum, path, ok2 := strings.Cut(rest, "  ./")
			if !ok1 || !ok2 || len(kind) != 1 || !manifest.IsDigest(sum) || manifest.CheckPath(path) != nil {
				continue
			}
			c := candidate{content{kind: manifest.Kind(kind[0])}, origin{path, source}}
			if _, err := hex.Decode(c.sum[:], []byte(sum)); err == nil {
				have = append(have, c)
			}
		}
		return s.Err()
	})
	return have, err
}

// through joins a writer and a reader, and returns when both are done.
func through(write func(io.Writer) error, read func(io.Reader) error) error {
	r, w := io.Pipe()
	done := make(chan error, 1)
	go func() {
		err := write(w)
		w.CloseWithError(err)
		done <- err
	}()
	err := read(r)
	r.Close()
	return errors.Join(err, <-done)
}
