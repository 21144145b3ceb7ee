package ssmsession

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"time"
)

// opening is the text that a client begins a data channel with.
type opening struct {
	MessageSchemaVersion, RequestId, TokenValue, ClientId, ClientVersion string
}

// receipt is the payload of an acknowledgement.
type receipt struct {
	Kind       string `json:"AcknowledgedMessageType"`
	ID         string `json:"AcknowledgedMessageId"`
	Seq        int64  `json:"AcknowledgedMessageSequenceNumber"`
	Sequential bool   `json:"IsSequentialMessage"`
}

// handshake is what the agent wants done before the connection begins.
type handshake struct {
	AgentVersion           string
	RequestedClientActions []action
}

type action struct {
	ActionType       string
	ActionParameters json.RawMessage
}

// sessionType are the parameters of the action that every session has.
type sessionType struct {
	SessionType string
	Properties  json.RawMessage
}

// response is what became of it.
type response struct {
	ClientVersion          string
	ProcessedClientActions []processed
	Errors                 []string
}

type processed struct {
	ActionType   string
	ActionStatus int
	ActionResult json.RawMessage
	Error        string
}

// Values of ActionStatus.
const (
	actionSuccess     = 1
	actionFailed      = 2
	actionUnsupported = 3
)

// complete ends the handshake.
type complete struct {
	HandshakeTimeToComplete time.Duration
	CustomerMessage         string
}

// closed says that the session has ended, and perhaps why.
type closed struct {
	MessageType, MessageId, DestinationId, SessionId, CreatedDate string
	SchemaVersion                                                 int
	Output                                                        string
}

// clientVersion is that of the plugin whose conduct this is. An agent gives one above 1.1.70 that forwards ports of its own
// several connections in one session; for SSH there is one.
const clientVersion = "1.2.707.0"

// answer does what a handshake asks for. A client that cannot says so, and the agent ends the session.
func (h handshake) answer() (r response, err error) {
	r = response{ClientVersion: clientVersion, ProcessedClientActions: []processed{}, Errors: []string{}}
	for _, a := range h.RequestedClientActions {
		p := processed{ActionType: a.ActionType, ActionStatus: actionSuccess}
		var s sessionType
		switch {
		case a.ActionType != "SessionType":
			p.ActionStatus = actionUnsupported
			p.Error = fmt.Sprintf("the session wants %s, which is not supported", printable(a.ActionType))
		case json.Unmarshal(a.ActionParameters, &s) != nil || s.SessionType != "Port":
			p.ActionStatus = actionFailed
			p.Error = fmt.Sprintf("the session is of type %s, and must be Port", printable(s.SessionType))
		}
		if p.Error != "" {
			err = fmt.Errorf("%s", p.Error)
			r.Errors = append(r.Errors, p.Error)
		}
		r.ProcessedClientActions = append(r.ProcessedClientActions, p)
	}
	return r, err
}

// flag is the payload of one.
func flag(f uint32) []byte { return binary.BigEndian.AppendUint32(nil, f) }

func flagOf(payload []byte) uint32 {
	if len(payload) != 4 {
		return 0
	}
	return binary.BigEndian.Uint32(payload)
}

// marshal is the JSON of our own structs, which never fails.
func marshal(v any) []byte {
	b, _ := json.Marshal(v)
	return b
}

// printable makes one short line of what the other side said.
func printable(s string) string {
	if len(s) > 200 {
		s = s[:200] + "…"
	}
	return fmt.Sprintf("%q", s)
}
