//go:build unix

package execfile_test

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"

	"runctl/internal/execfile"
)

func TestManyProgramsAreWrittenAndRunAtOnce(t *testing.T) {
	dir := t.TempDir()
	var all sync.WaitGroup
	for g := range 8 {
		all.Go(func() {
			for n := range 40 {
				path := filepath.Join(dir, fmt.Sprint(g, "-", n))
				if assert.NoError(t, execfile.Write(path, "#!/bin/sh\nexit 7\n")) {
					assert.ErrorContains(t, exec.Command(path).Run(), "exit status 7")
				}
			}
		})
	}
	all.Wait()
}
