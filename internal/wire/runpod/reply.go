package runpod

import (
	"io"
	"net/http"
	"strconv"

	"runctl/internal/wire"
)

type answer = wire.Answer

// problemKind is the Content-Type of an error.
const problemKind = "application/problem+json"

// problem is the API's form of an error.
type problem struct {
	Title  string   `json:"title"`
	Status int      `json:"status"`
	Detail string   `json:"detail"`
	Errors []string `json:"errors,omitempty"`
}

func refuse(status int, detail string, errs ...string) answer {
	return answer{Status: status, Kind: problemKind, Body: problem{http.StatusText(status), status, detail, errs}}
}

// edge answers as what stands before the API does: no problem document.
func edge(w http.ResponseWriter, status int, kind, text string) {
	w.Header().Set("Content-Type", kind)
	w.Header().Set("Content-Length", strconv.Itoa(len(text)))
	w.WriteHeader(status)
	_, _ = io.WriteString(w, text)
}
