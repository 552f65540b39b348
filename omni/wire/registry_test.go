package wire_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"omniservice/omni/wire"
)

// names reads the constants of wire.go that stand under a comment which begins in one of the ways given.
func names(t *testing.T, beginnings ...string) []string {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "wire.go", nil, parser.ParseComments)
	require.NoError(t, err)
	var found []string
	for _, d := range file.Decls {
		block, ok := d.(*ast.GenDecl)
		if !ok || block.Tok != token.CONST || !slices.ContainsFunc(beginnings, func(b string) bool { return strings.HasPrefix(block.Doc.Text(), b) }) {
			continue
		}
		for _, spec := range block.Specs {
			for _, v := range spec.(*ast.ValueSpec).Values {
				name, err := strconv.Unquote(v.(*ast.BasicLit).Value)
				require.NoError(t, err)
				found = append(found, name)
			}
		}
	}
	require.NotEmpty(t, found)
	slices.Sort(found)
	return found
}

// TestEveryNameIsRegistered: a command or event that has a name has a line that says what it carries, and the other way round.
func TestEveryNameIsRegistered(t *testing.T) {
	t.Parallel()
	var commands, events []string
	for _, c := range wire.Commands {
		commands = append(commands, c.Type)
		require.NotEmpty(t, c.About, c.Type)
		require.NotNil(t, c.Data, c.Type)
		require.Equal(t, c.Answer == nil, c.NoAgents, c.Type)
		require.False(t, c.NoAgents && c.Visitors == nil, "nobody may do %s", c.Type)
	}
	for _, e := range wire.Events {
		events = append(events, e.Type)
		require.NotEmpty(t, e.About, e.Type)
		require.Equal(t, e.Data == nil, e.NoAgents, e.Type)
		require.False(t, e.NoAgents && e.Visitors == nil, "nobody hears of %s", e.Type)
	}
	slices.Sort(commands)
	slices.Sort(events)
	require.Equal(t, names(t, "Names of commands", "Names of visitors' commands"), commands)
	require.Equal(t, names(t, "Names of durable events", "Names of passing events"), events)
}
