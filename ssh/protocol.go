package ssh

import (
	"bytes"
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"runctl"
)

// Protocol 1 of a host. A verb is one Exec:
//
//	sh -c STUB runctl-host-1 VERB ROOT ARGS...
//
// STUB runs the script that is installed below ROOT, or says that there is none. An empty ROOT is
// ${RUNCTL_HOST_ROOT:-$HOME/.runctl-host}.
//
//	verb     args                                reply
//	install  DIGEST BYTES, script on stdin       installed
//	probe                                        host shape gpu... [the claim that holds the host]
//	claim    LABEL TOKEN LIFE KEEP GPU USER      host, the claim of TOKEN; or another's and held
//	look     [N]                                 host, one claim; or the latest one and those with files
//	release  N                                   host, the claim
//	over     N WHY                               nothing, when the claim has ended: for its guard
//
// LIFE and KEEP are seconds; USER is whom jobs run as, "-" for the login user.
//
// Every reply line starts with "RUNCTLH1 ", a kind and key=value fields split by single spaces; text= is always last
// and takes the rest of the line. Lines without the sentinel are start-up noise. A reply is complete only with its
// line "RUNCTLH1 end"; without it nothing is known.
//
//	host    up=CENTISECONDS wall=SECONDS boot=ID id=HEX text=ROOT
//	shape   cores=N mem=MIB disk=MIB text=SYSTEM, 0 for unknown; gpu text=a line of nvidia-smi
//	claim   n=N text=v=1 boot= up= at= life= keep= tok= gpu= label=...
//	ending  n=N text=up= at= boot= drop=0|1 why=...
//	free    n=N text=up= at= boot= why=...
//	kept    n=N: its files are there     none    n=N: there is no such claim     held    n=N: who has the host
//	refused code=N text=REASON
const (
	sentinel    = "RUNCTLH1 "
	protocolTag = "runctl-host-1"
	absentCode  = 213
	maxReply    = 1 << 20
	maxLine     = 16 << 10
	maxSeconds  = 253402300799 // the end of the year 9999; centiseconds, too, stay below
)

//go:embed sh/host.sh
var script string

// scriptID names the installed script by its content, so that versions live side by side.
var scriptID = func() string {
	sum := sha256.Sum256([]byte(script))
	return hex.EncodeToString(sum[:8])
}()

// stub runs the installed script.
var stub = `R=$2; [ -n "$R" ] || R=${RUNCTL_HOST_ROOT:-${HOME:?}/.runctl-host}
[ -f "$R/v1/host-` + scriptID + `" ] && exec sh "$R/v1/host-` + scriptID + `" "$@"
printf '\nRUNCTLH1 absent\n'; exit ` + strconv.Itoa(absentCode)

// installer puts stdin in place by one rename, and only when every byte arrived.
const installer = `umask 077
R=$2 s=host-$3 t=tmp-$3-$$; [ -n "$R" ] || R=${RUNCTL_HOST_ROOT:-${HOME:?}/.runctl-host}
mkdir -p "$R/v1" && cat >"$R/v1/$t" && n=$(wc -c <"$R/v1/$t") && [ "$((n))" -eq "$4" ] && mv -f "$R/v1/$t" "$R/v1/$s" &&
printf '\nRUNCTLH1 installed\nRUNCTLH1 end\n' && exit
rm -f "$R/v1/$t"; printf '\nRUNCTLH1 refused code=74 text=cannot write below %s\nRUNCTLH1 end\n' "$R"`

// report is what a host says of itself and of its claims.
type report struct {
	up, wall    int64
	boot, id    string
	root        string
	cores       int
	mem, disk   int64
	system      string
	gpus        string // lines of nvidia-smi
	claims      []claim
	held        int64 // the claim that kept a launch out; 0: none
	none        bool  // of the claim that was asked for
	told, ended bool  // there is a host line, an end line
}

// claim is one claim as its links have it.
type claim struct {
	n            int64
	text         string
	ending, free string
	over, freed  bool
	kept         bool
}

// refusal is the script's own word that a verb did nothing.
type refusal struct {
	code int
	text string
}

func (r *refusal) Error() string { return r.text }

var errDamaged = errors.New("its reply is cut or damaged")

