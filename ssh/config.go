package ssh

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strings"
	"time"

	"runctl"
)

// DefaultName is the Info.Name of a provider made without a name.
const DefaultName = "ssh"

// Settings that the Factory reads, beside HOME, USER, SSH_AUTH_SOCK and what OpenSSH's configuration refers to.
const (
	hostsEnv    = "RUNCTL_SSH_HOSTS"     // names, or user@host:port, split by commas
	fileEnv     = "RUNCTL_SSH_FILE"      // the file of hosts
	configEnv   = "RUNCTL_SSH_CONFIG"    // in place of ~/.ssh/config and the system's
	firstUseEnv = "RUNCTL_SSH_FIRST_USE" // "yes"
)

// Host is one machine.
type Host struct {
	// Name is a name of OpenSSH's configuration, a host name, or user@host:port. It is in ids: a machine under two
	// names is two machines, and List refuses that.
	Name string
	// Price is what an hour of the whole machine is thought to cost. The zero value: nothing, as on this computer.
	Price runctl.Money
	// Region is for people and for OfferQuery.Regions; empty: none.
	Region string
	// GPU is what the host has, in place of what nvidia-smi shows there.
	GPU runctl.GPU
	// NoGPU offers the host without its GPUs.
	NoGPU bool
	// JobUser runs jobs as this user of the host, where the login user is root. Empty: as the login user.
	JobUser string
	// MaxLifetime bounds a launch; 0: no bound.
	MaxLifetime time.Duration
	// Root is where claims and runs lie, an absolute path on a local file system of the host. Empty:
	// $RUNCTL_HOST_ROOT there, else ~/.runctl-host. All who share the host must use the same one.
	Root string
}

// Config is what a [Provider] is made of. Hosts or HostsFile is required.
type Config struct {
	// Hosts are the machines.
	Hosts []Host
	// HostsFile is a JSON file, see [ParseHosts], with details of the Hosts of the same name; what a Host
	// says itself counts more. Without Hosts, its hosts are the machines. Empty: none.
	HostsFile string
	// ConfigFile is an OpenSSH client configuration. Empty: ~/.ssh/config, then /etc/ssh/ssh_config.
	ConfigFile string
	// KnownHosts are files in place of those that the configuration names.
	KnownHosts []string
	// FirstUse believes a host's key when no known_hosts file has one, at the first connection, and writes it down in
	// StateDir; nobody vouches for that first time. Otherwise such a host is refused.
	FirstUse bool
	// StateDir keeps the keys of FirstUse. Empty: $RUNCTL_STATE_DIR/ssh, else $XDG_STATE_HOME/runctl/ssh, else
	// ~/.local/state/runctl/ssh.
	StateDir string
	// Name is the provider's Info.Name; empty: "ssh".
	Name string
}

// Factory makes the provider from RUNCTL_SSH_HOSTS, RUNCTL_SSH_FILE, RUNCTL_SSH_CONFIG and RUNCTL_SSH_FIRST_USE.
var Factory = runctl.Factory{
	Name: DefaultName,
	Open: func(_ context.Context, get func(string) string) (runctl.Provider, error) {
		cfg := Config{HostsFile: get(fileEnv), ConfigFile: get(configEnv)}
		for name := range strings.SplitSeq(get(hostsEnv), ",") {
			if name = strings.TrimSpace(name); name != "" {
				cfg.Hosts = append(cfg.Hosts, Host{Name: name})
			}
		}
		switch v := get(firstUseEnv); v {
		case "", "no":
		case "yes":
			cfg.FirstUse = true
		default:
			return nil, invalid("%s is %q: must be yes or no", firstUseEnv, clip(v))
		}
		return open(cfg, get)
	},
}

// Provider offers machines that one already has. It is made by [New] and may be used concurrently. It keeps one
// connection to each host that was asked something in the last minute.
type Provider struct {
	name        string
	hosts       []*host
	openssh     openssh
	knownHosts  []string // in place of the configuration's; nil: none
	firstUse    string   // the file of keys that were believed at first use; empty: none are
	credentials string
}

// host is a configured machine.
type host struct {
	Host
	id     string // as it stands in ids
	target target
	conn
}

// New checks the configuration and reads the files that it names. It connects to nothing. The environment
// counts for what OpenSSH takes from it, and for StateDir.
func New(cfg Config) (*Provider, error) { return open(cfg, os.Getenv) }

func open(cfg Config, get func(string) string) (*Provider, error) {
	hosts, err := cfg.list()
	if err != nil {
		return nil, err
	}
	conf, err := clientConfig(cfg, get)
	if err != nil {
		return nil, err
	}
	p := &Provider{name: cmp.Or(cfg.Name, DefaultName), openssh: conf, knownHosts: cfg.KnownHosts, credentials: conf.files[0]}
	if conf.agent() {
		p.credentials += ", agent"
	}
	if cfg.FirstUse {
		if cfg.StateDir == "" {
			if cfg.StateDir, err = stateDir(get); err != nil {
				return nil, err
			}
		}
		p.firstUse = filepath.Join(cfg.StateDir, "first-use")
	}
	seen := map[string]bool{}
	for _, h := range hosts {
		if seen[h.Name] {
			return nil, invalid("host %s is named twice", clip(h.Name))
		}
		seen[h.Name] = true
		own := &host{Host: h, id: hostID(h.Name), conn: conn{lock: make(chan struct{}, 1)}}
		if err := own.check(); err != nil {
			return nil, err
		}
		if own.target, err = conf.resolve(h.Name); err != nil {
			return nil, invalid("host %s: %v", clip(h.Name), err)
		}
		if cfg.KnownHosts != nil {
			own.target.known = cfg.KnownHosts
		}
		p.hosts = append(p.hosts, own)
	}
	return p, nil
}

