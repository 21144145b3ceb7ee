package aws

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"strings"
	"time"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"runctl"
	"runctl/rest"
)

// rule is what an error code means. Every code in the table proves that the refused request has started nothing, but for
// those with mayRun.
type rule struct {
	kind   runctl.Kind
	scope  runctl.Scope
	mayRun bool
	hint   string // for a person: what to do; empty: the cloud's words speak for themselves
}

var (
	full     = rule{kind: runctl.ErrCapacity, scope: runctl.ScopeZone, hint: "none left of this type in this zone now"}
	quota    = rule{kind: runctl.ErrQuota, scope: runctl.ScopeRegion, hint: "the account's own limit is reached: end something, or ask for more in the Service Quotas console"}
	keys     = rule{kind: runctl.ErrAuth, scope: runctl.ScopeAccount, hint: "the credentials are not accepted: run aws sts get-caller-identity, or aws sso login"}
	denied   = rule{kind: runctl.ErrAuth, scope: runctl.ScopeAccount, hint: "the credentials lack a permission"}
	tooFast  = rule{kind: runctl.ErrRateLimit, scope: runctl.ScopeAccount}
	broken   = rule{kind: runctl.ErrUnavailable, mayRun: true}
	wrong    = rule{kind: runctl.ErrInvalid, scope: runctl.ScopeRequest}
	unknown  = rule{kind: runctl.ErrNotFound, scope: runctl.ScopeRequest}
	conflict = rule{kind: runctl.ErrConflict, scope: runctl.ScopeRequest}
)

