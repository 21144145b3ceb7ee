package cli

import (
	"context"
	"errors"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"runctl"
)

func (a *app) providersCommand() *cobra.Command {
	var check bool
	c := newCommand("providers", "List what is configured, and from where", between(0, 0, "no arguments"),
		func(ctx context.Context, _ []string) error { return a.providers(ctx, check) })
	c.Flags().BoolVar(&check, "check", false, "ask each cloud whether it accepts us")
	return c
}

// providerRow is a provider, as far as it could be opened.
type providerRow struct {
	Name        string   `json:"name"`
	Default     bool     `json:"default"`
	Ready       bool     `json:"ready"`
	Credentials string   `json:"credentials"`
	Region      string   `json:"region"`
	EndsItself  *bool    `json:"ends_itself"`
	Can         []string `json:"can"`
	Problem     string   `json:"problem,omitempty"`

	provider runctl.Provider
}

func (a *app) providers(ctx context.Context, check bool) error {
	names := a.opt.providers
	if len(names) == 0 {
		names = a.reg.Names()
	}
	rows := make([]*providerRow, len(names))
	for i, n := range names {
		r := &providerRow{Name: n, Default: n == runctl.DefaultProvider}
		rows[i] = r
		p, err := a.openProvider(ctx, n)
		if u := (*usageError)(nil); errors.As(err, &u) {
			return err
		}
		if err != nil {
			r.Problem = problem(err)
			continue
		}
		r.describe(p)
	}
	failed := check && a.checkAll(ctx, rows)
	if a.opt.json {
		writeJSON(a.stdout, rows, true)
	} else {
		a.print(providerTable(rows))
	}
	if failed {
		return &exitError{code: exitFailed}
	}
	return nil
}

// describe fills in what the provider says of itself and what it implements.
func (r *providerRow) describe(p runctl.Provider) {
	i := p.Info()
	r.provider, r.Ready, r.Credentials, r.Region, r.EndsItself = p, true, i.Credentials, i.Region, &i.EndsItself
	if _, ok := runctl.As[runctl.Connector](p); ok {
		r.Can = append(r.Can, "shell")
	}
	if _, ok := runctl.As[runctl.JobRunner](p); ok {
		r.Can = append(r.Can, "job")
	}
	if _, ok := runctl.As[runctl.Stopper](p); ok {
		r.Can = append(r.Can, "stop")
	}
	if i.Markets&runctl.Spot != 0 {
		r.Can = append(r.Can, "spot")
	}
}

// checkTime bounds the question to one cloud.
const checkTime = 30 * time.Second

// checkAll lists the machines of every provider that could be opened, and reports whether one refused.
func (a *app) checkAll(ctx context.Context, rows []*providerRow) bool {
	ctx, cancel := context.WithTimeout(ctx, checkTime)
	defer cancel()
	var wg sync.WaitGroup
	for _, r := range rows {
		if r.provider == nil {
			continue
		}
		wg.Go(func() {
			if _, err := r.provider.List(ctx, runctl.ListQuery{}); err != nil {
				r.Ready, r.Problem = false, problem(err)
			}
		})
	}
	wg.Wait()
	for _, r := range rows {
		if r.provider != nil && !r.Ready {
			return true
		}
	}
	return false
}

// problem is an error without the provider's name, which stands in its own column.
func problem(err error) string {
	var e *runctl.Error
	if !errors.As(err, &e) {
		e = &runctl.Error{Err: err} // which masks what a provider lets through
	}
	c := *e
	c.Provider, c.ID, c.Key = "", "", ""
	return c.Error()
}

func providerTable(rows []*providerRow) *table {
	t := &table{head: []string{"PROVIDER", "READY", "CREDENTIALS", "REGION", "ENDS ITSELF", "CAN"}}
	for _, r := range rows {
		name, ready, ends, can := r.Name, "yes", unknown, unknown
		if r.Default {
			name += "*"
		}
		creds := r.Credentials
		if !r.Ready {
			ready, creds = "no", r.Problem
		}
		if r.EndsItself != nil {
			if ends = "NO"; *r.EndsItself {
				ends = "yes"
			}
			can = strings.Join(r.Can, " ")
		}
		t.add(name, ready, creds, r.Region, ends, can)
	}
	return t
}
