package job

import (
	"fmt"
	"regexp"
	"time"
)

// Berth is a container that is entered by SSH and takes jobs from there: its first process is a script which makes a
// host key, prints it as a HOST line (see [ReadNote]), runs sshd and the guard of its jobs, and never returns.
type Berth struct {
	Run string // what its START line names; as Spec.Run
	// Lifetime is how long the container may go on, EndBy the moment after which, by its clock, it has nothing left of
	// that; both are required. Keep is how long it may go on without a run; 0: it is not ended for that.
	Lifetime time.Duration
	EndBy    time.Time
	Keep     time.Duration
	Port     int    // of sshd; 0: 22
	End      string // as Vessel.End
}

// publicKey is a line of an authorized_keys file, without options.
var publicKey = regexp.MustCompile(`^[a-z0-9@.-]{1,64} [A-Za-z0-9+/]{16,1000}=*( [ -~]{0,200})?$`)

// ValidKey reports whether a line is a public key and nothing else, with no options before it.
func ValidKey(line string) bool { return publicKey.MatchString(line) }

// Script returns the text for /bin/sh -c. The environment of the container must have RUNCTL_NONCE, and in PUBLIC_KEY
// the key that is let in, which is valid by [ValidKey].
func (b Berth) Script() (string, error) {
	switch {
	case !validRun(b.Run):
		return "", &FieldError{"Run", "must be 1 to 64 of a-z, 0-9 and '-'"}
	case b.EndBy.IsZero():
		return "", &FieldError{"EndBy", "must be set"}
	case b.Lifetime <= 0 || b.Lifetime > maxDuration || b.Keep < 0 || b.Keep > maxDuration:
		return "", &FieldError{"Lifetime", "must be above 0, Keep not negative, both at most ten years"}
	case b.Port < 0 || b.Port > 65535:
		return "", &FieldError{"Port", "is none"}
	}
	port := b.Port
	if port == 0 {
		port = 22
	}
	set := settings{{"end_by", fmt.Sprint(b.EndBy.Unix())}, {"life", centis(b.Lifetime)}, {"keep", centis(b.Keep)},
		{"grace", centis(defaultGrace)}, {"durable", ""}, {"port", fmt.Sprint(port)}}
	return firstProcess("berth", b.Run, set, b.End, "", "76-berth.sh"), nil
}
