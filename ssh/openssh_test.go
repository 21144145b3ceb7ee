package ssh

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// conf is OpenSSH's configuration with this text, for the user me at home.
func conf(t testing.TB, home, text string) openssh {
	t.Helper()
	file := filepath.Join(home, "config")
	require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
	return openssh{files: []string{file}, home: home, user: "me", env: func(n string) string {
		return map[string]string{"SSH_AUTH_SOCK": "/agent", "KEYS": "/keys"}[n]
	}}
}

func TestOpenSSHsConfiguration(t *testing.T) {
	home := t.TempDir()
	require.NoError(t, os.MkdirAll(filepath.Join(home, ".ssh", "conf.d"), 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(home, ".ssh", "conf.d", "lab"), []byte("Host gpu*\n Port 2222\nHost other\n Port 1\n"), 0o600))
	c := conf(t, home, `
# the lab
Host gpu1
    HostName=%h.lab.example   # where it is
	User "kim"
    IdentityFile ~/.ssh/%r_at_%n
    IdentityFile "/a key/b"
    IdentityFile ${KEYS}/c
    IdentitiesOnly yes
    HostKeyAlias lab-gpu
    ProxyJump bastion,kim@second:2200
Host gpu* !gpu9
    User late
    UserKnownHostsFile ~/known /k2
Include conf.d/*
Host gpu2
    ProxyCommand nc %h %p
    ProxyJump none
    IdentityAgent none
Match host *.lab.example user kim
    GlobalKnownHostsFile none
Match originalhost gpu9
    User nine
Match exec "true"
    SendEnv X
Host *
    User me2
`)
	got, err := c.resolve("gpu1")
	require.NoError(t, err)
	assert.Equal(t, target{alias: "gpu1", host: "gpu1.lab.example", user: "kim", port: "2222", only: true, agent: "/agent", keyAlias: "lab-gpu",
		identities: []string{home + "/.ssh/kim_at_gpu1", "/a key/b", "/keys/c"}, jumps: []string{"bastion", "kim@second:2200"},
		known: []string{home + "/known", "/k2"}, defaults: defaultKeyFiles(home)}, got)
	got, err = c.resolve("root@gpu1:22")
	require.NoError(t, err)
	assert.Equal(t, "root 22 gpu1.lab.example", got.user+" "+got.port+" "+got.host)
	got, err = c.resolve("gpu2")
	require.NoError(t, err)
	assert.True(t, got.viaCommand, "the first of the two counts")
	assert.Empty(t, got.jumps)
	assert.Empty(t, got.agent)
	got, err = c.resolve("gpu9")
	require.NoError(t, err)
	assert.Equal(t, "nine", got.user)
	assert.Equal(t, home+"/.ssh/known_hosts", got.known[0])
	got, err = c.resolve("elsewhere")
	require.NoError(t, err)
	assert.Equal(t, "me2@elsewhere:22", got.user+"@"+got.addr())
	assert.Nil(t, got.identities)
}

func TestWhatOnlySSHCanJudgeIsAnError(t *testing.T) {
	for text, want := range map[string]string{
		"Match exec true\n User x\n":                            `config:2: Match exec decides whether "user" counts for gpu1`,
		"Match host gpu1 localnetwork 10.0.0.0/8\n Include x\n": "Match localnetwork decides",
		"Match final host gpu1\n Port 5\n":                      "Match final decides",
		"Host gpu1\n Port x\n":                                  `port "x" for gpu1`,
		"Host gpu1\n Port 0\n":                                  `port "0"`,
		"Host gpu1\n User\n":                                    "config:2: user needs a value",
		"Host gpu1\n User \"x\n":                                "a quote is not closed",
		"Host gpu1\n IdentityFile %C\n":                         "%-tokens",
		"Host gpu1\n IdentityFile ~kim/x\n":                     "only ~/ is known here",
		"Host gpu1\n IdentityFile ${NOT_SET}/x\n":               `the environment has no "NOT_SET"`,
		"Match host\n":                                          "match host needs a value",
	} {
		_, err := conf(t, t.TempDir(), text).resolve("gpu1")
		if assert.Error(t, err, text) {
			assert.Contains(t, err.Error(), want)
		}
	}
	for _, text := range []string{"Match exec true\n SendEnv x\n", "Match host other exec true\n User x\n", "Host other\n User \"x y\n"} {
		_, err := conf(t, t.TempDir(), text).resolve("gpu1")
		assert.True(t, err == nil || strings.Contains(err.Error(), "quote"), "%s: %v", text, err)
	}
	home := t.TempDir()
	_, err := conf(t, home, "Include "+filepath.Join(home, "config")+"\n").resolve("gpu1")
	assert.ErrorContains(t, err, "levels of Include")
}

