package wire

// Change wakes whoever waits for a face's next change. Its methods are called with the face's lock held. The zero value works.
type Change struct{ next chan struct{} }

// Notify wakes all who wait.
func (c *Change) Notify() {
	if c.next != nil {
		close(c.next)
		c.next = nil
	}
}

// Waiting returns a channel that is closed at the next change.
func (c *Change) Waiting() <-chan struct{} {
	if c.next == nil {
		c.next = make(chan struct{})
	}
	return c.next
}
