// Package doccheck compares what the documents say about models and security rules with what the source says.
package doccheck

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Kind is what a model is made of.
type Kind string

// The kinds.
const (
	Struct    Kind = "struct"    // Members are fields by their JSON names
	Enum      Kind = "enum"      // Members are values
	Interface Kind = "interface" // Members are methods
)

// Model is a model as the source or a document describes it.
type Model struct {
	Name    string // with its package, such as omni.Contact
	Seed    string // the name that it had first; "" if it is ours
	Kind    Kind
	Members []Member
}

// Member is a field, a value or a method.
type Member struct {
	Name     string // JSON name of a field (its BSON name if JSON leaves it out), value of an enum, name of a method
	Go       string // type of a field, constant of a value; "" for a method
	JSON     string // struct fields of the source only: the names in the tags
	BSON     string
	Example  string // struct fields of documents only
	Required string
	Meaning  string
}

// Source is what the models of a package look like in Go.
type Source struct {
	Models map[string]Model
	Lists  map[string][]string // type -> constants in the variable that lists all of its values
	Valid  map[string]bool     // types with a method Valid
}

var seedComment = regexp.MustCompile(`\(Seed: (\w+)\.\)`)

// ReadSource reads the package in dir without its tests. Its models are exported structs with JSON names, string types
// with constants, and interfaces whose comment names the seed.
func ReadSource(dir string) (Source, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		return Source{}, fmt.Errorf("list %s: %w", dir, err)
	}
	s := Source{Models: map[string]Model{}, Lists: map[string][]string{}, Valid: map[string]bool{}}
	set := token.NewFileSet()
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(set, name, nil, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return Source{}, fmt.Errorf("parse %s: %w", name, err)
		}
		for _, d := range file.Decls {
			s.add(file.Name.Name, d)
		}
	}
	for name, m := range s.Models {
		if len(m.Members) == 0 {
			delete(s.Models, name)
			continue
		}
		m.Members = s.flat(m.Members)
		s.Models[name] = m
	}
	return s, nil
}

func (s *Source) add(pkg string, d ast.Decl) {
	switch d := d.(type) {
	case *ast.FuncDecl:
		if d.Name.Name == "Valid" && d.Recv != nil {
			s.Valid[pkg+"."+types.ExprString(d.Recv.List[0].Type)] = true
		}
	case *ast.GenDecl:
		for _, spec := range d.Specs {
			switch spec := spec.(type) {
			case *ast.TypeSpec:
				doc := spec.Doc
				if doc == nil {
					doc = d.Doc
				}
				s.addType(pkg, spec, doc.Text())
			case *ast.ValueSpec:
				s.addValues(pkg, spec)
			}
		}
	}
}

func (s *Source) addType(pkg string, spec *ast.TypeSpec, doc string) {
	if !spec.Name.IsExported() {
		return
	}
	m := s.Models[pkg+"."+spec.Name.Name] // constants may have come first
	m.Name = pkg + "." + spec.Name.Name
	if found := seedComment.FindStringSubmatch(strings.Join(strings.Fields(doc), " ")); found != nil {
		m.Seed = found[1]
	}
	switch t := spec.Type.(type) {
	case *ast.StructType:
		m.Kind = Struct
		for _, f := range t.Fields.List {
			m.Members = append(m.Members, fieldOf(pkg, f)...)
		}
	case *ast.InterfaceType:
		if m.Seed == "" {
			return
		}
		m.Kind = Interface
		for _, f := range t.Methods.List {
			for _, n := range f.Names {
				m.Members = append(m.Members, Member{Name: n.Name})
			}
		}
	case *ast.Ident:
		if t.Name != "string" {
			return
		}
		m.Kind = Enum
	default:
		return
	}
	s.Models[m.Name] = m
}

// fieldOf is one member, or none if the field has no tag. An embedded struct is a member whose name is "" until flat.
func fieldOf(pkg string, f *ast.Field) []Member {
	if f.Tag == nil {
		return nil
	}
	text, err := strconv.Unquote(f.Tag.Value)
	if err != nil {
		return nil
	}
	name := func(key string) string {
		n, _, _ := strings.Cut(reflect.StructTag(text).Get(key), ",")
		return n
	}
	if len(f.Names) == 0 {
		return []Member{{Go: pkg + "." + types.ExprString(f.Type)}}
	}
	m := Member{JSON: name("json"), BSON: name("bson"), Go: types.ExprString(f.Type)}
	if m.JSON == "" && m.BSON == "" {
		return nil
	}
	m.Name = m.JSON
	if m.Name == "-" {
		m.Name = m.BSON
	}
	return []Member{m}
}

func (s *Source) addValues(pkg string, spec *ast.ValueSpec) {
	for i, n := range spec.Names {
		if !n.IsExported() || i >= len(spec.Values) {
			continue
		}
		switch v := spec.Values[i].(type) {
		case *ast.BasicLit: // const Name Type = "value"
			typ, ok := spec.Type.(*ast.Ident)
			value, err := strconv.Unquote(v.Value)
			if !ok || v.Kind != token.STRING || err != nil {
				continue
			}
			m := s.Models[pkg+"."+typ.Name]
			m.Members = append(m.Members, Member{Name: value, Go: n.Name})
			s.Models[pkg+"."+typ.Name] = m
		case *ast.CompositeLit: // var Names = []Type{…}
			list, ok := v.Type.(*ast.ArrayType)
			if !ok {
				continue
			}
			var values []string
			for _, e := range v.Elts {
				values = append(values, types.ExprString(e))
			}
			typ := pkg + "." + types.ExprString(list.Elt)
			if len(values) > len(s.Lists[typ]) { // a shorter one lists a part
				s.Lists[typ] = values
			}
		}
	}
}

