package aws

import (
	"context"
	"encoding/base64"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"runctl"
)

// requestAge is for how long a launch's request is kept, so that a repetition is the same one. A later repetition with
// the same token, or another process's, may differ in what changes by itself, such as the newest image: EC2 then says so,
// and the machine is looked for.
const requestAge = 15 * time.Minute

// Launch implements [runctl.Provider] with one RunInstances. Before it come, unless they are known already, an SSM
// parameter, the image's record, the default VPC and the security group, which is made if need be; and the
// record of each data volume.
func (p *Provider) Launch(ctx context.Context, req runctl.LaunchRequest) (runctl.Instance, error) {
	token := clientToken(req.Label, req.Token)
	in, err := p.launches.get(ctx, token, requestAge, func(ctx context.Context) (*ec2.RunInstancesInput, error) { return p.plan(ctx, req, token) })
	if err != nil {
		return runctl.Instance{}, beforehand(err)
	}
	out, err := p.ec2.RunInstances(ctx, in, once)
	if err != nil {
		err = classify(err)
		if errors.Is(err, runctl.ErrNotFound) || errors.Is(err, runctl.ErrInvalid) { // of what was remembered, something may be gone
			p.launches.forget(token)
			p.groups.clear()
			p.images.clear()
			p.subnets.clear()
			err = beforehand(err)
		}
		return runctl.Instance{}, err
	}
	if len(out.Instances) != 1 || awssdk.ToString(out.Instances[0].InstanceId) == "" {
		return runctl.Instance{}, errors.New("EC2 accepted the launch, but its reply does not have one machine")
	}
	p.young.Add(awssdk.ToString(out.Instances[0].InstanceId))
	return p.instance(&out.Instances[0], clock(out.ResultMetadata)), nil
}

// plan makes the request of a launch, and refuses what EC2 cannot do before anything is spent.
func (p *Provider) plan(ctx context.Context, req runctl.LaunchRequest, token string) (*ec2.RunInstancesInput, error) {
	s, ok := parseShape(req.Offer.ID)
	switch {
	case !ok || !strings.HasPrefix(s.zone, p.cfg.Region):
		return nil, &runctl.Error{Kind: runctl.ErrNotFound, Scope: runctl.ScopeOffer, NotStarted: true, Msg: "this is no offer of EC2's in " + p.cfg.Region + ": take one from Offers"}
	case s.market != req.Offer.Market:
		return nil, invalid("the offer is %s, and asks for %s: take one from Offers", s.market, req.Offer.Market)
	case !validLabel(req.Label):
		return nil, invalid("a launch needs a label of at most %d characters of a-z, 0-9 and '-'", maxToken-4)
	case req.Job != nil:
		return nil, unsupported("EC2's machines take jobs over a shell: the launch carries none")
	case req.Image != "":
		return nil, unsupported("EC2 boots machine images, and no containers: name one in LaunchOptions.Image")
	}
	o, err := p.options(req.Options)
	if err != nil {
		return nil, err
	}
	var set []string
	if s.market == runctl.Spot {
		set = []string{noticeLine}
	}
	data, err := userData(req.Boot, req.AuthorizedKey, o.UserData, set...)
	if err != nil {
		return nil, err
	}
	if err := p.free(ctx, o.Volumes, s.zone); err != nil {
		return nil, err
	}
	img, err := p.imageFor(ctx, o.Image, s)
	if err != nil {
		return nil, err
	}
	disk, err := img.disk(req.Disk)
	if err != nil {
		return nil, err
	}
	in := &ec2.RunInstancesInput{
		ClientToken: &token, MinCount: awssdk.Int32(1), MaxCount: awssdk.Int32(1), ImageId: &img.id, InstanceType: types.InstanceType(s.name),
		UserData: awssdk.String(base64.StdEncoding.EncodeToString(data)), InstanceInitiatedShutdownBehavior: atEnd(req, s),
		InstanceMarketOptions: market(req, s), BlockDeviceMappings: []types.BlockDeviceMapping{disk}, TagSpecifications: birthTags(req, o),
		// A program on the machine must ask for a token first, and a container or a forwarded packet gets none.
		MetadataOptions: &types.InstanceMetadataOptionsRequest{HttpEndpoint: types.InstanceMetadataEndpointStateEnabled,
			HttpTokens: types.HttpTokensStateRequired, HttpPutResponseHopLimit: awssdk.Int32(1)},
	}
	if o.KeyName != "" {
		in.KeyName = &o.KeyName
	}
	switch {
	case strings.HasPrefix(o.InstanceProfile, "arn:"):
		in.IamInstanceProfile = &types.IamInstanceProfileSpecification{Arn: &o.InstanceProfile}
	case o.InstanceProfile != "":
		in.IamInstanceProfile = &types.IamInstanceProfileSpecification{Name: &o.InstanceProfile}
	}
	if err := p.place(ctx, in, o, s, ownerOf(req.Label)); err != nil {
		return nil, err
	}
	return edited(in, o.Edit)
}

// atEnd is what the machine does when it shuts down, which is how it ends itself: it is terminated, unless its disk may
// hold the only copy of something. A spot machine cannot be stopped, and its offer says that it keeps nothing.
func atEnd(req runctl.LaunchRequest, s shape) types.ShutdownBehavior {
	if req.KeepDisk && s.market == runctl.OnDemand {
		return types.ShutdownBehaviorStop
	}
	return types.ShutdownBehaviorTerminate
}

// market asks for a spot machine in the launch itself, for as long as its price is below the ceiling. nil: on demand.
func market(req runctl.LaunchRequest, s shape) *types.InstanceMarketOptionsRequest {
	if s.market != runctl.Spot {
		return nil
	}
	spot := &types.SpotMarketOptions{SpotInstanceType: types.SpotInstanceTypeOneTime, InstanceInterruptionBehavior: types.InstanceInterruptionBehaviorTerminate}
	most := req.MaxHourly
	if !most.Known() {
		most = req.Offer.Price.Hourly
	}
	if most.Known() {
		spot.MaxPrice = awssdk.String(most.Amount())
	}
	return &types.InstanceMarketOptionsRequest{MarketType: types.MarketTypeSpot, SpotOptions: spot}
}

// birthTags are the tags of all that the launch makes. Those that only the instance has are what List tells of it.
func birthTags(req runctl.LaunchRequest, o LaunchOptions) []types.TagSpecification {
	common := []types.Tag{tag("Name", req.Label), tag(markTag, req.Label), tag(ownerTag, ownerOf(req.Label))}
	for _, name := range slices.Sorted(maps.Keys(o.Tags)) {
		if name == "Name" {
			common[0] = tag(name, o.Tags[name])
			continue
		}
		common = append(common, tag(name, o.Tags[name]))
	}
	own := slices.Clone(common)
	for _, t := range []types.Tag{tag(priceTag, formatPrice(req.Offer.Price)), tag(gpuTag, formatGPU(req.Offer.GPU)), tag(mountsTag, formatMounts(o.Volumes))} {
		if *t.Value != "" {
			own = append(own, t)
		}
	}
	return []types.TagSpecification{{ResourceType: types.ResourceTypeInstance, Tags: own}, {ResourceType: types.ResourceTypeVolume, Tags: common},
		{ResourceType: types.ResourceTypeNetworkInterface, Tags: common}}
}

func unsupported(msg string) error {
	e := invalid("%s", msg)
	e.Err = errors.ErrUnsupported
	return e
}
