package providertest

import (
	"bytes"
	"context"
	"io"
	"slices"
	"strings"
	"time"

	"runctl"
)

// execRows are about machines that run commands.
var execRows = []Row{
	{
		Name: "Exec/ExitCode", Needs: needs(needShell),
		Rule: "a command that ended has its exit code, whatever it is, and no error",
		Do:   "take the code out of the error of the library underneath; an error means that the end is not known",
		check: func(c *check) {
			m, _ := c.machine()
			for _, want := range []int{0, 1, 7, 255} {
				if code, err := c.exec(m, c.cmd(c.h.Commands.exit(want)), nil, nil, nil); code != want || err != nil {
					c.failf("a command ended with %d; Exec returned %d and %s", want, code, describe(err))
				}
			}
		},
	},
	{
		Name: "Exec/Bytes", Needs: needs(needShell),
		Rule: "input and output are bytes: NUL, CR, LF, invalid UTF-8, 256 KiB of them, and the end of the input",
		Do:   "no terminal, no lines, no strings between the two",
		check: func(c *check) {
			m, _ := c.machine()
			want := bytes.Repeat([]byte("a\x00b\r\n\xff\xfe\x04\x1bc\n\n"), 256<<10/12)
			var out bytes.Buffer
			code, err := c.exec(m, c.cmd(c.h.Commands.cat()), bytes.NewReader(want), &out, nil)
			if code != 0 || err != nil || !bytes.Equal(out.Bytes(), want) {
				c.failf("%d bytes went through a command that copies; %d came back, equal up to byte %d; Exec returned %d and %s",
					len(want), out.Len(), alike(out.Bytes(), want), code, describe(err))
			}
		},
	},
	{
		Name: "Exec/Streams", Needs: needs(needShell),
		Rule: "output and error output stay apart",
		Do:   "ask for no terminal, which merges them",
		check: func(c *check) {
			m, _ := c.machine()
			var out, errs bytes.Buffer
			code, err := c.exec(m, c.cmd(c.h.Commands.stderr("words")), nil, &out, &errs)
			if code != 0 || err != nil || out.Len() > 0 || errs.String() != "words" {
				c.failf("a command printed \"words\" to its error output; there came %q, and %q on the other; Exec returned %d and %s",
					errs.String(), out.String(), code, describe(err))
			}
		},
	},
	{
		Name: "Exec/Arguments", Needs: needs(needShell),
		Rule: "each argument arrives as it is: no shell splits, expands or drops it",
		Do:   "quote every argument where a shell stands in between, as SSH has one: 'it'\\''s'",
		check: func(c *check) {
			m, _ := c.machine()
			want := []string{"a b", "", "$HOME", "`id`", "it's", `"q"`, `back\slash`, "*", "-n", "a\nb", "é;ls", "#", "~"}
			var out bytes.Buffer
			code, err := c.exec(m, c.cmd(c.h.Commands.args(want...)), nil, &out, nil)
			got := strings.Split(strings.TrimSuffix(out.String(), "\x00"), "\x00")
			if code != 0 || err != nil || !slices.Equal(got, want) {
				c.failf("arguments %q\narrived as %q; Exec returned %d and %s", want, got, code, describe(err))
			}
		},
	},
	{
		Name: "Exec/Cancel", Needs: needs(needShell),
		Rule: "the context ends the command, and Exec returns an error: how it ended is not known",
		Do:   "watch the context beside the command, and end the command with it",
		check: func(c *check) {
			m, _ := c.machine()
			block := c.cmd(c.h.Commands.block())
			ctx, cancel := context.WithTimeout(c.ctx, 50*time.Millisecond)
			defer cancel()
			type end struct {
				code int
				err  error
			}
			done := make(chan end, 1)
			go c.do("Exec", func(context.Context) {
				code, err := m.Exec(ctx, block, nil, io.Discard, io.Discard)
				done <- end{code, err}
			})
			limit := time.NewTimer(c.patience() + 50*time.Millisecond)
			defer limit.Stop()
			select {
			case e := <-done:
				if e.err == nil {
					c.failf("the context ended while a command ran; Exec returned code %d and no error", e.code)
				}
			case <-limit.C:
				c.failf("the context ended while a command ran; Exec did not return within %s", c.patience())
			}
		},
	},
	{
		Name: "Exec/Concurrent", Needs: needs(needShell),
		Rule: "commands run at the same time, on one Machine",
		Do:   "open a channel for each command over the one connection",
		check: func(c *check) {
			m, _ := c.machine()
			r, w := io.Pipe()
			first := make(chan struct{})
			var out bytes.Buffer
			cat, nop := c.cmd(c.h.Commands.cat()), c.cmd(c.h.Commands.exit(0))
			go func() {
				defer close(first)
				_, _ = c.exec(m, cat, r, &out, nil)
			}()
			_, _ = w.Write([]byte("x")) // returns when the first command's input is being read
			second := make(chan error, 1)
			go func() {
				_, err := c.exec(m, nop, nil, nil, nil)
				second <- err
			}()
			limit := time.NewTimer(c.patience())
			defer limit.Stop()
			seen := ""
			select {
			case err := <-second:
				if err != nil {
					seen = "beside a command that waits for input, a second one returned " + describe(err)
				}
			case <-limit.C:
				seen = "beside a command that waits for input, a second one did not end within " + c.patience().String()
			}
			_ = w.Close()
			<-first
			if seen != "" {
				c.failf("%s", seen)
			}
			if out.String() != "x" {
				c.failf("the input of one of two concurrent commands came back as %q", out.String())
			}
		},
	},
	{
		Name: "Exec/Close", Needs: needs(needShell),
		Rule: "Close releases the connection and leaves the machine alone",
		Do:   "only Terminate ends a machine",
		check: func(c *check) {
			m, i := c.machine()
			c.must("Close", m.Close())
			got, err := c.get(i.ID)
			if err != nil || got.State != runctl.StateRunning || !c.bills(i.ID) {
				c.failf("after Close, Get returned %s", outcome(got, err))
			}
			again, err := c.connect(i)
			if err != nil {
				c.failf("after Close, Connect returned %s", describe(err))
			}
			c.must("Close", again.Close())
		},
	},
	{
		Name: "Exec/Ended", Needs: needs(needShell),
		Rule: "on a machine that has ended, Connect or Exec returns an error: silence is not a success",
		Do:   "return the connection's error; code 0 needs a command that ended",
		check: func(c *check) {
			m, i := c.machine()
			if c.p.Info().InPlace || c.plain.Keeps {
				c.lack("machines that vanish with their end")
			}
			c.end(i.ID)
			c.until(func() bool { return ended(c.get(i.ID)) })
			_ = m.Close()
			again, err := c.connect(i)
			if err != nil {
				return
			}
			defer again.Close()
			if code, err := c.exec(again, c.cmd(c.h.Commands.exit(0)), nil, nil, nil); err == nil {
				c.failf("the machine has ended; Exec returned %d and no error", code)
			}
		},
	},
}

