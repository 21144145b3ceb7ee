package aws

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"io"
	"mime"
	"mime/multipart"
	"net/mail"
	"strings"
)

func encoded(b []byte) string { return base64.StdEncoding.EncodeToString(b) }

// userData is what a launch passes to the machine, decoded; nil when it is no base64.
func userData(in params) []byte {
	text := in.str("UserData")
	if text == "" {
		return []byte{}
	}
	raw, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return nil
	}
	return raw
}

// plainUserData is user data as cloud-init sees it: decompressed.
func plainUserData(in params) []byte { return unzipped(userData(in)) }

func unzipped(raw []byte) []byte {
	if !bytes.HasPrefix(raw, []byte{0x1f, 0x8b}) {
		return raw
	}
	z, err := gzip.NewReader(bytes.NewReader(raw))
	if err != nil {
		return raw
	}
	plain, err := io.ReadAll(io.LimitReader(z, 16<<20))
	if err != nil {
		return raw
	}
	return plain
}

// part is a piece of user data.
type part struct {
	kind string // boothook (at every boot, before all else), script (at the first boot) or config
	text []byte
}

// kinds are cloud-init's names of what a part is, by MIME type and by first line.
var kinds = map[string]string{"text/cloud-boothook": "boothook", "text/x-shellscript": "script", "text/cloud-config": "config",
	"#cloud-boothook": "boothook", "#!": "script", "#cloud-config": "config"}

// partsOf takes user data apart as cloud-init does. What cloud-init would not know is left out.
func partsOf(raw []byte) (parts []part) {
	raw = unzipped(raw)
	for _, begin := range []string{"#cloud-boothook", "#!", "#cloud-config"} {
		if bytes.HasPrefix(raw, []byte(begin)) {
			return []part{{kinds[begin], raw}}
		}
	}
	m, err := mail.ReadMessage(bytes.NewReader(raw))
	if err != nil {
		return nil
	}
	kind, args, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
	if err != nil || !strings.HasPrefix(kind, "multipart/") {
		return nil
	}
	for r := multipart.NewReader(m.Body, args["boundary"]); ; {
		p, err := r.NextRawPart()
		if err != nil {
			return parts
		}
		body, err := io.ReadAll(p)
		if err != nil {
			return parts
		}
		if strings.EqualFold(p.Header.Get("Content-Transfer-Encoding"), "base64") {
			body, _ = base64.StdEncoding.DecodeString(strings.Join(strings.Fields(string(body)), ""))
		}
		if of, _, err := mime.ParseMediaType(p.Header.Get("Content-Type")); err == nil && kinds[of] != "" {
			parts = append(parts, part{kinds[of], unzipped(body)})
		}
	}
}

// loginKeys are the public keys that cloud-config lets in: lines below ssh_authorized_keys.
func loginKeys(parts []part) (keys []string) {
	for _, p := range parts {
		if p.kind != "config" {
			continue
		}
		within := false
		for _, line := range strings.Split(string(p.text), "\n") {
			item, isItem := strings.CutPrefix(strings.TrimSpace(line), "- ")
			switch {
			case strings.HasPrefix(strings.TrimSpace(line), "ssh_authorized_keys:"):
				within = true
			case within && isItem:
				keys = append(keys, strings.Trim(item, `"'`))
			case strings.TrimSpace(line) != "":
				within = false
			}
		}
	}
	return keys
}
