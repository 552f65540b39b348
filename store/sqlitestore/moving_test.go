package sqlitestore

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"omniservice/store"
	"omniservice/store/storetest"
)

// stays says which tables do not move, and why.
var stays = map[string]string{
	"schema_migrations": "of the file",
	"markers":           "of the file",
	"pings":             "of the file",
	"locks":             "leases belong to running programs",
	"identity_aliases":  "kept by triggers from the documents of identities",
	"external_ids":      "kept by triggers from the documents of identities and contacts",
	"change_":           "numbers of the file",
	"search_":           "made again from what moves",
	"message_search":    "made again from what moves",
	"contact_search":    "made again from what moves",
}

// surrogate columns are numbers that a file gives.
var surrogate = []string{"seq", "changed"}

// TestEveryTableMoves fails when a table is added whose records Dump does not give.
func TestEveryTableMoves(t *testing.T) {
	t.Parallel()
	s := open(t, Memory)
	c := <-s.writer
	defer func() { s.writer <- c }()
	moved := map[string]bool{}
	kinds := make([]store.RecordKind, 0, len(movers))
	for _, m := range movers {
		kinds = append(kinds, m.kind)
		for _, table := range m.tables {
			moved[table] = true
		}
	}
	require.Equal(t, store.RecordKinds, kinds, "one for each kind, in their order")
	tables, err := c.ask(t.Context(), "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'")
	require.NoError(t, err)
	require.NotEmpty(t, tables)
	for _, row := range tables {
		table := row[0]
		for prefix := range stays {
			if strings.HasPrefix(table, prefix) {
				require.False(t, moved[table], table)
				moved[table] = true
			}
		}
		require.True(t, moved[table], "table %s does not move: add it to movers and store.RecordKinds, or to stays", table)
	}
}

// TestEveryColumnMoves compares the rows of a store with those of the one that its dump was loaded into.
func TestEveryColumnMoves(t *testing.T) {
	t.Parallel()
	from, to := open(t, filepath.Join(t.TempDir(), "from.db")), open(t, filepath.Join(t.TempDir(), "to.db"))
	storetest.Fill(t, from)
	var at store.Position
	for {
		rs, next, err := from.Dump(t.Context(), at, 100)
		require.NoError(t, err)
		if len(rs) == 0 {
			break
		}
		require.NoError(t, to.Load(t.Context(), rs))
		at = next
	}
	for _, m := range movers {
		for _, table := range m.tables {
			want, got := rowsOf(t, from, table), rowsOf(t, to, table)
			require.NotEmpty(t, want, "%s is empty", table)
			require.Equal(t, want, got, table)
		}
	}
}

// rowsOf gives the rows of a table without what a file numbers by itself, sorted.
func rowsOf(t *testing.T, s *Store, table string) []string {
	t.Helper()
	c := <-s.writer
	defer func() { s.writer <- c }()
	columns, err := c.ask(t.Context(), "SELECT name FROM pragma_table_info('"+table+"')")
	require.NoError(t, err)
	var names []string
	for _, row := range columns {
		if !slices.Contains(surrogate, row[0]) {
			names = append(names, row[0])
		}
	}
	rows, err := c.ask(t.Context(), "SELECT "+strings.Join(names, ", ")+" FROM "+table)
	require.NoError(t, err)
	lines := make([]string, 0, len(rows))
	for _, row := range rows {
		lines = append(lines, fmt.Sprintf("%q", row))
	}
	slices.Sort(lines)
	return lines
}
