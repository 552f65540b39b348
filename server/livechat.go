package server

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"

	"omniservice/omni"
	"omniservice/omni/wire"
	"omniservice/server/auth"
	"omniservice/store"
)

// WidgetBody is what a site's page may know of its widget before anybody opens it.
type WidgetBody struct {
	PublicID string `json:"publicId"`
	Title    string `json:"title"`
	Greeting string `json:"greeting"`
	Accent   string `json:"accent"`
	Online   bool   `json:"online" doc:"Somebody of the team is there; the chat takes messages either way"`
}

// ConversationBody is where a visitor's conversation stands.
type ConversationBody struct {
	State          omni.InteractionState `json:"state"`
	ContactReadSeq int64                 `json:"contactReadSeq"`
	AgentReadSeq   int64                 `json:"agentReadSeq"`
	LastSeq        int64                 `json:"lastSeq"`
}

// VisitorSessionBody is a website visitor, new or again.
type VisitorSessionBody struct {
	VisitorID    string               `json:"visitorId"`
	Token        string               `json:"token" doc:"Says who the visitor is; kept by the frame for 30 days"`
	ExpiresAt    omni.Millis          `json:"expiresAt"`
	Ticket       string               `json:"ticket" doc:"For the connect command of the socket"`
	Online       bool                 `json:"online" doc:"Somebody of the team is there; the event availability tells of changes"`
	Conversation *ConversationBody    `json:"conversation,omitempty"`
	Topics       []wire.TopicPosition `json:"topics" nullable:"false"`
}

// VisitorMessageListBody is a part of a visitor's conversation.
type VisitorMessageListBody struct {
	Items   []wire.VisitorMessage `json:"items" nullable:"false" doc:"Ascending by seq"`
	HasMore bool                  `json:"hasMore"`
	Topics  []wire.TopicPosition  `json:"topics" nullable:"false"`
}

type widgetInput struct {
	PublicID    string `path:"publicId" maxLength:"100"`
	Origin      string `header:"Origin" maxLength:"300" hidden:"true"`
	IfNoneMatch string `header:"If-None-Match" maxLength:"200"`
}

type widgetOutput struct {
	Status       int
	ETag         string `header:"ETag"`
	CacheControl string `header:"Cache-Control"`
	AllowOrigin  string `header:"Access-Control-Allow-Origin"`
	Policy       string `header:"Cross-Origin-Resource-Policy"`
	Body         WidgetBody
}

type visitorSessionInput struct {
	Origin string `header:"Origin" maxLength:"300" hidden:"true"`
	Body   struct {
		WidgetID string `json:"widgetId" maxLength:"100"`
		Token    string `json:"token,omitempty" maxLength:"4096" doc:"The token of before: the same visitor again"`
	}
}

type visitorMessageInput struct {
	Body struct {
		ClientID string              `json:"clientId" maxLength:"36"`
		Payload  visitorPayloadInput `json:"payload"`
	}
}

type visitorPayloadInput struct {
	Text string `json:"text" maxLength:"65536"`
}

type visitorInput struct {
	Body struct {
		Name  string `json:"name,omitempty" maxLength:"800"`
		Email string `json:"email,omitempty" maxLength:"254"`
		Phone string `json:"phone,omitempty" maxLength:"100"`
		Page  string `json:"page,omitempty" maxLength:"4096" doc:"Address of the page that the visitor is on; its query is not kept"`
	}
}

type visitorSentOutput struct {
	Status int
	Body   wire.VisitorMessage
}

