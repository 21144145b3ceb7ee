package code

import "strings"

// glob is a compiled pattern. It matches as git's wildmatch does with WM_PATHNAME: '*', '?' and sets stop at
// slashes, "**" as a whole part does not, a backslash quotes, and all of it goes by bytes.
type glob struct {
	tokens []token
	never  bool // malformed: git lets it match nothing
}

// token takes one byte of the text out of set; or, if many, any number of them.
type token struct {
	set  *set
	many bool
	skip int // so many tokens from here on may be left out at once: "**/" is also nothing
}

// set is a set of bytes.
type set [4]uint64

func (s *set) add(b byte)      { s[b>>6] |= 1 << (b & 63) }
func (s *set) has(b byte) bool { return s[b>>6]&(1<<(b&63)) != 0 }

func (s *set) addIf(in func(byte) bool) *set {
	for b := range 256 {
		if in(byte(b)) {
			s.add(byte(b))
		}
	}
	return s
}

var (
	anyByte  = new(set).addIf(func(byte) bool { return true })
	notSlash = new(set).addIf(func(b byte) bool { return b != '/' })
)

// compileGlob reads a pattern. It begins at the start of a part of the path.
func compileGlob(p string) (g glob) {
	for i := 0; i < len(p); i++ {
		switch p[i] {
		case '\\':
			if i++; i == len(p) {
				return glob{never: true}
			}
			g.tokens = append(g.tokens, token{set: only(p[i])})
		case '?':
			g.tokens = append(g.tokens, token{set: notSlash})
		case '[':
			s, n := compileSet(p[i:])
			if n == 0 {
				return glob{never: true}
			}
			g.tokens = append(g.tokens, token{set: s})
			i += n - 1
		case '*':
			stars := len(p[i:]) - len(strings.TrimLeft(p[i:], "*"))
			rest := p[i+stars:]
			t := token{set: notSlash, many: true}
			if stars > 1 && (i == 0 || p[i-1] == '/') && (rest == "" || rest[0] == '/' || strings.HasPrefix(rest, `\/`)) {
				t.set = anyByte
				if strings.HasPrefix(rest, "/") {
					t.skip = 2 // the slash that follows, too
				}
			}
			g.tokens = append(g.tokens, t)
			i += stars - 1
		default:
			g.tokens = append(g.tokens, token{set: only(p[i])})
		}
	}
	return g
}

func only(b byte) *set {
	s := new(set)
	s.add(b)
	return s
}

// compileSet reads a set in brackets and how long it is; 0: it has no end.
func compileSet(p string) (*set, int) {
	s, i := new(set), 1
	negated := len(p) > 1 && (p[1] == '!' || p[1] == '^')
	if negated {
		i++
	}
	low := -1 // of a range that a '-' may make
	for first := true; ; first = false {
		switch {
		case i >= len(p):
			return nil, 0
		case p[i] == ']' && !first:
			if negated {
				s = new(set).addIf(func(b byte) bool { return !s.has(b) })
			}
			s[0] &^= 1 << '/'
			return s, i + 1
		case strings.HasPrefix(p[i:], "[:"):
			end := strings.IndexByte(p[i:], ']')
			if end < 0 {
				return nil, 0
			}
			if name := p[i+2 : i+end]; len(name) > 0 && strings.HasSuffix(name, ":") {
				class := classes[strings.TrimSuffix(name, ":")]
				if class == nil {
					return nil, 0
				}
				s.addIf(class)
				low, i = -1, i+end+1
				continue
			}
			s.add('[')
			low, i = '[', i+1
		case p[i] == '-' && low >= 0 && i+1 < len(p) && p[i+1] != ']':
			if i++; p[i] == '\\' {
				i++
			}
			if i >= len(p) {
				return nil, 0
			}
			for b := low; b <= int(p[i]); b++ {
				s.add(byte(b))
			}
			low, i = -1, i+1
		default:
			if p[i] == '\\' {
				i++
			}
			if i >= len(p) {
				return nil, 0
			}
			s.add(p[i])
			low, i = int(p[i]), i+1
		}
	}
}

func between(low, high byte) func(byte) bool {
	return func(b byte) bool { return low <= b && b <= high }
}

func either(in ...func(byte) bool) func(byte) bool {
	return func(b byte) bool {
		for _, f := range in {
			if f(b) {
				return true
			}
		}
		return false
	}
}

var (
	digit = between('0', '9')
	lower = between('a', 'z')
	upper = between('A', 'Z')
	graph = between('!', '~')
	alnum = either(digit, lower, upper)
)

// classes are those of [:name:].
var classes = map[string]func(byte) bool{
	"alnum": alnum, "alpha": either(lower, upper), "digit": digit, "lower": lower, "upper": upper, "graph": graph,
	"print": either(graph, func(b byte) bool { return b == ' ' }), "punct": func(b byte) bool { return graph(b) && !alnum(b) },
	"blank": func(b byte) bool { return b == ' ' || b == '\t' }, "space": func(b byte) bool { return b == ' ' || '\t' <= b && b <= '\r' },
	"cntrl": func(b byte) bool { return b < ' ' || b == 0x7f }, "xdigit": either(digit, between('a', 'f'), between('A', 'F')),
}

// match reports whether all of the text is as the pattern says, in time proportional to the product of their lengths.
func (g *glob) match(text string) bool {
	if g.never {
		return false
	}
	at := make([]bool, len(g.tokens)+1) // the tokens that may come next
	next := make([]bool, len(at))
	at[0] = true
	for i := 0; ; i++ {
		for k, t := range g.tokens { // what takes nothing
			if at[k] && t.many {
				at[k+1] = true
			}
			if at[k] && t.skip > 0 && (i == 0 || text[i-1] == '/') {
				at[k+t.skip] = true
			}
		}
		if i == len(text) {
			return at[len(g.tokens)]
		}
		clear(next)
		for k, t := range g.tokens {
			if at[k] && t.set.has(text[i]) {
				if t.many {
					next[k] = true
				} else {
					next[k+1] = true
				}
			}
		}
		at, next = next, at
	}
}