// parseReport reads a whole reply.
func parseReport(b []byte) (report, error) {
	var r report
	if len(b) > maxReply {
		return r, errDamaged
	}
	at := func(n int64) *claim {
		i := slices.IndexFunc(r.claims, func(c claim) bool { return c.n == n })
		if i < 0 {
			r.claims = append(r.claims, claim{n: n})
			i = len(r.claims) - 1
		}
		return &r.claims[i]
	}
	for len(b) > 0 && !r.ended {
		line, rest, whole := bytes.Cut(b, []byte("\n"))
		b = rest
		text, ok := strings.CutPrefix(strings.TrimSuffix(string(line), "\r"), sentinel)
		if !ok || !whole || len(line) > maxLine {
			continue
		}
		kind, text, _ := strings.Cut(text, " ")
		f := fields(text)
		n := f.number("n")
		switch kind {
		case "host":
			r.told, r.up, r.wall, r.boot, r.id, r.root = true, f.number("up"), f.number("wall"), f.words["boot"], f.words["id"], f.words["text"]
		case "shape":
			r.cores, r.mem, r.disk, r.system = int(f.number("cores")), f.number("mem"), f.number("disk"), f.words["text"]
		case "gpu":
			r.gpus += f.words["text"] + "\n"
		case "claim":
			at(n).text = f.words["text"]
		case "ending":
			at(n).ending, at(n).over = f.words["text"], true
		case "free":
			at(n).free, at(n).freed = f.words["text"], true
		case "kept":
			at(n).kept = true
		case "none":
			r.none = true
		case "held":
			r.held = n
		case "refused":
			return r, &refusal{code: int(f.number("code")), text: printable(f.words["text"])}
		case "end":
			r.ended = true
		}
		if f.bad {
			return r, errDamaged
		}
	}
	if !r.ended || !r.told || !strings.HasPrefix(r.root, "/") || r.wall == 0 {
		return r, errDamaged
	}
	for _, c := range r.claims {
		if c.n == 0 {
			return r, errDamaged
		}
	}
	return r, nil
}

// words are the fields of a line.
type words struct {
	words map[string]string
	bad   bool // a number was none
}

func fields(text string) *words {
	f := &words{words: map[string]string{}}
	for text != "" {
		if rest, found := strings.CutPrefix(text, "text="); found {
			f.words["text"] = rest
			break
		}
		var field string
		field, text, _ = strings.Cut(text, " ")
		if k, v, ok := strings.Cut(field, "="); ok {
			f.words[k] = v
		}
	}
	return f
}

// number is a field's value, 0 when it is missing.
func (f *words) number(name string) int64 {
	v, ok := f.words[name]
	if !ok {
		return 0
	}
	n, err := strconv.ParseInt(v, 10, 64)
	if err != nil || n < 0 || n > maxSeconds {
		f.bad = true
		return 0
	}
	return n
}

// call runs a verb on a machine, and installs the script first where it is missing. A *refusal means that the verb
// did nothing; every other error says nothing of what it did.
func call(ctx context.Context, m runctl.Machine, root, verb string, args ...string) (report, error) {
	for attempt := 0; ; attempt++ {
		argv := append([]string{"sh", "-c", stub, protocolTag, verb, root}, args...)
		out, errs, code, err := execute(ctx, m, argv, "")
		switch {
		case err != nil:
			return report{}, err
		case code == 0:
			return parseReport(out)
		case code == absentCode && attempt == 0 && bytes.Contains(out, []byte("\n"+sentinel+"absent\n")):
			if err := install(ctx, m, root); err != nil {
				return report{}, err
			}
		default:
			return report{}, fmt.Errorf("%s: exit code %d: %s", verb, code, printable(errs))
		}
	}
}

func install(ctx context.Context, m runctl.Machine, root string) error {
	argv := []string{"sh", "-c", installer, protocolTag, "install", root, scriptID, strconv.Itoa(len(script))}
	out, errs, code, err := execute(ctx, m, argv, script)
	if err != nil {
		return err
	}
	_, reason, refused := bytes.Cut(out, []byte("\n"+sentinel+"refused "))
	switch {
	case refused:
		reason, _, _ = bytes.Cut(reason, []byte("\n"))
		return &refusal{code: int(fields(string(reason)).number("code")), text: printable(fields(string(reason)).words["text"])}
	case !bytes.Contains(out, []byte("\n"+sentinel+"installed\n"+sentinel+"end\n")):
		return fmt.Errorf("install: exit code %d: %s", code, printable(errs))
	}
	return nil
}

func execute(ctx context.Context, m runctl.Machine, argv []string, stdin string) (out []byte, errs string, code int, err error) {
	o, e := limited{left: maxReply}, limited{left: 4 << 10}
	code, err = m.Exec(ctx, argv, strings.NewReader(stdin), &o, &e)
	return o.kept.Bytes(), e.kept.String(), code, err
}

// limited keeps the beginning of what is written to it.
type limited struct {
	kept bytes.Buffer
	left int
}

func (l *limited) Write(b []byte) (int, error) {
	n := min(len(b), l.left)
	l.kept.Write(b[:n])
	l.left -= n
	return len(b), nil
}

var _ io.Writer = (*limited)(nil)
