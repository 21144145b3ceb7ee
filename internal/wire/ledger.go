package wire

import "time"

// Span is a time in which something cost the same.
type Span struct {
	ID, Status string
	From, To   time.Time // a zero To: it goes on
	Hourly     float64   // USD
}

// Ledger is what things cost, span by span. The zero value is empty. It is not safe for concurrent use.
type Ledger struct {
	ids   []string // in the order of their first span
	spans map[string][]Span
}

// Set says what a thing costs from a time on, which may be in the future. What was said of later times is void.
func (l *Ledger) Set(id, status string, at time.Time, hourly float64) {
	if l.spans[id] == nil {
		if l.spans == nil {
			l.spans = map[string][]Span{}
		}
		l.ids = append(l.ids, id)
	}
	l.End(id, at)
	l.spans[id] = append(l.spans[id], Span{ID: id, Status: status, From: at, Hourly: hourly})
}

// End says that a thing costs nothing from a time on.
func (l *Ledger) End(id string, at time.Time) {
	kept := l.spans[id]
	for len(kept) > 0 && kept[len(kept)-1].From.After(at) {
		kept = kept[:len(kept)-1]
	}
	if n := len(kept); n > 0 && (kept[n-1].To.IsZero() || kept[n-1].To.After(at)) {
		kept[n-1].To = at
	}
	if l.spans != nil {
		l.spans[id] = kept
	}
}

// Spans returns all that was until now; what goes on ends now.
func (l *Ledger) Spans(now time.Time) (all []Span) {
	for _, id := range l.ids {
		for _, s := range l.spans[id] {
			if s.From.After(now) {
				continue
			}
			if s.To.IsZero() || s.To.After(now) {
				s.To = now
			}
			all = append(all, s)
		}
	}
	return all
}

// Spent is what a thing has cost until now, in USD.
func (l *Ledger) Spent(id string, now time.Time) (usd float64) {
	for _, s := range l.Spans(now) {
		if s.ID == id {
			usd += s.Hourly * s.To.Sub(s.From).Hours()
		}
	}
	return usd
}
