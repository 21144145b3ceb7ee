package memnet

import (
	"context"
	"errors"
	"io"
	"net/http"
	"testing"
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
