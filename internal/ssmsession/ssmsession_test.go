package ssmsession

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"
	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"runctl/internal/memnet"
)

const token = "AAEAAtheToken"

// world is an agent whose port is served by a function.
type world struct {
	session Session
	ended   chan struct{} // closed when the agent's first session has
}

func newWorld(t *testing.T, a *Agent, port func(net.Conn)) *world {
	w := &world{ended: make(chan struct{}, 16)}
	tr := new(memnet.Net).Serve(t, "ssm.test", http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		a.Serve(rw, r, token, func(context.Context) (net.Conn, error) {
			if port == nil {
				return nil, errors.New("refused")
			}
			near, far := net.Pipe()
			go port(far)
			return near, nil
		})
		w.ended <- struct{}{}
	}))
	w.session = Session{URL: "ws://ssm.test/v1/data-channel/me-0123?role=publish_subscribe", Token: token, Client: &http.Client{Transport: tr}}
	return w
}

// echo sends all back, until it is closed.
func echo(c net.Conn) {
	defer c.Close()
	_, _ = io.Copy(c, c)
}

// noise is n bytes that the seed makes.
func noise(seed uint64, n int) []byte {
	r := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8)})
	b := make([]byte, n)
	_, _ = r.Read(b)
	return b
}

func TestBytesComeBackWholeAndInOrderWhateverTheChannelDoesToMessages(t *testing.T) {
	seed := uint64(time.Now().UnixNano() % 65536)
	if s := os.Getenv("RUNCTL_SEED"); s != "" {
		_, _ = fmt.Sscan(s, &seed)
	}
	for name, agent := range map[string]Agent{
		"a good channel":  {},
		"lost":            {Lose: 0.1},
		"twice":           {Twice: 0.3},
		"late":            {Late: 0.3},
		"damaged":         {Damaged: 0.1},
		"paused":          {Pause: true},
		"all at once":     {Lose: 0.05, Twice: 0.1, Late: 0.1, Damaged: 0.05, Pause: true},
		"half of it lost": {Lose: 0.5},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				t.Log("seed", seed)
				agent.Seed = seed
				w := newWorld(t, &agent, echo)
				c, err := Dial(t.Context(), w.session)
				require.NoError(t, err)
				want := noise(seed, 300_000)
				go func() { _, _ = c.Write(want) }()
				got := make([]byte, len(want))
				_, err = io.ReadFull(c, got)
				require.NoError(t, err)
				assert.True(t, bytes.Equal(want, got), "what came back is something else")
				c.ch.mu.Lock()
				assert.Empty(t, c.ch.early, "what came twice is not kept")
				c.ch.mu.Unlock()
				require.NoError(t, c.Close())
				<-w.ended
			})
		})
	}
}

func TestTheEndOfTheMachinesSideComesAfterAllThatItSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		want := noise(1, 100_000)
		w := newWorld(t, &Agent{Seed: 7, Lose: 0.2}, func(c net.Conn) {
			_, _ = c.Write(want)
			_ = c.Close()
		})
		c, err := Dial(t.Context(), w.session)
		require.NoError(t, err)
		<-time.After(3 * time.Minute) // the reader is slow
		got, err := io.ReadAll(c)
		require.NoError(t, err)
		assert.True(t, bytes.Equal(want, got), "%d of %d bytes", len(got), len(want))
		require.NoError(t, c.Close())
	})
}

// nowhere is a network without anybody.
type nowhere struct{}

func (nowhere) RoundTrip(*http.Request) (*http.Response, error) { return nil, errors.New("no route") }

func TestWhatCannotBeConnectedIsSaidInOneErrorWithoutTheToken(t *testing.T) {
	for name, c := range map[string]struct {
		agent   Agent
		port    func(net.Conn)
		token   string
		path    string
		says    string
		expires bool
	}{
		"nobody listens on the port":       {says: "Unable to connect to specified port"},
		"another type of session":          {agent: Agent{Type: "Standard_Stream"}, port: echo, says: "Standard_Stream"},
		"encryption with a key of its own": {agent: Agent{Wants: "KMSEncryption"}, port: echo, says: "KMSEncryption"},
		"a wrong token":                    {port: echo, token: "another", says: "cut"},
		"an agent that says nothing":       {agent: Agent{Mute: true}, port: echo, says: "does not answer", expires: true},
		"no data channel":                  {port: echo, path: "/gone", says: "status 404"},
		"nobody at the address":            {port: echo, path: "/nowhere", says: "cannot be opened"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, &c.agent, c.port)
				if c.token != "" {
					w.session.Token = c.token
				}
				switch c.path {
				case "/gone":
					w.session.Client = &http.Client{Transport: new(memnet.Net).Serve(t, "ssm.test", http.NotFoundHandler())}
				case "/nowhere":
					w.session.Client = &http.Client{Transport: nowhere{}}
				}
				ctx, cancel := context.WithTimeout(t.Context(), 15*time.Second)
				defer cancel()
				_, err := Dial(ctx, w.session)
				require.ErrorContains(t, err, c.says)
				assert.NotContains(t, err.Error(), token)
				assert.NotContains(t, err.Error(), "me-0123", "nor with the session's name")
				assert.Equal(t, c.expires, errors.Is(err, context.DeadlineExceeded))
			})
		})
	}
}

