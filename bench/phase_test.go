package main

import (
	"net"
	"syscall"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
	"runctl/code"
	"runctl/internal/enginetest"
	"runctl/sshmachine"
)

type timed struct{ *sshmachine.Machine }

func (m timed) Exec(ctx context.Context, argv []string, stdin io.Reader, stdout, stderr io.Writer) (int, error) {
	b := time.Now()
	if stdin != nil && argv[4] == "codeput" {
		stdin = &eof{stdin, b}
	}
	c, err := m.Machine.Exec(ctx, argv, stdin, stdout, stderr)
	if len(argv) > 4 {
		fmt.Println("   exec", argv[4], time.Since(b))
	}
	return c, err
}

func TestPhases(t *testing.T) {
	os.Setenv("TMPDIR", "/dev/shm")
	tt := &tb{ctx: t.Context()}
	defer func() {
		for _, f := range tt.cleanups {
			f()
		}
	}()
	server := enginetest.SSHD(tt, enginetest.Line("LogLevel ERROR"))
	src := filepath.Join(tt.TempDir(), "src")
	cache := filepath.Join(tt.TempDir(), "cache")
	tt.must(makeTree(src, 1))
	settleTree(t.Context())
	auth, _ := sshmachine.KeyFile(server.KeyFile())
	for i := range 6 {
		if i == 0 {
			continue
		}
		os.RemoveAll(filepath.Join(server.Home, ".runctl", "code"))
		os.RemoveAll(cache)
		for range 2 {
			b := time.Now()
			tree, err := code.Dir(src, code.Options{Cache: cache})
			tt.must(err)
			fmt.Println("dir", time.Since(b))
			b = time.Now()
			m, err := sshmachine.Dial(t.Context(), sshmachine.Config{Addr: server.Addr, User: server.User, Auth: []ssh.AuthMethod{auth}, Trust: sshmachine.Pinned(ssh.FingerprintSHA256(server.HostKey)), Dial: quick})
			tt.must(err)
			fmt.Println("dial", time.Since(b))
			b = time.Now()
			tt.must(tree.Send(t.Context(), timed{m}))
			fmt.Println("send", time.Since(b))
			m.Close()
			os.WriteFile(filepath.Join(src, "pkg03/sub30/file1500.py"), fmt.Appendf(nil, "# round %d\n", time.Now().UnixNano()), 0o644)
		}
	}
}

type eof struct {
	io.Reader
	b time.Time
}

func (e *eof) Read(p []byte) (int, error) {
	n, err := e.Reader.Read(p)
	if err != nil {
		fmt.Println("   eof after", time.Since(e.b))
	}
	return n, err
}

type quickConn struct{ *net.TCPConn }

func (c quickConn) Read(p []byte) (int, error) {
	n, err := c.TCPConn.Read(p)
	if n < 2000 {
		rc, _ := c.SyscallConn()
		rc.Control(func(fd uintptr) { syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, syscall.TCP_QUICKACK, 1) })
	}
	return n, err
}

func quick(ctx context.Context, network, addr string) (net.Conn, error) {
	c, err := (&net.Dialer{}).DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	return quickConn{c.(*net.TCPConn)}, nil
}
