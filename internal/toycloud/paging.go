package toycloud

import (
	"context"
	"errors"
	"net/http"
)

// pages reads a listing to its end and gives the items of each page, with the page's header, to add. A
// cursor that comes back is an error, and so is a page that fails.
func pages[T any](ctx context.Context, p *Provider, path string, add func(item T, head http.Header)) error {
	cursor := ""
	for seen := map[string]bool{}; ; seen[cursor] = true {
		var page struct {
			Items []T
			Next  string
		}
		head, err := p.call(ctx, "GET", path+"cursor="+cursor, nil, &page)
		if err != nil {
			return err
		}
		for _, item := range page.Items {
			add(item, head)
		}
		if page.Next == "" {
			return nil
		}
		if cursor = page.Next; seen[cursor] && p.Cursors || len(seen) >= p.Pages {
			return errors.New("toy: the listing does not end")
		}
	}
}
