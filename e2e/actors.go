package e2e

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"omniservice/omni"
	"omniservice/omni/wire"
)

// Answer is what REST answered.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte
}

// JSON reads the body into v.
func (a Answer) JSON(t testing.TB, v any) {
	t.Helper()
	require.NoError(t, json.Unmarshal(a.Body, v), "%d %s", a.Status, a.Body)
}

// Problem is an error answer (RFC 9457).
type Problem struct {
	Status  int               `json:"status"`
	Code    omni.Code         `json:"code"`
	Detail  string            `json:"detail"`
	Fields  map[string]string `json:"fields"`
	Details struct {
		Interaction wire.Interaction `json:"interaction"`
		By          wire.Person      `json:"by"`
	} `json:"details"`
	RequestID string `json:"requestId"`
}

// Problem reads the body as an error.
func (a Answer) Problem(t testing.TB) Problem {
	t.Helper()
	require.Contains(t, a.Header.Get("Content-Type"), "application/problem+json", "%d %s", a.Status, a.Body)
	var p Problem
	a.JSON(t, &p)
	require.Equal(t, a.Status, p.Status)
	require.NotEmpty(t, p.RequestID)
	return p
}

// Call makes one request. body is sent as JSON unless it is nil or a []byte; headers come in pairs.
func (s *System) Call(t testing.TB, method, path, bearer string, body any, headers ...string) Answer {
	t.Helper()
	a, err := s.call(method, path, bearer, body, headers...)
	require.NoError(t, err)
	return a
}

