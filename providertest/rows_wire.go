package providertest

import (
	"bytes"
	"compress/gzip"
	"context"
	"net/http"
	"strings"
	"sync/atomic"
)

// wireRows are about what a hostile or broken cloud can send.
var wireRows = []Row{
	{
		Name: "Wire/MissingField", Needs: needs(needHTTP),
		Rule: "a field that is null or missing in a reply is no panic",
		Do:   "check pointers; do not take item 0 of a list that may be empty",
		check: func(c *check) {
			_, i := c.launch()
			for _, call := range c.calls(i.ID) {
				if call.name == "Terminate" {
					continue
				}
				run := func() { c.do(call.name, func(ctx context.Context) { _ = call.do(ctx) }) }
				c.eachMissing(call.name, false, run, func(path string) {
					defer func() {
						if x := recover(); x != nil {
							c.failf("without %s in the reply, %s panics: %v", path, call.name, x)
						}
					}()
					run()
				})
			}
		},
	},
	{
		Name: "Wire/OddReply", Needs: needs(needHTTP),
		Rule: "a reply of another form than documented is no panic",
		Do:   "decode into structs, and check what the code relies on",
		check: func(c *check) {
			for _, body := range []string{"", "null", "[]", "{}", "[null]", `"x"`, "0", `{"items":[null]}`, `{"items":{}}`, `{"items":[[]]}`, "<a></a>", "\x00\xff", strings.Repeat("[", 20000)} {
				c.eachCall(instead(Reply{Body: body}), func(call, error) {})
				c.eachCall(instead(Reply{Status: 400, Body: body}), func(call, error) {})
			}
		},
	},
	{
		Name: "Wire/HugeReply", Needs: needs(needHTTP),
		Rule: "of a reply's body at most 32 MiB are read, of an error's too",
		Do:   "read through io.LimitReader, in the one place where replies are read",
		check: func(c *check) {
			space := bytes.Repeat([]byte(" "), 64<<10)
			for _, status := range []int{200, 500} {
				var read atomic.Int64
				c.eachCall(func(*http.Request, exchange, send) (*http.Response, error) {
					read.Store(0)
					h := http.Header{"Content-Type": {"application/json"}}
					return newResponse(status, h, &endless{read: &read, limit: tooMuch, chunk: space}, -1), nil
				}, func(call call, err error) {
					if read.Load() > tooMuch {
						c.failf("a reply of status %d without an end; %s read more than %d MiB of it", status, call.name, read.Load()>>20)
					}
				})
			}
		},
	},
	{
		Name: "Wire/Bomb", Needs: needs(needHTTP),
		Rule: "the 32 MiB count after decompression",
		Do:   "put the limit behind the decompressor, or leave compression to http.Transport",
		check: func(c *check) {
			var packed bytes.Buffer
			z := gzip.NewWriter(&packed)
			_, _ = z.Write(bytes.Repeat([]byte(" "), 1<<20))
			_ = z.Close()
			asked := false
			var read atomic.Int64
			c.eachCall(func(r *http.Request, _ exchange, send send) (*http.Response, error) {
				if !strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
					return send()
				}
				asked = true
				read.Store(0)
				h := http.Header{"Content-Type": {"application/json"}, "Content-Encoding": {"gzip"}}
				return newResponse(200, h, &endless{read: &read, limit: int64(48 * packed.Len()), chunk: packed.Bytes()}, -1), nil
			}, func(call call, err error) {
				if read.Load() > int64(48*packed.Len()) {
					c.failf("a reply that is 1000 times longer unpacked; %s unpacked more than 48 MiB of it", call.name)
				}
			})
			if !asked {
				c.lack("own decompression")
			}
		},
	},
	{
		Name: "Wire/Redirect", Needs: needs(needHTTP),
		Rule: "a redirect to another host is not followed: the credentials would go there",
		Do:   "set CheckRedirect to return http.ErrUseLastResponse; net/http keeps headers of its own naming on a redirect",
		check: func(c *check) {
			const elsewhere = "elsewhere.invalid"
			for _, status := range []int{301, 302, 307, 308} {
				c.eachCall(func(r *http.Request, x exchange, send send) (*http.Response, error) {
					if x.host == elsewhere {
						return Reply{Body: "{}"}.response(), nil
					}
					return Reply{Status: status, Header: http.Header{"Location": {"https://" + elsewhere + "/steal"}}}.response(), nil
				}, func(call call, err error) {
					for _, x := range c.sent {
						if x.host == elsewhere {
							c.failf("status %d to https://%s; %s followed it: %s with %d headers and %d bytes of body", status, elsewhere, call.name, x.method, len(x.header), len(x.body))
						}
					}
				})
			}
		},
	},
	{
		Name: "Wire/Tries", Needs: needs(needHTTP),
		Rule: "a request that reads or ends is sent at most 3 times in one call",
		Do:   "retry in the transport only, GET, HEAD and DELETE only, and stop after the third try",
		check: func(c *check) {
			for what, f := range map[string]fault{"status 503": instead(Reply{Status: 503, Body: "{}"}), "connection broken": dropped} {
				c.eachCall(f, func(call call, _ error) {
					if tries := repeated(c.sent); tries > 3 {
						c.failf("%s, each time; %s sent one request %d times", what, call.name, tries)
					}
				})
			}
		},
	},
}

// repeated returns how often the request that was sent most often was sent.
func repeated(sent []exchange) (most int) {
	for _, x := range sent {
		n := 0
		for _, y := range sent {
			if x.same(y) {
				n++
			}
		}
		most = max(most, n)
	}
	return most
}