func (s *Server) apiLiveChat() {
	register(s, endpoint{
		id: "livechat-widget", method: http.MethodGet, path: "/livechat/v1/widgets/{publicId}", tag: "livechat",
		summary: "What a site's page may know of its widget",
	}, s.widget)
	register(s, endpoint{
		id: "livechat-session", method: http.MethodPost, path: "/livechat/v1/sessions", tag: "livechat",
		summary: "Begin or go on as a visitor",
	}, s.visitorSession)
	register(s, endpoint{
		id: "livechat-messages", method: http.MethodGet, path: "/livechat/v1/messages", tag: "livechat",
		summary: "The visitor's conversation: the newest messages, or those before or after a seq",
	}, s.visitorMessages)
	register(s, endpoint{
		id: "livechat-message-send", method: http.MethodPost, path: "/livechat/v1/messages", tag: "livechat", status: http.StatusCreated,
		summary: "Write as a visitor",
	}, func(ctx context.Context, p auth.Principal, in *visitorMessageInput) (*visitorSentOutput, error) {
		m, created, err := s.d.Pipeline.VisitorSend(ctx, *p.Visitor, wire.SendMessage{
			ClientID: in.Body.ClientID, Payload: wire.SendPayload{Text: in.Body.Payload.Text},
		})
		if err != nil {
			return nil, err
		}
		out := &visitorSentOutput{Status: http.StatusOK, Body: s.visitorView(ctx, m)}
		if created {
			out.Status = http.StatusCreated
		}
		return out, nil
	})
	register(s, endpoint{
		id: "livechat-end", method: http.MethodPost, path: "/livechat/v1/conversation/end", tag: "livechat", status: http.StatusNoContent,
		summary: "End the visitor's conversation; writing again opens it again",
	}, func(ctx context.Context, p auth.Principal, _ *noInput) (*noOutput, error) {
		return nil, s.d.Pipeline.VisitorEnd(ctx, *p.Visitor)
	})
	register(s, endpoint{
		id: "livechat-visitor", method: http.MethodPatch, path: "/livechat/v1/visitor", tag: "livechat", status: http.StatusNoContent,
		summary: "Say something of oneself as a visitor; nobody vouches for it, and agents see that", sample: `{"name":"Ana"}`,
	}, func(ctx context.Context, p auth.Principal, in *visitorInput) (*noOutput, error) {
		return nil, s.updateVisitor(ctx, *p.Visitor, wire.UpdateVisitor(in.Body))
	})
}

// visitorUpdates is how often a visitor may say something of themselves: all agents of the organisation hear of it.
var visitorUpdates = Rate{PerSecond: 0.2, Burst: 20}

func (s *Server) updateVisitor(ctx context.Context, v omni.Visitor, c wire.UpdateVisitor) error {
	if wait, ok := s.visitorUpdates.allow(v.ID); !ok {
		return tooMany(wait)
	}
	return s.d.Pipeline.VisitorUpdate(ctx, v, c)
}

// visitor is who a visitor's token names.
func (s *Server) visitor(_ context.Context, token string) (auth.Principal, error) {
	return s.auth.Visitor(token)
}

func (s *Server) widget(ctx context.Context, _ auth.Principal, in *widgetInput) (*widgetOutput, error) {
	c, err := s.widgets.find(ctx, in.PublicID)
	if err != nil {
		return nil, err
	}
	l := c.LiveChat
	out := &widgetOutput{
		Status: http.StatusOK, CacheControl: "public, max-age=60", Policy: "cross-origin",
		Body: WidgetBody{PublicID: l.PublicID, Title: l.Title, Greeting: l.Greeting, Accent: l.Accent, Online: s.online(ctx, c)},
	}
	if slices.Contains(l.AllowedOrigins, in.Origin) || s.ownOrigin(in.Origin) {
		out.AllowOrigin = in.Origin
	}
	b, err := json.Marshal(out.Body)
	if err != nil {
		return nil, fmt.Errorf("encode a widget: %w", err)
	}
	sum := sha256.Sum256(b)
	out.ETag = `"` + hex.EncodeToString(sum[:8]) + `"`
	if in.IfNoneMatch == out.ETag {
		out.Status = http.StatusNotModified
	}
	return out, nil
}

func (s *Server) visitorSession(ctx context.Context, _ auth.Principal, in *visitorSessionInput) (*plain[VisitorSessionBody], error) {
	if in.Origin != "" && !s.ownOrigin(in.Origin) {
		return nil, omni.Problemf(omni.ErrForbidden, "Visitors come through the widget's frame.")
	}
	c, err := s.widgets.find(ctx, in.Body.WidgetID)
	if err != nil {
		return nil, err
	}
	v, known := s.sameVisitor(in.Body.Token, c)
	if !known {
		if wait, ok := s.newVisitors.allow(peerOf(ctx)); !ok {
			return nil, tooMany(wait)
		}
		v = omni.Visitor{ID: omni.NewToken(16), OrganisationID: c.Tenant.OrganisationID, DigitalChannelID: c.ID}
	}
	b := VisitorSessionBody{VisitorID: v.ID, Online: s.online(ctx, c)}
	if b.Token, b.ExpiresAt, err = s.auth.NewVisitor(v); err != nil {
		return nil, err
	}
	if b.Topics, err = s.d.Hub.Positions(ctx, []string{omni.VisitorTopic(v.ID)}); err != nil {
		return nil, err
	}
	if known {
		i, err := s.d.Pipeline.VisitorInteraction(ctx, v)
		if err != nil && !errors.Is(err, omni.ErrNotFound) {
			return nil, err
		}
		if err == nil {
			b.Conversation = &ConversationBody{State: i.State, ContactReadSeq: i.ContactReadSeq, AgentReadSeq: i.AgentReadSeq, LastSeq: i.LastSequence}
		}
	}
	b.Ticket, _, err = s.auth.NewTicket(ctx, auth.Principal{
		Tenant: omni.Org(v.OrganisationID), Role: omni.RoleVisitor, Visitor: &v, ExpiresAt: b.ExpiresAt,
	})
	return &plain[VisitorSessionBody]{Body: b}, err
}

