package enginetest

import (
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"
)

// SpotNotice starts amazon-ec2-metadata-mock, which asks for tokens, and gives its notice after the delay, with a time that
// stays. It returns its address. At cleanup it ends.
func SpotNotice(t testing.TB, delay time.Duration) string {
	t.Helper()
	bin := Find(t, "imds", "ec2-metadata-mock", "ec2-metadata-mock: go install github.com/aws/amazon-ec2-metadata-mock/cmd/ec2-metadata-mock@v1.13.0")
	host, port, _ := strings.Cut(freeAddr(t), ":")
	var log Buffer
	cmd := exec.Command(bin, "spot", "-n", host, "-p", port, "-I", "-a", "terminate", "-d", strconv.Itoa(int(delay/time.Second)),
		"-t", time.Now().Add(2*time.Minute).UTC().Format(time.RFC3339))
	cmd.Stdout, cmd.Stderr, cmd.Dir = &log, &log, Dir(t)
	cmd.Env = []string{"HOME=" + cmd.Dir, "PATH=" + os.Getenv("PATH")}
	ownSession(cmd)
	must(t, cmd.Start())
	gone := make(chan struct{})
	go func() { _ = cmd.Wait(); close(gone) }()
	t.Cleanup(func() { _ = cmd.Process.Kill(); <-gone })
	url := "http://" + host + ":" + port
	deadline := time.After(20 * time.Second)
	for {
		req, err := http.NewRequest(http.MethodPut, url+"/latest/api/token", nil)
		must(t, err)
		req.Header.Set("X-aws-ec2-metadata-token-ttl-seconds", "60")
		if reply, err := http.DefaultClient.Do(req); err == nil {
			_ = reply.Body.Close()
			return url
		}
		select {
		case <-gone:
			t.Fatalf("enginetest: ec2-metadata-mock ended: %s", log.String())
		case <-deadline:
			t.Fatalf("enginetest: ec2-metadata-mock does not answer: %s", log.String())
		case <-time.After(20 * time.Millisecond):
		}
	}
}
