package code

import (
	"bytes"
	"path"
	"regexp"
	"slices"
	"strings"
)

// secretNames are files that mostly hold secrets; a name that ends in a slash is a directory's.
var secretNames = names(".env", "id_rsa", "id_dsa", "id_ecdsa", "id_ed25519", ".netrc", "_netrc", ".git-credentials", ".pgpass", ".pypirc", ".htpasswd",
	"credentials", "credentials.json", "secrets.yml", "secrets.yaml", "secrets.json", "secrets.toml",
	".docker/config.json", ".kube/config", ".huggingface/token", ".aws/", ".ssh/", ".gnupg/", ".azure/", ".gcloud/")

// secretEnds and secretStarts are what other names of such files end in, or begin with.
var (
	secretEnds   = []string{".pem", ".key", ".p12", ".pfx", ".ppk", ".kdbx", ".jks"}
	secretStarts = []string{".env.", "service-account", "service_account"}
)

// notSecret are exceptions: what is there to be read by everybody.
var notSecret = names(".env.example", ".env.sample", ".env.template", ".env.dist", ".env.defaults")

func names(all ...string) map[string]bool {
	set := map[string]bool{}
	for _, name := range all {
		set[name] = true
	}
	return set
}

// likelySecret judges by the last part of a path, and the last two.
func likelySecret(name string, dir bool) bool {
	base := path.Base(name)
	if dir {
		return secretNames[base+"/"]
	}
	with := func(has func(s, part string) bool) func(string) bool {
		return func(part string) bool { return has(base, part) }
	}
	return secretNames[base] || secretNames[path.Join(path.Base(path.Dir(name)), base)] || !notSecret[base] &&
		(slices.ContainsFunc(secretEnds, with(strings.HasSuffix)) || slices.ContainsFunc(secretStarts, with(strings.HasPrefix)))
}

// maxKeyFile is how long a file may be that is looked through for a private key.
const maxKeyFile = 64 << 10

// privateKey is the beginning of a key as it is stored: the header, and a line of what only keys have.
var privateKey = regexp.MustCompile(`(?m)^-----BEGIN [A-Z0-9 ]*PRIVATE KEY( BLOCK)?-----\r?\n(\r?\n|[A-Za-z-]+: .*\r?\n)*[A-Za-z0-9+/=]{40,}\r?$`)

var keyHeader = []byte("PRIVATE KEY")

func hasPrivateKey(content []byte) bool {
	return bytes.Contains(content, keyHeader) && privateKey.Match(content)
}
