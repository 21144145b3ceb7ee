package enginetest

import (
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// S3Server is a real S3 server, versitygw, over a directory: signatures, sums, conditions and parts count there.
type S3Server struct {
	Addr           string // host:port, without TLS
	Access, Secret string
	Region         string
	Bucket         string // there from the start
	Dir            string // the objects are files below Dir/Bucket
}

// S3 starts a server of its own for the test, with one bucket. At cleanup it ends.
func S3(t testing.TB) *S3Server {
	t.Helper()
	bin := Find(t, "s3", "versitygw", "versitygw: go install github.com/versity/versitygw/cmd/versitygw@v1.8.0")
	dir := Dir(t)
	s := &S3Server{Addr: freeAddr(t), Access: "AKRUNCTLTEST", Secret: "s3-test-secret-5c1e", Region: "us-east-1", Bucket: "bucket", Dir: filepath.Join(dir, "data")}
	must(t, os.MkdirAll(filepath.Join(s.Dir, s.Bucket), 0o755))
	must(t, os.Mkdir(filepath.Join(dir, "meta"), 0o755))
	var log Buffer
	cmd := exec.Command(bin, "--port", s.Addr, "--access", s.Access, "--secret", s.Secret, "--region", s.Region, "--quiet",
		"posix", "--sidecar", filepath.Join(dir, "meta"), s.Dir)
	cmd.Stdout, cmd.Stderr, cmd.Dir = &log, &log, dir
	cmd.Env = []string{"HOME=" + dir, "PATH=" + os.Getenv("PATH")}
	ownSession(cmd)
	must(t, cmd.Start())
	gone := make(chan struct{})
	go func() { _ = cmd.Wait(); close(gone) }()
	t.Cleanup(func() { _ = cmd.Process.Kill(); <-gone })
	deadline := time.After(20 * time.Second)
	for !serves("http://" + s.Addr) {
		select {
		case <-gone:
			t.Fatalf("versitygw ended at once:\n%s", log.String())
		case <-deadline:
			t.Fatalf("versitygw does not answer on %s:\n%s", s.Addr, log.String())
		case <-time.After(20 * time.Millisecond):
		}
	}
	return s
}

// serves tells whether anything answers over HTTP.
func serves(url string) bool {
	c := http.Client{Timeout: 2 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	r, err := c.Get(url)
	if err != nil {
		return false
	}
	return r.Body.Close() == nil
}
