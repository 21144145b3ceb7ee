package cli

import (
	"os"

	"golang.org/x/term"
)

// screen is the terminal that we were started at.
type screen interface {
	// sizes gives the rows and columns, now and after each change, until stop is called.
	sizes() (sizes <-chan [2]int, stop func())
	// raw lets every key through until restore is called.
	raw() (restore func(), err error)
}

// ownScreen is the terminal of this process: its standard input and output.
type ownScreen struct{ in, out *os.File }

func (s ownScreen) raw() (func(), error) {
	before, err := term.MakeRaw(int(s.in.Fd()))
	if err != nil {
		return nil, err
	}
	return func() { _ = term.Restore(int(s.in.Fd()), before) }, nil
}

func (s ownScreen) sizes() (<-chan [2]int, func()) {
	changed, end := notifyResize()
	sizes, over := make(chan [2]int, 1), make(chan struct{})
	look := func() [2]int {
		cols, rows, err := term.GetSize(int(s.out.Fd()))
		if err != nil {
			return [2]int{}
		}
		return [2]int{rows, cols}
	}
	sizes <- look()
	go func() {
		for {
			select {
			case <-over:
				return
			case <-changed:
			}
			select {
			case <-over:
				return
			case sizes <- look():
			}
		}
	}()
	return sizes, func() { end(); close(over) }
}
