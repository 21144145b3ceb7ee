package ssmsession

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"time"

	"github.com/coder/websocket"
)

// Agent is a machine's end of sessions to a port. Its zero value is well; its fields are what can be wrong with it. What
// becomes of a message is drawn by the seed and the message's number alone.
type Agent struct {
	Seed                       uint64
	Lose, Twice, Late, Damaged float64 // of all messages, acknowledgements too, which part is lost, comes twice, after the next, damaged
	Pause                      bool    // it pauses the client for a while now and then
	Type                       string  // the session's; empty: Port
	Wants                      string  // another action of the handshake, such as KMSEncryption; empty: none
	Mute                       bool    // it never says anything
}

// Serve answers a request for a data channel, and connects it to what dial opens, until either ends, or the request's
// context does.
func (a *Agent) Serve(w http.ResponseWriter, r *http.Request, token string, dial func(context.Context) (net.Conn, error)) {
	ws, err := websocket.Accept(w, r, nil)
	if err != nil {
		return
	}
	defer ws.CloseNow()
	ctx := r.Context()
	kind, text, err := ws.Read(ctx)
	var hello opening
	if err != nil || kind != websocket.MessageText || json.Unmarshal(text, &hello) != nil || hello.TokenValue != token || hello.MessageSchemaVersion != "1.0" {
		_ = ws.Close(websocket.StatusPolicyViolation, "the token is wrong")
		return
	}
	if a.Mute {
		_, _, _ = ws.Read(ctx)
		return
	}
	a.connect(ctx, ws, dial)
}

func (a *Agent) connect(ctx context.Context, ws *websocket.Conn, dial func(context.Context) (net.Conn, error)) {
	port, err := dial(ctx)
	if err != nil {
		why := closed{MessageType: channelClosed, Output: "Unable to connect to specified port."}
		_ = ws.Write(ctx, websocket.MessageBinary, message{kind: channelClosed, id: newID(), created: time.Now(), payload: marshal(why)}.encode())
		_ = ws.Close(websocket.StatusNormalClosure, "")
		return
	}
	defer port.Close()
	begun := make(chan error, 1)
	c := newChannel(ctx, ws, outputStream, func(c *channel, m message) error {
		switch m.typ {
		case payloadHandshakeResponse:
			var r response
			err := json.Unmarshal(m.payload, &r)
			for _, p := range r.ProcessedClientActions {
				if p.ActionStatus != actionSuccess {
					err = errors.New(p.Error)
				}
			}
			begun <- err
		case payloadOutput:
			if _, err := port.Write(m.payload); err != nil {
				return io.EOF
			}
		case payloadFlag:
			return io.EOF
		}
		return nil
	})
	c.fate = a.fate()
	context.AfterFunc(c.ctx, func() { _ = port.Close() })
	go c.run()
	if err := a.greet(c, begun); err == nil {
		a.pump(c, port)
	}
	c.stop(io.EOF)
	<-c.done
}

func (a *Agent) greet(c *channel, begun chan error) error {
	typ := a.Type
	if typ == "" {
		typ = "Port"
	}
	h := handshake{AgentVersion: "3.3.3050.0", RequestedClientActions: []action{{"SessionType",
		marshal(sessionType{SessionType: typ, Properties: json.RawMessage(`{"portNumber":"22"}`)})}}}
	if a.Wants != "" {
		h.RequestedClientActions = append(h.RequestedClientActions, action{a.Wants, json.RawMessage("{}")})
	}
	if err := c.send(c.ctx, payloadHandshakeRequest, marshal(h)); err != nil {
		return err
	}
	select {
	case err := <-begun:
		if err != nil {
			return err
		}
	case <-c.ctx.Done():
		return c.cause()
	}
	return c.send(c.ctx, payloadHandshakeComplete, marshal(complete{HandshakeTimeToComplete: time.Millisecond}))
}

// pump sends what the port sends, and after its end says so.
func (a *Agent) pump(c *channel, port net.Conn) {
	b := make([]byte, pieceSize)
	for n := 1; ; n++ {
		size, err := port.Read(b)
		if size > 0 && c.send(c.ctx, payloadOutput, b[:size]) != nil {
			return
		}
		if a.Pause && n%64 == 0 {
			a.interrupt(c)
		}
		if err != nil {
			break
		}
	}
	ctx, cancel := context.WithTimeout(c.ctx, giveUp)
	defer cancel()
	c.flushed(ctx)
	_ = c.ws.Write(ctx, websocket.MessageBinary, message{kind: channelClosed, id: newID(), created: time.Now(), payload: marshal(closed{MessageType: channelClosed})}.encode())
}

// interrupt is what the service tells a client whose agent is away for a moment.
func (a *Agent) interrupt(c *channel) {
	for _, kind := range []string{pausePublication, startPublication} {
		_ = c.ws.Write(c.ctx, websocket.MessageBinary, message{kind: kind}.encode())
	}
}

// fate is what becomes of messages; nil: nothing does.
func (a *Agent) fate() func([]byte) [][]byte {
	if a.Lose+a.Twice+a.Late+a.Damaged == 0 {
		return nil
	}
	var n uint64
	var held []byte
	return func(b []byte) [][]byte {
		n++
		out := [][]byte{b}
		switch p := rand.New(rand.NewPCG(a.Seed, n)).Float64(); {
		case p < a.Lose:
			out = nil
		case p < a.Lose+a.Twice:
			out = append(out, b)
		case p < a.Lose+a.Twice+a.Late && held == nil:
			held = b
			return nil
		case p < a.Lose+a.Twice+a.Late+a.Damaged:
			bad := append([]byte(nil), b...)
			bad[len(bad)-1] ^= 1
			out = [][]byte{bad}
		}
		if held != nil {
			out, held = append(out, held), nil
		}
		return out
	}
}
