package server

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humagin"
	"github.com/gin-gonic/gin"

	"omniservice/omni"
	"omniservice/omni/wire"
	"omniservice/server/auth"
	"omniservice/store"
)

// requestTime is how long a REST request may work.
const requestTime = 10 * time.Second

// maxRequest is the largest body of a REST request: the longest text, escaped, and room.
const maxRequest = 512 << 10

// Route is one thing to call, as data: for documents, and for tests that are made from it.
type Route struct {
	Method    string // an HTTP method, or "WS" for a socket command
	Path      string // with {parameters}; for a command the socket's path
	Operation string // key of auth.Roles; for a command "ws:" and its type
	Summary   string
	Roles     []omni.Role
	// Scope tells whose id each parameter or field of Sample is: "id" -> "user". Only those that name a record.
	Scope map[string]string
	// Sample is a body that the call takes, with {noun} where an id of that noun belongs. Empty: no body.
	Sample string
}

// Routes lists every REST operation and socket command, sorted by operation.
func (s *Server) Routes() []Route {
	all := append(slices.Clone(s.routes), Commands()...)
	slices.SortFunc(all, func(a, b Route) int { return strings.Compare(a.Operation, b.Operation) })
	return all
}

// endpoint describes an operation.
type endpoint struct {
	id, method, path, summary, tag string
	status                         int // 0 means 200
	scope                          map[string]string
	sample                         string

	maxBody int64         // bytes; 0 means maxRequest
	time    time.Duration // to work and to send the body in; 0 means requestTime
}

type principalKey struct{}

// principal is who an operation serves; zero where anyone may call it.
func principal(ctx context.Context) auth.Principal {
	p, _ := ctx.Value(principalKey{}).(auth.Principal)
	return p
}

func actor(p auth.Principal) Actor { return Actor{Tenant: p.Tenant, Role: p.Role, Name: p.Name} }

func (s *Server) buildAPI(g *gin.RouterGroup) {
	config := huma.DefaultConfig("omniservice", cmp.Or(s.o.Version, "dev"))
	config.Info.Description = "REST interface of the gateway. Errors are application/problem+json with a code; " +
		"times are milliseconds since 1970; lists are paged by cursor; changes take If-Match with the version that was read."
	config.OpenAPIPath, config.DocsPath, config.SchemasPath = "", "", ""
	config.CreateHooks = nil // no $schema fields and Link headers in answers
	config.Formats = map[string]huma.Format{"application/json": huma.DefaultJSONFormat, "json": huma.DefaultJSONFormat}
	config.Servers = []*huma.Server{{URL: s.o.PublicURL}}
	config.Components.SecuritySchemes = map[string]*huma.SecurityScheme{
		"bearer":  {Type: "http", Scheme: "bearer", Description: "An access token, or an API key that begins with omni_"},
		"visitor": {Type: "http", Scheme: "bearer", Description: "The token of a website visitor"},
	}
	api := g.Group("/", s.noStore, s.cors)
	s.api = humagin.NewWithGroup(s.public, api, config)
	s.apiAuth()
	s.apiMe()
	s.apiOrganisation()
	s.apiUsers()
	s.apiGroups()
	s.apiFolders()
	s.apiReroute()
	s.apiLabels()
	s.apiCarrierAccounts()
	s.apiChannels()
	s.apiKeys()
	s.apiContacts()
	s.apiInteractions()
	s.apiMessages()
	s.apiMedia()
	s.apiPresence()
	s.apiNotes()
	s.apiSearch()
	s.apiSync()
	s.apiAudit()
	s.apiLiveChat()
}

// noStore keeps answers out of caches. Those that may be cached say so themselves.
func (s *Server) noStore(c *gin.Context) {
	c.Header("Cache-Control", "no-store")
	c.Next()
}

