package cli

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"github.com/stretchr/testify/require"

	"runctl"
	"runctl/clouds"
)

// Pages that are made from the program. With -update the tests rewrite them.
var (
	cliPage    = filepath.Join("..", "..", "..", "docs", "cli.md")
	readmePage = filepath.Join("..", "..", "..", "README.md")
)

func TestDocsDescribeEveryCommand(t *testing.T) {
	want := cliDoc()
	if *update {
		require.NoError(t, os.MkdirAll(filepath.Dir(cliPage), 0o755))
		require.NoError(t, os.WriteFile(cliPage, []byte(want), 0o644))
	}
	got, err := os.ReadFile(cliPage)
	require.NoError(t, err, "run the test with -update to make it")
	require.Equal(t, want, string(got), "run the test with -update to renew it")
}

func TestDocsProvidersInTheReadme(t *testing.T) {
	const begin, end = "<!-- providers -->\n", "<!-- /providers -->"
	page, err := os.ReadFile(readmePage)
	require.NoError(t, err)
	head, rest, ok := strings.Cut(string(page), begin)
	got, tail, closed := strings.Cut(rest, end)
	require.True(t, ok && closed, "the README has no block between %s and %s", strings.TrimSpace(begin), end)
	want := providersMarkdown(t, clouds.Registry())
	if *update {
		require.NoError(t, os.WriteFile(readmePage, []byte(head+begin+want+end+tail), 0o644))
		return
	}
	require.Equal(t, want, got, "run the test with -update to renew it")
}

// providersMarkdown is what the providers of reg say of themselves and implement, as a table.
func providersMarkdown(t *testing.T, reg *runctl.Registry) string {
	t.Helper()
	home := t.TempDir()
	settings := func(name string) string { // enough to open each of them, and none that works
		switch {
		case strings.HasSuffix(name, "_KEY"), strings.HasSuffix(name, "_KEY_ID"), strings.HasSuffix(name, "_TOKEN"):
			return "none-that-works"
		case name == "HOME":
			return home
		case name == "AWS_REGION":
			return "us-east-1"
		case name == "RUNCTL_SSH_HOSTS":
			return "gpu1"
		}
		return ""
	}
	page := mdTable{{"PROVIDER", "REGIONS", "ENDS ITSELF", "CAN"}}
	for _, name := range reg.Names() {
		p, err := reg.Open(t.Context(), name, settings)
		require.NoError(t, err, name)
		var r providerRow
		r.describe(p)
		regions, ends := "yes", "no"
		if r.Region == "" {
			regions = "no"
		}
		if *r.EndsItself {
			ends = "yes"
		}
		page = append(page, []string{"`" + name + "`", regions, ends, strings.Join(r.Can, ", ")})
	}
	return page.String()
}

// mdTable is a table in Markdown, its head first.
type mdTable [][]string

func (t mdTable) String() string {
	var b strings.Builder
	for i, row := range t {
		for _, cell := range row {
			b.WriteString("| " + strings.NewReplacer("|", `\|`, "\n", " ").Replace(cell) + " ")
		}
		b.WriteString("|\n")
		if i == 0 {
			b.WriteString(strings.Repeat("| --- ", len(row)) + "|\n")
		}
	}
	return b.String()
}

// cliDoc is the page about the command line.
func cliDoc() string {
	a := &app{stdout: io.Discard, stderr: io.Discard}
	root := a.rootCommand()
	var b strings.Builder
	b.WriteString("<!-- Made by: go test ./examples/runctl/cli -run TestDocs -update -->\n# The runctl command\n\n")
	fmt.Fprintf(&b, "%s\n\n```\n%s\n```\n\n", root.Long, strings.ReplaceAll(root.Example, "  runctl", "runctl"))
	b.WriteString("Flags of every command:\n\n" + flagTable(root.PersistentFlags()) + "\n" +
		"`runctl completion bash|zsh|fish|powershell` prints a completion script, `runctl --version` the version, and\n" +
		"`runctl help COMMAND` what stands below.\n")
	for _, g := range root.Groups() {
		fmt.Fprintf(&b, "\n## %s\n", strings.TrimSuffix(g.Title, ":"))
		for _, c := range root.Commands() {
			if c.GroupID == g.ID {
				b.WriteString(commandDoc(c))
			}
		}
	}
	return b.String() + exitDoc() + environmentDoc() + jsonDoc()
}

func commandDoc(c *cobra.Command) string {
	text := fmt.Sprintf("\n### %s\n\n```\nrunctl %s\n```\n\n", c.Name(), c.Use)
	if c.Long == "" {
		text += c.Short + ".\n"
	} else { // what is laid out in columns stands in tables below
		long, _, _ := strings.Cut(c.Long, "\n\nExit code:")
		text += long + "\n"
	}
	if len(c.Aliases) > 0 {
		text += "\nAlso: `" + strings.Join(c.Aliases, "`, `") + "`.\n"
	}
	if c.LocalFlags().HasFlags() {
		text += "\n" + flagTable(c.LocalFlags())
	}
	return text
}

