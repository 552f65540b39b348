package server

import (
	"context"
	"math"
	"net/http"
	"reflect"
	"slices"

	"github.com/danielgtaylor/huma/v2"

	"omniservice/omni"
	"omniservice/omni/wire"
	"omniservice/server/auth"
	"omniservice/store"
)

// InteractionListBody is a page of interactions.
type InteractionListBody struct {
	Items  []wire.Interaction   `json:"items" nullable:"false"`
	Next   string               `json:"next,omitempty"`
	Counts store.Counts         `json:"counts" doc:"Of open interactions; 100 means 100 or more"`
	Topics []wire.TopicPosition `json:"topics" nullable:"false" doc:"Where the caller's topics stood before the list was read"`
}

// InteractionBody is an interaction.
type InteractionBody struct {
	wire.Interaction

	Topics []wire.TopicPosition `json:"topics" nullable:"false"`
}

// MessageListBody is a part of an interaction's messages.
type MessageListBody struct {
	Items   []wire.Message       `json:"items" nullable:"false" doc:"Ascending by seq"`
	HasMore bool                 `json:"hasMore" doc:"There are more in the direction that was asked for"`
	Topics  []wire.TopicPosition `json:"topics" nullable:"false"`
}

type interactionListInput struct {
	PageInput

	View      string `query:"view" enum:"mine,unassigned,all" default:"all"`
	State     string `query:"state" enum:"open,snoozed,resolved" default:"open"`
	GroupID   string `query:"groupId" maxLength:"36"`
	ContactID string `query:"contactId" maxLength:"36"`
}

type messageWindowInput struct {
	RecordInput
	WindowInput
}

// WindowInput asks for messages by their place in a conversation.
type WindowInput struct {
	Before Sequence `query:"before" doc:"Only messages below this seq: the newest of them"`
	After  Sequence `query:"after" doc:"Only messages above this seq, which may be 0: the oldest of them"`
	Limit  int      `query:"limit" minimum:"1" maximum:"200" default:"50"`
}

// Sequence is a message's place as a parameter that may be left out.
type Sequence struct {
	Value int64
	Given bool
}

// Schema implements huma.SchemaProvider.
func (Sequence) Schema(huma.Registry) *huma.Schema {
	zero := 0.0
	return &huma.Schema{Type: huma.TypeInteger, Format: "int64", Minimum: &zero}
}

// Receiver implements huma.ParamWrapper.
func (q *Sequence) Receiver() reflect.Value { return reflect.ValueOf(q).Elem().Field(0) }

// OnParamSet implements huma.ParamReactor.
func (q *Sequence) OnParamSet(given bool, _ any) { q.Given = given }

// window is what the store is asked for. Where nothing is said it is the newest messages.
func (in WindowInput) window() (store.MessageWindow, error) {
	switch {
	case in.Before.Given && in.After.Given:
		return store.MessageWindow{}, invalidField("before", "must not stand beside after")
	case in.After.Given:
		return store.MessageWindow{After: in.After.Value, Limit: in.Limit}, nil
	case in.Before.Given:
		return store.MessageWindow{Before: max(1, in.Before.Value), Limit: in.Limit}, nil
	default:
		return store.MessageWindow{Before: math.MaxInt64, Limit: in.Limit}, nil
	}
}

type actionInput struct {
	RecordInput

	Body struct {
		Version int64 `json:"version" minimum:"0"`
	}
}

type assignInput struct {
	RecordInput

	Body struct {
		Version int64 `json:"version" minimum:"0"`
		Owner   struct {
			Type omni.OrganisationalEntity `json:"type" enum:"User,Group"`
			ID   string                    `json:"id" maxLength:"36"`
		} `json:"owner"`
	}
}

type moveInput struct {
	RecordInput

	Body struct {
		Version int64  `json:"version" minimum:"0"`
		GroupID string `json:"groupId" maxLength:"36"`
	}
}

type snoozeInput struct {
	RecordInput

	Body struct {
		Version int64       `json:"version" minimum:"0"`
		Until   omni.Millis `json:"until" doc:"At most a year ahead; what the contact writes before opens it too"`
	}
}

type labelsInput struct {
	RecordInput

	Body struct {
		Version  int64    `json:"version" minimum:"0"`
		LabelIDs []string `json:"labelIds" nullable:"false" maxItems:"50" doc:"All that it has from now on"`
	}
}

type readInput struct {
	RecordInput

	Body struct {
		Seq int64 `json:"seq" minimum:"1"`
	}
}

type typingInput struct {
	RecordInput

	Body *struct {
		Stop bool `json:"stop,omitempty"`
	} `required:"false"`
}

