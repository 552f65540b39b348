package omni_test

import (
	"slices"
	"strings"

	"omniservice/omni"
)

var longText = strings.Repeat("a", omni.MaxText+1)

// recordTables are those of plain records.
func recordTables() []table {
	return []table{
		tableOf(func() omni.Label {
			return omni.Label{ID: idA, Tenant: org(), Name: "VIP", Colour: "#1a73e8", Version: 1, SchemaVersion: omni.CurrentSchema}
		}, []func(*omni.Label){
			func(l *omni.Label) { l.Colour = "" },
		},
			rule[omni.Label]{"id", func(l *omni.Label) { l.ID = "" }},
			rule[omni.Label]{"tenant.organisationId", func(l *omni.Label) { l.Tenant = omni.Tenant{} }},
			rule[omni.Label]{"name", func(l *omni.Label) { l.Name = badName }},
			rule[omni.Label]{"colour", func(l *omni.Label) { l.Colour = "red" }},
			rule[omni.Label]{"schemaVersion.date", func(l *omni.Label) { l.SchemaVersion = omni.SchemaVersion{Version: 1} }},
		),
		tableOf(func() omni.Note {
			return omni.Note{
				ID: idA, Tenant: omni.Tenant{OrganisationID: idA, UserID: idB}, InteractionID: idA, Body: "Wants a call", Mentions: []string{idB},
				Version: 1, SchemaVersion: omni.CurrentSchema,
			}
		}, []func(*omni.Note){
			func(n *omni.Note) { n.Mentions = nil },
			func(n *omni.Note) { n.Body = longText[1:] },
			func(n *omni.Note) { n.EditedAt, n.EditedBy = 1, idB },
		},
			rule[omni.Note]{"id", func(n *omni.Note) { n.ID = "" }},
			rule[omni.Note]{"tenant.organisationId", func(n *omni.Note) { n.Tenant.OrganisationID = "" }},
			rule[omni.Note]{"tenant.userId", func(n *omni.Note) { n.Tenant.UserID = "" }},
			rule[omni.Note]{"interactionId", func(n *omni.Note) { n.InteractionID = badID }},
			rule[omni.Note]{"body", func(n *omni.Note) { n.Body = "" }},
			rule[omni.Note]{"body", func(n *omni.Note) { n.Body = longText }},
			rule[omni.Note]{"body", func(n *omni.Note) { n.Body = "a\x00" }},
			rule[omni.Note]{"mentions", func(n *omni.Note) { n.Mentions = slices.Repeat([]string{idA}, 51) }},
			rule[omni.Note]{"mentions", func(n *omni.Note) { n.Mentions = []string{badID} }},
			rule[omni.Note]{"editedBy", func(n *omni.Note) { n.EditedBy = badID }},
			rule[omni.Note]{"schemaVersion.date", func(n *omni.Note) { n.SchemaVersion = omni.SchemaVersion{Version: 1} }},
		),
	}
}
