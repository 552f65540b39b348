package store

import "omniservice/omni"

// Desk is what agents work with, besides interactions and messages.
type Desk interface {
	Labels() Records[omni.Label]              // by name
	Notes() Records[omni.Note]                // of an interaction, newest first
	Drafts() Records[omni.Draft]              // of a user, newest first; found by user, interaction and tab
	CannedReplies() Records[omni.CannedReply] // of a group, or "" for those of all groups, by shortcut; found by both
}

// Rules is what an organisation sets up besides channels and people.
type Rules interface {
	Workflows() Records[omni.Workflow]              // by name
	WorkflowVersions() Ledger[omni.WorkflowVersion] // of a workflow, newest first; found by workflow and number
	Templates() Records[omni.MessageTemplate]       // of a carrier account, by name; found by account, name and language
	RerouteMappings() Records[omni.RerouteMapping]  // of a carrier account, by key; found by account, mapper and key
	Webhooks() Records[omni.Webhook]                // by name
}

// Files is what there is to know of the files that are kept, and of their conversion.
type Files interface {
	MediaFiles() Records[omni.MediaFile] // of a message, or "" for those that no message has yet, oldest first
	// Conversions are listed newest first, and found by the id of the job at the service that converts. A job that has
	// ended stays as it is: a later Update is omni.ErrConflict.
	Conversions() Records[omni.MediaConvertJob]
}

