package local

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"runctl"
)

// DefaultName is the Info.Name of a provider made without a name.
const DefaultName = "local"

// Config is what a [Provider] is made of. Every field may be empty.
type Config struct {
	// Dir is the state directory, made with mode 0700 at the first launch. Empty: $RUNCTL_STATE_DIR/local,
	// else $XDG_STATE_HOME/runctl/local, else ~/.local/state/runctl/local.
	Dir string
	// Name is the provider's Info.Name; empty: "local".
	Name string
}

// Provider runs jobs on this computer. It is made by [New], may be used concurrently, and holds no
// goroutine and no open file: the state directory is all there is.
type Provider struct {
	dir  string // absolute
	name string
	now  func() time.Time
	busy busy
}

// Factory makes the provider from RUNCTL_STATE_DIR, XDG_STATE_HOME and HOME.
var Factory = runctl.Factory{
	Name: DefaultName,
	Open: func(_ context.Context, get func(string) string) (runctl.Provider, error) {
		dir, err := stateDir(get)
		if err != nil {
			return nil, err
		}
		return New(Config{Dir: dir})
	},
}

// New checks the configuration. It makes no file and reads none. On a system that cannot run jobs the
// error is errors.ErrUnsupported.
func New(cfg Config) (*Provider, error) {
	if !supported {
		return nil, &runctl.Error{Op: "open", Kind: runctl.ErrInvalid, Err: errors.ErrUnsupported,
			Msg: "local runs jobs on Linux and macOS only, not on " + runtime.GOOS + "; use another provider"}
	}
	if cfg.Name == "" {
		cfg.Name = DefaultName
	}
	if cfg.Dir == "" {
		var err error
		if cfg.Dir, err = stateDir(os.Getenv); err != nil {
			return nil, err
		}
	}
	dir, err := filepath.Abs(cfg.Dir)
	if err != nil {
		return nil, invalid("Config.Dir: %v; give an absolute path", err)
	}
	return &Provider{dir: dir, name: cfg.Name, now: time.Now}, nil
}

// stateDir is the default of Config.Dir. As its specification says, XDG_STATE_HOME counts only when it
// is absolute.
func stateDir(get func(string) string) (string, error) {
	if d := get("RUNCTL_STATE_DIR"); d != "" {
		return filepath.Join(d, "local"), nil
	}
	if d := get("XDG_STATE_HOME"); filepath.IsAbs(d) {
		return filepath.Join(d, "runctl", "local"), nil
	}
	if d := get("HOME"); d != "" {
		return filepath.Join(d, ".local", "state", "runctl", "local"), nil
	}
	return "", invalid("no place for state: set RUNCTL_STATE_DIR or HOME")
}

// Info implements [runctl.Provider].
func (p *Provider) Info() runctl.Info {
	return runctl.Info{
		Name: p.name, Kind: "local", InPlace: true, EndsItself: true,
		Idempotent: true,                   // the token names the directory, and a rename decides
		Settle:     time.Nanosecond,        // a List sees a launch at once
		Poll:       200 * time.Millisecond, // a look costs a few small files
		Markets:    runctl.OnDemand, Credentials: "-",
	}
}

// invalid makes the error for a request that cannot work here. Nothing was started.
func invalid(format string, args ...any) *runctl.Error {
	return &runctl.Error{Kind: runctl.ErrInvalid, Scope: runctl.ScopeRequest, NotStarted: true, Msg: fmt.Sprintf(format, args...)}
}

var (
	_ runctl.Provider  = (*Provider)(nil)
	_ runctl.Connector = (*Provider)(nil)
)
