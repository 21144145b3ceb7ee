package aws

import (
	"crypto/sha256"
	"strings"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
)

// Tags of what a launch makes. The first two are on the instance, its volumes and its interfaces from their birth.
const (
	tagPrefix = "runctl:"
	markTag   = tagPrefix + "mark"    // the label, whole
	ownerTag  = tagPrefix + "owner"   // for asking EC2 for one owner's machines, and for bills
	priceTag  = tagPrefix + "price"   // of the offer: amount, currency and source
	gpuTag    = tagPrefix + "gpu"     // MODEL:COUNT:MiB
	mountsTag = tagPrefix + "volumes" // data volumes, as mounts of them write themselves
)

const maxToken = 64 // ASCII characters of a client token, in which case matters

const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

// clientToken is the label, a capital letter, and as much of the hash of label and token as there is room for: 3
// characters at least. The launch call alone sets it, so that a copy of the machine has another one or none.
func clientToken(label, token string) string {
	h := sha256.Sum256([]byte(label + "\n" + token))
	var b strings.Builder
	b.WriteString(label)
	b.WriteByte(letters[h[0]%26])
	for n := 1; n < len(h) && b.Len() < maxToken; n++ {
		b.WriteByte(letters[h[n]%62])
	}
	return b.String()
}

// tokenLabel is the label in a client token: all before the first capital letter, which no label has. "" when there is none.
func tokenLabel(token string) string {
	label, _, _ := strings.Cut(strings.Map(func(r rune) rune {
		if r >= 'A' && r <= 'Z' {
			return '\n'
		}
		return r
	}, token), "\n")
	if label == token {
		return ""
	}
	return label
}

// labelOf is a machine's label, when its client token and its tag say the same.
func labelOf(v *types.Instance) string {
	label := tokenLabel(awssdk.ToString(v.ClientToken))
	if label != tagOf(v.Tags, markTag) {
		return ""
	}
	return label
}

// validLabel reports whether a label fits into a client token.
func validLabel(label string) bool {
	return len(label) >= 1 && len(label) <= maxToken-4 && strings.Trim(label, "abcdefghijklmnopqrstuvwxyz0123456789-") == ""
}

// ownerOf is the owner in a label, rc1-OWNER-…: owners have no '-'.
func ownerOf(label string) string {
	_, rest, _ := strings.Cut(label, "-")
	owner, _, _ := strings.Cut(rest, "-")
	return owner
}

func tagOf(tags []types.Tag, name string) string {
	for _, t := range tags {
		if awssdk.ToString(t.Key) == name {
			return awssdk.ToString(t.Value)
		}
	}
	return ""
}

func tag(name, value string) types.Tag {
	return types.Tag{Key: awssdk.String(name), Value: awssdk.String(value)}
}
