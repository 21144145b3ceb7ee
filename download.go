package runctl

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"runctl/internal/transfer"
)

// Download copies a file or directory of the run's, by its path relative to the job's directory, or else to its
// output directory, to a local directory, which is made where it is missing. "." is everything in the run's
// output directory, $RUNCTL_OUTPUT_DIR.
//
// The machine says first what there is: names, sizes and SHA-256 sums. All of it is checked against the bounds of
// [TransferOptions] before a byte is written, and is the measure afterwards: nothing else is taken, and of no file more.
// Only plain files and directories below the local directory are written, with mode 0644, or 0755 if executable; each
// file under a temporary name, until its sum is the machine's. Names that climb out, or differ in case alone, end the
// download. Links, devices and names with control characters or backslashes are left out: when everything else was
// written the error is a [*SkippedError] that names them. A file that goes on changing while it is read is tried four
// times, and then named in a [*ChangedError] when the rest was written.
//
// A cut connection is made again, and the transfer goes on with what is missing, also in the middle of a file; only
// the context ends that, or eight failures in a row without a byte between them. What is at its place already, with
// the same sum, is not sent again. What came of unfinished files is kept in a hidden directory .runctl-part-… until
// the same call, in this process or another, has gone on from it.
//
// A vessel whose files cannot be read is errors.ErrUnsupported.
func (r *Run) Download(ctx context.Context, from, to string, o ...TransferOptions) error {
	const op = "download"
	if from == "" || !filepath.IsLocal(filepath.FromSlash(from)) || strings.ContainsAny(from, "\x00\n\r") {
		return invalid("from", "%q: a path below the job's directory, or . for all that it put into its output directory", clip(oneLine(from), 80))
	}
	if to == "" {
		return invalid("to", "give a local directory")
	}
	opt, err := transferOptions(o)
	if err != nil {
		return err
	}
	link, err := r.link(op)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(to, 0o755); err != nil {
		return fmt.Errorf("%s: %w", op, err)
	}
	root, err := os.OpenRoot(to)
	if err != nil {
		return fmt.Errorf("%s: %w", op, err)
	}
	defer root.Close()
	out, err := transfer.Download(ctx, link, from, root, opt)
	return r.transferred(op, from, out, err)
}