// register adds an operation. Its roles come from auth.Roles: without an entry there it answers 403.
func register[I, O any](s *Server, e endpoint, handle func(ctx context.Context, p auth.Principal, in *I) (*O, error)) {
	roles := auth.Roles[e.id]
	s.routes = append(s.routes, Route{
		Method: e.method, Path: e.path, Operation: e.id, Summary: e.summary, Roles: roles, Scope: maps.Clone(e.scope), Sample: e.sample,
	})
	op := huma.Operation{
		OperationID: e.id, Method: e.method, Path: e.path, Summary: e.summary, Tags: []string{e.tag},
		DefaultStatus: e.status, MaxBodyBytes: maxRequest,
		Middlewares: huma.Middlewares{s.guard(e)},
	}
	switch {
	case slices.Contains(roles, omni.RoleVisitor):
		op.Security = []map[string][]string{{"visitor": {}}}
	case !slices.Contains(roles, auth.Anyone):
		op.Security = []map[string][]string{{"bearer": {}}}
	}
	huma.Register(s.api, op, func(ctx context.Context, in *I) (*O, error) {
		out, err := handle(ctx, principal(ctx), in)
		if err != nil {
			p := problemOf(ctx, err)
			s.logFailure(ctx, e.id, p, err)
			return nil, p
		}
		return out, nil
	})
}

// guard lets an operation's caller in: who they are, whether they may, and whether not too often.
func (s *Server) guard(e endpoint) func(huma.Context, func(huma.Context)) {
	return func(hc huma.Context, next func(huma.Context)) {
		c := humagin.Unwrap(hc)
		p, err := s.admit(c, e.id)
		if err != nil {
			s.writeProblem(c, err)
			return
		}
		if enc := c.GetHeader("Content-Encoding"); enc != "" && enc != "identity" {
			s.writeProblem(c, &withStatus{http.StatusUnsupportedMediaType, omni.Problemf(omni.ErrInvalid, "Send the body uncompressed.")})
			return
		}
		c.Request.Body = http.MaxBytesReader(c.Writer, c.Request.Body, cmp.Or(e.maxBody, maxRequest))
		if e.time > 0 { // longer than HTTPServer gives to all; where there is no connection, as in tests, there is no deadline
			end, rc := time.Now().Add(e.time), http.NewResponseController(c.Writer)
			_ = errors.Join(rc.SetReadDeadline(end), rc.SetWriteDeadline(end.Add(requestTime)))
		}
		ctx, cancel := context.WithTimeout(hc.Context(), cmp.Or(e.time, requestTime))
		defer cancel()
		ctx = context.WithValue(ctx, principalKey{}, p)
		next(huma.WithContext(hc, context.WithValue(ctx, peerKey{}, peer(c))))
	}
}

type peerKey struct{}

// peerOf is the address that an operation was called from.
func peerOf(ctx context.Context) string {
	ip, _ := ctx.Value(peerKey{}).(string)
	return ip
}

func (s *Server) admit(c *gin.Context, id string) (auth.Principal, error) {
	ctx := c.Request.Context()
	roles, known := auth.Roles[id]
	if !known {
		return auth.Principal{}, omni.Problemf(omni.ErrForbidden, "You may not do this.")
	}
	if slices.Contains(roles, auth.Anyone) {
		return auth.Principal{}, nil
	}
	credential, ok := bearer(c.GetHeader("Authorization"))
	if !ok {
		return auth.Principal{}, omni.Problemf(omni.ErrUnauthenticated, "Log in again.")
	}
	var p auth.Principal
	var err error
	if slices.Contains(roles, omni.RoleVisitor) {
		p, err = s.visitor(ctx, credential)
	} else {
		p, err = s.auth.Bearer(ctx, credential)
	}
	if err != nil {
		return auth.Principal{}, err
	}
	if !auth.Allowed(id, p.Role) {
		return auth.Principal{}, omni.Problemf(omni.ErrForbidden, "You may not do this.")
	}
	return p, s.limitPrincipal(ctx, p)
}

func bearer(header string) (string, bool) {
	scheme, credential, ok := strings.Cut(header, " ")
	if !ok || !strings.EqualFold(scheme, "bearer") || credential == "" || len(credential) > 4096 {
		return "", false
	}
	return credential, true
}

// limitPrincipal counts a request for its organisation and its caller, over all nodes. A bus that is away limits nobody:
// the limit of the address still holds.
func (s *Server) limitPrincipal(ctx context.Context, p auth.Principal) error {
	who := p.Tenant.UserID
	if p.Visitor != nil {
		who = p.Visitor.ID
	}
	for _, l := range []struct {
		key  string
		rate Rate
	}{
		{"rest-principal/" + who, s.o.Limits.Principal},
		{"rest-organisation/" + p.Tenant.OrganisationID, s.o.Limits.Organisation},
	} {
		ok, wait, err := s.d.Bus.Allow(ctx, l.key, 1, l.rate.PerSecond, l.rate.Burst)
		if err != nil {
			s.log.WarnContext(ctx, "count a request", "org_id", p.Tenant.OrganisationID, "err", err)
			return nil
		}
		if !ok {
			return tooMany(wait)
		}
	}
	return nil
}

