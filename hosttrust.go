package runctl

// HostTrust says why the key that a machine showed is believed to be that machine's. To believe any key is not
// among the grades.
type HostTrust uint8

// The grades, from the weakest.
const (
	TrustNone       HostTrust = iota // not told, or there is no host key, as on this computer
	TrustFirstUse                    // the first key seen was pinned; nobody vouches for the first time
	TrustChallenged                  // the machine proved that it holds what only its launch was told
	TrustRead                        // the key was known before: from the cloud, a known_hosts file or a reference
)

var hostTrustNames = [...]string{"none", "first-use", "challenged", "read"}

// String returns the grade's word.
func (t HostTrust) String() string {
	if int(t) < len(hostTrustNames) {
		return hostTrustNames[t]
	}
	return hostTrustNames[0]
}

// MarshalText returns the grade's word.
func (t HostTrust) MarshalText() ([]byte, error) { return []byte(t.String()), nil }

// UnmarshalText reads the grade's word; an unknown one is TrustNone.
func (t *HostTrust) UnmarshalText(b []byte) error {
	*t = TrustNone
	for i, n := range hostTrustNames {
		if n == string(b) {
			*t = HostTrust(i)
		}
	}
	return nil
}

// Hosted is implemented by a [Machine] that is reached over a network and showed a host key.
type Hosted interface {
	// HostKey returns the fingerprint, "SHA256:…", of the key that was believed, and why.
	HostKey() (fingerprint string, trust HostTrust)
}
