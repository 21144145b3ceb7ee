package cli

import (
	"io"
	"strings"
	"time"

	"github.com/schollz/progressbar/v3"

	"runctl"
)

// bar shows how far a transfer is: on a terminal as a bar, elsewhere as a line now and then, in JSON as an event.
type bar struct {
	a     *app
	label string
	event func(runctl.TransferProgress) // with --json; nil: nobody is told

	drawn   *progressbar.ProgressBar
	max     int64
	told    time.Time
	percent int64 // as told
	last    runctl.TransferProgress
}

// A line comes at most every pause, and then after another tenth or a minute.
const (
	pause = 10 * time.Second
	tenth = 10
)

func (a *app) newBar(label string) *bar {
	return &bar{a: a, label: label, told: a.now()}
}

// progress takes note of how far it is. It is not called concurrently.
func (b *bar) progress(p runctl.TransferProgress) {
	b.last = p
	if b.a.say.tty && !b.a.opt.json {
		b.draw(p)
		return
	}
	now, percent := b.a.now(), percentOf(p)
	if passed := now.Sub(b.told); passed < pause || percent-b.percent < tenth && passed < time.Minute {
		return
	}
	b.told, b.percent = now, percent
	switch {
	case !b.a.opt.json:
		b.a.say.sayf("%s: %d%%, %s of %s, %d of %d files", b.label, percent, bytesText(p.Bytes), bytesText(p.TotalBytes), p.Files, p.TotalFiles)
	case b.event != nil:
		b.event(p)
	}
}

func percentOf(p runctl.TransferProgress) int64 {
	if p.TotalBytes == 0 {
		return 100
	}
	return int64(float64(p.Bytes) / float64(p.TotalBytes) * 100)
}

// draw renders the bar into the speaker's line of progress.
func (b *bar) draw(p runctl.TransferProgress) {
	if p.TotalBytes == 0 {
		return
	}
	if b.drawn == nil || b.max != p.TotalBytes {
		b.max = p.TotalBytes
		b.drawn = progressbar.NewOptions64(b.max, progressbar.OptionSetWriter(io.Discard), progressbar.OptionSetDescription(b.label),
			progressbar.OptionShowBytes(true), progressbar.OptionShowTotalBytes(true), progressbar.OptionUseIECUnits(true), progressbar.OptionShowCount(),
			progressbar.OptionSetWidth(20), progressbar.OptionSetElapsedTime(false), progressbar.OptionSetTheme(progressbar.ThemeASCII))
	}
	if err := b.drawn.Set64(p.Bytes); err == nil {
		b.a.say.progress(strings.TrimLeft(b.drawn.String(), "\r"))
	}
}
