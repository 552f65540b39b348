package sqlitestore

import (
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var (
	wholeTable = regexp.MustCompile(`^SCAN `)
	// A JSON array that was given, or a subquery with a search of its own, may be read whole.
	narrowed = regexp.MustCompile(`^SCAN (json_each VIRTUAL TABLE|\(subquery-\d+\)|CONSTANT ROW)`)
)

// TestSec_A8_EveryStatementUsesAnIndex asks SQLite how it would run each statement. None reads more than it answers,
// so none needs a time limit of its own.
func TestSec_A8_EveryStatementUsesAnIndex(t *testing.T) {
	t.Parallel()
	s := open(t, Memory)
	c := <-s.writer
	defer func() { s.writer <- c }()

	inOrder := map[stmt]bool{} // statements that have to read in the order of an index, without sorting
	for _, id := range []stmt{
		sqlOrganisations, sqlUsers, sqlAPIKeys, sqlGroups, sqlFolders, sqlAccounts, sqlChannels, sqlContacts, sqlIdentities,
		sqlInteractionReopenable, sqlInteractionKeysOfGroup, sqlInteractionKeysUnassigned, sqlInteractionKeysOwned,
		sqlMessagesBefore, sqlMessagesAfter, sqlInboxNew, sqlAsideList, sqlOutboxNew, sqlOutboxNext, sqlMediaNew, sqlMediaNext, sqlAuditList,
	} {
		inOrder[id] = true
	}
	for id := range kindCount {
		inOrder[sqlPlain+stmt(id)*opCount+opList] = true
	}
	for id, text := range statements {
		if op := stmt(id) - sqlPlain; text == "" && op >= 0 && (op%opCount == opUpdate || op%opCount == opDelete) {
			continue // records that never change
		}
		require.NotEmpty(t, text, "statement %d", id)
		rows, err := c.sql.QueryContext(t.Context(), "EXPLAIN QUERY PLAN "+text, make([]any, parameters(text))...)
		require.NoError(t, err, text)
		var steps []string
		for rows.Next() {
			var a, b, n int
			var detail string
			require.NoError(t, rows.Scan(&a, &b, &n, &detail))
			steps = append(steps, detail)
		}
		require.NoError(t, rows.Err())
		require.NoError(t, rows.Close())
		plan := strings.Join(steps, "\n")
		t.Logf("%s\n%s", text, plan)
		for _, step := range steps {
			require.False(t, wholeTable.MatchString(step) && !narrowed.MatchString(step), "a whole table is read\n%s\n%s", text, plan)
			if inOrder[stmt(id)] {
				require.NotContains(t, step, "TEMP B-TREE", text)
			}
		}
	}
}

// parameters is how many values a statement takes.
func parameters(text string) int {
	most := 0
	for _, m := range regexp.MustCompile(`\?(\d+)`).FindAllStringSubmatch(text, -1) {
		n, _ := strconv.Atoi(m[1])
		most = max(most, n)
	}
	return most
}

// TestSec_A9_NoPatterns shows that no text from outside is read as a pattern or as SQL: values go in as parameters.
func TestSec_A9_NoPatterns(t *testing.T) {
	t.Parallel()
	pattern := regexp.MustCompile(`(?i)\b(like|glob|regexp|match)\b`)
	for _, text := range statements {
		require.False(t, pattern.MatchString(text), text)
	}
	b, err := os.ReadFile("statements.go")
	require.NoError(t, err)
	require.NotContains(t, string(b), "Sprintf", "statements are put together from constants alone")
}

// TestAllSQLIsInTheTable keeps statements where the test above sees them.
func TestAllSQLIsInTheTable(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("*.go")
	require.NoError(t, err)
	runsSQL := regexp.MustCompile(`\.(Exec|Query|QueryRow|Prepare)(Context)?\(`)
	for _, f := range files {
		if f == "conn.go" || f == "migrate.go" || strings.HasSuffix(f, "_test.go") {
			continue
		}
		b, err := os.ReadFile(f)
		require.NoError(t, err)
		require.False(t, runsSQL.Match(b), "%s runs SQL past conn.go", f)
	}
}

func open(t testing.TB, path string) *Store {
	t.Helper()
	s, err := New(t.Context(), path, Options{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s
}
