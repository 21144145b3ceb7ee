package transfer

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"runctl/internal/job"
)

// distant is a machine at the end of a long line. It remembers how bytes went.
type distant struct {
	job.Machine
	trip   time.Duration
	codecs []string
}

func (d *distant) Exec(ctx context.Context, argv []string, stdin io.Reader, stdout, stderr io.Writer) (int, error) {
	for _, word := range argv {
		if word == "gzip" || word == "plain" {
			d.codecs = append(d.codecs, word)
		}
	}
	return d.Machine.Exec(ctx, argv, stdin, writerFunc(func(b []byte) (int, error) { <-time.After(d.trip); return stdout.Write(b) }), stderr)
}

func TestBytesAreCompressedWhereTheLineIsLongAndTheyShrink(t *testing.T) {
	text, weights := strings.Repeat("a line of a log\n", 200), strings.Repeat("w", 2000)
	for name, c := range map[string]struct {
		files map[string]string
		trip  time.Duration
		want  string
	}{
		"text, near":             {map[string]string{"o/log.txt": text}, time.Millisecond, "plain"},
		"text, far":              {map[string]string{"o/log.txt": text}, 20 * time.Millisecond, "gzip"},
		"weights, far":           {map[string]string{"o/model.safetensors": weights}, 20 * time.Millisecond, "plain"},
		"more weights than text": {map[string]string{"o/log.txt": text[:1500], "o/W.PT": weights}, 20 * time.Millisecond, "plain"},
		"more text than weights": {map[string]string{"o/log.txt": text, "o/W.PT": weights}, 20 * time.Millisecond, "gzip"},
		"a file without an end":  {map[string]string{"o/pt": text}, 20 * time.Millisecond, "gzip"},
	} {
		synctest.Test(t, func(t *testing.T) {
			m := &distant{Machine: emulated(t, c.files), trip: c.trip}
			to := t.TempDir()
			_, err := pull(t, m, "o", to, Options{})
			require.NoError(t, err, name)
			for file, want := range c.files {
				got, err := os.ReadFile(filepath.Join(to, file))
				require.NoError(t, err, name)
				assert.Equal(t, want, string(got), name)
			}
			assert.Equal(t, []string{c.want}, slices.Compact(m.codecs), "%s: download", name)
			m.codecs = nil
			_, err = push(t, m, filepath.Join(to, "o"), ".", Options{As: "back"})
			require.NoError(t, err, name)
			assert.Equal(t, []string{c.want}, slices.Compact(m.codecs), "%s: upload", name)
		})
	}
}
