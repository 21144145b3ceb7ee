package providertest

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"runctl"
)

// shellRows are about jobs that are handed to a machine after its launch, by the client that users have.
var shellRows = []Row{
	{
		Name: "Shell/Job", Needs: needs(needShell, needPOSIX),
		Rule: "a machine takes jobs, one after the other; each has its log, and a receipt with its exit code",
		Do:   "give machines a POSIX sh and the usual base tools, and a directory that commands may write to and that stays: HOME, or RUNCTL_ROOT",
		check: func(c *check) {
			client, i := c.shell()
			for code, id := range map[int]string{0: "first", 3: "second"} {
				run, err := c.submit(client, i, id, Work{Log: jobLog, ExitCode: code})
				c.must("Submit", err)
				r := c.receipt(run)
				if r.ExitCode != code || r.Cause != runctl.CauseExit || r.LogBytes != int64(len(jobLog)) {
					c.failf("a job printed %d bytes and returned %d; its receipt says %d bytes, code %d, cause %q", len(jobLog), code, r.LogBytes, r.ExitCode, r.Cause)
				}
				for _, at := range []int{0, 37, len(jobLog)} {
					if got := c.text(run, int64(at)); got != jobLog[at:] {
						c.failf("a log of %d bytes, read from offset %d: %d bytes, the first %d as they should be", len(jobLog), at, len(got), alike([]byte(got), []byte(jobLog[at:])))
					}
				}
			}
		},
	},
	{
		Name: "Shell/Follow", Needs: needs(needShell, needPOSIX),
		Rule: "what a job prints can be followed while it goes on",
		Do:   "pass a command's output on as it comes, not when the command has ended",
		check: func(c *check) {
			client, i := c.shell()
			run := c.busy(client, i)
			ctx, cancel := context.WithCancel(c.ctx)
			seen := make(chan struct{})
			var all sync.WaitGroup
			all.Go(func() {
				var log strings.Builder
				for chunk, err := range run.Logs(ctx, runctl.LogQuery{Follow: true}) {
					if err != nil {
						return
					}
					if log.Write(chunk.Data); log.String() == jobLog {
						close(seen)
						return
					}
				}
			})
			limit := time.NewTimer(c.patience())
			defer limit.Stop()
			late := false
			select {
			case <-seen:
			case <-limit.C:
				late = true
			}
			cancel()
			all.Wait()
			c.stopRun(run)
			if late {
				c.failf("a job printed %d bytes and goes on; within %s not all of them came to who follows", len(jobLog), c.patience())
			}
		},
	},
	{
		Name: "Shell/Cancel", Needs: needs(needShell, needPOSIX),
		Rule: "a job that is cancelled is told so by TERM, and has the grace to save its work",
		Do:   "start commands with the usual signals: one that is ignored stays ignored in whatever the command starts",
		check: func(c *check) {
			client, i := c.shell()
			run := c.busy(client, i)
			c.must("Cancel", run.Cancel(c.ctx, 5*time.Second))
			if r := c.receipt(run); r.Succeeded() || r.Cause != runctl.CauseCancel || r.Signal == "KILL" {
				c.failf("a job that ends at once when it gets TERM was cancelled; its receipt says code %d, signal %q, cause %q", r.ExitCode, r.Signal, r.Cause)
			}
		},
	},
	{
		Name: "Shell/Download", Needs: needs(needShell, needPOSIX),
		Rule: "what a job has put out can be fetched, whole",
		Do:   "pass a command's output on byte for byte; a limit must be an error",
		check: func(c *check) {
			client, i := c.shell()
			const kib = 2048
			run, err := c.submit(client, i, "puts-out", Work{Log: "x\n", Output: kib})
			c.jobsRun(err)
			if !c.receipt(run).Succeeded() {
				c.lack("jobs that put something out")
			}
			to := c.t.TempDir()
			err = run.Download(c.ctx, "out", to)
			got, _ := os.ReadFile(filepath.Join(to, "out"))
			if want := bytes.Repeat([]byte("x"), kib<<10); err != nil || !bytes.Equal(got, want) {
				c.failf("a job put out a file of %d bytes; Download returned %s and %d bytes, the first %d as they should be", len(want), describe(err), len(got), alike(got, want))
			}
		},
	},
	{
		Name: "Shell/Attach", Needs: needs(needShell, needPOSIX),
		Rule: "another process finds a run that was started on a machine",
		Do:   "lead every connection to the same machine, with the same HOME or RUNCTL_ROOT",
		check: func(c *check) {
			client, i := c.shell()
			run := c.busy(client, i)
			again, err := c.client().Attach(c.ctx, run.Ref())
			c.must("Attach", err)
			s, err := again.Status(c.ctx)
			c.stopRun(run)
			if err != nil || s.Live != runctl.Alive {
				c.failf("a job goes on; through another connection Status returned %s, %s", s.Live, describe(err))
			}
		},
	},
	{
		Name: "Shell/OutlivesConnection", Needs: needs(needShell, needPOSIX),
		Rule: "a job goes on when the connection that started it has ended",
		Do:   "let Close end commands at most, not what has left their session",
		check: func(c *check) {
			first, i := c.shell()
			run := c.busy(first, i)
			again, err := c.client().Attach(c.ctx, run.Ref())
			if err == nil {
				_, err = again.Status(c.ctx)
			}
			if err != nil {
				c.lack("runs that are found again")
			}
			_ = first.Close()
			var s runctl.Status
			dead := within(2*quietTime, func() bool {
				s, err = again.Status(c.ctx)
				return err == nil && s.Live == runctl.Dead
			})
			if dead {
				c.failf("a job went on, and its starter's connection was closed; then Status returned %s (%s)", s.Live, s.Evidence)
			}
			c.stopRun(again)
		},
	},
	{
		Name: "Shell/OwnRuns", Needs: needs(needShell, needPOSIX),
		Rule: "runs of different machines never meet, whatever their ids",
		Do:   "where machines share a disk, give each a RUNCTL_ROOT of its own",
		check: func(c *check) {
			client, a := c.shell()
			one, err := c.submit(client, a, "same", Work{Log: "one\n"})
			c.jobsRun(err)
			c.receipt(one)
			_, b := c.launch()
			c.running(b.ID)
			two, err := c.submit(client, b, "same", Work{Log: "two\n"})
			if err != nil {
				c.failf("the first machine had a run of the id that another job has on the second; Submit there returned %s", describe(err))
			}
			c.receipt(two)
			if first, second := c.text(one, 0), c.text(two, 0); first != "one\n" || second != "two\n" {
				c.failf("two machines have a run of the same id; their logs are %q and %q", first, second)
			}
		},
	},
}

