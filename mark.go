package runctl

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base32"
	"encoding/binary"
	"strings"
	"sync"
	"time"
)

// Mark is the identity that every machine of ours carries from its launch call on. As a label it is at
// most 60 characters of a-z, 0-9 and '-', readable by colleagues and on bills:
//
//	rc1-OWNER-KEY-CCCLLLLDDDDSSSSSSS
//
// controller (15 bits), lifetime in minutes (20), digest of the request (20) and seal (35).
// The seal is a keyed hash of all the rest: it tells ours from a colleague's look-alike, and a label
// that a cloud cut short from a whole one.
type Mark struct {
	Owner      string        // at most 12 of a-z 0-9
	Key        string        // at most 24 of a-z 0-9 '-'
	Controller string        // 3 characters: which of the owner's clients launched it
	Lifetime   time.Duration // whole minutes, rounded up
	Digest     string        // 4 characters: of the request
}

const (
	maxOwner    = 12
	maxKey      = 24
	maxRunID    = 40
	labelPrefix = "rc1-"
	ctrlLen     = 3
	lifeLen     = 4
	digestLen   = 4
	sealLen     = 7
	tailLen     = ctrlLen + lifeLen + digestLen + sealLen
)

// MaxLifetime is the longest lifetime that a mark can hold, a little under two years.
const MaxLifetime = (1<<20 - 1) * time.Minute

const b32Letters = "abcdefghijklmnopqrstuvwxyz234567"

var b32 = base32.NewEncoding(b32Letters).WithPadding(base32.NoPadding)

// Label returns the mark as text, sealed with the owner's secret. The fields must be valid.
func (m Mark) Label(secret []byte) string {
	minutes := (m.Lifetime + time.Minute - 1) / time.Minute
	var n [8]byte
	binary.BigEndian.PutUint64(n[:], uint64(minutes)<<44) // the top 20 bits are 4 characters
	body := labelPrefix + m.Owner + "-" + m.Key + "-" + m.Controller + b32.EncodeToString(n[:])[:lifeLen] + m.Digest
	return body + seal(body, m.Owner, secret)
}

// ParseMark reads a label and checks its seal with each of the secrets in turn. It reports false for
// everything that is not whole, ours and sealed.
func ParseMark(label string, secrets ...[]byte) (Mark, bool) {
	m, ok := splitLabel(label)
	if !ok {
		return Mark{}, false
	}
	body, have := label[:len(label)-sealLen], label[len(label)-sealLen:]
	for _, s := range secrets {
		if hmac.Equal([]byte(have), []byte(seal(body, m.Owner, s))) {
			return m, true
		}
	}
	return Mark{}, false
}

// marks remembers which labels were checked: every listing shows the same ones again.
type marks struct {
	mu   sync.Mutex
	seen map[string]Mark // zero: not ours
}

const maxMarks = 16 << 10

func (ms *marks) parse(label string, secrets [][]byte) Mark {
	ms.mu.Lock()
	defer ms.mu.Unlock()
	m, ok := ms.seen[label]
	if ok {
		return m
	}
	if len(ms.seen) >= maxMarks || ms.seen == nil {
		ms.seen = map[string]Mark{}
	}
	m, _ = ParseMark(label, secrets...)
	ms.seen[label] = m
	return m
}

// splitLabel takes a label apart without checking its seal.
func splitLabel(label string) (Mark, bool) {
	rest, ok := strings.CutPrefix(label, labelPrefix)
	if !ok || len(label) > 60 {
		return Mark{}, false
	}
	owner, rest, ok := strings.Cut(rest, "-")
	cut := len(rest) - tailLen - 1
	if !ok || cut < 1 || rest[cut] != '-' || !validOwner(owner) || !validKey(rest[:cut], maxKey) {
		return Mark{}, false
	}
	key, tail := rest[:cut], rest[cut+1:]
	if strings.Trim(tail, b32Letters) != "" { // line ends, too, which the decoder would skip
		return Mark{}, false
	}
	life, err := b32.DecodeString(tail[ctrlLen:ctrlLen+lifeLen] + "aaaaaaaaa")
	if err != nil {
		return Mark{}, false
	}
	return Mark{
		Owner: owner, Key: key, Controller: tail[:ctrlLen],
		Lifetime: time.Duration(binary.BigEndian.Uint64(life)>>44) * time.Minute,
		Digest:   tail[ctrlLen+lifeLen : ctrlLen+lifeLen+digestLen],
	}, true
}

// seal hashes body with the secret. Without a secret the owner's name stands in: that still finds a
// label that was cut or mistyped, but whoever knows the rule can make one.
func seal(body, owner string, secret []byte) string {
	if len(secret) == 0 {
		secret = []byte("runctl owner " + owner)
	}
	h := hmac.New(sha256.New, secret)
	h.Write([]byte(body))
	return b32.EncodeToString(h.Sum(nil))[:sealLen]
}

// shortHash is the first n characters of the base32 hash of the parts, which are kept apart.
func shortHash(n int, parts ...string) string {
	h := sha256.New()
	for _, p := range parts {
		var l [8]byte
		binary.BigEndian.PutUint64(l[:], uint64(len(p)))
		h.Write(l[:])
		h.Write([]byte(p))
	}
	return b32.EncodeToString(h.Sum(nil))[:n]
}

func validOwner(s string) bool {
	return len(s) >= 1 && len(s) <= maxOwner && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789") == ""
}

// validKey reports whether s is a key of at most n characters: a-z, 0-9 and inner '-'.
func validKey(s string, n int) bool {
	return len(s) >= 1 && len(s) <= n && s[0] != '-' && s[len(s)-1] != '-' &&
		strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789-") == ""
}
