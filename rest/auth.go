package rest

import "context"

// Auth returns the header that authorises a request. It is asked once for each request and may be asked
// concurrently; an error of it ends the request before anything is sent. The value is masked wherever text is printed.
type Auth func(ctx context.Context) (name, value string, err error)

// Bearer authorises by a token in the header Authorization.
func Bearer(token string) Auth { return Header("Authorization", "Bearer "+token) }

// Header authorises by a header of the cloud's own naming.
func Header(name, value string) Auth {
	return func(context.Context) (string, string, error) { return name, value, nil }
}

// BearerFunc authorises by a token that is asked for before each request, such as one that is renewed.
func BearerFunc(token func(ctx context.Context) (string, error)) Auth {
	return func(ctx context.Context) (string, string, error) {
		t, err := token(ctx)
		return "Authorization", "Bearer " + t, err
	}
}
