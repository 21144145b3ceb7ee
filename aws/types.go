package aws

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"runctl"
	"runctl/internal/nvidia"
)

// catalogAge is for how long the list of types, and of the zones that have them, is believed: AWS adds to it now and then.
const catalogAge = 12 * time.Hour

// Which part of the catalog is asked for: the names of types with GPUs all begin with g or p, and they are few.
const (
	allTypes = ""
	gpuTypes = "gpu"
)

// machineType is a row of EC2's catalog.
type machineType struct {
	name    string
	arch    string // x86_64 or arm64
	driver  bool   // it has NVIDIA GPUs, so its image needs their driver
	gpu     runctl.GPU
	vcpu    int
	memory  int64         // MiB
	markets runctl.Market // in which it can be had at all
}

// usages are EC2's words for markets. Capacity blocks are bought beforehand, and are none.
var usages = map[types.UsageClassType]runctl.Market{types.UsageClassTypeOnDemand: runctl.OnDemand, types.UsageClassTypeSpot: runctl.Spot}

// namesOf are the filters for a part of the catalog.
func namesOf(part, field string) []types.Filter {
	if part == gpuTypes {
		return filter(field, "g*", "p*")
	}
	return nil
}

// catalog reads the types that run Linux of today: one request for each hundred.
func (p *Provider) catalog(ctx context.Context, part string) ([]machineType, error) {
	return p.types.get(ctx, part, catalogAge, func(ctx context.Context) ([]machineType, error) {
		in := &ec2.DescribeInstanceTypesInput{MaxResults: awssdk.Int32(100), Filters: append(namesOf(part, "instance-type"),
			filter("processor-info.supported-architecture", "x86_64", "arm64")...)}
		var all []machineType
		err := pages(func(token *string) (*string, error) {
			in.NextToken = token
			out, err := p.ec2.DescribeInstanceTypes(ctx, in)
			if err != nil {
				return nil, classify(err)
			}
			if out.InstanceTypes == nil {
				return nil, errNoList
			}
			for n := range out.InstanceTypes {
				if t, ok := typeOf(&out.InstanceTypes[n]); ok {
					all = append(all, t)
				}
			}
			return out.NextToken, nil
		})
		slices.SortFunc(all, func(a, b machineType) int { return strings.Compare(a.name, b.name) })
		return all, err
	})
}

// typeOf maps EC2's record of a type. It reports false for what cannot be launched here.
func typeOf(v *types.InstanceTypeInfo) (machineType, bool) {
	t := machineType{name: string(v.InstanceType)}
	if v.ProcessorInfo != nil {
		for _, a := range v.ProcessorInfo.SupportedArchitectures {
			if (a == types.ArchitectureTypeX8664 || a == types.ArchitectureTypeArm64) && t.arch == "" {
				t.arch = string(a)
			}
		}
	}
	if v.VCpuInfo != nil {
		t.vcpu = int(awssdk.ToInt32(v.VCpuInfo.DefaultVCpus))
	}
	if v.MemoryInfo != nil {
		t.memory = awssdk.ToInt64(v.MemoryInfo.SizeInMiB)
	}
	for _, u := range v.SupportedUsageClasses {
		t.markets |= usages[u]
	}
	if v.GpuInfo != nil && len(v.GpuInfo.Gpus) > 0 {
		t.gpu = gpuOf(v.GpuInfo.Gpus[0])
		t.driver = strings.EqualFold(awssdk.ToString(v.GpuInfo.Gpus[0].Manufacturer), "NVIDIA")
	}
	return t, t.name != "" && t.arch != "" && !strings.ContainsAny(t.name, "/ ")
}

// aliases are EC2's own names for what drivers call otherwise.
var aliases = map[string]string{"RTX PRO Server 6000": "RTX PRO 6000 Blackwell Server Edition"}

// gpuOf names a GPU in the canonical way: EC2's "H100" is H100-SXM. A fraction of one is a model of its own, so that
// nobody gets it for a whole.
func gpuOf(v types.GpuDeviceInfo) runctl.GPU {
	var memory int64
	if v.MemoryInfo != nil {
		memory = int64(awssdk.ToInt32(v.MemoryInfo.SizeInMiB))
	}
	count := int(awssdk.ToInt32(v.Count))
	name := awssdk.ToString(v.Name)
	g, ok := nvidia.Named(cmp.Or(aliases[name], name), memory)
	if !ok {
		return runctl.GPU{}
	}
	if part := awssdk.ToFloat64(v.GpuPartitionSize); part > 0 && part < 1 || count < 1 {
		g.Model, count = "PART-OF-"+g.Model, max(count, 1)
	}
	g.Count = count
	return g
}

// zones reads which zones have which types: one request for each thousand pairs.
func (p *Provider) zones(ctx context.Context, part string) (map[string][]string, error) {
	return p.places.get(ctx, part, catalogAge, func(ctx context.Context) (map[string][]string, error) {
		in := &ec2.DescribeInstanceTypeOfferingsInput{MaxResults: awssdk.Int32(1000), LocationType: types.LocationTypeAvailabilityZone,
			Filters: namesOf(part, "instance-type")}
		all := map[string][]string{}
		err := pages(func(token *string) (*string, error) {
			in.NextToken = token
			out, err := p.ec2.DescribeInstanceTypeOfferings(ctx, in)
			if err != nil {
				return nil, classify(err)
			}
			if out.InstanceTypeOfferings == nil {
				return nil, errNoList
			}
			for _, o := range out.InstanceTypeOfferings {
				// Local and Wavelength Zones have longer names, and need a subnet of their own.
				if zone := awssdk.ToString(o.Location); len(zone) == len(p.cfg.Region)+1 && strings.HasPrefix(zone, p.cfg.Region) {
					all[string(o.InstanceType)] = append(all[string(o.InstanceType)], zone)
				}
			}
			return out.NextToken, nil
		})
		for _, zs := range all {
			slices.Sort(zs)
		}
		return all, err
	})
}
