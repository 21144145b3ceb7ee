package runpod

import (
	"context"
	"errors"

	"runctl"
	"runctl/rest"
)

// Stop implements [runctl.Stopper]. A stopped pod has no compute charge; it keeps its host, and loses its GPUs to
// whoever wants them. One that is stopped already is nil.
func (p *Provider) Stop(ctx context.Context, id string) error {
	return p.act(ctx, id, "stop", runctl.StateStopped)
}

// Start implements [runctl.Stopper]. The pod comes back on its own host and nowhere else: when that has no free
// GPUs, it is ErrCapacity. One that runs already is nil.
func (p *Provider) Start(ctx context.Context, id string) error {
	return p.act(ctx, id, "start", runctl.StateRunning)
}

// act asks for an action. One that is not legal in the pod's state is a success where that state is the action's effect.
func (p *Provider) act(ctx context.Context, id, action string, effect runctl.State) error {
	path, err := podPath(id)
	if err != nil {
		return err
	}
	_, err = p.api.Do(ctx, rest.Request{Method: "POST", Path: path + "/action", Body: map[string]string{"action": action}}, nil)
	if !errors.Is(err, runctl.ErrConflict) {
		return p.young.Judge(id, err)
	}
	i, look := p.Get(ctx, id)
	if look == nil && (i.State == effect || effect == runctl.StateRunning && i.State == runctl.StatePending) {
		return nil
	}
	return err
}
