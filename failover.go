package runctl

import "errors"

// mayFailOver reports whether another offer may be tried: only after a certain refusal for want of
// capacity or quota that does not condemn the request itself.
func mayFailOver(err error) bool {
	var e *Error
	return errors.As(err, &e) && e.NotStarted && e.Scope != ScopeRequest && (e.Kind == ErrCapacity || e.Kind == ErrQuota)
}

// blocked reports whether an earlier refusal covers o.
func blocked(o Offer, refusals []error, tried []Offer) bool {
	for n, err := range refusals {
		var e *Error
		if !errors.As(err, &e) || tried[n].Provider != o.Provider {
			continue
		}
		t := tried[n]
		switch e.Scope {
		case ScopeZone:
			if t.Region == o.Region && t.Zone == o.Zone && t.Type == o.Type && t.Market == o.Market {
				return true
			}
		case ScopeRegion:
			if t.Region == o.Region && t.Type == o.Type && t.Market == o.Market {
				return true
			}
		case ScopeAccount, ScopeProvider:
			return true
		}
	}
	return false
}
