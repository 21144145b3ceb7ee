package cli

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"runctl"
)

// closing says, as the last word of run and attach, how the run ended, what it cost, and where things are.
func (x *session) closing(rec *record, res *result) {
	if x.opt.json {
		f := map[string]any{"run": rec.Name, "outcome": res.outcome, "exit_code": res.code, "receipt": res.receipt, "ref": rec.Ref,
			"cost": toMoney(res.cost), "terminated": res.terminated, "log": rec.Log, "outputs": rec.OutDir, "record": x.recordPath(rec.Name)}
		if res.note != "" {
			f["note"] = res.note
		}
		x.json.event("result", f)
	}
	if res.err != nil {
		x.say.warnf("%s: %v", rec.Name, res.err)
	}
	x.hint(rec, res)
	x.say.sayf("%s", x.closingText(rec, res))
	if res.err != nil && res.code == exitDoubt {
		x.say.warnf("%s: something may still bill (exit %d); key %s\n%s", rec.Name, exitDoubt, rec.Ref.Key, followUp(rec))
	}
}

func (x *session) closingText(rec *record, res *result) string {
	parts := []string{x.endText(rec, res)}
	if c := x.costPart(rec, res); c != "" {
		parts[0] += ", " + c
	}
	if res.terminated && !rec.free() {
		parts = append(parts, fmt.Sprintf("terminated %s, confirmed by %s", x.clock(res.ended), rec.Ref.Provider))
	}
	if res.uncollected && res.code == exitRunctl {
		parts = append(parts, fmt.Sprintf("not everything was collected (exit %d)", res.code))
	}
	if res.note != "" {
		parts = append(parts, res.note)
	}
	if rec.Log != "" {
		what := "log"
		if files, _ := os.ReadDir(rec.OutDir); len(files) > 1 {
			what = "log and outputs"
		}
		parts = append(parts, what+": "+x.pathText(rec.OutDir)+"/", "record: "+x.pathText(x.recordPath(rec.Name)))
	}
	return strings.Join(parts, "; ")
}

// hint says what to look at when the command itself was the mistake.
func (x *session) hint(rec *record, res *result) {
	if res.receipt == nil || len(rec.Args) == 0 {
		return
	}
	switch res.receipt.Cause {
	case runctl.CauseNotFound:
		x.say.warnf("%s: not found on the machine (exit %d). Is it installed there, and on the PATH?", rec.Args[0], exitNotFound)
	case runctl.CauseNotExec:
		x.say.warnf("%s: cannot be run on the machine (exit %d). Is it an executable made for it?", rec.Args[0], exitNotExec)
	}
}

// endText is how the run ended and its exit code.
func (x *session) endText(rec *record, res *result) string {
	r := res.receipt
	if r == nil {
		return fmt.Sprintf("lost, exit %d", res.code)
	}
	took := durText(max(r.Ended.Sub(r.Started).Round(time.Second), time.Second)) // some clocks have whole seconds
	own := ""
	if r.Signal != "" {
		own = ", signal " + r.Signal
	}
	switch r.Cause {
	case runctl.CauseExit, runctl.CauseSignal:
		if r.ExitCode >= exitDoubt && r.ExitCode <= exitNotFound {
			own += ", the job's own"
		}
		if r.Succeeded() {
			return fmt.Sprintf("succeeded in %s, exit 0", took)
		}
		return fmt.Sprintf("failed after %s, exit %d%s", took, r.ExitCode, own)
	}
	if r.Cause == runctl.CauseNotFound || r.Cause == runctl.CauseNotExec {
		return fmt.Sprintf("%s, exit %d", res.outcome, res.code)
	}
	if r.ExitCode != res.code && !res.uncollected {
		own += fmt.Sprintf("; the job left with %d", r.ExitCode)
	}
	return fmt.Sprintf("%s after %s, exit %d%s", res.outcome, took, res.code, own)
}

// costPart is what the machine cost, and how that comes about.
func (x *session) costPart(rec *record, res *result) string {
	switch {
	case rec.ByHand || rec.Offer == nil || res.took == 0 && !rec.free():
		return ""
	case rec.free() && x.inPlace(rec.Ref.Provider):
		return "cost none (own machine)"
	case rec.free():
		return "cost none"
	case !res.cost.Known():
		return "cost unknown"
	}
	p := rec.Offer.price()
	seen := ""
	if !p.At.IsZero() {
		seen = ", price seen " + x.clock(p.At)
	}
	return fmt.Sprintf("%s (%s × %s/h%s)", costText(res.cost), durText(res.took.Truncate(time.Second)), moneyText(p.Hourly), seen)
}

// named returns the session's providers of a name: one, or none.
func (x *session) named(name string) []runctl.Provider {
	return slices.DeleteFunc(x.client.Providers(), func(p runctl.Provider) bool { return p.Info().Name != name })
}

// inPlace reports whether the provider's machine is this computer.
func (x *session) inPlace(name string) bool {
	return slices.ContainsFunc(x.named(name), func(p runctl.Provider) bool { return p.Info().InPlace })
}
