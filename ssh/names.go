package ssh

import (
	"fmt"
	"strconv"
	"strings"

	"runctl"
)

const (
	idLetters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-"
	maxHostID = 100 // of the 128 characters of an instance's id
)

// hostID is a host's name as it stands in ids: letters, digits, '.' and '-' as they are, every other byte as _XX.
// Two names never have the same.
func hostID(name string) string {
	var b strings.Builder
	for i := 0; i < len(name); i++ {
		if ch := name[i]; ch != '_' && strings.IndexByte(idLetters, ch) >= 0 {
			b.WriteByte(ch)
		} else {
			fmt.Fprintf(&b, "_%02X", ch)
		}
	}
	return b.String()
}

// instanceID names one claim of one host, for ever: a later claim has a greater number.
func (h *host) instanceID(n int64) string { return h.id + ":" + strconv.FormatInt(n, 10) }

// find takes an instance's id apart. A host that is not configured is no proof that the instance has ended.
func (p *Provider) find(id string) (*host, int64, error) {
	name, number, ok := strings.Cut(id, ":")
	n, err := strconv.ParseInt(number, 10, 64)
	if !ok || name == "" || err != nil || n < 1 || strconv.FormatInt(n, 10) != number {
		return nil, 0, &runctl.Error{Kind: runctl.ErrNotFound, ID: id, Msg: "there is no such instance: ids here are HOST:NUMBER"}
	}
	for _, h := range p.hosts {
		if h.id == name {
			return h, n, nil
		}
	}
	return nil, 0, &runctl.Error{Kind: runctl.ErrInvalid, ID: id,
		Msg: "its host is not among the configured ones, so nothing is known of it; add it to " + hostsEnv}
}
