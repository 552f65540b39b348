package doccheck_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"omniservice/internal/doccheck"
)

// TestSecurityRulesHaveTheirTests: docs/security.md has a row for each rule, and the tests that it names exist.
func TestSecurityRulesHaveTheirTests(t *testing.T) {
	t.Parallel()
	rules, err := doccheck.ReadRules(filepath.Join(root, "docs", "security.md"))
	require.NoError(t, err)
	tests, err := doccheck.ReadTests(root)
	require.NoError(t, err)
	require.Greater(t, len(tests.Go), 300)
	require.Greater(t, len(tests.Web), 20)
	families := map[string]int{"W": 12, "A": 13, "S": 9, "M": 8, "O": 4, "K": 8, "B": 5, "X": 14}
	require.Empty(t, doccheck.RuleProblems(families, rules, tests))
}

func TestRuleProblemsAreFound(t *testing.T) {
	t.Parallel()
	const page = `# Security

| rule | what | tests |
|---|---|---|
| W1 | Verified first. | ` + "`TestSec_W1_First`, `TestOther`" + ` |
| W2 | Read as text. | ` + "`web/x.test.ts: W2 text`" + ` |
| W3 | Later. | Comes with that carrier. |
`
	const source = "package x\n\nfunc TestSec_W1_First(t *testing.T) {}\nfunc TestOther(t *testing.T) {}\nfunc TestR1_Else(t *testing.T) {}\n"
	const script = "it(\n  \"W2 text\", () => {});\nit(\"else\", () => {});\nmake(\"R1 else\");\n"
	tests := map[string]struct{ file, old, with, want string }{
		"nothing":               {"page", "", "", ""},
		"no row":                {"page", "| W3 | Later.", "| later | Later.", "W3 has no row"},
		"two rows":              {"page", "| W3 |", "| W2 |", "W2 has two rows\nW2: its row does not name web/x.test.ts: W2 text\nW3 has no row"},
		"no such rule":          {"page", "| W3 |", "| W4 |", "W3 has no row\nW4 is no rule"},
		"neither test nor word": {"page", "Comes with", "With", "W3 names no test and gives no reason"},
		"a Go test gone":        {"source", "TestOther", "TestAnother", "W1: TestOther does not exist"},
		"a web test gone":       {"script", "W2 text", "W2 words", "W2: its row does not name web/x.test.ts: W2 words\nW2: web/x.test.ts: W2 text does not exist"},
		"another web test":      {"page", "x.test.ts: W2 text", "x.test.ts: else", "W2: its row does not name web/x.test.ts: W2 text\nW2: web/x.test.ts: else does not bear the rule's number"},
		"a test left out":       {"page", "`TestSec_W1_First`, ", "", "W1: its row does not name TestSec_W1_First"},
		"a test of a rule to come": {
			"source", "TestOther", "TestW3_Other", "W1: TestOther does not exist\nW3: its row does not name TestW3_Other",
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			write := func(which, text string, path ...string) {
				file := filepath.Join(append([]string{dir}, path...)...)
				require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o700))
				if which == tt.file && tt.old != "" {
					require.Contains(t, text, tt.old)
					text = strings.ReplaceAll(text, tt.old, tt.with)
				}
				require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
			}
			write("page", page, "security.md")
			write("source", source, "x", "x_test.go")
			write("script", script, "web", "x.test.ts")
			write("", "func TestSec_W1_NotOurs(t *testing.T) {}", "web", "node_modules", "y_test.go")
			rules, err := doccheck.ReadRules(filepath.Join(dir, "security.md"))
			require.NoError(t, err)
			found, err := doccheck.ReadTests(dir)
			require.NoError(t, err)
			require.Equal(t, tt.want, strings.Join(doccheck.RuleProblems(map[string]int{"W": 3}, rules, found), "\n"))
		})
	}
	path := filepath.Join(t.TempDir(), "security.md")
	require.NoError(t, os.WriteFile(path, []byte("| W1 | Only two. |\n"), 0o600))
	_, err := doccheck.ReadRules(path)
	require.ErrorContains(t, err, "security.md:1:")
}
