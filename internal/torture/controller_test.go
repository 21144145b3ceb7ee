package torture

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"time"

	"runctl"
	"runctl/ssh"
)

// control is the controller: it starts the job, or finds it by its reference, follows its log into a file from where
// the file ends, waits for the end, and keeps the receipt. It may be killed anywhere.
func control(p plan) error {
	ctx := context.Background()
	hosts, err := ssh.New(p.Hosts)
	if err != nil {
		return err
	}
	defer hosts.Close()
	c, err := runctl.New(runctl.Config{Owner: "torture", Controller: "abc", Secret: []byte("of the test"),
		Logger: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))}, hosts)
	if err != nil {
		return err
	}
	defer c.Close()
	run, err := find(ctx, c, p)
	for errors.Is(err, runctl.ErrUnavailable) || errors.Is(err, runctl.ErrUncertain) { // the line was cut
		<-time.After(50 * time.Millisecond)
		run, err = find(ctx, c, p)
	}
	if err != nil {
		return err
	}
	if err := follow(ctx, run, p.Log); err != nil {
		return err
	}
	receipt, err := run.Wait(ctx)
	var exit *runctl.ExitError
	if err != nil && !errors.As(err, &exit) {
		return err
	}
	b, err := json.Marshal(receipt)
	if err != nil {
		return err
	}
	return keep(p.Receipt, b)
}

// find attaches where there is a reference and the plan does not ask for another start.
func find(ctx context.Context, c *runctl.Client, p plan) (*runctl.Run, error) {
	text, err := os.ReadFile(p.Ref)
	if err == nil && !p.Again {
		ref, err := runctl.ParseRef(string(text))
		if err != nil {
			return nil, err
		}
		return c.Attach(ctx, ref)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	run, err := c.Start(ctx, runctl.RunSpec{Key: "torture", Lifetime: time.Hour,
		Job: runctl.Job{Args: []string{p.Program}, Env: map[string]string{roleEnv: "writer", planEnv: p.File}}})
	if err != nil {
		return nil, err
	}
	return run, keep(p.Ref, []byte(run.Ref().String()))
}

func follow(ctx context.Context, run *runctl.Run, file string) error {
	f, err := os.OpenFile(file, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	about, err := f.Stat()
	if err != nil {
		return err
	}
	for chunk, err := range run.Logs(ctx, runctl.LogQuery{Offset: about.Size(), Follow: true}) {
		switch {
		case err != nil:
			return err
		case chunk.Lost != 0:
			return fmt.Errorf("%d bytes before %d are said to be lost", chunk.Lost, chunk.Offset)
		}
		if _, err := f.Write(chunk.Data); err != nil {
			return err
		}
	}
	return nil
}

// keep writes a file that is there whole or not at all.
func keep(file string, data []byte) error {
	if err := os.WriteFile(file+".new", data, 0o600); err != nil {
		return err
	}
	return os.Rename(file+".new", file)
}