// codes are those of EC2, SSM, STS and S3, from their documents and from what users have reported. A code that is neither
// here nor in prefixes proves nothing.
var codes = map[string]rule{
	// EC2 says the first with a status of 500, and means it.
	"InsufficientInstanceCapacity": full, "InsufficientHostCapacity": full, "InsufficientReservedInstanceCapacity": full,
	"InsufficientCapacityOnHost": full, "ReservationCapacityExceeded": full, "InsufficientCapacity": full,
	"InsufficientVolumeCapacity": full, "InsufficientAddressCapacity": full,
	"InsufficientFreeAddressesInSubnet": {kind: runctl.ErrCapacity, scope: runctl.ScopeZone, hint: "the subnet has no address left"},
	"SpotMaxPriceTooLow":                {kind: runctl.ErrCapacity, scope: runctl.ScopeZone, hint: "the spot price is above the ceiling: raise MaxHourly, or take another zone or type"},
	"Unsupported":                       {kind: runctl.ErrCapacity, scope: runctl.ScopeZone, hint: "EC2 does not have this type, with these options, in this zone"},

	"VcpuLimitExceeded": quota, "InstanceLimitExceeded": quota, "MaxSpotInstanceCountExceeded": quota, "VolumeLimitExceeded": quota,
	"VolumeIOPSLimit": quota, "MaxIOPSLimitExceeded": quota, "AddressLimitExceeded": quota, "NetworkInterfaceLimitExceeded": quota,
	"SecurityGroupLimitExceeded": quota, "RulesPerSecurityGroupLimitExceeded": quota, "SecurityGroupsPerInterfaceLimitExceeded": quota,
	"AttachmentLimitExceeded": quota, "ResourceLimitExceeded": quota, "TagLimitExceeded": wrong, "PendingVerification": quota,

	"AuthFailure": keys, "InvalidClientTokenId": keys, "SignatureDoesNotMatch": keys, "IncompleteSignature": keys, "InvalidAccessKeyId": keys,
	"MissingAuthenticationToken": keys, "UnrecognizedClientException": keys, "InvalidSignatureException": keys, "NotAuthorized": keys,
	"ExpiredToken": keys, "ExpiredTokenException": keys, "TokenRefreshRequired": keys, "RequestExpired": keys, "RequestTimeTooSkewed": keys,
	"InvalidIdentityToken": keys, "IDPRejectedClaim": keys, "InvalidToken": keys, "MissingAuthenticationTokenException": keys,
	"UnauthorizedOperation": denied, "AccessDenied": denied, "AccessDeniedException": denied, "OptInRequired": denied, "RegionDisabledException": denied,
	"SubscriptionRequiredException": denied, "AllAccessDisabled": denied,
	"Blocked": {kind: runctl.ErrPayment, scope: runctl.ScopeAccount, hint: "AWS has blocked the account: its support says why"},

	"RequestLimitExceeded": tooFast, "Throttling": tooFast, "ThrottlingException": tooFast, "ThrottledException": tooFast, "RequestThrottled": tooFast,
	"RequestThrottledException": tooFast, "TooManyRequestsException": tooFast, "EC2ThrottledException": tooFast, "SlowDown": tooFast,
	"BandwidthLimitExceeded": tooFast, "ProvisionedThroughputExceededException": tooFast, "TooManyUpdates": tooFast,

	"InternalError": broken, "InternalFailure": broken, "InternalServerError": broken, "Unavailable": broken, "ServiceUnavailable": broken,
	"RequestTimeout": broken, "OperationAborted": broken, "InternalServiceError": broken, "InternalErrorException": broken,

	// The token was seen with another request. By the label in it that was this launch, as another process of the owner
	// sent it: its machine is somewhere.
	"IdempotentParameterMismatch": {kind: runctl.ErrConflict, mayRun: true, hint: "an earlier launch with this key was a different request; its machine may run"},
	"IdempotentInstanceTerminated": {kind: runctl.ErrConflict, scope: runctl.ScopeRequest,
		hint: "the machine that this very launch had started has ended: a new attempt needs a new key"},
	"IdempotentRequestInProgress": {kind: runctl.ErrUnavailable, mayRun: true}, "ConcurrentModification": {kind: runctl.ErrUnavailable, mayRun: true},

	"InvalidInstanceID.NotFound": unknown, "InvalidInstanceID.Malformed": unknown, "InvalidInstanceId": unknown, "InvocationDoesNotExist": unknown,
	"ParameterNotFound": unknown, "NoSuchBucket": unknown, "NoSuchKey": unknown, "NotFound": unknown, "InvalidVolume.NotFound": unknown,
	"InvalidGroup.NotFound": unknown, "InvalidSecurityGroupID.NotFound": unknown, "InvalidPermission.NotFound": unknown, "TargetNotConnected": broken,

	"IncorrectInstanceState": conflict, "IncorrectState": conflict, "VolumeInUse": conflict, "DependencyViolation": conflict,
	"ResourceInUse": conflict, "InvalidGroup.Duplicate": conflict, "InvalidPermission.Duplicate": conflict, "InvalidGroup.InUse": conflict,
	"InvalidInstanceID": conflict, "BucketAlreadyExists": conflict, "BucketAlreadyOwnedByYou": conflict, "PreconditionFailed": conflict,
	"OperationNotPermitted": {kind: runctl.ErrConflict, scope: runctl.ScopeRequest, hint: "the machine is protected against this; somebody has turned that on"},

	"UnsupportedOperation": wrong, "VPCIdNotSpecified": {kind: runctl.ErrInvalid, scope: runctl.ScopeRequest, hint: "the account has no default VPC here: set Subnets"},
	"MissingInput":     {kind: runctl.ErrCapacity, scope: runctl.ScopeZone, hint: "the default VPC has no subnet in this zone"},
	"UnknownParameter": wrong, "ValidationError": wrong, "ValidationException": wrong, "MalformedQueryString": wrong,
	"UnsupportedInstanceType": wrong, "UnsupportedHibernationConfiguration": wrong, "EncryptedVolumesNotSupported": wrong,
	"OperationNotSupported": wrong, "NonEBSInstance": wrong, "SnapshotCopyUnsupported": wrong, "AccountDisabled": keys, "Client.InvalidAMIID": wrong,
}

// prefixes are families of codes; none begins another.
var prefixes = map[string]rule{"Invalid": wrong, "Missing": wrong, "Malformed": wrong}

