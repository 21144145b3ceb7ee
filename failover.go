package runctl

import "errors"

// mayFailOver reports whether another offer may be tried: only after a certain refusal for want of
// capacity or quota that does not condemn the request itself, or of something that this one offer cannot do.
func mayFailOver(err error) bool {
	var e *Error
	switch {
	case !errors.As(err, &e) || !e.NotStarted:
		return false
	case e.Kind == ErrCapacity || e.Kind == ErrQuota:
		return e.Scope != ScopeRequest
	}
	return e.Scope == ScopeOffer && errors.Is(err, errors.ErrUnsupported)
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
