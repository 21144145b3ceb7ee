package s3store_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/stretchr/testify/require"

	"runctl/s3store"
)

// childEnv makes the test binary a process that does one transfer, so that its memory is that of the transfer alone.
const childEnv = "RUNCTL_S3STORE_CHILD"

// errand is what a child is to do.
type errand struct {
	Endpoint, Region, Access, Secret, Bucket string
	Up                                       bool
	File, Key                                string
}

// report is what it says in the end. Peak is what Go holds of the system for its heap and stacks, at most; Resident is
// the process's largest size as the kernel saw it, 0 where that is not known.
type report struct{ Peak, Resident uint64 }

func TestMain(m *testing.M) {
	if text := os.Getenv(childEnv); text != "" {
		if err := child(text); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func child(text string) error {
	var e errand
	if err := json.Unmarshal([]byte(text), &e); err != nil {
		return err
	}
	s, err := s3store.New(s3store.Config{Endpoint: e.Endpoint, PathStyle: true, Region: e.Region, Bucket: e.Bucket,
		Credentials: credentials.NewStaticCredentialsProvider(e.Access, e.Secret, "")})
	if err != nil {
		return err
	}
	highest := watchMemory()
	if e.Up {
		_, err = s.Upload(context.Background(), e.File, e.Key)
	} else {
		_, err = s.Download(context.Background(), e.Key, e.File)
	}
	r := report{Peak: highest()}
	if status, err := os.ReadFile("/proc/self/status"); err == nil {
		_, rest, _ := strings.Cut(string(status), "VmHWM:")
		_, _ = fmt.Sscan(rest, &r.Resident)
		r.Resident *= 1024
	}
	return errors.Join(err, json.NewEncoder(os.Stdout).Encode(r))
}

// send has a child do an errand.
func send(t *testing.T, e errand) (r report) {
	t.Helper()
	text, err := json.Marshal(e)
	require.NoError(t, err)
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"="+string(text))
	var said, failed strings.Builder
	cmd.Stdout, cmd.Stderr = &said, &failed
	require.NoError(t, cmd.Run(), "%s", &failed)
	require.NoError(t, json.Unmarshal([]byte(said.String()), &r))
	return r
}

// watchMemory looks at the process's memory until the function that it returns is called, which says how much it was at
// most.
func watchMemory() func() uint64 {
	var peak uint64
	var done sync.WaitGroup
	stop := make(chan struct{})
	tick := time.NewTicker(10 * time.Millisecond)
	done.Go(func() {
		defer tick.Stop()
		for {
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			peak = max(peak, m.HeapInuse+m.StackInuse)
			select {
			case <-stop:
				return
			case <-tick.C:
			}
		}
	})
	return func() uint64 { close(stop); done.Wait(); return peak }
}
