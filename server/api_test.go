package server_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"omniservice/carriers/twilio"
	"omniservice/omni"
	"omniservice/omni/wire"
	"omniservice/server"
	"omniservice/server/auth"
	"omniservice/store"
)

func TestSec_A2_EveryOperationHasRoles(t *testing.T) {
	t.Parallel()
	s := start(t)
	known := map[string]bool{}
	for _, r := range s.server.Routes() {
		require.NotEmpty(t, r.Roles, "%s is not in auth.Roles, so it answers 403 to everyone", r.Operation)
		require.False(t, known[r.Operation], "%s is there twice", r.Operation)
		known[r.Operation] = true
	}
	for id := range auth.Roles {
		require.True(t, known[id], "auth.Roles has %s, which does not exist", id)
	}
	require.False(t, auth.Allowed("nothing", omni.RoleAdmin))
}

func TestSec_A2_RolesAreKept(t *testing.T) {
	t.Parallel()
	s := start(t)
	k, rec := auth.NewAPIKey(s.clock.Now(), s.a.org.ID, "robot", omni.RoleService, 0)
	require.NoError(t, s.store.CreateAPIKey(t.Context(), omni.Org(s.a.org.ID), rec))
	tokens := map[omni.Role]string{omni.RoleAdmin: s.a.adminToken, omni.RoleAgent: s.a.agentToken, omni.RoleService: k}
	for _, r := range s.server.Routes() {
		if r.Method == "WS" || slices.Contains(r.Roles, auth.Anyone) {
			continue
		}
		path := strings.NewReplacer("{id}", omni.NewID(), "{recordId}", omni.NewID(), "{publicId}", "x").Replace(r.Path)
		require.Equal(t, http.StatusUnauthorized, s.call(r.Method, path, "", nil).StatusCode, r.Operation)
		for role, token := range tokens {
			got := s.call(r.Method, path, token, nil)
			switch {
			case slices.Contains(r.Roles, omni.RoleVisitor):
				require.Equal(t, http.StatusUnauthorized, got.StatusCode, "%s as %s", r.Operation, role)
			case slices.Contains(r.Roles, role):
				require.NotEqual(t, http.StatusForbidden, got.StatusCode, "%s as %s", r.Operation, role)
				require.NotEqual(t, http.StatusUnauthorized, got.StatusCode, "%s as %s", r.Operation, role)
			default:
				require.Equal(t, http.StatusForbidden, got.StatusCode, "%s as %s", r.Operation, role)
				require.Equal(t, "forbidden", got.code(t))
			}
		}
	}
}

// ids are a tenant's records by noun, as Route.Scope names them.
func (s *system) ids(x tenant) map[string]string {
	ctx, org := s.t.Context(), omni.Org(x.org.ID)
	now := omni.MillisOf(s.clock.Now())
	f := omni.Folder{ID: omni.NewID(), Tenant: org, GroupID: x.group.ID, Name: "F", Type: omni.FolderDefault, Version: 1, CreatedAt: now, SchemaVersion: omni.CurrentSchema}
	require.NoError(s.t, s.store.CreateFolder(ctx, org, f))
	label := omni.Label{ID: omni.NewID(), Tenant: org, Name: "L", Version: 1, CreatedAt: now, SchemaVersion: omni.CurrentSchema}
	require.NoError(s.t, s.store.Labels().Create(ctx, org, label))
	account := s.twilio(x)
	mapping := omni.RerouteMapping{
		ID: omni.NewID(), Tenant: org, CarrierAccountID: account.ID, Mapper: omni.RerouteDefault, Environment: "staging",
		URL: "https://staging.example/webhooks", Version: 1, CreatedAt: now, SchemaVersion: omni.CurrentSchema,
	}
	require.NoError(s.t, s.store.RerouteMappings().Create(ctx, org, mapping))
	_, rec := auth.NewAPIKey(s.clock.Now(), x.org.ID, "k", omni.RoleService, 0)
	require.NoError(s.t, s.store.CreateAPIKey(ctx, org, rec))
	m := s.visitorWrites(x, "hello from a visitor")
	aside := store.SetAside{
		Record: store.InboxRecord{ID: omni.NewID(), Tenant: org, AccountID: account.ID, Carrier: omni.CarrierTwilio, ReceivedAt: now},
		Reason: store.SetAsideUnknown, At: now, ExpiresAt: now + 1_000_000,
	}
	require.NoError(s.t, s.store.PutAside(ctx, aside))
	file := omni.MediaFile{
		ID: omni.NewID(), Tenant: omni.Tenant{OrganisationID: x.org.ID, UserID: x.agent.ID}, Type: omni.MediaImage, ContentType: "image/png",
		SHA256: strings.Repeat("0", 64), Version: 1, CreatedAt: now, SchemaVersion: omni.CurrentSchema,
	}
	require.NoError(s.t, s.store.MediaFiles().Create(ctx, org, file))
	return map[string]string{
		"file": file.ID,
		"user": x.agent.ID, "group": x.group.ID, "folder": f.ID, "label": label.ID, "carrier-account": account.ID, "channel": x.livechat.ID, "api-key": rec.ID,
		"contact": m.ContactID, "interaction": m.InteractionID, "message": m.ID, "set-aside": aside.Record.ID, "reroute-mapping": mapping.ID,
	}
}

