package aws

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"net/netip"
	"regexp"
	"strconv"
	"strings"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"

	"runctl"
)

// DefaultName is the Info.Name of a provider made without a name, and the Kind of all of them.
const DefaultName = "aws"

// Road is the way by which commands reach a machine. The first two end at its sshd, with the same keys.
type Road string

// The roads. The empty one takes SSM where the machine was launched with an instance profile, without which it cannot
// register there, and SSH where it has none; where SSM is chosen so, and the credentials may not start sessions, it takes
// RoadCommand. The client's log says which it was. It opens no port of a machine with a profile: where that is of no use to
// SSM, the error says so, within minutes, and what to set.
const (
	RoadSSH Road = "ssh" // to the machine's address: port 22 is open to one address, the caller's
	RoadSSM Road = "ssm" // through Systems Manager: no port is open, and the machine needs an instance profile
	// RoadCommand is Run Command, for accounts without sessions and machines without sshd. It is slow.
	RoadCommand Road = "command"
)

// Config is what a [Provider] is made of. Config is required, with credentials and, unless Region is set, a region.
type Config struct {
	// Config is the SDK's configuration, such as config.LoadDefaultConfig returns.
	Config awssdk.Config
	// Region is where machines are; empty: that of Config.
	Region string
	// Name is the provider's Info.Name; empty: "aws".
	Name string

	// Road is how machines are entered; see [Road].
	Road Road
	// SSHFrom are the networks, as CIDR, that may reach port 22 of machines that are entered by RoadSSH. Empty: the one
	// address that this computer is seen with. The whole Internet, 0.0.0.0/0, must be typed here.
	SSHFrom []string
	// Private enters machines at their private address: from within the VPC, or a network that routes there. SSHFrom is
	// required then, unless SecurityGroups are given.
	Private bool

	// SSHPort is where sshd listens on machines; 0: 22.
	SSHPort int32
	// Dial opens the connections of RoadSSH, for instance through a bastion; nil: a net.Dialer.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)

	// Image is what machines boot that were launched without one of their own: an AMI's id, or the name of an SSM parameter
	// that holds one, beginning with '/'. Empty: Amazon Linux 2023, for machines with NVIDIA GPUs AWS's Deep Learning
	// Base image of it.
	Image string
	// Subnets are where machines are launched; their zones are the only ones that are offered. Empty: the default VPC.
	Subnets []string
	// SecurityGroups are the machines'. They are never changed. Empty: one group for each owner and VPC, which is made
	// when it is first needed, and lets nothing in but what RoadSSH asks for.
	SecurityGroups []string
	// InstanceProfile is the name or the ARN of the profile that machines get: its role is what SSM needs, and everything
	// on the machine may use it. Empty: none.
	InstanceProfile string
	// KeyName is a key pair of the account that may log in too, as the image's own user; empty: none.
	KeyName string

	// Rate is how many calls a second the client makes; 0: 5. EC2 takes bursts of five launches, and two a second.
	Rate float64
	// TokensIgnored says that what answers at the endpoint is not EC2, and starts a second machine for a token that it
	// has seen: then a launch in doubt is looked for by its label, and never repeated.
	TokensIgnored bool
}

// Settings that the Factory reads beside the SDK's own.
const (
	roadEnv    = "RUNCTL_AWS_ROAD"             // ssh, ssm or command
	portEnv    = "RUNCTL_AWS_SSH_PORT"         // Config.SSHPort
	fromEnv    = "RUNCTL_AWS_SSH_FROM"         // CIDRs, separated by commas
	imageEnv   = "RUNCTL_AWS_IMAGE"            // Config.Image
	subnetsEnv = "RUNCTL_AWS_SUBNETS"          // ids, separated by commas
	groupsEnv  = "RUNCTL_AWS_SECURITY_GROUPS"  // ids, separated by commas
	profileEnv = "RUNCTL_AWS_INSTANCE_PROFILE" // Config.InstanceProfile
)

// Factory makes the provider from the SDK's own chain: AWS_PROFILE, AWS_REGION, AWS_ENDPOINT_URL, keys in the environment,
// the shared files, SSO, web identity, ECS and instance roles. What the getter of settings knows of AWS_PROFILE, AWS_REGION,
// AWS_DEFAULT_REGION, AWS_ENDPOINT_URL, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN comes before the
// chain, which reads the process's environment itself. RUNCTL_AWS_ROAD, RUNCTL_AWS_SSH_FROM, RUNCTL_AWS_SSH_PORT,
// RUNCTL_AWS_IMAGE, RUNCTL_AWS_SUBNETS, RUNCTL_AWS_SECURITY_GROUPS and RUNCTL_AWS_INSTANCE_PROFILE are fields of [Config].
var Factory = runctl.Factory{Name: DefaultName, Open: open}

