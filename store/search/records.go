package search

import (
	"omniservice/omni"
	"omniservice/store"
)

// MessageTexts are what a message is found by: its text and the names of its files.
func MessageTexts(m omni.ServiceMessage) []string {
	texts := []string{m.Payload.TextBody()}
	for _, f := range m.Payload.Files() {
		if f.FileName != "" {
			texts = append(texts, f.FileName)
		}
	}
	return texts
}

// ContactTexts are what a contact is found by: the name first, then labels, external ids, and of each identity the
// address, the name and external ids.
func ContactTexts(c omni.Contact, identities []omni.ContactIdentity) []string {
	texts := append([]string{c.Name}, c.Labels...)
	for _, x := range c.ExternalIDs {
		texts = append(texts, x.ID)
	}
	for _, i := range identities {
		texts = append(texts, i.Address)
		if i.Name != "" && i.Name != c.Name {
			texts = append(texts, i.Name)
		}
		for _, x := range i.ExternalIDs {
			texts = append(texts, x.ID)
		}
	}
	return texts
}

// Message reports whether a message matches, and what of it to show.
func (q Query) Message(m omni.ServiceMessage) (store.Snippet, bool) {
	texts := MessageTexts(m)
	marks, ok := q.Match(texts...)
	if !ok {
		return store.Snippet{}, false
	}
	shown := 0
	for i := range texts {
		if len(marks[i]) > 0 {
			shown = i
			break
		}
	}
	return Snippet(texts[shown], marks[shown]), true
}

// Contact reports whether a contact matches, and what of it to show. Each text that matches is shown once.
func (q Query) Contact(c omni.Contact, identities []omni.ContactIdentity) (store.ContactHit, bool) {
	texts := ContactTexts(c, identities)
	marks, ok := q.Match(texts...)
	if !ok {
		return store.ContactHit{}, false
	}
	hit := store.ContactHit{Contact: c, Identities: identities, Name: Snippet(texts[0], marks[0])}
	seen := map[string]bool{}
	for i, text := range texts[1:] {
		if len(marks[i+1]) > 0 && !seen[text] {
			seen[text] = true
			hit.Also = append(hit.Also, Snippet(text, marks[i+1]))
		}
	}
	return hit, true
}

// Takes reports whether a message of an interaction is one of those that f wants, apart from its query. groups are
// f.GroupIDs as a set.
func Takes(f store.MessageSearch, groups map[string]bool, m omni.ServiceMessage, i omni.Interaction) bool {
	at := m.CreatedAt
	if at == 0 {
		at = m.ReceivedAt
	}
	return groups[i.GroupID] && i.ID == m.InteractionID &&
		(f.InteractionID == "" || f.InteractionID == i.ID) &&
		(f.ContactID == "" || f.ContactID == i.ContactID) &&
		(f.ChannelID == "" || f.ChannelID == m.Channel.DigitalChannelID) &&
		(f.Direction == "" || f.Direction == m.Direction) &&
		(f.From == 0 || at >= f.From) && (f.Until == 0 || at < f.Until)
}
