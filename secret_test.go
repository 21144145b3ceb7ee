package runctl

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

const canary = "cAnArY-8f3e2d1c0b9a7f6e"

// printed is everything that a value can become on a screen or in a file.
func printed(v any) string {
	var b bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x"} {
		fmt.Fprintf(&b, verb+"\n", v)
	}
	for _, h := range []slog.Handler{slog.NewJSONHandler(&b, nil), slog.NewTextHandler(&b, nil)} {
		slog.New(h).Info("m", "v", v, slog.Group("g", "v", v))
	}
	j, _ := json.Marshal(v)
	b.Write(j)
	if err, ok := v.(error); ok {
		b.WriteString(err.Error())
	}
	return b.String()
}

// showsCanary reports whether s has the canary in any of the forms in which bytes are printed.
func showsCanary(s, canary string) bool {
	decimal := strings.Trim(fmt.Sprint([]byte(canary)), "[]")
	goBytes := strings.TrimSuffix(strings.TrimPrefix(fmt.Sprintf("%#v", []byte(canary)), "[]byte{"), "}")
	for _, form := range []string{canary, decimal, goBytes, hex.EncodeToString([]byte(canary)), base64.StdEncoding.EncodeToString([]byte(canary)),
		base64.RawStdEncoding.EncodeToString([]byte(canary)), url.QueryEscape(canary)} {
		if strings.Contains(strings.ToLower(s), strings.ToLower(form)) {
			return true
		}
	}
	return false
}

func requireNoCanary(t *testing.T, what string, v any) {
	t.Helper()
	if s := printed(v); showsCanary(s, canary) {
		require.Fail(t, what+" shows the secret", "%.900s", s)
	}
}

func TestSecretsDoNotPrint(t *testing.T) {
	t.Setenv("RUN_TEST_SECRET", canary)
	file := filepath.Join(t.TempDir(), "secret")
	require.NoError(t, os.WriteFile(file, []byte(canary+"\n"), 0o600))
	require.True(t, showsCanary(printed(canary), canary), "the control is found")
	require.True(t, showsCanary(fmt.Sprint([]byte(canary)), canary))
	require.True(t, showsCanary(fmt.Sprintf("%#v", []byte(canary)), canary))
	require.True(t, showsCanary(printed(struct{ V string }{canary}), canary))
	for name, s := range map[string]Secret{"value": NewSecret(canary), "env": SecretEnv("RUN_TEST_SECRET"), "file": SecretFile(file)} {
		v, err := s.Reveal()
		require.NoError(t, err)
		require.Equal(t, canary, v)
		j := Job{ID: "j", Args: []string{"a"}, Secrets: map[string]Secret{"TOKEN": s}}
		for what, v := range map[string]any{"itself": s, "its pointer": &s, "a field": struct{ S Secret }{s}, "a hidden field": struct{ s Secret }{s},
			"a list": []Secret{s}, "a map": map[string]Secret{"a": s}, "a key": map[Secret]int{s: 1}, "a job": j, "a run spec": RunSpec{Job: j},
			"a launch request": LaunchRequest{Job: &j}, "an interface": any(&j)} {
			requireNoCanary(t, name+" in "+what, v)
		}
		require.Contains(t, printed(s), masked)
	}
	for _, s := range []Secret{{}, SecretEnv("RUN_TEST_MISSING"), SecretFile(filepath.Join(t.TempDir(), "none")), NewSecret(canary + "\x00"),
		NewSecret(strings.Repeat(canary, 1<<13))} {
		_, err := s.Reveal()
		require.ErrorIs(t, err, ErrInvalid)
		requireNoCanary(t, "the refusal", err)
		err = checkJob(Job{ID: "j", Args: []string{"a"}, Secrets: map[string]Secret{"TOKEN": s}})
		require.ErrorIs(t, err, ErrInvalid)
		requireNoCanary(t, "the refusal", err)
	}
}

type badSDKError struct{ Request, Header string } // a struct, not a pointer: %#v sees into it

func (e badSDKError) Error() string { return e.Request + " " + e.Header }

