package providertest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path"
	"strings"
	"sync"

	"runctl"
	"runctl/internal/toycloud"
)

var getMutants = []mutant{
	{"unknown id has ended", "Get/Unknown", func(w *wrong) {
		w.changeGet(func(id string, i *runctl.Instance, err error) error {
			if errors.Is(err, runctl.ErrNotFound) {
				*i = runctl.Instance{ID: id, State: runctl.StateTerminated}
				return nil
			}
			return err
		})
	}},
	{"unknown id is no error", "Get/Unknown", func(w *wrong) {
		w.changeGet(func(_ string, _ *runctl.Instance, err error) error {
			if errors.Is(err, runctl.ErrNotFound) {
				return nil
			}
			return err
		})
	}},
	{"404 not classified", "Get/Unknown", func(w *wrong) {
		w.changeGet(func(_ string, _ *runctl.Instance, err error) error {
			if errors.Is(err, runctl.ErrNotFound) {
				return errors.New("status 404")
			}
			return err
		})
	}},
	{"Get finds the newest", "Get/One", func(w *wrong) {
		w.get = func(ctx context.Context, id string) (runctl.Instance, error) {
			i, err := w.Provider.Get(ctx, id)
			if ids := w.Cloud.Billing(); err == nil && len(ids) > 1 {
				return w.Provider.Get(ctx, ids[len(ids)-1])
			}
			return i, err
		}
	}},
	{"word for ended not in the table", "Get/Ended", func(w *wrong) { delete(w.States, toycloud.Shredded) }},
	{"copies kept", "Get/Fresh", func(w *wrong) {
		var known sync.Map
		w.get = func(ctx context.Context, id string) (runctl.Instance, error) {
			if i, ok := known.Load(id); ok {
				return i.(runctl.Instance), nil
			}
			i, err := w.Provider.Get(ctx, id)
			if err == nil && i.State == runctl.StateRunning {
				known.Store(id, i)
			}
			return i, err
		}
		w.stop = func(ctx context.Context, id string) error {
			known.Delete(id)
			return w.Provider.Stop(ctx, id)
		}
	}},
	{"on its way to stopped is stopped", "Get/States", func(w *wrong) { w.States[toycloud.Pausing] = runctl.StateStopped }},
	{"booting is running", "Get/States", func(w *wrong) { w.States[toycloud.Booting] = runctl.StateRunning }},
	{"unknown state read as dead", "Get/StrangeState", func(w *wrong) {
		w.changeGet(func(_ string, i *runctl.Instance, err error) error {
			if i.State == runctl.StateUnknown {
				i.State = runctl.StateTerminated
			}
			return err
		})
	}},
	{"unknown state is an error", "Get/StrangeState", func(w *wrong) {
		w.changeGet(func(_ string, i *runctl.Instance, err error) error {
			if err == nil && i.State == runctl.StateUnknown {
				return errors.New("unknown state " + i.Reason)
			}
			return err
		})
	}},
	{"no answer is not found", "Get/Unreachable", func(w *wrong) {
		w.changeGet(func(_ string, _ *runctl.Instance, err error) error {
			return as(err, runctl.ErrUnavailable, func(e *runctl.Error) { e.Kind = runctl.ErrNotFound })
		})
	}},
	{"broken connection is the end", "Get/Unreachable", func(w *wrong) {
		w.changeGet(func(id string, i *runctl.Instance, err error) error {
			if isReset(err) {
				*i = runctl.Instance{ID: id, State: runctl.StateTerminated}
				return nil
			}
			return err
		})
	}},
	{"reply about nothing is a machine", "Get/EmptyReply", func(w *wrong) {
		w.changeGet(func(_ string, _ *runctl.Instance, err error) error {
			if strings.Contains(fmt.Sprint(err), "the reply is about") {
				return nil
			}
			return err
		})
	}},
}

// listing changes the replies to requests for a page of machines; first says whether it is the first page.
func (w *wrong) listing(f func(first bool, resp *http.Response, err error) (*http.Response, error)) {
	w.net(func(r *http.Request, next http.RoundTripper) (*http.Response, error) {
		resp, err := next.RoundTrip(r)
		if r.Method != "GET" || r.URL.Path != "/v1/vms" {
			return resp, err
		}
		return f(r.URL.Query().Get("cursor") == "", resp, err)
	})
}

func page(body string) *http.Response { return Reply{Body: body}.response() }