func (s *system) visitorWrites(x tenant, text string) omni.ServiceMessage {
	s.t.Helper()
	v := omni.Visitor{ID: omni.NewToken(16), OrganisationID: x.org.ID, DigitalChannelID: x.livechat.ID}
	m, created, err := s.pipe.VisitorSend(s.t.Context(), v, wire.SendMessage{ClientID: omni.NewID(), Payload: wire.SendPayload{Text: text}})
	require.NoError(s.t, err)
	require.True(s.t, created)
	return m
}

const twilioSecret = "0123456789abcdef0123456789CANARY"

// twilio adds a Twilio account by REST.
func (s *system) twilio(x tenant) server.CarrierAccountBody {
	s.t.Helper()
	r := s.call(http.MethodPost, "/api/v1/carrier-accounts", x.adminToken, map[string]any{
		"carrier": "Twilio", "name": "Our Twilio", "config": map[string]string{"accountSid": "AC" + strings.Repeat("0", 32)},
		"credentials": map[string]string{"authToken": twilioSecret},
	})
	require.Equal(s.t, http.StatusCreated, r.StatusCode, r.body)
	var a server.CarrierAccountBody
	r.into(s.t, &a)
	return a
}

func TestSec_A1_TenantsAreApart(t *testing.T) {
	t.Parallel()
	s := start(t)
	ids := s.ids(s.a)
	for _, r := range s.server.Routes() {
		if len(r.Scope) == 0 {
			continue
		}
		path, body := r.Path, r.Sample
		for param, noun := range r.Scope {
			require.Contains(t, ids, noun)
			path = strings.ReplaceAll(path, "{"+param+"}", ids[noun])
		}
		for noun, id := range ids {
			body = strings.ReplaceAll(body, "{"+noun+"}", id)
		}
		if r.Method == "WS" {
			k, _ := s.connect("/ws", publicURL, wire.Connect{Token: s.b.adminToken})
			f := k.command(strings.TrimPrefix(r.Operation, "ws:"), body)
			require.Equal(t, "error", f.Type, r.Operation)
			require.Equal(t, omni.CodeNotFound, f.Error.Code, "%s: %+v", r.Operation, f.Error)
			continue
		}
		var in any
		if body != "" {
			in = body
		}
		got := s.call(r.Method, path, s.b.adminToken, in, "If-Match", `"1"`)
		require.Equal(t, http.StatusNotFound, got.StatusCode, "%s: %s", r.Operation, got.body)
		require.Equal(t, "not_found", got.code(t))
	}
	// Lists of B hold nothing of A.
	for _, list := range []string{"users", "groups", "folders", "carrier-accounts", "channels", "api-keys", "contacts", "interactions", "audit"} {
		got := s.call(http.MethodGet, "/api/v1/"+list, s.b.adminToken, nil)
		require.Equal(t, http.StatusOK, got.StatusCode, got.body)
		for noun, id := range ids {
			require.NotContains(t, got.body, id, "%s of A in %s of B", noun, list)
		}
		require.NotContains(t, got.body, s.a.org.ID)
	}
}

