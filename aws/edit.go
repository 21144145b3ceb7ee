package aws

import (
	"encoding/json"

	"github.com/aws/aws-sdk-go-v2/service/ec2"
)

// held are the parts of a request on which promises rest: one machine for one launch, ours by its token, that ends itself,
// of the type and in the market and zone that were consented to.
var held = map[string]func(*ec2.RunInstancesInput) any{
	"ClientToken":                       func(in *ec2.RunInstancesInput) any { return in.ClientToken },
	"MinCount":                          func(in *ec2.RunInstancesInput) any { return in.MinCount },
	"MaxCount":                          func(in *ec2.RunInstancesInput) any { return in.MaxCount },
	"DryRun":                            func(in *ec2.RunInstancesInput) any { return in.DryRun },
	"UserData":                          func(in *ec2.RunInstancesInput) any { return in.UserData },
	"InstanceInitiatedShutdownBehavior": func(in *ec2.RunInstancesInput) any { return in.InstanceInitiatedShutdownBehavior },
	"DisableApiTermination":             func(in *ec2.RunInstancesInput) any { return in.DisableApiTermination },
	"HibernationOptions":                func(in *ec2.RunInstancesInput) any { return in.HibernationOptions },
	"InstanceType":                      func(in *ec2.RunInstancesInput) any { return in.InstanceType },
	"InstanceMarketOptions":             func(in *ec2.RunInstancesInput) any { return in.InstanceMarketOptions },
	"Placement.AvailabilityZone": func(in *ec2.RunInstancesInput) any {
		if in.Placement == nil {
			return nil
		}
		return in.Placement.AvailabilityZone
	},
	"TagSpecifications": func(in *ec2.RunInstancesInput) any { // our tags in them
		ours := map[string]string{}
		for _, s := range in.TagSpecifications {
			for _, name := range []string{markTag, ownerTag} {
				if v := tagOf(s.Tags, name); v != "" {
					ours[string(s.ResourceType)+" "+name] = v
				}
			}
		}
		return ours
	},
}

// edited lets the launch's owner change the request, and refuses what breaks a promise.
func edited(in *ec2.RunInstancesInput, edit func(*ec2.RunInstancesInput)) (*ec2.RunInstancesInput, error) {
	if edit == nil {
		return in, nil
	}
	before := map[string]string{}
	for name, part := range held {
		before[name] = text(part(in))
	}
	edit(in)
	for name, part := range held {
		if text(part(in)) != before[name] {
			return nil, invalid("LaunchOptions.Edit changes %s, on which a promise rests: leave it as it was", name)
		}
	}
	return in, nil
}

// text is a value in a form that an edit cannot reach.
func text(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		return err.Error()
	}
	return string(b)
}