// leaky are errors as SDKs make them.
func leaky() map[string]error {
	signed := "https://bucket.example.com/log/7?X-Amz-Date=1&X-Amz-Signature=" + canary + "&X-Amz-Security-Token=" + canary
	return map[string]error{
		"a signed URL":         &url.Error{Op: "Get", URL: signed, Err: io.ErrUnexpectedEOF},
		"a signed URL in text": fmt.Errorf("GET %q: 403", signed),
		"a user in a URL":      errors.New("dial https://user:" + canary + "@host.example/v1: refused"),
		"a path of a URL":      errors.New("PUT /log/7?X-Amz-Signature=" + canary + ": 403"),
		"a bearer token":       errors.New("401; sent Authorization: Bearer " + canary),
		"a header in JSON":     errors.New(`{"headers":{"Authorization":"Bearer ` + canary + `","x-api-key":"` + canary + `"}}`),
		"a header in Go":       errors.New(`map[Authorization:[Bearer ` + canary + `] X-Amz-Security-Token:[` + canary + `]]`),
		"a signature header":   errors.New("Authorization: AWS4-HMAC-SHA256 Credential=AKIA/2026/aws4_request, SignedHeaders=host, Signature=" + canary),
		"a token scheme":       errors.New("Authorization: Token " + canary),
		"an api key":           errors.New("api_key=" + canary + " apiKey: " + canary),
		"a struct":             badSDKError{signed, "Authorization: Bearer " + canary},
		"in the message":       &Error{Kind: ErrAuth, Msg: "GET " + signed, Err: badSDKError{signed, ""}},
		"joined":               errors.Join(errors.New(signed), &url.Error{Op: "Get", URL: signed, Err: io.EOF}),
		"far behind":           errors.New(strings.Repeat("x", 2*maxText-20) + " " + signed),
	}
}

// leakyRun is a job's read side that fails with an error at every method.
type leakyRun struct{ err error }

func (r leakyRun) Status(context.Context) (Status, error) { return Status{}, r.err }
func (r leakyRun) Wait(context.Context) (Status, error)   { return Status{}, r.err }
func (r leakyRun) Logs(context.Context, LogQuery) iter.Seq2[LogChunk, error] {
	return func(yield func(LogChunk, error) bool) { yield(LogChunk{}, r.err) }
}
func (r leakyRun) Cancel(context.Context, time.Duration) error { return r.err }

type leakyCloud struct {
	*twisted
	err error
}

func (l *leakyCloud) Process(context.Context, Instance) (Process, error)         { return leakyRun{l.err}, nil }
func (l *leakyCloud) Connect(context.Context, Instance, Access) (Machine, error) { return nil, l.err }
func (l *leakyCloud) Stop(context.Context, string) error                         { return l.err }
func (l *leakyCloud) Start(context.Context, string) error                        { return l.err }

