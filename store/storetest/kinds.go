package storetest

import (
	"fmt"

	"omniservice/omni"
	"omniservice/store"
)

// plainKinds are the kinds of plain records, by the method of store.Store that gives them.
var plainKinds = map[string]plainKind{
	"Labels": plain[omni.Label]{
		kind: store.LabelKind,
		of:   func(s store.Store) store.Ledger[omni.Label] { return s.Labels() },
		make: func(w *world, n int) omni.Label {
			return omni.Label{
				ID: omni.NewID(), Tenant: omni.Org(w.org.ID), Name: fmt.Sprintf("Label %d", n), Colour: "#1a73e8",
				Version: 1, CreatedAt: base, SchemaVersion: omni.CurrentSchema,
			}
		},
		change: func(r *omni.Label) { r.Colour = "#000000" },
		twin:   func(r *omni.Label) { r.Name = "LABEL 1" },
	},
	"Notes": plain[omni.Note]{
		kind: store.NoteKind,
		of:   func(s store.Store) store.Ledger[omni.Note] { return s.Notes() },
		make: func(w *world, n int) omni.Note {
			return omni.Note{
				ID: omni.NewID(), Tenant: w.tenant, InteractionID: w.talk.ID, Body: "note", Mentions: []string{w.user.ID},
				Version: 1, CreatedAt: base + omni.Millis(n/2), SchemaVersion: omni.CurrentSchema,
			}
		},
		change: func(r *omni.Note) { r.Body, r.EditedAt = "edited", base+10 },
		move:   func(r *omni.Note) { r.InteractionID = omni.NewID() },
	},
	"Drafts": plain[omni.Draft]{
		kind: store.DraftKind,
		of:   func(s store.Store) store.Ledger[omni.Draft] { return s.Drafts() },
		make: func(w *world, n int) omni.Draft {
			tabs := omni.DraftTabs
			return omni.Draft{
				ID: omni.NewID(), Tenant: omni.Org(w.org.ID), UserID: w.user.ID, InteractionID: numbered(n / len(tabs)),
				Tab: tabs[n%len(tabs)], Text: "not yet sent", Version: 1, UpdatedAt: base + omni.Millis(n/3), SchemaVersion: omni.CurrentSchema,
			}
		},
		change: func(r *omni.Draft) { r.Text, r.ReplyTo = "going on", omni.NewID() },
		move:   func(r *omni.Draft) { r.UserID = omni.NewID() },
	},
	"CannedReplies": plain[omni.CannedReply]{
		kind: store.CannedReplyKind,
		of:   func(s store.Store) store.Ledger[omni.CannedReply] { return s.CannedReplies() },
		make: func(w *world, n int) omni.CannedReply {
			return omni.CannedReply{
				ID: omni.NewID(), Tenant: omni.Org(w.org.ID), Shortcut: fmt.Sprintf("hello%d", n), Name: "Greeting", Text: "Good day",
				Version: 1, CreatedAt: base, SchemaVersion: omni.CurrentSchema,
			}
		},
		change: func(r *omni.CannedReply) { r.Text = "Good evening" },
		move:   func(r *omni.CannedReply) { r.GroupID = omni.NewID() },
		twin:   func(r *omni.CannedReply) { r.Shortcut = "Hello1" },
	},
	"Workflows": plain[omni.Workflow]{
		kind: store.WorkflowKind,
		of:   func(s store.Store) store.Ledger[omni.Workflow] { return s.Workflows() },
		make: func(w *world, n int) omni.Workflow {
			return omni.Workflow{
				ID: omni.NewID(), Tenant: omni.Org(w.org.ID), Name: fmt.Sprintf("Rules %d", n), Version: 1, CreatedAt: base, UpdatedAt: base,
				SchemaVersion: omni.CurrentSchema,
			}
		},
		change: func(r *omni.Workflow) { r.ActiveVersion, r.UpdatedAt = 3, base+10 },
		twin:   func(r *omni.Workflow) { r.Name = "rules 1" },
	},
	"WorkflowVersions": plain[omni.WorkflowVersion]{
		kind: store.WorkflowVersionKind,
		of:   func(s store.Store) store.Ledger[omni.WorkflowVersion] { return s.WorkflowVersions() },
		make: func(w *world, n int) omni.WorkflowVersion {
			return omni.WorkflowVersion{
				ID: omni.NewID(), Tenant: w.tenant, WorkflowID: w.folder.ID, Number: int64(n + 1), Definition: `{"steps":[]}`,
				CreatedAt: base, SchemaVersion: omni.CurrentSchema,
			}
		},
		change: func(r *omni.WorkflowVersion) { r.Comment = "other" },
		move:   func(r *omni.WorkflowVersion) { r.WorkflowID = omni.NewID() },
		valid:  func(r *omni.WorkflowVersion) { r.Definition = `{"steps":[1,"ü",null]}` },
	},
	"Templates": plain[omni.MessageTemplate]{
		kind: store.TemplateKind,
		of:   func(s store.Store) store.Ledger[omni.MessageTemplate] { return s.Templates() },
		make: func(w *world, n int) omni.MessageTemplate {
			languages := []string{"en_US", "sw"} // pairs of the same name
			return omni.MessageTemplate{
				ID: omni.NewID(), Tenant: omni.Org(w.org.ID), CarrierAccountID: w.account.ID, CarrierID: "1689556908129832",
				Name: fmt.Sprintf("reminder_%d", n/len(languages)), Language: languages[n%len(languages)],
				Category: omni.TemplateUtility, Status: omni.TemplatePending, Quality: omni.QualityUnknown,
				Components: `[{"text":"Hello {{1}}","type":"BODY"}]`, SyncedAt: base, Version: 1, CreatedAt: base,
				SchemaVersion: omni.CurrentSchema,
			}
		},
		change: func(r *omni.MessageTemplate) { r.Status, r.RejectedReason = omni.TemplateRejected, "SCAM" },
		move:   func(r *omni.MessageTemplate) { r.CarrierAccountID = omni.NewID() },
		valid:  func(r *omni.MessageTemplate) { r.Components = `[{"type":"BODY"}]` },
	},
	"RerouteMappings": plain[omni.RerouteMapping]{
		kind: store.RerouteMappingKind,
		of:   func(s store.Store) store.Ledger[omni.RerouteMapping] { return s.RerouteMappings() },
		make: func(w *world, n int) omni.RerouteMapping {
			mappers := []omni.RerouteMapper{omni.RerouteByWABA, omni.RerouteByPhoneNumber} // pairs of the same key
			return omni.RerouteMapping{
				ID: omni.NewID(), Tenant: omni.Org(w.org.ID), CarrierAccountID: w.account.ID, Mapper: mappers[n%len(mappers)],
				Key: fmt.Sprint(n / len(mappers)), Environment: "staging", URL: "https://staging.example.com/webhooks", Version: 1,
				CreatedAt: base, SchemaVersion: omni.CurrentSchema,
			}
		},
		change: func(r *omni.RerouteMapping) { r.Disabled = true },
		move:   func(r *omni.RerouteMapping) { r.CarrierAccountID = omni.NewID() },
	},
	"Webhooks": plain[omni.Webhook]{
		kind: store.WebhookKind,
		of:   func(s store.Store) store.Ledger[omni.Webhook] { return s.Webhooks() },
		make: func(w *world, n int) omni.Webhook {
			return omni.Webhook{
				ID: omni.NewID(), Tenant: omni.Org(w.org.ID), Name: fmt.Sprintf("CRM %d", n/2), URL: "https://crm.example.com/in",
				Events: []string{"message.created"}, Secrets: []omni.SealedSecret{{KeyID: "k", Nonce: []byte{1}, Ciphertext: []byte{2}}},
				Version: 1, CreatedAt: base, SchemaVersion: omni.CurrentSchema,
			}
		},
		change: func(r *omni.Webhook) {
			r.PausedAt, r.PauseReason, r.Secrets = base, "100 failures", []omni.SealedSecret{{KeyID: "other"}}
		},
	},
	"MediaFiles": plain[omni.MediaFile]{
		kind: store.MediaFileKind,
		of:   func(s store.Store) store.Ledger[omni.MediaFile] { return s.MediaFiles() },
		make: func(w *world, n int) omni.MediaFile {
			return omni.MediaFile{
				ID: omni.NewID(), Tenant: omni.Org(w.org.ID), Type: omni.MediaImage, ContentType: "image/png", Size: 7,
				SHA256: "0f343b0931126a20f133d67c2b018a3b0f343b0931126a20f133d67c2b018a3b", FileName: "a.png", Version: 1,
				CreatedAt: base + omni.Millis(n/2), SchemaVersion: omni.CurrentSchema,
			}
		},
		change: func(r *omni.MediaFile) { r.FileName = "b.png" },
		move:   func(r *omni.MediaFile) { r.MessageID = omni.NewID() },
	},
	"Conversions": plain[omni.MediaConvertJob]{
		kind: store.ConversionKind,
		of:   func(s store.Store) store.Ledger[omni.MediaConvertJob] { return s.Conversions() },
		make: func(w *world, n int) omni.MediaConvertJob {
			return omni.MediaConvertJob{
				ID: omni.NewID(), Tenant: omni.Org(w.org.ID), MessageID: omni.NewID(), MediaID: omni.NewID(), FromType: "audio/amr",
				ToType: "audio/mpeg", ExternalJobID: fmt.Sprintf("1600000000-job%d", n), Version: 1, CreatedAt: base + omni.Millis(n/2),
				SchemaVersion: omni.CurrentSchema,
			}
		},
		change: func(r *omni.MediaConvertJob) { r.Attempts++ },
	},
}

// numbered is an id that is the same for the same number.
func numbered(n int) string { return fmt.Sprintf("%08x-0000-7000-8000-000000000000", n) }