// Parts of requests and answers that several operations share. Those that others embed are exported, because huma
// reads nothing else.
type (
	noInput  struct{}
	noOutput struct{}

	// PageInput asks for a page of a list.
	PageInput struct {
		Cursor string `query:"cursor" maxLength:"1000" doc:"next of the page before"`
		Limit  int    `query:"limit" minimum:"1" maximum:"200" default:"50"`
	}

	// RecordInput names a record.
	RecordInput struct {
		ID string `path:"id" maxLength:"100"`
	}

	// listBody is a page of a list.
	listBody[T any] struct {
		Items []T    `json:"items" nullable:"false"`
		Next  string `json:"next,omitempty" doc:"cursor of the next page; absent on the last"`
	}

	listOutput[T any] struct {
		Body listBody[T]
	}

	// record is an answer with one versioned record.
	record[T any] struct {
		ETag string `header:"ETag"`
		Body T
	}

	// plain is an answer with a body.
	plain[T any] struct {
		Body T
	}
)

// newList makes a list's answer: items are never null.
func newList[A, B any](items []A, next string, view func(A) B) *listOutput[B] {
	out := &listOutput[B]{}
	out.Body.Next = next
	out.Body.Items = make([]B, 0, len(items))
	for _, it := range items {
		out.Body.Items = append(out.Body.Items, view(it))
	}
	return out
}

// knownID turns an id that cannot be one into omni.ErrNotFound, as an id of nobody is.
func knownID(ids ...string) error {
	for _, id := range ids {
		if !omni.ValidID(id) {
			return omni.Problemf(omni.ErrNotFound, "There is no such thing, or you may not see it.")
		}
	}
	return nil
}

// changed tells the organisation's clients and every node that a setting is to be read again.
func (s *Server) changed(ctx context.Context, t omni.Tenant, kind, id string) {
	s.d.Pipeline.Forget(kind, id)
	if kind == "channel" {
		s.widgets.forget()
	}
	err := s.d.Publish(context.WithoutCancel(ctx), omni.OrgTopic(t.OrganisationID), wire.SettingsChanged, wire.SettingsChange{Kind: kind, ID: id})
	if err != nil {
		s.log.WarnContext(ctx, "settings change not announced", "org_id", t.OrganisationID, "op", kind, "err", err)
	}
}

// audit keeps a trace of what must be traceable. It is written after the change; a change whose trace cannot be
// written is reported as failed, so that somebody looks.
func (s *Server) audit(ctx context.Context, p auth.Principal, action, target string, details map[string]string) error {
	err := s.d.Store.AppendAudit(context.WithoutCancel(ctx), p.Tenant, omni.AuditRecord{
		ID: omni.NewIDAt(s.now()), OrganisationID: p.Tenant.OrganisationID, ActorID: p.Tenant.UserID, Action: action,
		TargetID: target, Details: details, At: s.millis(),
	})
	if err != nil {
		return fmt.Errorf("audit %s: %w", action, err)
	}
	return nil
}

// staleAs turns the store's conflict of versions into the answer to If-Match.
func staleAs(what string, err error) error {
	if errors.Is(err, omni.ErrConflict) {
		return preconditionFailed(what)
	}
	return err
}

// emptyInput is a body that holds nothing, and may be left out.
type emptyInput struct {
	Body *struct{} `required:"false"`
}

func page(in *PageInput) store.Page { return store.Page{Cursor: in.Cursor, Limit: in.Limit} }

// missing makes "there is no such record" of what a request names besides its path. Whether the record is another
// organisation's is not told.
func missing(err error, noun, id string) error {
	if !errors.Is(err, omni.ErrNotFound) {
		return fmt.Errorf("find %s %s: %w", noun, id, err)
	}
	return omni.Problemf(omni.ErrNotFound, "There is no such %s.", noun)
}

// inUse blames a field for a conflict with another record.
func inUse(err error, field, text string) error {
	if !errors.Is(err, omni.ErrConflict) {
		return err
	}
	p := omni.Problemf(omni.ErrConflict, "%s %s.", field, text)
	p.Fields = map[string]string{field: text}
	return p
}
