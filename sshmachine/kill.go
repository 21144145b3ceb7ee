package sshmachine

import (
	"bytes"
	"context"
	"time"

	"golang.org/x/crypto/ssh"
)

// killer ends the process group that $1 leads, also when $1 itself is gone; a process that leads none is ended with its
// children, if it still is the one that started at $2.
const killer = `kill -s KILL -- "-$1" 2>/dev/null && exit
start() { read -r l <"/proc/$1/stat" && set -- ${l##*)} && shift 19 && echo "$1"; }
tree() {
	kill -s STOP "$1"
	for f in /proc/[0-9]*/stat; do
		l=; read -r l 2>/dev/null <"$f" || continue
		p=${l%% *}; set -- "$1" ${l##*)}
		[ "$3" = "$1" ] && (tree "$p")
	done
	kill -s KILL "$1"
}
[ -n "$2" ] && [ "$(start "$1")" = "$2" ] && tree "$1"`

// kill ends the command and its children, and waits a moment for that. OpenSSH signals the whole process group while
// the group's first process lives. Other servers signal that process alone, or nothing: they are asked by a second session,
// which needs to know who the command is.
func (s *session) kill(b *birthFilter, ended <-chan error) {
	ctx, cancel := context.WithTimeout(context.Background(), s.m.c.StepTimeout)
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer cancel()
		for n := 0; !s.signalled(n); n++ {
			if who := b.birth(); who.pid != "" && n > 2 {
				s.hunt(ctx, who)
				s.signal()
				return
			}
			select { // too early: the command does not lead its group yet, or is not known yet
			case <-time.After(lag / 4):
			case <-ctx.Done():
				s.signal()
				return
			}
		}
	}()
	t := time.NewTimer(2 * promptly)
	defer t.Stop()
	select {
	case <-done:
	case <-ended:
	case <-t.C:
	}
}

// signalled asks the server to signal the command's group, if it is one that does.
func (s *session) signalled(tries int) bool {
	if !bytes.HasPrefix(s.l.client.ServerVersion(), []byte("SSH-2.0-OpenSSH")) || tries > 2 {
		return false
	}
	ok, err := s.SendRequest("signal", true, killPayload)
	return ok && err == nil
}

// signal asks for KILL without waiting for an answer.
func (s *session) signal() {
	go func() { _, _ = s.SendRequest("signal", false, killPayload) }()
}

var killPayload = ssh.Marshal(struct{ Signal string }{string(ssh.SIGKILL)})

// hunt ends the command's group or tree by a session of its own.
func (s *session) hunt(ctx context.Context, who birth) {
	h, err := s.m.session(ctx)
	if err != nil {
		return
	}
	defer h.done()
	defer context.AfterFunc(ctx, func() { _ = h.Close() })()
	_ = h.Run("exec sh -c " + quote(killer) + " sh " + who.pid + " " + quote(who.start))
}
