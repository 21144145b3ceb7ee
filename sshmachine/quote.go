package sshmachine

import (
	"errors"
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

// commandLine is what the login shell is told to run: argv with env, which tells its process id behind word; with no
// word it does not.
func commandLine(argv []string, env map[string]string, word string) (string, error) {
	if len(argv) == 0 || argv[0] == "" {
		return "", errors.New("there is no command to run")
	}
	start, name := `exec "$@"`, "sh"
	if word != "" {
		start, name = teller, word
	}
	words := []string{"sh", "-c", start, name}
	if len(env) > 0 {
		words = slices.Insert(words, 0, "env")
		for _, k := range slices.Backward(slices.Sorted(maps.Keys(env))) {
			words = slices.Insert(words, 1, k+"="+env[k])
		}
	}
	var b strings.Builder
	b.WriteString("exec")
	for _, a := range append(words, argv...) {
		b.WriteString(" " + quote(a))
	}
	s := b.String()
	switch {
	case strings.ContainsRune(s, 0):
		return "", errors.New("an argument holds a NUL byte, which no command can be given")
	case len(s) > maxCommand:
		return "", fmt.Errorf("the arguments are %d bytes long when quoted; a command may have %d: send data on standard input", len(s), maxCommand)
	}
	return s, nil
}

func checkEnv(env map[string]string) error {
	for k, v := range env {
		for i, r := range k {
			if r != '_' && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z') && (i == 0 || r < '0' || r > '9') {
				return fmt.Errorf("environment: %q is not a shell name", k)
			}
		}
		if k == "" || strings.ContainsRune(v, 0) {
			return fmt.Errorf("environment: a name is empty, or the value of %q holds a NUL byte", k)
		}
	}
	return nil
}
