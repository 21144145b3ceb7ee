package providertest

import (
	"context"
	"errors"
	"strings"
	"time"

	"runctl"
)

// jobLog is what jobs of the suite print: long enough for several pieces.
var jobLog = strings.Repeat("step 0123456789\n", 20)

// jobRows are about jobs that go in with the launch.
var jobRows = []Row{
	{
		Name: "Job/ExitCode", Needs: needs(needJob),
		Rule: "the receipt has the job's exit code, and CauseExit for a job that returned",
		Do:   "take the code from the cloud's record; without one there is no receipt",
		check: func(c *check) {
			for _, code := range []int{0, 3} {
				_, proc := c.start(Work{Log: "x\n", ExitCode: code})
				s := c.wait(proc)
				if s.Receipt.ExitCode != code || s.Receipt.Cause != runctl.CauseExit {
					c.failf("a job returned %d; its receipt says code %d, cause %q", code, s.Receipt.ExitCode, s.Receipt.Cause)
				}
			}
		},
	},
	{
		Name: "Job/Dead", Needs: needs(needJob),
		Rule: "a job with a receipt is Dead, with evidence, from Wait and from Status",
		Do:   "fill in Live, Evidence and At",
		check: func(c *check) {
			_, proc := c.start(Work{Log: "x\n"})
			waited := c.wait(proc)
			looked, err := c.status(proc)
			c.must("Status", err)
			for from, s := range map[string]runctl.Status{"Wait": waited, "Status": looked} {
				if s.Live != runctl.Dead || s.Receipt == nil || s.Evidence == "" || s.At.IsZero() {
					c.failf("the job has ended; %s returned %s, receipt %t, evidence %q, at %s", from, s.Live, s.Receipt != nil, s.Evidence, s.At)
				}
			}
		},
	},
	{
		Name: "Job/NoEarlyReceipt", Needs: needs(needJob),
		Rule: "a job that goes on has no receipt and is not Dead",
		Do:   "write a receipt only from the cloud's word for an end; every other word is alive or unknown",
		check: func(c *check) {
			_, proc := c.start(Work{Log: "x\n", Block: true})
			s, err := c.status(proc)
			c.must("Status", err)
			if s.Receipt != nil || s.Live == runctl.Dead {
				c.failf("the job goes on; Status returned %s, receipt %t", s.Live, s.Receipt != nil)
			}
		},
	},
	{
		Name: "Job/WaitBlocks", Needs: needs(needJob),
		Rule: "Wait returns when the job has ended, not before, and with its receipt",
		Do:   "use the cloud's stream or blocking call; when it is cut, return an error and not a status",
		check: func(c *check) {
			_, proc := c.start(Work{Log: "x\n", Block: true})
			done := c.waiting(proc)
			c.quiet(func() {
				c.failf("the job goes on, and Wait has returned")
			}, done)
			c.finish(proc)
			limit := time.NewTimer(c.patience())
			defer limit.Stop()
			select {
			case w := <-done:
				if w.err != nil || w.status.Receipt == nil {
					c.failf("the job was cancelled; Wait returned %s, receipt %t, %s", w.status.Live, w.status.Receipt != nil, describe(w.err))
				}
			case <-limit.C:
				c.failf("the job was cancelled, and Wait did not return within %s", c.patience())
			}
		},
	},
	{
		Name: "Job/WaitHolds", Needs: needs(needJob, needHTTP),
		Rule: "Wait is one held request or stream, never a poll: it must cost nothing while nothing happens",
		Do:   "ask the cloud to hold the request, or follow its event or log stream to the end",
		check: func(c *check) {
			_, proc := c.start(Work{Log: "x\n", Block: true})
			n := c.net.count()
			done := c.waiting(proc)
			c.quiet(func() {}, done)
			if sent := c.net.count() - n; sent > 3 {
				c.failf("the job goes on; within %s Wait sent %d requests", quietTime, sent)
			}
			c.must("Cancel", c.cancel(proc))
		},
	},
	{
		Name: "Job/WaitCancel", Needs: needs(needJob),
		Rule: "Wait and a Logs that follows return at once when their context ends; the job goes on",
		Do:   "pass the context to the request that is held",
		check: func(c *check) {
			i, proc := c.start(Work{Log: "x\n", Block: true})
			before, err := c.status(proc)
			c.must("Status", err)
			for name, f := range map[string]func(context.Context) error{
				"Wait": func(ctx context.Context) error { _, err := proc.Wait(ctx); return err },
				"Logs": func(ctx context.Context) error {
					for _, err := range proc.Logs(ctx, runctl.LogQuery{Follow: true}) {
						if err != nil {
							return err
						}
					}
					return nil
				},
			} {
				ctx, cancel := context.WithTimeout(c.ctx, 50*time.Millisecond)
				done := make(chan error, 1)
				go c.do(name, func(context.Context) { done <- f(ctx) })
				limit := time.NewTimer(c.patience() + 50*time.Millisecond)
				select {
				case err := <-done:
					if err == nil && ctx.Err() != nil {
						cancel()
						c.failf("the context of %s ended while the job went on; it returned no error", name)
					}
				case <-limit.C:
					cancel()
					c.failf("the context of %s ended; it did not return within %s", name, c.patience())
				}
				limit.Stop()
				cancel()
			}
			if s, err := c.status(proc); err != nil || s.Receipt != nil && before.Receipt == nil || !c.bills(i.ID) {
				c.failf("the context of Wait ended, and with it the job: Status returned %s, receipt %t, %s", s.Live, s.Receipt != nil, describe(err))
			}
		},
	},
	{
		Name: "Job/Cancel", Needs: needs(needJob),
		Rule: "Cancel ends the job; its receipt is not that of a success",
		Do:   "send TERM by the cloud's means, and report CauseCancel or the signal's code",
		check: func(c *check) {
			_, proc := c.start(Work{Log: "x\n", Block: true})
			c.must("Cancel", c.cancel(proc))
			if s := c.wait(proc); s.Receipt.Succeeded() {
				c.failf("the job was cancelled; its receipt says code %d, cause %q", s.Receipt.ExitCode, s.Receipt.Cause)
			}
		},
	},
	{
		Name: "Job/LogOffset", Needs: needs(needJob),
		Rule: "Logs yields the bytes from the offset on, each with its place: read piece by piece, every byte comes once",
		Do:   "ask the cloud for the offset, or count the bytes and drop those before it",
		check: func(c *check) {
			_, proc := c.start(Work{Log: jobLog})
			c.wait(proc)
			for at := int64(0); at <= int64(len(jobLog)); at += 37 {
				want := jobLog[at:]
				got, place, err := c.logs(proc, runctl.LogQuery{Offset: at})
				if err != nil || got != want || place != "" {
					c.failf("a log of %d bytes, read from offset %d: %d bytes, the first %d as they should be; %s%s",
						len(jobLog), at, len(got), alike([]byte(got), []byte(want)), place, describe(err))
				}
			}
		},
	},
	{
		Name: "Job/LogFollow", Needs: needs(needJob),
		Rule: "with Follow, Logs goes on until the job has ended, and gives every byte once",
		Do:   "go on at the next offset after each reply; end when the cloud says that the job is over and all was given",
		check: func(c *check) {
			_, proc := c.start(Work{Log: jobLog, Block: true})
			type end struct {
				log, place string
				err        error
			}
			done := make(chan end, 1)
			go func() {
				log, place, err := c.logs(proc, runctl.LogQuery{Follow: true})
				done <- end{log, place, err}
			}()
			limit := time.NewTimer(quietTime)
			select {
			case e := <-done:
				c.failf("the job goes on; Logs that follows has ended after %d bytes with %s", len(e.log), describe(e.err))
			case <-limit.C:
			}
			c.finish(proc)
			limit.Reset(c.patience())
			select {
			case e := <-done:
				if e.err != nil || !strings.HasPrefix(e.log, jobLog) || len(e.log) > len(jobLog)+64 || e.place != "" {
					c.failf("a job printed %d bytes and was cancelled; Logs that follows gave %d, the first %d as they should be; %s%s",
						len(jobLog), len(e.log), alike([]byte(e.log), []byte(jobLog)), e.place, describe(e.err))
				}
			case <-limit.C:
				c.failf("the job was cancelled; Logs that follows did not end within %s", c.patience())
			}
		},
	},
	{
		Name: "Job/LogNegative", Needs: needs(needJob),
		Rule: "a negative offset is ErrInvalid",
		Do:   "check it before anything is sent",
		check: func(c *check) {
			_, proc := c.start(Work{Log: "x\n"})
			c.wait(proc)
			if got, _, err := c.logs(proc, runctl.LogQuery{Offset: -1}); !errors.Is(err, runctl.ErrInvalid) {
				c.failf("Logs from -1 yielded %d bytes and %s", len(got), describe(err))
			}
		},
	},
	{
		Name: "Job/LogBytes", Needs: needs(needJob),
		Rule: "the receipt's LogBytes is the log's length, or -1 where the cloud does not tell it",
		Do:   "0 means an empty log: write -1 for unknown",
		check: func(c *check) {
			_, proc := c.start(Work{Log: jobLog})
			if n := c.wait(proc).Receipt.LogBytes; n != -1 && n != int64(len(jobLog)) {
				c.failf("a job printed %d bytes; its receipt says %d", len(jobLog), n)
			}
		},
	},
	{
		Name: "Job/Road", Needs: needs(needJob),
		Rule: "the machine of a job is RoadJob, from Launch, Get and List",
		Do:   "write it down in what the cloud stores, or tell it by the form of the machine",
		check: func(c *check) {
			i, _ := c.start(Work{Log: "x\n", Block: true})
			got, err := c.get(i.ID)
			c.must("Get", err)
			l, _ := c.listed(i.ID)
			if i.Road != runctl.RoadJob || got.Road != runctl.RoadJob || l.Road != runctl.RoadJob {
				c.failf("launched with a job; Launch says road %q, Get %q, List %q", i.Road, got.Road, l.Road)
			}
		},
	},
	{
		Name: "Job/Exits", Needs: needs(needExits),
		Rule: "with Info.Exits, Get and List have the job's receipt once it has ended, and none before",
		Do:   "fill in Instance.Exit from the same reply, or leave Info.Exits false",
		check: func(c *check) {
			for _, from := range []string{"Get", "List"} {
				look := func(id string) (*runctl.Receipt, error) {
					if from == "Get" {
						got, err := c.get(id)
						return got.Exit, err
					}
					l, _ := c.listed(id)
					return l.Exit, nil
				}
				i, proc := c.start(Work{Log: "x\n", ExitCode: 4})
				c.wait(proc)
				exit, err := look(i.ID)
				if err != nil || exit == nil || exit.ExitCode != 4 {
					c.failf("the job returned 4; the machine in %s has Exit %+v, %s", from, exit, describe(err))
				}
				busy, _ := c.start(Work{Log: "x\n", Block: true})
				if exit, err := look(busy.ID); err != nil || exit != nil {
					c.failf("the job goes on; the machine in %s has Exit %+v, %s", from, exit, describe(err))
				}
			}
		},
	},
}
