package aws_test

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"runctl"
	"runctl/aws"
	"runctl/internal/cloudtest"
	"runctl/internal/enginetest"
	"runctl/internal/ssmsession"
	face "runctl/internal/wire/aws"
	"runctl/s3store"
)

// depot is a real store with the provider that knows the way to it.
type depot struct {
	t   *testing.T
	srv *enginetest.S3Server
	p   *aws.Provider
	s   *s3store.Store
}

func newDepot(t *testing.T) *depot {
	t.Helper()
	d := &depot{t: t, srv: enginetest.S3(t)}
	var err error
	d.p, err = aws.New(aws.Config{Config: awssdk.Config{Region: d.srv.Region, BaseEndpoint: awssdk.String("http://" + d.srv.Addr),
		Credentials: credentials.NewStaticCredentialsProvider(d.srv.Access, d.srv.Secret, "")}})
	require.NoError(t, err)
	d.s, err = d.p.Bucket(t.Context(), d.srv.Bucket, "")
	require.NoError(t, err)
	return d
}

func (d *depot) place(key string) runctl.Place {
	d.t.Helper()
	p, err := d.p.Place(d.t.Context(), "s3://"+d.srv.Bucket+"/"+key)
	require.NoError(d.t, err)
	return p
}

func (d *depot) put(key, text string) {
	d.t.Helper()
	from := filepath.Join(d.t.TempDir(), "f")
	require.NoError(d.t, os.WriteFile(from, []byte(text), 0o600))
	_, err := d.s.Upload(d.t.Context(), from, key)
	require.NoError(d.t, err)
}

func (d *depot) get(key string) string {
	d.t.Helper()
	to := filepath.Join(d.t.TempDir(), "f")
	_, err := d.s.Download(d.t.Context(), key, to)
	require.NoError(d.t, err)
	text, err := os.ReadFile(to)
	require.NoError(d.t, err)
	return string(text)
}

// packed is a tar with one file.
func packed(t *testing.T, name, text string) string {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	require.NoError(t, w.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(text))}))
	_, err := io.WriteString(w, text)
	require.NoError(t, err)
	require.NoError(t, w.Close())
	return b.String()
}

// unpacked are the files in a tar.
func unpacked(t *testing.T, text string) map[string]string {
	t.Helper()
	files := map[string]string{}
	for r := tar.NewReader(strings.NewReader(text)); ; {
		h, err := r.Next()
		if err == io.EOF {
			return files
		}
		require.NoError(t, err)
		content, err := io.ReadAll(r)
		require.NoError(t, err)
		if h.Typeflag == tar.TypeReg {
			files[h.Name] = string(content)
		}
	}
}

// quiet fails the test where a text has an address that is signed, or a key of the store.
func (d *depot) quiet(where string, values ...any) {
	d.t.Helper()
	for _, v := range values {
		text := fmt.Sprintf("%+v %#v", v, v)
		for _, word := range []string{"X-Amz-Signature", "X-Amz-Credential", d.srv.Access, d.srv.Secret} {
			if at := strings.Index(text, word); at >= 0 {
				d.t.Errorf("%s shows %s: …%.200s", where, word, text[max(at-80, 0):])
			}
		}
	}
}

// quietFiles looks at all that lies on disks.
func (d *depot) quietFiles(root string) {
	d.t.Helper()
	files := 0
	require.NoError(d.t, filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return nil // what is under way comes and goes
		}
		text, err := os.ReadFile(path)
		if err == nil {
			files++
			d.quiet(path, string(text))
		}
		return nil
	}))
	assert.NotZero(d.t, files)
}

// watched looks over and over at the processes of machines below a directory, until the test asks what it has seen: how many had
// an address in their environment, which the job's own beginning has.
func (d *depot) watched(root string) (stop func() int) {
	end, seen := make(chan struct{}), make(chan int)
	go func() {
		had := map[string]bool{}
		for {
			dirs, _ := filepath.Glob("/proc/[0-9]*")
			for _, dir := range dirs {
				env, _ := os.ReadFile(filepath.Join(dir, "environ"))
				if !bytes.Contains(env, []byte(root)) {
					continue
				}
				args, _ := os.ReadFile(filepath.Join(dir, "cmdline"))
				d.quiet("the arguments of a process", string(args))
				if bytes.Contains(env, []byte("X-Amz-Signature")) {
					had[dir] = true
					assert.Contains(d.t, string(env), "RUNCTL_RUN_ID=", "only the job's own beginning has them, not %q", args)
				}
			}
			select {
			case <-end:
				seen <- len(had)
				return
			case <-time.After(100 * time.Millisecond):
			}
		}
	}()
	return func() int { close(end); return <-seen }
}

