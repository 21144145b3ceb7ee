package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"time"
)

// record puts a section into the file of results, in place of an earlier one of the same name.
func record(file, name, text string) error {
	old, err := os.ReadFile(file)
	if err != nil && !os.IsNotExist(err) {
		return err
	}
	const mark = "\n## "
	head, sections := "# Benchmarks\n\nMade by `go run ./bench NAME`. Ratios are of medians of the same run; a smaller one is better.\n", []string{}
	if parts := strings.Split(string(old), mark); len(parts) > 1 {
		head, sections = parts[0], parts[1:]
	}
	sections = slices.DeleteFunc(sections, func(s string) bool { return strings.HasPrefix(s, name+"\n") })
	sections = append(sections, name+"\n\n"+text)
	slices.Sort(sections)
	all := strings.TrimRight(head, "\n") + "\n"
	for _, s := range sections {
		all += mark + strings.TrimRight(s, "\n") + "\n"
	}
	return os.WriteFile(file, []byte(all), 0o644)
}

// machine describes this computer and the tools that were measured, for a section's first lines.
func machine(tools ...[]string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s, %s, %d cores", time.Now().UTC().Format("2006-01-02"), cpu(), runtime.NumCPU())
	if mem := field("/proc/meminfo", "MemTotal:"); mem != "" {
		fmt.Fprintf(&b, ", memory %s", mem)
	}
	for _, tool := range append([][]string{{"uname", "-sr"}, {"go", "version"}}, tools...) {
		cmd := exec.Command(tool[0], tool[1:]...)
		out, _ := cmd.CombinedOutput() // ssh -V speaks on stderr
		line, _, _ := bytes.Cut(out, []byte("\n"))
		fmt.Fprintf(&b, "; %s", strings.Join(strings.Fields(string(line)), " "))
	}
	return b.String() + ".\n"
}

func cpu() string {
	if name := field("/proc/cpuinfo", "model name"); name != "" {
		return strings.TrimLeft(name, ": \t")
	}
	return runtime.GOARCH
}

// field is the rest of the first line that begins so.
func field(file, begin string) string {
	b, _ := os.ReadFile(file)
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(line, begin); ok {
			return strings.TrimSpace(rest)
		}
	}
	return ""
}

// median is the middle value, or the mean of the two in the middle.
func median(d []time.Duration) time.Duration {
	s := slices.Sorted(slices.Values(d))
	if len(s) == 0 {
		return 0
	}
	return (s[(len(s)-1)/2] + s[len(s)/2]) / 2
}
