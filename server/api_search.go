package server

import (
	"context"
	"net/http"
	"slices"

	"omniservice/omni"
	"omniservice/omni/wire"
	"omniservice/server/auth"
	"omniservice/store"
)

// SnippetPart is a stretch of a text in which a search found something. The parts of a text, one after the other, are the
// text; so nobody has to agree on how characters are counted.
type SnippetPart struct {
	Text  string `json:"text"`
	Match bool   `json:"match" doc:"This is what was looked for"`
}

// MessageHitBody is a message that was found.
type MessageHitBody struct {
	Message     wire.Message     `json:"message"`
	Interaction wire.Interaction `json:"interaction" doc:"That it belongs to"`
	Snippet     []SnippetPart    `json:"snippet" nullable:"false" doc:"Of its text, or of the name of a file"`
}

// ContactHitBody is a contact that was found.
type ContactHitBody struct {
	Contact ContactBody     `json:"contact"`
	Name    []SnippetPart   `json:"name" nullable:"false" doc:"The name, in parts"`
	Also    [][]SnippetPart `json:"also" nullable:"false" doc:"What else matches: addresses, names on channels, labels, external ids"`
}

// SearchBody is a page of what was found: of one kind, as was asked for.
type SearchBody struct {
	Messages []MessageHitBody `json:"messages" nullable:"false" doc:"Those that were stored last first"`
	Contacts []ContactHitBody `json:"contacts" nullable:"false" doc:"Newest first"`
	Next     string           `json:"next,omitempty" doc:"cursor of the next page; absent on the last. A page may hold fewer than limit, or none, and be followed by more"`
}

type searchInput struct {
	PageInput

	Query         string         `query:"q" required:"true" minLength:"1" maxLength:"1000" doc:"Words (their beginnings are enough), numbers in any format, symbols: all of them have to be found. Words between double quotes are found whole and in order"`
	In            string         `query:"in" enum:"messages,contacts" default:"messages"`
	GroupID       string         `query:"groupId" maxLength:"36" doc:"For messages, as all below"`
	InteractionID string         `query:"interactionId" maxLength:"36"`
	ContactID     string         `query:"contactId" maxLength:"36"`
	ChannelID     string         `query:"channelId" maxLength:"36"`
	Direction     omni.Direction `query:"direction" enum:"INBOUND,OUTBOUND"`
	From          int64          `query:"from" minimum:"0" doc:"Only messages of this moment or later"`
	Until         int64          `query:"until" minimum:"0" doc:"Only messages before this moment"`
}

func (s *Server) apiSearch() {
	register(s, endpoint{
		id: "search", method: http.MethodGet, path: "/api/v1/search", tag: "search",
		summary: "Messages that the caller sees, or contacts, by what is written in them",
	}, func(ctx context.Context, p auth.Principal, in *searchInput) (*plain[SearchBody], error) {
		b := SearchBody{Messages: []MessageHitBody{}, Contacts: []ContactHitBody{}}
		if in.In == "contacts" {
			l, err := s.d.Store.SearchContacts(ctx, p.Tenant, store.ContactSearch{Query: in.Query}, page(&in.PageInput))
			if err != nil {
				return nil, err
			}
			for _, h := range l.Items {
				c := ContactHitBody{Contact: newContact(h.Contact, h.Identities), Name: snippetParts(h.Name), Also: [][]SnippetPart{}}
				for _, also := range h.Also {
					c.Also = append(c.Also, snippetParts(also))
				}
				b.Contacts = append(b.Contacts, c)
			}
			b.Next = l.Next
			return &plain[SearchBody]{Body: b}, nil
		}
		q, err := s.messageSearch(ctx, p, in)
		if err != nil {
			return nil, err
		}
		l, err := s.d.Store.SearchMessages(ctx, p.Tenant, q, page(&in.PageInput))
		if err != nil {
			return nil, err
		}
		found := make([]omni.ServiceMessage, 0, len(l.Items))
		for _, h := range l.Items {
			found = append(found, h.Message)
		}
		messages, err := s.newMessages(ctx, p.Tenant, found)
		if err != nil {
			return nil, err
		}
		for n, h := range l.Items {
			b.Messages = append(b.Messages, MessageHitBody{
				Message: messages[n], Interaction: wire.NewInteraction(h.Interaction), Snippet: snippetParts(h.Snippet),
			})
		}
		b.Next = l.Next
		return &plain[SearchBody]{Body: b}, nil
	})
}

// messageSearch is what the store is asked for: never more than the caller sees. What they name and do not see is not
// there.
func (s *Server) messageSearch(ctx context.Context, p auth.Principal, in *searchInput) (store.MessageSearch, error) {
	q := store.MessageSearch{
		Query: in.Query, InteractionID: in.InteractionID, ContactID: in.ContactID, ChannelID: in.ChannelID, Direction: in.Direction,
		From: omni.Millis(in.From), Until: omni.Millis(in.Until),
	}
	groups, err := s.d.Pipeline.VisibleGroups(ctx, actor(p))
	if err != nil {
		return q, err
	}
	q.GroupIDs = idsOf(groups)
	if in.GroupID != "" {
		if !slices.Contains(q.GroupIDs, in.GroupID) {
			return q, missing(omni.ErrNotFound, "group", in.GroupID)
		}
		q.GroupIDs = []string{in.GroupID}
	}
	if in.InteractionID != "" {
		if _, err := s.d.Pipeline.Interaction(ctx, actor(p), in.InteractionID); err != nil {
			return q, err
		}
	}
	if in.ContactID != "" {
		if err := knownID(in.ContactID); err != nil {
			return q, err
		}
		if _, err := s.d.Store.Contact(ctx, p.Tenant, in.ContactID); err != nil {
			return q, missing(err, "contact", in.ContactID)
		}
	}
	if in.ChannelID != "" {
		if err := knownID(in.ChannelID); err != nil {
			return q, err
		}
		if _, err := s.d.Store.Channel(ctx, p.Tenant, in.ChannelID); err != nil {
			return q, missing(err, "channel", in.ChannelID)
		}
	}
	return q, nil
}

// snippetParts cuts a snippet at its marks.
func snippetParts(sn store.Snippet) []SnippetPart {
	parts := []SnippetPart{}
	add := func(text string, match bool) {
		if text != "" {
			parts = append(parts, SnippetPart{Text: text, Match: match})
		}
	}
	at := 0
	for _, m := range sn.Marks {
		add(sn.Text[at:m.Start], false)
		add(sn.Text[m.Start:m.End], true)
		at = m.End
	}
	add(sn.Text[at:], false)
	return parts
}
