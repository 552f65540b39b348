package doccheck

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Rule is a row of a table of security rules: its number, what is done, and the tests that show it.
type Rule struct {
	ID     string   // such as W3
	Tests  []string // names of Go tests, or "path/of/file.test.ts: title" of a test of the web programs
	Excuse string   // why there is no test, if there is none: begins with "Comes with" or "No test:"
}

// Tests are the tests of the tree.
type Tests struct {
	Go  map[string]bool     // names of functions
	Web map[string][]string // titles by file; a few other strings may be among them
}

var (
	ruleID    = regexp.MustCompile(`^[A-Z]\d+$`)
	backquote = regexp.MustCompile("`([^`]+)`")
	excuse    = regexp.MustCompile(`^(Comes with|No test:) \S`)
	goTest    = regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)\w+)\(`)
	webTitle  = regexp.MustCompile(`\(\s*"((?:[^"\\\n]|\\.)*)"`)
	goBears   = regexp.MustCompile(`^(?:Test|Fuzz)(?:Sec_)?((?:[A-Z]\d+_)+)`)
	webBears  = regexp.MustCompile(`^((?:[A-Z]\d+ )+)`)
)

// ReadRules reads the rows of the tables in a document whose first cell is the number of a rule. The last cell holds
// the names of tests in backquotes, or an excuse.
func ReadRules(path string) ([]Rule, error) {
	text, err := os.ReadFile(path) //nolint:gosec // a page of this repository, named by its test
	if err != nil {
		return nil, fmt.Errorf("read rules: %w", err)
	}
	var rules []Rule
	for i, line := range strings.Split(string(text), "\n") {
		cells := strings.Split(strings.Trim(line, "| "), " | ")
		if !strings.HasPrefix(line, "| ") || !ruleID.MatchString(cells[0]) {
			continue
		}
		if len(cells) != 3 || slices.Contains(cells, "") {
			return nil, fmt.Errorf("%s:%d: 3 filled cells are needed in %q", filepath.Base(path), i+1, line)
		}
		r := Rule{ID: cells[0]}
		if excuse.MatchString(cells[2]) {
			r.Excuse = cells[2]
		} else {
			for _, found := range backquote.FindAllStringSubmatch(cells[2], -1) {
				r.Tests = append(r.Tests, found[1])
			}
		}
		rules = append(rules, r)
	}
	return rules, nil
}

// ReadTests finds the tests of the tree under root.
func ReadTests(root string) (Tests, error) {
	tests := Tests{Go: map[string]bool{}, Web: map[string][]string{}}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		name := d.Name()
		switch {
		case err != nil:
			return err
		case d.IsDir() && path != root && (strings.HasPrefix(name, ".") || slices.Contains([]string{"node_modules", "dist", "data", "testdata"}, name)):
			return fs.SkipDir
		case d.IsDir():
			return nil
		}
		web := strings.HasSuffix(name, ".test.ts") || strings.HasSuffix(name, ".test.tsx") || strings.HasSuffix(name, ".e2e.ts")
		if !web && !strings.HasSuffix(name, "_test.go") {
			return nil
		}
		text, err := os.ReadFile(path) //nolint:gosec // a file of this repository
		if err != nil {
			return err
		}
		if !web {
			for _, found := range goTest.FindAllStringSubmatch(string(text), -1) {
				tests.Go[found[1]] = true
			}
			return nil
		}
		file, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		for _, found := range webTitle.FindAllStringSubmatch(string(text), -1) {
			title, err := strconv.Unquote(`"` + found[1] + `"`)
			if err != nil {
				title = found[1]
			}
			tests.Web[filepath.ToSlash(file)] = append(tests.Web[filepath.ToSlash(file)], title)
		}
		return nil
	})
	if err != nil {
		return Tests{}, fmt.Errorf("find tests: %w", err)
	}
	return tests, nil
}

// RuleProblems compares the rules that there should be, as a letter and how many it has, with their rows, and the tests
// in the rows with those of the tree: in both directions, since a test that bears a rule's number must be in its row.
func RuleProblems(families map[string]int, rules []Rule, tests Tests) []string {
	var out []string
	rows := map[string]Rule{}
	for _, r := range rules {
		if _, twice := rows[r.ID]; twice {
			out = append(out, r.ID+" has two rows")
		}
		rows[r.ID] = r
		if n, err := strconv.Atoi(r.ID[1:]); err != nil || n < 1 || n > families[r.ID[:1]] {
			out = append(out, r.ID+" is no rule")
		}
		if len(r.Tests) == 0 && r.Excuse == "" {
			out = append(out, r.ID+" names no test and gives no reason")
		}
		for _, name := range r.Tests {
			if problem := tests.problem(r.ID, name); problem != "" {
				out = append(out, fmt.Sprintf("%s: %s %s", r.ID, name, problem))
			}
		}
	}
	for letter, n := range families {
		for i := range n {
			if id := fmt.Sprint(letter, i+1); rows[id].ID == "" {
				out = append(out, id+" has no row")
			}
		}
	}
	for name, ids := range tests.bearing() {
		for _, id := range ids {
			if families[id[:1]] > 0 && !slices.Contains(rows[id].Tests, name) {
				out = append(out, fmt.Sprintf("%s: its row does not name %s", id, name))
			}
		}
	}
	slices.Sort(out)
	return out
}

// problem says what is wrong with a test's name in the row of a rule, or nothing.
func (t Tests) problem(id, name string) string {
	file, title, web := strings.Cut(name, ": ")
	switch {
	case !web && !t.Go[name], web && !slices.Contains(t.Web[file], title):
		return "does not exist"
	case web && !slices.Contains(strings.Fields(title), id):
		return "does not bear the rule's number"
	}
	return ""
}

// bearing lists the numbers that the tests bear in their names.
func (t Tests) bearing() map[string][]string {
	all := map[string][]string{}
	for name := range t.Go {
		if found := goBears.FindStringSubmatch(name); found != nil {
			all[name] = strings.Split(strings.TrimSuffix(found[1], "_"), "_")
		}
	}
	for file, titles := range t.Web {
		for _, title := range titles {
			if found := webBears.FindStringSubmatch(title); found != nil {
				all[file+": "+title] = strings.Fields(found[1])
			}
		}
	}
	return all
}
