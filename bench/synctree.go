package main

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
)

const (
	treeTexts = 4900
	treeBlobs = 100
	blobSize  = 1 << 20
)

// makeTree writes 4,900 text files of 20 KiB on average and 100 files of 1 MiB that do not compress, in directories
// of 50. The same seed makes the same tree.
func makeTree(dir string, seed uint64) error {
	r := rand.New(rand.NewPCG(seed, 0))
	words := make([]string, 4000)
	for i := range words {
		w := make([]byte, 2+r.IntN(9))
		for k := range w {
			w[k] = byte('a' + r.IntN(26))
		}
		words[i] = string(w)
	}
	for i := range treeTexts {
		if err := write(dir, i, "py", sourceText(r, words, 10_000+r.IntN(20_000))); err != nil {
			return err
		}
	}
	for i := range treeBlobs {
		if err := write(dir, i*49, "bin", noise(seed, uint64(i))); err != nil {
			return err
		}
	}
	return nil
}

// sourceText looks like a program to a compressor: few words are frequent, lines are indented.
func sourceText(r *rand.Rand, words []string, size int) []byte {
	var b strings.Builder
	for b.Len() < size {
		b.WriteString(strings.Repeat("    ", r.IntN(4)))
		for range 3 + r.IntN(8) {
			n := int(float64(len(words)) * r.Float64() * r.Float64() * r.Float64())
			fmt.Fprintf(&b, "%s%s", words[n], []string{" ", ".", "(", ", ", " = "}[r.IntN(5)])
		}
		b.WriteByte('\n')
	}
	return []byte(b.String())
}

func noise(seed, i uint64) []byte {
	var key [32]byte
	binary.LittleEndian.PutUint64(key[:], seed)
	binary.LittleEndian.PutUint64(key[8:], i)
	b := make([]byte, blobSize)
	_, _ = rand.NewChaCha8(key).Read(b)
	return b
}

func write(dir string, i int, kind string, content []byte) error {
	name := filepath.Join(dir, fmt.Sprintf("pkg%02d/sub%02d/file%04d.%s", i/500, i/50, i, kind))
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	return os.WriteFile(name, content, 0o644)
}
