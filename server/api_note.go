package server

import (
	"context"
	"net/http"
	"slices"

	"omniservice/omni"
	"omniservice/omni/wire"
	"omniservice/server/auth"
)

type noteListInput struct {
	RecordInput
	PageInput
}

type noteInput struct {
	RecordInput

	Body struct {
		ClientID string   `json:"clientId" maxLength:"36" doc:"UUIDv7, the note's id from then on: the same again answers the same note"`
		Body     string   `json:"body" maxLength:"65536"`
		Mentions []string `json:"mentions,omitempty" nullable:"false" maxItems:"50" doc:"Ids of users who see the interaction"`
	}
}

// noteOutput is a note that was taken: 201 the first time, 200 if it was there.
type noteOutput struct {
	Status int
	Body   wire.Note
}

type draftInput struct {
	RecordInput

	Body struct {
		Tab     omni.DraftTab `json:"tab" enum:"reply,note"`
		Text    string        `json:"text" maxLength:"65536" doc:"Empty when it was sent"`
		ReplyTo string        `json:"replyTo,omitempty" maxLength:"36"`
		Version int64         `json:"version" minimum:"0" doc:"That was read; 0: there was none"`
	}
}

// DraftsBody is what the caller has written in an interaction.
type DraftsBody struct {
	Items []wire.Draft `json:"items" nullable:"false" doc:"At most one for each tab"`
}

func (s *Server) apiNotes() {
	one := map[string]string{"id": "interaction"}
	register(s, endpoint{
		id: "note-list", method: http.MethodGet, path: "/api/v1/interactions/{id}/notes", tag: "notes",
		summary: "Notes beside an interaction, newest first", scope: one,
	}, func(ctx context.Context, p auth.Principal, in *noteListInput) (*listOutput[wire.Note], error) {
		l, err := s.d.Pipeline.Notes(ctx, actor(p), in.ID, page(&in.PageInput))
		if err != nil {
			return nil, err
		}
		return newList(l.Items, l.Next, wire.NewNote), nil
	})
	register(s, endpoint{
		id: "note-add", method: http.MethodPost, path: "/api/v1/interactions/{id}/notes", tag: "notes", status: http.StatusCreated,
		summary: "Write a note beside an interaction", scope: map[string]string{"id": "interaction", "mentions": "user"},
		sample: `{"clientId":"01990000-0000-7000-8000-000000000003","body":"note","mentions":["{user}"]}`,
	}, func(ctx context.Context, p auth.Principal, in *noteInput) (*noteOutput, error) {
		n, created, err := s.d.Pipeline.AddNote(ctx, actor(p), wire.AddNote{
			InteractionID: in.ID, ClientID: in.Body.ClientID, Body: in.Body.Body, Mentions: in.Body.Mentions,
		})
		if err != nil {
			return nil, err
		}
		out := &noteOutput{Status: http.StatusOK, Body: wire.NewNote(n)}
		if created {
			out.Status = http.StatusCreated
		}
		return out, nil
	})
	register(s, endpoint{
		id: "draft-list", method: http.MethodGet, path: "/api/v1/drafts", tag: "notes",
		summary: "What the caller has written and not sent, newest first",
	}, func(ctx context.Context, p auth.Principal, in *PageInput) (*listOutput[wire.Draft], error) {
		l, err := s.d.Store.Drafts().List(ctx, p.Tenant, p.Tenant.UserID, page(in))
		if err != nil {
			return nil, err
		}
		written := slices.DeleteFunc(l.Items, func(d omni.Draft) bool { return d.Text == "" })
		return newList(written, l.Next, wire.NewDraft), nil
	})
	register(s, endpoint{
		id: "interaction-drafts", method: http.MethodGet, path: "/api/v1/interactions/{id}/drafts", tag: "notes",
		summary: "What the caller has written in an interaction and not sent", scope: one,
	}, func(ctx context.Context, p auth.Principal, in *RecordInput) (*plain[DraftsBody], error) {
		ds, err := s.d.Pipeline.Drafts(ctx, actor(p), in.ID)
		if err != nil {
			return nil, err
		}
		return &plain[DraftsBody]{Body: DraftsBody{Items: newList(ds, "", wire.NewDraft).Body.Items}}, nil
	})
	register(s, endpoint{
		id: "draft-save", method: http.MethodPut, path: "/api/v1/interactions/{id}/drafts", tag: "notes",
		summary: "Keep what the caller has written and not sent", scope: map[string]string{"id": "interaction", "replyTo": "message"},
		sample: `{"tab":"reply","text":"Hel","replyTo":"{message}","version":0}`,
	}, func(ctx context.Context, p auth.Principal, in *draftInput) (*plain[wire.Draft], error) {
		d, err := s.d.Pipeline.SaveDraft(ctx, actor(p), wire.SaveDraft{
			InteractionID: in.ID, Tab: in.Body.Tab, Text: in.Body.Text, ReplyTo: in.Body.ReplyTo, Version: in.Body.Version,
		})
		if err != nil {
			return nil, err
		}
		return &plain[wire.Draft]{Body: wire.NewDraft(d)}, nil
	})
}