func flagTable(set *pflag.FlagSet) string {
	t := mdTable{{"flag", "meaning"}}
	set.VisitAll(func(f *pflag.Flag) {
		if f.Name == "help" {
			return
		}
		value, usage := pflag.UnquoteUsage(f)
		name := strings.TrimSpace("--" + f.Name + " " + value)
		if f.Shorthand != "" {
			name = "-" + f.Shorthand + ", " + name
		}
		t = append(t, []string{"`" + name + "`", usage})
	})
	return t.String()
}

func exitDoc() string {
	row := func(code int, text string) []string { return []string{fmt.Sprint(code), text} }
	return "\n## Exit codes\n\nOf `run`, `attach` and `wait`:\n\n" + mdTable{
		{"code", "meaning"},
		{"the job's own", "its receipt says so; 128+N when signal N ended it"},
		row(exitDoubt, "in doubt: something may still bill, or goes on; stderr has the key and the commands"),
		row(exitLost, "pre-empted, lost without a receipt, or started more than once"),
		row(exitLimit, "lifetime, lease or budget ended it"),
		row(exitRunctl, "runctl failed, its usage is wrong, or not everything was collected; nothing bills"),
		row(exitNotExec, "the command cannot be run"),
		row(exitNotFound, "the command is not there"),
		row(exitCtrlC, "cancelled by Ctrl-C"),
		row(exitTerm, "cancelled by SIGTERM"),
	}.String() + "\nA job may itself exit with one of these: the last line on stderr, and `outcome` in JSON, tell them apart.\n\nOf all others:\n\n" + mdTable{
		{"code", "meaning"}, row(exitOK, "done"), row(exitFailed, "failed, or a list that lacks something"), row(exitUsage, "the usage is wrong"),
		row(exitSSH, "of `ssh`, which otherwise exits with its command's: it failed itself"),
	}.String()
}

func environmentDoc() string {
	names := make([]string, len(fromEnv))
	for i, n := range fromEnv {
		names[i] = fmt.Sprintf("`RUNCTL_%s`", strings.ToUpper(strings.ReplaceAll(n, "-", "_")))
	}
	slices.Sort(names)
	return "\n## Environment\n\nThere is no configuration file. A flag that is not given is read from " + strings.Join(names, ", ") +
		"; `RUNCTL_PROVIDER` counts for `run` and `launch` alone.\n\n" + mdTable{
		{"variable", "meaning"},
		{"`RUNCTL_OWNER`", "whose machines these are, 1 to 12 of a-z and 0-9; made from user and host at first use"},
		{"`RUNCTL_STATE_DIR`", "the state directory: the owner's secret, what was launched, the record of each run"},
	}.String()
}

// jsonDoc shows the forms of output, made from the types that are printed.
func jsonDoc() string {
	at := time.Date(2026, 1, 2, 15, 4, 5, 0, time.UTC)
	offer := pricedOffers()[0]
	offer.Provider, offer.Region, offer.Type, offer.Market, offer.Price.At = "aws", "us-east-1", "p5.4xlarge", runctl.OnDemand, at
	i := runctl.Instance{Provider: "aws", ID: "i-0abc", State: runctl.StateTerminated, Type: offer.Type, Region: offer.Region, Market: offer.Market,
		GPU: offer.GPU, Price: offer.Price, Launched: at, Ended: at.Add(time.Hour)}
	sample := func(v any) string {
		var b strings.Builder
		writeJSON(&b, v, true)
		return "```json\n" + b.String() + "```\n"
	}
	doubt := &runctl.Error{Provider: "aws", Op: "launch", Key: "train", Kind: runctl.ErrUncertain, Scope: runctl.ScopeZone, Msg: "no answer", MayBill: true}
	return "\n## JSON\n\nWith `--json` names are snake_case, times RFC 3339 in UTC, durations seconds, states words, and an unknown price is null.\n" +
		"Lists are one array. `run`, `attach`, `wait` and `logs` print a line for each event:\n\n" + mdTable{
		{"event", "fields"},
		{"`phase`", "`run`, `phase`, `time`, `provider`, `id`, and if there is one `offer` and `message`"},
		{"`log`", "`offset`, and `data` as text or `data_base64` when it is no UTF-8"},
		{"`sync`", "`dir`, `files`, `bytes`, `ignored` (their number), `secrets` (left out)"},
		{"`detached`", "`run`, `ref`, `ends_by`"},
		{"`result`", "`run`, `outcome`, `exit_code`, `receipt`, `ref`, `cost`, `terminated`, `log`, `outputs`, `record`, and if there is one `note`"},
	}.String() + "\n`ps` has objects of `state`, `run` (the record, or null), `instance` (or null), and if there is one `status` and `note`.\n" +
		"An offer, in `offers` and within others:\n\n" + sample(toOffer(offer)) + "\nA machine:\n\n" + sample(toInstance(i)) +
		"\nAn error, on stderr:\n\n" + sample(errorJSON(doubt))
}
