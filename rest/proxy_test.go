package rest

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestNoProxyComesFromTheEnvironment(t *testing.T) {
	require.NotNil(t, http.DefaultTransport.(*http.Transport).Proxy, "as it is without us")
	c, err := New(Config{Base: "https://cloud.test", UserAgent: "tester"})
	require.NoError(t, err)
	require.Nil(t, c.http.HTTPClient.Transport.(*http.Transport).Proxy)
}
