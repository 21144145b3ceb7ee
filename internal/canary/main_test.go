package canary

import (
	"os"
	"testing"

	"runctl"
	"runctl/examples/runctl/cli"
	"runctl/local"
	"runctl/ssh"
)

// asCommand makes this program the runctl command.
const asCommand = "RUNCTL_CANARY_COMMAND"

func TestMain(m *testing.M) {
	switch {
	case os.Getenv(asCommand) != "":
		var reg runctl.Registry
		for _, f := range []runctl.Factory{local.Factory, ssh.Factory, bearerFactory} {
			reg.Register(f)
		}
		cli.Main(&reg)
	case os.Getenv(crashing) != "":
		crash()
	default:
		os.Exit(m.Run())
	}
}