// resuming commits a checkpoint when it is asked to end, and begins one that it does not commit. Begun with a checkpoint, it comes to its end.
const resuming = `n=0; [ -z "$RUNCTL_RESUME" ] || n=$(cat "$RUNCTL_RESUME/$(cat "$RUNCTL_RESUME/latest")/state")
echo "from $n with $(cat corpus/text) and $(cat words)"; env
save() {
  echo "model of 41" >model; cd "$RUNCTL_CHECKPOINT_DIR"
  mkdir step-41 && echo 41 >step-41/state && echo step-41 >latest.new && mv latest.new latest
  mkdir step-42 && echo 42 >step-42/state; exit 0
}
trap save TERM
if [ $n = 0 ]; then echo trains; while :; do sleep 0.05; done; fi
echo "model of $((n + 1))" >model`

// TestEarlierTool08: it went on with the newest running spot machine of the account, and with the newest object below a prefix.
func TestEarlierTool08AnotherMachineGoesOnFromWhatWasCommittedAndNotFromWhatIsNewest(t *testing.T) {
	t.Parallel()
	d, imds := newDepot(t), newMetadata(t)
	real := &face.Real{Env: []string{"RUNCTL_IMDS=" + imds.url}}
	s := closedSite(t, face.Options{Real: real}, &ssmsession.Agent{})
	var all enginetest.Buffer
	trace := func(e runctl.Event) { fmt.Fprintf(&all, "%+v %#v\n", e, e) }
	c, err := runctl.New(runctl.Config{Owner: "tester", Secret: secret, Logger: slog.New(slog.NewJSONHandler(&all, &slog.HandlerOptions{Level: slog.LevelDebug})), Trace: trace}, near{s.p})
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.Close() })
	d.put("data/corpus.tar", packed(t, "text", "a corpus"))
	d.put("data/words", "words")
	d.put("runs/old/checkpoint.tar", packed(t, "latest", "step-7\n")) // another run's
	train := short("train-1")
	train.Needs.Market = runctl.Spot
	train.Job = runctl.Job{Args: []string{"sh", "-c", resuming}, Grace: time.Minute, DiscardOutputs: true,
		Inputs:  []runctl.Input{{From: d.place("data/corpus.tar"), To: "corpus", Unpack: true}, {From: d.place("data/words"), To: "words"}},
		Results: []runctl.Result{{From: "model", To: d.place("runs/r7/model")}}, Checkpoints: d.place("runs/r7/checkpoint.tar")}
	stop := d.watched(real.Dir)
	run, err := c.Start(t.Context(), train)
	require.NoError(t, err)
	var log strings.Builder
	for chunk, err := range run.Logs(t.Context(), runctl.LogQuery{Follow: true}) {
		require.NoError(t, err)
		if log.Write(chunk.Data); strings.Contains(log.String(), "\ntrains\n") && imds.to.Load() == nil {
			d.quietFiles(real.Dir)
			imds.leads(t)
		}
	}
	assert.True(t, strings.HasPrefix(log.String(), "from 0 with a corpus and words\n"), "its inputs were there before it began")
	receipt, failed := run.Wait(t.Context())
	require.Error(t, failed)
	assert.Equal(t, []any{runctl.CausePreempted, 0, "step-41"}, []any{receipt.Cause, receipt.ExitCode, receipt.Checkpoint}, "%s", log.String())
	s.face.Terminate(run.Instance().ID)
	assert.Equal(t, map[string]string{"latest": "step-41\n", "step-41/state": "41\n"}, unpacked(t, d.get("runs/r7/checkpoint.tar")), "before the machine went")
	assert.Equal(t, "model of 41\n", d.get("runs/r7/model"))

	imds.to.Store(nil)
	s.face.Add("", map[string]string{"Name": "somebody's, and the newest that runs"})
	d.put("runs/r7/checkpoint-99.tar", packed(t, "latest", "step-99\n")) // below the same prefix, and newer
	train.Key, train.Job.Attempt = "train-2", 2
	next, err := c.Start(t.Context(), train)
	require.NoError(t, err)
	was, is := run.Instance(), next.Instance()
	assert.NotEqual(t, was.ID, is.ID)
	assert.Equal(t, []any{was.Type, runctl.Spot}, []any{is.Type, is.Market}, "what was asked for, and no default")
	done, err := next.Wait(t.Context())
	require.NoError(t, err)
	log.Reset()
	for chunk, err := range next.Logs(t.Context(), runctl.LogQuery{}) {
		require.NoError(t, err)
		log.Write(chunk.Data)
	}
	assert.True(t, strings.HasPrefix(log.String(), "from 41 with a corpus and words\n"), log.String())
	assert.Equal(t, "model of 42\n", d.get("runs/r7/model"))

	d.quietFiles(real.Dir)
	assert.NotZero(t, stop(), "there were addresses on the machines")
	require.NoError(t, c.Terminate(t.Context(), next.Ref()))
	d.quiet("the job's log and its environment", log.String())
	d.quiet("the client's log, and its events", all.String())
	d.quiet("what the client returns", receipt, failed, done, run.Ref(), next.Ref(), was, is, train)
	d.quiet("the history of commands", s.kept(t))
	assert.Contains(t, all.String(), "train-2")
	for _, call := range s.face.Calls() {
		d.quiet("a call of "+call.Op, call.Params)
	}
	for _, i := range s.face.Instances() {
		d.quiet("an instance", i, string(i.UserData), i.Tags, i.VolumeTags, i.InterfaceTags)
	}
}

