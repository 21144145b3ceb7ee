package aws

import (
	"bytes"
	"compress/gzip"
	"crypto/rand"
	_ "embed"
	"encoding/hex"
	"fmt"
	"io"
	"mime/multipart"
	"net/textproto"
	"regexp"
	"strings"

	"runctl/internal/job"
)

// maxUserData is EC2's bound, before base64. cloud-init takes it compressed too.
const maxUserData = 16 << 10

//go:embed sh/access.sh
var accessScript string

const bootEnd = "RUNCTL-END-OF-BOOT"

// userData is a boothook, which cloud-init runs as root at every boot, before the network's services: it keeps and runs
// the boot script first, and then lets key in as root, and keeps a nonce by which the machine can prove itself. Behind it
// comes what the launch's owner gave. There is no secret in it: the nonce proves only that who knows it is this machine, or may
// read its user data. set are more assignments for the access script.
func userData(boot []byte, key string, more []byte, set ...string) ([]byte, error) {
	key = strings.TrimSpace(key)
	switch {
	case key != "" && !job.ValidKey(key):
		return nil, invalid("AuthorizedKey is not a public key in OpenSSH's one-line format")
	case bytes.Contains(boot, []byte(bootEnd)):
		return nil, invalid("Boot has a line that its own wrapping needs")
	}
	var random [32]byte
	_, _ = rand.Read(random[:]) // never fails
	var hook bytes.Buffer
	hook.WriteString("#!/bin/sh\n")
	fmt.Fprintf(&hook, "%s%s\nkey='%s'\n", nonceWord, hex.EncodeToString(random[:]), key)
	for _, line := range set {
		hook.WriteString(line + "\n")
	}
	fmt.Fprintf(&hook, "boot() {\ncat <<'%s'\n%s\n%s\n}\n", bootEnd, strings.TrimSuffix(string(boot), "\n"), bootEnd)
	hook.WriteString(accessScript)
	text, err := compose(hook.Bytes(), more)
	if err != nil {
		return nil, err
	}
	if len(text) > maxUserData {
		var b bytes.Buffer
		w, _ := gzip.NewWriterLevel(&b, gzip.BestCompression)
		_, _ = w.Write(text)
		_ = w.Close() // to memory: none of them fails
		text = b.Bytes()
	}
	if len(text) > maxUserData {
		return nil, invalid("UserData: with what runctl needs it is %d bytes compressed, and EC2 takes %d: fetch the rest from elsewhere", len(text), maxUserData)
	}
	return text, nil
}

// compose puts the hook, and what else there is, into one user data.
func compose(hook, more []byte) ([]byte, error) {
	if len(more) == 0 {
		return append([]byte("#cloud-boothook\n"), hook...), nil
	}
	if bytes.Contains(hook, []byte(boundary)) || bytes.Contains(more, []byte(boundary)) {
		return nil, invalid("UserData has a line that its own wrapping needs")
	}
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	if err := w.SetBoundary("RUNCTL-" + boundary); err != nil {
		return nil, err
	}
	fmt.Fprintf(&b, "Content-Type: multipart/mixed; boundary=%q\nMIME-Version: 1.0\n\n", w.Boundary())
	for n, part := range [][]byte{hook, more} {
		// cloud-init looks at the first line of what is plain text.
		kind := []string{"text/cloud-boothook", "text/plain"}[n]
		to, err := w.CreatePart(textproto.MIMEHeader{"Content-Type": {kind + "; charset=\"utf-8\""}, "MIME-Version": {"1.0"}})
		if err != nil {
			return nil, err
		}
		_, _ = to.Write(part)
	}
	err := w.Close()
	return b.Bytes(), err
}

const (
	boundary  = "b0undary-of-user-data"
	nonceWord = "nonce="
)

var nonceLine = regexp.MustCompile(`(?m)^` + nonceWord + `([0-9a-f]{64})\r?$`)

// nonceOf reads the nonce in a machine's user data, "" when it has none of ours.
func nonceOf(data []byte) string {
	if bytes.HasPrefix(data, []byte{0x1f, 0x8b}) {
		data = unzipped(data)
	}
	m := nonceLine.FindSubmatch(data)
	if m == nil {
		return ""
	}
	return string(m[1])
}

// unzipped is what data holds, up to what a launch of ours can have put there.
func unzipped(data []byte) []byte {
	r, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		return nil
	}
	out, _ := io.ReadAll(io.LimitReader(r, 1<<20)) // of a cut one, what there is
	return out
}