func TestAnAgentThatIsGoneIsNoticedAndCloseDoesNotHang(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, &Agent{}, echo)
		base := w.session.Client.Transport.(*http.Transport)
		var wire net.Conn
		base.DialContext = func(dial func(context.Context, string, string) (net.Conn, error)) func(context.Context, string, string) (net.Conn, error) {
			return func(ctx context.Context, network, addr string) (net.Conn, error) {
				c, err := dial(ctx, network, addr)
				wire = c
				return c, err
			}
		}(base.DialContext)
		c, err := Dial(t.Context(), w.session)
		require.NoError(t, err)
		require.NoError(t, wire.Close())
		_, err = c.Read(make([]byte, 1))
		assert.ErrorContains(t, err, "cut")
		began := time.Now()
		require.NoError(t, c.Close())
		require.NoError(t, c.Close(), "twice is once")
		assert.LessOrEqual(t, time.Since(began), goodbye)
	})
}

func TestAnAgentThatAcknowledgesNothingIsGivenUpAfterAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, err := Dial(t.Context(), scripted(t, func(ctx context.Context, ws *websocket.Conn) {
			begun(ws)
			rest(ctx, ws)
		}))
		require.NoError(t, err)
		_, err = c.Write([]byte("hello"))
		require.NoError(t, err)
		began := time.Now()
		_, err = c.Read(make([]byte, 1))
		assert.ErrorContains(t, err, "acknowledged nothing")
		assert.InDelta(t, giveUp.Seconds(), time.Since(began).Seconds(), maxRTO.Seconds())
		_ = c.Close()
	})
}

func TestNothingIsSentToAnAgentThatIsAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		got := make(chan message, 64)
		resume := make(chan bool)
		c, err := Dial(t.Context(), scripted(t, func(ctx context.Context, ws *websocket.Conn) {
			begun(ws)
			put(ws, message{kind: pausePublication})
			go func() {
				for m := get(ctx, ws); m != nil; m = get(ctx, ws) {
					got <- *m
				}
			}()
			<-resume
			put(ws, message{kind: startPublication})
			<-resume
		}))
		require.NoError(t, err)
		synctest.Wait()
		_, err = c.Write([]byte("hello"))
		require.NoError(t, err)
		<-time.After(10 * time.Minute)
		assert.Empty(t, got)
		resume <- true
		assert.Equal(t, "hello", string((<-got).payload))
		go func() { resume <- true }()
		_ = c.Close()
	})
}

func TestAMessageHasTheLayoutThatAgentsHave(t *testing.T) {
	id := [16]byte{0xdd, 0x01, 0xe5, 0x6b, 0xff, 0x48, 0x48, 0x3e, 0xa5, 0x08, 0xb5, 0xf0, 0x73, 0xf3, 0x1b, 0x16}
	m := message{kind: inputStream, seq: 2, flags: 3, id: id, typ: payloadOutput, created: time.UnixMilli(1503434274948), payload: []byte("payload")}
	want := "00000074" + hex.EncodeToString([]byte("input_stream_data               ")) + "00000001" + "0000015e0baa7884" + "0000000000000002" + "0000000000000003" +
		"a508b5f073f31b16dd01e56bff48483e" + "239f59ed55e737c77147cf55ad0c1b030b6d7ee748a7426952f9b852d5a935e5" + "00000001" + "00000007" + hex.EncodeToString([]byte("payload"))
	assert.Equal(t, want, hex.EncodeToString(m.encode()))
	assert.Equal(t, "dd01e56b-ff48-483e-a508-b5f073f31b16", uuid(id))
	back, err := decode(m.encode())
	require.NoError(t, err)
	assert.Empty(t, cmp.Diff(m, back, cmp.AllowUnexported(message{})))
	longer := append([]byte(nil), m.encode()...)
	longer = append(longer[:atLength:atLength], append([]byte{1, 2, 3, 4}, longer[atLength:]...)...)
	longer[3] = atLength + 4
	back, err = decode(longer)
	require.NoError(t, err, "a longer header is read over")
	assert.Equal(t, "payload", string(back.payload))
}