// list joins the hosts with the file.
func (cfg Config) list() ([]Host, error) {
	if cfg.HostsFile == "" {
		if len(cfg.Hosts) == 0 {
			return nil, &runctl.Error{Kind: runctl.ErrAuth, Msg: fmt.Sprintf(
				"no hosts: set %s to names from ~/.ssh/config or user@host:port, split by commas, or %s to a file of hosts", hostsEnv, fileEnv)}
		}
		return cfg.Hosts, nil
	}
	text, err := os.ReadFile(cfg.HostsFile)
	if err != nil {
		return nil, invalid("the file of hosts cannot be read: %v", err)
	}
	told, err := ParseHosts(text)
	if err != nil {
		return nil, invalid("%s: %v", cfg.HostsFile, err)
	}
	if len(cfg.Hosts) == 0 {
		if len(told) == 0 {
			return nil, invalid("%s has no hosts", cfg.HostsFile)
		}
		return told, nil
	}
	var all []Host
	for _, h := range cfg.Hosts {
		for _, t := range told {
			if t.Name == h.Name {
				h = h.or(t)
			}
		}
		all = append(all, h)
	}
	return all, nil
}

// or fills what h leaves open from the file's word.
func (h Host) or(t Host) Host {
	if !h.Price.Known() {
		h.Price = t.Price
	}
	if h.GPU == (runctl.GPU{}) && !h.NoGPU {
		h.GPU, h.NoGPU = t.GPU, t.NoGPU
	}
	h.Region, h.JobUser = cmp.Or(h.Region, t.Region), cmp.Or(h.JobUser, t.JobUser)
	h.MaxLifetime, h.Root = cmp.Or(h.MaxLifetime, t.MaxLifetime), cmp.Or(h.Root, t.Root)
	return h
}

// check refuses what the fields of a Host must not hold, whoever wrote them.
func (h *host) check() error {
	name := clip(h.Name)
	switch {
	case len(h.id) > maxHostID:
		return invalid("host %s: the name is too long for an id; give it a shorter one in OpenSSH's configuration", name)
	case h.Price.Known() && (h.Price.Nanos < 0 || runctl.MoneyOf(0, h.Price.Currency) == (runctl.Money{})):
		return invalid("host %s: Price must not be negative, in a currency of three capital letters", name)
	case h.JobUser != "" && !validUser(h.JobUser):
		return invalid("host %s: JobUser must be the name of a user of the host", name)
	case h.Root != "" && !validRoot(h.Root):
		return invalid("host %s: Root must be an absolute path on the host", name)
	case h.JobUser != "" && h.Root == "":
		return invalid("host %s: JobUser needs a Root that others may pass through, such as /var/lib/runctl-host", name)
	case h.MaxLifetime < 0:
		return invalid("host %s: MaxLifetime must not be negative", name)
	}
	if !h.Price.Known() {
		h.Price = runctl.USD(0)
	}
	return nil
}

// clientConfig says which of OpenSSH's files are read.
func clientConfig(cfg Config, get func(string) string) (openssh, error) {
	c := openssh{home: get("HOME"), user: cmp.Or(get("USER"), get("LOGNAME")), env: get}
	if u, err := user.Current(); err == nil {
		c.home, c.user = cmp.Or(c.home, u.HomeDir), cmp.Or(c.user, u.Username)
	}
	if cfg.ConfigFile == "" {
		c.files = []string{filepath.Join(c.home, ".ssh", "config"), "/etc/ssh/ssh_config"}
		return c, nil
	}
	if _, err := os.Stat(cfg.ConfigFile); errors.Is(err, fs.ErrNotExist) {
		return c, invalid("OpenSSH's configuration %s does not exist", cfg.ConfigFile)
	}
	c.files = []string{cfg.ConfigFile}
	return c, nil
}

// stateDir is the default of Config.StateDir. As its specification says, XDG_STATE_HOME counts only when it is
// absolute.
func stateDir(get func(string) string) (string, error) {
	if d := get("RUNCTL_STATE_DIR"); d != "" {
		return filepath.Join(d, "ssh"), nil
	}
	if d := get("XDG_STATE_HOME"); filepath.IsAbs(d) {
		return filepath.Join(d, "runctl", "ssh"), nil
	}
	if d := get("HOME"); d != "" {
		return filepath.Join(d, ".local", "state", "runctl", "ssh"), nil
	}
	return "", invalid("no place for state: set RUNCTL_STATE_DIR or HOME")
}

// invalid makes the error for a request or a setting that cannot work here. Nothing was started.
func invalid(format string, args ...any) *runctl.Error {
	return &runctl.Error{Kind: runctl.ErrInvalid, Scope: runctl.ScopeRequest, NotStarted: true, Msg: fmt.Sprintf(format, args...)}
}
