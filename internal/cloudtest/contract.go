package cloudtest

import (
	"fmt"
	"os/exec"

	"runctl/internal/wire"
)

// Always injects faults that go on for ever.
func Always(f Face, faults ...wire.Fault) {
	for _, x := range faults {
		x.Times = -1
		f.Inject(x)
	}
}

// SSHDPath is where an sshd is: outside of PATH on most systems.
func SSHDPath() string {
	if path, err := exec.LookPath("sshd"); err == nil {
		return path
	}
	return "/usr/sbin/sshd"
}

// own are rows of the contract in which every reply that matters is the suite's, whatever cloud stands behind it.
var own = []string{"Wire/HugeReply", "Wire/Bomb", "Wire/OddReply", "Wire/Redirect", "Errors/Auth", "Errors/RateLimit", "Errors/RetryAfter", "Errors/NoSecrets", "Get/EmptyReply"}

// inside are rows about what goes on in a machine once it is entered. That it is entered, and a job is handed over and found again, are others.
var inside = []string{"Exec/Bytes", "Exec/Streams", "Exec/Arguments", "Exec/Cancel", "Exec/Concurrent", "Exec/Close",
	"Shell/Follow", "Shell/Cancel", "Shell/Download", "Shell/Upload", "Shell/UploadCut", "Shell/OutlivesConnection", "Shell/OwnRuns"}

// Variant are the rows that another mood of the same cloud cannot change, for a harness's Skip: they are looked at in
// TestContract. more is what else it cannot change.
func Variant(more ...string) map[string]string {
	skip := map[string]string{}
	for why, rows := range map[string][]string{"the replies are the suite's own": own, "it is about what is within a machine": inside, "it is the same there": more} {
		for _, row := range rows {
			skip[row] = fmt.Sprintf("%s: see TestContract", why)
		}
	}
	return skip
}
