package code

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"runctl"
	"runctl/internal/job"
)

// Send implements [runctl.Code]. The machine needs a POSIX shell, tar and sha256sum or shasum. What is sent is
// compressed with zstd or gzip, as the machine has them, unless a round trip takes less than 3 ms: so near, the link
// is faster than compressing. A file that was written to since [Dir] ends it with an error; so does a machine that
// did not get what was sent. Repeated after a cut, it sends only what did not arrive whole.
//
// Send holds no file in memory. It may be called concurrently, for the same machine too.
func (t *Tree) Send(ctx context.Context, m runctl.Machine) error {
	for again := false; ; again = true {
		s, err := job.AskCode(ctx, m, t.digest)
		if err != nil || s.Have {
			return sendError(err)
		}
		var b base
		if !again {
			if b, err = t.base(ctx, m, s); err != nil {
				return sendError(err)
			}
		}
		err = t.put(ctx, m, format(s), b)
		var refused *job.Refused
		if !errors.As(err, &refused) || refused.Code != job.RefusedSpec {
			return sendError(err)
		}
		if len(b.sources) == 0 { // nothing but what this sent, so that the sums may be to blame
			_ = os.Remove(t.options.Cache)
			return sendError(err)
		}
	}
}

func sendError(err error) error {
	if err != nil {
		return fmt.Errorf("code: the code was not sent: %w", err)
	}
	return nil
}

// near is the round trip below which a link is taken to be faster than compressing.
const near = 3 * time.Millisecond

// format chooses how to send.
func format(s job.CodeState) string {
	for _, f := range []string{job.FormatZstd, job.FormatGzip} {
		if (s.Near == 0 || s.Near >= near) && slices.Contains(s.Formats, f) {
			return f
		}
	}
	return job.FormatPlain
}

// put sends the tree once.
func (t *Tree) put(ctx context.Context, m runctl.Machine, format string, b base) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	wire := newSpool()
	ended := make(chan error, 1)
	go func() {
		var id [8]byte
		_, _ = rand.Read(id[:]) // never fails
		err := job.PutCode(ctx, m, t.digest, hex.EncodeToString(id[:]), format, b.sources, wire)
		close(wire.gone)
		ended <- err
	}()
	meter := newMeter(t, b)
	err := t.write(&counter{wire, meter}, format, b, meter)
	own := err != nil && !errors.Is(err, errEnded)
	if own {
		cancel() // it is this side's fault, which the machine's words would hide
	}
	wire.end(err)
	if put := <-ended; !own {
		err = put
	} else {
		err = &runctl.Error{Op: "sync", Kind: runctl.ErrInvalid, Err: err} // another try would fail the same way
	}
	if err == nil {
		meter.tell(true)
	}
	return err
}

// errEnded is what a write finds when the machine has ended the call.
var errEnded = errors.New("the machine stopped reading")
