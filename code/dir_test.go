package code

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func paths(t *Tree) []string {
	all := []string{}
	for e := range entries(t.files) {
		all = append(all, e.Path)
	}
	return all
}

func TestADigestIsTheContentAlone(t *testing.T) {
	f := files{"a": "1", "d/x.sh": "#!x", "l": "-> a"}
	one, two := space(t), space(t)
	f.write(t, one)
	f.write(t, two)
	require.NoError(t, os.Chtimes(filepath.Join(two, "a"), time.Unix(1e9, 0), time.Unix(1e9, 0)))
	require.NoError(t, os.Chmod(filepath.Join(two, "a"), 0o600))
	require.NoError(t, os.Mkdir(filepath.Join(two, "empty"), 0o755))
	want := dir(t, one, Options{}).Digest()
	assert.Len(t, want, 64)
	assert.Equal(t, want, dir(t, two, Options{}).Digest())
	require.NoError(t, os.Symlink(two, filepath.Join(space(t), "link")))
	for name, change := range map[string]func(){
		"content": func() { put(t, two, "a", "2") },
		"mode":    func() { require.NoError(t, os.Chmod(filepath.Join(two, "d/x.sh"), 0o644)) },
		"name":    func() { require.NoError(t, os.Rename(filepath.Join(two, "a"), filepath.Join(two, "b"))) },
		"link":    func() { require.NoError(t, os.Remove(filepath.Join(two, "l"))); put(t, two, "l", "-> b") },
	} {
		before := dir(t, two, Options{}).Digest()
		change()
		assert.NotEqual(t, before, dir(t, two, Options{}).Digest(), name)
		require.NoError(t, os.RemoveAll(two))
		f.write(t, two)
	}
}

func TestNamesThatCannotTravelAreRefusedTogether(t *testing.T) {
	src := space(t)
	files{"fine": "", "new\nline": "", "car\rriage": "", "back\\slash": "", "bell\a": "", "d/Same": "", "d/same": "", "D/x": "", "d2/ſame": "", "d2/same": "",
		"out": "-> ../x", "d/root": "-> /etc/passwd", "d/far": "-> ../../x", "d/zigzag": "-> a/../../../x", "inside": "-> d/Same"}.write(t, src)
	require.NoError(t, os.WriteFile(filepath.Join(src, "latin\xe4"), nil, 0o644))
	_, err := Dir(src, Options{})
	var bad *NameError
	require.ErrorAs(t, err, &bad)
	assert.Len(t, bad.Problems, 10)
	assert.Equal(t, 2, bad.More)
	all := strings.Join(bad.Problems, "\n")
	assert.NotContains(t, all, "fine")
	assert.NotContains(t, all, "inside")
	assert.Contains(t, err.Error(), ".runctlignore")
	for _, r := range err.Error() {
		assert.True(t, r >= ' ' || r == '\n', "nothing that a terminal obeys")
	}
	put(t, src, ".runctlignore", "*\n!fine\n!d/\n!d/?ame\n!D/\n!D/x\n!.runctlignore\n")
	_, err = Dir(src, Options{})
	require.ErrorAs(t, err, &bad)
	assert.Len(t, bad.Problems, 2, "twins in one directory, and twin directories: %v", bad.Problems)
	put(t, src, ".runctlignore", "*\n!fine\n!d/\n!d/same\n!inside")
	assert.Equal(t, []string{"d/same", "fine", "inside"}, paths(dir(t, src, Options{})), "what is ignored is in nobody's way")
}

func TestWhatIsNoFileIsReported(t *testing.T) {
	src := space(t)
	put(t, src, "a", "")
	require.NoError(t, syscall.Mkfifo(filepath.Join(src, "fifo"), 0o600))
	l, err := net.Listen("unix", filepath.Join(src, "s"))
	require.NoError(t, err)
	defer l.Close()
	tree := dir(t, src, Options{})
	assert.Equal(t, []string{"a"}, paths(tree))
	assert.Equal(t, []string{"fifo", "s"}, tree.Report().Special)
}

func TestIgnoreFilesOfOursAreStronger(t *testing.T) {
	src := space(t)
	files{".gitignore": "*.bin\nlogs/\n", ".runctlignore": "!keep.bin\n*.tmp\n", "sub/.runctlignore": "!sub.tmp\n", "keep.bin": "", "drop.bin": "", "a.tmp": "",
		"sub/sub.tmp": "", "logs/x": "", ".git/config": "", "sub/.git/config": "", "runctl-out/r/model": "", "sub/runctl-out/x": "", "a": ""}.write(t, src)
	tree := dir(t, src, Options{})
	assert.Equal(t, []string{".gitignore", ".runctlignore", "a", "keep.bin", "sub/.runctlignore", "sub/sub.tmp"}, paths(tree))
	assert.Equal(t, []File{{"a.tmp", 0}, {"drop.bin", 0}, {"logs/", 0}}, tree.Report().Ignored)
	tree = dir(t, src, Options{Exclude: []string{"/sub/", "keep.bin", "!logs/", ".*ignore"}})
	assert.Equal(t, []string{"a", "logs/x"}, paths(tree))
	put(t, src, "logs/big", strings.Repeat("x", 5000))
	assert.Contains(t, dir(t, src, Options{}).Report().Ignored, File{"logs/", 5000})
}

