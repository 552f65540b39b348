package e2e_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	. "omniservice/e2e" //nolint:revive // the scenarios read better without e2e. before each word
	"omniservice/omni"
	"omniservice/omni/wire"
	"omniservice/server"
	"omniservice/server/auth"
	"omniservice/store"
)

// nouns are the ids of an organisation's records, by what the route table calls them.
type nouns map[string]string

// furnish fills an organisation with one of everything.
func furnish(t *testing.T, s *System, o *Org, from string) (nouns, *Agent) {
	t.Helper()
	agent := o.Agent(t, o.Name+" agent", omni.RoleAgent)
	group := o.Group(t, o.Name+"'s group", agent)
	acc := o.TwilioAccount(t, o.Name+"'s Twilio")
	n := nouns{"user": agent.ID, "group": group, "carrier-account": acc.ID}
	n["channel"] = acc.Channel(t, omni.ChannelSMS, Number, group)
	o.Widget(t, group)
	made := func(a Answer) string {
		require.Equal(t, http.StatusCreated, a.Status, "%s", a.Body)
		var r struct{ ID string }
		a.JSON(t, &r)
		return r.ID
	}
	n["folder"] = made(o.Call(t, http.MethodPost, "/api/v1/folders", map[string]any{"groupId": group, "name": "Folder", "type": "DEFAULT"}))
	n["label"] = made(o.Call(t, http.MethodPost, "/api/v1/labels", map[string]any{"name": o.Name + "'s label"}))
	n["reroute-mapping"] = made(o.Call(t, http.MethodPost, "/api/v1/reroute-mappings", map[string]any{
		"carrierAccountId": acc.ID, "mapper": "WABA_ID", "key": "1", "environment": o.Name + "'s staging", "url": "https://staging.example/hook",
	}))
	n["api-key"] = made(o.Call(t, http.MethodPost, "/api/v1/api-keys", map[string]any{"name": "key", "role": "service"}))
	n["file"] = s.Upload(t, agent.Token, "photo.png", PNG)
	client := agent.Connect(t)
	acc.Receive(t, from, Number, o.Name+" hears from "+from)
	it := Read[wire.Interaction](t, client.Expect(t, wire.InteractionCreated, nil))
	n["interaction"], n["contact"] = it.ID, it.ContactID
	n["message"] = o.Send(t, it.ID, o.Name+"'s answer").ID
	acc.Receive(t, from, "+15005559999", "to no channel of ours")
	s.Drained(t)
	aside, err := s.App.Store().ListAside(t.Context(), omni.Org(o.ID), store.Page{})
	require.NoError(t, err)
	require.Len(t, aside.Items, 1)
	n["set-aside"] = aside.Items[0].Record.ID
	client.Cut()
	return n, agent
}

