package canary

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// computer runs the command, as a process of its own, with a state directory.
type computer struct {
	around
	t     *testing.T
	dir   string
	env   []string
	plain string // a control, which is the name of the owner's runs
}

func newComputer(t *testing.T, h *hunt) *computer {
	c := &computer{t: t, dir: t.TempDir(), plain: h.control("a plain word")}
	state := filepath.Join(c.dir, "state")
	c.around = around{h: h, roots: []string{state}, own: "owner.json"}
	require.NoError(t, os.MkdirAll(filepath.Join(c.dir, "work"), 0o755))
	require.NoError(t, os.Mkdir(state, 0o700))
	owner := fmt.Sprintf(`{"runctl":"owner","version":1,"owner":"tester","secret":"%s"}`, base64.StdEncoding.EncodeToString([]byte(h.token("Config.Secret"))))
	require.NoError(t, os.WriteFile(filepath.Join(state, "owner.json"), []byte(owner), 0o600))
	c.env = append(os.Environ(), asCommand+"=1", "RUNCTL_STATE_DIR="+state, "RUNCTL_OWNER=tester", "HOME="+c.dir, "CANARY_PLAIN="+c.plain)
	t.Cleanup(func() { end(t, state) })
	return c
}

// give sets a variable of the command's environment to a new secret, and returns its name.
func (c *computer) give(name, what string) {
	c.env = append(c.env, name+"="+c.h.secret(what))
	c.mine = append(c.mine, what) // of a job here, and of all that is here, as of the one who asks for it
}

// write makes a file in the working directory.
func (c *computer) write(name, text string) string {
	require.NoError(c.t, os.WriteFile(filepath.Join(c.dir, "work", name), []byte(text), 0o600))
	return name
}

// start starts a command line.
func (c *computer) start(args ...string) (cmd *exec.Cmd, stdout, stderr *bytes.Buffer) {
	c.t.Helper()
	cmd = exec.Command(os.Args[0], args...)
	cmd.Dir, cmd.Env = filepath.Join(c.dir, "work"), c.env
	stdout, stderr = new(bytes.Buffer), new(bytes.Buffer)
	cmd.Stdout, cmd.Stderr = stdout, stderr
	cmd.WaitDelay = 5 * time.Second
	require.NoError(c.t, cmd.Start())
	return cmd, stdout, stderr
}

// run runs a command line and looks at what it says and leaves.
func (c *computer) run(args ...string) (code int, said string) {
	c.t.Helper()
	cmd, stdout, stderr := c.start(args...)
	c.processes("beside the command")
	_ = cmd.Wait()
	what := strings.Join(args, " ")
	c.h.look(atStdout, what, stdout.String())
	c.h.look(atStderr, what, stderr.String())
	c.files("after "+what, true)
	c.records("after " + what)
	return cmd.ProcessState.ExitCode(), stdout.String() + stderr.String()
}

// records looks at the records of runs and at the intent log.
func (c *computer) records(what string) {
	paths, _ := filepath.Glob(filepath.Join(c.roots[0], "runs", "*"))
	for _, path := range append(paths, filepath.Join(c.roots[0], "intents.log")) {
		text, _ := os.ReadFile(path)
		c.h.look(atRecord, what, string(text))
	}
}

// The command on this computer, with secrets by every way in which it takes them.
func TestNothingComesOutOfTheCommand(t *testing.T) {
	h := newHunt(t)
	c := newComputer(t, h)
	c.give("GIVEN", "a variable for --secret")
	c.give("PASSED", "a variable for --env")
	file := c.write("secret", h.secret("a file for --secret")+"\n")
	env := c.write("env", "# a comment\nFROM_FILE="+h.token("a line of --env-file")+"\nPATH="+os.Getenv("PATH")+"\n")
	secrets := []string{"-p", "local", "--secret", "GIVEN", "--secret", "FILE=@" + file, "--env-file", env, "--env", "PASSED"}
	line := func(before, flags []string, command ...string) []string {
		return append(append(append(append(before, "run"), append(secrets, flags...)...), "--"), command...)
	}

	// while the job runs
	up, gate := newPipe(t), newPipe(t)
	script := `echo ` + c.plain + ` >"$RUNCTL_OUTPUT_DIR/out"; echo ` + c.plain + `; echo up >` + up.path + `; read x <` + gate.path
	cmd, stdout, stderr := c.start(line([]string{"-v"}, []string{"--name", c.plain}, "sh", "-c", script, c.plain)...)
	up.hear()
	c.processes("while the job runs")
	c.files("while the job runs", true)
	for name, has := range c.jobHas(c.plain, "a variable for --secret", "a variable for --env", "a file for --secret", "a line of --env-file") {
		assert.True(t, has, "the job has %s", name)
	}
	gate.say()
	assert.NoError(t, cmd.Wait(), stderr)
	h.look(atStdout, "run -v", stdout.String())
	h.look(atStderr, "run -v", stderr.String())

	// ends of all kinds
	for want, command := range map[int][]string{0: {"true"}, 3: {"sh", "-c", "exit 3"}, 137: {"sh", "-c", "kill -s KILL $$"}, 127: {"no-such-command"}, 126: {"./" + file}} {
		for _, flags := range [][]string{{"-v"}, {"--json", "-v"}} {
			code, said := c.run(line(flags, nil, command...)...)
			assert.Equal(t, want, code, said)
		}
	}

	// by and by
	code, said := c.run(line(nil, []string{"-d", "--name", "later"}, "sh", "-c", "echo x; read x <"+gate.path)...)
	require.Zero(t, code, said)
	for _, args := range [][]string{{"ps"}, {"ps", "--json"}, {"ps", "--all-owners"}, {"logs", "later"}, {"logs", "--json", "later"}, {"cancel", "later"}, {"attach", "-v", "later"},
		{"wait", "later"}, {"wait", "--json", "later"}, {"terminate", "later"}, {"terminate", "nobody"}, {"reap"}, {"providers"}, {"providers", "--check", "--json"}, {"offers", "--json"}} {
		c.run(args...)
	}
	h.mustHaveSeen(atStdout, atStderr, atRecord, atArgs, atEnviron, atReadable, atPrivate, atName)
}

