package runpod

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// frame is one event of a stream, as it was read.
type frame struct{ id, source, line string }

// follow reads a stream until it has n frames, it breaks, or quiet passes without one.
func (c *client) follow(path, last string, n int, quiet time.Duration) (frames []frame, err error) {
	c.t.Helper()
	ctx, cancel := context.WithCancel(c.t.Context())
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, "GET", "http://runpod.test"+path, nil)
	require.NoError(c.t, err)
	req.Header = http.Header{"Authorization": {"Bearer " + c.key}, "User-Agent": {c.agent}}
	if last != "" {
		req.Header.Set("Last-Event-ID", last)
	}
	resp, err := c.http.Do(req)
	require.NoError(c.t, err)
	defer resp.Body.Close()
	require.Equal(c.t, 200, resp.StatusCode)
	require.Equal(c.t, "text/event-stream", resp.Header.Get("Content-Type"))
	silence := time.AfterFunc(quiet, cancel)
	defer silence.Stop()
	lines := bufio.NewReader(resp.Body)
	var f frame
	for len(frames) < n {
		text, err := lines.ReadString('\n')
		if err != nil {
			return frames, err
		}
		silence.Reset(quiet)
		text = strings.TrimSuffix(text, "\n")
		if id, ok := strings.CutPrefix(text, "id: "); ok {
			f.id = id
		}
		if data, ok := strings.CutPrefix(text, "data: "); ok {
			var e entry
			require.NoError(c.t, json.Unmarshal([]byte(data), &e))
			require.Equal(c.t, f.id, e.TS)
			f.source, f.line = e.Source, e.Line
		}
		if text == "" {
			frames = append(frames, f)
		}
	}
	return frames, nil
}

func texts(frames []frame) (all []string) {
	for _, f := range frames {
		all = append(all, f.line)
	}
	return all
}

// talker prints three lines, a second apart, and returns after a minute.
func talker(_ Pod, start int) Script {
	n := string(rune('a' + start - 1))
	return Script{Lines: []Line{{time.Second, n + "1"}, {2 * time.Second, n + "2"}, {3 * time.Second, n + "3"}}, Exit: time.Minute}
}

func TestAStreamGoesOnWithThePodAndNeverEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClient(t, Options{Script: talker, RestartDelay: time.Second})
		p := c.create(good)
		path := "/v2/pods/" + p.ID + "/logs?source=container"
		got, err := c.follow(path, "", 6, time.Hour)
		require.NoError(t, err)
		assert.Equal(t, []string{"a1", "a2", "a3", "b1", "b2", "b3"}, texts(got), "the host starts what has returned")
		assert.Equal(t, 2, c.face.Starts(p.ID))
		rest, err := c.follow(path, got[1].id, 4, time.Hour)
		require.NoError(t, err)
		assert.Equal(t, got[2:], rest, "after the frame that was seen last, and the same again")
		tail, err := c.follow(path+"&tail=1", "", 1, time.Hour)
		require.NoError(t, err)
		assert.Equal(t, got[5:], tail)
		since, err := c.follow(path+"&since="+got[4].id, "", 2, time.Hour)
		require.NoError(t, err)
		assert.Equal(t, got[4:], since)
		both, err := c.follow("/v2/pods/"+p.ID+"/logs", "", 8, time.Hour)
		require.NoError(t, err)
		assert.Equal(t, "start container", both[1].line)
		assert.NotContains(t, both[1].id, ".", "system lines are dated in seconds")
		c.face.Remove(p.ID)
		assert.Equal(t, 404, c.do("GET", path, "").StatusCode)
		c.clean()
	})
}

func TestAnOpenStreamOutlivesItsPod(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClient(t, Options{Script: talker})
		p := c.create(good)
		time.AfterFunc(5*time.Second, func() { c.face.Remove(p.ID) })
		got, err := c.follow("/v2/pods/"+p.ID+"/logs?source=container", "", 99, time.Hour)
		assert.ErrorIs(t, err, context.Canceled, "only the reader's own end ends it")
		assert.Len(t, got, 3)
	})
}

func TestStreamsFailAsAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClient(t, Options{})
		p := c.create(good)
		for _, s := range strings.Fields("1 2 3 4 5 6") {
			c.face.Say(p.ID, s)
		}
		path := "/v2/pods/" + p.ID + "/logs?source=container"
		c.face.DropLines(3)
		got, err := c.follow(path, "", 4, time.Second)
		require.NoError(t, err)
		assert.Len(t, texts(got), 4)
		c.face.DropLines(0)
		got, err = c.follow(path, "", 6, time.Second)
		require.NoError(t, err)
		c.face.Repeat(2)
		again, err := c.follow(path, got[3].id, 4, time.Second)
		require.NoError(t, err)
		assert.Equal(t, []string{"3", "4", "5", "6"}, texts(again))
		c.face.CutAfter(2)
		got, err = c.follow(path, "", 6, time.Second)
		assert.ErrorIs(t, err, io.ErrUnexpectedEOF)
		assert.Len(t, got, 2)
		c.face.CutAfter(0)
		time.AfterFunc(time.Second, c.face.CutStreams)
		_, err = c.follow(path, "", 99, time.Hour)
		assert.ErrorIs(t, err, io.ErrUnexpectedEOF)
		c.face.EndStreams(true)
		_, err = c.follow(path, "", 99, time.Hour)
		assert.ErrorIs(t, err, io.EOF)
	})
}

func TestLinesOfAContainerVanishAfterIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClient(t, Options{Script: talker, KeepLogs: 2 * time.Minute})
		p := c.create(good)
		pass(10 * time.Second)
		c.do("POST", "/v2/pods/"+p.ID+"/action", `{"action":"stop"}`)
		got, _ := c.follow("/v2/pods/"+p.ID+"/logs", "", 99, time.Second)
		assert.Contains(t, texts(got), "a3")
		pass(2 * time.Minute)
		got, _ = c.follow("/v2/pods/"+p.ID+"/logs", "", 99, time.Second)
		assert.NotContains(t, texts(got), "a3")
		assert.Contains(t, texts(got), "stop container", "the host's lines stay")
		c.clean()
	})
}

func TestLinesAreBrokenAndCleanedAsALineAPIDoes(t *testing.T) {
	var got []string
	long := strings.Repeat("x", maxLine+5)
	readLines(strings.NewReader("a\n\n"+long+"\nb\x00c\r\n\xffd"), func(s string) { got = append(got, clean(s)) })
	assert.Equal(t, []string{"a", "", long[:maxLine], long[maxLine:], "b\x00c\r", "�d"}, got)
}

func FuzzReadLines(f *testing.F) {
	f.Add("a\nb")
	f.Add("\n\n\x00")
	f.Fuzz(func(t *testing.T, s string) {
		var got strings.Builder
		readLines(strings.NewReader(s), func(l string) {
			assert.LessOrEqual(t, len(l), maxLine)
			assert.NotContains(t, l, "\n")
			got.WriteString(l)
		})
		assert.Equal(t, strings.ReplaceAll(s, "\n", ""), got.String())
	})
}
