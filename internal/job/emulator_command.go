package job

import (
	"io"
	"strconv"
	"strings"
)

// command answers what is not a verb of the supervisor, in a tiny, deterministic way: true and false,
// echo (arguments joined by spaces, and a newline), cat without arguments (copies stdin) and sh -c "exit N".
// Anything else is a command that this machine does not have: code 127 and a line on stderr.
func command(argv []string, stdin io.Reader, stdout, stderr io.Writer) (int, error) {
	switch {
	case len(argv) == 0:
	case argv[0] == "true":
		return 0, nil
	case argv[0] == "false":
		return 1, nil
	case argv[0] == "echo":
		return say(stdout, strings.Join(argv[1:], " ")+"\n", 0)
	case argv[0] == "cat" && len(argv) == 1:
		if stdin == nil {
			return 0, nil
		}
		_, err := io.Copy(orDiscard(stdout), stdin)
		return 0, err
	case len(argv) == 3 && argv[0] == "sh" && argv[1] == "-c":
		code, ok := strings.CutPrefix(argv[2], "exit ")
		if n, err := strconv.ParseUint(code, 10, 8); ok && err == nil {
			return int(n), nil
		}
	}
	return say(stderr, "emulator: no such command: "+strings.Join(argv, " ")+"\n", 127)
}

// say writes the text and returns the code.
func say(w io.Writer, text string, code int) (int, error) {
	_, err := io.WriteString(orDiscard(w), text)
	return code, err
}

// orDiscard makes a missing writer one that takes everything, as os/exec does.
func orDiscard(w io.Writer) io.Writer {
	if w == nil {
		return io.Discard
	}
	return w
}
