package cloudtest

import (
	"cmp"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"runctl/internal/enginetest"
)

// Command is what the command needs to be told of a cloud.
type Command struct {
	Provider string
	Default  bool     // it is the provider of who names none
	Offers   []string // flags of an offer
	Offered  []string // what is said of it
	Run      []string // flags of a launch that it accepts
	Hello    string   // what a job says of its machine; empty: hello
	Heard    string   // what its output has then
	Launch   string   // the operation that starts a machine
}

// TheCommandWorks: offers; a job in the foreground, whose machine ends with it; one in the background, followed and ended.
func TheCommandWorks(t *testing.T, c *Terminal, f Face, x Command) {
	code, out, errs := c.Run(append([]string{"-p", x.Provider, "offers", "--json"}, x.Offers...)...)
	require.Zero(t, code, errs)
	assert.True(t, json.Valid([]byte(out)))
	for _, text := range x.Offered {
		assert.Contains(t, out, text)
	}
	run := func(named bool, flags []string, script string) (int, string, string) {
		args := append(append([]string{"run", "--lifetime", "1h"}, x.Run...), flags...)
		if named {
			args = append([]string{"-p", x.Provider}, args...)
		}
		return c.Run(append(args, "--", "sh", "-c", script)...)
	}
	code, out, errs = run(true, []string{"--name", "first"}, "echo "+cmp.Or(x.Hello, "hello")+"; exit 3")
	assert.Equal(t, 3, code, errs)
	assert.Contains(t, out, cmp.Or(x.Heard, "hello"))
	assert.Empty(t, f.Billing(), "nothing is left of it")

	code, out, errs = run(!x.Default, []string{"-d", "--name", "second"}, "echo a; sleep 3; echo b; while :; do sleep 1; done")
	require.Zero(t, code, errs)
	assert.Equal(t, "second\n", out)
	assert.Len(t, f.Billing(), 1)
	logs := c.Command("logs", "-f", "second")
	var followed enginetest.Buffer
	logs.Stdout = &followed
	require.NoError(t, logs.Start())
	require.Eventually(t, func() bool { return followed.String() == "a\nb\n" }, 2*time.Minute, 50*time.Millisecond, "followed")
	code, out, errs = c.Run("logs", "second")
	assert.Zero(t, code, errs)
	assert.Equal(t, "a\nb\n", out)
	code, out, errs = c.Run("down", "second")
	require.Zero(t, code, out+errs)
	_ = logs.Wait()
	assert.Empty(t, f.Billing())
	assert.Equal(t, 2, f.Served(x.Launch))
}

// TheCommandNamesWhatIsMissing: without the credential in the setting the command says what to set, and a wrong one is not shown.
func TheCommandNamesWhatIsMissing(t *testing.T, c *Terminal, provider, setting, says, wrong string) {
	c.Env = append(c.Env, setting+"=")
	code, _, errs := c.Run("-p", provider, "offers")
	assert.NotZero(t, code)
	assert.Contains(t, errs, says)
	c.Env[len(c.Env)-1] = setting + "=" + wrong
	code, out, errs := c.Run("-p", provider, "offers")
	assert.NotZero(t, code)
	assert.False(t, strings.Contains(out+errs, wrong), "the key is shown")
}
