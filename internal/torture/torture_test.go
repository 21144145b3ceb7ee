package torture

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"runctl"
	"runctl/internal/enginetest"
)

func TestTheLogIsWhatTheJobWroteWhateverIsCutAndKilled(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("finds what sshd has left in /proc")
	}
	seed := seedOf(t)
	began := time.Now()
	host := enginetest.SSHD(t)
	line := enginetest.Proxy(t, host.Addr, seed)
	line.ChaosMin, line.ChaosMax = 500<<10, 8<<20
	line.SetChaos(true)
	p := prepare(t, seed)
	p.Hosts = provide(t, filepath.Dir(p.File), host, line)

	over := make(chan struct{})
	var harassing sync.WaitGroup
	harassing.Go(func() { harass(line, p, over) })
	end := sync.OnceFunc(func() { close(over); harassing.Wait() })
	defer end()
	kills := outlive(t, p, began)
	end()

	var receipt runctl.Receipt
	b, err := os.ReadFile(p.Receipt)
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(b, &receipt))
	assert.Equal(t, exitCode, receipt.ExitCode)
	assert.Equal(t, runctl.CauseExit, receipt.Cause)
	assert.EqualValues(t, p.Size, receipt.LogBytes)
	starts, err := os.ReadFile(p.Starts)
	require.NoError(t, err)
	assert.Equal(t, "started\n", string(starts), "the job ran once")
	claims, err := filepath.Glob(filepath.Join(p.Hosts.Hosts[0].Root, "claim.*"))
	require.NoError(t, err)
	assert.Len(t, claims, 1, "one machine was launched")
	same(t, p)
	assert.GreaterOrEqual(t, line.Cuts(), minCuts)
	assert.GreaterOrEqual(t, kills, minKills)
	t.Logf("%d bytes, %d cuts of %d connections, controller killed %d times, seed %d, %.1f s",
		p.Size, line.Cuts(), line.Connections(), kills, seed, time.Since(began).Seconds())
}

// seedOf is RUNCTL_SEED, or drawn.
func seedOf(t *testing.T) uint64 {
	seed := rand.Uint64()
	if s := os.Getenv("RUNCTL_SEED"); s != "" {
		var err error
		seed, err = strconv.ParseUint(s, 10, 64)
		require.NoError(t, err, "RUNCTL_SEED")
	}
	t.Logf("seed %d; run again with RUNCTL_SEED=%d", seed, seed)
	return seed
}

func prepare(t *testing.T, seed uint64) plan {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	program, err := os.Executable()
	require.NoError(t, err)
	return plan{File: at("plan"), Program: program, Seed: seed, Size: logBytes, Pace: logBytes / (40 << 20) * time.Second,
		Starts: at("starts"), Ref: at("ref"), Log: at("log"), Receipt: at("receipt")}
}

// harass stalls and delays what goes over the line, at random, and cuts it, or loses what is on it, where chaos has not done
// so as often as the promise says. How often follows from how much was read: on a slow machine the line is no worse.
func harass(line *enginetest.ProxyServer, p plan, over <-chan struct{}) {
	r := rand.New(rand.NewPCG(p.Seed, 3))
	passed := func(most time.Duration) bool {
		select {
		case <-over:
			return false
		case <-time.After(time.Duration(r.Int64N(int64(most)))):
			return true
		}
	}
	for passed(250 * time.Millisecond) {
		act := r.IntN(6)
		if behind := int64(line.Cuts()) <= length(p.Log)*(minCuts+minCuts/4)/p.Size; act < 3 && !behind {
			continue
		}
		switch act {
		case 0, 1:
			line.Cut()
		case 2:
			line.Blackhole()
			passed(200 * time.Millisecond)
			line.Resume()
		case 3:
			line.Stall()
			passed(200 * time.Millisecond)
			line.Resume()
		case 4:
			line.Delay(time.Duration(r.Int64N(int64(5 * time.Millisecond))))
		case 5:
			line.Delay(0)
		}
	}
}

// outlive runs the controller until one comes to the end, and kills all before it: at random places of the log, and some
// at random moments of their start. Half of them start the job again, half attach to it.
func outlive(t *testing.T, p plan, began time.Time) (kills int) {
	r := rand.New(rand.NewPCG(p.Seed, 4))
	place := func() int64 { return (int64(kills)*p.Size + r.Int64N(p.Size)) / (minKills + 2) * 9 / 10 }
	for at := place(); ; {
		p.Again = r.IntN(2) == 0
		b, err := json.Marshal(p)
		require.NoError(t, err)
		require.NoError(t, keep(p.File, b))
		var errs bytes.Buffer
		c := exec.Command(p.Program)
		c.Env = append(os.Environ(), roleEnv+"=controller", planEnv+"="+p.File)
		c.Stderr = &errs
		require.NoError(t, c.Start())
		ended := make(chan error, 1)
		go func() { ended <- c.Wait() }()
		var young <-chan time.Time
		if r.IntN(3) == 0 {
			young = time.After(time.Duration(r.Int64N(int64(500 * time.Millisecond))))
		}
		for killed := false; !killed; {
			select {
			case err := <-ended:
				require.NoError(t, err, "controller after %d kills, %d bytes: %s", kills, length(p.Log), tail(errs.String()))
				return kills
			case <-young:
				killed = true
			case <-time.After(5 * time.Millisecond):
				killed = kills < minKills+2 && length(p.Log) >= at
			}
			if time.Since(began) > 8*time.Minute {
				_ = c.Process.Kill()
				t.Fatalf("not over after %d kills, %d bytes: %s", kills, length(p.Log), tail(errs.String()))
			}
		}
		require.NoError(t, c.Process.Kill())
		<-ended
		kills++
		at = place()
	}
}

// same fails where the log that was read is not what the seed stands for, and says where it differs.
func same(t *testing.T, p plan) {
	t.Helper()
	f, err := os.Open(p.Log)
	require.NoError(t, err)
	defer f.Close()
	want, got := sha256.New(), sha256.New()
	n, err := io.Copy(got, f)
	require.NoError(t, err)
	require.NoError(t, produce(want, p.Seed, p.Size))
	if n == p.Size && bytes.Equal(want.Sum(nil), got.Sum(nil)) {
		t.Logf("SHA-256 %x", got.Sum(nil))
		return
	}
	_, err = f.Seek(0, io.SeekStart)
	require.NoError(t, err)
	err = produce(&comparer{f: f}, p.Seed, p.Size)
	t.Errorf("the log that was read has %d of %d bytes: %v", n, p.Size, err)
}

// comparer fails at the first byte that is not in the file.
type comparer struct {
	f   io.Reader
	at  int64
	buf []byte
}

func (c *comparer) Write(b []byte) (int, error) {
	c.buf = append(c.buf[:0], b...)
	n, err := io.ReadFull(c.f, c.buf)
	for i := range n {
		if c.buf[i] != b[i] {
			return i, &difference{c.at + int64(i)}
		}
	}
	c.at += int64(n)
	return n, err
}

type difference struct{ at int64 }

func (d *difference) Error() string { return "it differs at byte " + strconv.FormatInt(d.at, 10) }

func length(file string) int64 {
	about, err := os.Stat(file)
	if err != nil {
		return 0
	}
	return about.Size()
}

func tail(s string) string { return strings.TrimSpace(s[max(0, len(s)-4000):]) }
