// Command bench measures what a user waits for, against the tools that one would use otherwise, on this computer and
// in one run. It prints tables and keeps them in bench/RESULTS.md, a section for each benchmark:
//
//	go run ./bench sync
//	go run ./bench cp
//	go run ./bench logs
package main

import (
	"context"
	"fmt"
	"maps"
	"os"
	"os/signal"
	"slices"
	"strings"
)

// benchmarks are what can be measured, by name. Each returns its section of RESULTS.md without the heading.
var benchmarks = map[string]func(ctx context.Context, t *tb) string{
	"cp":   benchCp,
	"logs": benchLogs,
	"sync": benchSync,
}

// children are what a benchmark has this program do in a process of its own, so that its memory can be told.
var children = map[string]func(ctx context.Context, args []string) error{
	"sync-send": sendChild,
}

const resultsFile = "bench/RESULTS.md"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if len(os.Args) > 1 && children[os.Args[1]] != nil {
		if err := children[os.Args[1]](ctx, os.Args[2:]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	names := os.Args[1:]
	if len(names) == 0 {
		names = slices.Sorted(maps.Keys(benchmarks))
	}
	for _, name := range names {
		if benchmarks[name] == nil {
			fmt.Fprintf(os.Stderr, "unknown benchmark %q: known are %s\n", name, strings.Join(slices.Sorted(maps.Keys(benchmarks)), ", "))
			os.Exit(2)
		}
		text, err := measure(func(t *tb) string { return benchmarks[name](ctx, t) })
		if err == nil {
			fmt.Print(text)
			err = record(resultsFile, name, text)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, name+":", err)
			os.Exit(1)
		}
	}
}
