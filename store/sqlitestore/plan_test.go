package sqlitestore

import (
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"omniservice/store/search"
)

var (
	wholeTable = regexp.MustCompile(`^SCAN `)
	// A JSON array that was given, a subquery with a search of its own, or what a full-text index finds, may be read whole.
	narrowed = regexp.MustCompile(`^SCAN (json_each VIRTUAL TABLE|\(subquery-\d+\)|CONSTANT ROW|(message|contact)_search VIRTUAL TABLE INDEX \d+:(M1|=))`)
	sorted   = regexp.MustCompile(`USE TEMP B-TREE`)
)

// Statements that may read a table without an index, with the reason. There is none.
var wholeTables = map[stmt]string{}

// Statements that may sort, with the reason. All others read in the order of an index, so that a page costs no more when
// there is more behind it.
var sorting = map[stmt]string{
	sqlInteractionKeysOfContact: "a contact has few interactions",
	sqlInboxRetried:             "those that failed before are few, and due at different times",
	sqlOutboxRetried:            "the same",
	sqlMediaRetried:             "the same",
	sqlContactsByExternalID:     "a record of another system has few contacts",
	sqlReactions:                "those of a page of messages",
}

// planOf asks SQLite how it would run a statement.
func planOf(t *testing.T, c *conn, text string) []string {
	t.Helper()
	rows, err := c.sql.QueryContext(t.Context(), "EXPLAIN QUERY PLAN "+text, make([]any, parameters(text))...)
	require.NoError(t, err, text)
	defer rows.Close()
	var steps []string
	for rows.Next() {
		var a, b, n int
		var detail string
		require.NoError(t, rows.Scan(&a, &b, &n, &detail))
		steps = append(steps, detail)
	}
	require.NoError(t, rows.Err())
	return steps
}

// TestSec_A8_EveryStatementUsesAnIndex asks SQLite how it would run each statement. None reads more than it answers,
// so none needs a time limit of its own.
func TestSec_A8_EveryStatementUsesAnIndex(t *testing.T) {
	t.Parallel()
	s := open(t, Memory)
	c := <-s.writer
	defer func() { s.writer <- c }()

	for id, text := range statements {
		if op := stmt(id) - sqlPlain; text == "" && op >= 0 && (op%opCount == opUpdate || op%opCount == opDelete) {
			continue // records that never change
		}
		require.NotEmpty(t, text, "statement %d", id)
		plan := planOf(t, c, text)
		t.Logf("%s\n%s", text, strings.Join(plan, "\n"))
		scans, sorts := false, false
		for _, step := range plan {
			scans = scans || wholeTable.MatchString(step) && !narrowed.MatchString(step)
			sorts = sorts || sorted.MatchString(step)
		}
		require.Equal(t, wholeTables[stmt(id)] != "", scans, "a whole table is read, or is said to be\n%s\n%s", text, plan)
		require.Equal(t, sorting[stmt(id)] != "", sorts, "rows are sorted, or are said to be\n%s\n%s", text, plan)
	}
}

// TestSec_A8_EveryTriggerUsesAnIndex does the same for what statements set off.
func TestSec_A8_EveryTriggerUsesAnIndex(t *testing.T) {
	t.Parallel()
	s := open(t, Memory)
	c := <-s.writer
	defer func() { s.writer <- c }()
	rows, err := c.sql.QueryContext(t.Context(), "SELECT sql FROM sqlite_schema WHERE type = 'trigger'")
	require.NoError(t, err)
	var triggers []string
	for rows.Next() {
		var text string
		require.NoError(t, rows.Scan(&text))
		triggers = append(triggers, text)
	}
	require.NoError(t, rows.Err())
	require.NoError(t, rows.Close())
	require.NotEmpty(t, triggers)
	body := regexp.MustCompile(`(?s)\sBEGIN\s(.*)\sEND$`)
	row := regexp.MustCompile(`\b(old|new)\.\w+`)
	for _, text := range triggers {
		m := body.FindStringSubmatch(text)
		require.NotNil(t, m, text)
		for one := range strings.SplitSeq(strings.TrimSpace(m[1]), ";") {
			if strings.TrimSpace(one) == "" {
				continue
			}
			plan := planOf(t, c, row.ReplaceAllString(one, "?1"))
			t.Logf("%s\n%s", one, strings.Join(plan, "\n"))
			for _, step := range plan {
				require.False(t, wholeTable.MatchString(step) && !narrowed.MatchString(step), "a whole table is read\n%s\n%s", one, plan)
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
	// What the full-text index is asked for is put together of quoted terms: see TestSec_A9_TermsAreQuoted.
	match := regexp.MustCompile(`\b(message|contact)_search MATCH \?1 `)
	for id, text := range statements {
		if stmt(id) == sqlSearchMessages || stmt(id) == sqlSearchContacts {
			text = match.ReplaceAllString(text, "")
		}
		require.False(t, pattern.MatchString(text), text)
	}
	b, err := os.ReadFile("statements.go")
	require.NoError(t, err)
	require.NotContains(t, string(b), "Sprintf", "statements are put together from constants alone")
}

// TestSec_A9_TermsAreQuoted shows that the full-text index reads nothing but terms out of a query, whatever it says.
func TestSec_A9_TermsAreQuoted(t *testing.T) {
	t.Parallel()
	whole := regexp.MustCompile(`^\(?("[0-9a-z]{6}[a-z][^"\s\x00-\x2f]*"( AND | OR |\)| AND \()*)+$`)
	for _, query := range []string{`" OR *`, `NEAR(a b, 5)`, `a" OR "b`, `a"" OR ""b`, `terms : x`, "-a", "^a", "a + b", "a\x00\"b", "{x y}:z", "ﹶ\"", "＂a＂ OR ＊"} {
		q, err := search.Parse(query)
		require.NoError(t, err)
		text := matchText("org", q.Terms(), []string{idTerm(termGroup, "1"), idTerm(termGroup, "2")})
		require.Regexp(t, whole, text, query)
	}
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
