package job

import (
	"bytes"
	"context"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io"
	"strconv"
	"strings"
)

//go:embed sh/*.sh
var scriptParts embed.FS

// script is the supervisor, whole, as it is installed.
var script = compact(source(nil))

// source is the supervisor as it was written: the parts in the order of their names, one idea each, but for those left
// out.
func source(without map[string]bool) string {
	var b strings.Builder
	parts, _ := scriptParts.ReadDir("sh")
	for _, part := range parts {
		if !without[part.Name()] {
			text, _ := scriptParts.ReadFile("sh/" + part.Name())
			b.Write(text)
		}
	}
	return b.String()
}

// compact takes out of a part what only people read: it has to fit where a cloud takes no more than a few KiB. No text
// of the script may have " # " in it or begin a line with a blank.
func compact(text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		line, _, _ = strings.Cut(strings.Trim(line, " \t\n"), " # ")
		if line = strings.TrimRight(line, " \t"); line != "" && line[0] != '#' {
			b.WriteString(line)
			b.WriteByte('\n')
		}
	}
	return b.String()
}

// scriptID names the installed script by its content, so that versions live side by side and a running
// supervisor is never changed under its feet.
var scriptID = idOf(script)

func idOf(script string) string {
	sum := sha256.Sum256([]byte(script))
	return hex.EncodeToString(sum[:8])
}

// stub runs the installed script, or says that there is none.
var stub = `R=${RUNCTL_ROOT:-${HOME:?}/.runctl}
[ -f "$R/v1/sup-` + scriptID + `" ] && exec sh "$R/v1/sup-` + scriptID + `" "$@"
printf '\nRUNCTL1 absent\n'; exit ` + strconv.Itoa(absentCode)

// installer puts stdin in place by one rename, and only when every byte arrived: a cut line installs
// nothing, and of several at once each puts the same bytes.
const installer = `umask 077
R=${RUNCTL_ROOT:-${HOME:?}/.runctl} s=sup-$2 t=tmp-$2-$$
mkdir -p "$R/v1" && cd "$R/v1" && cat >"$t" && n=$(wc -c <"$t") && [ "$((n))" -eq "$3" ] && mv -f "$t" "$s" && [ -f "$s" ] &&
printf '\nRUNCTL1 installed\nRUNCTL1 end\n' && exit
rm -f "$t"; printf '\nRUNCTL1 refused code=74 text=the supervisor could not be written below %s\nRUNCTL1 end\n' "$R"`

// execute runs one verb with out as its stdout, installing the script first where it is missing. The error is the
// transport's, or an exit code without a reply; what the reply says is the caller's matter.
func execute(ctx context.Context, m Machine, stdin []byte, out io.Writer, verb ...string) error {
	return executeWith(ctx, m, func() (io.Reader, io.Writer) { return bytes.NewReader(stdin), out }, verb...)
}

// executeWith is execute with streams that are made anew for each attempt.
func executeWith(ctx context.Context, m Machine, streams func() (io.Reader, io.Writer), verb ...string) error {
	for attempt := 0; ; attempt++ {
		var errs tailBuffer
		stdin, out := streams()
		seen := &absence{w: out}
		argv := append([]string{"sh", "-c", stub, protocolTag}, verb...)
		code, err := m.Exec(ctx, argv, stdin, seen, &errs)
		switch {
		case err != nil:
			return fmt.Errorf("job: %s: %w", verb[0], err)
		case code == 0:
			return nil
		case code == absentCode && attempt == 0 && seen.absent():
			if err := install(ctx, m); err != nil {
				return err
			}
		default:
			return fmt.Errorf("job: %s: exit code %d: %s", verb[0], code, errs.text())
		}
	}
}

func install(ctx context.Context, m Machine) error {
	argv := []string{"sh", "-c", installer, protocolTag, "install", scriptID, strconv.Itoa(len(script))}
	var out limitedBuffer
	var errs tailBuffer
	code, err := m.Exec(ctx, argv, strings.NewReader(script), &out, &errs)
	if err != nil {
		return fmt.Errorf("job: install: %w", err)
	}
	lines, err := parseReply(out.Bytes())
	if err != nil || len(lines) == 0 {
		return fmt.Errorf("job: install: exit code %d: %s", code, errs.text())
	}
	return lines[0].err()
}

// ask runs a verb with a short reply and returns its lines; a refusal comes back as its error.
func ask(ctx context.Context, m Machine, stdin []byte, verb ...string) ([]reply, error) {
	return askFrom(ctx, m, func() io.Reader { return bytes.NewReader(stdin) }, verb...)
}

func askFrom(ctx context.Context, m Machine, stdin func() io.Reader, verb ...string) ([]reply, error) {
	var out limitedBuffer
	if err := executeWith(ctx, m, func() (io.Reader, io.Writer) { return stdin(), &out }, verb...); err != nil {
		return nil, err
	}
	return out.reply(verb[0])
}

// reply reads a whole reply; a refusal comes back as its error.
func (l *limitedBuffer) reply(verb string) ([]reply, error) {
	lines, err := parseReply(l.Bytes())
	if err != nil {
		return nil, fmt.Errorf("%w (%s)", err, verb)
	}
	for _, l := range lines {
		if err := l.err(); err != nil {
			return nil, err
		}
	}
	return lines, nil
}

// absence passes output on, and remembers its beginning, where the stub's word stands that there is no script.
type absence struct {
	w    io.Writer
	head []byte
}

var absentReply = []byte("\n" + sentinel + kindAbsent + "\n")

func (a *absence) Write(p []byte) (int, error) {
	if room := maxLine - len(a.head); room > 0 {
		a.head = append(a.head, p[:min(room, len(p))]...)
	}
	return a.w.Write(p)
}

func (a *absence) absent() bool { return bytes.Contains(a.head, absentReply) }
