package fake

import (
	"context"
	"errors"

	"runctl"
)

// Connect opens a way to run the supervisor's verbs on the machine.
func (c *Cloud) Connect(ctx context.Context, i runctl.Instance, a runctl.Access) (runctl.Machine, error) {
	return nil, errors.ErrUnsupported
}