// flat puts the members of embedded structs in their place.
func (s *Source) flat(ms []Member) []Member {
	var out []Member
	for _, m := range ms {
		if m.Name == "" && strings.Contains(m.Go, ".") && m.JSON == "" {
			out = append(out, s.flat(s.Models[m.Go].Members)...)
			continue
		}
		out = append(out, m)
	}
	return out
}

var (
	heading = regexp.MustCompile(`^### (\w+)$`)
	goLine  = regexp.MustCompile("^Go: `([\\w.]+)`, in \\[[^]]+\\]\\(([^)]+)\\)\\.(?: Seed: `(\\w+)`\\.)?$")
	quoted  = regexp.MustCompile("^`(.+)`$")
)

// ReadDocument reads the models that a page describes: a heading of level 3 with the type's name, a line "Go: …", and a
// table whose first column names the members.
func ReadDocument(path string) ([]Model, error) {
	text, err := os.ReadFile(path) //nolint:gosec // a page of this repository, named by its test
	if err != nil {
		return nil, fmt.Errorf("read document: %w", err)
	}
	var models []Model
	var m *Model
	title := ""
	for i, line := range strings.Split(string(text), "\n") {
		at := func(what string) error { return fmt.Errorf("%s:%d: %s", filepath.Base(path), i+1, what) }
		if strings.HasPrefix(line, "#") {
			title, m = "", nil
			if found := heading.FindStringSubmatch(line); found != nil {
				title = found[1]
			}
			continue
		}
		if strings.HasPrefix(line, "Go: ") {
			found := goLine.FindStringSubmatch(line)
			if found == nil || title == "" {
				return nil, at("a Go line must follow a heading and name a type and its file")
			}
			if _, name, _ := strings.Cut(found[1], "."); name != title {
				return nil, at("heading " + title + " stands over " + found[1])
			}
			if _, err := os.Stat(filepath.Join(filepath.Dir(path), found[2])); err != nil { //nolint:gosec // as above
				return nil, at("there is no file " + found[2])
			}
			models = append(models, Model{Name: found[1], Seed: found[3]})
			m = &models[len(models)-1]
			continue
		}
		if m == nil || !strings.HasPrefix(line, "| ") {
			continue
		}
		if err := m.addRow(line); err != nil {
			return nil, at(err.Error())
		}
	}
	return models, nil
}

func (m *Model) addRow(line string) error {
	cells := strings.Split(strings.Trim(line, "| "), " | ")
	switch cells[0] {
	case "field":
		m.Kind = Struct
		return nil
	case "value":
		m.Kind = Enum
		return nil
	case "method":
		m.Kind = Interface
		return nil
	}
	width := map[Kind]int{Struct: 5, Enum: 3, Interface: 2}[m.Kind]
	if len(cells) != width || slices.Contains(cells, "") {
		return fmt.Errorf("%d filled cells are needed in %q", width, line)
	}
	unquote := func(s string) string {
		if found := quoted.FindStringSubmatch(s); found != nil {
			return found[1]
		}
		return ""
	}
	member := Member{Name: unquote(cells[0]), Meaning: cells[width-1]}
	if member.Name == "" {
		return fmt.Errorf("%s must stand in backquotes", cells[0])
	}
	if m.Kind != Interface {
		member.Go = unquote(cells[1])
	}
	if m.Kind == Struct {
		member.Required, member.Meaning, member.Example = cells[2], cells[3], cells[4]
	}
	m.Members = append(m.Members, member)
	return nil
}

// Differences compares models of the source with models of documents, and names each thing that one side lacks.
func Differences(source map[string]Model, documents []Model) []string {
	var out []string
	seen := map[string]bool{}
	for _, d := range documents {
		if seen[d.Name] {
			out = append(out, d.Name+" is described twice")
		}
		seen[d.Name] = true
		s, ok := source[d.Name]
		if !ok {
			out = append(out, d.Name+" is described, but is not in the source")
			continue
		}
		if s.Kind != d.Kind {
			out = append(out, fmt.Sprintf("%s is a %s, described as %s", d.Name, s.Kind, d.Kind))
		}
		if s.Seed != d.Seed {
			out = append(out, fmt.Sprintf("%s: the source gives the seed %q, its document %q", d.Name, s.Seed, d.Seed))
		}
		out = append(out, memberDifferences(s, d)...)
	}
	for name := range source {
		if !seen[name] {
			out = append(out, name+" is not described")
		}
	}
	slices.Sort(out)
	return out
}

func memberDifferences(s, d Model) []string {
	var out []string
	described := map[string]Member{}
	for _, m := range d.Members {
		if _, twice := described[m.Name]; twice {
			out = append(out, fmt.Sprintf("%s: %s is described twice", d.Name, m.Name))
		}
		described[m.Name] = m
	}
	for _, m := range s.Members {
		got, ok := described[m.Name]
		switch {
		case !ok:
			out = append(out, fmt.Sprintf("%s: %s is not described", s.Name, m.Name))
		case got.Go != m.Go:
			out = append(out, fmt.Sprintf("%s: %s is %s, described as %s", s.Name, m.Name, m.Go, got.Go))
		}
		if m.JSON == "-" && !strings.Contains(got.Meaning, "Stored only") {
			out = append(out, fmt.Sprintf("%s: %s must be described as stored only", s.Name, m.Name))
		}
		delete(described, m.Name)
	}
	for name := range described {
		out = append(out, fmt.Sprintf("%s: %s is described, but is not in the source", d.Name, name))
	}
	return out
}
