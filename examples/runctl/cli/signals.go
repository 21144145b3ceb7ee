package cli

import (
	"bufio"
	"os"
	"os/signal"
	"syscall"
)

// notifySignals tells of interrupts from now on. A signal that was ignored when we were started, as nohup
// does with SIGHUP, stays ignored.
func notifySignals() (<-chan os.Signal, func()) {
	c := make(chan os.Signal, 8)
	for _, s := range []os.Signal{os.Interrupt, syscall.SIGTERM, syscall.SIGHUP} {
		if !signal.Ignored(s) {
			signal.Notify(c, s)
		}
	}
	return c, func() { signal.Stop(c) }
}

// lines are the answers from the terminal, one a line; closed at its end.
func (a *app) lines() <-chan string {
	if a.answers == nil {
		c := make(chan string)
		a.answers = c
		go func() {
			defer close(c)
			for sc := bufio.NewScanner(a.stdin); sc.Scan(); {
				c <- sc.Text()
			}
		}()
	}
	return a.answers
}
