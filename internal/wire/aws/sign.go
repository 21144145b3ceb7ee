package aws

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

var authorization = regexp.MustCompile(`^AWS4-HMAC-SHA256 Credential=([A-Za-z0-9_]+)/(\d{8})/([a-z0-9-]+)/([a-z0-9-]+)/aws4_request, ?SignedHeaders=([a-z0-9;-]+), ?Signature=([0-9a-f]{64})$`)

// maxSkew is how old a signature may be.
const maxSkew = 5 * time.Minute

// regions are where a service is, other than the face's own region: the price list is in three places of the world alone.
var regions = map[string][]string{"pricing": {"us-east-1", "eu-central-1", "ap-south-1"}}

// code says how each protocol names what is wrong with credentials: an unknown key, a wrong signature, one that is too old.
var credentialCodes = map[string][3]string{
	"ec2":   {"AuthFailure", "AuthFailure", "RequestExpired"},
	"query": {"InvalidClientTokenId", "SignatureDoesNotMatch", "SignatureDoesNotMatch"},
	"json":  {"UnrecognizedClientException", "InvalidSignatureException", "InvalidSignatureException"},
}

// authentic checks the request's signature, version 4, and that it is made for this service in this region.
func (x *exchange) authentic() *refusal {
	codes, status := credentialCodes[x.o.model.Metadata.Protocol], http.StatusUnauthorized
	if x.o.model.Metadata.Protocol != "ec2" {
		status = http.StatusForbidden
	}
	if x.o.model.Metadata.Protocol == "json" {
		status = http.StatusBadRequest
	}
	m := authorization.FindStringSubmatch(x.r.Header.Get("Authorization"))
	if m == nil {
		if x.o.model.Metadata.Protocol == "ec2" {
			return refuse(status, "MissingParameter", "The request must contain the parameter AWSAccessKeyId")
		}
		return refuse(http.StatusForbidden, "MissingAuthenticationTokenException", "Missing Authentication Token")
	}
	key, day, region, service, signed, signature := m[1], m[2], m[3], m[4], strings.Split(m[5], ";"), m[6]
	at, err := time.Parse("20060102T150405Z", x.r.Header.Get("X-Amz-Date"))
	wanted := regions[x.o.model.service]
	if wanted == nil {
		wanted = []string{x.f.opt.region()}
	}
	switch {
	case key != x.f.opt.AccessKey || x.r.Header.Get("X-Amz-Security-Token") != x.f.opt.SessionToken:
		return refuse(status, codes[0], "AWS was not able to validate the provided access credentials")
	case err != nil || at.Format("20060102") != day || time.Since(at).Abs() > maxSkew && !x.f.opt.AnyTime:
		return refuse(http.StatusBadRequest, codes[2], "Request has expired.")
	case service != x.o.model.service:
		return refuse(status, codes[1], "Credential should be scoped to correct service: '%s'.", x.o.model.service)
	case !slices.Contains(wanted, region):
		return refuse(status, codes[1], "Credential should be scoped to a valid region, not '%s'.", region)
	case !slices.Contains(signed, "host") || !slices.Contains(signed, "x-amz-date"):
		return refuse(status, codes[1], "'Host' and 'X-Amz-Date' must be signed.")
	}
	mac := []byte("AWS4" + x.f.opt.Secret)
	for _, part := range []string{day, region, service, "aws4_request"} {
		mac = hash(mac, part)
	}
	scope := strings.Join([]string{day, region, service, "aws4_request"}, "/")
	text := "AWS4-HMAC-SHA256\n" + at.Format("20060102T150405Z") + "\n" + scope + "\n" + digest([]byte(x.canonical(signed)))
	if hex.EncodeToString(hash(mac, text)) != signature {
		return refuse(status, codes[1], "The request signature we calculated does not match the signature you provided.")
	}
	return nil
}

// canonical is the request as it is signed.
func (x *exchange) canonical(signed []string) string {
	path := x.r.URL.EscapedPath()
	if path == "" {
		path = "/"
	}
	lines := []string{x.r.Method, path, x.r.URL.Query().Encode()}
	for _, name := range signed {
		value := strings.Join(x.r.Header.Values(name), ",")
		switch name {
		case "host":
			value = x.r.Host
		case "content-length":
			value = strconv.FormatInt(x.r.ContentLength, 10)
		}
		lines = append(lines, name+":"+strings.Join(strings.Fields(value), " "))
	}
	return strings.Join(append(lines, "", strings.Join(signed, ";"), digest(x.body)), "\n")
}

func hash(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(text))
	return h.Sum(nil)
}

func digest(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// admit checks credentials, permissions and the pace. The lock is held.
func (x *exchange) admit() *refusal {
	if no := x.authentic(); no != nil {
		return no
	}
	if x.f.denied[x.o.name] {
		switch x.o.model.service {
		case "ec2":
			return refuse(http.StatusForbidden, "UnauthorizedOperation", "You are not authorized to perform this operation. User: arn:aws:iam::%s:user/tester "+
				"is not authorized to perform: ec2:%s because no identity-based policy allows it. Encoded authorization failure message: 4vSw-%s", account, x.o.name, x.id)
		case "sts":
			return refuse(http.StatusForbidden, "AccessDenied", "User: arn:aws:iam::%s:user/tester is not authorized to perform: sts:%s", account, x.o.name)
		}
		return refuse(http.StatusBadRequest, "AccessDeniedException", "User: arn:aws:iam::%s:user/tester is not authorized to perform: %s:%s", account, x.o.model.service, x.o.name)
	}
	if x.f.opt.Throttle {
		return x.throttled()
	}
	return nil
}
