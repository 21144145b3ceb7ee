package aws

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	_ "embed"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"
	"time"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"runctl"
)

//go:embed sh/command.sh
var commandScript string

//go:embed sh/commandkey.sh
var commandKeyScript string

const (
	// inPiece is how much of a command's input goes with one call.
	inPiece = 12 << 10
	// pieceTime bounds one piece of a command on the machine.
	pieceTime = time.Minute
)

// CommandMachine is a machine that is entered by Run Command alone: RoadCommand. Each step of a command is a call of the
// API and its answer, so that it is slow, some ten KiB a second; it needs no sshd. What commands are, read and print is
// encrypted between this process and the machine, since the account keeps a history of both.
type CommandMachine struct {
	p    *Provider
	id   string
	at   string // a directory on the machine
	key  seal
	host string // the machine's host key, where it is known from another road
}

// commandMachine agrees with the machine on a key.
func (p *Provider) commandMachine(ctx context.Context, v *types.Instance, host string) (*CommandMachine, error) {
	m := &CommandMachine{p: p, id: awssdk.ToString(v.InstanceId), at: "/var/lib/runctl-command/" + strings.ToLower(rand.Text()), key: newSeal(), host: host}
	out, err := m.script(ctx, "at="+m.at+"\n"+commandKeyScript)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode([]byte(out))
	if block == nil {
		return nil, errors.New("the machine has made no key for Run Command")
	}
	public, err := x509.ParsePKIXPublicKey(block.Bytes)
	whose, ok := public.(*rsa.PublicKey)
	if err != nil || !ok {
		return nil, errors.New("the machine's key for Run Command cannot be read")
	}
	sealed, err := rsa.EncryptOAEP(sha256.New(), rand.Reader, whose, []byte(m.key), nil)
	if err != nil {
		return nil, err
	}
	_, err = m.script(ctx, fmt.Sprintf("umask 077\ncd %s && printf %%s %s | base64 -d | openssl pkeyutl -decrypt -inkey key -pkeyopt rsa_padding_mode:oaep -pkeyopt rsa_oaep_md:sha256 -out pass",
		m.at, base64.StdEncoding.EncodeToString(sealed)))
	return m, err
}

// script runs one piece. A code of its own means that the machine cannot do this at all.
func (m *CommandMachine) script(ctx context.Context, text string) (string, error) {
	out, err := m.p.command(ctx, m.id, text, pieceTime)
	if err == nil && out.code != 0 {
		err = &runctl.Error{Kind: runctl.ErrUnavailable, ID: m.id, Msg: fmt.Sprintf("the machine cannot be entered by Run Command (code %d): %s; it needs openssl, base64 and setsid",
			out.code, clip(strings.TrimSpace(out.stderr)))}
	}
	return out.stdout, err
}

// piece does one step of a command.
func (m *CommandMachine) piece(ctx context.Context, name, do string, data []byte, more string) (string, error) {
	text := ""
	if data != nil {
		var err error
		if text, err = m.key.encrypt(data); err != nil {
			return "", err
		}
	}
	return m.script(ctx, fmt.Sprintf("d=%s/%s pass=%s/pass do=%s data='%s' %s\n%s", m.at, name, m.at, do, text, more, commandScript))
}

// Exec implements [runctl.Machine]. It returns an error, and has the command killed, when ctx or a stream ends before it.
func (m *CommandMachine) Exec(ctx context.Context, argv []string, stdin io.Reader, stdout, stderr io.Writer) (int, error) {
	var line strings.Builder
	line.WriteString("exec")
	for _, a := range argv {
		if strings.ContainsRune(a, 0) {
			return -1, invalid("an argument has a NUL")
		}
		line.WriteString(" '" + strings.ReplaceAll(a, "'", `'\''`) + "'")
	}
	name := "c" + strings.ToLower(rand.Text())
	own, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	code, do := -1, "forget"
	_, err := m.piece(ctx, name, "start", []byte(line.String()+"\n"), "")
	if err == nil {
		var fed sync.WaitGroup
		fed.Go(func() {
			if err := m.feed(own, name, stdin); err != nil {
				stop(err)
			}
		})
		code, err = m.follow(own, name, stdout, stderr)
		if why := context.Cause(own); err != nil && why != nil {
			err = why
		}
		stop(nil)
		fed.Wait() // a Read that blocks does not hold it
	}
	if err != nil {
		do = "kill"
	}
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), farewell)
	defer cancel()
	_, _ = m.piece(last, name, do, nil, "")
	return code, err
}