const someKey = "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQAAAAAAAAABAAAAMwAAAAtzc2gtZW\n-----END OPENSSH PRIVATE KEY-----\n"

func TestWhatLooksLikeASecretIsLeftOut(t *testing.T) {
	src := space(t)
	secret := files{".env": "", "d/.env": "", ".env.production": "", "server.pem": "", "x.key": "", "id_rsa": "", ".ssh/config": "", "d/.aws/config": "", "credentials": "",
		".netrc": "", ".kube/config": "", "deploy": someKey, "deep/er/notes.txt": "my key:\n" + someKey,
		"rsa": "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,F0\n\n" + strings.Repeat("A", 64) + "\n"}
	fine := files{".env.example": "", "id_rsa.pub": "", "key.py": "key = '-----BEGIN PRIVATE KEY-----'\n", "doc.md": "-----BEGIN PRIVATE KEY-----\n...\n", "config": "", "cert.crt": ""}
	secret.write(t, src)
	fine.write(t, src)
	want := []string{".aws/", ".ssh/"}
	for name := range secret {
		switch {
		case strings.HasPrefix(name, ".ssh/"):
		case name == "d/.aws/config":
			want = append(want[1:], "d/.aws/")
		default:
			want = append(want, name)
		}
	}
	slices.Sort(want)
	cache := filepath.Join(t.TempDir(), "cache")
	for range 2 { // the second time from the cache
		tree := dir(t, src, Options{Cache: cache})
		assert.Equal(t, want, tree.Report().Secrets)
		assert.Len(t, tree.files, len(fine), "%v", paths(tree))
	}
	all := dir(t, src, Options{AllowSecrets: true})
	assert.Len(t, all.files, len(fine)+len(secret))
	assert.Empty(t, all.Report().Secrets)
	put(t, src, ".runctlignore", "!server.pem\n!deploy\n")
	put(t, src, ".gitignore", "!x.key\n")
	got := paths(dir(t, src, Options{Exclude: []string{"!/.env"}}))
	for name, in := range map[string]bool{"server.pem": true, "deploy": true, ".env": true, "d/.env": false, "x.key": false} {
		assert.Equal(t, in, slices.Contains(got, name), name)
	}
}

func TestTooMuchIsRefusedWithWhatIsLargest(t *testing.T) {
	src := space(t)
	put(t, src, "data/big.bin", strings.Repeat("x", 50_000))
	for i := range 30 {
		put(t, src, fmt.Sprintf("many/d%d/f%d", i%2, i), "12345")
	}
	for name, c := range map[string]struct {
		o    Options
		want string
	}{"bytes": {Options{MaxBytes: 10_000}, "data/big.bin  48.8 KiB"}, "files": {Options{MaxFiles: 20}, "many/ (30 files)  150 B"}} {
		_, err := Dir(src, c.o)
		var large *TooLargeError
		require.ErrorAs(t, err, &large, name)
		assert.ErrorContains(t, err, c.want, name)
		assert.ErrorContains(t, err, ".runctlignore", name)
	}
	_, err := Dir(src, Options{MaxFiles: 31, MaxBytes: 50_150})
	assert.NoError(t, err, "just so")
	_, err = Dir(src, Options{MaxFiles: 20, MaxBytes: 50_150, Exclude: []string{"many/"}})
	assert.NoError(t, err)
}

func TestAReportCounts(t *testing.T) {
	src := space(t)
	files{"a": strings.Repeat("x", 1<<20), "b": strings.Repeat("y", 2<<20), "c": "z", "l": "-> c"}.write(t, src)
	r := dir(t, src, Options{}).Report()
	assert.Equal(t, Report{Files: 3, Links: 1, Bytes: 3<<20 + 1, Largest: []File{{"b", 2 << 20}, {"a", 1 << 20}}}, r)
}

func TestWhatCannotBeReadIsSaid(t *testing.T) {
	_, err := Dir(filepath.Join(space(t), "nowhere"), Options{})
	assert.ErrorIs(t, err, fs.ErrNotExist)
	file := filepath.Join(space(t), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o644))
	_, err = Dir(file, Options{})
	assert.ErrorContains(t, err, "not a directory")
	assert.Empty(t, paths(dir(t, space(t), Options{})), "an empty directory is a tree")
	if os.Geteuid() != 0 {
		src := space(t)
		put(t, src, "a", "x")
		require.NoError(t, os.Chmod(filepath.Join(src, "a"), 0))
		_, err = Dir(src, Options{})
		assert.ErrorIs(t, err, fs.ErrPermission)
		assert.True(t, errors.Is(err, fs.ErrPermission) && strings.Contains(err.Error(), "a:"))
	}
}
