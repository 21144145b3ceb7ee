package ssh

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// target is how OpenSSH's client configuration says that a host is reached, as far as this package knows its
// words. What ssh(1) would read differently is an error here, never a guess.
type target struct {
	alias      string // as written, without user and port
	host       string // HostName, else the alias
	user       string
	port       string
	identities []string // as configured; nil: OpenSSH's defaults
	only       bool     // IdentitiesOnly
	agent      string   // socket; empty: none
	known      []string // UserKnownHostsFile and GlobalKnownHostsFile
	keyAlias   string   // HostKeyAlias
	jumps      []string // ProxyJump, the nearest first
	viaCommand bool     // ProxyCommand
	defaults   []string // identity files to try where none are configured
}

// openssh reads client configuration. Its files are read anew for each host, as ssh(1) does.
type openssh struct {
	files []string // the first value of a keyword counts, so the user's own comes first
	home  string
	user  string // of this computer
	env   func(string) string
}

const (
	maxInclude = 16 // as OpenSSH
	maxConfig  = 1 << 20
)

// splitHost takes apart [user@]host[:port], where an IPv6 address with a port has brackets.
func splitHost(s string) (user, host, port string, err error) {
	if at := strings.LastIndexByte(s, '@'); at >= 0 {
		user, s = s[:at], s[at+1:]
		if user == "" {
			return "", "", "", errors.New("there is no user before '@'")
		}
	}
	host = s
	if h, p, e := net.SplitHostPort(s); e == nil {
		if n, e := strconv.ParseUint(p, 10, 16); e != nil || n == 0 {
			return "", "", "", fmt.Errorf("the port after ':' must be 1 to 65535, not %q", p)
		}
		host, port = h, p
	} else if strings.HasPrefix(s, "[") && strings.HasSuffix(s, "]") {
		host = s[1 : len(s)-1]
	}
	switch {
	case host == "" || host == ".":
		return "", "", "", errors.New("there is no host")
	case strings.HasPrefix(host, "-") || strings.HasPrefix(user, "-"):
		return "", "", "", errors.New("neither user nor host may begin with '-'")
	case strings.ContainsAny(host, "/@[],%*?!\"'\\") || strings.ContainsAny(user, "/:,\"'\\"):
		return "", "", "", errors.New("write name, host or user@host:port")
	}
	for _, r := range user + host {
		if r <= ' ' || r > '~' {
			return "", "", "", errors.New("user and host must be printable ASCII without spaces")
		}
	}
	return user, host, port, nil
}

// resolve says how a host is reached. What the name itself says of user and port counts more than any file.
func (c openssh) resolve(name string) (target, error) {
	user, host, port, err := splitHost(name)
	if err != nil {
		return target{}, err
	}
	e := c.evaluation(user, host, port)
	for _, file := range c.files {
		e.active = true
		if err := e.file(file, 0); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return target{}, err
		}
	}
	return e.target()
}

func (c openssh) evaluation(user, host, port string) *evaluation {
	e := &evaluation{openssh: c, values: map[string][]string{}, alias: host, active: true}
	if user != "" {
		e.values["user"] = []string{user}
	}
	if port != "" {
		e.values["port"] = []string{port}
	}
	return e
}

// agent reports whether there is an agent to ask, whatever single hosts may say.
func (c openssh) agent() bool { return c.env("SSH_AUTH_SOCK") != "" }

// evaluation goes through configuration for one host.
type evaluation struct {
	openssh
	alias  string
	values map[string][]string // by keyword, in lower case: the first line's arguments; of identityfile every line's
	active bool                // the lines of this block count
	never  bool                // within an include of a block that does not
	opaque string              // the block's Match cannot be judged here
}

// keywords are those that are read. The value tells which may be told several times.
var keywords = map[string]bool{"hostname": false, "user": false, "port": false, "identityfile": true, "identitiesonly": false,
	"identityagent": false, "proxyjump": false, "proxycommand": false, "userknownhostsfile": false, "globalknownhostsfile": false, "hostkeyalias": false}

func (e *evaluation) file(name string, depth int) error {
	if depth > maxInclude {
		return fmt.Errorf("%s: more than %d levels of Include", name, maxInclude)
	}
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	return e.read(f, name, depth)
}