// sameVisitor is the visitor of a token that belongs to this widget. Any other token is as none.
func (s *Server) sameVisitor(token string, c omni.DigitalChannel) (omni.Visitor, bool) {
	if token == "" {
		return omni.Visitor{}, false
	}
	p, err := s.auth.Visitor(token)
	if err != nil || p.Visitor.DigitalChannelID != c.ID || p.Visitor.OrganisationID != c.Tenant.OrganisationID {
		return omni.Visitor{}, false
	}
	return *p.Visitor, true
}

func (s *Server) visitorMessages(ctx context.Context, p auth.Principal, in *WindowInput) (*plain[VisitorMessageListBody], error) {
	w, err := in.window()
	if err != nil {
		return nil, err
	}
	topics, err := s.d.Hub.Positions(ctx, []string{omni.VisitorTopic(p.Visitor.ID)})
	if err != nil {
		return nil, err
	}
	out := &plain[VisitorMessageListBody]{Body: VisitorMessageListBody{Items: []wire.VisitorMessage{}, Topics: topics}}
	i, err := s.d.Pipeline.VisitorInteraction(ctx, *p.Visitor)
	if errors.Is(err, omni.ErrNotFound) {
		return out, nil
	}
	if err != nil {
		return nil, err
	}
	ms, err := s.d.Pipeline.VisitorMessages(ctx, *p.Visitor, w)
	if err != nil {
		return nil, err
	}
	ascending(ms)
	for _, m := range ms {
		out.Body.Items = append(out.Body.Items, s.visitorView(ctx, m))
	}
	out.Body.HasMore = hasMore(ms, in.After.Given, i.LastSequence)
	return out, nil
}

// widgets finds LiveChat channels by their public ids and remembers them for a moment, since anyone may ask.
type widgets struct {
	store store.Store
	now   func() time.Time

	mu   sync.Mutex
	byID map[string]knownWidget
}

type knownWidget struct {
	till    time.Time
	channel omni.DigitalChannel
	err     error
}

const (
	keepWidget = 3 * time.Second
	maxWidgets = 10_000
)

func newWidgets(st store.Store, now func() time.Time) *widgets {
	return &widgets{store: st, now: now, byID: map[string]knownWidget{}}
}

// find returns an open LiveChat channel, or omni.ErrNotFound.
func (w *widgets) find(ctx context.Context, publicID string) (omni.DigitalChannel, error) {
	now := w.now()
	w.mu.Lock()
	k, ok := w.byID[publicID]
	w.mu.Unlock()
	if ok && now.Before(k.till) {
		return k.channel, k.err
	}
	c, err := w.store.LiveChatChannel(ctx, publicID)
	if err == nil && (c.Disabled || c.LiveChat == nil) {
		err = omni.ErrNotFound
	}
	if err != nil && !errors.Is(err, omni.ErrNotFound) {
		return omni.DigitalChannel{}, fmt.Errorf("find a widget: %w", err)
	}
	if err != nil {
		c, err = omni.DigitalChannel{}, omni.Problemf(omni.ErrNotFound, "There is no such widget.")
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.byID) >= maxWidgets {
		clear(w.byID)
	}
	w.byID[publicID] = knownWidget{till: now.Add(keepWidget), channel: c, err: err}
	return c, err
}

// forget drops all that is remembered.
func (w *widgets) forget() {
	w.mu.Lock()
	clear(w.byID)
	w.mu.Unlock()
}