// dump is everything that the store has of an organisation, as text.
func dump(t *testing.T, st store.Store, orgID string) string {
	t.Helper()
	ctx, tenant, all := t.Context(), omni.Org(orgID), store.Page{Limit: store.MaxPage}
	var b strings.Builder
	add := func(what string, v any, err error) {
		require.NoError(t, err, what)
		j, err := json.Marshal(v)
		require.NoError(t, err)
		fmt.Fprintf(&b, "%s %s\n", what, j)
	}
	org, err := st.Organisation(ctx, tenant)
	add("organisation", org, err)
	users, err := st.Users(ctx, tenant, all)
	add("users", users, err)
	for _, u := range users.Items {
		fmt.Fprintf(&b, "password %s %s\n", u.ID, u.PasswordHash)
		drafts, err := st.Drafts().List(ctx, tenant, u.ID, all)
		add("drafts", drafts, err)
	}
	groups, err := st.Groups(ctx, tenant, all)
	add("groups", groups, err)
	folders, err := st.Folders(ctx, tenant, all)
	add("folders", folders, err)
	labels, err := st.Labels().List(ctx, tenant, "", all)
	add("labels", labels, err)
	accounts, err := st.CarrierAccounts(ctx, tenant, all)
	add("carrier accounts", accounts, err)
	for _, a := range accounts.Items {
		mappings, err := st.RerouteMappings().List(ctx, tenant, a.ID, all)
		add("re-router mappings", mappings, err)
		add("credentials", a.Credentials, nil)
	}
	channels, err := st.Channels(ctx, tenant, all)
	add("channels", channels, err)
	keys, err := st.APIKeys(ctx, tenant, all)
	add("API keys", keys, err)
	contacts, err := st.Contacts(ctx, tenant, all)
	add("contacts", contacts, err)
	for _, c := range contacts.Items {
		ids, err := st.Identities(ctx, tenant, c.ID)
		add("identities", ids, err)
	}
	var groupIDs []string
	for _, g := range groups.Items {
		groupIDs = append(groupIDs, g.ID)
	}
	for _, state := range omni.InteractionStates {
		its, err := st.ListInteractions(ctx, tenant, store.InteractionFilter{GroupIDs: groupIDs, State: state}, all)
		add("interactions", its, err)
		for _, it := range its.Items {
			ms, err := st.ListMessages(ctx, tenant, it.ID, store.MessageWindow{Limit: store.MaxPage})
			add("messages", ms, err)
			notes, err := st.Notes().List(ctx, tenant, it.ID, all)
			add("notes", notes, err)
		}
	}
	aside, err := st.ListAside(ctx, tenant, all)
	add("set aside", aside, err)
	files, err := st.MediaFiles().List(ctx, tenant, "", all)
	add("files", files, err)
	audit, err := st.AuditRecords(ctx, tenant, all)
	add("audit", audit, err)
	return b.String()
}

var pathParam = regexp.MustCompile(`\{([a-zA-Z.]+)\}`)

// open are parameters that name something public.
var open = map[string]string{"livechat-widget": "publicId"}

// fill puts ids into a path and a body: of every noun the caller's own, but for one parameter, which gets id.
func fill(t *testing.T, r server.Route, own nouns, param, id string) (path string, body []byte) {
	t.Helper()
	path = pathParam.ReplaceAllStringFunc(r.Path, func(m string) string {
		name := m[1 : len(m)-1]
		if name == param {
			return id
		}
		if noun, ok := r.Scope[name]; ok {
			return own[noun]
		}
		require.Equal(t, open[r.Operation], name, "%s: the parameter %s is in no scope", r.Operation, name)
		return "nothing"
	})
	if r.Sample == "" {
		return path, nil
	}
	sample := pathParam.ReplaceAllStringFunc(r.Sample, func(m string) string {
		noun := m[1 : len(m)-1]
		value, ok := own[noun]
		require.True(t, ok, "%s: nobody knows a %s", r.Operation, noun)
		return value
	})
	var v map[string]any
	require.NoError(t, json.Unmarshal([]byte(sample), &v), "%s: %s", r.Operation, sample)
	if _, inPath := strings.CutPrefix(r.Path, "/"); r.Method == "WS" || inPath && !strings.Contains(r.Path, "{"+param+"}") {
		set(t, r, v, param, id)
	}
	if id, ok := v["clientId"]; ok && id != "" {
		v["clientId"] = omni.NewID() // else it would be the same message again
	}
	body, err := json.Marshal(v)
	require.NoError(t, err)
	return path, body
}

// set replaces a field, named by its path.
func set(t *testing.T, r server.Route, v map[string]any, field, id string) {
	t.Helper()
	if field == "" {
		return
	}
	parts := strings.Split(field, ".")
	for _, p := range parts[:len(parts)-1] {
		next, ok := v[p].(map[string]any)
		require.True(t, ok, "%s: the sample has no %s", r.Operation, field)
		v = next
	}
	last := parts[len(parts)-1]
	require.Contains(t, v, last, "%s: the sample has no %s", r.Operation, field)
	if _, many := v[last].([]any); many {
		v[last] = []any{id}
		return
	}
	v[last] = id
}