func TestSec_A3_X12_OnlyWhatAClientMaySet(t *testing.T) {
	t.Parallel()
	s := start(t)
	for name, c := range map[string]struct {
		method, path, body string
		status             int
	}{
		"tenant":            {"POST", "/api/v1/users", `{"name":"x","email":"x@x.example","role":"agent","tenantId":"` + s.b.org.ID + `"}`, 400},
		"organisation":      {"POST", "/api/v1/users", `{"name":"x","email":"x@x.example","role":"agent","organisationId":"` + s.b.org.ID + `"}`, 400},
		"id":                {"POST", "/api/v1/users", `{"id":"1","name":"x","email":"x@x.example","role":"agent"}`, 400},
		"hash":              {"POST", "/api/v1/users", `{"name":"x","email":"x@x.example","role":"agent","passwordHash":"x"}`, 400},
		"service role":      {"POST", "/api/v1/users", `{"name":"x","email":"x@x.example","role":"service"}`, 400},
		"created":           {"PATCH", "/api/v1/organisation", `{"createdAt":1}`, 400},
		"operator in login": {"POST", "/api/v1/auth/login", `{"email":{"$ne":null},"password":{"$ne":null}}`, 400},
		"operator in name":  {"POST", "/api/v1/users", `{"name":{"$gt":""},"email":"x@x.example","role":"agent"}`, 400},
		"operator in query": {"GET", "/api/v1/interactions?contactId[$ne]=1&state[$ne]=open", ``, 200}, // other names: not read at all
		"array for string":  {"POST", "/api/v1/groups", `{"name":["x"],"type":"SHARED"}`, 400},
		"no JSON":           {"POST", "/api/v1/users", `{"name":`, 400},
		"not an object":     {"POST", "/api/v1/users", `[]`, 400},
		"null":              {"POST", "/api/v1/users", `null`, 400},
		"long name":         {"POST", "/api/v1/users", `{"name":"` + strings.Repeat("x", 801) + `","email":"x@x.example","role":"agent"}`, 400},
		"bad email":         {"POST", "/api/v1/users", `{"name":"x","email":"no address","role":"agent"}`, 400},
		"long password":     {"POST", "/api/v1/users", `{"name":"x","email":"x@x.example","role":"agent","password":"short"}`, 400},
		"too large":         {"POST", "/api/v1/users", `{"name":"` + strings.Repeat("x", 600<<10) + `"}`, 413},
		"page of 201":       {"GET", "/api/v1/users?limit=201", ``, 400},
		"page of 0":         {"GET", "/api/v1/users?limit=0", ``, 400},
		"foreign cursor":    {"GET", "/api/v1/users?cursor=guess", ``, 400},
		"unknown path":      {"GET", "/api/v1/nothing", ``, 404},
		"wrong method":      {"DELETE", "/api/v1/users", ``, 405},
	} {
		var body any
		if c.body != "" {
			body = c.body
		}
		r := s.call(c.method, c.path, s.a.adminToken, body, "If-Match", `"1"`)
		require.Equal(t, c.status, r.StatusCode, "%s: %s", name, r.body)
		if c.status >= 400 {
			code := r.code(t)
			require.Contains(t, []string{"invalid", "not_found"}, code, name)
			require.NotContains(t, r.body, "$ne", name)
		}
	}
	l, err := s.store.Users(t.Context(), omni.Org(s.a.org.ID), store.Page{})
	require.NoError(t, err)
	require.Len(t, l.Items, 2, "nothing was created")
}

