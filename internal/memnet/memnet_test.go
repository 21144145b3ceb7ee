package memnet

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestHTTPOverItRunsOnVirtualTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			<-time.After(time.Hour)
			_, _ = io.WriteString(w, r.Host)
		})
		var n Net
		c := &http.Client{Transport: n.Serve(t, "a.test", slow)}
		began := time.Now()
		resp, err := c.Get("http://a.test/")
		require.NoError(t, err)
		b, _ := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		assert.Equal(t, "a.test", string(b))
		assert.Equal(t, time.Hour, time.Since(began))
	})
}

func TestNobodyThereIsARefusal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var n Net
		_, err := n.DialContext(t.Context(), "tcp", "nowhere.test:80")
		assert.ErrorContains(t, err, "refused")
		_, err = n.DialContext(t.Context(), "tcp", "no port")
		assert.Error(t, err)
		l, err := n.Listen("b.test:80")
		require.NoError(t, err)
		_, err = n.Listen("b.test:80")
		assert.ErrorContains(t, err, "taken")
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(time.Second, func() { cancel(errors.New("enough")) })
		_, err = n.DialContext(ctx, "tcp", "b.test:80")
		assert.EqualError(t, err, "enough", "who does not accept is waited for")
		require.NoError(t, l.Close())
		_, err = l.Accept()
		assert.Error(t, err)
		_, err = n.DialContext(t.Context(), "tcp", "b.test:80")
		assert.ErrorContains(t, err, "refused")
	})
}

// torn is a body that nobody may read any more once it is closed.
type torn struct {
	io.Reader
	closed atomic.Bool
}

func (b *torn) Read(p []byte) (int, error) {
	if b.closed.Load() {
		return 0, errors.New("closed")
	}
	return b.Reader.Read(p)
}

func (b *torn) Close() error {
	b.closed.Store(true)
	return nil
}

func TestWholeSendsWhatItsCallerClosesTooEarly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var body *torn
		early := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			b, _ := io.ReadAll(r.Body)
			_ = body.Close() // as soon as a reply is on its way
			_, _ = w.Write(b)
		})
		var n Net
		c := &http.Client{Transport: Whole(n.Serve(t, "a.test", early))}
		for range 20 {
			body = &torn{Reader: strings.NewReader(strings.Repeat("x", 10_000))}
			req, err := http.NewRequest("POST", "http://a.test/", body)
			require.NoError(t, err)
			req.ContentLength = 10_000
			resp, err := c.Do(req)
			require.NoError(t, err)
			b, err := io.ReadAll(resp.Body)
			require.NoError(t, err)
			_ = resp.Body.Close()
			require.Len(t, b, 10_000)
		}
		resp, err := c.Get("http://a.test/")
		require.NoError(t, err)
		_ = resp.Body.Close()
		_, err = c.Post("http://a.test/", "text/plain", iotest.ErrReader(errors.New("torn")))
		assert.ErrorContains(t, err, "torn")
	})
}
