package s3store

import (
	"sync"
	"time"

	"runctl"
)

// meterPause is how long it is quiet after it has told something.
const meterPause = 100 * time.Millisecond

// meter adds up how far files are, and tells it at most ten times a second, never twice at once.
type meter struct {
	tell func(runctl.TransferProgress)

	mu   sync.Mutex
	now  runctl.TransferProgress
	seen runctl.TransferProgress
	each map[string]int64 // bytes by file
	told time.Time
}

func newMeter(tell func(runctl.TransferProgress)) *meter {
	return &meter{tell: tell, each: map[string]int64{}}
}

func (m *meter) total(files int, bytes int64) {
	m.change(true, func() { m.now.TotalFiles, m.now.TotalBytes = files, bytes })
}

// have sets how many bytes of a file are done, moved adds to them.
func (m *meter) have(key string, n int64) {
	m.change(false, func() { m.now.Bytes += n - m.each[key]; m.each[key] = n })
}

func (m *meter) moved(key string, n int64) {
	m.change(false, func() { m.now.Bytes += n; m.each[key] += n })
}

func (m *meter) file() { m.change(false, func() { m.now.Files++ }) }

func (m *meter) end() { m.change(true, func() {}) }

// change edits what is known and tells it, when it is time or must be. What is told never goes back.
func (m *meter) change(must bool, edit func()) {
	if m.tell == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	edit()
	now := time.Now()
	if !must && now.Sub(m.told) < meterPause {
		return
	}
	p := m.now
	p.Bytes = max(min(p.Bytes, p.TotalBytes), m.seen.Bytes)
	p.TotalBytes = max(p.TotalBytes, p.Bytes)
	m.told, m.seen = now, p
	m.tell(p)
}
