package runctl_test

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"runctl"
	"runctl/fake"
	"runctl/internal/job"
	"runctl/internal/manifest"
	"runctl/local"
)

// oneFile is code of one file, which may be made to fail.
type oneFile struct {
	content string
	sent    *int
	fail    func(nth int) error // before anything is sent; nil: never
}

func codeOf(content string) oneFile { return oneFile{content: content, sent: new(int)} }

func (o oneFile) entries() []manifest.Entry {
	return []manifest.Entry{{Path: "pkg/train.py", Size: int64(len(o.content)), Sum: sha256.Sum256([]byte(o.content)), Kind: manifest.Plain}}
}

func (o oneFile) Digest() string { return manifest.Digest(slices.Values(o.entries())) }

func (o oneFile) Send(ctx context.Context, m runctl.Machine) error {
	*o.sent++
	if o.fail != nil {
		if err := o.fail(*o.sent); err != nil {
			return err
		}
	}
	s, err := job.AskCode(ctx, m, o.Digest())
	if err != nil || s.Have {
		return err
	}
	var list, body bytes.Buffer
	_ = manifest.Write(&list, slices.Values(o.entries()))
	w := tar.NewWriter(&body)
	for _, f := range [][2]string{{"m", list.String()}, {"n", fmt.Sprintf("%x  ./pkg/train.py\n", o.entries()[0].Sum)}, {"t/pkg/train.py", o.content}} {
		_ = w.WriteHeader(&tar.Header{Name: f[0], Mode: 0o644, Size: int64(len(f[1])), Format: tar.FormatGNU})
		_, _ = w.Write([]byte(f[1]))
	}
	_ = w.Close()
	return job.PutCode(ctx, m, o.Digest(), "part1", job.FormatPlain, nil, &body)
}

func coded(key string, code runctl.Code) runctl.RunSpec {
	s := spec(key, 0)
	s.Job.Code, s.Job.Dir = code, "pkg"
	return s
}

// The code is there before the job starts, on the shell road, and the trace says so.
func TestCodeGoesOverBeforeTheJobStarts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &watched{Cloud: fake.New()}
		var events []runctl.EventName
		c := client(t, w, runctl.Config{Trace: func(e runctl.Event) {
			if e.Name == runctl.EventSynced {
				assert.Equal(t, "a", e.Run)
			}
			if e.Name != runctl.EventCall {
				events = append(events, e.Name)
			}
		}})
		r := start(t, c, coded("a", codeOf("print(1)\n")))
		assert.Equal(t, runctl.RoadShell, r.Instance().Road)
		assert.Equal(t, []string{"codeask", "codeput", "start"}, w.heard())
		assert.Equal(t, []runctl.EventName{runctl.EventLaunching, runctl.EventLaunched, runctl.EventRunning, runctl.EventConnected,
			runctl.EventSynced, runctl.EventStarted}, events)
		_, err := r.Wait(t.Context())
		require.NoError(t, err)
	})
}

// Other code is another job: the same key, and the same ID on one machine, are refused. The same code is the same job.
func TestOtherCodeIsAnotherJob(t *testing.T) {
	cloud := fake.New()
	c := client(t, cloud, runctl.Config{})
	first := start(t, c, coded("a", codeOf("print(1)\n")))
	again := start(t, c, coded("a", codeOf("print(1)\n")))
	assert.Equal(t, first.Ref(), again.Ref())
	for _, other := range []runctl.Code{codeOf("print(2)\n"), nil} {
		s := coded("a", other)
		_, err := c.Start(t.Context(), s)
		require.ErrorIs(t, err, runctl.ErrConflict)
		_, err = client(t, cloud, runctl.Config{}).Start(t.Context(), s)
		require.ErrorIs(t, err, runctl.ErrConflict, "in another process")
	}
	j := coded("", codeOf("print(2)\n")).Job
	j.ID = "b"
	_, err := c.Submit(t.Context(), first.Ref(), j)
	require.NoError(t, err)
	j.Code = codeOf("print(3)\n")
	_, err = c.Submit(t.Context(), first.Ref(), j)
	require.ErrorIs(t, err, runctl.ErrConflict)
	assert.Equal(t, 1, cloud.Launched())
}

// A cut transfer is repeated within its phase, and a job is not started before it succeeded.
func TestACutTransferIsRepeated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &watched{Cloud: fake.New()}
		code := codeOf("print(1)\n")
		code.fail = func(nth int) error {
			if nth <= 3 {
				assert.NotContains(t, w.heard(), "start")
				return errors.New("connection reset by peer")
			}
			return nil
		}
		start(t, client(t, w, runctl.Config{}), coded("a", code))
		assert.Equal(t, 4, *code.sent)
	})
}