var listMutants = []mutant{
	{"no machines is an error", "List/Empty", func(w *wrong) {
		w.changeList(func(all []runctl.Instance, err error) ([]runctl.Instance, error) {
			if err == nil && len(all) == 0 {
				err = errors.New("no machines")
			}
			return all, err
		})
	}},
	{"first page only", "List/AllPages", func(w *wrong) {
		w.listing(func(_ bool, resp *http.Response, err error) (*http.Response, error) {
			if err != nil {
				return nil, err
			}
			body, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
			var p map[string]json.RawMessage
			if json.Unmarshal(body, &p) == nil && p["next"] != nil {
				p["next"] = []byte(`""`)
				body, _ = json.Marshal(p)
			}
			resp.Body = io.NopCloser(io.MultiReader(bytes.NewReader(body), readEnd{err}))
			return resp, nil
		})
	}},
	{"last page dropped", "List/AllPages", func(w *wrong) {
		w.changeList(func(all []runctl.Instance, err error) ([]runctl.Instance, error) { return all[:min(len(all), 6)], err })
	}},
	{"last of a page comes again on the next", "List/AllPages", func(w *wrong) {
		w.changeList(func(all []runctl.Instance, err error) ([]runctl.Instance, error) {
			if len(all) > 3 {
				all = append(all, all[2])
			}
			return all, err
		})
	}},
	{"a failing page is empty", "List/PageFails", func(w *wrong) {
		w.listing(func(first bool, resp *http.Response, err error) (*http.Response, error) {
			if !first && (err != nil || resp.StatusCode >= 400) {
				return page(`{"items":[],"next":""}`), nil
			}
			return resp, err
		})
	}},
	{"cursor that repeats for ever", "List/RepeatedCursor", func(w *wrong) { w.Cursors, w.Pages = false, 1<<30 }},
	{"cursor that repeats ends quietly", "List/RepeatedCursor", func(w *wrong) {
		w.changeList(func(all []runctl.Instance, err error) ([]runctl.Instance, error) {
			if strings.Contains(fmt.Sprint(err), "does not end") {
				return nil, nil
			}
			return all, err
		})
	}},
	{"unreadable reply is an empty list", "List/Unreadable", func(w *wrong) {
		w.changeList(func(all []runctl.Instance, err error) ([]runctl.Instance, error) {
			if strings.Contains(fmt.Sprint(err), "unreadable") {
				return nil, nil
			}
			return all, err
		})
	}},
	{"403 is an empty list", "List/Unreadable", func(w *wrong) {
		w.changeList(func(all []runctl.Instance, err error) ([]runctl.Instance, error) {
			if strings.Contains(fmt.Sprint(err), "status 403") {
				return nil, nil
			}
			return all, err
		})
	}},
	{"hides a pending machine", "List/Pending", func(w *wrong) {
		w.hide(func(i runctl.Instance) bool { return i.State == runctl.StatePending })
	}},
	{"hides a stopping machine", "List/Stopping", func(w *wrong) {
		w.hide(func(i runctl.Instance) bool { return i.Reason == toycloud.Pausing })
	}},
	{"hides a stopped machine", "List/Stopped", func(w *wrong) {
		w.hide(func(i runctl.Instance) bool { return i.State == runctl.StateStopped })
	}},
	{"hides a machine in an unknown state", "List/StrangeState", func(w *wrong) {
		w.hide(func(i runctl.Instance) bool { return i.State == runctl.StateUnknown && i.Reason != "" })
	}},
	{"lists a machine in an unknown state as ended", "List/StrangeState", func(w *wrong) {
		w.edit(func(i *runctl.Instance) {
			if i.State == runctl.StateUnknown && i.Reason != "" {
				i.State = runctl.StateTerminated
			}
		})
	}},
	{"absent state is ended", "List/MissingField", func(w *wrong) {
		w.edit(func(i *runctl.Instance) {
			if i.Reason == "" {
				i.State = runctl.StateTerminated
			}
		})
	}},
	{"machine without a type is hidden", "List/MissingField", func(w *wrong) {
		w.hide(func(i runctl.Instance) bool { return i.Type == "" })
	}},
	{"List without launch times", "List/LikeGet", func(w *wrong) {
		w.edit(func(i *runctl.Instance) { i.Launched = i.Launched.AddDate(-i.Launched.Year()+1, 0, 0) })
	}},
	{"List without prices", "List/LikeGet", func(w *wrong) { w.edit(func(i *runctl.Instance) { i.Price = runctl.Price{} }) }},
	{"hides machines with other labels", "List/OtherOwners", func(w *wrong) {
		w.hide(func(i runctl.Instance) bool { return i.Label != "" && !strings.HasPrefix(i.Label, "rc1-") })
	}},
	{"labels of others made tidy", "List/OtherOwners", func(w *wrong) {
		w.edit(func(i *runctl.Instance) { i.Label = strings.ToLower(i.Label) })
	}},
	{"own filter instead of the owner's", "List/Owner", func(w *wrong) {
		w.list = func(ctx context.Context, q runctl.ListQuery) ([]runctl.Instance, error) {
			if q.Owner != "" {
				q.Owner = owner
			}
			return w.Provider.List(ctx, q)
		}
	}},
}