func (s *Server) apiInteractions() {
	one := map[string]string{"id": "interaction"}
	register(s, endpoint{
		id: "interaction-list", method: http.MethodGet, path: "/api/v1/interactions", tag: "interactions",
		summary: "Interactions that the caller sees, newest activity first",
	}, s.listInteractions)
	register(s, endpoint{
		id: "interaction-get", method: http.MethodGet, path: "/api/v1/interactions/{id}", tag: "interactions", summary: "An interaction", scope: one,
	}, func(ctx context.Context, p auth.Principal, in *RecordInput) (*record[InteractionBody], error) {
		topics, err := s.topics(ctx, p)
		if err != nil {
			return nil, err
		}
		i, err := s.d.Pipeline.Interaction(ctx, actor(p), in.ID)
		if err != nil {
			return nil, err
		}
		return &record[InteractionBody]{ETag: etag(i.Version), Body: InteractionBody{Interaction: wire.NewInteraction(i), Topics: topics}}, nil
	})
	register(s, endpoint{
		id: "interaction-messages", method: http.MethodGet, path: "/api/v1/interactions/{id}/messages", tag: "interactions",
		summary: "Messages of an interaction: the newest, or those before or after a seq", scope: one,
	}, s.listMessages)

	act := func(id, verb, summary string, do func(context.Context, Actor, wire.InteractionAction) (omni.Interaction, error)) {
		register(s, endpoint{
			id: id, method: http.MethodPost, path: "/api/v1/interactions/{id}/" + verb, tag: "interactions", summary: summary,
			scope: one, sample: `{"version":1}`,
		}, func(ctx context.Context, p auth.Principal, in *actionInput) (*record[wire.Interaction], error) {
			return interactionRecord(do(ctx, actor(p), wire.InteractionAction{InteractionID: in.ID, Version: in.Body.Version}))
		})
	}
	act("interaction-claim", "claim", "Take an interaction that nobody has", s.d.Pipeline.Claim)
	act("interaction-release", "release", "Give an interaction back to its group", s.d.Pipeline.Release)
	act("interaction-resolve", "resolve", "End an interaction", s.d.Pipeline.Resolve)
	act("interaction-reopen", "reopen", "Reopen a resolved interaction", s.d.Pipeline.Reopen)

	register(s, endpoint{
		id: "interaction-assign", method: http.MethodPost, path: "/api/v1/interactions/{id}/assign", tag: "interactions",
		summary: "Give an interaction to a user or a group", scope: map[string]string{"id": "interaction", "owner.id": "user"},
		sample: `{"version":1,"owner":{"type":"User","id":"{user}"}}`,
	}, func(ctx context.Context, p auth.Principal, in *assignInput) (*record[wire.Interaction], error) {
		return interactionRecord(s.d.Pipeline.Assign(ctx, actor(p), wire.AssignInteraction{
			InteractionID: in.ID, Version: in.Body.Version, Owner: wire.Owner{Type: in.Body.Owner.Type, ID: in.Body.Owner.ID},
		}))
	})
	register(s, endpoint{
		id: "interaction-move", method: http.MethodPost, path: "/api/v1/interactions/{id}/move", tag: "interactions",
		summary: "Give an interaction to another group, where nobody owns it", scope: map[string]string{"id": "interaction", "groupId": "group"},
		sample: `{"version":1,"groupId":"{group}"}`,
	}, func(ctx context.Context, p auth.Principal, in *moveInput) (*record[wire.Interaction], error) {
		return interactionRecord(s.d.Pipeline.Move(ctx, actor(p), wire.MoveInteraction{InteractionID: in.ID, Version: in.Body.Version, GroupID: in.Body.GroupID}))
	})
	register(s, endpoint{
		id: "interaction-snooze", method: http.MethodPost, path: "/api/v1/interactions/{id}/snooze", tag: "interactions",
		summary: "Put an interaction away until a moment, or until the contact writes", scope: one, sample: `{"version":1,"until":9999999999999}`,
	}, func(ctx context.Context, p auth.Principal, in *snoozeInput) (*record[wire.Interaction], error) {
		return interactionRecord(s.d.Pipeline.Snooze(ctx, actor(p), wire.SnoozeInteraction{InteractionID: in.ID, Version: in.Body.Version, Until: in.Body.Until}))
	})
	register(s, endpoint{
		id: "interaction-label", method: http.MethodPost, path: "/api/v1/interactions/{id}/label", tag: "interactions",
		summary: "Say which labels an interaction has", scope: map[string]string{"id": "interaction", "labelIds": "label"},
		sample: `{"version":1,"labelIds":["{label}"]}`,
	}, func(ctx context.Context, p auth.Principal, in *labelsInput) (*record[wire.Interaction], error) {
		return interactionRecord(s.d.Pipeline.Label(ctx, actor(p), wire.LabelInteraction{InteractionID: in.ID, Version: in.Body.Version, LabelIDs: in.Body.LabelIDs}))
	})
	register(s, endpoint{
		id: "interaction-read", method: http.MethodPost, path: "/api/v1/interactions/{id}/read", tag: "interactions",
		status: http.StatusNoContent, summary: "Note how far agents have read", scope: one, sample: `{"seq":1}`,
	}, func(ctx context.Context, p auth.Principal, in *readInput) (*noOutput, error) {
		return nil, s.d.Pipeline.Read(ctx, actor(p), wire.ReadMessage{InteractionID: in.ID, Seq: in.Body.Seq})
	})
	register(s, endpoint{
		id: "interaction-typing", method: http.MethodPost, path: "/api/v1/interactions/{id}/typing", tag: "interactions",
		status: http.StatusNoContent, summary: "Tell others that one types, or has stopped", scope: one, sample: `{}`,
	}, func(ctx context.Context, p auth.Principal, in *typingInput) (*noOutput, error) {
		return nil, s.d.Pipeline.Typing(ctx, actor(p), wire.TypingCommand{InteractionID: in.ID, Stop: in.Body != nil && in.Body.Stop})
	})
}

