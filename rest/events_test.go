package rest_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"runctl"
	"runctl/rest"
)

func read(r io.Reader) (all []rest.Event, err error) {
	for e, err := range rest.ReadEvents(r) {
		if err != nil {
			return all, err
		}
		all = append(all, e)
	}
	return all, nil
}

func TestEventsAreReadAsTheStandardHasThem(t *testing.T) {
	for _, c := range []struct {
		name, stream string
		want         []rest.Event
	}{
		{"one", "id: 1\nevent: line\ndata: a\n\n", []rest.Event{{ID: "1", Type: "line", Data: "a"}}},
		{"CRLF", "id: 1\r\ndata: a\r\n\r\ndata: b\r\n\r\n", []rest.Event{{ID: "1", Data: "a"}, {ID: "1", Data: "b"}}},
		{"CRLF between the lines of one", "data: a\r\ndata: b\r\n\r\n", []rest.Event{{Data: "a\nb"}}},
		{"an id that was not ended is not this one's either", "data: a\nid: 12", []rest.Event{{Data: "a"}}},
		{"CR", "data: a\r\rdata: b\r\r", []rest.Event{{Data: "a"}, {Data: "b"}}},
		{"several lines", "data: a\ndata:\ndata:  b\n\n", []rest.Event{{Data: "a\n\n b"}}},
		{"comments and strange fields", ": keep-alive\n\nfoo: bar\ndata\ndata: x\n\n", []rest.Event{{Data: "\nx"}}},
		{"no last empty line", "data: a\n", []rest.Event{{Data: "a"}}},
		{"no end of the last line", "id: 7\ndata: a", []rest.Event{{ID: "7", Data: "a", Cut: true}}},
		{"an id that was not ended is none", "id: 1\ndata: a\n\nid: 12", []rest.Event{{ID: "1", Data: "a"}}},
		{"an id without data stays", "id: 5\n\ndata: a\n\n", []rest.Event{{ID: "5", Data: "a"}}},
		{"an id with NUL is none", "id: 5\x00\ndata: a\n\n", []rest.Event{{Data: "a"}}},
		{"an empty id", "id: 5\ndata: a\n\nid\ndata: b\n\n", []rest.Event{{ID: "5", Data: "a"}, {Data: "b"}}},
		{"retry", "retry: 1500\ndata: a\n\nretry: soon\ndata: b\n\n", []rest.Event{{Data: "a", Retry: 1500 * time.Millisecond}, {Data: "b"}}},
		{"a type is for one event", "event: x\ndata: a\n\ndata: b\n\n", []rest.Event{{Type: "x", Data: "a"}, {Data: "b"}}},
		{"byte order mark", "\ufeffdata: a\n\n", []rest.Event{{Data: "a"}}},
		{"nothing", "", nil},
		{"colons", "data::a:b\n\n", []rest.Event{{Data: ":a:b"}}},
	} {
		for how, r := range map[string]io.Reader{"at once": strings.NewReader(c.stream), "byte by byte": iotest.OneByteReader(strings.NewReader(c.stream))} {
			got, err := read(r)
			require.NoError(t, err)
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("%s, %s: %s", c.name, how, diff)
			}
		}
	}
}

func TestALongEventIsCutAndSaysSo(t *testing.T) {
	const mib = 1 << 20
	for name, stream := range map[string]io.Reader{
		"one line":   io.MultiReader(strings.NewReader("id: 3\ndata: "), io.LimitReader(letters{}, 16*mib), strings.NewReader("\nevent: end\n\ndata: next\n\n")),
		"many lines": io.MultiReader(strings.NewReader("id: 3\nevent: end\n"), repeated("data: "+strings.Repeat("x", 1000)+"\n", 16*1024), strings.NewReader("\ndata: next\n\n")),
	} {
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		got, err := read(stream)
		runtime.ReadMemStats(&after)
		require.NoError(t, err)
		require.Len(t, got, 2, name)
		assert.True(t, got[0].Cut, name)
		assert.Equal(t, mib, len(got[0].Data), name)
		assert.Equal(t, "end", got[0].Type, name)
		assert.Equal(t, rest.Event{ID: "3", Data: "next"}, got[1], name)
		assert.Less(t, after.HeapInuse, before.HeapInuse+12*mib, name)
	}
}

type letters struct{}

func (letters) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'x'
	}
	return len(p), nil
}

func repeated(s string, n int) io.Reader {
	r, w := io.Pipe()
	go func() {
		b := bufio.NewWriterSize(w, 64<<10)
		for range n {
			if _, err := b.WriteString(s); err != nil {
				return
			}
		}
		_ = b.Flush()
		_ = w.Close()
	}()
	return r
}

func TestAStreamIsHeldWithoutATimeOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, w := io.Pipe()
		var asked http.Header
		c := client(t, carry(func(req *http.Request) (*http.Response, error) {
			asked = req.Header
			context.AfterFunc(req.Context(), func() { _ = w.CloseWithError(req.Context().Err()) })
			resp := answer(200, "", "Content-Type", "text/event-stream; charset=utf-8")
			resp.Body = r
			return resp, nil
		}))
		go func() {
			for n := range 5 {
				<-time.After(24 * time.Hour)
				fmt.Fprintf(w, "id: %d\ndata: x\n\n", n)
			}
		}()
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		start, n := time.Now(), 0
		for e, err := range c.Events(ctx, rest.Request{Method: "GET", Path: "/logs", Header: http.Header{"Last-Event-Id": {"9"}}}) {
			if n++; n == 6 {
				assert.ErrorIs(t, err, context.Canceled)
				assert.Empty(t, of(t, err).Kind)
				continue
			}
			require.NoError(t, err)
			if e.ID == "4" {
				cancel()
			}
		}
		assert.Equal(t, 6, n)
		assert.Equal(t, 5*24*time.Hour, time.Since(start))
		assert.Equal(t, "text/event-stream", asked.Get("Accept"))
		assert.Equal(t, []string{"9"}, asked.Values("Last-Event-Id"), "as it was given")
	})
}

func TestAStreamThatIsCutGivesNoHalfOfAnEvent(t *testing.T) {
	c, _ := at(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		fmt.Fprint(w, "id: 1\ndata: whole\n\nid: 2\ndata: {\"half\":")
		w.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	})
	var got []rest.Event
	var cut error
	for e, err := range c.Events(t.Context(), get("/logs")) {
		if cut = err; err == nil {
			got = append(got, e)
		}
	}
	assert.Equal(t, []rest.Event{{ID: "1", Data: "whole"}}, got)
	assert.ErrorIs(t, cut, runctl.ErrUnavailable)
	assert.Contains(t, cut.Error(), "the stream was cut")
}

func TestWhatIsNoStreamIsAnError(t *testing.T) {
	for what, c := range map[string]struct {
		reply carry
		kind  runctl.Kind
	}{
		"refusal":   {always(404, `{"detail":"no such pod"}`), runctl.ErrNotFound},
		"HTML":      {always(200, "<html>", "Content-Type", "text/html"), runctl.ErrUnavailable},
		"throttled": {always(429, `{"detail":"slow"}`, "Retry-After", "5"), runctl.ErrRateLimit},
		"no answer": {func(*http.Request) (*http.Response, error) { return nil, errors.New("gone") }, runctl.ErrUnavailable},
	} {
		n := 0
		for e, err := range client(t, c.reply).Events(t.Context(), get("/logs")) {
			n++
			assert.Equal(t, rest.Event{}, e)
			assert.ErrorIs(t, err, c.kind, what)
		}
		assert.Equal(t, 1, n, what)
	}
}

func TestAReaderMayLeaveAStreamAtAnyEvent(t *testing.T) {
	gone := make(chan struct{})
	c, _ := at(t, func(w http.ResponseWriter, r *http.Request) {
		defer close(gone)
		w.Header().Set("Content-Type", "text/event-stream")
		for r.Context().Err() == nil {
			fmt.Fprint(w, "data: x\n\n")
			w.(http.Flusher).Flush()
		}
	})
	for _, err := range c.Events(t.Context(), get("/logs")) {
		require.NoError(t, err)
		break
	}
	<-gone
}

func FuzzReadEvents(f *testing.F) {
	f.Add("id: 1\ndata: {\"line\":\"a\"}\n\n: c\r\ndata: b\r\r\n\n", 3)
	f.Add("data\n\nretry: 99999999999999999999\nid:\x00\n\ndata:x", 1)
	f.Add("\ufeff\ufeffdata: \xff\r", 2)
	f.Fuzz(func(t *testing.T, stream string, chunk int) {
		whole, err := read(strings.NewReader(stream))
		if err != nil {
			t.Fatal(err)
		}
		pieces, _ := read(iotest.OneByteReader(strings.NewReader(stream)))
		if diff := cmp.Diff(whole, pieces); diff != "" {
			t.Fatalf("how it arrives matters: %s", diff)
		}
		if chunk = max(chunk, 0); chunk < len(stream) { // cut by the network: no event that the whole stream does not have
			cut, err := read(io.MultiReader(strings.NewReader(stream[:chunk]), &failing{}))
			if err == nil || len(cut) > len(whole) || len(cut) > 0 && !cmp.Equal(cut, whole[:len(cut)]) {
				t.Fatalf("cut at %d: %v, %v", chunk, cut, err)
			}
		}
		for _, e := range whole {
			if len(e.Data) > 1<<20 || e.Retry < 0 || strings.ContainsAny(e.ID+e.Type, "\r\n") {
				t.Fatalf("%+v", e)
			}
		}
	})
}