// client is one that users have, over the provider of the row.
func (c *check) client() *runctl.Client {
	return c.clientOver(entered{c.p, c.h.Access})
}

// clientOver is client over a provider that stands before that of the row.
func (c *check) clientOver(p runctl.Provider) *runctl.Client {
	client, err := runctl.New(runctl.Config{Owner: owner}, p)
	c.must("runctl.New", err)
	c.t.Cleanup(func() { _ = client.Close() })
	return client
}

// entered enters machines with the harness's key, not the client's.
type entered struct {
	runctl.Provider
	access runctl.Access
}

func (e entered) Connect(ctx context.Context, i runctl.Instance, a runctl.Access) (runctl.Machine, error) {
	con, _ := find[runctl.Connector](e.Provider)
	own := e.access
	own.HostKey = a.HostKey
	return con.Connect(ctx, i, own)
}

// shell launches a machine for jobs on the shell road.
func (c *check) shell() (*runctl.Client, runctl.Instance) {
	_, i := c.launch()
	c.running(i.ID)
	return c.client(), i
}

// submit hands a job to a machine.
func (c *check) submit(client *runctl.Client, i runctl.Instance, id string, w Work) (run *runctl.Run, err error) {
	_, key, _ := runctl.LabelOwner(i.Label)
	j := c.h.job(c.p, id, w)
	j.ID = id
	ctx, cancel := context.WithTimeout(c.ctx, 2*c.patience())
	defer cancel()
	return client.Submit(ctx, runctl.Ref{Provider: c.p.Info().Name, Owner: owner, Key: key, ID: i.ID}, j)
}

// jobsRun ends the check when a machine takes no jobs at all: that is another row's.
func (c *check) jobsRun(err error) {
	if err != nil {
		c.lack("machines that take jobs")
	}
}

// busy starts a job that goes on.
func (c *check) busy(client *runctl.Client, i runctl.Instance) *runctl.Run {
	run, err := c.submit(client, i, "goes-on", Work{Log: jobLog, Block: true})
	c.jobsRun(err)
	return run
}

// stopRun ends a job that a row is done with.
func (c *check) stopRun(run *runctl.Run) {
	_ = run.Cancel(c.ctx, 100*time.Millisecond)
	c.receipt(run)
}

// receipt waits for the end of a job that ends.
func (c *check) receipt(run *runctl.Run) runctl.Receipt {
	ctx, cancel := context.WithTimeout(c.ctx, 2*c.patience())
	defer cancel()
	r, err := run.Wait(ctx)
	var exit *runctl.ExitError
	if err != nil && !errors.As(err, &exit) {
		c.failf("a job ended; Wait returned %s", describe(err))
	}
	return r
}

// text is a run's log from an offset on.
func (c *check) text(run *runctl.Run, from int64) string {
	var log strings.Builder
	for chunk, err := range run.Logs(c.ctx, runctl.LogQuery{Offset: from}) {
		c.must("Logs", err)
		log.Write(chunk.Data)
	}
	return log.String()
}
