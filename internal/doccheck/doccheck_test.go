package doccheck_test

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"omniservice/internal/doccheck"
)

const root = "../.."

func source(t *testing.T) doccheck.Source {
	t.Helper()
	all, err := doccheck.ReadSource(filepath.Join(root, "omni"))
	require.NoError(t, err)
	carriers, err := doccheck.ReadSource(filepath.Join(root, "carriers"))
	require.NoError(t, err)
	maps.Copy(all.Models, carriers.Models)
	maps.Copy(all.Lists, carriers.Lists)
	maps.Copy(all.Valid, carriers.Valid)
	return all
}

// documents reads the pages of the models that live in omni and carriers.
func documents(t *testing.T) []doccheck.Model {
	t.Helper()
	var all []doccheck.Model
	for _, name := range []string{"message", "channel", "contact", "workflow", "access", "desk"} {
		models, err := doccheck.ReadDocument(filepath.Join(root, "docs", "models", name+"-models.md"))
		require.NoError(t, err)
		require.NotEmpty(t, models, name)
		all = append(all, models...)
	}
	return all
}

func TestDocumentsDescribeTheSource(t *testing.T) {
	t.Parallel()
	require.Empty(t, doccheck.Differences(source(t).Models, documents(t)))
}

func TestExamplesAreJSON(t *testing.T) {
	t.Parallel()
	for _, m := range documents(t) {
		for _, f := range m.Members {
			if m.Kind != doccheck.Struct || strings.HasPrefix(f.Example, "see [") {
				continue
			}
			example := strings.Trim(f.Example, "`")
			require.True(t, json.Valid([]byte(example)), "%s: %s: %s", m.Name, f.Name, example)
			switch f.Go {
			case "int", "int64", "Millis":
				require.Regexp(t, `^-?\d+$`, example, "%s: %s", m.Name, f.Name)
			case "bool":
				require.Regexp(t, `^(true|false)$`, example, "%s: %s", m.Name, f.Name)
			case "string":
				require.Regexp(t, `^".*"$`, example, "%s: %s", m.Name, f.Name)
			}
			if f.Go == "Millis" {
				require.Contains(t, f.Meaning, "since 1970 UTC", "%s: %s must name its unit", m.Name, f.Name)
			}
		}
	}
}

// TestLinksLeadSomewhere follows every link between the pages, headings included.
func TestLinksLeadSomewhere(t *testing.T) {
	t.Parallel()
	pages, err := filepath.Glob(filepath.Join(root, "docs", "models", "*.md"))
	require.NoError(t, err)
	pages = append(pages, filepath.Join(root, "docs", "architecture.md"), filepath.Join(root, "docs", "security.md"))
	link := regexp.MustCompile(`\]\(([^)\s]*)\)`)
	for _, page := range pages {
		text, err := os.ReadFile(page)
		require.NoError(t, err)
		for _, found := range link.FindAllStringSubmatch(string(text), -1) {
			file, anchor, _ := strings.Cut(found[1], "#")
			target := page
			if file != "" {
				target = filepath.Join(filepath.Dir(page), file)
			}
			info, err := os.Stat(target)
			require.NoError(t, err, "%s links to %s", page, found[1])
			if anchor == "" || info.IsDir() {
				continue
			}
			linked, err := os.ReadFile(target)
			require.NoError(t, err)
			require.Contains(t, anchors(string(linked)), anchor, "%s links to %s", page, found[1])
		}
	}
}

func anchors(markdown string) []string {
	var all []string
	for line := range strings.SplitSeq(markdown, "\n") {
		if title := strings.TrimLeft(line, "#"); title != line {
			all = append(all, strings.ReplaceAll(strings.ToLower(strings.TrimSpace(title)), " ", "-"))
		}
	}
	return all
}

// TestIndexNamesEveryModel keeps the table of names complete.
func TestIndexNamesEveryModel(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(filepath.Join(root, "docs", "models", "README.md"))
	require.NoError(t, err)
	for _, m := range source(t).Models {
		row := "| `" + m.Name + "` | ["
		if m.Seed != "" {
			row = "| `" + m.Seed + "` " + row
		}
		require.Equal(t, 1, strings.Count(string(text), "\n"+row), row)
	}
}

// TestNamesNeverDiffer: a field is called the same in JSON and in stored documents. Exempt are a record's key, which a
// document calls _id, and what JSON leaves out.
func TestNamesNeverDiffer(t *testing.T) {
	t.Parallel()
	omni, err := doccheck.ReadSource(filepath.Join(root, "omni"))
	require.NoError(t, err)
	camel := regexp.MustCompile(`^[a-z][a-zA-Z0-9]*$`)
	fields := 0
	for _, m := range omni.Models {
		if m.Kind != doccheck.Struct {
			continue
		}
		for _, f := range m.Members {
			fields++
			switch {
			case f.JSON == "-":
				require.NotEmpty(t, f.BSON, "%s: %s", m.Name, f.Name)
			case f.BSON == "_id":
				require.Contains(t, []string{"id", "key"}, f.JSON, m.Name)
			default:
				require.Equal(t, f.JSON, f.BSON, m.Name)
				require.Regexp(t, camel, f.JSON, m.Name)
			}
		}
	}
	require.Greater(t, fields, 200)
}

