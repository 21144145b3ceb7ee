package job

import (
	"bytes"
	"strconv"
	"strings"
	"time"
)

// Boot does what a script of the function [Boot] does when root runs it: it arms the guard, or finds it armed. Any other
// script does nothing.
func (e *Emulator) Boot(script []byte) error {
	g, ok := guardOf(script)
	if !ok {
		return nil
	}
	return e.arm(g)
}

// guardOf reads the guard out of a boot script, whose last line starts it.
func guardOf(script []byte) (g Guard, ok bool) {
	text := bytes.TrimSuffix(script, []byte("\n"))
	_, args, ok := strings.Cut(string(text[bytes.LastIndexByte(text, '\n')+1:]), " guard ")
	words := strings.Fields(args)
	if !ok || len(words) != 4 {
		return g, false
	}
	for i, d := range []*time.Duration{&g.Lifetime, &g.Keep, &g.Grace} {
		ms, err := strconv.ParseInt(words[i], 10, 64)
		if err != nil || ms < 0 || ms > maxDuration.Milliseconds() {
			return g, false
		}
		*d = time.Duration(ms) * time.Millisecond
	}
	if g.User = words[3]; g.User == "-" {
		g.User = ""
	}
	return g, g.Validate() == nil
}
