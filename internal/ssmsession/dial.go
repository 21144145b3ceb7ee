package ssmsession

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/coder/websocket"
)

// Session is what StartSession has returned.
type Session struct {
	URL, Token string // StreamUrl and TokenValue; the token is a secret
	// Client opens the websocket; its time-out does not bound the connection.
	Client *http.Client
}

// goodbye is how long Close waits for the other side to hear of it.
const goodbye = time.Second

// Dial connects to the port that the session is for. The context bounds the call only. No error has the token in it.
func Dial(ctx context.Context, s Session) (*Conn, error) {
	ws, reply, err := websocket.Dial(ctx, s.URL, &websocket.DialOptions{HTTPClient: s.Client})
	if err != nil {
		var at *url.Error
		switch {
		case ctx.Err() != nil:
			err = context.Cause(ctx)
		case reply != nil && reply.StatusCode != http.StatusSwitchingProtocols:
			err = fmt.Errorf("it answers with status %d", reply.StatusCode)
		case errors.As(err, &at):
			err = at.Err // without the address, which names the session
		}
		return nil, fmt.Errorf("the session's data channel cannot be opened: %w", err)
	}
	hello := opening{MessageSchemaVersion: "1.0", RequestId: uuid(newID()), TokenValue: s.Token, ClientId: uuid(newID()), ClientVersion: clientVersion}
	if err := ws.Write(ctx, websocket.MessageText, marshal(hello)); err != nil {
		_ = ws.CloseNow()
		return nil, fmt.Errorf("the session's data channel was cut at its beginning: %w", err)
	}
	near, far := net.Pipe()
	c := &Conn{Conn: near, far: far, ready: make(chan struct{})}
	c.ch = newChannel(context.WithoutCancel(ctx), ws, inputStream, c.take)
	context.AfterFunc(c.ch.ctx, func() { _ = far.Close() })
	go c.ch.run()
	select {
	case <-c.ready:
	case <-c.ch.ctx.Done():
		err = c.ch.cause()
		if err == io.EOF {
			err = errors.New("the session ended before it began")
		}
	case <-ctx.Done():
		err = fmt.Errorf("the machine's agent does not answer: %w", context.Cause(ctx))
	}
	select {
	case <-c.ready: // it may have begun and ended; then its end is what is read
		go c.pump()
		return c, nil
	default:
	}
	c.ch.stop(err)
	<-c.ch.done
	return nil, err
}

// Conn is a connection through a session. It is a [net.Conn] with all that belongs to it.
type Conn struct {
	net.Conn          // the caller's end of a pipe
	far      net.Conn // ours
	ch       *channel
	ready    chan struct{} // closed when the handshake is over
	once     sync.Once
	closing  sync.Once
}

// take is what the machine's stream brings.
func (c *Conn) take(ch *channel, m message) error {
	switch m.typ {
	case payloadHandshakeRequest:
		var h handshake
		if err := json.Unmarshal(m.payload, &h); err != nil {
			return fmt.Errorf("the agent's handshake cannot be read: %w", err)
		}
		answer, wrong := h.answer()
		if err := ch.send(ch.ctx, payloadHandshakeResponse, marshal(answer)); err != nil {
			return err
		}
		if wrong != nil { // the agent is to hear of it
			ctx, cancel := context.WithTimeout(ch.ctx, goodbye)
			defer cancel()
			ch.flushed(ctx)
		}
		return wrong
	case payloadHandshakeComplete:
		c.once.Do(func() { close(c.ready) })
	case payloadOutput:
		c.once.Do(func() { close(c.ready) })
		if _, err := c.far.Write(m.payload); err != nil {
			<-ch.ctx.Done() // the caller has closed it
			return ch.cause()
		}
	case payloadFlag:
		if flagOf(m.payload) == flagConnectToPortError {
			return errors.New("the machine does not listen on the port of the session")
		}
	}
	return nil
}

// pump sends what the caller writes, until the connection ends; then it says goodbye, and ends the channel.
func (c *Conn) pump() {
	b := make([]byte, pieceSize)
	var err error
	for err == nil {
		var n int
		if n, err = c.far.Read(b); n > 0 {
			if failed := c.ch.send(c.ch.ctx, payloadOutput, b[:n]); failed != nil {
				err = failed
			}
		}
	}
	ctx, cancel := context.WithTimeout(c.ch.ctx, goodbye)
	defer cancel()
	if c.ch.send(ctx, payloadFlag, flag(flagTerminateSession)) == nil {
		c.ch.flushed(ctx)
	}
	c.ch.stop(net.ErrClosed)
}

// Read reads what the machine has sent. After its end the error says why, where the other side did.
func (c *Conn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if err == io.EOF {
		if why := c.ch.cause(); why != nil {
			err = why
		}
	}
	return n, err
}

// Close ends the connection and with it the session. It waits a second at most for the machine to confirm that.
func (c *Conn) Close() error {
	c.closing.Do(func() {
		_ = c.Conn.Close()
		<-c.ch.done
	})
	return nil
}

// RemoteAddr says that the address is nobody's.
func (c *Conn) RemoteAddr() net.Addr { return addr{} }

// LocalAddr says that the address is nobody's.
func (c *Conn) LocalAddr() net.Addr { return addr{} }

type addr struct{}

func (addr) Network() string { return "ssm" }
func (addr) String() string  { return "ssm" }