func TestSec_K2_NoAnswerHoldsASecret(t *testing.T) {
	t.Parallel()
	s := start(t)
	a := s.twilio(s.a)
	require.True(t, a.Credentials["authToken"].Set)
	require.Equal(t, "NARY", a.Credentials["authToken"].Hint)
	require.Equal(t, publicURL+"/webhooks/twilio/"+a.PublicID, a.WebhookURL)
	r := s.call(http.MethodPatch, "/api/v1/carrier-accounts/"+a.ID, s.a.adminToken,
		map[string]any{"credentials": map[string]string{"authToken": "fedcba9876543210fedcba9876CANARY"}}, "If-Match", `"1"`)
	require.Equal(t, http.StatusOK, r.StatusCode, r.body)
	var changed server.CarrierAccountBody
	r.into(t, &changed)
	require.Positive(t, changed.Credentials["authToken"].ValidUntil, "the old one is still taken for webhooks")

	made := s.call(http.MethodPost, "/api/v1/api-keys", s.a.adminToken, map[string]any{"name": "k", "role": "service"})
	require.Equal(t, http.StatusCreated, made.StatusCode)
	var k server.NewAPIKeyBody
	made.into(t, &k)
	require.Equal(t, http.StatusOK, s.call(http.MethodGet, "/api/v1/me", k.Key, nil).StatusCode)
	for _, path := range []string{"carrier-accounts", "carrier-accounts/" + a.ID, "api-keys", "users", "users/" + s.a.admin.ID, "audit", "me", "organisation", "carriers"} {
		got := s.call(http.MethodGet, "/api/v1/"+path, s.a.adminToken, nil)
		require.Equal(t, http.StatusOK, got.StatusCode, got.body)
		for _, secret := range []string{"CANARY", k.Key, "argon2id", "ciphertext", "assword", "refreshHash", `"hash"`} {
			require.NotContains(t, got.body, secret, path)
		}
	}
	require.NotContains(t, r.body, "CANARY")

	deleted := s.call(http.MethodDelete, "/api/v1/api-keys/"+k.ID, s.a.adminToken, nil)
	require.Equal(t, http.StatusNoContent, deleted.StatusCode, deleted.body)
	require.Equal(t, http.StatusUnauthorized, s.call(http.MethodGet, "/api/v1/me", k.Key, nil).StatusCode)
}

func TestCarrierAccountsAreChecked(t *testing.T) {
	t.Parallel()
	s := start(t)
	r := s.call(http.MethodPost, "/api/v1/carrier-accounts", s.a.adminToken, map[string]any{
		"carrier": "Twilio", "name": "x", "config": map[string]string{"authToken": "in the open"}, "credentials": map[string]string{"nothing": "x"},
	})
	require.Equal(t, http.StatusBadRequest, r.StatusCode)
	var p server.Problem
	r.into(t, &p)
	require.Contains(t, p.Fields, "config.authToken")
	require.Contains(t, p.Fields, "credentials.nothing")
	require.Contains(t, p.Fields, "config.accountSid")
	for _, f := range twilio.New().Fields() {
		if f.Required && f.Secret {
			require.Contains(t, p.Fields, "credentials."+f.Name)
		}
	}
	require.Equal(t, http.StatusBadRequest, s.call(http.MethodPost, "/api/v1/carrier-accounts", s.a.adminToken, map[string]any{"carrier": "Nobody", "name": "x"}).StatusCode)
}

func TestVersions(t *testing.T) {
	t.Parallel()
	s := start(t)
	path := "/api/v1/groups/" + s.a.group.ID
	got := s.call(http.MethodGet, path, s.a.adminToken, nil)
	require.Equal(t, `"1"`, got.Header.Get("ETag"))
	require.Equal(t, http.StatusPreconditionRequired, s.call(http.MethodPatch, path, s.a.adminToken, `{"name":"New"}`).StatusCode)
	require.Equal(t, http.StatusBadRequest, s.call(http.MethodPatch, path, s.a.adminToken, `{"name":"New"}`, "If-Match", "x").StatusCode)
	ok := s.call(http.MethodPatch, path, s.a.adminToken, `{"name":"New"}`, "If-Match", `"1"`)
	require.Equal(t, http.StatusOK, ok.StatusCode, ok.body)
	require.Equal(t, `"2"`, ok.Header.Get("ETag"))
	late := s.call(http.MethodPatch, path, s.a.adminToken, `{"name":"Newer"}`, "If-Match", `"1"`)
	require.Equal(t, http.StatusPreconditionFailed, late.StatusCode)
	require.Equal(t, "conflict", late.code(t))
}