func (s *System) call(method, path, bearer string, body any, headers ...string) (Answer, error) {
	var reader io.Reader
	switch b := body.(type) {
	case nil:
	case []byte:
		reader = bytes.NewReader(b)
	default:
		j, err := json.Marshal(b)
		if err != nil {
			return Answer{}, fmt.Errorf("body: %w", err)
		}
		reader = bytes.NewReader(j)
	}
	r, err := http.NewRequest(method, s.URL+path, reader) //nolint:noctx // the client has a timeout
	if err != nil {
		return Answer{}, err
	}
	if reader != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	if bearer != "" {
		r.Header.Set("Authorization", "Bearer "+bearer)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	res, err := s.http.Do(r)
	if err != nil {
		return Answer{}, err
	}
	defer drain(res)
	b, err := io.ReadAll(res.Body)
	return Answer{Status: res.StatusCode, Header: res.Header, Body: b}, err
}

// Org is an organisation, seen by the program that sets it up.
type Org struct {
	Name       string
	ID         string
	AdminID    string
	LoginToken string // of the first admin; works once
	Key        string // an admin's API key

	sys *System
}

// Call makes a request with the admin's key.
func (o *Org) Call(t testing.TB, method, path string, body any, headers ...string) Answer {
	t.Helper()
	return o.sys.Call(t, method, path, o.Key, body, headers...)
}

// PNG is a picture of one pixel.
const PNG = "\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x00\x01\x00\x00\x00\x01\x08\x00\x00\x00\x00:~\x9bU\x00\x00\x00\nIDATx\x9cc`\x00\x00\x00\x02\x00\x01H\xaf\xa4q\x00\x00\x00\x00IEND\xaeB`\x82"

// Upload uploads a file as whoever the bearer names, and returns its id.
func (s *System) Upload(t testing.TB, bearer, name, content string) string {
	t.Helper()
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	part, err := w.CreateFormFile("file", name)
	require.NoError(t, err)
	_, err = io.WriteString(part, content)
	require.NoError(t, errors.Join(err, w.Close()))
	a := s.Call(t, http.MethodPost, "/api/v1/media", bearer, b.Bytes(), "Content-Type", w.FormDataContentType())
	require.Equal(t, http.StatusCreated, a.Status, "%s", a.Body)
	var f struct{ ID string }
	a.JSON(t, &f)
	return f.ID
}

// create posts body and reads the answer, which must be 200 or 201, into out.
func (o *Org) create(t testing.TB, path string, body, out any) {
	t.Helper()
	a := o.Call(t, http.MethodPost, path, body)
	require.Contains(t, []int{http.StatusOK, http.StatusCreated}, a.Status, "POST %s: %s", path, a.Body)
	a.JSON(t, out)
}

// Agent is a user who is logged in.
type Agent struct {
	ID    string
	Name  string
	Email string
	Token string // access token, 15 minutes
	Org   *Org
}

// Agent makes a user with a role, and logs in by the link that the answer holds.
func (o *Org) Agent(t testing.TB, name string, role omni.Role) *Agent {
	t.Helper()
	email := fmt.Sprintf("%s.%s@example.test", strings.ToLower(strings.ReplaceAll(name, " ", ".")), omni.NewToken(4))
	var user struct{ ID, LoginLink string }
	o.create(t, "/api/v1/users", map[string]any{"name": name, "email": email, "role": role}, &user)
	require.NotEmpty(t, user.LoginLink, "a user without a password needs a login link")
	_, token, _ := strings.Cut(user.LoginLink, "#token=")
	return o.login(t, map[string]any{"loginToken": token, "programmatic": true}, name, email)
}

func (o *Org) login(t testing.TB, body map[string]any, name, email string) *Agent {
	t.Helper()
	a := o.sys.Call(t, http.MethodPost, "/api/v1/auth/login", "", body)
	require.Equal(t, http.StatusOK, a.Status, "login: %s", a.Body)
	var session struct {
		AccessToken string
		User        struct{ ID string }
	}
	a.JSON(t, &session)
	return &Agent{ID: session.User.ID, Name: name, Email: email, Token: session.AccessToken, Org: o}
}

// Call makes a request as the agent.
func (a *Agent) Call(t testing.TB, method, path string, body any, headers ...string) Answer {
	t.Helper()
	return a.Org.sys.Call(t, method, path, a.Token, body, headers...)
}

// On is the agent at another node.
func (a *Agent) On(s *System) *Agent {
	there := *a
	there.Org = a.Org.On(s)
	return &there
}

// On is the organisation at another node.
func (o *Org) On(s *System) *Org {
	there := *o
	there.sys = s
	return &there
}

// Group makes a shared group and returns its id.
func (o *Org) Group(t testing.TB, name string, members ...*Agent) string {
	t.Helper()
	ids := []string{}
	for _, m := range members {
		ids = append(ids, m.ID)
	}
	var g struct{ ID string }
	o.create(t, "/api/v1/groups", map[string]any{"name": name, "type": omni.GroupShared, "memberIds": ids}, &g)
	return g.ID
}

// Account is an account at a carrier.
type Account struct {
	ID         string
	PublicID   string
	WebhookURL string
	SID        string // Twilio: AC and 32 digits
	AuthToken  string // the secret that webhooks are signed with
	Org        *Org
}

// TwilioAccount makes an account that the Twilio double knows as well.
func (o *Org) TwilioAccount(t testing.TB, name string) *Account {
	t.Helper()
	return o.TwilioAccountAs(t, name, "AC"+omni.NewToken(16), omni.NewToken(16))
}

// TwilioAccountAs makes one with a given SID and token.
func (o *Org) TwilioAccountAs(t testing.TB, name, sid, token string) *Account {
	t.Helper()
	acc := &Account{SID: sid, AuthToken: token, Org: o}
	o.create(t, "/api/v1/carrier-accounts", map[string]any{
		"carrier": omni.CarrierTwilio, "name": name, "config": map[string]string{"accountSid": sid},
		"credentials": map[string]string{"authToken": token},
	}, acc)
	require.NotEmpty(t, acc.PublicID)
	require.Equal(t, o.sys.PublicURL+"/webhooks/twilio/"+acc.PublicID, acc.WebhookURL)
	o.sys.Twilio.know(acc)
	return acc
}

// On is the account as the carrier reaches it at another node.
func (a *Account) On(s *System) *Account {
	there := *a
	there.Org = a.Org.On(s)
	return &there
}

// TestAccount makes an account at the carrier inside the gateway.
func (o *Org) TestAccount(t testing.TB, name string) *Account {
	t.Helper()
	acc := &Account{Org: o, AuthToken: omni.NewToken(32)}
	o.create(t, "/api/v1/carrier-accounts", map[string]any{
		"carrier": omni.CarrierTest, "name": name, "credentials": map[string]string{"secret": acc.AuthToken},
	}, acc)
	return acc
}

// Channel makes a channel of the account and returns its id.
func (a *Account) Channel(t testing.TB, family omni.ChannelType, address, groupID string) string {
	t.Helper()
	var c struct{ ID string }
	a.Org.create(t, "/api/v1/channels", map[string]any{
		"name": string(family) + " " + address, "groupId": groupID, "channelType": family,
		"carrierAccountId": a.ID, "address": address,
	}, &c)
	return c.ID
}

// Widget is a LiveChat channel.
type Widget struct {
	ID       string
	PublicID string
	sys      *System
}

// Widget makes a LiveChat channel.
func (o *Org) Widget(t testing.TB, groupID string, origins ...string) *Widget {
	t.Helper()
	if len(origins) == 0 {
		origins = []string{"https://shop.example.test"}
	}
	var c struct {
		ID       string
		LiveChat struct{ PublicID string }
	}
	o.create(t, "/api/v1/channels", map[string]any{
		"name": "Website", "groupId": groupID, "channelType": omni.ChannelLiveChat,
		"liveChat": map[string]any{"allowedOrigins": origins, "title": "Shop", "greeting": "Hello!", "accent": "#1a73e8"},
	}, &c)
	require.NotEmpty(t, c.LiveChat.PublicID)
	return &Widget{ID: c.ID, PublicID: c.LiveChat.PublicID, sys: o.sys}
}

// Visitor is somebody on a website.
type Visitor struct {
	ID           string               `json:"visitorId"`
	Token        string               `json:"token"`
	Ticket       string               `json:"ticket"`
	Topics       []wire.TopicPosition `json:"topics"`
	Conversation *struct {
		State          omni.InteractionState `json:"state"`
		ContactReadSeq int64                 `json:"contactReadSeq"`
		AgentReadSeq   int64                 `json:"agentReadSeq"`
		LastSeq        int64                 `json:"lastSeq"`
	} `json:"conversation"`

	sys *System
}

// Visit begins a visitor's session, or goes on with the one of token.
func (w *Widget) Visit(t testing.TB, token string) *Visitor {
	t.Helper()
	body := map[string]any{"widgetId": w.PublicID}
	if token != "" {
		body["token"] = token
	}
	a := w.sys.Call(t, http.MethodPost, "/livechat/v1/sessions", "", body, "Origin", w.sys.PublicURL)
	require.Contains(t, []int{http.StatusOK, http.StatusCreated}, a.Status, "%s", a.Body)
	v := &Visitor{sys: w.sys}
	a.JSON(t, v)
	require.NotEmpty(t, v.Token)
	return v
}

// Call makes a request as the visitor.
func (v *Visitor) Call(t testing.TB, method, path string, body any) Answer {
	t.Helper()
	return v.sys.Call(t, method, path, v.Token, body, "Origin", v.sys.PublicURL)
}

// page is how lists answer.
type page[T any] struct {
	Items   []T                  `json:"items"`
	Next    string               `json:"next"`
	HasMore bool                 `json:"hasMore"`
	Topics  []wire.TopicPosition `json:"topics"`
	Counts  struct{ Mine, Unassigned, All int }
}

// list reads all pages of a list that has cursors.
func list[T any](t testing.TB, call func(testing.TB, string, string, any, ...string) Answer, path string) []T {
	t.Helper()
	u, err := url.Parse(path)
	require.NoError(t, err)
	q := u.Query()
	q.Set("limit", "200")
	var all []T
	for {
		u.RawQuery = q.Encode()
		a := call(t, http.MethodGet, u.String(), nil)
		require.Equal(t, http.StatusOK, a.Status, "GET %s: %s", u, a.Body)
		var p page[T]
		a.JSON(t, &p)
		all = append(all, p.Items...)
		if p.Next == "" {
			return all
		}
		q.Set("cursor", p.Next)
	}
}

// Interactions lists all that the key's program sees, in a state.
func (o *Org) Interactions(t testing.TB, state omni.InteractionState) []wire.Interaction {
	t.Helper()
	return list[wire.Interaction](t, o.Call, "/api/v1/interactions?view=all&state="+string(state))
}

// Messages lists all messages of an interaction, oldest first.
func (o *Org) Messages(t testing.TB, interactionID string) []wire.Message {
	t.Helper()
	var all []wire.Message
	for window := ""; ; {
		a := o.Call(t, http.MethodGet, "/api/v1/interactions/"+interactionID+"/messages?limit=200"+window, nil)
		require.Equal(t, http.StatusOK, a.Status, "%s", a.Body)
		var p page[wire.Message]
		a.JSON(t, &p)
		all = append(p.Items, all...)
		if !p.HasMore {
			return all
		}
		window = fmt.Sprintf("&before=%d", all[0].Seq)
	}
}

// Contacts lists all contacts.
func (o *Org) Contacts(t testing.TB) []Contact {
	t.Helper()
	return list[Contact](t, o.Call, "/api/v1/contacts")
}

// Contact is a contact as REST gives it.
type Contact struct {
	ID         string
	Name       string
	Version    int64
	Identities []struct {
		ChannelType omni.ChannelType
		Address     string
		OptedOutAt  omni.Millis
	}
}