// Every way out of the client, with an SDK that puts its request into its errors.
func TestErrorsOfSDKsDoNotLeak(t *testing.T) {
	for name, cause := range leaky() {
		shown := printed(cause)
		if e := (*Error)(nil); errors.As(cause, &e) { // which masks by itself
			shown = printed(e.Msg)
		}
		require.True(t, showsCanary(shown, canary), "the control is found: %s", name)
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			synctest.Test(t, func(t *testing.T) {
				var mu sync.Mutex
				var logs bytes.Buffer
				var events []Event
				intents, err := OpenIntents(filepath.Join(dir, "intents"))
				require.NoError(t, err)
				w := &twisted{modelCloud: newModelCloud()}
				cloud := &leakyCloud{twisted: w, err: cause}
				cfg := Config{Owner: "ann", Secret: []byte(canary), OldSecrets: [][]byte{[]byte(canary + "2")}, Intents: intents,
					Logger:    slog.New(slog.NewJSONHandler(&logs, &slog.HandlerOptions{Level: slog.LevelDebug})),
					Trace:     func(e Event) { mu.Lock(); defer mu.Unlock(); events = append(events, e) },
					Deadlines: Deadlines{Terminate: time.Second, Doubt: time.Second, Connect: time.Second, Submit: time.Second}}
				c, err := New(cfg, cloud)
				require.NoError(t, err)
				i, err := c.Launch(t.Context(), testSpec)
				require.NoError(t, err)
				for _, v := range []any{c, cfg, &cfg, i, i.Ref(), i.Mark, i.Label, LaunchRequest{AuthorizedKey: c.authorizedKey(i.Label)}} {
					requireNoCanary(t, fmt.Sprintf("%T", v), v)
				}

				ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
				defer cancel()
				_, err = c.Submit(ctx, i.Ref(), Job{Args: []string{"a"}, Secrets: map[string]Secret{"TOKEN": NewSecret(canary)}})
				requireNoCanary(t, "submit", err)
				requireNoCanary(t, "stop", c.StopInstance(ctx, i.Ref()))
				w.one = func(i *Instance) { i.Road = RoadJob }
				r, err := c.Attach(ctx, i.Ref())
				require.NoError(t, err)
				s, err := r.Status(ctx)
				require.Error(t, err)
				requireNoCanary(t, "status", s)
				requireNoCanary(t, "the error of status", err)
				requireNoCanary(t, "cancel", r.Cancel(ctx, 0))
				for _, err := range r.Logs(ctx, LogQuery{}) {
					requireNoCanary(t, "logs", err)
				}
				_, err = r.Wait(ctx)
				requireNoCanary(t, "wait", err)
				requireNoCanary(t, "a run", r)

				w.fail = func(string) error { return cause }
				_, err = c.Get(t.Context(), i.Ref())
				requireNoCanary(t, "get", err)
				_, err = c.List(t.Context())
				requireNoCanary(t, "list", err)
				_, err = c.Offers(t.Context(), OfferQuery{})
				requireNoCanary(t, "offers", err)
				_, err = c.Launch(t.Context(), LaunchSpec{Key: "k2", Lifetime: time.Hour, MaxHourly: USD(5)})
				requireNoCanary(t, "launch", err)
				w.fail = func(op string) error {
					if op == "launch" || op == "terminate" {
						return cause
					}
					return nil
				}
				_, err = c.Launch(t.Context(), LaunchSpec{Key: "k3", Lifetime: time.Hour, MaxHourly: USD(5)})
				requireNoCanary(t, "launch", err)
				requireNoCanary(t, "terminate", c.Terminate(t.Context(), i.Ref()))
				pass(2 * time.Hour)
				reaped, err := c.Reap(t.Context(), ReapRequest{})
				requireNoCanary(t, "reap", err)
				for _, d := range reaped {
					requireNoCanary(t, "what was reaped", d)
				}

				mu.Lock()
				defer mu.Unlock()
				require.NotEmpty(t, events)
				for _, e := range events {
					requireNoCanary(t, "event "+string(e.Name), e)
				}
				require.NotEmpty(t, logs.String())
				require.False(t, showsCanary(logs.String(), canary), logs.String())
				file, err := os.ReadFile(filepath.Join(dir, "intents"))
				require.NoError(t, err)
				require.NotEmpty(t, file)
				require.False(t, showsCanary(string(file), canary))
			})
		})
	}
}

// The cause is still there for errors.As, which is a program's way and not a printer's.
func TestCausesStayReachable(t *testing.T) {
	e := &Error{Kind: ErrAuth, Err: &url.Error{Op: "Get", URL: "https://x/?X-Amz-Signature=" + canary, Err: io.EOF}}
	var u *url.Error
	require.ErrorAs(t, error(e), &u)
	require.Contains(t, u.URL, canary)
	require.ErrorIs(t, e, ErrAuth)
	require.ErrorIs(t, e, io.EOF)
	require.Equal(t, `unauthorized: Get "https://x/?[redacted]": EOF`, e.Error())
	var back Error
	b, err := json.Marshal(e)
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(b, &back))
	require.Equal(t, ErrAuth, back.Kind, "the kind survives JSON")
}
