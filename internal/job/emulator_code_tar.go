package job

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"runctl/internal/manifest"
)

// codeFiles are the files of a tree, or of a part of one, by path. It never changes once it is kept.
type codeFiles map[string]manifest.Entry

func (files codeFiles) sorted() []manifest.Entry {
	return slices.SortedFunc(maps.Values(files), func(a, b manifest.Entry) int { return strings.Compare(a.Path, b.Path) })
}

// verify checks the files against the manifest and the manifest against the digest.
func (files codeFiles) verify(digest string, text []byte) error {
	all, err := manifest.Read(bytes.NewReader(text))
	if err != nil {
		return err
	}
	if manifest.Digest(slices.Values(all)) != digest {
		return fmt.Errorf("the manifest is another tree's")
	}
	for _, want := range all {
		if files[want.Path] != want {
			return fmt.Errorf("%s is not as the manifest says", want.Path)
		}
	}
	if len(files) != len(all) {
		return fmt.Errorf("%d files came, the manifest has %d", len(files), len(all))
	}
	return nil
}

const maxManifest = 256 << 20

// receiveTree reads the tar of a codeput. After an error it returns what came whole before.
func receiveTree(r io.Reader, sources []codeFiles) (text []byte, files codeFiles, err error) {
	files = codeFiles{}
	for in := tar.NewReader(r); ; {
		h, err := in.Next()
		if err == io.EOF {
			return text, files, nil
		}
		if err != nil {
			return text, files, err
		}
		name, inTree := strings.CutPrefix(strings.TrimSuffix(h.Name, "/"), "t/")
		switch {
		case h.Name == "m":
			text, err = io.ReadAll(io.LimitReader(in, maxManifest))
		case inTree && h.Typeflag != tar.TypeDir:
			var e manifest.Entry
			if e, err = received(name, h, in, sources); err == nil {
				files[name] = e
			}
		}
		if err != nil {
			return text, files, err
		}
	}
}

// received is one file or link of a tar.
func received(name string, h *tar.Header, content io.Reader, sources []codeFiles) (manifest.Entry, error) {
	e := manifest.Entry{Path: name, Kind: manifest.Plain}
	if err := manifest.CheckPath(name); err != nil {
		return e, err
	}
	switch h.Typeflag {
	case tar.TypeSymlink:
		return manifest.NewLink(name, h.Linkname), nil
	case tar.TypeLink:
		for i, files := range sources {
			if path, ok := strings.CutPrefix(h.Linkname, fmt.Sprintf("b%d/", i)); ok {
				e, ok = files[path]
				e.Path = name
				if ok {
					return e, nil
				}
			}
		}
		return e, fmt.Errorf("%s: no such file: %s", name, h.Linkname)
	case tar.TypeReg:
		if h.Mode&0o100 != 0 {
			e.Kind = manifest.Exec
		}
		sum := sha256.New()
		n, err := io.Copy(sum, content)
		e.Size = n
		sum.Sum(e.Sum[:0])
		return e, err
	}
	return e, fmt.Errorf("%s is neither a file nor a link", name)
}

// wireReader remembers why the sender's stream broke.
type wireReader struct {
	r   io.Reader // nil: an empty one
	err error
}

func (w *wireReader) Read(p []byte) (int, error) {
	if w.r == nil {
		return 0, io.EOF
	}
	n, err := w.r.Read(p)
	if err != nil && err != io.EOF {
		w.err = err
	}
	return n, err
}

// gunzip reads the header when it is first read, so that a stream that is cut before is an error as any other.
type gunzip struct {
	r io.Reader
	z *gzip.Reader
}

func (g *gunzip) Read(p []byte) (n int, err error) {
	if g.z == nil {
		if g.z, err = gzip.NewReader(g.r); err != nil {
			return 0, err
		}
	}
	return g.z.Read(p)
}