func TestSettingsAreSetUpByREST(t *testing.T) {
	t.Parallel()
	s := start(t)
	k, _ := s.connect("/ws", publicURL, wire.Connect{Token: s.a.agentToken})

	r := s.call(http.MethodPost, "/api/v1/users", s.a.adminToken, map[string]any{"name": "Ben", "email": "Ben@A.example", "role": "agent"})
	require.Equal(t, http.StatusCreated, r.StatusCode, r.body)
	var u server.NewUserBody
	r.into(t, &u)
	require.Equal(t, "ben@a.example", u.Email)
	var change wire.SettingsChange
	require.NoError(t, json.Unmarshal(k.event(wire.SettingsChanged).Data, &change))
	require.Equal(t, wire.SettingsChange{Kind: "user", ID: u.ID}, change)
	require.Equal(t, http.StatusConflict, s.call(http.MethodPost, "/api/v1/users", s.a.adminToken, map[string]any{"name": "Ben", "email": "ben@a.example", "role": "agent"}).StatusCode)

	token, ok := strings.CutPrefix(u.LoginLink, publicURL+"/login#token=")
	require.True(t, ok, u.LoginLink)
	login := s.call(http.MethodPost, "/api/v1/auth/login", "", map[string]any{"loginToken": token, "programmatic": true})
	require.Equal(t, http.StatusOK, login.StatusCode, login.body)
	var session server.SessionBody
	login.into(t, &session)
	require.NotEmpty(t, session.RefreshToken)
	require.Empty(t, login.Header.Values("Set-Cookie"))

	r = s.call(http.MethodPost, "/api/v1/groups", s.a.adminToken, map[string]any{"name": "Sales", "type": "SHARED", "memberIds": []string{u.ID, s.a.agent.ID, u.ID}})
	require.Equal(t, http.StatusCreated, r.StatusCode, r.body)
	var g server.GroupBody
	r.into(t, &g)
	require.Len(t, g.MemberIDs, 2)
	r = s.call(http.MethodPost, "/api/v1/folders", s.a.adminToken, map[string]any{"groupId": g.ID, "name": "Urgent", "type": "DEFAULT"})
	require.Equal(t, http.StatusCreated, r.StatusCode, r.body)

	account := s.twilio(s.a)
	r = s.call(http.MethodPost, "/api/v1/channels", s.a.adminToken, map[string]any{
		"name": "Number", "groupId": g.ID, "channelType": "SMS", "carrierAccountId": account.ID, "address": "+1 (202) 555-0123",
	})
	require.Equal(t, http.StatusCreated, r.StatusCode, r.body)
	var c server.ChannelBody
	r.into(t, &c)
	require.Equal(t, "+12025550123", c.Address)
	require.Positive(t, c.Capabilities.MaxTextLength)
	again := s.call(http.MethodPost, "/api/v1/channels", s.a.adminToken, map[string]any{
		"name": "Number", "groupId": g.ID, "channelType": "SMS", "carrierAccountId": account.ID, "address": "+12025550123",
	})
	require.Equal(t, http.StatusConflict, again.StatusCode, again.body)
	r = s.call(http.MethodPost, "/api/v1/channels", s.a.adminToken, map[string]any{
		"name": "Site", "groupId": g.ID, "channelType": "LiveChat", "liveChat": map[string]any{"allowedOrigins": []string{"https://shop.example"}},
	})
	require.Equal(t, http.StatusCreated, r.StatusCode, r.body)
	r.into(t, &c)
	require.Len(t, c.LiveChat.PublicID, 32)
	r = s.call(http.MethodPost, "/api/v1/channels", s.a.adminToken, map[string]any{
		"name": "Site", "groupId": g.ID, "channelType": "LiveChat", "liveChat": map[string]any{"allowedOrigins": []string{"*"}},
	})
	require.Equal(t, http.StatusBadRequest, r.StatusCode, r.body)

	me := s.call(http.MethodGet, "/api/v1/me", session.AccessToken, nil)
	var who server.MeBody
	me.into(t, &who)
	require.Equal(t, u.ID, who.User.ID)
	require.Len(t, who.Groups, 1)
	require.Equal(t, g.ID, who.Groups[0].ID)

	list := s.call(http.MethodGet, "/api/v1/users", session.AccessToken, nil)
	require.Contains(t, list.body, s.a.admin.Name)
	require.NotContains(t, list.body, s.a.admin.Email, "agents see no addresses of others")

	log := s.call(http.MethodGet, "/api/v1/audit?limit=200", s.a.adminToken, nil)
	for _, action := range []string{"user.create", "group.create", "carrier-account.create", "channel.create", "login"} {
		require.Contains(t, log.body, `"`+action+`"`)
	}
}

