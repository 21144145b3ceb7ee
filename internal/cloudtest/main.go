package cloudtest

import (
	"flag"
	"fmt"
	"net/http/httptest"
	"os"
	"runtime"
	"strconv"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"

	"runctl"
	"runctl/examples/runctl/cli"
)

// commandEnv makes a test program the runctl command.
const commandEnv = "RUNCTL_TEST_CLI"

// checkedRequests and checkedReplies count what all tests of a package have held against the cloud's document.
var checkedRequests, checkedReplies atomic.Int64

// Main is TestMain of a cloud's tests: it runs them and says how much was held against the document. In a process of a [Terminal] it is the
// runctl command with this registry. before, unless it is nil, is called before tests alone.
func Main(m *testing.M, cloud, document string, registry func() *runctl.Registry, before func()) {
	if os.Getenv(commandEnv) != "" {
		cli.Main(registry())
	}
	if before != nil {
		before()
	}
	flag.Parse()
	if p := flag.Lookup("test.parallel"); p.Value.String() == strconv.Itoa(runtime.GOMAXPROCS(0)) { // not asked for
		_ = flag.Set("test.parallel", "8") // most of these tests wait, for processes and for servers that are slow
	}
	code := m.Run()
	fmt.Printf("%s: %d requests and %d replies were held against %s\n", cloud, checkedRequests.Load(), checkedReplies.Load(), document)
	os.Exit(code)
}

// Audit closes a face at the end of the test, and expects that no request in it was wrong.
func Audit(t *testing.T, f Face) {
	t.Cleanup(func() {
		f.Close()
		assert.Empty(t, f.Violations(), "requests and replies that the cloud's document does not allow")
		requests, replies := f.Checked()
		checkedRequests.Add(int64(requests))
		checkedReplies.Add(int64(replies))
	})
}

// Serve serves a face on loopback until the test ends, audits it, and returns its address.
func Serve(t *testing.T, f Face) string {
	t.Helper()
	srv := httptest.NewServer(f)
	t.Cleanup(srv.Close)
	Audit(t, f)
	return srv.URL
}
