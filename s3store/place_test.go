//go:build linux

package s3store_test

import (
	"context"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"runctl"
	"runctl/internal/enginetest"
	"runctl/local"
	"runctl/s3store"
)

// bench is a client whose machines are this computer's, beside a store.
type bench struct {
	c     *runctl.Client
	s     *s3store.Store
	srv   *enginetest.S3Server
	door  *door
	state string // of the machines
}

func newBench(t *testing.T) *bench {
	t.Helper()
	b := &bench{srv: enginetest.S3(t), door: &door{}, state: filepath.Join(t.TempDir(), "state")}
	b.s = storeAt(t, b.srv, b.door)
	p, err := local.New(local.Config{Dir: b.state})
	require.NoError(t, err)
	b.c, err = runctl.New(runctl.Config{Owner: "me", Secret: []byte("secret")}, p)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, b.c.Close()) })
	t.Chdir(t.TempDir())
	return b
}

// put makes an object of text.
func (b *bench) put(t *testing.T, key, text string) {
	t.Helper()
	from := filepath.Join(t.TempDir(), "f")
	require.NoError(t, os.WriteFile(from, []byte(text), 0o644))
	_, err := b.s.Upload(t.Context(), from, key)
	require.NoError(t, err)
}

func (b *bench) get(t *testing.T, key string) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), "f")
	_, err := b.s.Download(t.Context(), key, to)
	require.NoError(t, err)
	return string(read(t, to))
}

// run runs a job to its end and returns its receipt and log.
func (b *bench) run(t *testing.T, j runctl.Job) (runctl.Receipt, string, error) {
	t.Helper()
	r, err := b.c.Start(t.Context(), runctl.RunSpec{Lifetime: time.Hour, Job: j})
	require.NoError(t, err)
	receipt, err := r.Wait(t.Context())
	var log strings.Builder
	for chunk, err := range r.Logs(t.Context(), runctl.LogQuery{}) {
		require.NoError(t, err)
		log.Write(chunk.Data)
	}
	require.NoError(t, b.c.Terminate(t.Context(), r.Ref()))
	return receipt, log.String(), err
}

// clean fails when a signed address is in any file of the machines.
func (b *bench) clean(t *testing.T) {
	t.Helper()
	require.NoError(t, filepath.WalkDir(b.state, func(p string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		text, err := os.ReadFile(p)
		assert.NotContains(t, string(text), "X-Amz-Signature", p)
		return err
	}))
}

func TestAJobFetchesItsInputsAndDeliversItsResults(t *testing.T) {
	b := newBench(t)
	b.put(t, "data/in", "the input\n")
	receipt, log, err := b.run(t, runctl.Job{
		Args:    []string{"sh", "-c", `cat in/put; tr '\0' '\n' </proc/$PPID/cmdline; env; ls -A; echo 42 >result; mkdir "$RUNCTL_OUTPUT_DIR/d"; echo x >"$RUNCTL_OUTPUT_DIR/d/x"`},
		Inputs:  []runctl.Input{{From: b.s.Place("data/in"), To: "in/put"}},
		Results: []runctl.Result{{From: "result", To: b.s.Place("out/result")}, {From: ".", To: b.s.Place("out/all.tar")}}})
	require.NoError(t, err, log)
	assert.True(t, receipt.Succeeded())
	assert.Contains(t, log, "the input\n")
	assert.NotContains(t, log, "X-Amz-Signature", "in no argument and in no variable of the job's")
	assert.NotContains(t, log, b.srv.Secret)
	b.clean(t)
	assert.Equal(t, "42\n", b.get(t, "out/result"))
	assert.Contains(t, b.get(t, "out/all.tar"), "./d/x")
}

func TestAnInputThatIsNotThereLaunchesNothing(t *testing.T) {
	b := newBench(t)
	_, err := b.c.Start(t.Context(), runctl.RunSpec{Lifetime: time.Hour, Job: runctl.Job{Args: []string{"true"},
		Inputs: []runctl.Input{{From: b.s.Place("nothing"), To: "x"}}}})
	require.ErrorIs(t, err, runctl.ErrInvalid)
	assert.Contains(t, err.Error(), "Job.Inputs: s3://bucket/nothing cannot be used")
	var e *runctl.Error
	require.ErrorAs(t, err, &e)
	assert.True(t, e.NotStarted)
	assert.NoDirExists(t, b.state)
}

func TestAResultThatCannotBeDeliveredIsNoSuccess(t *testing.T) {
	b := newBench(t)
	receipt, log, err := b.run(t, runctl.Job{Args: []string{"true"}, Results: []runctl.Result{{From: "missing", To: b.s.Place("r")}}})
	var exit *runctl.ExitError
	require.ErrorAs(t, err, &exit)
	assert.Equal(t, 74, receipt.ExitCode)
	assert.Equal(t, "runctl: missing was not delivered: it is not there\n", log)
}