func TestPagesFollowEachOther(t *testing.T) {
	t.Parallel()
	s := start(t)
	for i := range 5 {
		r := s.call(http.MethodPost, "/api/v1/users", s.a.adminToken, map[string]any{"name": fmt.Sprint("U", i), "email": fmt.Sprintf("u%d@a.example", i), "role": "agent"})
		require.Equal(t, http.StatusCreated, r.StatusCode)
	}
	seen, cursor := 0, ""
	for range 10 {
		var page struct {
			Items []server.UserBody `json:"items"`
			Next  string            `json:"next"`
		}
		s.call(http.MethodGet, "/api/v1/users?limit=3&cursor="+cursor, s.a.adminToken, nil).into(t, &page)
		seen += len(page.Items)
		if cursor = page.Next; cursor == "" {
			break
		}
	}
	require.Equal(t, 7, seen)
}

func TestConversationByREST(t *testing.T) {
	t.Parallel()
	s := start(t)
	m := s.visitorWrites(s.a, "first")
	var list server.InteractionListBody
	s.call(http.MethodGet, "/api/v1/interactions?view=unassigned", s.a.agentToken, nil).into(t, &list)
	require.Len(t, list.Items, 1)
	require.Equal(t, 1, list.Counts.Unassigned)
	require.Len(t, list.Topics, 3)
	path := "/api/v1/interactions/" + m.InteractionID

	claimed := s.call(http.MethodPost, path+"/claim", s.a.agentToken, map[string]any{"version": list.Items[0].Version})
	require.Equal(t, http.StatusOK, claimed.StatusCode, claimed.body)
	lost := s.call(http.MethodPost, path+"/claim", s.a.adminToken, map[string]any{"version": list.Items[0].Version})
	require.Equal(t, http.StatusConflict, lost.StatusCode)
	var p server.Problem
	lost.into(t, &p)
	require.Contains(t, p.Details, "interaction")

	body := map[string]any{"clientId": omni.NewID(), "payload": map[string]any{"text": "answer"}}
	first := s.call(http.MethodPost, path+"/messages", s.a.agentToken, body, "Idempotency-Key", "k1")
	require.Equal(t, http.StatusCreated, first.StatusCode, first.body)
	again := s.call(http.MethodPost, path+"/messages", s.a.agentToken, body, "Idempotency-Key", "k1")
	require.Equal(t, http.StatusCreated, again.StatusCode)
	require.JSONEq(t, first.body, again.body)
	other := s.call(http.MethodPost, path+"/messages", s.a.agentToken,
		map[string]any{"clientId": omni.NewID(), "payload": map[string]any{"text": "other"}}, "Idempotency-Key", "k1")
	require.Equal(t, http.StatusUnprocessableEntity, other.StatusCode)
	byClient := s.call(http.MethodPost, path+"/messages", s.a.agentToken, body)
	require.Equal(t, http.StatusOK, byClient.StatusCode, "the clientId alone tells it too")

	var ms server.MessageListBody
	s.call(http.MethodGet, path+"/messages", s.a.agentToken, nil).into(t, &ms)
	require.Len(t, ms.Items, 2)
	require.Equal(t, []int64{1, 2}, []int64{ms.Items[0].Seq, ms.Items[1].Seq})
	require.False(t, ms.HasMore)
	s.call(http.MethodGet, path+"/messages?limit=1", s.a.agentToken, nil).into(t, &ms)
	require.True(t, ms.HasMore)
	require.Equal(t, int64(2), ms.Items[0].Seq)
	for _, query := range []string{"after=0", "before=2"} {
		s.call(http.MethodGet, path+"/messages?limit=1&"+query, s.a.agentToken, nil).into(t, &ms)
		require.Equal(t, int64(1), ms.Items[0].Seq, query)
		require.Equal(t, query == "after=0", ms.HasMore)
	}
	require.Equal(t, http.StatusBadRequest, s.call(http.MethodGet, path+"/messages?after=0&before=2", s.a.agentToken, nil).StatusCode)
	require.Equal(t, http.StatusBadRequest, s.call(http.MethodGet, path+"/messages?after=-1", s.a.agentToken, nil).StatusCode)
	s.call(http.MethodGet, path+"/messages?before=0", s.a.agentToken, nil).into(t, &ms)
	require.Empty(t, ms.Items)
	s.call(http.MethodGet, path+"/messages", s.a.agentToken, nil).into(t, &ms)

	require.Equal(t, http.StatusNoContent, s.call(http.MethodPost, path+"/read", s.a.agentToken, `{"seq":1}`).StatusCode)
	require.Equal(t, http.StatusNoContent, s.call(http.MethodPost, path+"/typing", s.a.agentToken, `{}`).StatusCode)
	require.Equal(t, http.StatusNoContent, s.call(http.MethodPost, path+"/typing", s.a.agentToken, nil).StatusCode)
	one := s.call(http.MethodGet, "/api/v1/messages/"+m.ID, s.a.agentToken, nil)
	require.Equal(t, http.StatusOK, one.StatusCode)
	require.Contains(t, one.body, `"workflowSteps":[{`)

	var contact server.ContactBody
	s.call(http.MethodGet, "/api/v1/contacts/"+m.ContactID, s.a.agentToken, nil).into(t, &contact)
	require.Len(t, contact.Identities, 1)
	r := s.call(http.MethodPatch, "/api/v1/contacts/"+m.ContactID, s.a.agentToken, `{"name":"Vera","labels":["vip"]}`, "If-Match", fmt.Sprintf(`"%d"`, contact.Version))
	require.Equal(t, http.StatusOK, r.StatusCode, r.body)
}

