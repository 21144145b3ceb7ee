package lyceum

import (
	_ "embed"
	"regexp"

	"runctl/internal/wire"
)

//go:embed testdata/lyceum.openapi.yaml
var openapi []byte

// known is what is known of Lyceum's API. Replies that differ in how long machines have run are the same to it.
var known = wire.NewDocument(openapi, regexp.MustCompile(`"(uptime_seconds|billed)":[0-9.e-]+`))

// exchange is one request with its place in the document.
type exchange struct {
	wire.Exchange
	f *Face
}
