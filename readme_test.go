package runctl

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// The README's Go code is taken from examples that are built and tested.
func TestReadmeShowsTestedCode(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	require.NoError(t, err)
	blocks := regexp.MustCompile("(?s)(<!-- from (\\S+) -->\n)?```go\n(.*?)```").FindAllStringSubmatch(string(readme), -1)
	require.NotEmpty(t, blocks)
	for _, b := range blocks {
		require.NotEmpty(t, b[2], "code without a source:\n%s", b[3])
		source, err := os.ReadFile(b[2])
		require.NoError(t, err)
		require.True(t, strings.Contains(string(source), b[3]), "%s does not contain:\n%s", b[2], b[3])
	}
}

// The tests that the README names exist.
func TestReadmeNamesTestsThatExist(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	require.NoError(t, err)
	var all strings.Builder
	for _, dir := range []string{".", "fake", "providertest", "internal/job", "local", "ssh", "sshmachine",
		"aws", "code", "internal/transfer", "internal/torture", "internal/canary", "s3store", "runpod", "lyceum"} {
		files, err := os.ReadDir(dir)
		require.NoError(t, err)
		for _, f := range files {
			if strings.HasSuffix(f.Name(), "_test.go") {
				b, err := os.ReadFile(dir + "/" + f.Name())
				require.NoError(t, err)
				all.WriteString("// " + f.Name() + "\n")
				all.Write(b)
			}
		}
	}
	for _, m := range regexp.MustCompile("`(Test\\w+|\\w+_test\\.go)`").FindAllStringSubmatch(string(readme), -1) {
		require.True(t, strings.Contains(all.String(), m[1]), "no such test: %s", m[1])
	}
}
