package aws

import (
	"crypto/md5"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
)

// keyPair is a public key that the account has.
type keyPair struct {
	id, name, line, kind, sum string
	at                        time.Time
	tags                      map[string]string
}

var publicKey = regexp.MustCompile(`^(ssh-ed25519|ssh-rsa) ([A-Za-z0-9+/]+=*)( .*)?$`)

func (f *Face) key(name string) *keyPair {
	for _, k := range f.keys {
		if k.name == name {
			return k
		}
	}
	return nil
}

func (k *keyPair) row() params {
	return params{"KeyPairId": k.id, "KeyName": k.name, "KeyFingerprint": k.sum, "KeyType": k.kind, "CreateTime": k.at, "Tags": tagRows(k.tags)}
}

func (x *exchange) importKey() (params, *refusal) {
	name := x.in.str("KeyName")
	raw, _ := x.in["PublicKeyMaterial"].([]byte)
	m := publicKey.FindStringSubmatch(strings.TrimSpace(string(raw)))
	tags, no := tagsFor(x.in, "key-pair")
	switch {
	case no != nil:
		return nil, no
	case name == "" || len(name) > 255:
		return nil, bad("InvalidParameterValue", "Invalid value '%s' for keyPairName.", name)
	case x.f.key(name) != nil:
		return nil, bad("InvalidKeyPair.Duplicate", "The keypair already exists")
	case m == nil:
		return nil, bad("InvalidKey.Format", "Key is not in valid OpenSSH public key format")
	}
	k := &keyPair{id: x.f.newID("key"), name: name, line: m[0], kind: strings.TrimPrefix(m[1], "ssh-"), at: second(time.Now()), tags: tags}
	blob, _ := base64.StdEncoding.DecodeString(m[2])
	if k.kind == "ed25519" {
		sum := sha256.Sum256(blob)
		k.sum = base64.StdEncoding.EncodeToString(sum[:])
	} else {
		k.sum = fmt.Sprintf("%x", md5.Sum(blob))
	}
	x.f.keys = append(x.f.keys, k)
	row := k.row()
	delete(row, "KeyType")
	delete(row, "CreateTime")
	return row, nil
}

func (x *exchange) describeKeys() (params, *refusal) {
	names, ids := x.in.strs("KeyNames"), x.in.strs("KeyPairIds")
	for _, n := range names {
		if x.f.key(n) == nil {
			return nil, bad("InvalidKeyPair.NotFound", "The key pair '%s' does not exist", n)
		}
	}
	var rows []params
	for _, k := range x.f.keys {
		if len(names)+len(ids) > 0 && !slices.Contains(names, k.name) && !slices.Contains(ids, k.id) {
			continue
		}
		row := k.row()
		if x.in.flag("IncludePublicKey") {
			row["PublicKey"] = k.line
		}
		rows = append(rows, row)
	}
	rows, no := x.matching(rows)
	if no != nil {
		return nil, no
	}
	return params{"KeyPairs": rows}, nil
}

// deleteKey succeeds where there is none.
func (x *exchange) deleteKey() (params, *refusal) {
	name, id := x.in.str("KeyName"), x.in.str("KeyPairId")
	if name == "" && id == "" {
		return nil, bad("MissingParameter", "The request must contain the parameter KeyName")
	}
	out := params{"Return": true}
	x.f.keys = slices.DeleteFunc(x.f.keys, func(k *keyPair) bool {
		if k.name != name && k.id != id {
			return false
		}
		out["KeyPairId"] = k.id
		return true
	})
	return out, nil
}