// TestEnumsAreComplete: each constant of an enum stands in the variable that lists them, once, and has its own value.
func TestEnumsAreComplete(t *testing.T) {
	t.Parallel()
	s := source(t)
	enums := 0
	for _, m := range s.Models {
		if m.Kind != doccheck.Enum || m.Name == "omni.Code" { // codes are listed beside their errors
			continue
		}
		enums++
		require.True(t, s.Valid[m.Name], "%s needs a method Valid", m.Name)
		var constants []string
		values := map[string]bool{}
		for _, v := range m.Members {
			constants = append(constants, v.Go)
			require.False(t, values[v.Name], "%s: %s stands for two constants", m.Name, v.Name)
			values[v.Name] = true
		}
		require.Equal(t, constants, s.Lists[m.Name], "%s: constants, and the variable that lists them", m.Name)
	}
	require.Equal(t, 28, enums)
}

func TestDifferencesAreFound(t *testing.T) {
	t.Parallel()
	src := func() map[string]doccheck.Model {
		return map[string]doccheck.Model{
			"p.A": {Name: "p.A", Seed: "IA", Kind: doccheck.Struct, Members: []doccheck.Member{
				{Name: "id", JSON: "id", Go: "string"}, {Name: "hash", JSON: "-", Go: "string"},
			}},
			"p.E": {Name: "p.E", Kind: doccheck.Enum, Members: []doccheck.Member{{Name: "on", Go: "On"}}},
		}
	}
	doc := func() []doccheck.Model {
		return []doccheck.Model{
			{Name: "p.A", Seed: "IA", Kind: doccheck.Struct, Members: []doccheck.Member{
				{Name: "id", Go: "string"}, {Name: "hash", Go: "string", Meaning: "Stored only."},
			}},
			{Name: "p.E", Kind: doccheck.Enum, Members: []doccheck.Member{{Name: "on", Go: "On"}}},
		}
	}
	tests := []struct {
		name   string
		change func(src map[string]doccheck.Model, doc []doccheck.Model) []doccheck.Model
		want   string
	}{
		{"field not described", func(_ map[string]doccheck.Model, d []doccheck.Model) []doccheck.Model {
			d[0].Members = d[0].Members[1:]
			return d
		}, "p.A: id is not described"},
		{"field not in the source", func(_ map[string]doccheck.Model, d []doccheck.Model) []doccheck.Model {
			d[0].Members = append(d[0].Members, doccheck.Member{Name: "old", Go: "int"})
			return d
		}, "p.A: old is described, but is not in the source"},
		{"type differs", func(_ map[string]doccheck.Model, d []doccheck.Model) []doccheck.Model {
			d[0].Members[0].Go = "int"
			return d
		}, "p.A: id is string, described as int"},
		{"value differs", func(_ map[string]doccheck.Model, d []doccheck.Model) []doccheck.Model {
			d[1].Members[0].Name = "ON"
			return d
		}, "p.E: ON is described, but is not in the source\np.E: on is not described"},
		{"model not described", func(_ map[string]doccheck.Model, d []doccheck.Model) []doccheck.Model {
			return d[:1]
		}, "p.E is not described"},
		{"model not in the source", func(s map[string]doccheck.Model, d []doccheck.Model) []doccheck.Model {
			delete(s, "p.E")
			return d
		}, "p.E is described, but is not in the source"},
		{"described twice", func(_ map[string]doccheck.Model, d []doccheck.Model) []doccheck.Model {
			return append(d, d[1])
		}, "p.E is described twice"},
		{"seed differs", func(_ map[string]doccheck.Model, d []doccheck.Model) []doccheck.Model {
			d[0].Seed = ""
			return d
		}, `p.A: the source gives the seed "IA", its document ""`},
		{"secret field shown as any other", func(_ map[string]doccheck.Model, d []doccheck.Model) []doccheck.Model {
			d[0].Members[1].Meaning = "A hash."
			return d
		}, "p.A: hash must be described as stored only"},
	}
	require.Empty(t, doccheck.Differences(src(), doc()))
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := src()
			require.Equal(t, tt.want, strings.Join(doccheck.Differences(s, tt.change(s, doc())), "\n"))
		})
	}
}

func TestReadDocumentRefuses(t *testing.T) {
	t.Parallel()
	tests := map[string]string{
		"a Go line without a heading": "Go: `omni.X`, in [x](page.md).\n",
		"another heading":             "### Y\n\nGo: `omni.X`, in [x](page.md).\n",
		"a file that is not there":    "### X\n\nGo: `omni.X`, in [x](none.go).\n",
		"an empty cell":               "### X\n\nGo: `omni.X`, in [x](page.md).\n\n| field | Go type | required | meaning | example |\n|---|---|---|---|---|\n| `a` | `int` | yes |  | `1` |\n",
		"a name without backquotes":   "### X\n\nGo: `omni.X`, in [x](page.md).\n\n| value | Go | meaning |\n|---|---|---|\n| a | `A` | first |\n",
	}
	for name, text := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "page.md")
			require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
			_, err := doccheck.ReadDocument(path)
			require.ErrorContains(t, err, "page.md:")
		})
	}
}
