package store

import "omniservice/omni"

// Desk is what agents work with, besides interactions and messages.
type Desk interface {
	Labels() Records[omni.Label] // by name
	Notes() Records[omni.Note]   // of an interaction, newest first
}

// The kinds of plain records.
var (
	LabelKind = Kind[omni.Label]{
		Name: "label", Collection: "labels",
		Meta:   func(r *omni.Label) Meta { return Meta{&r.ID, &r.Tenant, &r.Version} },
		Sort:   Field[omni.Label]{Name: "name", Text: func(r *omni.Label) string { return r.Name }},
		Unique: []Field[omni.Label]{{Name: "nameKey", Derived: true, Text: func(r *omni.Label) string { return omni.FoldName(r.Name) }}},
	}
	NoteKind = Kind[omni.Note]{
		Name: "note", Collection: "notes",
		Meta:   func(r *omni.Note) Meta { return Meta{&r.ID, &r.Tenant, &r.Version} },
		Of:     &Field[omni.Note]{Name: "interactionId", Text: func(r *omni.Note) string { return r.InteractionID }},
		Sort:   Field[omni.Note]{Name: "createdAt", Number: func(r *omni.Note) int64 { return int64(r.CreatedAt) }},
		Newest: true,
	}
)
