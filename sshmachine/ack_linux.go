package sshmachine

import (
	"net"
	"syscall"
)

// acker returns what has the kernel acknowledge at once what was received, and not up to 40 ms later; nil: there is
// no such thing here. sshd collects small answers until the last one was acknowledged (Nagle's algorithm). The kernel
// forgets it again, so it is asked for after each short read; after long ones it acknowledges soon enough by itself.
func acker(c net.Conn) func() {
	tcp, ok := c.(syscall.Conn)
	if !ok {
		return nil
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return nil
	}
	return func() {
		_ = raw.Control(func(fd uintptr) { // of a socket that is no TCP it fails, and nothing is lost
			_ = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, syscall.TCP_QUICKACK, 1)
		})
	}
}
