package cli

import (
	"encoding/json"
	"errors"
	"io"
	"math"
	"os"
	"sync"
	"time"
	"unicode/utf8"

	"runctl"
)

// JSON is snake_case, times are RFC 3339 in UTC, durations seconds, states words, an unknown price null.

// writeJSON writes v and a newline; errors of a closed pipe have nobody to tell.
func writeJSON(w io.Writer, v any, indent bool) {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	if indent {
		enc.SetIndent("", "  ")
	}
	_ = enc.Encode(v)
}

// eventWriter writes what happens to a run as lines of JSON.
type eventWriter struct {
	mu sync.Mutex
	w  io.Writer
}

func (e *eventWriter) event(name string, fields map[string]any) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if fields == nil {
		fields = map[string]any{}
	}
	fields["event"] = name
	writeJSON(e.w, fields, false)
}

// logEvent is a piece of the log: as text when it is UTF-8, else in base64.
func (e *eventWriter) logEvent(offset int64, data []byte) {
	f := map[string]any{"offset": offset}
	if utf8.Valid(data) {
		f["data"] = string(data)
	} else {
		f["data_base64"] = data
	}
	e.event("log", f)
}

// seconds is a duration that marshals as a number of seconds.
type seconds time.Duration

// MarshalJSON returns seconds, with a fraction when there is one.
func (s seconds) MarshalJSON() ([]byte, error) { return json.Marshal(time.Duration(s).Seconds()) }

// UnmarshalJSON reads a number of seconds.
func (s *seconds) UnmarshalJSON(b []byte) error {
	var x float64
	if err := json.Unmarshal(b, &x); err != nil {
		return err
	}
	if math.Abs(x) > math.MaxInt64/1e10 {
		return errors.New("a duration is out of range")
	}
	*s = seconds(math.Round(x * float64(time.Second)))
	return nil
}

type moneyJSON struct {
	Amount   string `json:"amount"`
	Currency string `json:"currency"`
}

// toMoney is null for an unknown amount.
func toMoney(m runctl.Money) *moneyJSON {
	if !m.Known() {
		return nil
	}
	return &moneyJSON{m.Amount(), m.Currency}
}

func (m *moneyJSON) money() runctl.Money {
	if m == nil {
		return runctl.Money{}
	}
	var x json.Number = json.Number(m.Amount)
	f, err := x.Float64()
	if err != nil {
		return runctl.Money{}
	}
	return runctl.MoneyOf(f, m.Currency)
}

type priceJSON struct {
	moneyJSON
	Per    string     `json:"per"`
	Source string     `json:"source"`
	AsOf   *time.Time `json:"as_of"`
}

// offerJSON is an offer, in output and in records.
type offerJSON struct {
	Provider    string     `json:"provider"`
	ID          string     `json:"id"`
	Type        string     `json:"type"`
	Region      string     `json:"region"`
	Zone        string     `json:"zone,omitempty"`
	Market      string     `json:"market"`
	GPU         *gpuJSON   `json:"gpu"`
	VCPU        int        `json:"vcpu"`
	MemoryMiB   int64      `json:"memory_mib"`
	DiskMiB     int64      `json:"disk_mib"`
	Price       *priceJSON `json:"price"`
	Avail       string     `json:"avail"`
	Roads       string     `json:"roads"`
	MaxLifetime seconds    `json:"max_lifetime"`
	EndsItself  bool       `json:"ends_itself"`
	Keeps       bool       `json:"keeps"`
}

type gpuJSON struct {
	Model     string `json:"model"`
	Count     int    `json:"count"`
	MemoryMiB int64  `json:"memory_mib"`
}

func toGPU(g runctl.GPU) *gpuJSON {
	if g == (runctl.GPU{}) {
		return nil
	}
	return &gpuJSON{g.Model, g.Count, g.Memory}
}

func toPrice(p runctl.Price) *priceJSON {
	m := toMoney(p.Hourly)
	if m == nil {
		return nil
	}
	return &priceJSON{*m, "hour", p.Source, utc(p.At)}
}

func toOffer(o runctl.Offer) *offerJSON {
	return &offerJSON{o.Provider, o.ID, o.Type, o.Region, o.Zone, o.Market.String(), toGPU(o.GPU), o.VCPU, o.Memory, o.Disk,
		toPrice(o.Price), o.Avail, o.Roads.String(), seconds(o.MaxLifetime), o.EndsItself, o.Keeps}
}

// price is what the record's offer cost.
func (o *offerJSON) price() runctl.Price {
	if o.Price == nil {
		return runctl.Price{}
	}
	p := runctl.Price{Hourly: o.Price.money(), Source: o.Price.Source}
	if o.Price.AsOf != nil {
		p.At = *o.Price.AsOf
	}
	return p
}

func (o *offerJSON) gpu() runctl.GPU {
	if o.GPU == nil {
		return runctl.GPU{}
	}
	return runctl.GPU{Model: o.GPU.Model, Count: o.GPU.Count, Memory: o.GPU.MemoryMiB}
}

// instanceJSON is a machine.
type instanceJSON struct {
	Provider string     `json:"provider"`
	ID       string     `json:"id"`
	Owner    string     `json:"owner,omitempty"`
	Key      string     `json:"key,omitempty"`
	Ref      string     `json:"ref,omitempty"`
	State    string     `json:"state"`
	Reason   string     `json:"reason,omitempty"`
	Type     string     `json:"type"`
	Region   string     `json:"region"`
	Zone     string     `json:"zone,omitempty"`
	Market   string     `json:"market"`
	GPU      *gpuJSON   `json:"gpu"`
	Addr     string     `json:"addr,omitempty"`
	Price    *priceJSON `json:"price"`
	Cost     *moneyJSON `json:"cost"`
	Launched *time.Time `json:"launched"`
	EndsBy   *time.Time `json:"ends_by"`
	Ended    *time.Time `json:"ended"`
}

func toInstance(i runctl.Instance) *instanceJSON {
	j := &instanceJSON{Provider: i.Provider, ID: i.ID, State: i.State.String(), Reason: i.Reason, Type: i.Type, Region: i.Region,
		Zone: i.Zone, Market: i.Market.String(), GPU: toGPU(i.GPU), Addr: i.Addr, Price: toPrice(i.Price), Cost: toMoney(i.Cost()),
		Launched: utc(i.Launched), EndsBy: utc(i.Deadline()), Ended: utc(i.Ended)}
	j.Owner, j.Key, _ = runctl.LabelOwner(i.Label)
	if i.Mark != (runctl.Mark{}) {
		j.Owner, j.Key, j.Ref = i.Mark.Owner, i.Mark.Key, i.Ref().String()
	}
	return j
}

// utc is null for a time that is not known.
func utc(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC().Round(0)
	return &t
}

// errorJSON is the form of every error on stderr with --json.
func errorJSON(err error) map[string]any {
	kind := "failed"
	var k runctl.Kind
	var u *usageError
	switch {
	case errors.As(err, &u):
		kind = "usage"
	case errors.As(err, &k):
		kind = string(k)
	case errors.Is(err, os.ErrNotExist):
		kind = string(runctl.ErrNotFound)
	}
	f := map[string]any{"kind": kind, "message": err.Error(), "may_bill": mayBill(err)}
	var e *runctl.Error
	if errors.As(err, &e) {
		f["op"], f["provider"], f["key"], f["id"], f["scope"] = e.Op, e.Provider, e.Key, e.ID, e.Scope.String()
	}
	return map[string]any{"error": f}
}
