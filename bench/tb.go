package main

import (
	"context"
	"fmt"
	"os"
	"testing"
)

// tb is what the helpers of tests need of a test, for a program. A failure ends the benchmark, not the process, so
// that cleanups run.
type tb struct {
	testing.TB // nil: what is not defined below must not be called
	ctx        context.Context
	cleanups   []func()
}

type failure string

// measure runs a benchmark with its cleanups.
func measure(f func(t *tb) string) (text string, err error) {
	ctx, cancel := context.WithCancel(context.Background())
	t := &tb{ctx: ctx}
	defer func() {
		for i := len(t.cleanups) - 1; i >= 0; i-- {
			t.cleanups[i]()
		}
		cancel()
		if failed := recover(); failed != nil {
			why, ok := failed.(failure)
			if !ok {
				panic(failed)
			}
			err = fmt.Errorf("%s", why)
		}
	}()
	return f(t), nil
}

func (t *tb) Helper()                  {}
func (t *tb) Logf(string, ...any)      {}
func (t *tb) Cleanup(f func())         { t.cleanups = append(t.cleanups, f) }
func (t *tb) Context() context.Context { return t.ctx }
func (t *tb) Fatal(args ...any)        { panic(failure(fmt.Sprint(args...))) }
func (t *tb) Fatalf(format string, args ...any) {
	panic(failure(fmt.Sprintf(format, args...)))
}
func (t *tb) Skip(args ...any)                  { t.Fatal(args...) }
func (t *tb) Errorf(format string, args ...any) { fmt.Fprintf(os.Stderr, format+"\n", args...) }

// TempDir is in memory where the system has such a file system, so that the disk is not what is measured.
func (t *tb) TempDir() string {
	base := "/dev/shm"
	if info, err := os.Stat(base); err != nil || !info.IsDir() {
		base = ""
	}
	dir, err := os.MkdirTemp(base, "runctl-bench-")
	t.must(err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

func (t *tb) must(err error) {
	if err != nil {
		t.Fatal(err)
	}
}
