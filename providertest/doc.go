// Package providertest checks a runctl.Provider against its contract.
//
// The contract is a table of rows ([Rows]), each with a name, a rule in one sentence, and what to do when
// it is broken. [Run] checks all of them, over a fresh provider for each:
//
//	func TestContract(t *testing.T) {
//		providertest.Run(t, providertest.Harness{New: func(t *testing.T, net http.RoundTripper) runctl.Provider {
//			srv := httptest.NewServer(newToyCloud("key-5c1e"))
//			t.Cleanup(srv.Close)
//			return acme.New(acme.Config{APIKey: "key-5c1e", BaseURL: srv.URL, HTTPClient: &http.Client{Transport: net}})
//		}, Secrets: []string{"key-5c1e"}})
//	}
//
// A row that fails prints three lines:
//
//	--- FAIL: TestContract/Launch/LostReply
//	    rule: after the request was sent, an error means in doubt, unless the cloud's reply proves that nothing started
//	    seen: reply of the launch request dropped; Launch returned "connection reset", NotStarted; the cloud holds 1 machine
//	    do:   put only replies that you can read into the error table; leave the rest unclassified
//
// What the provider does not offer (an optional interface, HTTP) is not checked, and the last line of the
// test says what that was. Each further field of the [Harness] opens more rows: give the cloud's refusals, its
// words for states, and a view past the provider into the cloud.
//
// The suite is itself tested: a catalogue of wrong providers has each fail exactly the row for its mistake.
package providertest
