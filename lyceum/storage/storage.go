// Package storage opens the S3 bucket of an account of Lyceum's, where containers of runs leave what must outlive them.
// It is a package of its own so that who wants machines and runs alone links no S3 client.
//
//	bucket, err := storage.Open(ctx, provider) // a *lyceum.Provider
//	if err != nil {
//		return err
//	}
//	err = bucket.Download(ctx, run.Instance().Label, ".", "results")
//
// The rest of the bucket is there too: a [Bucket] is an [s3store.Store].
package storage

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"path"
	"path/filepath"
	"strings"

	"runctl"
	"runctl/lyceum"
	"runctl/s3store"
)

// Source gives credentials of an account's bucket: a [lyceum.Provider].
type Source interface {
	S3Credentials(ctx context.Context) (lyceum.S3Credentials, error)
}

// Bucket is an account's bucket. It asks for new credentials by itself, some minutes before those that it has expire.
type Bucket struct{ *s3store.Store }

// Open asks for credentials, which say where the bucket is, and for nothing else.
func Open(ctx context.Context, from Source) (*Bucket, error) {
	first, err := from.S3Credentials(ctx)
	if err != nil {
		return nil, err
	}
	store, err := s3store.New(s3store.Config{Endpoint: first.Endpoint, Region: first.Region, Bucket: first.Bucket, PathStyle: true,
		Credentials: &renewing{from: from, first: &first}})
	if err != nil {
		return nil, err
	}
	return &Bucket{store}, nil
}

// outputs is where a run's outputs are, with a slash at its end.
func outputs(label string) (string, error) {
	if label == "" || strings.ContainsAny(label, "/\\") {
		return "", &runctl.Error{Op: "download", Kind: runctl.ErrInvalid, Msg: "label: that of the run's instance, Instance.Label"}
	}
	return lyceum.RunPrefix(label) + "outputs/", nil
}

// List yields what the run with this label, Instance.Label, has left in its RUNCTL_OUTPUT_DIR; keys are paths below that.
// An error is the last thing it yields.
func (b *Bucket) List(ctx context.Context, label string) iter.Seq2[s3store.Object, error] {
	return func(yield func(s3store.Object, error) bool) {
		place, err := outputs(label)
		if err != nil {
			yield(s3store.Object{}, err)
			return
		}
		for o, err := range b.Below(place).List(ctx, "") {
			if !yield(o, err) {
				return
			}
		}
	}
}

// Download copies a file or directory that the run with this label, Instance.Label, has left, by its path below its
// RUNCTL_OUTPUT_DIR, to a local directory, where it has the same path; "." is everything. What is there already, with the
// same sum, is not fetched again, and what was cut goes on, as with [s3store.Store.Sync]. A path that the run has left
// nothing at is runctl.ErrNotFound.
func (b *Bucket) Download(ctx context.Context, label, from, to string, o ...s3store.Options) error {
	place, err := outputs(label)
	if err != nil {
		return err
	}
	if from == "" || !filepath.IsLocal(filepath.FromSlash(from)) || strings.ContainsAny(from, "\x00\n\r\\") {
		return &runctl.Error{Op: "download", Kind: runctl.ErrInvalid, Msg: fmt.Sprintf("from: %q: a path below the run's output directory, or . for all of it", from)}
	}
	if to == "" {
		return &runctl.Error{Op: "download", Kind: runctl.ErrInvalid, Msg: "to: give a local directory"}
	}
	from = path.Clean(from)
	run := b.Below(place)
	if from == "." {
		_, err := run.Sync(ctx, s3store.Down, to, "", o...)
		return err
	}
	_, err = run.Download(ctx, from, filepath.Join(to, filepath.FromSlash(from)), o...)
	if !errors.Is(err, runctl.ErrNotFound) {
		return err
	}
	for _, look := range run.List(ctx, from+"/") {
		if look != nil {
			return look
		}
		_, err = run.Sync(ctx, s3store.Down, filepath.Join(to, filepath.FromSlash(from)), from, o...)
		break
	}
	return err
}
