// Package rest is what a provider needs to talk to a cloud that speaks JSON over HTTP: one call for one request, and
// one table that makes errors of refusals.
//
//	api, err := rest.New(rest.Config{
//		Base:      "https://api.example.com",
//		UserAgent: "runctl-example",
//		Auth:      rest.Bearer(key),
//		Rules: append([]rest.Rule{
//			{Method: "POST", Status: 400, Text: "sold out", Kind: runctl.ErrCapacity, Scope: runctl.ScopeZone, NotStarted: true},
//		}, rest.Defaults...),
//	})
//	if err != nil {
//		return err
//	}
//	var vm struct{ ID string }
//	reply, err := api.Do(ctx, rest.Request{Method: "GET", Path: rest.Path("vms", id)}, &vm)
//
// What it sees to:
//
//   - GET, HEAD and DELETE are repeated, at most to a third try, when the connection broke or the cloud answered with
//     a 5xx. Nothing else is ever repeated, whatever happened to it, and a 429 is not either: the client slows down.
//   - A request that never had a connection is NotStarted. Everything else that broke off claims nothing.
//   - At most [Config.MaxBody] of a reply is read. A longer one is an error, never a shorter reply.
//   - Redirects are not followed: the credentials would go along.
//   - Credentials are in no text: not in an error, not in what a cloud echoes, not in what printing a value shows.
//   - [Reply.Date] is the cloud's clock, for Instance.Seen.
//   - [Client.Events] reads a stream of server-sent events, bounded in memory and not in time.
//
// It starts no goroutine, reads no environment, and uses no proxy unless the transport that it is given does.
package rest
