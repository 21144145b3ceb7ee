package torture

import (
	"encoding/json"
	"fmt"
	"os"
	"testing"
	"time"

	"runctl/ssh"
)

// plan is what the test tells its processes, in a file.
type plan struct {
	File    string // this
	Program string // the test's own binary, which is the controller and the job, too

	Seed  uint64
	Size  int64
	Pace  time.Duration // how long the job pauses, in all
	Again bool          // Start, even where there is a reference

	Hosts   ssh.Config
	Starts  string // a line for each start of the job
	Ref     string
	Log     string // as it was read
	Receipt string
}

const (
	roleEnv = "TORTURE_ROLE"
	planEnv = "TORTURE_PLAN"
)

func TestMain(m *testing.M) {
	role := os.Getenv(roleEnv)
	if role == "" {
		os.Exit(m.Run())
	}
	var p plan
	b, err := os.ReadFile(os.Getenv(planEnv))
	if err == nil {
		err = json.Unmarshal(b, &p)
	}
	switch {
	case err != nil:
	case role == "writer":
		os.Exit(write(p))
	default:
		err = control(p)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
