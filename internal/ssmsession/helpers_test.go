package ssmsession

import (
	"context"
	"encoding/json"
	"net/http"
	"testing"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/assert"
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

func put(ws *websocket.Conn, m message) {
	_ = ws.Write(context.Background(), websocket.MessageBinary, m.encode())
}
