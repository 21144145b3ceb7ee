package code

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"runctl/internal/manifest"
)

// cache is what the last look at a directory found. Its file has a line with the directory, then one for each file,
// sorted by path, and a last one with the SHA-256 of all before:
//
//	MODIFIED CHANGED INODE KEY LINE
//
// with the times in Unix nanoseconds, KEY 1 for a private key's content, and the manifest's line. A file that was
// touched within settle of the look has zeros, for a later write may leave its times as they are; so have links.
type cache struct {
	name, dir string
	digest    string           // of the tree that was found; empty: none was
	others    []manifest.Entry // of that tree, what is not as it was
}

const (
	cacheHead = "runctl-code-cache-1 "
	settle    = 2 * time.Second // coarser than any file system's times
)

// recall fills in the sums of the files that are as they were. Damage, or another directory's cache, is none.
func recall(name, dir string, all []found) *cache {
	c := &cache{name: name, dir: dir}
	if name == "" {
		return c
	}
	file, err := os.Open(name)
	if err != nil {
		return c
	}
	defer file.Close()
	body, ok := checked(file)
	s := bufio.NewScanner(body)
	if !ok || !s.Scan() || s.Text() != cacheHead+strconv.Quote(dir) {
		return c
	}
	sum := sha256.New()
	for s.Scan() {
		was, line, ok := parseFound(s.Text())
		if !ok {
			return &cache{name: name, dir: dir}
		}
		for len(all) > 0 && all[0].Path < was.Path {
			all = all[1:]
		}
		if len(all) > 0 && all[0].Path == was.Path && all[0].is(was) {
			all[0].Sum, all[0].key, all[0].known = was.Sum, was.key, true
		} else if !was.key {
			was.Path = strings.Clone(was.Path)
			c.others = append(c.others, was.Entry)
		}
		if !was.key {
			_, _ = io.WriteString(sum, line+"\n") // a hash takes everything
		}
	}
	if s.Err() == nil {
		c.digest = hex.EncodeToString(sum.Sum(nil))
	}
	return c
}

// checked returns what comes before a last line that is its sum.
func checked(file *os.File) (io.Reader, bool) {
	info, err := file.Stat()
	if err != nil || info.Size() < sumLine {
		return file, false
	}
	sum, line := sha256.New(), make([]byte, sumLine)
	_, err1 := io.Copy(sum, io.NewSectionReader(file, 0, info.Size()-sumLine))
	_, err2 := file.ReadAt(line, info.Size()-sumLine)
	return io.NewSectionReader(file, 0, info.Size()-sumLine), err1 == nil && err2 == nil && string(line) == fmt.Sprintf("%x\n", sum.Sum(nil))
}

const sumLine = 2*sha256.Size + 1

// is reports whether a file is the one that was found before.
func (f *found) is(was found) bool {
	return f.stat.changed != 0 && f.stat == was.stat && f.Size == was.Size && f.Kind == was.Kind && f.Kind != manifest.Link
}

func parseFound(text string) (f found, line string, ok bool) {
	parts := strings.SplitN(text, " ", 5)
	if len(parts) != 5 {
		return f, "", false
	}
	var err1, err2, err3, err4 error
	f.stat.modified, err1 = strconv.ParseInt(parts[0], 10, 64)
	f.stat.changed, err2 = strconv.ParseInt(parts[1], 10, 64)
	f.stat.inode, err3 = strconv.ParseUint(parts[2], 10, 64)
	f.key = parts[3] == "1"
	f.Entry, err4 = manifest.ParseLine(parts[4])
	return f, parts[4], err1 == nil && err2 == nil && err3 == nil && err4 == nil
}

// base plans by the remembered tree.
func (c *cache) base(files []found) base {
	if c.digest == "" {
		return base{}
	}
	var have []candidate
	for i := range files {
		if f := &files[i]; f.known && f.Kind != manifest.Link {
			have = append(have, candidate{content{f.Sum, f.Kind}, origin{path: f.Path}})
		}
	}
	return plan(files, []string{c.digest}, slices.AppendSeq(have, candidates(slices.Values(c.others), 0)))
}

// candidates are the files of a tree.
func candidates(all iter.Seq[manifest.Entry], source int32) iter.Seq[candidate] {
	return func(yield func(candidate) bool) {
		for e := range all {
			if e.Kind != manifest.Link && !yield(candidate{content{e.Sum, e.Kind}, origin{e.Path, source}}) {
				return
			}
		}
	}
}

// save writes what a look that began at some time has found. What cannot be written is not remembered.
func (c *cache) save(all []found, began time.Time) {
	if c.name == "" {
		return
	}
	file, err := os.CreateTemp(filepath.Dir(c.name), filepath.Base(c.name)+".tmp*")
	if err != nil {
		return
	}
	defer os.Remove(file.Name())
	sum := sha256.New()
	w := bufio.NewWriterSize(io.MultiWriter(file, sum), 64<<10)
	fmt.Fprintf(w, "%s%s\n", cacheHead, strconv.Quote(c.dir))
	settled := began.Add(-settle).UnixNano()
	var b []byte
	for _, f := range all {
		if max(f.stat.modified, f.stat.changed) > settled {
			f.stat = stat{}
		}
		b = fmt.Appendf(b[:0], "%d %d %d %d ", f.stat.modified, f.stat.changed, f.stat.inode, map[bool]int{true: 1}[f.key])
		_, _ = w.Write(f.AppendTo(b)) // Flush tells
	}
	err = w.Flush()
	fmt.Fprintf(file, "%x\n", sum.Sum(nil))
	if closed := file.Close(); err == nil && closed == nil {
		_ = os.Rename(file.Name(), c.name)
	}
}