func TestHostsAsTheyMayBeWritten(t *testing.T) {
	for s, want := range map[string]string{
		"gpu1": " gpu1 ", "kim@gpu1": "kim gpu1 ", "kim@10.0.0.5:2222": "kim 10.0.0.5 2222", "[fe80::1]:22": " fe80::1 22", "[fe80::1]": " fe80::1 ", "fe80::1": " fe80::1 ",
	} {
		user, host, port, err := splitHost(s)
		require.NoError(t, err, s)
		assert.Equal(t, want, user+" "+host+" "+port)
	}
	for _, s := range []string{"", "@x", "kim@", "-x", "-o@x", "a b", "a,b", "ssh://x", "x:0", "x:99999", "x:y", "a*", "!a", "a\x00", "ä", "[x", "a@b@c d", ":22", "a'b", "."} {
		_, _, _, err := splitHost(s)
		assert.Error(t, err, s)
	}
}

// TestOpenSSHReadsItTheSameWay asks ssh -G about random configurations, and expects the same, or an error.
func TestOpenSSHReadsItTheSameWay(t *testing.T) {
	if _, err := exec.LookPath("ssh"); err != nil {
		t.Skip("needs ssh")
	}
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 1))
	pick := func(words ...string) string { return words[rnd.IntN(len(words))] }
	pattern := func() string {
		return pick("gpu1", "gpu2", "gpu*", "!gpu1", "*", "g?u1", "*.lab", "!*2", "other", "gpu1.lab")
	}
	line := func() string {
		value := func(v string) string { return pick(v, v, `"`+v+`"`, v+" ", v+" # c") }
		return pick(" ", "\t", "") + pick("HostName", "hostname") + pick(" ", "=", " = ", "\t") + value(pick("gpu1.lab", "%h.lab", "10.0.0.1", "GPU.Lab")) + "\n" +
			pick("", " User "+value(pick("kim", "root", "me"))+"\n", " Port "+value(pick("22", "2200"))+"\n") +
			pick("", " IdentityFile "+value(pick("/k/a", "/k/b", "~/c", "/k/%h", "/k/%r-%p"))+"\n", " IdentityFile none\n") +
			pick("", " ProxyJump "+pick("none", "j1", "u@j2:22")+pick("", " ")+"\n", " ProxyCommand nc %h\n", " ProxyCommand none\n") +
			pick("", " UserKnownHostsFile /x /y\n", " HostKeyAlias lab\n", " IdentitiesOnly "+pick("yes", "no")+"\n", " GlobalKnownHostsFile /g\n")
	}
	agreed, refused := 0, 0
	for range 150 {
		var b strings.Builder
		for range rnd.IntN(5) {
			switch rnd.IntN(5) {
			case 0, 1:
				fmt.Fprintf(&b, "Host %s %s\n", pattern(), pick("", pattern()))
			case 2:
				fmt.Fprintf(&b, "Match %s %s\n", pick("host", "originalhost", "!host", "!originalhost"), pattern()+pick("", ","+pattern()))
			case 3:
				fmt.Fprintf(&b, "Match %s\n", pick("all", "user kim", "!user kim", "user k*,root host gpu*", "localuser "+pick("me", "*"), "exec false"))
			}
			b.WriteString(line())
		}
		c := conf(t, t.TempDir(), b.String())
		me, err := exec.Command("id", "-un").Output()
		require.NoError(t, err)
		c.user = strings.TrimSpace(string(me))
		c.home, _ = os.UserHomeDir()
		name := pick("gpu1", "gpu2", "kim@gpu1", "other")
		user, alias, _, _ := splitHost(name)
		args := []string{"-G", "-F", c.files[0], alias}
		if user != "" {
			args = append([]string{"-l", user}, args...)
		}
		var errs bytes.Buffer
		cmd := exec.Command("ssh", args...)
		cmd.Stderr = &errs
		out, err := cmd.Output()
		got, ours := c.resolve(name)
		if err != nil {
			refused++
			continue // ssh does not take it: what we make of it is no matter
		}
		if ours != nil {
			assert.ErrorContains(t, ours, "decides whether", b.String())
			refused++
			continue
		}
		want := map[string][]string{}
		for l := range strings.Lines(string(out)) {
			k, v, _ := strings.Cut(strings.TrimSpace(l), " ")
			want[k] = append(want[k], v)
		}
		one := func(k string) string { return strings.Join(want[k], " ") }
		msg := fmt.Sprintf("%s\n%s", b.String(), name)
		assert.Equal(t, one("hostname"), got.host, msg)
		assert.Equal(t, one("user"), got.user, msg)
		assert.Equal(t, one("port"), got.port, msg)
		assert.Equal(t, one("identitiesonly") == "yes", got.only, msg)
		assert.Equal(t, one("hostkeyalias"), got.keyAlias, msg)
		assert.Equal(t, strings.TrimSuffix(one("proxyjump"), "none"), strings.Join(got.jumps, ","), msg)
		assert.Equal(t, strings.TrimSuffix(one("proxycommand"), "none") != "", got.viaCommand, msg)
		if got.identities != nil {
			var files []string
			for _, f := range want["identityfile"] {
				if f != "none" {
					files = append(files, expandLike(f, c, got))
				}
			}
			assert.ElementsMatch(t, slices.Compact(files), got.identities, msg)
		}
		agreed++
	}
	t.Logf("%d agreed, %d refused", agreed, refused)
	assert.Greater(t, agreed, 50)
}

