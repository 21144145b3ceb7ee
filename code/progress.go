package code

import (
	"io"
	"time"

	"runctl/internal/manifest"
)

// meter counts what is sent. It is one goroutine's.
type meter struct {
	Progress
	told time.Time
	call func(Progress)
}

const tellEvery = 100 * time.Millisecond

func newMeter(t *Tree, b base) *meter {
	m := &meter{call: t.options.Progress}
	for i := range t.files {
		if _, linked := b.origin(i); !linked && t.files[i].Kind != manifest.Link {
			m.TotalFiles++
			m.TotalBytes += t.files[i].Size
		}
	}
	return m
}

// tell reports, unless it did so just now.
func (m *meter) tell(anyway bool) {
	if m.call == nil || !anyway && time.Since(m.told) < tellEvery {
		return
	}
	m.told = time.Now()
	m.call(m.Progress)
}

// counter counts what goes over the wire.
type counter struct {
	w io.Writer
	m *meter
}

func (c *counter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.m.Sent += int64(n)
	return n, err
}
