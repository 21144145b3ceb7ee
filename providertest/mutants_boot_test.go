package providertest

import (
	"bytes"
	"context"
	"errors"

	"runctl"
	"runctl/internal/toycloud"
)

var bootMutants = []mutant{
	{"boot script dropped", "Launch/Boot", func(w *wrong) {
		w.changeRequest(func(req *runctl.LaunchRequest) { req.Boot = nil })
	}},
	{"boot script cut at 16 KiB", "Launch/Boot", func(w *wrong) {
		w.changeRequest(func(req *runctl.LaunchRequest) { req.Boot = req.Boot[:min(len(req.Boot), 16<<10)] })
	}},
	{"boot script of an earlier launch", "Launch/Boot", func(w *wrong) {
		w.changeRequest(func(req *runctl.LaunchRequest) {
			req.Boot = bytes.ReplaceAll(req.Boot, []byte(" guard 3000000 "), []byte(" guard 900000000 "))
		})
	}},
	{"host key not compared", "Exec/HostKey", func(w *wrong) {
		w.changeAccess(func(a *runctl.Access) { a.HostKey = "" }, nil)
	}},
	{"host key that is wrong is any failure", "Exec/HostKey", func(w *wrong) {
		w.changeAccess(nil, func(err error) error {
			if errors.Is(err, runctl.ErrHostKey) {
				return errors.New("handshake failed")
			}
			return err
		})
	}},
	{"host key that is right is refused", "Exec/HostKey", func(w *wrong) {
		w.changeAccess(func(a *runctl.Access) {
			if a.HostKey != "" {
				a.HostKey += "="
			}
		}, nil)
	}},
	{"host key of each connection", "Exec/HostKey", func(w *wrong) {
		w.connect = func(ctx context.Context, i runctl.Instance, a runctl.Access) (runctl.Machine, error) {
			m, err := w.Provider.Connect(ctx, i, a)
			if err != nil {
				return nil, err
			}
			other := i
			if a.HostKey != "" {
				other.ID += "-2"
			}
			return wrongKey{wrongMachine{m, w, i.ID}, w.host(other.ID)}, nil
		}
	}},
	{"fingerprint in hex", "Exec/HostKey", func(w *wrong) {
		w.connect = func(ctx context.Context, i runctl.Instance, a runctl.Access) (runctl.Machine, error) {
			m, err := w.Provider.Connect(ctx, i, a)
			if err != nil {
				return nil, err
			}
			return wrongKey{wrongMachine{m, w, i.ID}, "4f:2a:91"}, nil
		}
	}},
}

// changeAccess edits what Connect is told, and the error that it returns.
func (w *wrong) changeAccess(told func(*runctl.Access), said func(error) error) {
	w.connect = func(ctx context.Context, i runctl.Instance, a runctl.Access) (runctl.Machine, error) {
		if told != nil {
			told(&a)
		}
		m, err := w.Provider.Connect(ctx, i, a)
		if err != nil {
			if said != nil {
				err = said(err)
			}
			return nil, err
		}
		return wrongMachine{m, w, i.ID}, nil
	}
}

// host is the key that a machine of this id would have.
func (w *wrong) host(id string) string {
	key, _ := (&toycloud.Machine{Cloud: w.Cloud, ID: id}).HostKey()
	return key
}

// wrongKey is a machine that shows a key.
type wrongKey struct {
	wrongMachine
	key string
}

func (k wrongKey) HostKey() (string, runctl.HostTrust) { return k.key, runctl.TrustRead }
