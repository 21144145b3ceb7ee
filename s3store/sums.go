package s3store

import (
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"hash"
	"hash/crc32"
	"hash/crc64"
	"io"
	"strconv"
	"strings"
)

// Sum is an object's checksum as its store keeps it.
type Sum struct {
	Algorithm string // CRC64NVME, CRC32C, SHA256, CRC32 or SHA1; empty: there is none
	Value     string // base64
	// Parts is 0 for a sum of the bytes, otherwise the number of parts whose sums this is the sum of.
	Parts int
}

// String is the algorithm and the value, as S3 writes them.
func (s Sum) String() string {
	text := s.Algorithm + ":" + s.Value
	if s.Parts > 0 {
		text += "-" + strconv.Itoa(s.Parts)
	}
	return text
}

// algorithms are those that S3 stores keep, in the order of preference.
var algorithms = []struct {
	name string
	hash func() hash.Hash
}{
	{"CRC64NVME", func() hash.Hash { return crc64.New(nvme) }},
	{"CRC32C", func() hash.Hash { return crc32.New(castagnoli) }},
	{"SHA256", sha256.New},
	{"CRC32", func() hash.Hash { return crc32.NewIEEE() }},
	{"SHA1", sha1.New},
}

var (
	nvme       = crc64.MakeTable(0x9a6c9329ac4bc9b5) // CRC-64/NVME, its bits reversed as hash/crc64 wants them
	castagnoli = crc32.MakeTable(crc32.Castagnoli)
)

// sumOf is the first that a reply has, which names them in the order of algorithms.
func sumOf(values ...*string) Sum {
	for i, v := range values {
		if v != nil && *v != "" {
			return parseSum(algorithms[i].name, *v)
		}
	}
	return Sum{}
}

// parseSum reads a value with or without a number of parts. One that is not base64 of the right length is none.
func parseSum(algorithm, value string) Sum {
	s := Sum{Algorithm: algorithm, Value: value}
	if v, n, ok := strings.Cut(value, "-"); ok {
		parts, err := strconv.Atoi(n)
		if err != nil || parts < 1 || parts > maxParts {
			return Sum{}
		}
		s.Value, s.Parts = v, parts
	}
	raw, err := base64.StdEncoding.DecodeString(s.Value)
	h := s.hash()
	if err != nil || h == nil || len(raw) != h.Size() {
		return Sum{}
	}
	return s
}

func (s Sum) hash() hash.Hash {
	for _, a := range algorithms {
		if a.name == s.Algorithm {
			return a.hash()
		}
	}
	return nil
}

// measure sums size bytes of r as s was: as a whole, or by parts of part bytes. A sum that cannot be had that way is
// the zero Sum.
func (s Sum) measure(r io.ReaderAt, size, part int64) (Sum, error) {
	if s.Parts == 0 {
		h := s.hash()
		_, err := io.CopyBuffer(h, io.NewSectionReader(r, 0, size), make([]byte, 256<<10))
		return Sum{Algorithm: s.Algorithm, Value: encode(h)}, err
	}
	if part <= 0 || (size+part-1)/part != int64(s.Parts) {
		return Sum{}, nil
	}
	all, buf := s.hash(), make([]byte, 256<<10)
	for at := int64(0); at < size; at += part {
		h := s.hash()
		if _, err := io.CopyBuffer(h, io.NewSectionReader(r, at, min(part, size-at)), buf); err != nil {
			return Sum{}, err
		}
		all.Write(h.Sum(nil))
	}
	return Sum{Algorithm: s.Algorithm, Value: encode(all), Parts: s.Parts}, nil
}

func encode(h hash.Hash) string { return base64.StdEncoding.EncodeToString(h.Sum(nil)) }