func (e *evaluation) read(from io.Reader, name string, depth int) error {
	lines := bufio.NewScanner(from)
	lines.Buffer(make([]byte, 0, 4096), maxConfig)
	for n := 1; lines.Scan(); n++ {
		if err := e.line(lines.Text(), name, depth); err != nil {
			return fmt.Errorf("%s:%d: %w", name, n, err)
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

func (e *evaluation) line(line, file string, depth int) error {
	word, args, err := splitLine(line)
	if err != nil {
		return err
	}
	known := func() bool { _, ok := keywords[word]; return ok || word == "include" }
	switch {
	case word == "":
		return nil
	case word == "host":
		e.opaque = ""
		e.active = !e.never && matchAny(args, e.alias)
		return nil
	case word == "match":
		return e.match(args)
	case e.opaque != "" && known():
		return fmt.Errorf("%s decides whether %q counts for %s, and only ssh can judge it; use Host, Match host or Match user there, or give runctl a file without it", e.opaque, word, e.alias)
	case !e.active || !known():
		return nil
	case word == "include":
		return e.include(args, file, depth)
	case len(args) == 0:
		return fmt.Errorf("%s needs a value", word)
	case keywords[word]:
		e.values[word] = append(e.values[word], args[0])
	case word == "proxyjump" && e.values["proxycommand"] != nil, word == "proxycommand" && !none(e.first("proxyjump", "none")):
	case e.values[word] == nil:
		e.values[word] = args
	}
	return nil
}

func (e *evaluation) include(args []string, file string, depth int) error {
	active, never, opaque := e.active, e.never, e.opaque
	for _, a := range args {
		path, err := e.expand(a, nil)
		if err != nil {
			return err
		}
		if !filepath.IsAbs(path) {
			dir := filepath.Join(e.home, ".ssh")
			if strings.HasPrefix(file, "/etc/ssh/") {
				dir = "/etc/ssh"
			}
			path = filepath.Join(dir, path)
		}
		found, err := filepath.Glob(path)
		if err != nil {
			return err
		}
		for _, f := range found {
			e.active, e.never, e.opaque = active, never || !active, opaque
			if err := e.file(f, depth+1); err != nil {
				return err
			}
		}
	}
	e.active, e.never, e.opaque = active, never, opaque
	return nil
}

// match judges a Match line. Criteria that only ssh can judge make the block opaque, unless others have
// already failed.
func (e *evaluation) match(args []string) error {
	e.active, e.opaque = !e.never, ""
	fail := func(ok, not bool) { e.active = e.active && ok != not }
	for k := 0; k < len(args); k++ {
		not := strings.HasPrefix(args[k], "!")
		word, value, inline := strings.Cut(strings.ToLower(strings.TrimPrefix(args[k], "!")), "=")
		switch word {
		case "all":
			fail(true, not)
			continue
		case "canonical", "final":
			e.opaque = "Match " + word
			continue
		}
		if !inline {
			if k++; k >= len(args) {
				return fmt.Errorf("match %s needs a value", word)
			}
			value = args[k]
		}
		list := strings.Split(value, ",")
		switch word {
		case "host":
			fail(matchAny(lower(list), strings.ToLower(e.hostName())), not)
		case "originalhost":
			fail(matchAny(lower(list), strings.ToLower(e.alias)), not)
		case "user":
			fail(matchAny(list, e.first("user", e.user)), not)
		case "localuser":
			fail(matchAny(list, e.user), not)
		default:
			e.opaque = "Match " + word
		}
	}
	if !e.active {
		e.opaque = ""
	}
	if e.opaque != "" {
		e.active = false
	}
	return nil
}

func (e *evaluation) first(word, otherwise string) string {
	if v := e.values[word]; len(v) > 0 {
		return v[0]
	}
	return otherwise
}

func (e *evaluation) hostName() string {
	return strings.NewReplacer("%%", "%", "%h", e.alias).Replace(e.first("hostname", e.alias))
}

func lower(all []string) []string { return strings.Split(strings.ToLower(strings.Join(all, ",")), ",") }

// matchAny reports whether s matches one of the patterns and none of those with a '!'.
func matchAny(patterns []string, s string) bool {
	found := false
	for _, p := range patterns {
		p, not := strings.CutPrefix(p, "!")
		if ok := wild(p, s); ok && not {
			return false
		} else if ok {
			found = true
		}
	}
	return found
}

// wild matches '*' and '?', in time that grows with the product of the two lengths at most.
func wild(pattern, s string) bool {
	p, at, star, mark := 0, 0, -1, 0
	for at < len(s) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, mark = p, at
			p++
		case p < len(pattern) && (pattern[p] == '?' || pattern[p] == s[at]):
			p++
			at++
		case star >= 0:
			mark++
			p, at = star+1, mark
		default:
			return false
		}
	}
	return strings.Trim(pattern[p:], "*") == ""
}

// splitLine gives a line's keyword, in lower case, and its arguments: split at spaces, with quotes of both
// kinds, up to a comment.
func splitLine(line string) (word string, args []string, err error) {
	line = strings.Trim(line, " \t\r\n\f")
	if line == "" || line[0] == '#' {
		return "", nil, nil
	}
	end := strings.IndexAny(line, " \t=\"")
	if end < 0 {
		return strings.ToLower(line), nil, nil
	}
	word = strings.ToLower(line[:end])
	rest := strings.TrimLeft(line[end:], " \t")
	rest = strings.TrimLeft(strings.TrimPrefix(rest, "="), " \t")
	var arg strings.Builder
	within, quote := false, byte(0)
	for i := 0; i < len(rest); i++ {
		ch := rest[i]
		switch {
		case quote == 0 && (ch == ' ' || ch == '\t'):
			if within {
				args = append(args, arg.String())
				arg.Reset()
			}
			within = false
			continue
		case quote == 0 && ch == '#' && !within:
			return word, args, nil
		case ch == '\\' && i+1 < len(rest) && (strings.IndexByte(`"'\`, rest[i+1]) >= 0 || quote == 0 && rest[i+1] == ' '):
			i++
			arg.WriteByte(rest[i])
		case quote == 0 && (ch == '"' || ch == '\''):
			quote = ch
		case quote != 0 && ch == quote:
			quote = 0
		default:
			arg.WriteByte(ch)
		}
		within = true
	}
	if quote != 0 {
		return word, nil, errors.New("a quote is not closed")
	}
	if within {
		args = append(args, arg.String())
	}
	return word, args, nil
}

func none(value string) bool { return strings.EqualFold(value, "none") }

// expand replaces ~, ${NAME} and the %-tokens of t in a file's name; without t there are none of those.
func (c openssh) expand(s string, t *target) (string, error) {
	if rest, ok := strings.CutPrefix(s, "~/"); ok {
		s = filepath.Join(c.home, rest)
	} else if strings.HasPrefix(s, "~") {
		return "", fmt.Errorf("%s: only ~/ is known here, not another user's home", s)
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '$' && i+1 < len(s) && s[i+1] == '{':
			name, rest, ok := strings.Cut(s[i+2:], "}")
			if v := c.env(name); !ok || v == "" {
				return "", fmt.Errorf("%s: the environment has no %q", s, name)
			} else {
				b.WriteString(v)
			}
			i = len(s) - len(rest) - 1
		case s[i] == '%' && t != nil:
			i++
			at := -1
			if i < len(s) {
				at = strings.IndexByte("%dhnpru", s[i])
			}
			if at < 0 {
				return "", fmt.Errorf("%s: of the %%-tokens only %%%%, %%d, %%h, %%n, %%p, %%r and %%u are known here", s)
			}
			b.WriteString([]string{"%", c.home, t.host, t.alias, t.port, t.user, c.user}[at])
		default:
			b.WriteByte(s[i])
		}
	}
	return b.String(), nil
}

// target makes the result of what was read.
func (e *evaluation) target() (target, error) {
	t := target{alias: e.alias, host: strings.ToLower(e.hostName()), user: e.first("user", e.user), port: e.first("port", "22"),
		only: e.first("identitiesonly", "no") == "yes", keyAlias: e.first("hostkeyalias", ""), defaults: defaultKeyFiles(e.home)}
	if n, err := strconv.ParseUint(t.port, 10, 16); err != nil || n == 0 {
		return t, fmt.Errorf("port %q for %s: must be 1 to 65535", t.port, e.alias)
	}
	t.viaCommand = !none(e.first("proxycommand", "none"))
	if v := e.first("proxyjump", "none"); !none(v) {
		t.jumps = strings.Split(v, ",")
	}
	if v := e.first("identityagent", "SSH_AUTH_SOCK"); v == "SSH_AUTH_SOCK" {
		t.agent = e.env("SSH_AUTH_SOCK")
	} else if name, ok := strings.CutPrefix(v, "$"); ok && !strings.HasPrefix(name, "{") {
		t.agent = e.env(name)
	} else if v != "none" {
		var err error
		if t.agent, err = e.expand(v, &t); err != nil {
			return t, err
		}
	}
	paths := func(words []string) (all []string, err error) {
		for _, w := range words {
			if none(w) {
				continue
			}
			p, err := e.expand(w, &t)
			if err != nil {
				return nil, err
			}
			if !slices.Contains(all, p) {
				all = append(all, p)
			}
		}
		return all, nil
	}
	var err error
	if v := e.values["identityfile"]; v != nil {
		if t.identities, err = paths(v); err != nil {
			return t, err
		}
		if t.identities == nil {
			t.identities = []string{}
		}
	}
	user, global := e.values["userknownhostsfile"], e.values["globalknownhostsfile"]
	if user == nil {
		user = []string{"~/.ssh/known_hosts", "~/.ssh/known_hosts2"}
	}
	if global == nil {
		global = []string{"/etc/ssh/ssh_known_hosts", "/etc/ssh/ssh_known_hosts2"}
	}
	t.known, err = paths(append(slices.Clone(user), global...))
	return t, err
}
