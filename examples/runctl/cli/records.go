package cli

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"runctl"
)

// record is what is known of one run, kept after its machine is gone.
type record struct {
	header
	Name    string     `json:"name"` // of the run, and the key of its launch
	Job     string     `json:"job"`  // the name that all attempts share
	Attempt int        `json:"attempt"`
	Ref     runctl.Ref `json:"ref"`
	Args    []string   `json:"command"`
	Dir     string     `json:"dir"` // where it was started
	OutDir  string     `json:"out_dir"`
	Outputs []string   `json:"outputs,omitempty"`

	Offer      *offerJSON `json:"offer,omitempty"`
	Lifetime   seconds    `json:"lifetime"`
	Keep       seconds    `json:"keep"`
	Grace      seconds    `json:"grace"`           // from TERM to KILL
	Lease      seconds    `json:"lease,omitempty"` // it ends when nobody watches it for so long
	EndsItself bool       `json:"ends_itself"`
	ByHand     bool       `json:"by_hand,omitempty"` // submitted to a machine that is not ours to end

	Created  time.Time  `json:"created"`
	Launched *time.Time `json:"launched,omitempty"`
	Phase    phase      `json:"phase"`

	Ended   *time.Time      `json:"ended,omitempty"`
	Outcome string          `json:"outcome,omitempty"`
	Exit    *int            `json:"exit,omitempty"` // of the command that followed it
	Receipt *runctl.Receipt `json:"receipt,omitempty"`
	Cost    *moneyJSON      `json:"cost"`
	Log     string          `json:"log,omitempty"`
	Note    string          `json:"note,omitempty"` // why there is no receipt
}

// phase is how far a run has come, as far as this computer saw.
type phase string

const (
	phaseLaunching phase = "launching" // written before the launch is requested
	phaseRunning   phase = "running"   // the job was handed over
	phaseDoubt     phase = "in doubt"  // a machine may exist
	phaseEnded     phase = "ended"
)

func (r *record) live() bool { return r.Phase != phaseEnded }

// end takes note of the end of a run without a receipt.
func (r *record) end(at time.Time, outcome, note string) {
	r.Phase, r.Ended, r.Outcome, r.Note = phaseEnded, utc(at), outcome, note
}

// whole reports whether a record that was read has what every record has.
func (r *record) whole() bool {
	switch r.Phase {
	case phaseLaunching, phaseRunning, phaseDoubt:
	case phaseEnded:
		if r.Ended == nil || r.Outcome == "" {
			return false
		}
	default:
		return false
	}
	return validName.MatchString(r.Name) && validName.MatchString(r.Job) && r.Attempt > 0 && r.Ref.Provider != "" && r.OutDir != ""
}

// deadline is when the machine's lifetime is over, by our clock; zero before the launch.
func (r *record) deadline() time.Time {
	if r.Launched == nil || r.Lifetime == 0 {
		return time.Time{}
	}
	return r.Launched.Add(time.Duration(r.Lifetime))
}

// free reports whether the run costs nothing.
func (r *record) free() bool { return r.Offer != nil && r.Offer.price().Free() }

func (s *state) recordPath(name string) string { return s.path("runs", name+".json") }

// add writes a new record; a conflict when the name was taken in the meantime.
func (s *state) add(r *record) error {
	r.header = header{What: "run", Version: stateVersion, Owner: s.owner}
	err := createState(s.recordPath(r.Name), r)
	if errors.Is(err, os.ErrExist) {
		return fmt.Errorf("%s: the name is in use. Choose another --name", r.Name)
	}
	return err
}

// save replaces the record of a run.
func (s *state) save(r *record) error {
	r.header = header{What: "run", Version: stateVersion, Owner: s.owner}
	return replaceState(s.recordPath(r.Name), r)
}

// reread brings a record up to date with what another runctl has written; without a file it stays.
func (s *state) reread(r *record) {
	now := new(record)
	if readState(s.recordPath(r.Name), "run", s.owner, now) == nil && now.whole() {
		*r = *now
	}
}

// remove forgets a run of which nothing was launched.
func (s *state) remove(r *record) { _ = os.Remove(s.recordPath(r.Name)) }

// records returns all readable records, oldest first, and a joined error for the others.
func (s *state) records() ([]*record, error) {
	paths, err := filepath.Glob(filepath.Join(globEscape(s.path("runs")), "*.json"))
	if err != nil {
		return nil, err
	}
	var all []*record
	var errs []error
	for _, path := range paths {
		r := new(record)
		err := readState(path, "run", s.owner, r)
		switch {
		case errors.Is(err, os.ErrNotExist):
			continue // ended just now
		case err == nil && (r.Name+".json" != filepath.Base(path) || !r.whole()):
			err = brokenState(path, "it does not describe the run of its name")
		}
		if err != nil {
			errs = append(errs, err)
			continue
		}
		all = append(all, r)
	}
	slices.SortFunc(all, func(a, b *record) int { return cmp.Or(a.Created.Compare(b.Created), strings.Compare(a.Name, b.Name)) })
	return all, errors.Join(errs...)
}

// globEscape makes a path match itself alone.
func globEscape(path string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(path)
}

// lock makes this process the one that collects and ends the run; false when another one is. The lock
// ends with the process.
func (s *state) lock(r *record) (unlock func(), ok bool) {
	f, err := os.OpenFile(s.path("runs", r.Name+".lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return func() {}, false
	}
	if !tryLock(f) {
		_ = f.Close()
		return func() {}, false
	}
	return func() { _ = f.Close() }, true
}
