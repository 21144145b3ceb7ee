package ssmsession

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"
)

// What messages are called.
const (
	inputStream      = "input_stream_data"  // the client's stream
	outputStream     = "output_stream_data" // the machine's stream
	acknowledge      = "acknowledge"
	channelClosed    = "channel_closed"
	pausePublication = "pause_publication" // the other side is away: send nothing to it
	startPublication = "start_publication"
)

// What the payload of a stream message is.
const (
	payloadOutput            = 1 // bytes of the connection, in both directions
	payloadHandshakeRequest  = 5
	payloadHandshakeResponse = 6
	payloadHandshakeComplete = 7
	payloadFlag              = 10 // one of the flags, as four bytes
)

// Flags.
const (
	flagDisconnectToPort   = 1 // the client's connection has ended; the session goes on
	flagTerminateSession   = 2
	flagConnectToPortError = 3 // the machine does not listen there
)

// Bits of a message's flags.
const (
	bitSyn = 1
	bitFin = 2
)

// Where the parts of a message are. All numbers are big-endian. The header's length does not count that of the payload,
// which follows it, so that the payload begins four bytes behind the header.
const (
	atHeader  = 0   // uint32
	atKind    = 4   // 32 bytes, filled up with spaces or zeros
	atSchema  = 36  // uint32: 1
	atCreated = 40  // uint64: ms since 1970
	atSeq     = 48  // int64
	atFlags   = 56  // uint64
	atID      = 64  // a UUID, its last eight bytes first
	atDigest  = 80  // SHA-256 of the payload
	atType    = 112 // uint32
	atLength  = 116 // uint32
	atPayload = 120
)

// maxMessage is more than any message of an agent, whose payloads have 1024 bytes.
const maxMessage = 256 << 10

// message is one of a data channel.
type message struct {
	kind    string
	seq     int64
	flags   uint64
	id      [16]byte
	typ     uint32
	created time.Time
	payload []byte
}

func newID() (id [16]byte) {
	_, _ = rand.Read(id[:]) // never fails
	id[6], id[8] = id[6]&0x0f|0x40, id[8]&0x3f|0x80
	return id
}

// uuid writes an id with hyphens.
func uuid(id [16]byte) string {
	s := hex.EncodeToString(id[:])
	return s[:8] + "-" + s[8:12] + "-" + s[12:16] + "-" + s[16:20] + "-" + s[20:]
}

// encode makes a message's bytes. Its kind has at most 32.
func (m message) encode() []byte {
	b := make([]byte, atPayload, atPayload+len(m.payload))
	be := binary.BigEndian
	be.PutUint32(b[atHeader:], atLength)
	copy(b[atKind:atSchema], m.kind+strings.Repeat(" ", atSchema-atKind))
	be.PutUint32(b[atSchema:], 1)
	be.PutUint64(b[atCreated:], uint64(m.created.UnixMilli()))
	be.PutUint64(b[atSeq:], uint64(m.seq))
	be.PutUint64(b[atFlags:], m.flags)
	copy(b[atID:], m.id[8:])
	copy(b[atID+8:], m.id[:8])
	sum := sha256.Sum256(m.payload)
	copy(b[atDigest:], sum[:])
	be.PutUint32(b[atType:], m.typ)
	be.PutUint32(b[atLength:], uint32(len(m.payload)))
	return append(b, m.payload...)
}

// decode reads one message. One that is cut, or whose payload is not what its sum says, is refused. A longer header is
// taken, so that a later one may say more.
func decode(b []byte) (m message, err error) {
	be := binary.BigEndian
	if len(b) < atPayload {
		return m, fmt.Errorf("a message of %d bytes is cut", len(b))
	}
	header := uint64(be.Uint32(b[atHeader:]))
	if header < atLength || header+4 > uint64(len(b)) {
		return m, errors.New("the length of a message's header is wrong")
	}
	m.kind = string(bytes.Trim(b[atKind:atSchema], " \x00"))
	m.created = time.UnixMilli(int64(be.Uint64(b[atCreated:])))
	m.seq, m.flags, m.typ = int64(be.Uint64(b[atSeq:])), be.Uint64(b[atFlags:]), be.Uint32(b[atType:])
	copy(m.id[8:], b[atID:])
	copy(m.id[:8], b[atID+8:])
	m.payload = b[header+4:]
	if m.kind == pausePublication || m.kind == startPublication {
		return m, nil // the service makes them, and says nothing else in them
	}
	if n := be.Uint32(b[header:]); uint64(n) != uint64(len(m.payload)) {
		return m, fmt.Errorf("a message says that it has %d bytes, and has %d", n, len(m.payload))
	}
	if sum := sha256.Sum256(m.payload); len(m.payload) > 0 && !bytes.Equal(sum[:], b[atDigest:atType]) {
		return m, errors.New("a message arrived damaged: its sum is wrong")
	}
	if m.kind == "" || m.seq < 0 {
		return m, errors.New("a message has no kind, or a number below 0")
	}
	return m, nil
}
