package server_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"omniservice/omni"
	"omniservice/server"
)

// search calls the search as the bearer of a token.
func (s *system) search(token string, query ...string) server.SearchBody {
	s.t.Helper()
	v := url.Values{}
	for i := 0; i < len(query); i += 2 {
		v.Set(query[i], query[i+1])
	}
	r := s.call(http.MethodGet, "/api/v1/search?"+v.Encode(), token, nil)
	require.Equal(s.t, http.StatusOK, r.StatusCode, r.body)
	var b server.SearchBody
	r.into(s.t, &b)
	return b
}

// inBrackets shows a text with [brackets] around what matches.
func inBrackets(parts []server.SnippetPart) string {
	var b strings.Builder
	for _, p := range parts {
		if p.Match {
			b.WriteString("[" + p.Text + "]")
			continue
		}
		b.WriteString(p.Text)
	}
	return b.String()
}

func messageIDs(b server.SearchBody) []string {
	ids := make([]string, 0, len(b.Messages))
	for _, h := range b.Messages {
		ids = append(ids, h.Message.ID)
	}
	return ids
}

// found waits until a search finds something: that is soon after it was written.
func (s *system) found(token string, query ...string) server.SearchBody {
	s.t.Helper()
	var b server.SearchBody
	require.Eventually(s.t, func() bool {
		b = s.search(token, query...)
		return len(b.Messages)+len(b.Contacts) > 0
	}, heardTime, heardTick)
	return b
}

func TestSearch(t *testing.T) {
	t.Parallel()
	s := start(t)
	m := s.visitorWrites(s.a, "Where is my order? 👍 <b>4711</b>")
	b := s.found(s.a.agentToken, "q", "ord 4711")
	require.Equal(t, []string{m.ID}, messageIDs(b))
	require.Equal(t, "Where is my [order]? 👍 <b>[4711]</b>", inBrackets(b.Messages[0].Snippet))
	require.Equal(t, m.InteractionID, b.Messages[0].Interaction.ID)
	require.Empty(t, b.Contacts)
	require.Empty(t, b.Next)

	for _, q := range []string{"rder", "order nowhere", "*", `"order my"`} {
		require.Empty(t, s.search(s.a.agentToken, "q", q).Messages, q)
	}
	for _, narrow := range [][]string{
		{"groupId", s.a.group.ID},
		{"interactionId", m.InteractionID},
		{"contactId", m.ContactID},
		{"channelId", s.a.livechat.ID},
		{"direction", string(omni.Inbound)},
		{"from", "1"},
		{"until", "99999999999999"},
	} {
		require.Len(t, s.search(s.a.agentToken, append(narrow, "q", "order")...).Messages, 1, narrow)
	}
	for _, narrow := range [][]string{{"direction", string(omni.Outbound)}, {"from", "99999999999999"}, {"until", "1"}} {
		require.Empty(t, s.search(s.a.agentToken, append(narrow, "q", "order")...).Messages, narrow)
	}

	// Pages.
	for range 4 {
		s.visitorWrites(s.a, "another order")
	}
	require.Eventually(t, func() bool { return len(s.search(s.a.agentToken, "q", "order").Messages) == 5 }, heardTime, heardTick)
	all := messageIDs(s.search(s.a.agentToken, "q", "order"))
	var got []string
	cursor := ""
	for range 10 {
		b := s.search(s.a.agentToken, "q", "order", "limit", "2", "cursor", cursor)
		got = append(got, messageIDs(b)...)
		if cursor = b.Next; cursor == "" {
			break
		}
	}
	require.Equal(t, all, got)

	// Contacts, whom everybody of the staff sees.
	c, err := s.store.Contact(t.Context(), omni.Org(s.a.org.ID), m.ContactID)
	require.NoError(t, err)
	c.Name = "Łukasz \u202eMüller"
	c.Labels = []string{"VIP"}
	_, err = s.store.UpdateContact(t.Context(), omni.Org(s.a.org.ID), c)
	require.NoError(t, err)
	b = s.found(s.a.agentToken, "in", "contacts", "q", "lukasz vip")
	require.Len(t, b.Contacts, 1)
	require.Equal(t, c.ID, b.Contacts[0].Contact.ID)
	require.Len(t, b.Contacts[0].Contact.Identities, 1)
	require.Equal(t, "[Łukasz] Müller", inBrackets(b.Contacts[0].Name))
	require.Len(t, b.Contacts[0].Also, 1)
	require.Equal(t, "[VIP]", inBrackets(b.Contacts[0].Also[0]))
	require.Empty(t, b.Messages)
}