// TestX4_OtherOrganisation calls every route and every command as Beta with Alpha's ids. It is made from the tables
// that the program itself works with, so that nothing new can be forgotten.
func TestX4_OtherOrganisation(t *testing.T) {
	t.Parallel()
	s := Start(t, Options{})
	alpha, _ := furnish(t, s, s.Alpha, Phone(1))
	beta, agent := furnish(t, s, s.Beta, Phone(1)) // the same customer writes to both
	outsider := s.Alpha.Agent(t, "Outsider", omni.RoleAgent)
	widget := s.Beta.Widget(t, beta["group"])
	visitor := widget.Visit(t, "")
	before := dump(t, s.App.Store(), s.Alpha.ID)
	// Lists that Beta may read must not hold anything of Alpha.
	secrets := append(slices.Collect(maps.Values(alpha)), s.Alpha.ID, s.Alpha.AdminID, "Alpha")
	unchanged := func(t *testing.T, what string) {
		t.Helper()
		require.Equal(t, before, dump(t, s.App.Store(), s.Alpha.ID), "%s changed Alpha", what)
	}
	tellsNothing := func(t *testing.T, what string, body []byte, but string) {
		t.Helper()
		for _, secret := range secrets {
			if secret != but {
				require.NotContains(t, string(body), secret, what)
			}
		}
	}

	routes := s.App.Routes()
	covered := map[string]int{}
	for _, r := range routes {
		if r.Method == "WS" {
			continue
		}
		covered[r.Operation]++
		bearer := s.Beta.Key
		switch {
		case slices.Contains(r.Roles, omni.RoleVisitor):
			bearer = visitor.Token
		case !slices.Contains(r.Roles, omni.RoleAdmin) && !slices.Contains(r.Roles, auth.Anyone):
			bearer = agent.Token
		}
		if len(r.Scope) == 0 {
			path, body := fill(t, r, beta, "", "")
			if body == nil && r.Method != http.MethodGet {
				body = []byte("{}")
			}
			a := s.Call(t, r.Method, path, bearer, bodyOf(body))
			require.Less(t, a.Status, 500, "%s: %s", r.Operation, a.Body)
			tellsNothing(t, r.Operation, a.Body, "")
			unchanged(t, r.Operation)
			continue
		}
		for param, noun := range r.Scope {
			what := fmt.Sprintf("%s with Alpha's %s as %s", r.Operation, noun, param)
			require.NotEmpty(t, alpha[noun], "furnish makes no %s", noun)
			path, body := fill(t, r, beta, param, alpha[noun])
			a := s.Call(t, r.Method, path, bearer, bodyOf(body), "If-Match", `"1"`)
			tellsNothing(t, what, a.Body, alpha[noun])
			unchanged(t, what)
			if strings.Contains(r.Path, "{"+param+"}") {
				require.Equal(t, http.StatusNotFound, a.Status, "%s: %s", what, a.Body)
				require.Equal(t, omni.CodeNotFound, a.Problem(t).Code)
			}
			// What is not there at all gets the same answer: that it exists elsewhere is not told.
			nobody := omni.NewID()
			path, body = fill(t, r, beta, param, nobody)
			b := s.Call(t, r.Method, path, bearer, bodyOf(body), "If-Match", `"1"`)
			require.Equal(t, anonymous(b.Body, nobody), anonymous(a.Body, alpha[noun]), "%s: existence is told", what)
			require.Equal(t, b.Status, a.Status, what)
			require.GreaterOrEqual(t, a.Status, 400, what)
			// Nor does an agent of Alpha see conversations of a group that is not theirs.
			if noun == "interaction" || noun == "message" {
				path, body = fill(t, r, alpha, param, alpha[noun])
				c := s.Call(t, r.Method, path, outsider.Token, bodyOf(body), "If-Match", `"1"`)
				require.Equal(t, http.StatusNotFound, c.Status, "%s as an agent outside the group", r.Operation)
				unchanged(t, r.Operation+" as an agent outside the group")
			}
		}
	}
	for _, query := range []string{"groupId=" + alpha["group"], "contactId=" + alpha["contact"]} {
		a := s.Call(t, http.MethodGet, "/api/v1/interactions?"+query, s.Beta.Key, nil)
		require.Equal(t, http.StatusNotFound, a.Status, "%s", a.Body)
	}

	admin := s.Beta.Connect(t)
	onSocket := agent.Connect(t)
	visiting := visitor.Connect(t)
	for _, r := range routes {
		if r.Method != "WS" {
			continue
		}
		covered[r.Operation]++
		typ := strings.TrimPrefix(r.Operation, "ws:")
		own := maps.Clone(beta)
		own["token"] = outsider.Token // of a login in Alpha
		if len(r.Scope) == 0 {
			_, body := fill(t, r, own, "", "")
			body = []byte(strings.ReplaceAll(string(body), beta["interaction"], alpha["interaction"]))
			f := onSocket.Do(t, typ, json.RawMessage(body))
			tellsNothing(t, typ, f.Data, alpha["interaction"])
			unchanged(t, typ)
			continue
		}
		for param, noun := range r.Scope {
			what := fmt.Sprintf("%s with Alpha's %s as %s", typ, noun, param)
			for _, c := range []*Client{admin, onSocket} {
				_, body := fill(t, r, own, param, alpha[noun])
				f := c.Do(t, typ, json.RawMessage(body))
				nobody := omni.NewID()
				_, body = fill(t, r, own, param, nobody)
				g := c.Do(t, typ, json.RawMessage(body))
				require.Equal(t, "error", f.Type, what)
				require.Equal(t, g.Error.Code, f.Error.Code, "%s: existence is told", what)
				require.Equal(t, strings.ReplaceAll(g.Error.Message, nobody, ""), strings.ReplaceAll(f.Error.Message, alpha[noun], ""), what)
				if noun == "interaction" {
					require.Equal(t, omni.CodeNotFound, f.Error.Code, what)
				}
				unchanged(t, what)
			}
		}
		param, noun := "interactionId", "interaction"
		if _, ok := r.Scope[param]; !ok {
			param = slices.Sorted(maps.Keys(r.Scope))[0]
			noun = r.Scope[param]
		}
		_, body := fill(t, r, own, param, alpha[noun])
		f := visiting.Do(t, typ, json.RawMessage(body))
		require.Equal(t, "error", f.Type, "%s of a visitor", typ)
		unchanged(t, typ+" of a visitor")
	}

	// What happens in Alpha is not heard in Beta, and not in Alpha outside its group.
	deaf := []*Client{admin, onSocket, visiting, outsider.Connect(t)}
	s.Alpha.Send(t, alpha["interaction"], "among ourselves")
	s.Drained(t)
	for _, c := range deaf {
		for _, typ := range []string{wire.MessageCreated, wire.InteractionUpdated, wire.TypingEvent} {
			require.Empty(t, c.Events(typ))
		}
	}

	for operation := range auth.Roles {
		require.Positive(t, covered[operation], "%s is allowed to somebody and was not tried", operation)
	}
	for operation := range covered {
		require.Contains(t, auth.Roles, operation)
	}
	t.Logf("X4: %d operations and commands as another organisation: leaks 0", len(covered))
}

func bodyOf(b []byte) any {
	if b == nil {
		return nil
	}
	return b
}

var requestIDs = regexp.MustCompile(`"requestId":"[0-9a-f]*"`)

// anonymous is an answer without what differs in each.
func anonymous(body []byte, id string) string {
	return requestIDs.ReplaceAllString(strings.ReplaceAll(string(body), id, ""), "")
}
