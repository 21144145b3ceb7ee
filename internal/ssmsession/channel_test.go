package ssmsession

import (
	"context"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// idle is a channel that nobody serves: a test sees what it would write.
func idle(sent int) *channel {
	c := &channel{stream: inputStream, wake: make(chan struct{}, 1), room: make(chan struct{}), came: make(chan struct{}, 1), early: map[int64]message{}}
	for n := range int64(sent) {
		c.sent = append(c.sent, &pending{seq: n, bytes: message{kind: inputStream, seq: n, typ: payloadOutput}.encode()})
	}
	c.next = int64(sent)
	return c
}

// written are the numbers of the stream messages that are written now.
func written(t *testing.T, c *channel) (seqs []int64, wait time.Duration) {
	t.Helper()
	batch, wait, err := c.due(time.Now())
	require.NoError(t, err)
	for _, b := range batch {
		m, err := decode(b)
		require.NoError(t, err)
		if m.kind == c.stream {
			seqs = append(seqs, m.seq)
		}
	}
	return seqs, wait
}

func acknowledgement(kind string, seq int64) message {
	return message{kind: acknowledge, payload: marshal(receipt{Kind: kind, Seq: seq})}
}

func TestAMessageIsSentAgainEverMoreRarelyUntilItIsAcknowledged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := idle(1)
		began := time.Now()
		var at []time.Duration
		for len(at) < 8 {
			seqs, wait := written(t, c)
			if len(seqs) > 0 {
				at = append(at, time.Since(began))
			}
			<-time.After(max(wait, time.Millisecond))
		}
		const ms = time.Millisecond
		assert.Equal(t, []time.Duration{0, 500 * ms, 1500 * ms, 3500 * ms, 7500 * ms, 12500 * ms, 17500 * ms, 22500 * ms}, at)
		c.handle(acknowledgement(inputStream, 0))
		<-time.After(time.Minute)
		seqs, _ := written(t, c)
		assert.Empty(t, seqs)
		assert.Zero(t, c.rtt, "of what was sent twice nobody knows which of them arrived")
	})
}

func TestOnlyAFewAreSentAgainAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := idle(100)
		seqs, _ := written(t, c)
		assert.Len(t, seqs, 100, "the first time all of them")
		<-time.After(firstRTO)
		seqs, wait := written(t, c)
		assert.Len(t, seqs, tries)
		assert.Equal(t, time.Millisecond, wait, "the others follow")
	})
}

func TestTheRoundTripIsMeasuredAndBoundsHowSoonAMessageIsSentAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := idle(1)
		assert.Equal(t, firstRTO, c.rto())
		_, _ = written(t, c)
		<-time.After(100 * time.Millisecond)
		c.handle(acknowledgement(inputStream, 0))
		assert.Equal(t, 300*time.Millisecond, c.rto())
		c.rtt, c.dev = time.Millisecond, 0
		assert.Equal(t, minRTO, c.rto())
		c.rtt = time.Minute
		assert.Equal(t, maxRTO, c.rto())
	})
}

func TestAnAcknowledgementCountsForWhatWasSentAlone(t *testing.T) {
	c := idle(2)
	c.sent[1].first = time.Now()
	for what, m := range map[string]message{"of the other stream": acknowledgement(outputStream, 1), "of what was not sent yet": acknowledgement(inputStream, 0),
		"of nothing": acknowledgement(inputStream, 7), "that cannot be read": {kind: acknowledge, payload: []byte("{")}} {
		c.handle(m)
		assert.Len(t, c.sent, 2, what)
	}
	room := c.room
	c.handle(acknowledgement(inputStream, 1))
	require.Len(t, c.sent, 1)
	assert.Zero(t, c.sent[0].seq)
	<-room // whoever waits for room goes on
}

