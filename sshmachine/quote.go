package sshmachine

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// maxCommand is what Linux takes as one argument, and the login shell gets the whole command as one.
const maxCommand = 128<<10 - 1

var quoter = strings.NewReplacer(`'`, `'\''`, `\`, `'\\'`)

// quote makes one word of s in sh, bash, zsh and fish. A backslash is written outside of the quotes, because
// fish gives it a meaning inside.
func quote(s string) string { return "'" + quoter.Replace(s) + "'" }

// commandLine is what the login shell is told to run: argv with env.
func commandLine(argv []string, env map[string]string) (string, error) {
	if len(argv) == 0 || argv[0] == "" {
		return "", fmt.Errorf("there is no command to run")
	}
	var b strings.Builder
	b.WriteString("exec")
	if len(env) > 0 {
		b.WriteString(" env")
		for _, k := range slices.Sorted(maps.Keys(env)) {
			b.WriteString(" " + quote(k+"="+env[k]))
		}
		if strings.Contains(argv[0], "=") { // env would take it for a setting
			argv = append([]string{"sh", "-c", `exec "$@"`, "sh"}, argv...)
		}
	}
	for _, a := range argv {
		b.WriteString(" " + quote(a))
	}
	s := b.String()
	switch {
	case strings.ContainsRune(s, 0):
		return "", fmt.Errorf("an argument holds a NUL byte, which no command can be given")
	case len(s) > maxCommand:
		return "", fmt.Errorf("the arguments are %d bytes long when quoted; a command may have %d: send data on standard input", len(s), maxCommand)
	}
	return s, nil
}

func checkEnv(env map[string]string) error {
	for k, v := range env {
		for i, r := range k {
			if r != '_' && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z') && (i == 0 || r < '0' || r > '9') {
				return fmt.Errorf("Env: %q is not a shell name", k)
			}
		}
		if k == "" || strings.ContainsRune(v, 0) {
			return fmt.Errorf("Env: a name is empty, or the value of %q holds a NUL byte", k)
		}
	}
	return nil
}
