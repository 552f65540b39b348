package server

import (
	"bytes"
	"fmt"
	"html/template"
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/gin-gonic/gin"
)

// The page has no script and loads nothing, so that it works under the strictest policy.
var docsPage = template.Must(template.New("docs").Parse(`<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>omniservice: REST</title>
<style>
:root{color-scheme:light dark;font:16px/1.5 system-ui,sans-serif}body{max-width:70rem;margin:2rem auto;padding:0 1rem}
table{border-collapse:collapse;width:100%}th,td{text-align:start;padding:.3rem .8rem .3rem 0;border-bottom:1px solid #8884;vertical-align:top}
code{font:14px ui-monospace,monospace}
</style>
<h1>REST and sockets of omniservice</h1>
<p>The whole description is an OpenAPI 3.1 document: <a href="/docs/openapi.yaml">openapi.yaml</a>, <a href="/docs/openapi.json">openapi.json</a>.
Errors are <code>application/problem+json</code> with a <code>code</code>. Socket commands (WS) go over <code>/ws</code> and <code>/livechat/ws</code>, subprotocol <code>omni.v1</code>;
an AsyncAPI 3 document describes them: <a href="/docs/asyncapi.yaml">asyncapi.yaml</a>, <a href="/docs/asyncapi.json">asyncapi.json</a>.</p>
<table><thead><tr><th>Method<th>Path<th>What<th>Who</thead><tbody>
{{range .}}<tr><td><code>{{.Method}}</code><td><code>{{.Path}}</code><td>{{.Summary}}<td>{{.Roles}}
{{end}}</tbody></table></html>
`))

type docsRow struct{ Method, Path, Summary, Roles string }

func (s *Server) buildDocs(g *gin.RouterGroup) {
	// Made when somebody asks: it would be the longest part of a start.
	doc := s.api.OpenAPI()
	serve := func(typ string, render func() ([]byte, error)) gin.HandlerFunc {
		render = sync.OnceValues(render)
		return func(c *gin.Context) {
			body, err := render()
			if err != nil {
				s.writeProblem(c, fmt.Errorf("render a document: %w", err))
				return
			}
			c.Header("Cache-Control", cacheNever)
			c.Data(http.StatusOK, typ, body)
		}
	}
	g.GET("/docs/openapi.json", serve("application/openapi+json", doc.MarshalJSON))
	g.GET("/docs/openapi.yaml", serve("application/openapi+yaml", doc.YAML))
	g.GET("/docs/asyncapi.json", serve("application/json", s.asyncAPI))
	g.GET("/docs/asyncapi.yaml", serve("application/yaml", s.asyncAPIYAML))
	html := serve("text/html; charset=utf-8", func() ([]byte, error) {
		var page bytes.Buffer
		err := docsPage.Execute(&page, s.docsRows())
		return page.Bytes(), err
	})
	g.GET("/docs", func(c *gin.Context) {
		c.Header("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
		html(c)
	})
}

func (s *Server) docsRows() []docsRow {
	var rows []docsRow
	for _, r := range s.Routes() {
		roles := make([]string, 0, len(r.Roles))
		for _, role := range r.Roles {
			roles = append(roles, string(role))
		}
		row := docsRow{Method: r.Method, Path: r.Path, Roles: strings.Join(roles, ", ")}
		row.Summary = r.Summary
		rows = append(rows, row)
	}
	slices.SortStableFunc(rows, func(a, b docsRow) int { return strings.Compare(a.Path, b.Path) })
	return rows
}

// OpenAPI returns the document of the REST interface, as YAML.
func (s *Server) OpenAPI() ([]byte, error) { return s.api.OpenAPI().YAML() }
