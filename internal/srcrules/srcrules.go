// Package srcrules finds what the rules of this project forbid and no linter reports.
package srcrules

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"regexp"
)

// secretName matches the names of values whose comparison must take the same time whatever they hold.
// Whole words only: "design" holds no sig, and "tokens" is a count.
var secretName = regexp.MustCompile(`(?i:^(sig|mac|hmac|csrf)$|signature$|secret$|password$|passwd$|passphrase$|digest$|apikey$)` +
	`|(^t|T)oken$|(^s|S)ig$|(^h|H)(mac|MAC)$|(^m|M)ac$|MAC$|(^h|H)ash$`)

// SecretComparisons reports, as "file:line: what", each place in a Go source file that compares a secret
// or a signature by ==, != or switch (rule W3). It goes by names, since that is what a reader goes by.
//
// Comparing with an empty string, nil or another constant is allowed: it asks whether a value is set,
// or which kind it is, and reveals nothing about it. src is what [parser.ParseFile] takes: nil reads the file.
func SecretComparisons(filename string, src any) ([]string, error) {
	set := token.NewFileSet()
	file, err := parser.ParseFile(set, filename, src, parser.SkipObjectResolution)
	if err != nil {
		return nil, fmt.Errorf("parse %s: %w", filename, err)
	}
	var found []string
	report := func(at token.Pos, what string) {
		found = append(found, fmt.Sprintf("%s: %s", set.Position(at), what))
	}
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.BinaryExpr:
			if n.Op != token.EQL && n.Op != token.NEQ || isConstant(n.X) || isConstant(n.Y) {
				return true
			}
			for _, operand := range []ast.Expr{n.X, n.Y} {
				if name := lastName(operand); secretName.MatchString(name) {
					report(n.OpPos, fmt.Sprintf("%s compared by %s", name, n.Op))
					break
				}
			}
		case *ast.SwitchStmt:
			name := lastName(n.Tag)
			if !secretName.MatchString(name) {
				return true
			}
			for _, clause := range n.Body.List {
				for _, value := range clause.(*ast.CaseClause).List {
					if !isConstant(value) {
						report(value.Pos(), name+" compared by switch")
					}
				}
			}
		}
		return true
	})
	return found, nil
}

// isConstant reports whether e is a literal, nil, true or false.
func isConstant(e ast.Expr) bool {
	switch e := e.(type) {
	case *ast.BasicLit:
		return true
	case *ast.ParenExpr:
		return isConstant(e.X)
	case *ast.Ident:
		return e.Name == "nil" || e.Name == "true" || e.Name == "false"
	default:
		return false
	}
}

// lastName is the name that a reader sees for e: of x.Secret, Secret; of r.Header.Get("…") and string(token),
// that of the argument or, where it has none, of the function. Empty if e has no name, as a sum has none.
func lastName(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.Ident:
		return e.Name
	case *ast.SelectorExpr:
		return e.Sel.Name
	case *ast.ParenExpr:
		return lastName(e.X)
	case *ast.StarExpr:
		return lastName(e.X)
	case *ast.IndexExpr:
		return lastName(e.X)
	case *ast.SliceExpr:
		return lastName(e.X)
	case *ast.CallExpr:
		if fun, ok := e.Fun.(*ast.Ident); ok && fun.Name == "len" {
			return ""
		}
		for _, arg := range e.Args {
			if name := lastName(arg); name != "" {
				return name
			}
		}
		return lastName(e.Fun)
	default:
		return ""
	}
}