// statuses are what is left to go by when a reply has no code that can be read.
var statuses = map[int]rule{http.StatusTooManyRequests: tooFast, http.StatusUnauthorized: keys, http.StatusForbidden: denied}

// classify makes the [runctl.Error] of an SDK's error, which stays in its chain. What proves nothing stays as it is.
func classify(err error) error {
	if err == nil {
		return nil
	}
	var ours *runctl.Error
	if errors.As(err, &ours) {
		return err
	}
	var api smithy.APIError
	var reply *smithyhttp.ResponseError
	status := 0
	if errors.As(err, &reply) && reply.Response != nil && reply.Response.Response != nil {
		status = reply.HTTPStatusCode()
	}
	if errors.As(err, &api) {
		if r, ok := ruleOf(api.ErrorCode(), status); ok {
			return &runctl.Error{Kind: r.kind, Scope: r.scope, NotStarted: !r.mayRun, RetryAfter: after(reply), Msg: r.hint, Err: err}
		}
	} else if r, ok := statuses[status]; ok {
		return &runctl.Error{Kind: r.kind, Scope: r.scope, NotStarted: !r.mayRun, RetryAfter: after(reply), Msg: r.hint, Err: err}
	}
	switch {
	case status != 0 || !unsent(err):
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return &runctl.Error{NotStarted: true, Err: err}
	default:
		return &runctl.Error{Kind: runctl.ErrUnavailable, NotStarted: true, Msg: "AWS cannot be reached", Err: err}
	}
	return err
}

// ruleOf finds what a code means. Some clouds like EC2 put "Client." or "Server." before it.
func ruleOf(code string, status int) (rule, bool) {
	code = strings.TrimPrefix(strings.TrimPrefix(code, "Client."), "Server.")
	if r, ok := codes[code]; ok {
		return r, true
	}
	for p, r := range prefixes {
		if strings.HasPrefix(code, p) && status < 500 {
			return r, true
		}
	}
	r, ok := statuses[status]
	return r, ok
}

// codeOf is the code of an error, "" without one.
func codeOf(err error) string {
	var api smithy.APIError
	if errors.As(err, &api) {
		return api.ErrorCode()
	}
	return ""
}

// after is how long a reply asks to be left alone.
func after(reply *smithyhttp.ResponseError) time.Duration {
	if reply == nil || reply.Response == nil || reply.Response.Response == nil {
		return 0
	}
	return rest.RetryAfter(reply.Response.Header)
}

// unsent reports whether the request cannot have reached anybody: no connection came about.
func unsent(err error) bool {
	var op *net.OpError
	var cert *tls.CertificateVerificationError
	return errors.As(err, &op) && op.Op == "dial" || errors.As(err, &cert)
}

// beforehand marks an error of what comes before the launch request: nothing was started, whatever it was.
func beforehand(err error) error {
	err = classify(err)
	var e *runctl.Error
	if !errors.As(err, &e) {
		return &runctl.Error{Kind: runctl.ErrUnavailable, NotStarted: true, Err: err}
	}
	c := *e
	c.NotStarted = true
	if c.Kind == runctl.ErrNotFound { // what the launch names, not a machine
		c.Kind, c.Scope = runctl.ErrInvalid, runctl.ScopeRequest
	}
	return &c
}

// chain is the SDK's own chain of credentials, with errors that say what they are. A request without credentials is
// never sent.
type chain struct{ awssdk.CredentialsProvider }

// Retrieve implements [awssdk.CredentialsProvider].
func (c *chain) Retrieve(ctx context.Context) (awssdk.Credentials, error) {
	v, err := c.CredentialsProvider.Retrieve(ctx)
	if err == nil {
		return v, nil
	}
	if ctx.Err() != nil {
		return v, &runctl.Error{NotStarted: true, Err: err}
	}
	return v, &runctl.Error{Kind: runctl.ErrAuth, Scope: runctl.ScopeAccount, NotStarted: true, Err: err,
		Msg: "no AWS credentials could be had: set AWS_PROFILE, or run aws configure or aws sso login"}
}
