package job

import (
	"context"
	"strconv"
	"time"
)

// A lease is for a run that must not outlive its controller. The run's own supervisor holds it, by the machine's
// uptime alone: it ends at the latest of what was promised so far, first [Spec.Lease] after the run's start. A
// renewal quotes the uptime that its sender was shown, so that neither a slow network nor a repeated or forged
// request can lengthen it by more than the run asked for, and no clock is compared across machines.

// Renew promises that the caller was there when the machine's uptime was seen ([Status.Up] of a status of this run)
// and asks that the run be kept until seen+n. It returns the uptime at which the lease now ends, which is later when
// somebody promised more. A renewal that is late or repeated changes nothing and is no error. *[Refused] with
// [RefusedLease]: the run has no lease, it is ending, its lease is over, seen is later than the machine's uptime, or
// n is longer than the run's own lease. After any other error it is not known whether it took effect; the same call
// may be repeated.
func Renew(ctx context.Context, m Machine, run string, seen, n time.Duration) (until time.Duration, err error) {
	switch {
	case !validRun(run):
		return 0, &FieldError{"Run", "must be 1 to 64 of a-z, 0-9 and '-'"}
	case seen < 0 || seen > maxUptime:
		return 0, &FieldError{"seen", "is no uptime"}
	case n <= 0 || n > maxDuration:
		return 0, &FieldError{"n", "must be above 0 and at most ten years"}
	}
	lines, err := ask(ctx, m, nil, "renew", run, strconv.FormatInt(int64(seen/centi), 10), strconv.FormatInt(ceilMilli(n), 10))
	if err != nil {
		return 0, err
	}
	if len(lines) == 1 && lines[0].Kind == kindRenewed {
		if end, ok := lines[0].number("until"); ok && end >= 0 && end <= maxCentis {
			return time.Duration(end) * centi, nil
		}
	}
	return 0, errDamaged
}

const (
	centi     = 10 * time.Millisecond // of an uptime on the wire
	maxCentis = 1 << 39
	maxUptime = maxCentis * centi // 174 years
)
