package s3store

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/smithy-go"

	"runctl"
)

// SumError says that bytes are not those that their sum is of. What was received under a wrong sum never gets its
// file's name.
type SumError struct{ Key, Want, Got string }

// Error names the object and both sums.
func (e *SumError) Error() string {
	return fmt.Sprintf("%s: its sum is %s, and what came has %s", e.Key, e.Want, e.Got)
}

// TruncatedError says that a store gave fewer bytes of an object than it had announced.
type TruncatedError struct {
	Key       string
	Want, Got int64
}

// Error names the object and both lengths.
func (e *TruncatedError) Error() string {
	return fmt.Sprintf("%s: %d bytes were announced, and the store gives %d", e.Key, e.Want, e.Got)
}

var (
	errStuck   = errors.New("the store gives the same page again and again")
	errMute    = errors.New("the store did not answer in time")
	errSilent  = errors.New("the store sent nothing for a minute")
	errOver    = errors.New("somebody else has ended the upload")
	errChanged = errors.New("it changed meanwhile")
	errRange   = errors.New("the store sent another range than the one that was asked for")
)

// cutError is a connection that broke in the middle of a body.
type cutError struct{ err error }

func (e *cutError) Error() string { return "the connection was cut: " + e.err.Error() }
func (e *cutError) Unwrap() error { return e.err }

// codes are S3's words for what a repetition does not help against, or that say more than their status.
var codes = map[string]runctl.Kind{
	"NoSuchKey": runctl.ErrNotFound, "NotFound": runctl.ErrNotFound, "NoSuchBucket": runctl.ErrNotFound,
	"NoSuchUpload": runctl.ErrNotFound, "AccessDenied": runctl.ErrAuth, "Forbidden": runctl.ErrAuth,
	"InvalidAccessKeyId": runctl.ErrAuth, "SignatureDoesNotMatch": runctl.ErrAuth, "ExpiredToken": runctl.ErrAuth,
	"InvalidToken": runctl.ErrAuth, "RequestTimeTooSkewed": runctl.ErrAuth, "AccountProblem": runctl.ErrPayment,
	"SlowDown": runctl.ErrRateLimit, "QuotaExceeded": runctl.ErrQuota, "EntityTooLarge": runctl.ErrInvalid,
	"PreconditionFailed": runctl.ErrConflict,
	// a 400 that the line is to blame for
	"RequestTimeout": runctl.ErrUnavailable, "IncompleteBody": runctl.ErrUnavailable, "BadDigest": runctl.ErrUnavailable,
	"XAmzContentSHA256Mismatch": runctl.ErrUnavailable, "XAmzContentChecksumMismatch": runctl.ErrUnavailable,
}

// statuses are for replies without a code that is known.
var statuses = map[int]runctl.Kind{
	http.StatusBadRequest: runctl.ErrInvalid, http.StatusUnauthorized: runctl.ErrAuth, http.StatusPaymentRequired: runctl.ErrPayment,
	http.StatusForbidden: runctl.ErrAuth, http.StatusNotFound: runctl.ErrNotFound, http.StatusMethodNotAllowed: runctl.ErrInvalid,
	http.StatusPreconditionFailed: runctl.ErrConflict, http.StatusTooManyRequests: runctl.ErrRateLimit,
	http.StatusMovedPermanently: runctl.ErrInvalid, http.StatusTemporaryRedirect: runctl.ErrInvalid,
}

// code is the store's word for what it refused, empty for everything else.
func code(err error) string {
	var said smithy.APIError
	if errors.As(err, &said) {
		return said.ErrorCode()
	}
	return ""
}

func status(err error) int {
	var r *awshttp.ResponseError
	if errors.As(err, &r) {
		return r.HTTPStatusCode()
	}
	return 0
}

// kindOf classifies an error; empty for those of this computer.
func kindOf(err error) runctl.Kind {
	var e *runctl.Error
	var call *smithy.OperationError
	var cut *cutError
	var sum *SumError
	var short *TruncatedError
	switch {
	case errors.Is(err, errOver): // there can be another one
		return runctl.ErrUnavailable
	case errors.As(err, &e):
		return e.Kind
	case errors.Is(err, errChanged):
		return runctl.ErrConflict
	case errors.As(err, &sum), errors.As(err, &short), errors.Is(err, errStuck), errors.Is(err, errMute), errors.Is(err, errRange), errors.As(err, &cut):
		return runctl.ErrUnavailable
	case codes[code(err)] != "":
		return codes[code(err)]
	case statuses[status(err)] != "":
		return statuses[status(err)]
	case errors.As(err, &call):
		return runctl.ErrUnavailable
	}
	return ""
}

// fail makes the one error that callers see. A context's error stays what it is.
func (s *Store) fail(op, key string, err error) error {
	var e *runctl.Error
	if err == nil || errors.As(err, &e) {
		return err
	}
	what := fmt.Sprintf("s3://%s/%s%s", s.bucket, s.prefix, key)
	e = &runctl.Error{Op: "s3 " + op, Kind: kindOf(err), Msg: what + ": " + op + " failed", Err: err}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		e.Kind = ""
	}
	return e
}
