package s3store

import (
	"net/http"

	"github.com/aws/aws-sdk-go-v2/service/s3"

	"runctl/internal/replies"
)

// carefully makes a client follow no redirect, and read no reply without an end: all but objects are kept in memory.
func carefully(o *s3.Options) {
	o.HTTPClient = replies.Client(o.HTTPClient, func(r *http.Request, reply *http.Response) {
		if !object(r, reply.StatusCode) {
			reply.Body = replies.Bound(reply.Body, replies.Max)
		}
	})
}

// object reports whether a reply's body is an object's, which is bounded by what was asked for: GetObject names its range.
func object(r *http.Request, status int) bool {
	return r.Method == http.MethodGet && status/100 == 2 && r.Header.Get("Range") != ""
}
