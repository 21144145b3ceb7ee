package runpod

import (
	_ "embed"
	"regexp"

	"runctl/internal/wire"
)

//go:embed testdata/runpod.openapi.json
var openapi []byte

// official is RunPod's own document. Replies that differ in how long pods have run are the same to it.
var official = wire.NewDocument(openapi, regexp.MustCompile(`"uptime":\d+`))

// exchange is one request with its place in the document.
type exchange struct {
	wire.Exchange
	f   *Face
	pod *pod // whose key was used; nil: the account's
}
