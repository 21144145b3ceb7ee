package aws

import (
	"cmp"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/ec2"

	"runctl"
)

// LaunchOptions are what a launch may ask of EC2 alone. Fields that [Config] has too come before it.
type LaunchOptions struct {
	Image           string   // an AMI's id, or the name of an SSM parameter that holds one
	Subnet          string   // its zone is the only one that is launched in
	SecurityGroups  []string // never changed
	InstanceProfile string   // name or ARN
	KeyName         string   // a key pair of the account

	// Volumes are data volumes that exist already. Their zone is the only one that is launched in. They outlive the
	// machine.
	Volumes []Volume
	// UserData is given to cloud-init behind what arms the guard: a script, a cloud-config, or whatever else it takes that
	// says what it is in its first line. Everything on the machine and everybody in the account can read it: no secrets.
	UserData []byte
	// Tags are put on the instance, its volumes and its interfaces. Names do not begin with runctl: or aws:.
	Tags map[string]string
	// Edit changes the request last, for what else EC2 can do. A launch is refused when it takes away what a promise
	// rests on: the client token, our tags, the user data, the number of machines, what the machine does when it
	// shuts down, and the offer's type, market and place. The same launch may be edited in each process that makes it.
	Edit func(*ec2.RunInstancesInput)
}

// ForProvider implements [runctl.LaunchOption].
func (LaunchOptions) ForProvider() string { return DefaultName }

// Volume is a data volume and where it is mounted.
type Volume struct {
	ID string // vol-…
	// Path is an absolute path on the machine.
	Path string
	// Format makes an ext4 file system on a volume that is blank. One that holds anything is never formatted.
	Format bool
}

var (
	mountPath = regexp.MustCompile(`^/[A-Za-z0-9._/-]{1,200}$`)
	profile   = regexp.MustCompile(`^[\w+=,.@/:-]{1,300}$`)
)

// options are the launch's own, checked, with what the provider's configuration says where they are silent. A launch may
// have them once.
func (p *Provider) options(all []runctl.LaunchOption) (LaunchOptions, error) {
	var o LaunchOptions
	n := 0
	for _, any := range all {
		switch own := any.(type) {
		case LaunchOptions:
			o, n = own, n+1
		case *LaunchOptions:
			if own != nil {
				o, n = *own, n+1
			}
		}
	}
	if n > 1 {
		return o, invalid("aws.LaunchOptions are given twice")
	}
	if len(o.SecurityGroups) == 0 {
		o.SecurityGroups = p.cfg.SecurityGroups
	}
	o.Image, o.InstanceProfile, o.KeyName = cmp.Or(o.Image, p.cfg.Image), cmp.Or(o.InstanceProfile, p.cfg.InstanceProfile), cmp.Or(o.KeyName, p.cfg.KeyName)
	return o, o.check()
}

func (o *LaunchOptions) check() error {
	var nets []string
	if o.Subnet != "" {
		nets = []string{o.Subnet}
	}
	if err := checkPlaces(o.Image, nets, o.SecurityGroups); err != nil {
		return err
	}
	if o.InstanceProfile != "" && !profile.MatchString(o.InstanceProfile) {
		return invalid("InstanceProfile: %q is neither a name nor an ARN", clip(o.InstanceProfile))
	}
	for name, value := range o.Tags {
		if name == "" || len(name) > 128 || len(value) > 256 || strings.HasPrefix(name, tagPrefix) || strings.HasPrefix(strings.ToLower(name), "aws:") {
			return invalid("LaunchOptions.Tags: %q cannot be a tag: at most 128 and 256 characters, and the name begins neither with %s nor with aws:", clip(name), tagPrefix)
		}
	}
	var seen []string
	for _, v := range o.Volumes {
		switch {
		case !volumeID.MatchString(v.ID):
			return invalid("LaunchOptions.Volumes: %q is not the id of a volume, vol-…", clip(v.ID))
		case !mountPath.MatchString(v.Path) || path.Clean(v.Path) != v.Path || slices.Contains(systemPaths, v.Path):
			return invalid("LaunchOptions.Volumes: %s: %q must be a plain absolute path that the system does not need itself, such as /data", v.ID, clip(v.Path))
		case slices.Contains(seen, v.ID) || slices.Contains(seen, v.Path):
			return invalid("LaunchOptions.Volumes: %s at %s is there twice", v.ID, v.Path)
		}
		seen = append(seen, v.ID, v.Path)
	}
	if len(o.Volumes) > maxVolumes {
		return invalid("LaunchOptions.Volumes: at most %d", maxVolumes)
	}
	return nil
}

// systemPaths are where a file system on top would take the machine's own away.
var systemPaths = []string{"/bin", "/boot", "/dev", "/etc", "/home", "/lib", "/lib64", "/opt", "/proc", "/root", "/run", "/sbin", "/sys", "/tmp", "/usr", "/var"}

var _ runctl.LaunchOption = LaunchOptions{}