func TestTheCommandCarriesFromAndToABucketWhereverTheJobRuns(t *testing.T) {
	t.Parallel()
	d := newDepot(t)
	c := cloudtest.NewTerminal(t, []string{d.srv.Secret, "X-Amz-"}, "AWS_ENDPOINT_URL_S3=http://"+d.srv.Addr, "AWS_REGION="+d.srv.Region, "AWS_ACCESS_KEY_ID="+d.srv.Access,
		"AWS_SECRET_ACCESS_KEY="+d.srv.Secret)
	d.put("day=1/words", "words")
	d.put("corpus.tar", packed(t, "text", "a corpus"))
	for n := range 2 {
		code, out, errs := c.Run("run", "-p", "local", "--name", "tune", "--input", "s3://bucket/day=1/words=words", "--input", "s3://bucket/corpus.tar=corpus:unpack",
			"--result", "model=s3://bucket/tune/model", "--result", ".=s3://bucket/tune/all.tar", "--checkpoints", "s3://bucket/tune/ckpt.tar", "--",
			"sh", "-c", `n=0; [ -z "$RUNCTL_RESUME" ] || n=$(cat "$RUNCTL_RESUME/$(cat "$RUNCTL_RESUME/latest")")
n=$((n + 1)); echo "$n: $(cat corpus/text), $(cat words)"; echo "model $n" >model; echo kept >"$RUNCTL_OUTPUT_DIR/kept"
cd "$RUNCTL_CHECKPOINT_DIR"; echo $n >state; echo state >latest`)
		require.Zero(t, code, out+errs)
		assert.Equal(t, fmt.Sprintf("%d: a corpus, words\n", n+1), out)
		assert.Equal(t, fmt.Sprintf("model %d\n", n+1), d.get("tune/model"))
		assert.Equal(t, map[string]string{"./kept": "kept\n"}, unpacked(t, d.get("tune/all.tar")))
	}
	d.quietFiles(c.Dir)
	code, _, errs := c.Run("run", "-p", "local", "--input", "s3://bucket/nothing=x", "--", "true")
	assert.Equal(t, 125, code)
	assert.Contains(t, errs, "--input: s3://bucket/nothing cannot be used")
	code, _, errs = c.Run("run", "-p", "local", "--input", "s3://no-such-bucket/k=x", "--", "true")
	assert.Equal(t, 125, code)
	assert.Contains(t, errs, "there is no bucket no-such-bucket")
}