func open(ctx context.Context, get func(string) string) (runctl.Provider, error) {
	var opts []func(*config.LoadOptions) error
	if v := get("AWS_PROFILE"); v != "" {
		opts = append(opts, config.WithSharedConfigProfile(v))
	}
	if v := cmp.Or(get("AWS_REGION"), get("AWS_DEFAULT_REGION")); v != "" {
		opts = append(opts, config.WithRegion(v))
	}
	if v := get("AWS_ENDPOINT_URL"); v != "" {
		opts = append(opts, config.WithBaseEndpoint(v))
	}
	if id, key := get("AWS_ACCESS_KEY_ID"), get("AWS_SECRET_ACCESS_KEY"); id != "" && key != "" {
		opts = append(opts, config.WithCredentialsProvider(credentials.NewStaticCredentialsProvider(id, key, get("AWS_SESSION_TOKEN"))))
	}
	sdk, err := config.LoadDefaultConfig(ctx, opts...)
	if err != nil {
		return nil, &runctl.Error{Kind: runctl.ErrInvalid, Err: err, Msg: "the AWS configuration cannot be used; check AWS_PROFILE and ~/.aws/config"}
	}
	port, err := strconv.ParseUint(cmp.Or(get(portEnv), "22"), 10, 16)
	if err != nil {
		return nil, invalid("%s is %q: must be a port", portEnv, clip(get(portEnv)))
	}
	return New(Config{Config: sdk, SSHPort: int32(port), Road: Road(get(roadEnv)), SSHFrom: words(get(fromEnv)), Image: get(imageEnv),
		Subnets: words(get(subnetsEnv)), SecurityGroups: words(get(groupsEnv)), InstanceProfile: get(profileEnv)})
}

// words splits a list with commas.
func words(s string) []string {
	return strings.FieldsFunc(s, func(r rune) bool { return r == ',' || r == ' ' })
}

var (
	subnetID = regexp.MustCompile(`^subnet-[0-9a-f]{8,17}$`)
	groupID  = regexp.MustCompile(`^sg-[0-9a-f]{8,17}$`)
	imageID  = regexp.MustCompile(`^ami-[0-9a-f]{8,17}$|^/[A-Za-z0-9_./-]{1,1000}$`)
	volumeID = regexp.MustCompile(`^vol-[0-9a-f]{8,17}$`)
)

func (c *Config) check() error {
	c.Name, c.Rate, c.Region = cmp.Or(c.Name, DefaultName), cmp.Or(c.Rate, 5), cmp.Or(c.Region, c.Config.Region)
	c.SSHPort = cmp.Or(c.SSHPort, 22)
	switch {
	case c.Region == "":
		return &runctl.Error{Kind: runctl.ErrAuth, Msg: "no region: set AWS_REGION, or AWS_PROFILE to a profile that has one"}
	case c.Config.Credentials == nil:
		return &runctl.Error{Kind: runctl.ErrAuth, Msg: "no credentials: set AWS_PROFILE, or run aws configure or aws sso login"}
	case c.Rate < 0 || c.SSHPort < 0 || c.SSHPort > 65535:
		return invalid("Rate must not be negative, and SSHPort a port")
	case c.Road != "" && c.Road != RoadSSH && c.Road != RoadSSM && c.Road != RoadCommand:
		return invalid("Road is %q: must be %s, %s or %s, or empty", clip(string(c.Road)), RoadSSH, RoadSSM, RoadCommand)
	case c.Private && len(c.SSHFrom) == 0 && len(c.SecurityGroups) == 0 && c.Road != RoadSSM && c.Road != RoadCommand:
		return invalid("Private: say in SSHFrom from which network machines are entered, such as 10.0.0.0/8")
	}
	for _, from := range c.SSHFrom {
		if _, err := netip.ParsePrefix(from); err != nil {
			return invalid("SSHFrom: %q: write a network as 198.51.100.7/32", clip(from))
		}
	}
	return checkPlaces(c.Image, c.Subnets, c.SecurityGroups)
}

// checkPlaces refuses what cannot be the id that it should be.
func checkPlaces(image string, subnets, groups []string) error {
	if image != "" && !imageID.MatchString(image) {
		return invalid("Image: %q is neither an AMI's id, ami-…, nor the name of an SSM parameter, /…", clip(image))
	}
	for _, s := range subnets {
		if !subnetID.MatchString(s) {
			return invalid("%q is not the id of a subnet, subnet-…", clip(s))
		}
	}
	for _, g := range groups {
		if !groupID.MatchString(g) {
			return invalid("%q is not the id of a security group, sg-…", clip(g))
		}
	}
	return nil
}

// Format prints where it is, and no credentials, whatever the verb.
func (c Config) Format(f fmt.State, _ rune) {
	fmt.Fprintf(f, "aws.Config(%s)", cmp.Or(c.Region, c.Config.Region))
}

// invalid makes the error for a request or a setting that cannot work here. Nothing was started.
func invalid(format string, args ...any) *runctl.Error {
	return &runctl.Error{Kind: runctl.ErrInvalid, Scope: runctl.ScopeRequest, NotStarted: true, Msg: fmt.Sprintf(format, args...)}
}

// clip makes text of others short enough for a message.
func clip(s string) string { return strings.ToValidUTF8(s[:min(len(s), 80)], "") }