// Command lines that are refused, and files that are not what they should be.
func TestRefusalsOfTheCommandShowNothing(t *testing.T) {
	h := newHunt(t)
	c := newComputer(t, h)
	c.give("GIVEN", "a variable for --secret")
	typed, bare := h.secret("a value on the command line"), h.token("a line that is no assignment")
	long := strings.Repeat(h.token("a long value"), 2000)
	for what, args := range map[string][]string{
		"a value on the command line": {"--secret", "TOKEN=" + typed},
		"a value that is typed twice": {"--env", "TOKEN=" + typed, "--secret", "TOKEN"},
		"a name that is a shell's":    {"--env", "IFS=" + typed},
		"a name that is ours":         {"--env", "RUNCTL_X=" + typed},
		"a name that is none":         {"--env", "a b=" + typed},
		"a variable that is not set":  {"--secret", "NOT_SET"},
		"a file that is not there":    {"--secret", "TOKEN=@missing"},
		"a file that is a directory":  {"--secret", "TOKEN=@."},
		"a file that is too long":     {"--secret", "TOKEN=@" + c.write("long", long)},
		"a file with a NUL":           {"--secret", "TOKEN=@" + c.write("nul", bare+"\x00"+bare)},
		"a secret twice":              {"--secret", "GIVEN", "--env", "GIVEN=" + typed},
		"a stray line":                {"--env-file", c.write("stray", "A=1\n"+bare+"\n")},
		"a line of base64":            {"--env-file", c.write("base64", "A=-----BEGIN PRIVATE KEY-----\n"+base64.StdEncoding.EncodeToString([]byte(bare))+"\n4"+bare+"==\n")},
		"an exported line":            {"--env-file", c.write("export", "export A="+bare+"\n")},
		"a line that is too long":     {"--env-file", c.write("longline", "A="+long+"\n")},
		"a line with a NUL":           {"--env-file", c.write("nulline", "A="+bare+"\x00\n")},
		"no file of lines":            {"--env-file", "missing"},
		"an unknown flag":             {"--env-file", c.write("fine", "A="+bare+"\n"), "--frobnicate"},
		"no lifetime on a cloud":      {"--secret", "GIVEN", "-p", "nobody"},
	} {
		for _, flags := range [][]string{{"-v"}, {"--json"}} {
			cmd, stdout, stderr := c.start(append(append(append(flags, "run", "-p", "local"), args...), "--", "true", c.plain)...)
			_ = cmd.Wait()
			assert.NotZero(t, cmd.ProcessState.ExitCode(), what)
			h.look(atStdout, what, stdout.String())
			h.look(atStderr, what, stderr.String())
			c.files("after "+what, true)
			c.records("after " + what)
		}
	}
	_, said := c.run("logs", c.plain)
	assert.Contains(t, said, c.plain)
	h.mustHaveSeen(atStderr)
}

// The command over a cloud that is broken in every way, through a provider that tells all.
func TestNothingComesOutOfTheCommandOverACarelessProvider(t *testing.T) {
	h := newHunt(t)
	c := newComputer(t, h)
	creds := plantCredentials(h)
	s := newCloudServer(t, creds)
	c.env = append(c.env, "BEARER_URL="+s.URL, "BEARER_TOKEN="+creds.bearer, "BEARER_SIGNATURE="+creds.signature)
	c.mine = []string{"the provider's bearer token", "a signed URL's signature"} // of the command itself
	c.give("GIVEN", "a variable for --secret")
	for _, mode := range modes {
		h.doing(mode)
		name := "r-" + mode
		if mode == "lost" {
			name = c.plain
		}
		for _, args := range [][]string{
			{"providers", "--check"}, {"--json", "ps"}, {"-v", "offers"}, {"-v", "launch", "--lifetime", "1h", "--name", "m-" + mode},
			{"--json", "run", "--lifetime", "1h", "--secret", "GIVEN", "--name", name, "--", "true", c.plain},
			{"-v", "terminate", "b-1"}, {"reap", "--json"},
		} {
			s.become(mode)
			if mode == "lost" || mode == "throttled" || mode == "cut" { // the command looks for minutes; what it says comes sooner
				s.heal(300 * time.Millisecond)
			}
			c.run(append([]string{"-p", "bearer"}, args...)...)
		}
	}
	h.mustHaveSeen(atStdout, atStderr, atRecord)
}
