package cli

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"runctl"
)

// carryFlags say which objects of a store are on a job's machine before it starts, and what it leaves there.
type carryFlags struct {
	inputs, results []string
	checkpoints     string

	all []carried // what parse has read
}

func (c *carryFlags) add(f *pflag.FlagSet) {
	f.StringArrayVar(&c.inputs, "input", nil, "`ADDRESS=PATH`: an object, such as s3://bucket/data.tar, that lies below the job's directory before it starts; "+
		"with :unpack at the end a tar becomes the directory PATH; may be repeated")
	f.StringArrayVar(&c.results, "result", nil, "`PATH=ADDRESS`: a file or, as a tar, a directory that is brought to an object when the job has ended; "+
		". is all of $RUNCTL_OUTPUT_DIR; may be repeated")
	f.StringVar(&c.checkpoints, "checkpoints", "", "`ADDRESS` of the object that the last checkpoint is brought to when the job has ended, and that the job begins with")
}

// carried is what one of the flags says.
type carried struct {
	flag, address, path string
	unpack              bool
}

var address = regexp.MustCompile(`^[a-z][a-z0-9+.-]*://.`)

// parse refuses what is no address and no path, without showing it: an address may have been copied with a signature.
// Both may have a '='. The one that counts is the last, in a result the last before the address.
func (c *carryFlags) parse() error {
	c.all = nil
	for n, text := range c.inputs {
		at, path, _ := cutLast(text, "=")
		path, unpack := strings.CutSuffix(path, ":unpack")
		if !address.MatchString(at) || path == "" {
			return usagef("--input, the %s of them: write ADDRESS=PATH, as in --input s3://bucket/data.tar=data:unpack. %s", ordinal(n), nothing)
		}
		c.all = append(c.all, carried{"--input", at, path, unpack})
	}
	for n, text := range c.results {
		head, rest, ok := strings.Cut(text, "://")
		path, scheme, _ := cutLast(head, "=")
		at := scheme + "://" + rest
		if !ok || !address.MatchString(at) || path == "" {
			return usagef("--result, the %s of them: write PATH=ADDRESS, as in --result model.bin=s3://bucket/model.bin. %s", ordinal(n), nothing)
		}
		c.all = append(c.all, carried{flag: "--result", address: at, path: path})
	}
	if c.checkpoints != "" {
		if !address.MatchString(c.checkpoints) {
			return usagef("--checkpoints: write an address, as in --checkpoints s3://bucket/checkpoint.tar. %s", nothing)
		}
		c.all = append(c.all, carried{flag: "--checkpoints", address: c.checkpoints})
	}
	return nil
}

// cutLast cuts s around the last sep.
func cutLast(s, sep string) (before, after string, found bool) {
	if n := strings.LastIndex(s, sep); n >= 0 {
		return s[:n], s[n+len(sep):], true
	}
	return s, "", false
}

func ordinal(n int) string {
	names := []string{"first", "second", "third"}
	if n < len(names) {
		return names[n]
	}
	return fmt.Sprintf("%dth", n+1)
}

// carry gives the job the places that its flags name.
func (x *session) carry(ctx context.Context, job *runctl.Job, all []carried) error {
	if len(all) == 0 {
		return nil
	}
	stores, missing := x.placers(ctx)
	for _, c := range all {
		place, err := placeAt(ctx, stores, c.address)
		if err == nil && place == nil {
			scheme, _, _ := strings.Cut(c.address, "://")
			text := fmt.Sprintf("%s: no provider that is configured here keeps objects at %s:// addresses", c.flag, scheme)
			if missing != nil {
				text += "; " + missing.Error()
			}
			return &explained{text + ". " + nothing, errors.ErrUnsupported}
		}
		if err != nil {
			return fmt.Errorf("%s: %w. %s", c.flag, err, nothing)
		}
		switch c.flag {
		case "--input":
			job.Inputs = append(job.Inputs, runctl.Input{From: place, To: c.path, Unpack: c.unpack})
		case "--result":
			job.Results = append(job.Results, runctl.Result{From: c.path, To: place})
		case "--checkpoints":
			job.Checkpoints = place
		}
	}
	return nil
}

// placers are the providers that may know an address: those that the job's machine comes from, the default one, and all others
// that can be opened. So a bucket is of use to jobs anywhere. Missing says why the default one cannot be asked.
func (x *session) placers(ctx context.Context) (stores []runctl.Placer, missing error) {
	providers := x.client.Providers()
	for _, name := range append([]string{runctl.DefaultProvider}, x.reg.Names()...) {
		if slices.ContainsFunc(providers, func(p runctl.Provider) bool { return p.Info().Name == name }) || !slices.Contains(x.reg.Names(), name) {
			continue
		}
		p, err := x.openProvider(ctx, name)
		if err == nil {
			providers = append(providers, p)
		} else if name == runctl.DefaultProvider && missing == nil {
			missing = err
		}
	}
	for _, p := range providers {
		if s, ok := runctl.As[runctl.Placer](p); ok {
			stores = append(stores, s)
		}
	}
	return stores, missing
}

// placeAt asks the stores in their order. Without a place and without an error none of them knows such addresses.
func placeAt(ctx context.Context, stores []runctl.Placer, at string) (runctl.Place, error) {
	for _, s := range stores {
		place, err := s.Place(ctx, at)
		if !errors.Is(err, errors.ErrUnsupported) {
			return place, err
		}
	}
	return nil, nil
}

// carries reports whether a job needs a machine that carries for it.
func carries(j runctl.Job) bool { return len(j.Inputs)+len(j.Results) > 0 || j.Checkpoints != nil }
