package local

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"runctl"
)

// drainGrace is what a run has from TERM to KILL when its instance is terminated.
const drainGrace = 10 * time.Second

// Launch implements [runctl.Provider]. An instance appears whole, by the rename of a finished directory
// to the name that its token gives: of several launches with one token, here or in other processes, one
// wins and the others return its instance.
func (p *Provider) Launch(ctx context.Context, req runctl.LaunchRequest) (runctl.Instance, error) {
	if err := check(req); err != nil {
		return runctl.Instance{}, err
	}
	if err := ctx.Err(); err != nil {
		return runctl.Instance{}, notStarted(err)
	}
	id := idOf(req.Token)
	r, err := p.read(id)
	if errors.Is(err, runctl.ErrNotFound) {
		r, err = p.create(ctx, record{
			Format: recordFormat, Version: recordVersion, ID: id, Label: req.Label, Token: req.Token,
			Type: machineType(), GPU: req.Offer.GPU, Launched: p.now().UTC(), Lifetime: req.Lifetime, Keep: req.Keep,
		})
	}
	if err != nil {
		return runctl.Instance{}, err
	}
	if r.Token != req.Token || r.Label != req.Label {
		return runctl.Instance{}, &runctl.Error{ID: id, Kind: runctl.ErrConflict, Scope: runctl.ScopeRequest, NotStarted: true,
			Msg: "this token has an instance with another label; use a new token"}
	}
	return p.look(ctx, r)
}

// check refuses what this computer does not do.
func check(req runctl.LaunchRequest) error {
	switch {
	case req.Offer.ID != OfferID:
		return &runctl.Error{Kind: runctl.ErrNotFound, Scope: runctl.ScopeOffer, NotStarted: true,
			Msg: "there is no such offer; the only one is " + OfferID}
	case req.Job != nil:
		e := invalid("local has no job road: launch without a job, then submit it")
		e.Err = errors.ErrUnsupported
		return e
	case req.Image != "":
		e := invalid("local boots no container images: leave Image empty")
		e.Err = errors.ErrUnsupported
		return e
	case req.Label == "" || len(req.Label) > 256 || req.Token == "" || len(req.Token) > 256:
		return invalid("a launch needs a label and a token of at most 256 characters each")
	case req.Lifetime <= 0 || req.Keep < 0:
		return invalid("a launch needs a lifetime above zero, and a keep time that is not below")
	}
	return nil
}

// create makes the directory of r, or returns the record of the one that is there.
func (p *Provider) create(ctx context.Context, r record) (record, error) {
	if err := os.MkdirAll(p.dir, 0o700); err != nil {
		return r, notStarted(err)
	}
	p.sweep(ctx)
	tmp, err := os.MkdirTemp(p.dir, newPrefix) // mode 0700
	if err != nil {
		return r, notStarted(err)
	}
	defer os.RemoveAll(tmp) // after the rename there is nothing of this name
	if err := os.Mkdir(filepath.Join(tmp, rootDir), 0o700); err != nil {
		return r, notStarted(err)
	}
	f, err := os.OpenFile(filepath.Join(tmp, recordFile), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return r, notStarted(err)
	}
	if err := writeJSON(f, r); err != nil {
		return r, notStarted(err)
	}
	err = os.Rename(tmp, p.path(r.ID))
	if errors.Is(err, fs.ErrExist) {
		return p.read(r.ID)
	}
	return r, err
}

// notStarted is for errors from before the rename.
func notStarted(err error) error {
	return &runctl.Error{Kind: runctl.ErrUnavailable, Scope: runctl.ScopeProvider, NotStarted: true, Err: err,
		Msg: "no instance could be made in the state directory"}
}

// Get implements [runctl.Provider].
func (p *Provider) Get(ctx context.Context, id string) (runctl.Instance, error) {
	if err := ctx.Err(); err != nil {
		return runctl.Instance{}, err
	}
	r, err := p.read(id)
	if err != nil {
		return runctl.Instance{}, err
	}
	return p.look(ctx, r)
}

// List implements [runctl.Provider]. It returns every instance of the state directory, whoever's it is,
// ended ones too. One record that cannot be read fails the whole list: an instance that is left out
// would count as gone.
func (p *Provider) List(ctx context.Context, _ runctl.ListQuery) ([]runctl.Instance, error) {
	entries, err := os.ReadDir(p.dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	var all []runctl.Instance
	for _, e := range entries {
		if !validID(e.Name()) {
			continue
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		r, err := p.read(e.Name())
		if errors.Is(err, runctl.ErrNotFound) {
			continue // removed while we looked, days after its end
		}
		if err != nil {
			return nil, err
		}
		i, err := p.look(ctx, r)
		if err != nil {
			return nil, err
		}
		all = append(all, i)
	}
	return all, ctx.Err()
}

// Terminate implements [runctl.Provider]. It writes the wish down, asks every live run to end, with 10
// seconds from TERM to KILL, and returns. The instance is StateStopping until the last of them has ended;
// its files stay.
func (p *Provider) Terminate(ctx context.Context, id string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	r, err := p.read(id)
	if err != nil {
		return err
	}
	if e, err := p.readEnd(id, endedFile); err != nil || e != nil {
		return err
	}
	if err := p.writeEnd(id, endingFile, end{At: p.now().UTC(), Reason: "terminated"}); err != nil {
		return err
	}
	w, err := p.work(ctx, r.ID)
	for _, run := range w.live {
		err = errors.Join(err, p.cancel(ctx, r.ID, run))
	}
	return err
}