func TestSec_S3_A5_RemovedUserIsOutEverywhere(t *testing.T) {
	t.Parallel()
	s := start(t)
	k, _ := s.connect("/ws", publicURL, wire.Connect{Token: s.a.agentToken})
	self := s.call(http.MethodPatch, "/api/v1/users/"+s.a.admin.ID, s.a.adminToken, `{"disabled":true}`, "If-Match", `"1"`)
	require.Equal(t, http.StatusBadRequest, self.StatusCode, "nobody locks themselves out")
	r := s.call(http.MethodPatch, "/api/v1/users/"+s.a.agent.ID, s.a.adminToken, `{"disabled":true}`, "If-Match", `"1"`)
	require.Equal(t, http.StatusOK, r.StatusCode, r.body)
	require.EqualValues(t, 4403, k.closed())
	require.Equal(t, http.StatusUnauthorized, s.call(http.MethodGet, "/api/v1/me", s.a.agentToken, nil).StatusCode)
	require.Equal(t, http.StatusUnauthorized, s.call(http.MethodPost, "/api/v1/auth/login", "", map[string]any{"email": s.a.agent.Email, "password": password}).StatusCode)
}

func TestNewMemberHearsTheGroup(t *testing.T) {
	t.Parallel()
	s := start(t)
	r := s.call(http.MethodPost, "/api/v1/groups", s.a.adminToken, map[string]any{"name": "Sales", "type": "SHARED"})
	require.Equal(t, http.StatusCreated, r.StatusCode, r.body)
	var g server.GroupBody
	r.into(t, &g)
	k, c := s.connect("/ws", publicURL, wire.Connect{Token: s.a.agentToken})
	require.Len(t, c.Topics, 3)
	r = s.call(http.MethodPatch, "/api/v1/groups/"+g.ID, s.a.adminToken, map[string]any{"memberIds": []string{s.a.agent.ID}}, "If-Match", `"1"`)
	require.Equal(t, http.StatusOK, r.StatusCode, r.body)
	require.Eventually(t, func() bool {
		return publishTo(s, omni.GroupTopic(g.ID)) && heard(k, omni.GroupTopic(g.ID))
	}, heardTime, heardTick)
}