// expandLike replaces what ssh -G prints unexpanded.
func expandLike(f string, c openssh, t target) string {
	return strings.NewReplacer("~/", c.home+"/", "%h", t.host, "%r", t.user, "%p", t.port).Replace(f)
}

func FuzzOpenSSHConfiguration(f *testing.F) {
	f.Add("Host gpu1\n HostName %h.x\n IdentityFile \"~/a b\"\nMatch host gpu* user x\n Port 1\n", "gpu1")
	f.Add("Include /dev/null\nHost * !x\nProxyJump a,b\nUserKnownHostsFile=/x \\\"y\n", "u@h:1")
	f.Fuzz(func(t *testing.T, text, name string) {
		if strings.Contains(strings.ToLower(text), "include") {
			return // it would read files of this computer
		}
		user, host, port, err := splitHost(name)
		if err != nil {
			return
		}
		e := openssh{home: "/h", user: "me", env: func(string) string { return "" }}.evaluation(user, host, port)
		if e.read(strings.NewReader(text), "config", 0) != nil {
			return
		}
		got, err := e.target()
		if err == nil && (got.port == "" || got.alias == "" || strings.ContainsAny(got.alias, " \n\x00")) {
			t.Fatalf("%+v", got)
		}
	})
}

func FuzzWild(f *testing.F) {
	f.Add("a*b?c", "aXXbYc")
	f.Fuzz(func(t *testing.T, pattern, s string) {
		if strings.ContainsAny(pattern, `[]\/`) || strings.Contains(s, "/") || !isASCII(pattern+s) {
			return
		}
		if want, err := filepath.Match(pattern, s); err == nil && wild(pattern, s) != want {
			t.Fatalf("wild(%q, %q) is %t", pattern, s, !want)
		}
	})
}

func isASCII(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r >= 0x80 })
}