func (c *check) connect(i runctl.Instance) (runctl.Machine, error) { return c.connectAs(i, c.h.Access) }

func (c *check) connectAs(i runctl.Instance, a runctl.Access) (m runctl.Machine, err error) {
	con, _ := find[runctl.Connector](c.p)
	c.do("Connect", func(ctx context.Context) { m, err = con.Connect(ctx, i, a) })
	return m, err
}

// machine launches a machine on the shell road and connects to it.
func (c *check) machine() (runctl.Machine, runctl.Instance) {
	_, i := c.launch()
	return c.enter(i.ID)
}

// enter waits for a machine and connects to it.
func (c *check) enter(id string) (runctl.Machine, runctl.Instance) {
	c.running(id)
	i, err := c.get(id)
	c.must("Get", err)
	var m runctl.Machine
	c.until(func() bool {
		m, err = c.connect(i)
		return err == nil
	})
	c.must("Connect", err)
	c.t.Cleanup(func() { _ = m.Close() })
	return m, i
}

func (c *check) exec(m runctl.Machine, argv []string, in io.Reader, out, errs io.Writer) (code int, err error) {
	if out == nil {
		out = io.Discard
	}
	if errs == nil {
		errs = io.Discard
	}
	c.do("Exec", func(ctx context.Context) { code, err = m.Exec(ctx, argv, in, out, errs) })
	return code, err
}

// cmd ends the check when machines have no such command.
func (c *check) cmd(argv []string) []string {
	if argv == nil {
		c.lack("commands")
	}
	return argv
}

// alike is the length of the common beginning.
func alike(a, b []byte) int {
	n := 0
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	return n
}
