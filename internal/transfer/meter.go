package transfer

import (
	"sync"
	"time"
)

// meter tells how far a transfer is, at most every tenth of a second.
type meter struct {
	tell func(Progress)

	mu   sync.Mutex
	now  Progress
	seen Progress // as told last
	told time.Time
}

const meterPause = 100 * time.Millisecond

func newMeter(tell func(Progress)) *meter { return &meter{tell: tell} }

func (m *meter) total(files int, bytes int64) {
	m.change(func(p *Progress) { p.TotalFiles, p.TotalBytes = files, bytes }, true)
}

func (m *meter) set(files int, bytes int64) {
	m.change(func(p *Progress) { p.Files, p.Bytes = files, bytes }, false)
}

func (m *meter) moved(n int64) { m.change(func(p *Progress) { p.Bytes += n }, false) }

func (m *meter) file() { m.change(func(p *Progress) { p.Files++ }, false) }

func (m *meter) end() { m.change(func(*Progress) {}, true) }

// change edits what is known and tells it, when it is time or must be. The lock is held while telling, so that it is
// never told twice at once.
func (m *meter) change(edit func(*Progress), must bool) {
	if m.tell == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	edit(&m.now)
	now := time.Now()
	if !must && now.Sub(m.told) < meterPause {
		return
	}
	p := m.now
	p.Bytes = max(min(p.Bytes, p.TotalBytes), m.seen.Bytes) // what came twice counts once
	p.TotalBytes = max(p.TotalBytes, p.Bytes)
	p.Files = max(p.Files, m.seen.Files)
	m.told, m.seen = now, p
	m.tell(p)
}