// What cannot be sent at all ends at the phase's deadline, or at once where another try changes nothing; either way the
// machine has its end.
func TestCodeThatCannotBeSentEndsTheMachine(t *testing.T) {
	for name, k := range map[string]struct {
		err   error
		kind  runctl.Kind
		tries int // 0: many
		text  string
	}{
		"a network that is away": {errors.New("connection reset by peer"), runctl.ErrTimeout, 0, "the code could not be brought over within 30m0s"},
		"a file of ours":         {&runctl.Error{Kind: runctl.ErrInvalid, Msg: "train.py was written to"}, runctl.ErrInvalid, 1, "train.py was written to"},
		"no room":                {&job.Refused{Code: job.RefusedNoSpace, Reason: "no space left"}, runctl.ErrConflict, 1, "the machine refused the code"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := &watched{Cloud: fake.New()}
				code := codeOf("print(1)\n")
				code.fail = func(int) error { return k.err }
				began := time.Now()
				_, err := client(t, w, runctl.Config{Deadlines: runctl.Deadlines{Sync: 30 * time.Minute}}).Start(t.Context(), coded("a", code))
				require.ErrorIs(t, err, k.kind)
				assert.Contains(t, err.Error(), k.text)
				assert.Empty(t, w.Billing())
				assert.NotContains(t, w.heard(), "start")
				if k.tries > 0 {
					assert.Equal(t, k.tries, *code.sent)
				} else {
					assert.Greater(t, *code.sent, 20)
					assert.InDelta(t, 30*time.Minute, time.Since(began), float64(time.Minute))
				}
			})
		})
	}
}

// A machine may have given up the code between its transfer and the start: then it is sent once more.
func TestCodeThatIsGoneAtTheStartIsSentOnceMore(t *testing.T) {
	cloud := fake.New()
	code := codeOf("print(1)\n")
	skipped := skipping{code, 1}
	start(t, client(t, cloud, runctl.Config{}), coded("a", skipped))
	assert.Equal(t, 2, *code.sent)

	code = codeOf("print(1)\n")
	_, err := client(t, fake.New(), runctl.Config{}).Start(t.Context(), coded("a", skipping{code, 10}))
	require.ErrorIs(t, err, runctl.ErrConflict)
	assert.Contains(t, err.Error(), "no code of digest")
	assert.Equal(t, 2, *code.sent, "not for ever")

	s := coded("a", codeOf("print(1)\n"))
	s.Job.Dir = "nowhere"
	_, err = client(t, fake.New(), runctl.Config{}).Start(t.Context(), s)
	require.ErrorIs(t, err, runctl.ErrConflict)
	assert.Contains(t, err.Error(), "nowhere")
}

// skipping is code whose first sends do nothing.
type skipping struct {
	oneFile
	skip int
}

func (s skipping) Send(ctx context.Context, m runctl.Machine) error {
	if *s.sent++; *s.sent <= s.skip {
		return nil
	}
	*s.sent--
	return s.oneFile.Send(ctx, m)
}

func TestCodeIsCheckedBeforeAnythingIsSpent(t *testing.T) {
	cloud := fake.New()
	c := client(t, cloud, runctl.Config{})
	refused := func(s runctl.RunSpec, text string) {
		t.Helper()
		_, err := c.Start(t.Context(), s)
		require.ErrorIs(t, err, runctl.ErrInvalid)
		assert.Contains(t, err.Error(), text)
	}
	refused(coded("a", named("not a digest")), "Job.Code")
	up := coded("a", codeOf(""))
	up.Job.Dir = "../secret"
	refused(up, "Job.Dir")
	abs := coded("a", codeOf(""))
	abs.Job.Dir = "/etc"
	refused(abs, "Job.Dir")
	road := coded("a", codeOf(""))
	road.Needs.Road = runctl.RoadJob
	refused(road, "Job.Code needs the shell road")
	_, err := c.Start(t.Context(), road)
	require.ErrorIs(t, err, errors.ErrUnsupported)
	assert.Zero(t, cloud.Launched())
}

type named string

func (n named) Digest() string                           { return string(n) }
func (named) Send(context.Context, runctl.Machine) error { return nil }

// On a machine that shares the caller's files a job with code works in a copy of it, not in the caller's directory.
func TestCodeIsCopiedAlsoOnThisComputer(t *testing.T) {
	here, err := local.New(local.Config{Dir: t.TempDir()})
	require.NoError(t, err)
	c := client(t, here, runctl.Config{})
	cwd, err := os.Getwd()
	require.NoError(t, err)
	r := start(t, c, runctl.RunSpec{Lifetime: time.Hour, Job: runctl.Job{
		Args: []string{"sh", "-c", "pwd; cat train.py; echo changed >train.py"}, Code: codeOf("print(1)\n"), Dir: "pkg"}})
	_, err = r.Wait(t.Context())
	require.NoError(t, err)
	var log []byte
	for chunk, err := range r.Logs(t.Context(), runctl.LogQuery{}) {
		require.NoError(t, err)
		log = append(log, chunk.Data...)
	}
	dir, rest, _ := bytes.Cut(log, []byte("\n"))
	assert.Equal(t, "print(1)\n", string(rest))
	assert.NotContains(t, string(dir), cwd)
	require.NoError(t, c.Terminate(t.Context(), r.Ref()))
	for _, dir := range []string{"../pkg", cwd} {
		s := runctl.RunSpec{Lifetime: time.Hour, Job: runctl.Job{Args: []string{"true"}, Code: codeOf("print(1)\n"), Dir: dir}}
		_, err := c.Start(t.Context(), s)
		require.ErrorIs(t, err, runctl.ErrInvalid, dir)
		assert.Contains(t, err.Error(), "in a copy of Job.Code")
	}
}
