package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
)

// maxSteps bounds --steps and every other flag that counts steps.
const maxSteps = 1_000_000_000

// Options is what one invocation was asked to do.
type Options struct {
	Steps           int           // train until this step
	Every           int           // steps between two lines of progress
	CheckpointEvery int           // steps between two checkpoints, 0 for only the last
	Seed            uint64        // where all randomness comes from
	LR              float64       // Adam's step size
	Dir             string        // where checkpoints go
	Out             string        // where the final model goes
	Pause           time.Duration // rest after each step
	FailAt          int           // step at which to fail, 0 for never
	Resume          string        // checkpoint file or directory to continue, or ""
}

// Config returns the part of the options that decides which numbers the
// training sees; two runs may share checkpoints only if it is equal.
func (o Options) Config() Config {
	return Config{
		Task:   taskName,
		Layers: []int{inputs, hidden, hidden, classes},
		Batch:  batchSize,
		Seed:   o.Seed,
		LR:     o.LR,
	}
}

// flagSpec describes one flag: how it is listed, and how its text is taken.
type flagSpec struct {
	name, value, help string
	wants             string // what is allowed, for the message about a bad value
	set               func(o *Options, text string) bool
}

// flagSpecs lists every flag in the order the usage text shows them.
var flagSpecs = []flagSpec{
	{"steps", "N", "train until step N (default 3000)", "a whole number from 1 to 1000000000",
		func(o *Options, s string) bool { return setInt(&o.Steps, s, 1) }},
	{"every", "N", "print the loss every N steps (default 100)", "a whole number from 1 to 1000000000",
		func(o *Options, s string) bool { return setInt(&o.Every, s, 1) }},
	{"checkpoint-every", "N", "save a checkpoint every N steps, 0 for only at the end (default 200)",
		"a whole number from 0 to 1000000000",
		func(o *Options, s string) bool { return setInt(&o.CheckpointEvery, s, 0) }},
	{"seed", "N", "seed of the weights and of the data (default 1)", "a whole number from 0 to 18446744073709551615",
		func(o *Options, s string) bool {
			v, err := strconv.ParseUint(s, 10, 64)
			o.Seed = v
			return err == nil
		}},
	{"lr", "X", "learning rate (default 0.003)", "a number greater than 0 and at most 1",
		func(o *Options, s string) bool {
			v, err := strconv.ParseFloat(s, 64)
			o.LR = v
			return err == nil && v > 0 && v <= 1
		}},
	{"dir", "DIR", "checkpoint directory (default $RUNCTL_CHECKPOINT_DIR, else ./checkpoints)", "the path of a directory",
		func(o *Options, s string) bool { o.Dir = s; return s != "" }},
	{"out", "DIR", "directory of the final model (default $RUNCTL_OUTPUT_DIR, else ./outputs)", "the path of a directory",
		func(o *Options, s string) bool { o.Out = s; return s != "" }},
	{"pause", "D", "rest this long after each step, such as 50ms (default 0)", "a duration of 0 or more, such as 50ms or 1s",
		func(o *Options, s string) bool {
			v, err := time.ParseDuration(s)
			o.Pause = v
			return err == nil && v >= 0
		}},
	{"fail-at", "N", "exit 3 once step N is done, after its checkpoint if one is due; 0 for never (default 0)",
		"a whole number from 0 to the value of --steps",
		func(o *Options, s string) bool { return setInt(&o.FailAt, s, 0) }},
}

// setInt stores text in dst if it is a whole number from least to [maxSteps].
func setInt(dst *int, text string, least int) bool {
	v, err := strconv.Atoi(text)
	*dst = v
	return err == nil && v >= least && v <= maxSteps
}

// parseOptions reads the arguments, and the environment for what they leave
// open. Its errors are one line that names the flag and what is allowed; for
// --help the error is [flag.ErrHelp].
func parseOptions(args []string, getenv func(string) string) (Options, error) {
	o := Options{
		Steps:           3000,
		Every:           100,
		CheckpointEvery: 200,
		Seed:            1,
		LR:              0.003,
		Dir:             orElse(getenv("RUNCTL_CHECKPOINT_DIR"), "checkpoints"),
		Out:             orElse(getenv("RUNCTL_OUTPUT_DIR"), "outputs"),
		Resume:          getenv("RUNCTL_RESUME"),
	}
	fs := flag.NewFlagSet("train", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	var bad error
	for _, spec := range flagSpecs {
		fs.Func(spec.name, spec.help, func(text string) error {
			if !spec.set(&o, text) {
				bad = fmt.Errorf("--%s %q: want %s", spec.name, text, spec.wants)
			}
			return bad
		})
	}
	if err := fs.Parse(args); err != nil {
		if bad != nil {
			return Options{}, bad
		}
		return Options{}, explainFlagError(err)
	}
	if fs.NArg() > 0 {
		return Options{}, fmt.Errorf("argument %q: want only flags (%s)", fs.Arg(0), flagNames())
	}
	if o.FailAt > o.Steps {
		return Options{}, fmt.Errorf("--fail-at %q: want a whole number from 0 to the value of --steps, here %d",
			strconv.Itoa(o.FailAt), o.Steps)
	}
	return o, nil
}

// explainFlagError puts what the flag package found wrong into words that say
// what is allowed instead.
func explainFlagError(err error) error {
	if errors.Is(err, flag.ErrHelp) {
		return err
	}
	text := err.Error()
	if name, ok := strings.CutPrefix(text, "flag needs an argument: -"); ok {
		for _, spec := range flagSpecs {
			if spec.name == name {
				return fmt.Errorf("--%s has no value: want %s", name, spec.wants)
			}
		}
	}
	if name, ok := strings.CutPrefix(text, "flag provided but not defined: -"); ok {
		return fmt.Errorf("%q: no such flag, want one of %s", "--"+name, flagNames())
	}
	return fmt.Errorf("%s: want flags of the form --name value (%s)", text, flagNames())
}

// flagNames lists the flags for a message.
func flagNames() string {
	names := make([]string, len(flagSpecs))
	for i, spec := range flagSpecs {
		names[i] = "--" + spec.name
	}
	return strings.Join(names, ", ")
}

// usage is the text of --help.
func usage() string {
	var b strings.Builder
	b.WriteString("Usage: train [flags]\n\nTrains a small network on spirals; resumes from $RUNCTL_RESUME, else from\nthe last checkpoint in --dir.\n\n")
	for _, spec := range flagSpecs {
		fmt.Fprintf(&b, "  %-22s %s\n", "--"+spec.name+" "+spec.value, spec.help)
	}
	return b.String()
}

// orElse returns value, or fallback if value is empty.
func orElse(value, fallback string) string {
	if value == "" {
		return fallback
	}
	return value
}
