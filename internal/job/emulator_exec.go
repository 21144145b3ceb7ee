package job

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"time"
)

// Exec answers one call as the machine would. The supervisor's verbs have the same replies as the script's,
// whatever stub they are called with, and it counts as installed. Of a spec only what a [Script] can show
// is obeyed: every absolute directory exists, and no environment is refused that [Spec.Validate] accepts. A
// followed log has no ticks, because nothing here is cut in silence; no verb is ever unsure or absent.
// What is not a verb gets a tiny answer: see command. An error means that there is no answer: ctx is done,
// stdin or stdout failed, or [ErrGone].
func (e *Emulator) Exec(ctx context.Context, argv []string, stdin io.Reader, stdout, stderr io.Writer) (int, error) {
	if err := context.Cause(ctx); err != nil {
		return -1, err
	}
	if e.gone() {
		return -1, ErrGone
	}
	var code int
	var err error
	if len(argv) > 4 && argv[0] == "sh" && argv[1] == "-c" && argv[3] == protocolTag {
		c := &verbCall{e: e, ctx: ctx, args: argv[5:], stdin: stdin, out: orDiscard(stdout)}
		err = c.answer(argv[4])
	} else {
		code, err = command(argv, stdin, stdout, stderr)
	}
	if err != nil {
		return -1, err
	}
	return code, nil
}

func (e *Emulator) gone() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return !e.died.IsZero()
}

// verbCall is one call of a verb. Its methods write their reply; the error they return is the end of the
// connection, while a refusal is a reply like any other.
type verbCall struct {
	e     *Emulator
	ctx   context.Context
	args  []string
	stdin io.Reader
	out   io.Writer
}

// verbs are the supervisor's, with the number of their arguments.
var verbs = map[string]struct {
	args int
	run  func(*verbCall) error
}{
	"install": {2, (*verbCall).install},
	"start":   {3, (*verbCall).start},
	"status":  {1, (*verbCall).status},
	"wait":    {2, (*verbCall).wait},
	"list":    {0, (*verbCall).list},
	"log":     {3, (*verbCall).log},
	"cancel":  {2, (*verbCall).cancel},
	"renew":   {3, (*verbCall).renew},
	"guard":   {4, (*verbCall).guard},
	"hello":   {0, (*verbCall).greet},

	"codeask":  {1, (*verbCall).codeask},
	"codetree": {1, (*verbCall).codetree},
	"codepart": {1, (*verbCall).codepart},
	"codeput":  {3, (*verbCall).codeput}, // and sources
	"tree":     {3, (*verbCall).tree},
	"sums":     {2, (*verbCall).sums},
	"get":      {3, (*verbCall).get},
	"tail":     {5, (*verbCall).tail},
	"put":      {3, (*verbCall).put},
	"patch":    {6, (*verbCall).patch},
	"move":     {2, (*verbCall).move},
}

// ofMachine are the verbs whose first argument is no run.
var ofMachine = map[string]bool{"install": true, "list": true, "guard": true, "hello": true,
	"codeask": true, "codetree": true, "codepart": true, "codeput": true}

func (c *verbCall) answer(verb string) error {
	v, ok := verbs[verb]
	switch {
	case !ok:
		return c.refuse("no such verb: " + verb)
	case len(c.args) != v.args && (verb != "codeput" || len(c.args) < v.args):
		return c.refuse(fmt.Sprintf("%s takes %d arguments", verb, v.args))
	case !ofMachine[verb] && !validRun(c.args[0]):
		return c.refuse("not a run id")
	}
	return v.run(c)
}

// reply writes a whole reply: its lines and the end.
func (c *verbCall) reply(lines string) error {
	_, err := io.WriteString(c.out, lines+formatLine(kindEnd))
	return err
}

func (c *verbCall) refuse(why string) error {
	return c.reply(formatErr(&Refused{Code: RefusedRequest, Reason: clip(why)}))
}

// fail replies with what the emulator said; a dead machine says nothing.
func (c *verbCall) fail(err error) error {
	if err == ErrGone {
		return err
	}
	return c.reply(formatErr(err))
}

// number reads an argument that counts something.
func (c *verbCall) number(i int) (int64, bool) {
	n, err := strconv.ParseInt(c.args[i], 10, 64)
	return n, err == nil && n >= 0
}

// receive reads so many bytes of stdin as argument i says; short is what arrives when the sender is cut.
func (c *verbCall) receive(i int) (data []byte, whole bool, err error) {
	n, ok := c.number(i)
	if !ok || c.stdin == nil {
		return nil, n == 0 && ok, nil
	}
	data, err = io.ReadAll(io.LimitReader(c.stdin, n))
	return data, int64(len(data)) == n, err
}

func (c *verbCall) install() error {
	if _, whole, err := c.receive(1); err != nil {
		return err
	} else if !whole {
		return c.reply(formatErr(&Refused{Code: RefusedSpec, Reason: "the script arrived cut or damaged"}))
	}
	return c.reply(formatLine(kindInstalled))
}

func (c *verbCall) start() error {
	data, whole, err := c.receive(2)
	if err != nil {
		return err
	}
	s, err := parseSpec(data)
	if err != nil || !whole || s.Run != c.args[0] || s.Digest != c.args[1] {
		return c.fail(&Refused{Code: RefusedSpec, Reason: "the spec arrived cut or damaged"})
	}
	already, err := c.e.start(s)
	if err != nil {
		return c.fail(err)
	}
	return c.reply(formatLine(kindStarted, "already="+map[bool]string{false: "0", true: "1"}[already]))
}

func (c *verbCall) cancel() error {
	ms, ok := c.number(1)
	grace := time.Duration(ms) * time.Millisecond
	switch {
	case c.args[1] == "spec":
		grace = -1
	case !ok || ms > maxDuration.Milliseconds():
		return c.refuse("not a grace")
	}
	if err := c.e.Cancel(c.args[0], grace); err != nil {
		return c.fail(err)
	}
	return c.reply(formatLine(kindCancelled))
}
