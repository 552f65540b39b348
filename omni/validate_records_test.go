package omni_test

import (
	"encoding/json"
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

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
		tableOf(func() omni.Draft {
			return omni.Draft{ID: idA, Tenant: org(), Version: 1, SchemaVersion: omni.CurrentSchema, UserID: idA, InteractionID: idB, Tab: omni.DraftReply, Text: "so far"}
		}, []func(*omni.Draft){
			func(v *omni.Draft) { v.Text = "" },
			func(v *omni.Draft) { v.Tab, v.ReplyTo = omni.DraftNote, idB },
		},
			rule[omni.Draft]{"id", func(v *omni.Draft) { v.ID = badID }},
			rule[omni.Draft]{"tenant.organisationId", func(v *omni.Draft) { v.Tenant.OrganisationID = "" }},
			rule[omni.Draft]{"userId", func(v *omni.Draft) { v.UserID = "" }},
			rule[omni.Draft]{"interactionId", func(v *omni.Draft) { v.InteractionID = badID }},
			rule[omni.Draft]{"tab", func(v *omni.Draft) { v.Tab = "chat" }},
			rule[omni.Draft]{"text", func(v *omni.Draft) { v.Text = longText }},
			rule[omni.Draft]{"replyTo", func(v *omni.Draft) { v.ReplyTo = badID }},
			rule[omni.Draft]{"schemaVersion.date", func(v *omni.Draft) { v.SchemaVersion = omni.SchemaVersion{Version: 1} }},
		),
		tableOf(func() omni.CannedReply {
			return omni.CannedReply{ID: idA, Tenant: org(), Version: 1, SchemaVersion: omni.CurrentSchema, GroupID: idB, Shortcut: "hello", Name: "Greeting", Text: "Good day"}
		}, []func(*omni.CannedReply){
			func(v *omni.CannedReply) { v.GroupID = "" },
			func(v *omni.CannedReply) { v.Text, v.Files = "", []omni.MediaReference{validFile()} },
			func(v *omni.CannedReply) { v.Shortcut = strings.Repeat("é", 50) },
		},
			rule[omni.CannedReply]{"id", func(v *omni.CannedReply) { v.ID = badID }},
			rule[omni.CannedReply]{"tenant.organisationId", func(v *omni.CannedReply) { v.Tenant.OrganisationID = "" }},
			rule[omni.CannedReply]{"groupId", func(v *omni.CannedReply) { v.GroupID = badID }},
			rule[omni.CannedReply]{"shortcut", func(v *omni.CannedReply) { v.Shortcut = "" }},
			rule[omni.CannedReply]{"shortcut", func(v *omni.CannedReply) { v.Shortcut = "a b" }},
			rule[omni.CannedReply]{"shortcut", func(v *omni.CannedReply) { v.Shortcut = "a/b" }},
			rule[omni.CannedReply]{"shortcut", func(v *omni.CannedReply) { v.Shortcut = strings.Repeat("a", 51) }},
			rule[omni.CannedReply]{"name", func(v *omni.CannedReply) { v.Name = badName }},
			rule[omni.CannedReply]{"text", func(v *omni.CannedReply) { v.Text = longText }},
			rule[omni.CannedReply]{"text", func(v *omni.CannedReply) { v.Text = "" }},
			rule[omni.CannedReply]{"files", func(v *omni.CannedReply) { v.Files = slices.Repeat([]omni.MediaReference{validFile()}, 11) }},
			rule[omni.CannedReply]{"files.type", func(v *omni.CannedReply) { v.Files = []omni.MediaReference{{ID: idA, State: omni.MediaReady}} }},
			rule[omni.CannedReply]{"schemaVersion.date", func(v *omni.CannedReply) { v.SchemaVersion = omni.SchemaVersion{Version: 1} }},
		),
		tableOf(func() omni.Workflow {
			return omni.Workflow{ID: idA, Tenant: org(), Version: 1, SchemaVersion: omni.CurrentSchema, GroupID: idB, Name: "Rules", ActiveVersion: 2}
		}, []func(*omni.Workflow){
			func(v *omni.Workflow) { v.GroupID, v.ActiveVersion = "", 0 },
		},
			rule[omni.Workflow]{"id", func(v *omni.Workflow) { v.ID = badID }},
			rule[omni.Workflow]{"tenant.organisationId", func(v *omni.Workflow) { v.Tenant.OrganisationID = "" }},
			rule[omni.Workflow]{"groupId", func(v *omni.Workflow) { v.GroupID = badID }},
			rule[omni.Workflow]{"name", func(v *omni.Workflow) { v.Name = "" }},
			rule[omni.Workflow]{"activeVersion", func(v *omni.Workflow) { v.ActiveVersion = -1 }},
			rule[omni.Workflow]{"schemaVersion.date", func(v *omni.Workflow) { v.SchemaVersion = omni.SchemaVersion{Version: 1} }},
		),
		tableOf(func() omni.WorkflowVersion {
			return omni.WorkflowVersion{ID: idA, Tenant: org(), SchemaVersion: omni.CurrentSchema, WorkflowID: idB, Number: 1, Definition: `{"steps":[]}`}
		}, []func(*omni.WorkflowVersion){
			func(v *omni.WorkflowVersion) { v.Comment = "first" },
		},
			rule[omni.WorkflowVersion]{"id", func(v *omni.WorkflowVersion) { v.ID = badID }},
			rule[omni.WorkflowVersion]{"tenant.organisationId", func(v *omni.WorkflowVersion) { v.Tenant.OrganisationID = "" }},
			rule[omni.WorkflowVersion]{"workflowId", func(v *omni.WorkflowVersion) { v.WorkflowID = "" }},
			rule[omni.WorkflowVersion]{"number", func(v *omni.WorkflowVersion) { v.Number = 0 }},
			rule[omni.WorkflowVersion]{"definition", func(v *omni.WorkflowVersion) { v.Definition = "" }},
			rule[omni.WorkflowVersion]{"definition", func(v *omni.WorkflowVersion) { v.Definition = "{" }},
			rule[omni.WorkflowVersion]{"definition", func(v *omni.WorkflowVersion) { v.Definition = omni.RawJSON(`"` + strings.Repeat("a", 256<<10) + `"`) }},
			rule[omni.WorkflowVersion]{"comment", func(v *omni.WorkflowVersion) { v.Comment = strings.Repeat("a", 2001) }},
			rule[omni.WorkflowVersion]{"schemaVersion.date", func(v *omni.WorkflowVersion) { v.SchemaVersion = omni.SchemaVersion{Version: 1} }},
		),
		tableOf(func() omni.MessageTemplate {
			return omni.MessageTemplate{ID: idA, Tenant: org(), Version: 1, SchemaVersion: omni.CurrentSchema, CarrierAccountID: idB, CarrierID: "1689556908129832", Name: "reminder_2", Language: "en_US", Category: omni.TemplateUtility, Status: omni.TemplateApproved, Quality: omni.QualityGreen, Components: `[]`}
		}, []func(*omni.MessageTemplate){
			func(v *omni.MessageTemplate) { v.CarrierID = "" },
			func(v *omni.MessageTemplate) { v.Status, v.RejectedReason = omni.TemplateRejected, "SCAM" },
		},
			rule[omni.MessageTemplate]{"id", func(v *omni.MessageTemplate) { v.ID = badID }},
			rule[omni.MessageTemplate]{"tenant.organisationId", func(v *omni.MessageTemplate) { v.Tenant.OrganisationID = "" }},
			rule[omni.MessageTemplate]{"carrierAccountId", func(v *omni.MessageTemplate) { v.CarrierAccountID = badID }},
			rule[omni.MessageTemplate]{"carrierId", func(v *omni.MessageTemplate) { v.CarrierID = long256 }},
			rule[omni.MessageTemplate]{"name", func(v *omni.MessageTemplate) { v.Name = "" }},
			rule[omni.MessageTemplate]{"name", func(v *omni.MessageTemplate) { v.Name = "Reminder" }},
			rule[omni.MessageTemplate]{"name", func(v *omni.MessageTemplate) { v.Name = strings.Repeat("a", 513) }},
			rule[omni.MessageTemplate]{"language", func(v *omni.MessageTemplate) { v.Language = "" }},
			rule[omni.MessageTemplate]{"language", func(v *omni.MessageTemplate) { v.Language = long256 }},
			rule[omni.MessageTemplate]{"category", func(v *omni.MessageTemplate) { v.Category = "OTHER" }},
			rule[omni.MessageTemplate]{"status", func(v *omni.MessageTemplate) { v.Status = "approved" }},
			rule[omni.MessageTemplate]{"quality", func(v *omni.MessageTemplate) { v.Quality = "" }},
			rule[omni.MessageTemplate]{"components", func(v *omni.MessageTemplate) { v.Components = "" }},
			rule[omni.MessageTemplate]{"components", func(v *omni.MessageTemplate) { v.Components = "[" }},
			rule[omni.MessageTemplate]{"rejectedReason", func(v *omni.MessageTemplate) { v.RejectedReason = long256 }},
			rule[omni.MessageTemplate]{"schemaVersion.date", func(v *omni.MessageTemplate) { v.SchemaVersion = omni.SchemaVersion{Version: 1} }},
		),
		tableOf(func() omni.RerouteMapping {
			return omni.RerouteMapping{ID: idA, Tenant: org(), Version: 1, SchemaVersion: omni.CurrentSchema, CarrierAccountID: idB, Mapper: omni.RerouteByWABA, Key: "102290129340398", Environment: "staging", URL: "https://staging.example.com/webhooks"}
		}, []func(*omni.RerouteMapping){
			func(v *omni.RerouteMapping) { v.URL = "" },
			func(v *omni.RerouteMapping) { v.Mapper, v.Key = omni.RerouteDefault, "" },
		},
			rule[omni.RerouteMapping]{"id", func(v *omni.RerouteMapping) { v.ID = badID }},
			rule[omni.RerouteMapping]{"tenant.organisationId", func(v *omni.RerouteMapping) { v.Tenant.OrganisationID = "" }},
			rule[omni.RerouteMapping]{"carrierAccountId", func(v *omni.RerouteMapping) { v.CarrierAccountID = badID }},
			rule[omni.RerouteMapping]{"mapper", func(v *omni.RerouteMapping) { v.Mapper = "WABA" }},
			rule[omni.RerouteMapping]{"key", func(v *omni.RerouteMapping) { v.Key = "" }},
			rule[omni.RerouteMapping]{"key", func(v *omni.RerouteMapping) { v.Key = long256 }},
			rule[omni.RerouteMapping]{"key", func(v *omni.RerouteMapping) { v.Mapper = omni.RerouteDefault }},
			rule[omni.RerouteMapping]{"environment", func(v *omni.RerouteMapping) { v.Environment = "" }},
			rule[omni.RerouteMapping]{"url", func(v *omni.RerouteMapping) { v.URL = "http://staging.example.com" }},
			rule[omni.RerouteMapping]{"url", func(v *omni.RerouteMapping) { v.URL = "https://" }},
			rule[omni.RerouteMapping]{"schemaVersion.date", func(v *omni.RerouteMapping) { v.SchemaVersion = omni.SchemaVersion{Version: 1} }},
		),
		tableOf(func() omni.Webhook {
			return omni.Webhook{ID: idA, Tenant: org(), Version: 1, SchemaVersion: omni.CurrentSchema, Name: "CRM", URL: "https://crm.example.com/in?a=b", Events: []string{"message.created"}, Secrets: []omni.SealedSecret{{KeyID: "k"}}}
		}, []func(*omni.Webhook){
			func(v *omni.Webhook) { v.PausedAt, v.PauseReason = 1, "too many failures" },
		},
			rule[omni.Webhook]{"id", func(v *omni.Webhook) { v.ID = badID }},
			rule[omni.Webhook]{"tenant.organisationId", func(v *omni.Webhook) { v.Tenant.OrganisationID = "" }},
			rule[omni.Webhook]{"name", func(v *omni.Webhook) { v.Name = badName }},
			rule[omni.Webhook]{"url", func(v *omni.Webhook) { v.URL = "" }},
			rule[omni.Webhook]{"url", func(v *omni.Webhook) { v.URL = "http://crm.example.com" }},
			rule[omni.Webhook]{"url", func(v *omni.Webhook) { v.URL = "https://user:pass@crm.example.com" }},
			rule[omni.Webhook]{"url", func(v *omni.Webhook) { v.URL = "https://crm.example.com/" + strings.Repeat("a", 2000) }},
			rule[omni.Webhook]{"events", func(v *omni.Webhook) { v.Events = nil }},
			rule[omni.Webhook]{"events", func(v *omni.Webhook) { v.Events = slices.Repeat(v.Events, 101) }},
			rule[omni.Webhook]{"events", func(v *omni.Webhook) { v.Events = []string{"Message created"} }},
			rule[omni.Webhook]{"secrets", func(v *omni.Webhook) { v.Secrets = nil }},
			rule[omni.Webhook]{"pauseReason", func(v *omni.Webhook) { v.PauseReason = strings.Repeat("a", 2001) }},
			rule[omni.Webhook]{"schemaVersion.date", func(v *omni.Webhook) { v.SchemaVersion = omni.SchemaVersion{Version: 1} }},
		),
		tableOf(func() omni.MediaFile {
			return omni.MediaFile{ID: idA, Tenant: org(), Version: 1, SchemaVersion: omni.CurrentSchema, MessageID: idB, Type: omni.MediaImage, ContentType: "image/png", Size: 7, SHA256: strings.Repeat("0a", 32), FileName: "a.png"}
		}, []func(*omni.MediaFile){
			func(v *omni.MediaFile) { v.MessageID = "" },
			func(v *omni.MediaFile) { v.FromID = idB },
			func(v *omni.MediaFile) { v.Size = 0 },
		},
			rule[omni.MediaFile]{"id", func(v *omni.MediaFile) { v.ID = badID }},
			rule[omni.MediaFile]{"tenant.organisationId", func(v *omni.MediaFile) { v.Tenant.OrganisationID = "" }},
			rule[omni.MediaFile]{"messageId", func(v *omni.MediaFile) { v.MessageID = badID }},
			rule[omni.MediaFile]{"type", func(v *omni.MediaFile) { v.Type = "gif" }},
			rule[omni.MediaFile]{"contentType", func(v *omni.MediaFile) { v.ContentType = "" }},
			rule[omni.MediaFile]{"contentType", func(v *omni.MediaFile) { v.ContentType = long256 }},
			rule[omni.MediaFile]{"size", func(v *omni.MediaFile) { v.Size = -1 }},
			rule[omni.MediaFile]{"sha256", func(v *omni.MediaFile) { v.SHA256 = "0a" }},
			rule[omni.MediaFile]{"sha256", func(v *omni.MediaFile) { v.SHA256 = strings.Repeat("xy", 32) }},
			rule[omni.MediaFile]{"fileName", func(v *omni.MediaFile) { v.FileName = long256 }},
			rule[omni.MediaFile]{"fromId", func(v *omni.MediaFile) { v.FromID = badID }},
			rule[omni.MediaFile]{"schemaVersion.date", func(v *omni.MediaFile) { v.SchemaVersion = omni.SchemaVersion{Version: 1} }},
		),
		tableOf(func() omni.Reaction {
			return omni.Reaction{Tenant: org(), MessageID: idA, SenderType: omni.SenderContact, SenderID: idB, Emoji: "👍", At: 1, SchemaVersion: omni.CurrentSchema}
		}, []func(*omni.Reaction){
			func(r *omni.Reaction) { r.Emoji = "" },
		},
			rule[omni.Reaction]{"tenant.organisationId", func(r *omni.Reaction) { r.Tenant.OrganisationID = "" }},
			rule[omni.Reaction]{"messageId", func(r *omni.Reaction) { r.MessageID = badID }},
			rule[omni.Reaction]{"senderType", func(r *omni.Reaction) { r.SenderType = "BOT" }},
			rule[omni.Reaction]{"senderId", func(r *omni.Reaction) { r.SenderID = "" }},
			rule[omni.Reaction]{"emoji", func(r *omni.Reaction) { r.Emoji = long256 }},
			rule[omni.Reaction]{"at", func(r *omni.Reaction) { r.At = 0 }},
			rule[omni.Reaction]{"schemaVersion.date", func(r *omni.Reaction) { r.SchemaVersion = omni.SchemaVersion{Version: 1} }},
		),
		tableOf(func() omni.Metadata { return omni.Metadata{"username": "lua"} }, []func(*omni.Metadata){
			func(m *omni.Metadata) { *m = nil },
			func(m *omni.Metadata) { (*m)["x"] = strings.Repeat("a", 4096) },
		},
			rule[omni.Metadata]{"metadata", func(m *omni.Metadata) {
				for i := range 32 {
					(*m)[strconv.Itoa(i)] = "x"
				}
			}},
			rule[omni.Metadata]{"metadata", func(m *omni.Metadata) { (*m)[strings.Repeat("k", 65)] = "x" }},
			rule[omni.Metadata]{"metadata", func(m *omni.Metadata) { (*m)["x"] = strings.Repeat("a", 4097) }},
		),
		tableOf(validTemplateMessage, []func(*omni.TemplateMessage){
			func(m *omni.TemplateMessage) { m.TemplateID, m.Components = "", nil },
		},
			rule[omni.TemplateMessage]{"templateId", func(m *omni.TemplateMessage) { m.TemplateID = badID }},
			rule[omni.TemplateMessage]{"name", func(m *omni.TemplateMessage) { m.Name = "" }},
			rule[omni.TemplateMessage]{"language", func(m *omni.TemplateMessage) { m.Language = "" }},
			rule[omni.TemplateMessage]{"components", func(m *omni.TemplateMessage) { m.Components = slices.Repeat(m.Components, 7) }},
			rule[omni.TemplateMessage]{"components.type", func(m *omni.TemplateMessage) { m.Components[0].Type = "footer" }},
			rule[omni.TemplateMessage]{"components.subType", func(m *omni.TemplateMessage) { m.Components[2].SubType = long256 }},
			rule[omni.TemplateMessage]{"components.index", func(m *omni.TemplateMessage) { m.Components[2].Index = -1 }},
			rule[omni.TemplateMessage]{"components.parameters", func(m *omni.TemplateMessage) {
				m.Components[1].Parameters = slices.Repeat(m.Components[1].Parameters, 34)
			}},
			rule[omni.TemplateMessage]{"components.parameters.type", func(m *omni.TemplateMessage) { m.Components[1].Parameters[0].Type = "" }},
			rule[omni.TemplateMessage]{"components.parameters.name", func(m *omni.TemplateMessage) { m.Components[1].Parameters[0].Name = long256 }},
			rule[omni.TemplateMessage]{"components.parameters.text", func(m *omni.TemplateMessage) { m.Components[1].Parameters[0].Text = longText }},
			rule[omni.TemplateMessage]{"components.parameters.value", func(m *omni.TemplateMessage) { m.Components[1].Parameters[2].Value = "{" }},
			rule[omni.TemplateMessage]{"components.parameters.file.type", func(m *omni.TemplateMessage) { m.Components[0].Parameters[0].File.Type = "" }},
			rule[omni.TemplateMessage]{"components.parameters.location.latitude", func(m *omni.TemplateMessage) {
				m.Components[1].Parameters[1].Location.Latitude = -91
			}},
		),
		tableOf(validInteractive, []func(*omni.InteractiveMessage){
			func(m *omni.InteractiveMessage) { m.Type, m.Choices = omni.InteractiveLocation, nil },
			func(m *omni.InteractiveMessage) {
				m.Type, m.Choices, m.URL = omni.InteractiveURL, nil, "https://shop.example/cart"
			},
			func(m *omni.InteractiveMessage) { m.Type, m.Choices, m.Flow = omni.InteractiveFlow, nil, "{}" },
			func(m *omni.InteractiveMessage) {
				file := validFile()
				m.Header, m.HeaderFile = "", &file
			},
		},
			rule[omni.InteractiveMessage]{"type", func(m *omni.InteractiveMessage) { m.Type, m.Choices = "quiz", nil }},
			rule[omni.InteractiveMessage]{"header", func(m *omni.InteractiveMessage) { m.Header = longText }},
			rule[omni.InteractiveMessage]{"footer", func(m *omni.InteractiveMessage) { m.Footer = longText }},
			rule[omni.InteractiveMessage]{"headerFile", func(m *omni.InteractiveMessage) {
				file := validFile()
				m.HeaderFile = &file
			}},
			rule[omni.InteractiveMessage]{"headerFile.type", func(m *omni.InteractiveMessage) {
				m.Header, m.HeaderFile = "", &omni.MediaReference{ID: idA, State: omni.MediaReady}
			}},
			rule[omni.InteractiveMessage]{"choices", func(m *omni.InteractiveMessage) { m.Choices = nil }},
			rule[omni.InteractiveMessage]{"choices", func(m *omni.InteractiveMessage) { m.Type = omni.InteractiveLocation }},
			rule[omni.InteractiveMessage]{"choices", func(m *omni.InteractiveMessage) {
				m.Choices = nil
				for i := range 11 {
					m.Choices = append(m.Choices, omni.InteractiveChoice{ID: strconv.Itoa(i), Title: "x"})
				}
			}},
			rule[omni.InteractiveMessage]{"choices.id", func(m *omni.InteractiveMessage) { m.Choices[0].ID = "" }},
			rule[omni.InteractiveMessage]{"choices.id", func(m *omni.InteractiveMessage) { m.Choices[1].ID = m.Choices[0].ID }},
			rule[omni.InteractiveMessage]{"choices.title", func(m *omni.InteractiveMessage) { m.Choices[0].Title = "" }},
			rule[omni.InteractiveMessage]{"choices.description", func(m *omni.InteractiveMessage) { m.Choices[0].Description = long256 }},
			rule[omni.InteractiveMessage]{"choices.section", func(m *omni.InteractiveMessage) { m.Choices[0].Section = long256 }},
			rule[omni.InteractiveMessage]{"button", func(m *omni.InteractiveMessage) { m.Button = long256 }},
			rule[omni.InteractiveMessage]{"url", func(m *omni.InteractiveMessage) {
				m.Type, m.Choices, m.URL = omni.InteractiveURL, nil, "http://shop.example"
			}},
			rule[omni.InteractiveMessage]{"url", func(m *omni.InteractiveMessage) { m.URL = "https://shop.example" }},
			rule[omni.InteractiveMessage]{"flow", func(m *omni.InteractiveMessage) { m.Flow = "{}" }},
			rule[omni.InteractiveMessage]{"flow", func(m *omni.InteractiveMessage) { m.Type, m.Choices, m.Flow = omni.InteractiveFlow, nil, "{" }},
		),
		tableOf(func() omni.Location { return omni.Location{Latitude: 90, Longitude: -180, Name: "Pole"} }, nil,
			rule[omni.Location]{"latitude", func(l *omni.Location) { l.Latitude = math.NaN() }},
			rule[omni.Location]{"longitude", func(l *omni.Location) { l.Longitude = 180.1 }},
			rule[omni.Location]{"name", func(l *omni.Location) { l.Name = longText }},
			rule[omni.Location]{"address", func(l *omni.Location) { l.Address = longText }},
		),
		tableOf(func() omni.ContactCard {
			return omni.ContactCard{Name: "Juma", Phones: []string{"+254 722 000 111"}, Emails: []string{"juma@example.com"}}
		}, nil,
			rule[omni.ContactCard]{"name", func(c *omni.ContactCard) { c.Name = long256 }},
			rule[omni.ContactCard]{"phones", func(c *omni.ContactCard) { c.Phones = slices.Repeat(c.Phones, 21) }},
			rule[omni.ContactCard]{"emails", func(c *omni.ContactCard) { c.Emails = slices.Repeat(c.Emails, 21) }},
			rule[omni.ContactCard]{"phones", func(c *omni.ContactCard) { c.Phones[0] = long256 }},
			rule[omni.ContactCard]{"emails", func(c *omni.ContactCard) { c.Emails[0] = long256 }},
			rule[omni.ContactCard]{"organisation", func(c *omni.ContactCard) { c.Organisation = long256 }},
		),
		tableOf(func() omni.IdentityAlias {
			return omni.IdentityAlias{Address: "+525512345678", Kind: omni.AliasVariant, At: 1}
		}, nil,
			rule[omni.IdentityAlias]{"address", func(a *omni.IdentityAlias) { a.Address = "" }},
			rule[omni.IdentityAlias]{"address", func(a *omni.IdentityAlias) { a.Address = long256 }},
			rule[omni.IdentityAlias]{"kind", func(a *omni.IdentityAlias) { a.Kind = "other" }},
		),
		tableOf(func() omni.WebhookDelivery {
			return omni.WebhookDelivery{
				ID: idA, Tenant: org(), WebhookID: idB, EventID: idA, Event: "message.created", Body: "{}", State: omni.DeliveryPending,
				CreatedAt: 1, ExpiresAt: 2, SchemaVersion: omni.CurrentSchema,
			}
		}, []func(*omni.WebhookDelivery){
			func(d *omni.WebhookDelivery) { d.State, d.Attempts, d.Error = omni.DeliveryFailed, 5, "no such host" },
		},
			rule[omni.WebhookDelivery]{"id", func(d *omni.WebhookDelivery) { d.ID = badID }},
			rule[omni.WebhookDelivery]{"tenant.organisationId", func(d *omni.WebhookDelivery) { d.Tenant.OrganisationID = "" }},
			rule[omni.WebhookDelivery]{"webhookId", func(d *omni.WebhookDelivery) { d.WebhookID = "" }},
			rule[omni.WebhookDelivery]{"eventId", func(d *omni.WebhookDelivery) { d.EventID = badID }},
			rule[omni.WebhookDelivery]{"event", func(d *omni.WebhookDelivery) { d.Event = "" }},
			rule[omni.WebhookDelivery]{"body", func(d *omni.WebhookDelivery) { d.Body = "" }},
			rule[omni.WebhookDelivery]{"body", func(d *omni.WebhookDelivery) { d.Body = "{" }},
			rule[omni.WebhookDelivery]{"state", func(d *omni.WebhookDelivery) { d.State = "sent" }},
			rule[omni.WebhookDelivery]{"attempts", func(d *omni.WebhookDelivery) { d.Attempts = -1 }},
			rule[omni.WebhookDelivery]{"error", func(d *omni.WebhookDelivery) { d.Error = strings.Repeat("a", 2001) }},
			rule[omni.WebhookDelivery]{"expiresAt", func(d *omni.WebhookDelivery) { d.ExpiresAt = d.CreatedAt }},
			rule[omni.WebhookDelivery]{"schemaVersion.date", func(d *omni.WebhookDelivery) { d.SchemaVersion = omni.SchemaVersion{Version: 1} }},
		),
	}
}

