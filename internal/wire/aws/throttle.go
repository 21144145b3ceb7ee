package aws

import (
	"net/http"
	"strings"
	"time"
)

// bucket holds tokens.
type bucket struct {
	tokens float64
	at     time.Time
}

// size is a bucket's capacity, and how many tokens come back a second.
type size struct{ most, refill float64 }

// The sizes are those of "Request throttling for the Amazon EC2 API": every action has a bucket of its own.
var (
	reads     = size{100, 20}
	bareReads = size{50, 10} // of wholeReads, without a filter, a page size or ids
	writes    = size{50, 5}  // resource-intensive ones have the same

	ownSizes = map[string]size{"RunInstances": {5, 2}, "StartInstances": {5, 2}, "TerminateInstances": {100, 5}, "CreateTags": {100, 10},
		"DeleteTags": {100, 10}, "CreateVolume": {100, 5}, "DeleteVolume": {100, 5}, "AssociateIamInstanceProfile": {100, 5}}
	// wholeReads are the reads that cost more when they ask for everything.
	wholeReads = map[string]bool{"DescribeInstances": true, "DescribeInstanceStatus": true, "DescribeNetworkInterfaces": true,
		"DescribeSecurityGroups": true, "DescribeSpotInstanceRequests": true, "DescribeVolumes": true}
	// machineSizes are buckets that give a token for each machine.
	machineSizes = map[string]size{"RunInstances": {1000, 2}, "TerminateInstances": {1000, 20}, "StartInstances": {1000, 2}, "StopInstances": {1000, 20}}
	// ssmSize is this face's own: the documents of Systems Manager give no sizes.
	ssmSize = size{40, 20}
)

// throttled takes the tokens of a request, or refuses it. The lock is held.
func (x *exchange) throttled() *refusal {
	name, s := x.o.name, reads
	own, ok := ownSizes[name]
	switch {
	case x.o.model.service == "ssm":
		s = ssmSize
	case x.o.model.service != "ec2":
		return nil
	case ok:
		s = own
	case wholeReads[name] && !x.in.has("MaxResults") && !x.in.has("Filters") && !x.named():
		name, s = name+" of everything", bareReads
	case !strings.HasPrefix(name, "Describe") && !strings.HasPrefix(name, "Get"):
		s = writes
	}
	enough := x.f.draw(name, s, 1)
	if machines, ok := machineSizes[x.o.name]; ok && enough {
		enough = x.f.draw(x.o.name+" of machines", machines, float64(max(x.in.num(0, "MaxCount"), len(x.in.strs("InstanceIds")))))
	}
	if enough {
		return nil
	}
	if x.o.model.service == "ssm" {
		return refuse(http.StatusBadRequest, "ThrottlingException", "Rate exceeded")
	}
	return refuse(http.StatusServiceUnavailable, "RequestLimitExceeded", "Request limit exceeded.")
}

// named reports whether the request names what it wants.
func (x *exchange) named() bool {
	for k := range x.in {
		if strings.HasSuffix(k, "Ids") || strings.HasSuffix(k, "Names") {
			return true
		}
	}
	return false
}

func (f *Face) draw(name string, s size, n float64) bool {
	now, b := time.Now(), f.buckets[name]
	if b == nil {
		b = &bucket{s.most, now}
		f.buckets[name] = b
	}
	b.tokens, b.at = min(s.most, b.tokens+now.Sub(b.at).Seconds()*s.refill), now
	if b.tokens < n {
		return false
	}
	b.tokens -= n
	return true
}
