package runctl

import (
	"encoding/base64"
	"fmt"
	"strings"
	"sync"
)

// pin is what is remembered of a machine's host key.
type pin struct {
	key   string    // its fingerprint; empty: never met, or there is none
	trust HostTrust // why it was believed when it was first seen
}

// pins remembers the host key of every machine that was met, and those that references name. They outlive
// connections, so that each later one must show the same key.
type pins struct {
	mu   sync.Mutex
	byID map[string]pin
}

func (ps *pins) of(id string) pin {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	return ps.byID[id]
}

func (ps *pins) forget(id string) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	delete(ps.byID, id)
}

// learn takes note of a key. The first one stays, and so does its grade, unless the machine has proved itself
// since: a key that nobody vouched for is not better for having been seen twice.
func (ps *pins) learn(id string, seen pin) (known pin, same bool) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	known = ps.byID[id]
	switch {
	case known.key == "" && seen.key != "":
		if ps.byID == nil {
			ps.byID = map[string]pin{}
		}
		ps.byID[id] = seen
	case known.key == seen.key && seen.trust == TrustChallenged && known.trust < TrustChallenged:
		ps.byID[id] = seen
	}
	return known, known.key == "" || known.key == seen.key
}

// pinned takes the host key out of a reference. A reference that names another key than the machine is known by
// is ErrHostKey.
func (c *Client) pinned(a *account, i Instance, ref Ref) error {
	if ref.HostKey == "" {
		return nil
	}
	named := pin{key: ref.HostKey, trust: TrustRead}
	if ref.FirstUse {
		named.trust = TrustFirstUse
	}
	if known, same := a.pins.learn(i.ID, named); !same {
		return hostKeyError(a, i, known.key, "the reference names "+ref.HostKey)
	}
	return nil
}

// met checks the key that a machine has just shown against what it was known by.
func (c *Client) met(a *account, i Instance, m Machine) error {
	var shown pin
	if h, ok := m.(Hosted); ok {
		shown.key, shown.trust = h.HostKey()
		if shown.key != "" && !validHostKey(shown.key) {
			return &Error{Kind: ErrUnavailable, Msg: fmt.Sprintf("the machine's host key came as %q, which is no fingerprint", clip(oneLine(shown.key), 80))}
		}
	}
	if known, same := a.pins.learn(i.ID, shown); !same {
		now := "it shows " + shown.key
		if shown.key == "" {
			now = "it shows none"
		}
		return hostKeyError(a, i, known.key, now)
	}
	return nil
}

func hostKeyError(a *account, i Instance, known, now string) error {
	return &Error{Provider: a.info.Name, Op: "connect", ID: i.ID, Key: i.Mark.Key, Kind: ErrHostKey, Scope: ScopeRequest,
		Err: fmt.Errorf("the machine was known by host key %s, and now %s; nothing was sent to it. Somebody may stand in between: "+
			"find out why before you go on; if the change is meant, take the key out of the reference", known, now)}
}

// mayHaveSecrets refuses to send secrets to a machine whose host key nobody vouches for.
func (c *Client) mayHaveSecrets(a *account, i Instance, j Job) error {
	p := a.pins.of(i.ID)
	what := "Job.Secrets"
	if len(j.Secrets) == 0 {
		what = j.carries() // its addresses are secrets too
	}
	if what == "" || j.SecretsOnFirstUse || p.key == "" || p.trust > TrustFirstUse {
		return nil
	}
	return &Error{Provider: a.info.Name, Op: "submit", ID: i.ID, Key: i.Mark.Key, Kind: ErrInvalid, Scope: ScopeRequest,
		Msg: fmt.Sprintf("%s: the machine's host key %s was seen for the first time and nobody vouches for it, so no secret was sent; "+
			"allow that with Job.SecretsOnFirstUse, or leave the secrets out", what, p.key)}
}

// HostTrust says why the host key of the run's machine is believed: as it was when the key was first seen, here or
// by whoever made the reference. TrustNone until the machine was met, and where there is no such key.
func (r *Run) HostTrust() HostTrust { return r.a.pins.of(r.Instance().ID).trust }

const hostKeyPrefix = "SHA256:"

// validHostKey reports whether s is a fingerprint as OpenSSH prints it.
func validHostKey(s string) bool {
	digits, ok := strings.CutPrefix(s, hostKeyPrefix)
	sum, err := base64.RawStdEncoding.Strict().DecodeString(digits)
	return ok && err == nil && len(sum) == 32 && len(digits) == 43 // the decoder skips line ends
}
