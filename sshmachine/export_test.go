package sshmachine

import (
	"io"
	"net"
)

// CommandLine is what the login shell is told.
func CommandLine(argv []string, env map[string]string, word string) (string, error) {
	return commandLine(argv, env, word)
}

// Filter passes r on to w in writes of a size, without the line behind word, and returns what that line told.
func Filter(w io.Writer, word string, r io.Reader, size int) (pid, start string, err error) {
	f := &birthFilter{w: w, word: word}
	b, err := io.ReadAll(r)
	for len(b) > 0 && err == nil {
		n := min(size, len(b))
		_, err = f.Write(b[:n])
		b = b[n:]
	}
	if err == nil {
		err = f.flush(len(f.held))
	}
	return f.birth().pid, f.birth().start, err
}

// Packets is what is between the SSH library and a network connection.
func Packets(c net.Conn) net.Conn { return &packets{Conn: c} }
