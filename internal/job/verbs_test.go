package job

import (
	"bytes"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// conversation is one call of a verb as it goes over the wire, and what must come back.
type conversation struct {
	verb  []string
	stdin string
	want  string // a pattern of the reply's lines from the sentinel on; the end line is always wanted
	raw   string // what must also stand in the output
}

// verbJobs are the jobs of the conversations: as a script for a machine that has a shell, and for the emulator.
var verbJobs = map[string]struct {
	shell    string
	emulated Script
}{
	"seven":  {`printf 'one\ntwo\n'; mkdir ../outputs/m; echo w >../outputs/m/f; echo s1 >"$RUNCTL_CHECKPOINT_DIR/latest"; exit 7`, Script{Log: "one\ntwo\n", ExitCode: 7, Checkpoints: []Checkpoint{{Name: "s1"}}, Outputs: map[string]string{"m/f": "w\n"}}},
	"holder": {`while :; do sleep 1000; done`, Script{Hold: true}},
	"other":  {`exit 0`, Script{}},
}

func verbSpec(run, digest string, shared bool) string {
	return string(formatSpec(Spec{Run: run, Digest: digest, Argv: []string{"sh", "-c", verbJobs[run].shell}, Shared: shared,
		Lease: map[string]time.Duration{"holder": 10 * time.Minute}[run]}))
}

func startVerb(run, digest string, shared bool, want string) conversation {
	spec := verbSpec(run, digest, shared)
	return conversation{verb: []string{"start", run, digest, fmt.Sprint(len(spec))}, stdin: spec, want: want}
}

const (
	sevenReceipt = `receipt v=1 run=seven code=7 sig= cause=exit t0=\d+ t1=\d+ out=8 stragglers=0 ckpt=s1 end=self sum=\d+ \.`
	running      = `status run=holder phase=running up=\d+ log=0 lease=600000 text=.+`
)

// Tars for holder: a file in a directory, and a file where that directory is.
var (
	putTar   = tarText(map[string]string{"in/f": "abc"})
	clashTar = tarText(map[string]string{"in": "a file"})
)

// verbTable is spoken from top to bottom.
var verbTable = []conversation{
	{verb: []string{"list"}, want: ``},
	{verb: []string{"status", "seven"}, want: `status run=seven phase=none up=\d+ log=-1 lease=0 text=.+`},
	{verb: []string{"wait", "seven", "5"}, want: `status run=seven phase=none up=\d+ log=-1 lease=0 text=.+`},
	{verb: []string{"log", "seven", "0", "follow"}, want: `norun.*`},
	{verb: []string{"cancel", "seven", "spec"}, want: `norun.*`},
	{verb: []string{"tree", "seven", "any", "m"}, stdin: "\n", want: `ready\npong gzip=1\nnorun.*`},
	{verb: []string{"sums", "seven", "outputs"}, want: `norun.*`},
	{verb: []string{"get", "seven", "outputs", "plain"}, want: `norun.*`},
	{verb: []string{"tail", "seven", "outputs", "plain", "0", "m/f"}, want: `norun.*`},
	{verb: []string{"put", "seven", "ab", "plain"}, want: `norun.*`},
	{verb: []string{"patch", "seven", "ab", "plain", "0", "644", "f"}, want: `norun.*`},
	{verb: []string{"move", "seven", "ab"}, want: `norun.*`},
	{verb: []string{"start", "seven", "d", "9999"}, stdin: verbSpec("seven", "d", false), want: `refused code=65 text=.+`},
	startVerb("seven", "d", false, `started already=0`),
	{verb: []string{"wait", "seven", "30"}, want: `status run=seven phase=done up=\d+ log=8 lease=0 text=.+\n` + sevenReceipt},
	{verb: []string{"status", "seven"}, want: `status run=seven phase=done up=\d+ log=8 lease=0 text=.+\n` + sevenReceipt},
	startVerb("seven", "d", false, `started already=1`),
	startVerb("seven", "e", false, `used run=seven`),
	{verb: []string{"log", "seven", "0", "follow"}, want: `data from=0 n=8\n\.\nlog next=8 live=0`, raw: "\none\ntwo\n\nRUNCTL1 .\n"},
	{verb: []string{"log", "seven", "4", "once"}, want: `data from=4 n=4\n\.\nlog next=8 live=0`, raw: "\ntwo\n\nRUNCTL1 .\n"},
	{verb: []string{"log", "seven", "8", "once"}, want: `log next=8 live=0`},
	{verb: []string{"log", "seven", "9", "once"}, want: `gap from=8 to=9`},
	{verb: []string{"cancel", "seven", "0"}, want: `cancelled`},
	{verb: []string{"tree", "seven", "any", "nothing"}, stdin: "\n", want: `ready\npong gzip=1\nrefused code=76 text=.+`},
	{verb: []string{"tree", "seven", "any", "a/../../x"}, stdin: "\n", want: `refused code=76 text=.+`},
	{verb: []string{"tree", "seven", "put.Z", "."}, stdin: "\n", want: `(ready\npong gzip=1\n)?refused code=64 text=.+`},
	{verb: []string{"tree", "seven", "any", "m"}, want: `ready\npong gzip=1\ntree place=outputs\nodd`, raw: "\n81a4 2 ./m/f\n"},
	{verb: []string{"tree", "seven", "any", "m/f"}, stdin: "\n", want: `ready\npong gzip=1\ntree place=outputs\nodd`, raw: "\n81a4 2 ./m/f\n"},
	{verb: []string{"tree", "seven", "put.ab", "."}, stdin: "\n", want: `ready\npong gzip=1\nrefused code=76 text=.+`},
	{verb: []string{"sums", "seven", "outputs"}, stdin: "./m/f\x00./m/g\x00", want: `sums`, raw: "cf945b5236e101dbe0471d5200f28b1ae64f21c1f35bf55fcf40cd0fe42cd8e7"},
	{verb: []string{"sums", "seven", "nowhere"}, stdin: "./m/f\x00", want: `refused code=64 text=.+`},
	{verb: []string{"tail", "seven", "outputs", "plain", "1", "m/f"}, want: `raw`, raw: "RUNCTL1 raw\n\n"},
	{verb: []string{"tail", "seven", "outputs", "plain", "x", "m/f"}, want: `refused code=64 text=.+`},
	{verb: []string{"tail", "seven", "outputs", "plain", "0", "m"}, want: `refused code=76 text=.+`},
	{verb: []string{"put", "seven", "ab", "plain"}, want: `refused code=79 text=.+`},
	{verb: []string{"patch", "seven", "ab", "plain", "0", "644", "f"}, want: `refused code=79 text=.+`},
	{verb: []string{"move", "seven", "ab"}, want: `refused code=79 text=.+`},
	startVerb("holder", "d", false, `started already=0`),
	startVerb("other", "d", false, `refused code=75 text=.+`),
	{verb: []string{"status", "other"}, want: `status run=other phase=none up=\d+ log=-1 lease=0 text=.+`},
	startVerb("other", "d", true, `started already=0`),
	{verb: []string{"wait", "other", "30"}, want: `status run=other phase=done up=\d+ log=0 lease=0 text=.+\nreceipt v=1 run=other code=0 .*`},
	{verb: []string{"status", "holder"}, want: running},
	{verb: []string{"wait", "holder", "0"}, want: running},
	{verb: []string{"log", "holder", "0", "once"}, want: `log next=0 live=1`},
	{verb: []string{"list"}, want: running + `\nstatus run=other phase=done .*\nreceipt .*\nstatus run=seven phase=done .*\n` + sevenReceipt},
	{verb: []string{"renew", "nobody", "0", "1"}, want: `norun.*`},
	{verb: []string{"renew", "seven", "0", "1"}, want: `refused code=77 text=.+`},
	{verb: []string{"renew", "holder", "0", "1"}, want: `renewed until=\d+`},
	{verb: []string{"renew", "holder", "0", "600000"}, want: `renewed until=\d+`},
	{verb: []string{"renew", "holder", "0", "600001"}, want: `refused code=77 text=.+`},
	{verb: []string{"renew", "holder", "99999999999", "1"}, want: `refused code=77 text=.+`},
	{verb: []string{"status", "holder"}, want: running},
	{verb: []string{"hello"}, want: `hello up=\d+ boot=[A-Za-z0-9-]+ guard=0 left=0 ending= notice= steps=`},
	{verb: []string{"guard", "0", "0", "0", "-"}, want: `refused code=64 text=.+`},
	{verb: []string{"guard", "3600000", "0", "0", ""}, want: `refused code=64 text=.+`},
	{verb: []string{"guard", "3600000", "0", "0", "a b"}, want: `refused code=64 text=.+`},
	{verb: []string{"guard", "3600000", "0", "x", "-"}, want: `refused code=64 text=.+`},
	{verb: []string{"guard", "3600000", "0", "30000", "-"}, want: `armed`},
	{verb: []string{"guard", "3600000", "0", "30000", "-"}, want: `armed`},
	{verb: []string{"guard", "3600001", "0", "30000", "-"}, want: `refused code=78 text=.+`},
	{verb: []string{"hello"}, want: `hello up=\d+ boot=[A-Za-z0-9-]+ guard=1 left=3\d\d\d\d\d ending= notice= steps=`},
	{verb: []string{"put", "holder", "XY", "plain"}, want: `refused code=64 text=.+`},
	{verb: []string{"put", "holder", "ab", "plain"}, stdin: putTar, want: `put text=`},
	{verb: []string{"tree", "holder", "put.ab", "."}, stdin: "\n", want: `ready\npong gzip=1\ntree place=put.ab\nodd`, raw: "\n81a4 3 ./in/f\n"},
	{verb: []string{"patch", "holder", "ab", "plain", "65536", "755", "in/g"}, stdin: "late", want: `put text=`},
	{verb: []string{"tree", "holder", "put.ab", "in/g"}, stdin: "\n", want: `ready\npong gzip=1\ntree place=put.ab\nodd`, raw: "\n81ed 65540 ./in/g\n"},
	{verb: []string{"tree", "holder", "work", "in"}, stdin: "\n", want: `ready\npong gzip=1\nrefused code=76 text=.+`},
	{verb: []string{"move", "holder", "ab"}, want: `moved`},
	{verb: []string{"tree", "holder", "any", "in"}, stdin: "\n", want: `ready\npong gzip=1\ntree place=work\nodd`, raw: "\n81ed 65540 ./in/g\n"},
	{verb: []string{"tail", "holder", "work", "plain", "65537", "in/g"}, want: `raw`, raw: "RUNCTL1 raw\nate"},
	{verb: []string{"put", "holder", "cd", "plain"}, stdin: clashTar, want: `put text=`},
	{verb: []string{"move", "holder", "cd"}, want: `refused code=76 text=.+`},
	{verb: []string{"cancel", "holder", "spec"}, want: `cancelled`},
	{verb: []string{"renew", "holder", "0", "1"}, want: `refused code=77 text=.+`},
	{verb: []string{"wait", "holder", "30"}, want: `status run=holder phase=done .*\nreceipt v=1 run=holder code=143 sig=TERM cause=cancel .* out=0 stragglers=0 ckpt= end=term .*`},
	{verb: []string{"renew", "holder"}, want: `refused code=64 text=.+`},
	{verb: []string{"status", "../x"}, want: `refused code=64 text=.+`},
	{verb: []string{"wait", "holder", "soon"}, want: `refused code=64 text=.+`},
	{verb: []string{"log", "holder", "-1", "once"}, want: `refused code=64 text=.+`},
	{verb: []string{"log", "holder", "0", "ever"}, want: `refused code=64 text=.+`},
	{verb: []string{"cancel", "holder", "-5"}, want: `refused code=64 text=.+`},
}

// runVerbs holds the whole table against a machine that has no run yet; the emulator's job scripts must be verbJobs.
func runVerbs(t *testing.T, m Machine) {
	t.Helper()
	_, err := List(t.Context(), m) // installs the script
	require.NoError(t, err)
	speak(t, m, verbTable)
	speak(t, m, codeTable)
	for _, zip := range []bool{false, true} {
		assert.Equal(t, map[string]string{"./m/f": "w\n"}, fetched(t, m, "seven", PlaceOutputs, zip, "m/f", "m/g"))
	}
}

// speak holds one table.
func speak(t *testing.T, m Machine, table []conversation) {
	t.Helper()
	for i, c := range table {
		var out bytes.Buffer
		code, err := m.Exec(t.Context(), append([]string{"sh", "-c", stub, protocolTag}, c.verb...), strings.NewReader(c.stdin), &out, nil)
		require.NoError(t, err, "%d %q", i, c.verb)
		assert.Zero(t, code, "%d %q", i, c.verb)
		var lines []string
		for line := range strings.SplitSeq(out.String(), "\n") {
			if rest, ok := strings.CutPrefix(line, sentinel); ok {
				lines = append(lines, rest)
			}
		}
		want := strings.TrimPrefix(c.want+`\nend`, `\n`)
		if c.want == `raw` {
			want = c.want // the rest is bytes
		}
		assert.Regexp(t, regexp.MustCompile(`^`+want+`$`), strings.Join(lines, "\n"), "%d %q", i, c.verb)
		assert.Contains(t, out.String(), c.raw)
	}
}

func TestTheScriptSpeaksTheTable(t *testing.T) {
	onEveryShell(t, func(t *testing.T, m *shellMachine) {
		if hasNoProc(m) {
			return // without /proc a death by TERM is code 143 with sig=?
		}
		runVerbs(t, m)
	})
}

func TestTheEmulatorSpeaksTheTable(t *testing.T) {
	runVerbs(t, NewEmulator(func(s Spec) Script { return verbJobs[s.Run].emulated }))
}
