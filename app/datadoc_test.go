package app

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"omniservice/store"
	"omniservice/store/mongostore"
	"omniservice/store/sqlitestore"
)

var writeDocs = flag.Bool("write-docs", false, "write the generated parts of docs/data.md")

// TestDataDocIsFresh compares the tables in docs/data.md with what the stores make. `make generate` writes them.
func TestDataDocIsFresh(t *testing.T) {
	t.Parallel()
	path := filepath.Join("..", "docs", "data.md")
	b, err := os.ReadFile(path)
	require.NoError(t, err)
	sqlite, err := sqlitestore.SchemaMarkdown(t.Context())
	require.NoError(t, err)
	want := generated(t, generated(t, string(b), "sqlite", sqlite), "mongodb", mongostore.SchemaMarkdown())
	if *writeDocs {
		require.NoError(t, os.WriteFile(path, []byte(want), 0o644))
		return
	}
	require.Equal(t, want, string(b), "docs/data.md is behind: run `make generate`")

	// What the text says of kinds and tables names each.
	_, diagram, ok := strings.Cut(want, "```mermaid")
	require.True(t, ok)
	diagram, _, _ = strings.Cut(diagram, "```")
	for _, k := range store.RecordKinds {
		require.Contains(t, diagram, string(k)+" {", "the diagram lacks %s", k)
	}
}

// generated puts text between the marks of a generated part.
func generated(t *testing.T, doc, name, text string) string {
	t.Helper()
	begin, end := "<!-- generated: "+name+" -->\n", "<!-- end: "+name+" -->"
	i, j := strings.Index(doc, begin), strings.Index(doc, end)
	require.Positive(t, i, begin)
	require.Greater(t, j, i, end)
	return doc[:i+len(begin)] + strings.TrimSpace(text) + "\n" + doc[j:]
}
