//go:build !linux

package sshmachine

import "net"

func acker(net.Conn) func() { return nil }
