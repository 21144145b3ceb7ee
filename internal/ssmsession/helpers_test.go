package ssmsession

import (
	"context"
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/assert"

	"runctl/internal/memnet"
)

// accepted is a data channel whose client has shown its token.
func accepted(t *testing.T, w http.ResponseWriter, r *http.Request) *websocket.Conn {
	ws, err := websocket.Accept(w, r, nil)
	if !assert.NoError(t, err) {
		panic(http.ErrAbortHandler)
	}
	_, text, err := ws.Read(r.Context())
	assert.NoError(t, err)
	var hello map[string]string
	assert.NoError(t, json.Unmarshal(text, &hello))
	assert.Equal(t, token, hello["TokenValue"])
	assert.Equal(t, "1.0", hello["MessageSchemaVersion"])
	assert.Len(t, hello["RequestId"], 36)
	assert.Len(t, hello["ClientId"], 36)
	return ws
}

// scripted is a session whose other side is played by a function.
func scripted(t *testing.T, play func(ctx context.Context, ws *websocket.Conn)) Session {
	t.Helper()
	tr := new(memnet.Net).Serve(t, "ssm.test", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ws := accepted(t, w, r)
		defer ws.CloseNow()
		play(r.Context(), ws)
	}))
	return Session{URL: "ws://ssm.test/v1/data-channel/me-0123", Token: token, Client: &http.Client{Transport: tr}}
}

// get is the next message of the client's stream, nil after its end.
func get(ctx context.Context, ws *websocket.Conn) *message {
	for {
		_, b, err := ws.Read(ctx)
		if err != nil {
			return nil
		}
		if m, err := decode(b); err == nil && m.kind == inputStream {
			return &m
		}
	}
}

// rest waits until the client has gone.
func rest(ctx context.Context, ws *websocket.Conn) {
	for get(ctx, ws) != nil {
	}
}

// begun begins the connection.
func begun(ws *websocket.Conn) {
	put(ws, message{kind: outputStream, typ: payloadHandshakeComplete, created: time.Now(), payload: []byte("{}")})
}

func put(ws *websocket.Conn, m message) {
	_ = ws.Write(context.Background(), websocket.MessageBinary, m.encode())
}
