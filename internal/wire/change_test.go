package wire

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestAChangeWakesAllWhoWaitedForItAndNobodyElse(t *testing.T) {
	closed := func(c <-chan struct{}) bool {
		select {
		case <-c:
			return true
		default:
			return false
		}
	}
	var c Change
	c.Notify() // nobody waits
	first, second := c.Waiting(), c.Waiting()
	assert.False(t, closed(first))
	c.Notify()
	assert.True(t, closed(first))
	assert.True(t, closed(second))
	assert.False(t, closed(c.Waiting()), "the next change is another one")
}