// TestAJobGoesOnFromItsCheckpointOnAnotherMachine ends the first run in the middle.
func TestAJobGoesOnFromItsCheckpointOnAnotherMachine(t *testing.T) {
	b := newBench(t)
	job := runctl.Job{Checkpoints: b.s.Place("ckpt.tar"), Args: []string{"sh", "-c", `
n=0; [ -z "$RUNCTL_RESUME" ] || n=$(cat "$RUNCTL_RESUME/$(cat "$RUNCTL_RESUME/latest")")
n=$((n + 1)); echo "step $n"
save() { echo $n >"$RUNCTL_CHECKPOINT_DIR/step-$n"; echo step-$n >"$RUNCTL_CHECKPOINT_DIR/latest"; exit 9; }
trap save TERM
[ $n -ge 3 ] || { echo ready; while :; do sleep 0.1; done; }`}}
	for step := range 2 {
		r, err := b.c.Start(t.Context(), runctl.RunSpec{Lifetime: time.Hour, Job: job})
		require.NoError(t, err)
		for chunk, err := range r.Logs(t.Context(), runctl.LogQuery{Follow: true}) {
			require.NoError(t, err)
			if strings.Contains(string(chunk.Data), "ready") {
				assert.Contains(t, string(chunk.Data), fmt.Sprintf("step %d\n", step+1))
				break
			}
		}
		require.NoError(t, r.Cancel(t.Context(), 20*time.Second))
		receipt, err := r.Wait(t.Context())
		require.Error(t, err)
		assert.Equal(t, runctl.CauseCancel, receipt.Cause)
		assert.Equal(t, 9, receipt.ExitCode, "the job's own")
		assert.Equal(t, fmt.Sprintf("step-%d", step+1), receipt.Checkpoint)
		require.NoError(t, b.c.Terminate(t.Context(), r.Ref()))
	}
	receipt, log, err := b.run(t, job)
	require.NoError(t, err, log)
	assert.True(t, receipt.Succeeded())
	assert.Equal(t, "step 3\n", log)
	b.clean(t)
}

func TestAPlaceSignsWhatIsThereAndPrintsNoSignature(t *testing.T) {
	b := newBench(t)
	b.put(t, "k", "text")
	p := b.s.Place("k")
	assert.Equal(t, "s3://bucket/k", p.String())
	f, err := p.Fetch(t.Context(), time.Minute)
	require.NoError(t, err)
	assert.EqualValues(t, 4, f.Size)
	assert.NotEmpty(t, f.ETag)
	assert.NotContains(t, fmt.Sprintf("%v %+v %#v", f, f, p), "X-Amz")
	url, err := f.URL.Reveal()
	require.NoError(t, err)
	reply, err := http.Get(url)
	require.NoError(t, err)
	require.NoError(t, reply.Body.Close())
	assert.Equal(t, 200, reply.StatusCode)
	_, err = b.s.Place("none").Fetch(t.Context(), time.Minute)
	require.ErrorIs(t, err, runctl.ErrNotFound)
}

// passing are credentials that end.
type passing struct {
	aws.CredentialsProvider
	until time.Time
}

func (p passing) Retrieve(ctx context.Context) (aws.Credentials, error) {
	keys, err := p.CredentialsProvider.Retrieve(ctx)
	keys.CanExpire, keys.Expires = !p.until.IsZero(), p.until
	return keys, err
}

func TestAnAddressThatItsCredentialsDoNotOutliveIsNotSigned(t *testing.T) {
	own := credentials.NewStaticCredentialsProvider("AKSECRET", "s3cret-key", "")
	for name, c := range map[string]struct {
		until time.Time
		hold  time.Duration
		want  string
	}{
		"keys that last":             {time.Time{}, 7 * 24 * time.Hour, ""},
		"a session that lasts":       {time.Now().Add(8 * time.Hour), 7 * time.Hour, ""},
		"a session that ends before": {time.Now().Add(8*time.Hour + time.Second), 9 * time.Hour, "an address would have to hold for 9h0m0s, and the credentials that sign it end in 8h0m0s"},
	} {
		s, err := s3store.New(s3store.Config{Endpoint: "http://127.0.0.1:1", PathStyle: true, Bucket: "bucket", Credentials: passing{own, c.until}})
		require.NoError(t, err, name)
		at, err := s.Place("model.bin").Deliver(t.Context(), c.hold)
		if c.want != "" {
			require.ErrorIs(t, err, runctl.ErrInvalid, name)
			assert.ErrorContains(t, err, c.want, name)
			assert.NotContains(t, err.Error(), "SECRET", name)
			continue
		}
		require.NoError(t, err, name)
		url, err := at.Reveal()
		require.NoError(t, err, name)
		assert.Contains(t, url, "/bucket/model.bin?", name)
	}
}
