package job

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestFollowersSeeEveryByteOnceWhileItIsWritten(t *testing.T) {
	onEveryShell(t, func(t *testing.T, m *shellMachine) {
		more := fifo(t)
		start(t, m, sh("r", `printf 'first\n'; read x <`+more+`; i=0; while [ $i -lt 300 ]; do printf 'line %s \000\377\n' $i; i=$((i+1)); done
			head -c 3000000 /dev/zero; printf 'RUNCTL1 end\nno newline'`))
		var told bool
		logs := make([]bytes.Buffer, 2)
		for i, err := range atOnce(2, func(i int) error {
			w := writerFunc(func(p []byte) (int, error) {
				if i == 0 && !told { // the first line came while the job waits
					told = true
					tell(t, more, "go")
				}
				return logs[i].Write(p)
			})
			next, err := Log(t.Context(), m, "r", 0, true, w)
			assert.EqualValues(t, logs[i].Len(), next)
			return err
		}) {
			assert.NoError(t, err, i)
		}
		want, err := os.ReadFile(filepath.Join(m.root, "run", "r", "out"))
		require.NoError(t, err)
		assert.EqualValues(t, len(want), done(t, m, "r").LogBytes)
		assert.Greater(t, len(want), 3000000)
		for i := range logs {
			assert.True(t, bytes.Equal(want, logs[i].Bytes()), "%d of %d bytes", logs[i].Len(), len(want))
		}
		for _, offset := range []int64{1, 5, 262144, int64(len(want)) - 1, int64(len(want))} {
			var part bytes.Buffer
			next, err := Log(t.Context(), m, "r", offset, false, &part)
			require.NoError(t, err)
			assert.EqualValues(t, len(want), next)
			assert.True(t, bytes.Equal(want[offset:], part.Bytes()), offset)
		}
	})
}

func TestACutFollowGoesOnWhereItWasCut(t *testing.T) {
	onEveryShell(t, func(t *testing.T, m *shellMachine) {
		start(t, m, sh("r", `i=0; while [ $i -lt 400 ]; do echo "line $i"; i=$((i+1)); done; head -c 700000 /dev/zero`))
		var got bytes.Buffer
		offset, cuts := int64(0), 0
		for {
			next, err := Log(t.Context(), cutStdout{m, 5000 + cuts*90001}, "r", offset, true, &got)
			assert.EqualValues(t, got.Len(), next)
			offset = next
			if err == nil {
				break
			}
			cuts++
		}
		assert.NotZero(t, cuts)
		want, err := os.ReadFile(filepath.Join(m.root, "run", "r", "out"))
		require.NoError(t, err)
		assert.True(t, bytes.Equal(want, got.Bytes()))
		done(t, m, "r")
	})
}

func TestALineThatIsCutEverySeventyThousandBytesGetsOn(t *testing.T) {
	onEveryShell(t, func(t *testing.T, m *shellMachine) {
		start(t, m, sh("r", `head -c 1000003 /dev/zero`))
		done(t, m, "r")
		var got bytes.Buffer
		offset := int64(0)
		for cuts := 0; ; cuts++ {
			next, err := Log(t.Context(), cutStdout{m, 70_000}, "r", offset, true, &got)
			if err == nil {
				break
			}
			require.Greater(t, next, offset, "after %d cuts", cuts)
			offset = next
		}
		assert.Equal(t, 1000003, got.Len())
	})
}

func TestAShrunkenLogIsANamedGap(t *testing.T) {
	onEveryShell(t, func(t *testing.T, m *shellMachine) {
		start(t, m, sh("r", `echo 123456789; : >../../out; echo 1`))
		done(t, m, "r")
		var gap *Gap
		next, err := Log(t.Context(), m, "r", 10, true, io.Discard)
		require.ErrorAs(t, err, &gap)
		assert.Equal(t, Gap{From: 2, To: 10}, *gap)
		assert.EqualValues(t, 2, next)
		_, err = Log(t.Context(), m, "nobody", 0, true, io.Discard)
		assert.ErrorIs(t, err, ErrNoRun)
	})
}

func TestAFullWriterEndsTheFollow(t *testing.T) {
	onEveryShell(t, func(t *testing.T, m *shellMachine) {
		gate := fifo(t)
		start(t, m, sh("r", `echo x; read x <`+gate))
		full := errors.New("full")
		next, err := Log(t.Context(), m, "r", 0, true, writerFunc(func([]byte) (int, error) { return 0, full }))
		assert.ErrorIs(t, err, full)
		assert.Zero(t, next)
		tell(t, gate, "go")
		done(t, m, "r")
	})
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

// cutStdout loses the connection after so many bytes.
type cutStdout struct {
	Machine
	left int
}

var errCut = errors.New("connection cut")

func (c cutStdout) Exec(ctx context.Context, argv []string, stdin io.Reader, stdout, stderr io.Writer) (int, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	w := writerFunc(func(p []byte) (int, error) {
		if c.left < len(p) {
			n, _ := stdout.Write(p[:c.left])
			c.left -= n
			cancel()
			return n, errCut
		}
		c.left -= len(p)
		return stdout.Write(p)
	})
	code, err := c.Machine.Exec(ctx, argv, stdin, w, stderr)
	if ctx.Err() != nil {
		return 0, fmt.Errorf("%w: %w", errCut, ctx.Err())
	}
	return code, err
}
