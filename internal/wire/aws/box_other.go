//go:build !unix

package aws

import "time"

// Real lets machines be processes. It needs a system with signals: here its use panics.
type Real struct {
	Dir  string
	SSHD string
	Port int
	Env  []string
}

type box struct {
	ip string
}

func (i *instance) plug() {
	if i.f.opt.Real != nil {
		panic("aws: machines are processes on unix only")
	}
}

func (i *instance) unplug()             {}
func (i *instance) reboot()             { i.boots++ }
func (b *box) console() []byte          { return nil }
func (b *box) insert(*volume)           {}
func (b *box) reach(port string) string { return port }
func (b *box) execute(string, string, time.Duration, func(int, string, string, string)) (stop func()) {
	return nil
}
