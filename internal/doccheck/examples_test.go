package doccheck_test

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"omniservice/internal/doccheck"
)

var writeDocs = flag.Bool("write-docs", false, "write the examples into the documents")

// TestExamplesAreFresh: the examples in the documents are the files that are compiled and run by tests. With -write-docs they
// are put there.
func TestExamplesAreFresh(t *testing.T) {
	t.Parallel()
	for document, files := range map[string]int{filepath.Join("docs", "realtime.md"): 2} {
		name := filepath.Join(root, document)
		have, err := os.ReadFile(name)
		require.NoError(t, err)
		want, n, err := doccheck.Include(string(have), func(file string) (string, error) {
			b, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(file)))
			return string(b), err
		})
		require.NoError(t, err)
		require.Equal(t, files, n, document)
		if *writeDocs && want != string(have) {
			require.NoError(t, os.WriteFile(name, []byte(want), 0o644))
			continue
		}
		require.Equal(t, want, string(have), "%s: make generate writes it", document)
	}
}

func TestInclude(t *testing.T) {
	t.Parallel()
	const document = "a\n\n<!-- file: x/a.go -->\n\n```go\nold\n```\n\nb\n\n```go\nstays\n```\n<!-- file: b.ts -->\n```ts\n```\n"
	got, n, err := doccheck.Include(document, func(file string) (string, error) { return "new " + file + "\n", nil })
	require.NoError(t, err)
	require.Equal(t, 2, n)
	require.Equal(t, "a\n\n<!-- file: x/a.go -->\n\n```go\nnew x/a.go\n```\n\nb\n\n```go\nstays\n```\n<!-- file: b.ts -->\n```ts\nnew b.ts\n```\n", got)
	_, _, err = doccheck.Include(document, func(string) (string, error) { return "", errors.New("gone") })
	require.ErrorContains(t, err, "x/a.go")
}
