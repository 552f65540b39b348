package server

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"omniservice/omni"
)

// How long files may be kept: hashed ones for ever, since their names change with their content.
const (
	cacheForever = "public, max-age=31536000, immutable"
	cacheLoader  = "public, max-age=300, stale-while-revalidate=86400"
	cacheNever   = "no-cache"
)

// encodings are the compressed copies that may lie beside a file, best first.
var encodings = []struct{ name, suffix string }{{"br", ".br"}, {"gzip", ".gz"}}

// buildStatic serves the web programs. What no route takes and asks for a page gets the console, which has routes of
// its own.
func (s *Server) buildStatic(g *gin.Engine, limited *gin.RouterGroup) {
	limited.GET("/console-assets/*file", s.files(s.d.Console, "console-assets", cacheForever, ""))
	limited.GET("/widget/loader.js", func(c *gin.Context) {
		c.Header("Cross-Origin-Resource-Policy", "cross-origin") // pages of other sites load it
		c.Header("Access-Control-Allow-Origin", "*")
		s.file(c, s.d.Widget, "loader.js", cacheLoader)
	})
	limited.GET("/widget/panel", s.panel)
	limited.GET("/widget/assets/*file", s.files(s.d.Widget, "assets", cacheForever, ""))
	g.NoRoute(s.limitAddress, s.preflight, s.fallback)
}

// fallback serves the console's own files, and its page for every other address that a browser opens.
func (s *Server) fallback(c *gin.Context) {
	p := c.Request.URL.Path
	page := c.Request.Method == http.MethodGet || c.Request.Method == http.MethodHead
	for _, area := range []string{"/api/", "/webhooks/", "/livechat/", "/media/", "/widget/", "/console-assets/", "/demo/api/", "/ws"} {
		page = page && !strings.HasPrefix(p, area)
	}
	if !page {
		s.writeProblem(c, omni.Problemf(omni.ErrNotFound, "There is nothing at this address."))
		return
	}
	if name := strings.TrimPrefix(path.Clean(p), "/"); name != "index.html" && s.has(s.d.Console, name) {
		s.consolePolicy(c)
		s.file(c, s.d.Console, name, cacheNever)
		return
	}
	if p != "/" && !strings.Contains(c.GetHeader("Accept"), "text/html") {
		s.writeProblem(c, omni.Problemf(omni.ErrNotFound, "There is nothing at this address."))
		return
	}
	s.consolePolicy(c)
	s.file(c, s.d.Console, "index.html", cacheNever)
}

func (s *Server) consolePolicy(c *gin.Context) {
	c.Header("Content-Security-Policy", s.withFiles(policyPage)+"connect-src 'self' "+s.socketOrigin()+"; frame-ancestors 'none'")
	c.Header("Cross-Origin-Opener-Policy", "same-origin")
	c.Header("X-Frame-Options", "DENY")
}

// withFiles is a policy for a page that shows files.
func (s *Server) withFiles(policy string) string {
	if s.o.MediaURL == "" {
		return policy
	}
	return strings.NewReplacer("img-src 'self'", "img-src 'self' "+s.o.MediaURL, "media-src 'self'", "media-src 'self' "+s.o.MediaURL).Replace(policy)
}

// socketOrigin is our origin as sockets name it: not every browser takes 'self' for it.
func (s *Server) socketOrigin() string { return "ws" + strings.TrimPrefix(s.o.PublicURL, "http") }

// panel serves the widget's frame to the sites that may carry it.
func (s *Server) panel(c *gin.Context) {
	channel, err := s.widgets.find(c.Request.Context(), c.Query("widget"))
	if err != nil {
		s.writeProblem(c, err)
		return
	}
	ancestors := slices.Clone(channel.LiveChat.AllowedOrigins)
	if s.o.Demo {
		ancestors = append(ancestors, s.origins...)
	}
	c.Header("Content-Security-Policy", s.withFiles(policyPage)+"connect-src 'self' "+s.socketOrigin()+
		"; frame-ancestors "+strings.Join(ancestors, " "))
	c.Header("Cross-Origin-Resource-Policy", "cross-origin")
	s.file(c, s.d.Widget, "panel.html", cacheNever)
}

// files serves a directory of f.
func (s *Server) files(f fs.FS, dir, cache, policy string) gin.HandlerFunc {
	return func(c *gin.Context) {
		if policy != "" {
			c.Header("Content-Security-Policy", policy)
		}
		name := strings.TrimPrefix(path.Clean("/"+c.Param("file")), "/")
		if !s.has(f, path.Join(dir, name)) {
			s.writeProblem(c, omni.Problemf(omni.ErrNotFound, "There is nothing at this address."))
			return
		}
		s.file(c, f, path.Join(dir, name), cache)
	}
}

func (*Server) has(f fs.FS, name string) bool {
	if f == nil || !fs.ValidPath(name) {
		return false
	}
	info, err := fs.Stat(f, name)
	return err == nil && info.Mode().IsRegular()
}

// file serves one file, compressed where a copy lies beside it and the browser takes it.
func (s *Server) file(c *gin.Context, f fs.FS, name, cache string) {
	if !s.has(f, name) {
		s.notBuilt(c)
		return
	}
	opened, encoding := name, ""
	c.Writer.Header().Add("Vary", "Accept-Encoding")
	for _, e := range encodings {
		if accepts(c.GetHeader("Accept-Encoding"), e.name) && s.has(f, name+e.suffix) {
			opened, encoding = name+e.suffix, e.name
			break
		}
	}
	content, err := fs.ReadFile(f, opened)
	if err != nil {
		s.writeProblem(c, err)
		return
	}
	h := c.Writer.Header()
	if encoding != "" {
		h.Set("Content-Encoding", encoding)
	}
	typ := mime.TypeByExtension(path.Ext(name))
	if typ == "" {
		typ = "application/octet-stream"
	}
	h.Set("Content-Type", typ)
	h.Set("Cache-Control", cache)
	sum := sha256.Sum256(content)
	h.Set("ETag", `"`+hex.EncodeToString(sum[:8])+`"`)
	http.ServeContent(c.Writer, c.Request, "", time.Time{}, bytes.NewReader(content))
	c.Abort()
}

// accepts reports whether an Accept-Encoding header takes an encoding.
func accepts(header, encoding string) bool {
	for part := range strings.SplitSeq(header, ",") {
		name, q, _ := strings.Cut(strings.TrimSpace(part), ";")
		if strings.TrimSpace(name) == encoding && strings.ReplaceAll(q, " ", "") != "q=0" {
			return true
		}
	}
	return false
}

// notBuilt says what to do about a program without its web programs.
func (s *Server) notBuilt(c *gin.Context) {
	c.Header("Content-Type", "text/html; charset=utf-8")
	c.Header("Cache-Control", "no-store")
	c.Status(http.StatusServiceUnavailable)
	_, err := io.WriteString(c.Writer, `<!doctype html><html lang="en"><meta charset="utf-8"><title>omniservice</title>
<h1>The web programs were not built</h1><p>Run <code>make web</code> and build again. REST and sockets work without them: see <a href="/docs">/docs</a>.</p></html>
`)
	if err != nil && !errors.Is(err, http.ErrHandlerTimeout) {
		s.log.DebugContext(c.Request.Context(), "write a page", "err", err)
	}
	c.Abort()
}
