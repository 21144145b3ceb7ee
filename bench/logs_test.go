package bench

import (
	"context"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"runctl"
	"runctl/internal/enginetest"
	"runctl/local"
	"runctl/sshmachine"
)

// cloud is this computer, whose machines are entered by SSH at s.
type cloud struct {
	*local.Provider
	s *enginetest.Server
}

func (c cloud) Info() runctl.Info {
	i := c.Provider.Info()
	i.InPlace = false
	return i
}

func (c cloud) Connect(ctx context.Context, _ runctl.Instance, _ runctl.Access) (runctl.Machine, error) {
	auth, err := sshmachine.Signer(c.s.Signer)
	if err != nil {
		return nil, err
	}
	return sshmachine.Dial(ctx, sshmachine.Config{Addr: c.s.Addr, User: c.s.User, Auth: []ssh.AuthMethod{auth},
		Trust: sshmachine.Pinned(ssh.FingerprintSHA256(c.s.HostKey))})
}

// start runs a shell script as a job on a machine behind a real sshd.
func start(b *testing.B, script string) (*enginetest.Server, *runctl.Run) {
	b.Helper()
	s := enginetest.SSHD(b)
	here, err := local.New(local.Config{Dir: filepath.Join(b.TempDir(), "state")})
	require.NoError(b, err)
	c, err := runctl.New(runctl.Config{Owner: "bench", Secret: []byte("secret")}, cloud{here, s})
	require.NoError(b, err)
	b.Cleanup(func() { _ = c.Close() })
	run, err := c.Start(context.Background(), runctl.RunSpec{Lifetime: time.Hour, Job: runctl.Job{Args: []string{"sh", "-c", script}}})
	require.NoError(b, err)
	return s, run
}

// BenchmarkLogOverSSH reads the log of a run that has ended, and the same file by `ssh host cat`, in turns.
func BenchmarkLogOverSSH(b *testing.B) {
	const size = 512 << 20
	s, run := start(b, fmt.Sprintf("yes 'a line of a training log, with a loss and a step' | head -c %d", size))
	_, err := run.Wait(context.Background())
	require.NoError(b, err)
	out, err := filepath.Glob(filepath.Join(s.Home, ".runctl", "run", "*", "out"))
	require.NoError(b, err)
	require.Len(b, out, 1)
	host, port, _ := strings.Cut(s.Addr, ":")
	var ours, theirs time.Duration
	for b.Loop() {
		began, n := time.Now(), 0
		for chunk, err := range run.Logs(context.Background(), runctl.LogQuery{Follow: true}) {
			require.NoError(b, err)
			n += len(chunk.Data)
		}
		require.Equal(b, size, n)
		ours += time.Since(began)

		began = time.Now()
		cat := exec.Command("ssh", "-F", "none", "-i", s.KeyFile(), "-o", "UserKnownHostsFile="+s.KnownHosts(), "-o", "StrictHostKeyChecking=yes",
			"-p", port, s.User+"@"+host, "cat", out[0])
		pipe, err := cat.StdoutPipe()
		require.NoError(b, err)
		require.NoError(b, cat.Start())
		got, err := io.Copy(io.Discard, pipe)
		require.NoError(b, err)
		require.NoError(b, cat.Wait())
		require.EqualValues(b, size, got)
		theirs += time.Since(began)
	}
	b.ReportMetric(float64(theirs)/float64(ours), "x-of-ssh-cat")
}

// BenchmarkLineLatency follows a job that writes the time, and tells how old each line is when it is read.
func BenchmarkLineLatency(b *testing.B) {
	var ages []time.Duration
	for b.Loop() {
		_, run := start(b, `i=0; while [ $i -lt 50 ]; do date +%s%N; sleep 0.13; i=$((i+1)); done`)
		rest := ""
		for chunk, err := range run.Logs(context.Background(), runctl.LogQuery{Follow: true}) {
			require.NoError(b, err)
			now := time.Now()
			lines := strings.Split(rest+string(chunk.Data), "\n")
			rest = lines[len(lines)-1]
			for _, line := range lines[:len(lines)-1] {
				ns, err := strconv.ParseInt(line, 10, 64)
				require.NoError(b, err)
				ages = append(ages, now.Sub(time.Unix(0, ns)))
			}
		}
	}
	slices.Sort(ages)
	b.ReportMetric(ages[len(ages)/2].Seconds()*1000, "median-ms")
	b.ReportMetric(ages[len(ages)*99/100].Seconds()*1000, "p99-ms")
}
