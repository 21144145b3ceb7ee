package code

import (
	"bytes"
	"path"
	"regexp"
	"slices"
)

// secretNames are patterns, as path.Match has them, of files that mostly hold secrets. Those with a slash are about
// the last two parts of a path; those that end in one, about directories.
var secretNames = []string{
	".env", ".env.*", "*.pem", "*.key", "*.p12", "*.pfx", "*.ppk", "*.kdbx", "*.jks", "id_rsa", "id_dsa", "id_ecdsa", "id_ed25519",
	".netrc", "_netrc", ".git-credentials", ".pgpass", ".pypirc", ".htpasswd", "credentials", "credentials.json",
	"service-account*.json", "service_account*.json", "secrets.yml", "secrets.yaml", "secrets.json", "secrets.toml",
	".docker/config.json", ".kube/config", ".huggingface/token", ".aws/", ".ssh/", ".gnupg/", ".azure/", ".gcloud/",
}

// notSecret are exceptions: what is there to be read by everybody.
var notSecret = []string{".env.example", ".env.sample", ".env.template", ".env.dist", ".env.defaults"}

// likelySecret judges by the name.
func likelySecret(name string, dir bool) bool {
	base := path.Base(name)
	two := path.Join(path.Base(path.Dir(name)), base)
	if dir {
		base, two = base+"/", two+"/"
	}
	is := func(pattern string) bool {
		one, _ := path.Match(pattern, base)
		both, _ := path.Match(pattern, two)
		return one || both
	}
	return slices.ContainsFunc(secretNames, is) && !slices.ContainsFunc(notSecret, is)
}

// maxKeyFile is how long a file may be that is looked through for a private key.
const maxKeyFile = 64 << 10

// privateKey is the beginning of a key as it is stored: the header, and a line of what only keys have.
var privateKey = regexp.MustCompile(`(?m)^-----BEGIN [A-Z0-9 ]*PRIVATE KEY( BLOCK)?-----\r?\n(\r?\n|[A-Za-z-]+: .*\r?\n)*[A-Za-z0-9+/=]{40,}\r?$`)

var keyHeader = []byte("PRIVATE KEY")

func hasPrivateKey(content []byte) bool {
	return bytes.Contains(content, keyHeader) && privateKey.Match(content)
}
