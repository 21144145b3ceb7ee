package main

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"runctl"
	"runctl/internal/enginetest"
)

const (
	logBytes  = 512 << 20
	logRounds = 7
	logLines  = 200
)

// benchLogs reads the log of a run over SSH, and the same file by `ssh host cat`, in turns; then it tells how old a line
// of a running job is when it is read.
func benchLogs(ctx context.Context, t *tb) string {
	s, run, _ := startOverSSH(ctx, t, fmt.Sprintf("yes 'a line of a training log, with a loss and a step' | head -c %d", logBytes))
	_, err := run.Wait(ctx)
	t.must(err)
	out, err := filepath.Glob(filepath.Join(s.Home, ".runctl", "run", "*", "out"))
	t.must(err)
	if len(out) != 1 {
		t.Fatalf("found %d logs", len(out))
	}
	var ours, theirs []float64
	for range logRounds {
		ours = append(ours, follow(ctx, t, run))
		theirs = append(theirs, sshCat(ctx, t, s, out[0]))
	}
	a, b := quantile(ours, 0.5), quantile(theirs, 0.5)
	ages := lineAges(ctx, t)
	return fmt.Sprintf(`A log of %d MiB behind an sshd on this computer, read to its end in turns by following it with runctl and by
`+"`ssh host cat`"+`; medians of %d rounds. Then the time from a line's being written by a job that runs to its arrival in `+"`Run.Logs`"+`.

| what | runctl | ssh host cat | throughput, to cat |
| --- | --- | --- | --- |
| the whole log | %.2f s | %.2f s | %.2f |

| age of a line, of %d | median | p95 | most |
| --- | --- | --- | --- |
| runctl | %.0f ms | %.0f ms | %.0f ms |
`, logBytes>>20, logRounds, a, b, b/a, len(ages), quantile(ages, 0.5), quantile(ages, 0.95), quantile(ages, 1))
}

// follow is how many seconds reading the whole log takes.
func follow(ctx context.Context, t *tb, run *runctl.Run) float64 {
	began, n := time.Now(), 0
	for chunk, err := range run.Logs(ctx, runctl.LogQuery{Follow: true}) {
		t.must(err)
		n += len(chunk.Data)
	}
	if n != logBytes {
		t.Fatalf("the log has %d bytes, not %d", n, logBytes)
	}
	return time.Since(began).Seconds()
}

func sshCat(ctx context.Context, t *tb, s *enginetest.Server, file string) float64 {
	began := time.Now()
	cat := sshCommand(ctx, s, "cat "+file)
	pipe, err := cat.StdoutPipe()
	t.must(err)
	t.must(cat.Start())
	n, err := io.Copy(io.Discard, pipe)
	t.must(err)
	t.must(cat.Wait())
	if n != logBytes {
		t.Fatalf("cat gave %d bytes, not %d", n, logBytes)
	}
	return time.Since(began).Seconds()
}

// lineAges follows a job that writes the time now and then, and tells how old each line is when it is read, in ms.
func lineAges(ctx context.Context, t *tb) (ages []float64) {
	_, run, _ := startOverSSH(ctx, t, fmt.Sprintf(`i=0; while [ $i -lt %d ]; do date +%%s%%N; sleep 0.$((i %% 5 + 1)); i=$((i+1)); done`, logLines))
	rest := ""
	for chunk, err := range run.Logs(ctx, runctl.LogQuery{Follow: true}) {
		t.must(err)
		now := time.Now()
		lines := strings.Split(rest+string(chunk.Data), "\n")
		rest = lines[len(lines)-1]
		for _, line := range lines[:len(lines)-1] {
			ns, err := strconv.ParseInt(line, 10, 64)
			t.must(err)
			ages = append(ages, float64(now.Sub(time.Unix(0, ns)).Microseconds())/1000)
		}
	}
	if len(ages) != logLines {
		t.Fatalf("%d lines arrived, not %d", len(ages), logLines)
	}
	return ages
}

// quantile is the figure below which this part of them lies.
func quantile(figures []float64, part float64) float64 {
	sorted := slices.Sorted(slices.Values(figures))
	return sorted[int(part*float64(len(sorted)-1))]
}