// readEnd passes the error of a read on, or the end.
type readEnd struct{ err error }

func (e readEnd) Read([]byte) (int, error) {
	if e.err != nil {
		return 0, e.err
	}
	return 0, io.EOF
}

var terminateMutants = []mutant{
	{"terminate only pauses", "Terminate/EndsBilling", func(w *wrong) {
		w.terminate = func(ctx context.Context, id string) error { return w.Provider.Stop(ctx, id) }
	}},
	{"terminate only looks", "Terminate/EndsBilling", func(w *wrong) {
		w.terminate = func(ctx context.Context, id string) error {
			_, err := w.Provider.Get(ctx, id)
			return err
		}
	}},
	{"says ended while it bills", "Terminate/StillBilling", func(w *wrong) {
		var asked sync.Map
		w.terminate = func(ctx context.Context, id string) error {
			err := w.Provider.Terminate(ctx, id)
			if err == nil {
				asked.Store(id, true)
			}
			return err
		}
		w.changeGet(func(id string, i *runctl.Instance, err error) error {
			if _, ok := asked.Load(id); ok {
				i.State = runctl.StateTerminated
			}
			return err
		})
	}},
	{"being deleted is ended", "Terminate/StillBilling", func(w *wrong) { w.States[toycloud.Shredding] = runctl.StateTerminated }},
	{"ended machine is a conflict", "Terminate/Twice", func(w *wrong) {
		var asked sync.Map
		w.terminate = func(ctx context.Context, id string) error {
			if _, ok := asked.Load(id); ok {
				return &runctl.Error{Kind: runctl.ErrConflict}
			}
			err := w.Provider.Terminate(ctx, id)
			if err == nil {
				asked.Store(id, true)
			}
			return err
		}
	}},
	{"404 of a delete not classified", "Terminate/Unknown", func(w *wrong) {
		w.terminate = func(ctx context.Context, id string) error {
			err := w.Provider.Terminate(ctx, id)
			if errors.Is(err, runctl.ErrNotFound) {
				return errors.New("status 404")
			}
			return err
		}
	}},
	{"terminates the newest", "Terminate/OnlyThis", func(w *wrong) {
		w.terminate = func(ctx context.Context, id string) error {
			if _, err := w.Provider.Get(ctx, id); err != nil {
				return err
			}
			if ids := w.Cloud.Billing(); len(ids) > 0 {
				id = ids[len(ids)-1]
			}
			return w.Provider.Terminate(ctx, id)
		}
	}},
	{"id not escaped", "Terminate/OddID", func(w *wrong) { w.Path = func(id string) string { return "/v1/vms/" + id } }},
	{"id taken for a path", "Terminate/OddID", func(w *wrong) {
		clean := w.Path
		w.Path = func(id string) string { return clean(path.Base(id)) }
	}},
	{"no answer is gone", "Terminate/Failed", func(w *wrong) {
		w.terminate = func(ctx context.Context, id string) error {
			if err := w.Provider.Terminate(ctx, id); !isReset(err) {
				return err
			}
			return nil
		}
	}},
	{"5xx is accepted", "Terminate/Failed", func(w *wrong) {
		w.terminate = func(ctx context.Context, id string) error {
			if err := w.Provider.Terminate(ctx, id); !strings.Contains(fmt.Sprint(err), "status 5") {
				return err
			}
			return nil
		}
	}},
	{"403 is gone", "Terminate/Failed", func(w *wrong) {
		w.terminate = func(ctx context.Context, id string) error {
			err := w.Provider.Terminate(ctx, id)
			if strings.Contains(fmt.Sprint(err), "status 403") {
				return &runctl.Error{Kind: runctl.ErrNotFound}
			}
			return err
		}
	}},
}
