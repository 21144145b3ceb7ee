package canary

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"html"
	"net/url"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Pieces of a secret are looked for, because texts are cut: any 19 characters of a form in a row are found, or 43 of
// one that writes bytes as numbers.
const (
	pieceLen  = 16
	numberLen = 40
	stride    = 4 // only every so-many-th place of a text is looked at
)

// forms are the ways in which a value comes to be printed; numbers are those that write each byte as a number.
func forms(v string) (texts, numbers []string) {
	h := hex.EncodeToString([]byte(v))
	texts = []string{v, h, strings.ToUpper(h), url.QueryEscape(v), url.PathEscape(v), strconv.Quote(v)}
	if utf8.ValidString(v) { // keys are not, and have no such forms
		quoted, _ := json.Marshal(v)
		texts = append(texts, strings.ToLower(v), strings.ToUpper(v), string(quoted), strconv.QuoteToASCII(v), html.EscapeString(v),
			"'"+strings.ReplaceAll(v, "'", `'\''`)+"'")
	}
	// Within something longer that is encoded as a whole, a value begins at any of three places of a group.
	for skip := range min(3, len(v)) {
		whole := v[skip : len(v)-(len(v)-skip)%3]
		texts = append(texts, base64.StdEncoding.EncodeToString([]byte(whole)), base64.URLEncoding.EncodeToString([]byte(whole)))
	}
	numbers = []string{strings.Trim(fmt.Sprint([]byte(v)), "[]"), fmt.Sprintf("% x", v), fmt.Sprintf("% X", v), fmt.Sprintf("%#v", []byte(v)),
		strings.ReplaceAll(strings.Trim(fmt.Sprint([]byte(v)), "[]"), " ", ",")}
	return texts, numbers
}

// index finds pieces of values in texts.
type index struct {
	length int
	owner  map[string]string // piece → name of the value
	maybe  []uint64          // a bit for each piece: most of a text is told from it by one look
}

const maybeBits = 22

func newIndex(length int) *index {
	return &index{length, map[string]string{}, make([]uint64, 1<<(maybeBits-6))}
}

//go:norace
func bit(text string, n int) uint64 {
	var x uint64
	for i := range 8 {
		x |= uint64(text[n+i]) << (8 * i)
	}
	return x * 0x9e3779b97f4a7c15 >> (64 - maybeBits)
}

func (x *index) add(name, form string) {
	for n := 0; n+x.length <= len(form); n++ {
		piece := form[n : n+x.length]
		if _, taken := x.owner[piece]; !taken {
			x.owner[piece] = name
			b := bit(piece, 0)
			x.maybe[b/64] |= 1 << (b % 64)
		}
	}
}

// find calls hit for each piece of a value in text, with where it begins. Its many looks are only reads, under the
// lock of the hunt.
//
//go:norace
func (x *index) find(text string, hit func(name string, at int)) {
	for n := 0; n+x.length <= len(text); n += stride {
		if b := bit(text, n); x.maybe[b/64]&(1<<(b%64)) == 0 {
			continue
		}
		if name, ok := x.owner[text[n:n+x.length]]; ok {
			hit(name, n)
		}
	}
}