func TestRawJSON(t *testing.T) {
	t.Parallel()
	type holder struct {
		Raw omni.RawJSON `json:"raw"`
	}
	for raw, want := range map[omni.RawJSON]string{
		"": `{"raw":null}`, `{"a": [1, 2.50]}`: `{"raw":{"a":[1,2.50]}}`, `12345678901234567890`: `{"raw":12345678901234567890}`,
	} {
		b, err := json.Marshal(holder{raw})
		require.NoError(t, err)
		require.Equal(t, want, string(b))
		got := holder{Raw: "what was there"}
		require.NoError(t, json.Unmarshal(b, &got))
		if raw == "" {
			require.Empty(t, got.Raw)
			continue
		}
		require.JSONEq(t, string(raw), string(got.Raw))
		require.True(t, got.Raw.Valid())
	}
	_, err := json.Marshal(holder{"{"})
	require.ErrorIs(t, err, omni.ErrInvalid)
	require.False(t, omni.RawJSON("{} {}").Valid())
}

func TestWhatIsInUse(t *testing.T) {
	t.Parallel()
	require.True(t, omni.Webhook{}.Active())
	require.False(t, omni.Webhook{Disabled: true}.Active())
	require.False(t, omni.Webhook{PausedAt: 1}.Active())
	for _, s := range omni.TemplateStatuses {
		require.Equal(t, s == omni.TemplateApproved, omni.MessageTemplate{Status: s}.Usable(), s)
	}
	require.Equal(t, omni.FoldName("ÉTÉ Ünı"), omni.FoldName("été üNı"))
	require.NotEqual(t, omni.FoldName("a"), omni.FoldName("b"))
}
