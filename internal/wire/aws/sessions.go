package aws

import (
	"cmp"
	"context"
	"crypto/sha256"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// streamPath is where the data channels of sessions are.
const streamPath = "/v1/data-channel/"

// session is one of Session Manager, to a port of a machine.
type session struct {
	f                *Face
	id, token        string
	i                *instance
	port             string
	document, reason string
	began, ended     time.Time
	cancel           context.CancelFunc
	ctx              context.Context
}

// Agent is a machine's end of a session's data channel: it answers a request for a websocket, and connects what comes through
// it to the machine's port by dial, until either ends or the request's context does. token is what the client must show first.
type Agent func(w http.ResponseWriter, r *http.Request, token string, dial func(context.Context) (net.Conn, error))

// OnSession sets the agent. Without one, data channels are refused.
func (f *Face) OnSession(a Agent) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.agent = a
}

// end closes a session. The lock is held.
func (s *session) end() {
	if s.ended.IsZero() {
		s.ended = time.Now()
		s.cancel()
	}
}

// row is what StartSession and ResumeSession tell.
func (s *session) row(x *exchange) params {
	scheme := "wss"
	if x.r.TLS == nil {
		scheme = "ws"
	}
	sum := sha256.Sum256([]byte(s.id + s.f.opt.Secret + strconv.Itoa(s.f.serial)))
	s.token = fmt.Sprintf("AAEAA%x", sum)
	return params{"SessionId": s.id, "TokenValue": s.token, "StreamUrl": fmt.Sprintf("%s://%s%s%s?role=publish_subscribe", scheme, x.r.Host, streamPath, s.id)}
}

// startSession takes the documents that reach a port.
func (x *exchange) startSession() (params, *refusal) {
	f, now := x.f, time.Now()
	p, _ := x.in["Parameters"].(params)
	i := f.byID[x.in.str("Target")]
	document := x.in.str("DocumentName")
	port := first(p.strs("portNumber"))
	switch n, err := strconv.Atoi(cmp.Or(port, "22")); {
	case i == nil || !i.agent(now):
		return nil, bad("TargetNotConnected", "%s is not connected.", x.in.str("Target"))
	case document != "AWS-StartSSHSession" && document != "AWS-StartPortForwardingSession":
		return nil, bad("InvalidDocument", "the face does not have %q", document)
	case err != nil || n < 1 || n > 65535 || document == "AWS-StartPortForwardingSession" && port == "":
		return nil, bad("InvalidParameters", "portNumber is wrong")
	}
	s := &session{f: f, id: "tester-" + f.newID("s")[2:], i: i, port: cmp.Or(port, "22"), document: document, reason: x.in.str("Reason"), began: now}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	f.sessions = append(f.sessions, s)
	return s.row(x), nil
}

func (f *Face) session(id string) *session {
	for _, s := range f.sessions {
		if s.id == id {
			return s
		}
	}
	return nil
}

func (x *exchange) resumeSession() (params, *refusal) {
	s := x.f.session(x.in.str("SessionId"))
	if s == nil || !s.ended.IsZero() {
		return nil, bad("DoesNotExistException", "Session does not exist")
	}
	return s.row(x), nil
}

func (x *exchange) terminateSession() (params, *refusal) {
	id := x.in.str("SessionId")
	if s := x.f.session(id); s != nil {
		s.end()
	}
	return params{"SessionId": id}, nil
}

func (x *exchange) describeSessions() (params, *refusal) {
	rows := []params{}
	for _, s := range x.f.sessions {
		if active := s.ended.IsZero(); active != (x.in.str("State") == "Active") {
			continue
		}
		row := params{"SessionId": s.id, "Target": s.i.id, "Status": "Connected", "StartDate": s.began, "DocumentName": s.document, "Owner": "arn:aws:iam::" + account + ":user/tester"}
		if !s.ended.IsZero() {
			row["Status"], row["EndDate"] = "Terminated", s.ended
		}
		rows = append(rows, row)
	}
	return params{"Sessions": rows}, nil
}

// stream serves a session's data channel.
func (f *Face) stream(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	f.advance(time.Now())
	s, agent := f.session(strings.TrimPrefix(r.URL.Path, streamPath)), f.agent
	open := s != nil && agent != nil && s.ended.IsZero() && s.i.agent(time.Now())
	var token, addr string
	ctx, stop := context.WithCancel(r.Context())
	defer stop()
	if open {
		token, addr = s.token, net.JoinHostPort("127.0.0.1", s.port)
		if s.i.box != nil {
			addr = s.i.box.reach(s.port)
		}
		defer context.AfterFunc(s.ctx, stop)()
	}
	f.mu.Unlock()
	if !open {
		http.Error(w, "no such session", http.StatusNotFound)
		return
	}
	agent(w, r.WithContext(ctx), token, func(ctx context.Context) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "tcp", addr)
	})
}
