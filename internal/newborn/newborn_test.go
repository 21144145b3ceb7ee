package newborn_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"

	"runctl"
	"runctl/internal/newborn"
)

var gone = &runctl.Error{Kind: runctl.ErrNotFound, Msg: "VM not found"}

func TestNotToBeFoundProvesNothingForAMinuteAfterTheCreate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newborn.Set{Cloud: "Acme", What: "box"}
		assert.Equal(t, gone, s.Judge("a", gone), "one that this process did not create")
		s.Add("a")
		for range 59 {
			err := s.Judge("a", gone)
			assert.ErrorIs(t, err, runctl.ErrUnavailable)
			assert.NotErrorIs(t, err, runctl.ErrNotFound)
			assert.ErrorContains(t, err, "Acme does not know the box")
			assert.ErrorContains(t, err, "VM not found")
			<-time.After(time.Second)
		}
		<-time.After(time.Second)
		assert.Equal(t, gone, s.Judge("a", gone), "then it is gone")
	})
}

func TestOneThatWasReadIsNoNewbornAnyMore(t *testing.T) {
	s := newborn.Set{Cloud: "Acme", What: "box"}
	s.Add("a")
	s.Add("b")
	other := errors.New("reset")
	assert.Equal(t, other, s.Judge("a", other), "another error says nothing of it")
	assert.ErrorIs(t, s.Judge("a", gone), runctl.ErrUnavailable)
	assert.NoError(t, s.Judge("a", nil))
	assert.Equal(t, gone, s.Judge("a", gone))
	assert.ErrorIs(t, s.Judge("b", gone), runctl.ErrUnavailable)
}
