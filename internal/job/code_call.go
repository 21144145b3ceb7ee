package job

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"runctl/internal/manifest"
)

// CodeState is what a machine says of a tree before it is sent.
type CodeState struct {
	Have    bool          // it has the tree, and nothing is to be sent
	Formats []string      // of [PutCode], that it can read
	Trees   []string      // digests of the trees that it has, the one used last first
	Parts   []string      // names of what of other trees arrived before a cut
	Near    time.Duration // one round trip, in which nothing was started; 0: not measured
}

// AskCode asks for a tree by its digest. A machine that can take no code is *Refused.
func AskCode(ctx context.Context, m Machine, digest string) (CodeState, error) {
	var s CodeState
	if !manifest.IsDigest(digest) {
		return s, &FieldError{"Code", "must be a tree's digest, 64 hexadecimal digits"}
	}
	var p *ping
	if err := executeWith(ctx, m, func() (io.Reader, io.Writer) { p = newPing(); return p, pong{p} }, "codeask", digest); err != nil {
		return s, err
	}
	lines, err := p.out.reply("codeask")
	if err != nil {
		return s, err
	}
	known := false
	for _, l := range lines {
		switch l.Kind {
		case kindCode:
			known, s.Have = true, l.Fields["have"] == "1"
			s.Formats = strings.Split(l.Fields["formats"], ",")
		case kindTree:
			if manifest.IsDigest(l.Fields["digest"]) {
				s.Trees = append(s.Trees, l.Fields["digest"])
			}
		case kindPart:
			if partID.MatchString(l.Fields["id"]) {
				s.Parts = append(s.Parts, l.Fields["id"])
			}
		}
	}
	if !known {
		return s, fmt.Errorf("%w (codeask)", errDamaged)
	}
	s.Near = p.took()
	return s, nil
}

// CodeTree writes the manifest of a tree that the machine has, as it has it: the caller checks it. One that is gone
// is *Refused.
func CodeTree(ctx context.Context, m Machine, digest string, w io.Writer) error {
	return fetch(ctx, m, w, "codetree", digest)
}

// CodePart writes what has arrived of a part: lines KIND SHA256 "  ./" PATH, as the machine finds them. One that is
// gone is *Refused.
func CodePart(ctx context.Context, m Machine, id string, w io.Writer) error {
	return fetch(ctx, m, w, "codepart", id)
}

// fetch writes what comes raw.
func fetch(ctx context.Context, m Machine, w io.Writer, verb ...string) error {
	out := &stream{tar: w}
	err := execute(ctx, m, nil, out, verb...)
	if out.failed != nil {
		return out.failed
	}
	if err == nil && !out.raw {
		err = fmt.Errorf("%w (%s)", errDamaged, verb[0])
	}
	return err
}

// The formats of [PutCode].
const (
	FormatPlain = "none"
	FormatGzip  = "gzip"
	FormatZstd  = "zstd"
)

// TreeSource and PartSource are names of sources for [PutCode].
func TreeSource(digest string) string { return "d." + digest }

// PartSource is the source of a part.
func PartSource(id string) string { return "in." + id }

// PutCode sends a tree as a tar in a format: m, the manifest, n, lines SHA256 "  ./" PATH of the files that are sent,
// t/PATH for each link, and then for each file, in the order of n. A file that the machine has in the Nth of the sources
// is a hard link to bN/PATH instead. An empty f between links and files says that they are many bytes, which are best
// verified while more come. The tree is there when this returns nil, whole and verified; id, of 1 to 32 a-z and 0-9, names what
// arrived when it was cut. *Refused: what came, or what was linked, is not the tree.
func PutCode(ctx context.Context, m Machine, digest, id, format string, sources []string, body io.Reader) error {
	argv := append([]string{"sh", "-c", stub, protocolTag, "codeput", digest, id, format}, sources...)
	var out limitedBuffer
	var errs tailBuffer
	code, err := m.Exec(ctx, argv, body, &out, &errs)
	if err != nil {
		return fmt.Errorf("job: codeput: %w", err)
	}
	if code != 0 {
		return fmt.Errorf("job: codeput: exit code %d: %s", code, errs.text())
	}
	lines, err := out.reply("codeput")
	if err == nil && (len(lines) != 1 || lines[0].Kind != kindCode) {
		err = errDamaged
	}
	return err
}
