package runpod

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func FuzzLine(f *testing.F) {
	f.Add(`{"source":"container","line":"hello","ts":"2026-08-06T17:43:01.179039264Z"}`)
	f.Add(`no json`)
	f.Add(`{"line":7}`)
	f.Fuzz(func(t *testing.T, data string) {
		l := readLine(data)
		assert.LessOrEqual(t, len(l.Text), max(len(data)*3, 3))
	})
}
