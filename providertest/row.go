package providertest

import "slices"

// Row is one rule of the contract.
type Row struct {
	Name  string   // Subject/Case: the name of its subtest, and the key in [Harness.Skip]
	Rule  string   // the contract
	Do    string   // what to do when it fails
	Needs []string // what the provider or the harness must offer; the row does not run without

	check func(*check)
}

// Things that rows need.
const (
	needHTTP       = "HTTP"
	needIdempotent = "Idempotent"
	needSpot       = "Spot"
	needStop       = "Stop"
	needShell      = "Connector"
	needPOSIX      = "POSIX shell"
	needJob        = "JobRunner"
	needExits      = "Exits"
	needNotify     = "Notifier"
	needStates     = "States"
	needWords      = "States on the wire"
	needStranger   = "Stranger"
	needHoldEnds   = "HoldEnds"
	needRefusals   = "Refusals"
	needBoots      = "Boots"
	needHosted     = "Hosted"
	needOwnFiles   = "files of its own"
)

// needs makes the list of a row's needs.
func needs(what ...string) []string { return what }

// Rows returns the whole contract, in order.
func Rows() []Row {
	return slices.Concat(infoRows, offerRows, launchRows, bootRows, doubtRows, refusalRows, getRows, listRows, terminateRows,
		errorRows, wireRows, callRows, stopRows, execRows, shellRows, uploadRows, jobRows)
}

// Outcomes of a row.
const (
	passed     = "ok"
	failed     = "failed"
	notOffered = "not offered"
	skipped    = "skipped"
)

// result is what became of a row.
type result struct {
	outcome string
	seen    string   // when failed
	lacks   []string // when not offered
}