func TestMessagesThatAreCutOrDamagedAreRefused(t *testing.T) {
	good := message{kind: inputStream, payload: []byte("payload"), created: time.Now()}.encode()
	for name, change := range map[string]func([]byte) []byte{
		"cut":            func(b []byte) []byte { return b[:len(b)-1] },
		"only a header":  func(b []byte) []byte { return b[:atPayload-1] },
		"more":           func(b []byte) []byte { return append(b, 'x') },
		"another byte":   func(b []byte) []byte { b[len(b)-1]++; return b },
		"header too big": func(b []byte) []byte { b[0] = 0xff; return b },
		"header small":   func(b []byte) []byte { b[3] = 4; return b },
		"a pause with a header that is small": func(b []byte) []byte {
			copy(b[atKind:atSchema], pausePublication+strings.Repeat(" ", 32))
			b[3] = 4
			return b
		},
		"without its payload": func(b []byte) []byte { return b[:atPayload] },
		"no kind":             func(b []byte) []byte { copy(b[atKind:], strings.Repeat(" ", 32)); return b },
		"below zero":          func(b []byte) []byte { b[atSeq] = 0xff; return b },
	} {
		_, err := decode(change(append([]byte(nil), good...)))
		assert.Error(t, err, name)
	}
}

func TestWhatAServiceSaysOfAPauseAndHowItFillsUpAKindIsTaken(t *testing.T) {
	b := message{kind: pausePublication}.encode()
	b[atLength+3], b[atDigest] = 9, 0xff
	m, err := decode(b)
	require.NoError(t, err)
	assert.Equal(t, pausePublication, m.kind)
	b = message{kind: acknowledge, payload: []byte("{}")}.encode()
	copy(b[atKind:atSchema], append([]byte(acknowledge), make([]byte, 32)...))
	m, err = decode(b)
	require.NoError(t, err)
	assert.Equal(t, acknowledge, m.kind)
	assert.Less(t, len(printable(strings.Repeat("x", 1000))), 300)
}

func FuzzDecode(f *testing.F) {
	f.Add(message{kind: outputStream, payload: []byte("x"), created: time.Now()}.encode())
	f.Add(message{kind: pausePublication}.encode())
	f.Add(bytes.Repeat([]byte{0xff}, 130))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := decode(b)
		if err != nil || len(m.kind) > 32 || strings.ContainsAny(m.kind, " \x00") {
			return
		}
		again, err := decode(m.encode())
		require.NoError(t, err)
		assert.Empty(t, cmp.Diff(m.payload, again.payload))
		assert.Equal(t, m.kind, again.kind)
		assert.Equal(t, m.seq, again.seq)
	})
}

func FuzzHandle(f *testing.F) {
	f.Add([]byte(`{"AcknowledgedMessageType":"input_stream_data","AcknowledgedMessageSequenceNumber":0}`), int64(0), byte(0))
	f.Add([]byte(`{"AgentVersion":"3","RequestedClientActions":[{"ActionType":"SessionType","ActionParameters":{"SessionType":"Port"}}]}`), int64(0), byte(1))
	f.Add([]byte(`{"Output":"over"}`), int64(9), byte(2))
	f.Fuzz(func(t *testing.T, payload []byte, seq int64, kind byte) {
		c := &channel{stream: inputStream, wake: make(chan struct{}, 1), room: make(chan struct{}), came: make(chan struct{}, 1), early: map[int64]message{},
			sent: []*pending{{seq: 0, first: time.Now()}}}
		kinds := []string{acknowledge, outputStream, channelClosed, pausePublication, startPublication, inputStream, "agent_session_state"}
		if seq < 0 { // decode lets none through
			seq = -(seq + 1)
		}
		c.handle(message{kind: kinds[int(kind)%len(kinds)], seq: seq, payload: payload})
		_, _, _ = c.due(time.Now())
		assert.LessOrEqual(t, len(c.early), 1)
	})
}
