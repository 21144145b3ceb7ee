package runctl

import "context"

// Machine returns the client's own connection to a machine, for what runs do not cover: a shell, a look around. It makes
// one attempt to connect. The concrete type is the provider's, such as *sshmachine.Machine.
//
// The connection is shared with everything that this client does on the machine, so it must not be closed by the
// caller: [Client.Close] does that, and the machine's end. One that broke is made anew by the next call of this method.
// What is run over it is no [Run]: it has no receipt, and ends with its context.
//
// ErrHostKey: the machine shows another key than the reference, or this client, knows it by. A machine of the job
// road, or of a provider that cannot enter its machines, is errors.ErrUnsupported where it has no shell.
func (c *Client) Machine(ctx context.Context, on Ref) (Machine, error) {
	a, i, err := c.find(ctx, on)
	if err != nil {
		return nil, err
	}
	if err := c.pinned(a, i, on); err != nil {
		return nil, err
	}
	return c.machine(ctx, a, i)
}