func TestSec_A1_SearchesAreApart(t *testing.T) {
	t.Parallel()
	s := start(t)
	m := s.visitorWrites(s.a, "a canary of the first")
	theirs := s.visitorWrites(s.b, "a canary of the second")
	require.Equal(t, []string{m.ID}, messageIDs(s.found(s.a.adminToken, "q", "canary")))
	require.Equal(t, []string{theirs.ID}, messageIDs(s.found(s.b.adminToken, "q", "canary")))
	require.Empty(t, s.search(s.b.adminToken, "q", "canary first").Messages)
	for param, id := range map[string]string{
		"groupId": s.a.group.ID, "interactionId": m.InteractionID, "contactId": m.ContactID, "channelId": s.a.livechat.ID,
	} {
		// Another organisation's are as those of nobody.
		want := s.call(http.MethodGet, "/api/v1/search?q=canary&"+param+"="+omni.NewID(), s.b.adminToken, nil)
		require.Equal(t, http.StatusNotFound, want.StatusCode, want.body)
		got := s.call(http.MethodGet, "/api/v1/search?q=canary&"+param+"="+id, s.b.adminToken, nil)
		require.Equal(t, http.StatusNotFound, got.StatusCode, got.body)
		require.Equal(t, want.code(t), got.code(t))
	}
	i, err := s.store.Identities(t.Context(), omni.Org(s.a.org.ID), m.ContactID)
	require.NoError(t, err)
	require.Len(t, s.found(s.a.adminToken, "in", "contacts", "q", i[0].Address).Contacts, 1)
	require.Empty(t, s.search(s.b.adminToken, "in", "contacts", "q", i[0].Address).Contacts)

	// An agent who is in no group finds nothing, and the group is not there for them.
	outsider := s.agentOutside(s.a)
	require.Empty(t, s.search(outsider, "q", "canary").Messages)
	for _, query := range []string{"groupId=" + s.a.group.ID, "interactionId=" + m.InteractionID} {
		got := s.call(http.MethodGet, "/api/v1/search?q=canary&"+query, outsider, nil)
		require.Equal(t, http.StatusNotFound, got.StatusCode, query)
	}
}

func TestSec_A8_SearchesAreBounded(t *testing.T) {
	t.Parallel()
	s := start(t)
	for _, query := range []string{
		"", "q=", "q=x&limit=201", "q=x&limit=0", "q=x&cursor=x", "q=x&in=users", "q=x&direction=up", "q=x&from=-1",
		"q=" + strings.Repeat("x", 1001), "in=contacts&q=x&cursor=x",
	} {
		got := s.call(http.MethodGet, "/api/v1/search?"+query, s.a.adminToken, nil)
		require.Equal(t, http.StatusBadRequest, got.StatusCode, "%s: %s", query, got.body)
	}
	for _, q := range []string{`" OR *`, "NEAR(a b)", "{}:", "\x00", "%ff", `"`, "' OR 1=1 --", strings.Repeat("界", 333)} {
		s.search(s.a.adminToken, "q", q)
		s.search(s.a.adminToken, "q", q, "in", "contacts")
	}
}

// agentOutside makes an agent who is in no group, and logs them in.
func (s *system) agentOutside(x tenant) string {
	s.t.Helper()
	u := x.agent
	u.ID, u.Email, u.Version = omni.NewID(), omni.NewID()+"@example.com", 1
	require.NoError(s.t, s.store.CreateUser(s.t.Context(), omni.Org(x.org.ID), u))
	return s.login(u)
}
