package job

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"runctl/internal/manifest"
)

// emuCode are the trees of an emulated machine: of files only the sums, for nothing ever reads the contents. Trees
// are kept for good. The emulator's lock guards it.
type emuCode struct {
	trees map[string]codeFiles
	used  []string             // digests, the one used last first
	parts map[string]codeFiles // what was cut, by the sender's name for it
}

// Code reports whether the machine has the tree of a digest.
func (e *Emulator) Code(digest string) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.code.trees[digest] != nil
}

// checkCode refuses a spec whose code is not there. e.mu is held.
func (e *Emulator) checkCode(s Spec) error {
	if s.Code == "" {
		return nil
	}
	tree := e.code.trees[s.Code]
	if tree == nil {
		return &Refused{Code: RefusedDir, Reason: "the machine has no code of digest " + s.Code + "; send it again"}
	}
	e.code.touch(s.Code)
	dir := strings.Trim(s.Dir, "/") + "/"
	for name := range tree {
		if dir == "/" || strings.HasPrefix(name, dir) {
			return nil
		}
	}
	if dir != "/" {
		return &Refused{Code: RefusedDir, Reason: "no directory " + s.Dir + " in the code"}
	}
	return nil
}

func (c *emuCode) touch(digest string) {
	c.used = slices.Insert(slices.DeleteFunc(c.used, func(d string) bool { return d == digest }), 0, digest)
}

func (c *verbCall) codeask() error {
	if !manifest.IsDigest(c.args[0]) {
		return c.refuse("not a digest")
	}
	if _, err := io.WriteString(c.out, formatLine(kindPing)); err != nil {
		return err
	}
	if c.stdin != nil {
		if _, err := io.Copy(io.Discard, io.LimitReader(c.stdin, 1)); err != nil {
			return err
		}
	}
	if _, err := io.WriteString(c.out, formatLine(kindPong)); err != nil {
		return err
	}
	return c.reply(c.e.codeState(c.args[0]))
}

// codeState is the reply to codeask, and a use of the tree.
func (e *Emulator) codeState(digest string) string {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.code.trees[digest] != nil {
		e.code.touch(digest)
		return formatLine(kindCode, "have=1")
	}
	lines := formatLine(kindCode, "have=0", "formats="+FormatPlain+","+FormatGzip)
	for _, d := range e.code.used {
		lines += formatLine(kindTree, "digest="+d)
	}
	for _, id := range slices.Sorted(maps.Keys(e.code.parts)) {
		lines += formatLine(kindPart, "id="+id)
	}
	return lines
}

func (c *verbCall) codetree() error {
	files, ok := c.e.codeFiles(TreeSource(c.args[0]))
	if !ok {
		return c.fail(&Refused{Code: RefusedNotFound, Reason: "no such tree"})
	}
	b := bytes.NewBufferString(formatLine(kindRaw))
	_ = manifest.Write(b, slices.Values(files.sorted()))
	_, err := b.WriteTo(c.out)
	return err
}

func (c *verbCall) codepart() error {
	files, ok := c.e.codeFiles(PartSource(c.args[0]))
	if !ok {
		return c.fail(&Refused{Code: RefusedNotFound, Reason: "no such part"})
	}
	b := bytes.NewBufferString(formatLine(kindRaw))
	for _, f := range files.sorted() {
		if f.Kind != manifest.Link {
			fmt.Fprintf(b, "%c %x  ./%s\n", f.Kind, f.Sum, f.Path)
		}
	}
	_, err := b.WriteTo(c.out)
	return err
}

// codeput takes in a tree. What arrived before a cut is kept, and the cut is an error as it is for the sender.
func (c *verbCall) codeput() error {
	digest, id := c.args[0], c.args[1]
	if !manifest.IsDigest(digest) || !partID.MatchString(id) {
		return c.refuse("codeput takes a digest and a name")
	}
	var sources []codeFiles
	for _, name := range c.args[3:] {
		files, ok := c.e.codeFiles(name)
		if !ok {
			return c.refuse("no such source: " + name)
		}
		sources = append(sources, files)
	}
	wire := &wireReader{r: c.stdin}
	var r io.Reader = wire
	switch c.args[2] {
	case FormatPlain:
	case FormatGzip:
		r = &gunzip{r: wire}
	default:
		return c.refuse("no such format")
	}
	text, files, err := receiveTree(r, sources)
	if err == nil {
		err = files.verify(digest, text)
	}
	if err == nil {
		_, err = io.Copy(io.Discard, wire)
	}
	c.e.keepCode(digest, id, files, err == nil && wire.err == nil)
	switch {
	case wire.err != nil:
		return wire.err
	case err != nil:
		return c.fail(&Refused{Code: RefusedSpec, Reason: "the code did not arrive as it was sent: " + clip(err.Error())})
	}
	return c.reply(formatLine(kindCode, "have=1"))
}

// codeFiles returns what a source has.
func (e *Emulator) codeFiles(source string) (codeFiles, bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if digest, ok := strings.CutPrefix(source, "d."); ok {
		files, ok := e.code.trees[digest]
		return files, ok
	}
	id, ok := strings.CutPrefix(source, "in.")
	files, found := e.code.parts[id]
	return files, ok && found
}

// keepCode keeps a tree that is whole, or what arrived of it.
func (e *Emulator) keepCode(digest, id string, files codeFiles, whole bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.code.parts == nil {
		e.code = emuCode{trees: map[string]codeFiles{}, parts: map[string]codeFiles{}}
	}
	if !whole {
		e.code.parts[id] = files
		return
	}
	e.code.trees[digest] = files
	e.code.touch(digest)
	clear(e.code.parts)
}