// The kinds of plain records.
var (
	LabelKind = Kind[omni.Label]{
		Name: "label", Collection: "labels",
		Meta:   func(r *omni.Label) Meta { return Meta{&r.ID, &r.Tenant, &r.Version} },
		Sort:   textField("name", func(r *omni.Label) string { return r.Name }),
		Unique: []Field[omni.Label]{derivedField("nameKey", func(r *omni.Label) string { return omni.FoldName(r.Name) })},
	}
	NoteKind = Kind[omni.Note]{
		Name: "note", Collection: "notes",
		Meta:   func(r *omni.Note) Meta { return Meta{&r.ID, &r.Tenant, &r.Version} },
		Of:     parentField("interactionId", func(r *omni.Note) string { return r.InteractionID }),
		Sort:   momentField("createdAt", func(r *omni.Note) omni.Millis { return r.CreatedAt }),
		Newest: true,
	}
	DraftKind = Kind[omni.Draft]{
		Name: "draft", Collection: "drafts",
		Meta:   func(r *omni.Draft) Meta { return Meta{&r.ID, &r.Tenant, &r.Version} },
		Of:     parentField("userId", func(r *omni.Draft) string { return r.UserID }),
		Sort:   momentField("updatedAt", func(r *omni.Draft) omni.Millis { return r.UpdatedAt }),
		Newest: true,
		Unique: []Field[omni.Draft]{
			textField("userId", func(r *omni.Draft) string { return r.UserID }),
			textField("interactionId", func(r *omni.Draft) string { return r.InteractionID }),
			textField("tab", func(r *omni.Draft) string { return string(r.Tab) }),
		},
	}
	CannedReplyKind = Kind[omni.CannedReply]{
		Name: "canned reply", Collection: "canned_replies",
		Meta: func(r *omni.CannedReply) Meta { return Meta{&r.ID, &r.Tenant, &r.Version} },
		Of:   parentField("groupId", func(r *omni.CannedReply) string { return r.GroupID }),
		Sort: textField("shortcut", func(r *omni.CannedReply) string { return r.Shortcut }),
		Unique: []Field[omni.CannedReply]{
			textField("groupId", func(r *omni.CannedReply) string { return r.GroupID }),
			derivedField("shortcutKey", func(r *omni.CannedReply) string { return omni.FoldName(r.Shortcut) }),
		},
	}

	WorkflowKind = Kind[omni.Workflow]{
		Name: "workflow", Collection: "workflows",
		Meta:   func(r *omni.Workflow) Meta { return Meta{&r.ID, &r.Tenant, &r.Version} },
		Sort:   textField("name", func(r *omni.Workflow) string { return r.Name }),
		Unique: []Field[omni.Workflow]{derivedField("nameKey", func(r *omni.Workflow) string { return omni.FoldName(r.Name) })},
	}
	WorkflowVersionKind = Kind[omni.WorkflowVersion]{
		Name: "workflow version", Collection: "workflow_versions",
		Meta:   func(r *omni.WorkflowVersion) Meta { return Meta{ID: &r.ID, Tenant: &r.Tenant} },
		Of:     parentField("workflowId", func(r *omni.WorkflowVersion) string { return r.WorkflowID }),
		Sort:   numberField("number", func(r *omni.WorkflowVersion) int64 { return r.Number }),
		Newest: true,
		Unique: []Field[omni.WorkflowVersion]{
			textField("workflowId", func(r *omni.WorkflowVersion) string { return r.WorkflowID }),
			numberField("number", func(r *omni.WorkflowVersion) int64 { return r.Number }),
		},
	}
	TemplateKind = Kind[omni.MessageTemplate]{
		Name: "message template", Collection: "message_templates",
		Meta: func(r *omni.MessageTemplate) Meta { return Meta{&r.ID, &r.Tenant, &r.Version} },
		Of:   parentField("carrierAccountId", func(r *omni.MessageTemplate) string { return r.CarrierAccountID }),
		Sort: textField("name", func(r *omni.MessageTemplate) string { return r.Name }),
		Unique: []Field[omni.MessageTemplate]{
			textField("carrierAccountId", func(r *omni.MessageTemplate) string { return r.CarrierAccountID }),
			textField("name", func(r *omni.MessageTemplate) string { return r.Name }),
			textField("language", func(r *omni.MessageTemplate) string { return r.Language }),
		},
	}
	RerouteMappingKind = Kind[omni.RerouteMapping]{
		Name: "re-router mapping", Collection: "reroute_mappings",
		Meta: func(r *omni.RerouteMapping) Meta { return Meta{&r.ID, &r.Tenant, &r.Version} },
		Of:   parentField("carrierAccountId", func(r *omni.RerouteMapping) string { return r.CarrierAccountID }),
		Sort: textField("key", func(r *omni.RerouteMapping) string { return r.Key }),
		Unique: []Field[omni.RerouteMapping]{
			textField("carrierAccountId", func(r *omni.RerouteMapping) string { return r.CarrierAccountID }),
			textField("mapper", func(r *omni.RerouteMapping) string { return string(r.Mapper) }),
			textField("key", func(r *omni.RerouteMapping) string { return r.Key }),
		},
	}
	WebhookKind = Kind[omni.Webhook]{
		Name: "webhook", Collection: "webhooks",
		Meta: func(r *omni.Webhook) Meta { return Meta{&r.ID, &r.Tenant, &r.Version} },
		Sort: textField("name", func(r *omni.Webhook) string { return r.Name }),
	}

	MediaFileKind = Kind[omni.MediaFile]{
		Name: "file", Collection: "media_files",
		Meta: func(r *omni.MediaFile) Meta { return Meta{&r.ID, &r.Tenant, &r.Version} },
		Of:   parentField("messageId", func(r *omni.MediaFile) string { return r.MessageID }),
		Sort: momentField("createdAt", func(r *omni.MediaFile) omni.Millis { return r.CreatedAt }),
	}
	ConversionKind = Kind[omni.MediaConvertJob]{
		Name: "conversion job", Collection: "conversion_jobs",
		Meta:   func(r *omni.MediaConvertJob) Meta { return Meta{&r.ID, &r.Tenant, &r.Version} },
		Sort:   momentField("createdAt", func(r *omni.MediaConvertJob) omni.Millis { return r.CreatedAt }),
		Newest: true,
		Unique: []Field[omni.MediaConvertJob]{derivedField("jobKey", func(r *omni.MediaConvertJob) string {
			if r.ExternalJobID == "" {
				return "own " + r.ID
			}
			return "job " + r.ExternalJobID
		})},
		Ended: func(r *omni.MediaConvertJob) bool { return r.Status != "" },
	}
)

func textField[T any](name string, value func(r *T) string) Field[T] {
	return Field[T]{Name: name, Text: value}
}

func numberField[T any](name string, value func(r *T) int64) Field[T] {
	return Field[T]{Name: name, Number: value}
}

func momentField[T any](name string, value func(r *T) omni.Millis) Field[T] {
	return numberField(name, func(r *T) int64 { return int64(value(r)) })
}

func derivedField[T any](name string, value func(r *T) string) Field[T] {
	return Field[T]{Name: name, Text: value, Derived: true}
}

func parentField[T any](name string, value func(r *T) string) *Field[T] {
	return &Field[T]{Name: name, Text: value}
}