// feed sends the command's input, in pieces that are never sent out of turn, until it ends or ctx does.
func (m *CommandMachine) feed(ctx context.Context, name string, stdin io.Reader) error {
	pieces, end := readPieces(ctx, stdin)
	for n := 0; ; n++ {
		select {
		case p := <-pieces:
			if _, err := m.piece(ctx, name, "feed", p, fmt.Sprint("n=", n)); err != nil {
				return err
			}
		case err := <-end:
			if err == io.EOF {
				_, err = m.piece(ctx, name, "end", nil, fmt.Sprint("n=", n))
				return err
			}
			return fmt.Errorf("the command's input could not be read: %w", err)
		case <-ctx.Done():
			return nil
		}
	}
}

// readPieces reads a stream in a goroutine of its own, which ends with the stream: a Read cannot be ended otherwise. end
// comes after the last piece was taken.
func readPieces(ctx context.Context, r io.Reader) (pieces <-chan []byte, end <-chan error) {
	out, last := make(chan []byte), make(chan error, 1)
	if r == nil {
		r = bytes.NewReader(nil)
	}
	go func() {
		for {
			b := make([]byte, inPiece)
			n, err := r.Read(b)
			if n > 0 {
				select {
				case out <- b[:n]:
				case <-ctx.Done():
					return
				}
			}
			if err != nil {
				last <- err
				return
			}
		}
	}()
	return out, last
}

// follow passes on what the command prints, by offsets, until it has ended and all is read.
func (m *CommandMachine) follow(ctx context.Context, name string, stdout, stderr io.Writer) (int, error) {
	var out, errs int64
	for {
		text, err := m.piece(ctx, name, "read", nil, fmt.Sprintf("out=%d err=%d", out, errs))
		if err != nil {
			return -1, err
		}
		code, o, e, err := m.key.printed(text)
		if err != nil {
			return -1, err
		}
		if _, err := stdout.Write(o); err != nil {
			return -1, err
		}
		if _, err := stderr.Write(e); err != nil {
			return -1, err
		}
		out, errs = out+int64(len(o)), errs+int64(len(e))
		if code >= 0 && len(o)+len(e) == 0 {
			return code, nil
		}
	}
}

// printed reads what a step "read" prints: the command's code, or '-' while it runs, the lengths of its outputs, and both of
// them, encrypted. code is -1 while it runs.
func (s seal) printed(text string) (code int, out, errs []byte, err error) {
	bad := errors.New("what the machine printed is cut or damaged")
	head, body, _ := strings.Cut(text, "\n")
	f := strings.Fields(head)
	if len(f) != 3 {
		return -1, nil, nil, bad
	}
	if code = -1; f[0] != "-" {
		n, err := strconv.ParseUint(f[0], 10, 8)
		if err != nil {
			return -1, nil, nil, bad
		}
		code = int(n)
	}
	n, err1 := strconv.ParseUint(f[1], 10, 31)
	k, err2 := strconv.ParseUint(f[2], 10, 31)
	plain, err := s.decrypt(body)
	if err != nil || err1 != nil || err2 != nil || n+k != uint64(len(plain)) {
		return -1, nil, nil, bad
	}
	return code, plain[:n], plain[n:], nil
}

// Close has nothing to close: the key on the machine is of use to nobody without this process.
func (m *CommandMachine) Close() error { return nil }

// Over is the road, for people.
func (m *CommandMachine) Over() string { return string(RoadCommand) }

// HostKey is the one that the machine is known by, which this road does not need: AWS leads to the machine.
func (m *CommandMachine) HostKey() (string, runctl.HostTrust) {
	if m.host == "" {
		return "", runctl.TrustNone
	}
	return m.host, runctl.TrustRead
}

var (
	_ runctl.Machine = (*CommandMachine)(nil)
	_ runctl.Hosted  = (*CommandMachine)(nil)
)
