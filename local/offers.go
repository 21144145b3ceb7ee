package local

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"runctl"
	"runctl/internal/nvidia"
)

// OfferID is the id of the one offer: this computer.
const OfferID = "local"

// A question to a tool of this computer is bounded.
const (
	askTime   = 3 * time.Second
	maxAnswer = 64 << 10
)

// Offers implements [runctl.Provider]: one offer, this computer, free. What cannot be found out is
// unknown and no error; the GPUs are those that nvidia-smi shows.
func (p *Provider) Offers(ctx context.Context, _ runctl.OfferQuery) ([]runctl.Offer, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	o := runctl.Offer{
		Provider: p.name, ID: OfferID, Type: machineType(), Market: runctl.OnDemand,
		GPU: gpus(ctx), VCPU: runtime.NumCPU(), Memory: memory(ctx), Disk: freeDisk(existing(p.dir)),
		Price: p.price(),
		Roads: runctl.RoadShell, EndsItself: true, Keeps: true,
	}
	return []runctl.Offer{o}, ctx.Err()
}

func (p *Provider) price() runctl.Price {
	return runctl.Price{Hourly: runctl.USD(0), Source: "own machine", At: p.now()}
}

// machineType is the computer's short name and architecture, such as lab7/amd64.
func machineType() string {
	host, err := os.Hostname()
	host, _, _ = strings.Cut(host, ".")
	if err != nil || host == "" {
		host = "localhost"
	}
	return host + "/" + runtime.GOARCH
}

// existing is dir, or the nearest directory above it that exists.
func existing(dir string) string {
	for {
		if _, err := os.Stat(dir); err == nil || dir == filepath.Dir(dir) {
			return dir
		}
		dir = filepath.Dir(dir)
	}
}

// gpus returns the GPUs that nvidia-smi shows, none when it is missing, fails or does not answer in time.
func gpus(ctx context.Context) runctl.GPU {
	out, err := ask(ctx, append([]string{"nvidia-smi"}, nvidia.Query...)...)
	if err != nil {
		return runctl.GPU{}
	}
	return nvidia.Parse(string(out))
}

// ask runs a tool and returns what it says. It is over after askTime even if the
// tool is not: a tool that hangs in its driver cannot be killed, and is left behind.
func ask(ctx context.Context, argv ...string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	ownGroup(cmd)
	cmd.WaitDelay = askTime / 10
	out := limited{left: maxAnswer}
	cmd.Stdout = &out
	done := make(chan error, 1)
	go func() { done <- cmd.Run() }()
	select {
	case err := <-done:
		return out.kept.Bytes(), err
	case <-ctx.Done():
	}
	grace := time.NewTimer(askTime / 10)
	defer grace.Stop()
	select {
	case <-done:
	case <-grace.C:
	}
	return nil, context.Cause(ctx)
}

// limited keeps what is written to it, and refuses what is too much.
type limited struct {
	kept bytes.Buffer // not embedded: its ReadFrom has no limit
	left int
}

func (l *limited) Write(b []byte) (int, error) {
	if l.left -= len(b); l.left < 0 {
		return 0, errors.New("too much output")
	}
	return l.kept.Write(b)
}
