package ssmsession

import (
	"context"
	"encoding/json"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestAnAgentIsToldWhatItsClientDoesNotDo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var said response
		_, err := Dial(t.Context(), scripted(t, func(ctx context.Context, ws *websocket.Conn) {
			h := handshake{RequestedClientActions: []action{{"SessionType", json.RawMessage(`{"SessionType":"Port"}`)}, {"KMSEncryption", nil}}}
			put(ws, message{kind: outputStream, typ: payloadHandshakeRequest, created: time.Now(), payload: marshal(h)})
			if m := get(ctx, ws); assert.NotNil(t, m) {
				assert.EqualValues(t, payloadHandshakeResponse, m.typ)
				assert.NoError(t, json.Unmarshal(m.payload, &said))
			}
			put(ws, message{kind: acknowledge, payload: marshal(receipt{Kind: inputStream})})
			rest(ctx, ws)
		}))
		require.ErrorContains(t, err, "KMSEncryption")
		require.Len(t, said.ProcessedClientActions, 2)
		assert.Equal(t, []int{actionSuccess, actionUnsupported}, []int{said.ProcessedClientActions[0].ActionStatus, said.ProcessedClientActions[1].ActionStatus})
		assert.Len(t, said.Errors, 1)
		assert.Equal(t, clientVersion, said.ClientVersion)
	})
}

func TestFlagsSayWhetherThePortIsThere(t *testing.T) {
	for f, says := range map[uint32]string{flagConnectToPortError: "does not listen", flagDisconnectToPort: ""} {
		synctest.Test(t, func(t *testing.T) {
			c, err := Dial(t.Context(), scripted(t, func(ctx context.Context, ws *websocket.Conn) {
				begun(ws)
				put(ws, message{kind: outputStream, seq: 1, typ: payloadFlag, created: time.Now(), payload: flag(f)})
				put(ws, message{kind: outputStream, seq: 2, typ: payloadOutput, created: time.Now(), payload: []byte("x")})
				rest(ctx, ws)
			}))
			require.NoError(t, err)
			_, err = c.Read(make([]byte, 1))
			if says == "" {
				assert.NoError(t, err)
			} else {
				assert.ErrorContains(t, err, says)
			}
			require.NoError(t, c.Close())
		})
	}
}

func TestTheFirstBytesBeginAConnectionToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		c, err := Dial(ctx, scripted(t, func(ctx context.Context, ws *websocket.Conn) {
			put(ws, message{kind: outputStream, typ: payloadOutput, created: time.Now(), payload: []byte("SSH-")})
			rest(ctx, ws)
		}))
		require.NoError(t, err)
		cancel() // bounds the call only
		synctest.Wait()
		b := make([]byte, 4)
		_, err = io.ReadFull(c, b)
		require.NoError(t, err)
		assert.Equal(t, "SSH-", string(b))
		require.NoError(t, c.Close())
	})
}

func TestCloseTellsTheAgentToEndTheSessionAndWaitsASecondForItAtMost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		flags := make(chan uint32, 64)
		c, err := Dial(t.Context(), scripted(t, func(ctx context.Context, ws *websocket.Conn) {
			begun(ws)
			for m := get(ctx, ws); m != nil; m = get(ctx, ws) { // acknowledges nothing
				flags <- flagOf(m.payload)
			}
		}))
		require.NoError(t, err)
		began := time.Now()
		require.NoError(t, c.Close())
		assert.Equal(t, goodbye, time.Since(began))
		assert.EqualValues(t, flagTerminateSession, <-flags)
		select {
		case <-c.ch.done:
		default:
			t.Error("something of it goes on")
		}
	})
}

func TestAChannelThatIsClosedInOrderIsAnEndAndNoError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, err := Dial(t.Context(), scripted(t, func(_ context.Context, ws *websocket.Conn) {
			begun(ws)
			_ = ws.Close(websocket.StatusNormalClosure, "")
		}))
		require.NoError(t, err)
		_, err = c.Read(make([]byte, 1))
		assert.Equal(t, io.EOF, err)
		require.NoError(t, c.Close())
	})
}