func TestWhatComesTwiceIsAcknowledgedTwiceAndTakenOnce(t *testing.T) {
	c := idle(0)
	m := message{kind: outputStream, typ: payloadOutput, payload: []byte("x")}
	for n := range 3 {
		c.handle(m)
		require.Len(t, c.acks, n+1, "the acknowledgement may have been lost")
		ack, err := decode(c.acks[n])
		require.NoError(t, err)
		assert.JSONEq(t, `{"AcknowledgedMessageType":"output_stream_data","AcknowledgedMessageId":"`+uuid(m.id)+`","AcknowledgedMessageSequenceNumber":0,"IsSequentialMessage":true}`, string(ack.payload))
	}
	assert.Len(t, c.ready, 1)
	c.handle(message{kind: inputStream, typ: payloadOutput, seq: 1})
	assert.Len(t, c.ready, 1, "our own kind of message is none of theirs")
}

func TestWhatThereIsNoRoomForIsNotAcknowledgedAndComesAgain(t *testing.T) {
	c := idle(0)
	c.handle(message{kind: outputStream, typ: payloadOutput, seq: maxEarly + 1})
	assert.Empty(t, c.early)
	c.handle(message{kind: outputStream, typ: payloadOutput, seq: maxEarly})
	assert.Len(t, c.early, 1)
	c.unread = maxUnread
	c.handle(message{kind: outputStream, typ: payloadOutput, seq: 0})
	assert.Empty(t, c.ready)
	assert.Len(t, c.acks, 1)
}

func TestATimeInWhichTheOtherSideIsAwayDoesNotCount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := idle(1)
		seqs, _ := written(t, c)
		require.Len(t, seqs, 1)
		c.handle(message{kind: outputStream, typ: payloadOutput, payload: []byte("x")})
		c.handle(message{kind: pausePublication})
		for range 3 {
			batch, wait, err := c.due(time.Now())
			require.NoError(t, err)
			assert.LessOrEqual(t, len(batch), 1, "but for acknowledgements, nothing")
			assert.GreaterOrEqual(t, wait, time.Minute)
			<-time.After(giveUp)
		}
		select {
		case <-c.wake:
		default:
		}
		c.handle(message{kind: startPublication})
		assert.Len(t, c.wake, 1, "there is something to write")
		seqs, _ = written(t, c)
		assert.Equal(t, []int64{0}, seqs, "it is not given up, and comes at once")
		<-time.After(time.Second)
		c.handle(acknowledgement(inputStream, 0))
		assert.Zero(t, c.rtt, "which of the two arrived is not known")
		c.handle(message{kind: pausePublication})
		c.handle(message{kind: outputStream, typ: payloadOutput, seq: 1})
		assert.False(t, c.paused, "whoever says anything is there")
	})
}

func TestTheFirstReasonForAnEndCountsAndNothingIsWrittenAfterIt(t *testing.T) {
	c := idle(1)
	c.handle(message{kind: channelClosed, payload: marshal(closed{Output: "an idle session"})})
	c.handle(message{kind: channelClosed, payload: []byte("{}")})
	assert.ErrorContains(t, c.end, `"an idle session"`)
	seqs, wait := written(t, c)
	assert.Empty(t, seqs)
	assert.Equal(t, time.Hour, wait)
}

func TestWhoSendsTooMuchWaitsUntilSomethingIsAcknowledgedOrTheCallerLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := idle(window)
		c.sent[0].first = time.Now()
		c.ctx = t.Context()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		assert.ErrorIs(t, c.send(ctx, payloadOutput, []byte("x")), context.DeadlineExceeded)
		assert.Len(t, c.sent, window)
		done := make(chan error)
		go func() { done <- c.send(t.Context(), payloadOutput, []byte("x")) }()
		synctest.Wait()
		c.handle(acknowledgement(inputStream, 0))
		assert.NoError(t, <-done)
		assert.Len(t, c.sent, window)
	})
}

func TestWhatWasTakenMakesRoomForMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := idle(0)
		ctx, stop := context.WithCancelCause(t.Context())
		c.ctx = ctx
		c.take = func(message) error { return nil }
		ended := make(chan error)
		go func() { ended <- c.deliver() }()
		c.handle(message{kind: outputStream, typ: payloadOutput, payload: []byte("hello")})
		synctest.Wait()
		assert.Zero(t, c.unread)
		stop(io.ErrClosedPipe)
		assert.ErrorIs(t, <-ended, io.ErrClosedPipe)
	})
}
