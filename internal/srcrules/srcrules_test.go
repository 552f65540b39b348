package srcrules_test

import (
	"io/fs"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"omniservice/internal/srcrules"
)

func TestSecretComparisons(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		expr string
		want string // part of the one finding; empty if there must be none
	}{
		"signature":                 {`signature == want`, "signature compared by =="},
		"on the right":              {`got != wantSignature`, "wantSignature compared by !="},
		"field":                     {`cfg.AuthToken == got`, "AuthToken compared by =="},
		"array of a hash":           {`sum == keyHash`, "keyHash compared by =="},
		"short name":                {`sig == got`, "sig compared by =="},
		"converted":                 {`string(mac) == got`, "mac compared by =="},
		"part of it":                {`token[:8] == got`, "token compared by =="},
		"in a longer condition":     {`ok && (password == got)`, "password compared by =="},
		"set or not":                {`secret == ""`, ""},
		"nil or not":                {`nil != mac`, ""},
		"length":                    {`len(secret) == n`, ""},
		"constant time":             {`hmac.Equal(sig, want)`, ""},
		"other names":               {`design == want`, ""},
		"a count":                   {`tokens == want`, ""},
		"a limit":                   {`token > want`, ""},
		"literal, such as a scheme": {`token == "Bearer"`, ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := srcrules.SecretComparisons("x.go", "package x\n\nvar _ = "+tt.expr+"\n")
			require.NoError(t, err)
			if tt.want == "" {
				require.Empty(t, got)
				return
			}
			require.Len(t, got, 1)
			require.Contains(t, got[0], tt.want)
			require.Contains(t, got[0], "x.go:3:")
		})
	}
}

func TestSecretComparisonsInSwitch(t *testing.T) {
	t.Parallel()
	src := "package x\n\nfunc f() {\n\tswitch apiKey {\n\tcase \"\":\n\tcase other:\n\t}\n}\n"
	got, err := srcrules.SecretComparisons("x.go", src)
	require.NoError(t, err)
	require.Equal(t, []string{"x.go:6:7: apiKey compared by switch"}, got)
}

func TestSecretComparisonsRefusesWhatIsNotGo(t *testing.T) {
	t.Parallel()
	_, err := srcrules.SecretComparisons("x.go", "not Go")
	require.ErrorContains(t, err, "parse x.go")
}

// Every Go file of the project but its tests, which compare to show that two secrets differ.
func TestSec_W3_SecretsAreComparedInConstantTime(t *testing.T) {
	t.Parallel()
	root := filepath.Join("..", "..")
	files := 0
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if name := d.Name(); name == "node_modules" || name == "testdata" || name != ".." && strings.HasPrefix(name, ".") {
				return fs.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		files++
		found, err := srcrules.SecretComparisons(path, nil)
		require.NoError(t, err)
		require.Empty(t, found, "use hmac.Equal or subtle.ConstantTimeCompare")
		return nil
	})
	require.NoError(t, err)
	require.Positive(t, files, "the project's sources are at %s", root)
	require.FileExists(t, filepath.Join(root, "go.mod"))
}