func interactionRecord(i omni.Interaction, err error) (*record[wire.Interaction], error) {
	if err != nil {
		return nil, err
	}
	return &record[wire.Interaction]{ETag: etag(i.Version), Body: wire.NewInteraction(i)}, nil
}

// topics says where the caller's topics stand. It is read before a list, so that the list is at least as new.
func (s *Server) topics(ctx context.Context, p auth.Principal) ([]wire.TopicPosition, error) {
	names, err := s.grants(ctx, p)
	if err != nil {
		return nil, err
	}
	return s.d.Hub.Positions(ctx, names)
}

func (s *Server) listInteractions(ctx context.Context, p auth.Principal, in *interactionListInput) (*plain[InteractionListBody], error) {
	topics, err := s.topics(ctx, p)
	if err != nil {
		return nil, err
	}
	groups, err := s.d.Pipeline.VisibleGroups(ctx, actor(p))
	if err != nil {
		return nil, err
	}
	ids := idsOf(groups)
	f := store.InteractionFilter{GroupIDs: ids, State: omni.InteractionState(in.State), ContactID: in.ContactID}
	if in.GroupID != "" {
		if !slices.Contains(ids, in.GroupID) {
			return nil, missing(omni.ErrNotFound, "group", in.GroupID)
		}
		f.GroupIDs = []string{in.GroupID}
	}
	if in.ContactID != "" {
		if err := knownID(in.ContactID); err != nil {
			return nil, err
		}
		if _, err := s.d.Store.Contact(ctx, p.Tenant, in.ContactID); err != nil {
			return nil, missing(err, "contact", in.ContactID)
		}
	}
	switch in.View {
	case "mine":
		f.OwnerID = p.Tenant.UserID
	case "unassigned":
		f.Unassigned = true
	}
	l, err := s.d.Store.ListInteractions(ctx, p.Tenant, f, page(&in.PageInput))
	if err != nil {
		return nil, err
	}
	counts, err := s.d.Store.CountInteractions(ctx, p.Tenant, ids)
	if err != nil {
		return nil, err
	}
	return &plain[InteractionListBody]{Body: InteractionListBody{
		Items: newList(l.Items, l.Next, wire.NewInteraction).Body.Items, Next: l.Next, Counts: counts, Topics: topics,
	}}, nil
}

func (s *Server) listMessages(ctx context.Context, p auth.Principal, in *messageWindowInput) (*plain[MessageListBody], error) {
	w, err := in.window()
	if err != nil {
		return nil, err
	}
	topics, err := s.topics(ctx, p)
	if err != nil {
		return nil, err
	}
	i, err := s.d.Pipeline.Interaction(ctx, actor(p), in.ID)
	if err != nil {
		return nil, err
	}
	ms, err := s.d.Store.ListMessages(ctx, p.Tenant, i.ID, w)
	if err != nil {
		return nil, err
	}
	ascending(ms)
	items, err := s.newMessages(ctx, p.Tenant, ms)
	if err != nil {
		return nil, err
	}
	return &plain[MessageListBody]{Body: MessageListBody{
		Items: items, HasMore: hasMore(ms, in.After.Given, i.LastSequence), Topics: topics,
	}}, nil
}

func ascending(ms []omni.ServiceMessage) {
	slices.SortFunc(ms, func(a, b omni.ServiceMessage) int { return int(a.Sequence - b.Sequence) })
}

// hasMore reports whether more messages follow a window in its direction. Sequences have no gaps.
func hasMore(ms []omni.ServiceMessage, after bool, last int64) bool {
	if len(ms) == 0 {
		return false
	}
	if after {
		return ms[len(ms)-1].Sequence < last
	}
	return ms[0].Sequence > 1
}
