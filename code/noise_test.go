package code

import (
	"encoding/binary"
	"math/rand/v2"
)

// noise is so many bytes that do not compress, the same for the same seed.
func noise(seed uint64, n int) string {
	var key [32]byte
	binary.LittleEndian.PutUint64(key[:], seed)
	b := make([]byte, n)
	_, _ = rand.NewChaCha8(key).Read(b)
	return string(b)
}
