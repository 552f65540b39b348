package omni_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"omniservice/omni"
)

// rule breaks one rule of a valid T; the error has to name the field.
type rule[T any] struct {
	field string
	spoil func(*T)
}

// table runs the rules of one model and remembers them for the check that none is missing.
type table struct {
	model string
	rules []string
	run   func(t *testing.T)
}

func tableOf[T interface{ Validate() error }](base func() T, also []func(*T), rules ...rule[T]) table {
	tb := table{model: reflect.TypeFor[T]().Name()}
	for _, r := range rules {
		tb.rules = append(tb.rules, r.field)
	}
	tb.run = func(t *testing.T) {
		t.Parallel()
		require.NoError(t, base().Validate())
		for i, change := range also {
			v := base()
			change(&v)
			require.NoError(t, v.Validate(), "valid variation %d", i)
		}
		for i, r := range rules {
			t.Run(fmt.Sprintf("%d %s", i, r.field), func(t *testing.T) {
				t.Parallel()
				v := base()
				r.spoil(&v)
				err := v.Validate()
				require.ErrorIs(t, err, omni.ErrInvalid)
				var p *omni.Problem
				require.ErrorAs(t, err, &p)
				require.Contains(t, p.Fields, r.field)
				require.NotEmpty(t, p.Fields[r.field])
				require.NotEmpty(t, p.Message)
				require.Len(t, p.Fields, 1, "one rule broken, one field named")
			})
		}
	}
	return tb
}

const (
	idA     = "019c1f2e-8a3b-7c10-9d55-2f6a1b0c4e77"
	idB     = "019c1f2e-8a3b-7c10-9d55-2f6a1b0c4e78"
	badID   = "not-an-id"
	badName = "a\nb"
)

var long256 = strings.Repeat("x", 256)

func org() omni.Tenant { return omni.Org(idA) }

func validPayload() omni.MessagePayload { return omni.TextPayload("hello") }

// rich is a payload of one of the kinds that are more than text and files.
func rich(kind omni.PayloadType) omni.MessagePayload {
	p := omni.MessagePayload{Type: kind, Text: &omni.TextMessage{Body: "hello"}}
	switch kind {
	case omni.PayloadTemplate:
		m := validTemplateMessage()
		p.Template = &m
	case omni.PayloadInteractive:
		m := validInteractive()
		p.Interactive = &m
	case omni.PayloadLocation:
		p.Location = &omni.Location{Latitude: -1.28333, Longitude: 36.81667}
	default:
		p.Contacts = []omni.ContactCard{{Name: "Juma Bakari"}}
	}
	return p
}

func validTemplateMessage() omni.TemplateMessage {
	file, place := validFile(), omni.Location{Name: "Office"}
	return omni.TemplateMessage{TemplateID: idA, Name: "visit_2", Language: "en_US", Components: []omni.TemplateComponent{
		{Type: "header", Parameters: []omni.TemplateParameter{{Type: "image", File: &file}}},
		{Type: "body", Parameters: []omni.TemplateParameter{
			{Type: "text", Name: "name", Text: "Ana"}, {Type: "location", Location: &place}, {Type: "currency", Value: "{}"},
		}},
		{Type: "button", SubType: "url", Index: 1, Parameters: []omni.TemplateParameter{{Type: "text", Text: "5521"}}},
	}}
}

func validInteractive() omni.InteractiveMessage {
	return omni.InteractiveMessage{Type: omni.InteractiveList, Header: "Visit", Footer: "Thanks", Button: "Menu", Choices: []omni.InteractiveChoice{
		{ID: "am", Title: "Morning", Description: "8 to 12", Section: "Tomorrow"}, {ID: "pm", Title: "Afternoon"},
	}}
}

func validFile() omni.MediaReference {
	return omni.MediaReference{
		ID: idA, Carrier: omni.CarrierTwilio, Type: omni.MediaImage, ContentType: "image/png", Size: 7, State: omni.MediaReady,
	}
}

func validMessage() omni.ServiceMessage {
	return omni.ServiceMessage{
		ID: idA, Tenant: org(), InteractionID: idA, Direction: omni.Outbound,
		Channel:   validReceived(),
		ContactID: idA, From: validIdentity(), To: validIdentity(), Payload: validPayload(),
		Status: omni.StatusQueued, ReceivedAt: 1, SchemaVersion: omni.CurrentSchema,
	}
}

func validReceived() omni.ReceivedChannel {
	return omni.ReceivedChannel{
		DigitalChannelID: idA, ChannelType: omni.ChannelSMS, Carrier: omni.CarrierTwilio, Address: "+15550100", SenderType: omni.SenderUser,
	}
}

func validIdentity() omni.Identity {
	return omni.Identity{ChannelType: omni.ChannelSMS, Address: "+15551230001"}
}

func validContact() omni.Contact {
	return omni.Contact{ID: idA, Tenant: org(), Name: "Ana", SchemaVersion: omni.CurrentSchema}
}

func validLiveChat() omni.LiveChatSettings {
	return omni.LiveChatSettings{PublicID: "0123456789abcdef", AllowedOrigins: []string{"https://www.example.com"}}
}

func validChannel() omni.DigitalChannel {
	return omni.DigitalChannel{
		ID: idA, Tenant: org(), GroupID: idA, Name: "Support", ChannelType: omni.ChannelSMS, Carrier: omni.CarrierTwilio,
		CarrierAccountID: idA, Address: "+15550100", SchemaVersion: omni.CurrentSchema,
	}
}

func validWidget() omni.DigitalChannel {
	d, l := validChannel(), validLiveChat()
	d.ChannelType, d.Carrier, d.CarrierAccountID, d.LiveChat = omni.ChannelLiveChat, "", "", &l
	return d
}

func validGroup() omni.DigitalChannelGroup {
	return omni.DigitalChannelGroup{
		ID: idA, Tenant: org(), Name: "Support", Type: omni.GroupShared, MemberIDs: []string{idA, idB},
		Routing: omni.GroupRouting{Strategy: "manual"}, SchemaVersion: omni.CurrentSchema,
	}
}

func tables() []table {
	return append(recordTables(), []table{
		tableOf(org, []func(*omni.Tenant){func(t *omni.Tenant) { t.UserID = idB }},
			rule[omni.Tenant]{"organisationId", func(t *omni.Tenant) { t.OrganisationID = "" }},
			rule[omni.Tenant]{"userId", func(t *omni.Tenant) { t.UserID = badID }},
		),
		tableOf(func() omni.Organisation {
			return omni.Organisation{ID: idA, Name: "Example", DefaultCountry: "US", ReopenMinutes: 60, SchemaVersion: omni.CurrentSchema}
		}, []func(*omni.Organisation){
			func(o *omni.Organisation) { o.DefaultCountry = "" },
			func(o *omni.Organisation) { o.ReopenMinutes = 0 },
			func(o *omni.Organisation) { o.ReopenMinutes = 525600 },
			func(o *omni.Organisation) { o.Name = strings.Repeat("é", 200) },
		},
			rule[omni.Organisation]{"id", func(o *omni.Organisation) { o.ID = badID }},
			rule[omni.Organisation]{"name", func(o *omni.Organisation) { o.Name = " " }},
			rule[omni.Organisation]{"name", func(o *omni.Organisation) { o.Name = badName }},
			rule[omni.Organisation]{"name", func(o *omni.Organisation) { o.Name = strings.Repeat("é", 201) }},
			rule[omni.Organisation]{"name", func(o *omni.Organisation) { o.Name = "a\xff" }},
			rule[omni.Organisation]{"defaultCountry", func(o *omni.Organisation) { o.DefaultCountry = "USA" }},
			rule[omni.Organisation]{"defaultCountry", func(o *omni.Organisation) { o.DefaultCountry = "us" }},
			rule[omni.Organisation]{"defaultCountry", func(o *omni.Organisation) { o.DefaultCountry = "1A" }},
			rule[omni.Organisation]{"reopenMinutes", func(o *omni.Organisation) { o.ReopenMinutes = -1 }},
			rule[omni.Organisation]{"reopenMinutes", func(o *omni.Organisation) { o.ReopenMinutes = 525601 }},
			rule[omni.Organisation]{"schemaVersion.version", func(o *omni.Organisation) { o.SchemaVersion.Version = 0 }},
		),
		tableOf(func() omni.User {
			return omni.User{ID: idA, OrganisationID: idA, Email: "ana@example.com", Name: "Ana", Role: omni.RoleAgent, SchemaVersion: omni.CurrentSchema}
		}, []func(*omni.User){
			func(u *omni.User) { u.Role = omni.RoleAdmin },
			func(u *omni.User) { u.Role = omni.RoleSupervisor },
			func(u *omni.User) { u.Email = "a+b@münchen.example" },
		},
			rule[omni.User]{"id", func(u *omni.User) { u.ID = "" }},
			rule[omni.User]{"organisationId", func(u *omni.User) { u.OrganisationID = badID }},
			rule[omni.User]{"email", func(u *omni.User) { u.Email = "Ana@example.com" }},
			rule[omni.User]{"email", func(u *omni.User) { u.Email = "ana" }},
			rule[omni.User]{"email", func(u *omni.User) { u.Email = "@example.com" }},
			rule[omni.User]{"email", func(u *omni.User) { u.Email = "ana@" }},
			rule[omni.User]{"email", func(u *omni.User) { u.Email = "ana @example.com" }},
			rule[omni.User]{"email", func(u *omni.User) { u.Email = "ana\r\nbcc@example.com" }},
			rule[omni.User]{"email", func(u *omni.User) { u.Email = strings.Repeat("a", 250) + "@b.io" }},
			rule[omni.User]{"name", func(u *omni.User) { u.Name = "" }},
			rule[omni.User]{"role", func(u *omni.User) { u.Role = omni.RoleService }},
			rule[omni.User]{"role", func(u *omni.User) { u.Role = omni.RoleVisitor }},
			rule[omni.User]{"role", func(u *omni.User) { u.Role = "" }},
			rule[omni.User]{"schemaVersion.version", func(u *omni.User) { u.SchemaVersion.Version = 0 }},
		),
		tableOf(func() omni.APIKey {
			return omni.APIKey{ID: idA, OrganisationID: idA, Name: "CRM", Role: omni.RoleService, Hash: strings.Repeat("a", 64)}
		}, []func(*omni.APIKey){func(k *omni.APIKey) { k.Role = omni.RoleAdmin }},
			rule[omni.APIKey]{"id", func(k *omni.APIKey) { k.ID = badID }},
			rule[omni.APIKey]{"organisationId", func(k *omni.APIKey) { k.OrganisationID = "" }},
			rule[omni.APIKey]{"name", func(k *omni.APIKey) { k.Name = "" }},
			rule[omni.APIKey]{"role", func(k *omni.APIKey) { k.Role = omni.RoleAgent }},
			rule[omni.APIKey]{"hash", func(k *omni.APIKey) { k.Hash = "abc" }},
		),
		tableOf(validIdentity, []func(*omni.Identity){func(i *omni.Identity) { i.Address = long256[1:] }},
			rule[omni.Identity]{"channelType", func(i *omni.Identity) { i.ChannelType = "sms" }},
			rule[omni.Identity]{"address", func(i *omni.Identity) { i.Address = "" }},
			rule[omni.Identity]{"address", func(i *omni.Identity) { i.Address = long256 }},
		),
		tableOf(validReceived, []func(*omni.ReceivedChannel){
			func(r *omni.ReceivedChannel) { r.ChannelType, r.Carrier = omni.ChannelLiveChat, "" },
		},
			rule[omni.ReceivedChannel]{"digitalChannelId", func(r *omni.ReceivedChannel) { r.DigitalChannelID = badID }},
			rule[omni.ReceivedChannel]{"channelType", func(r *omni.ReceivedChannel) { r.ChannelType = "fax" }},
			rule[omni.ReceivedChannel]{"carrier", func(r *omni.ReceivedChannel) { r.Carrier = "" }},
			rule[omni.ReceivedChannel]{"carrier", func(r *omni.ReceivedChannel) { r.Carrier = "twilio" }},
			rule[omni.ReceivedChannel]{"senderType", func(r *omni.ReceivedChannel) { r.SenderType = "" }},
		),
		tableOf(validMessage, []func(*omni.ServiceMessage){
			func(m *omni.ServiceMessage) { m.Direction, m.Status = omni.Inbound, "" },
			func(m *omni.ServiceMessage) { m.Sequence = -7 },
			func(m *omni.ServiceMessage) { m.Reason, m.ClientID = omni.ReasonUnknown, long256[1:] },
		},
			rule[omni.ServiceMessage]{"metadata.metadata", func(m *omni.ServiceMessage) { m.Metadata = omni.Metadata{"": "x"} }},
			rule[omni.ServiceMessage]{"id", func(m *omni.ServiceMessage) { m.ID = "" }},
			rule[omni.ServiceMessage]{"tenant.organisationId", func(m *omni.ServiceMessage) { m.Tenant.OrganisationID = "" }},
			rule[omni.ServiceMessage]{"interactionId", func(m *omni.ServiceMessage) { m.InteractionID = badID }},
			rule[omni.ServiceMessage]{"direction", func(m *omni.ServiceMessage) { m.Direction = "inbound" }},
			rule[omni.ServiceMessage]{"channel.carrier", func(m *omni.ServiceMessage) { m.Channel.Carrier = "" }},
			rule[omni.ServiceMessage]{"contactId", func(m *omni.ServiceMessage) { m.ContactID = "" }},
			rule[omni.ServiceMessage]{"from.address", func(m *omni.ServiceMessage) { m.From.Address = "" }},
			rule[omni.ServiceMessage]{"to.address", func(m *omni.ServiceMessage) { m.To.Address = "" }},
			rule[omni.ServiceMessage]{"payload.type", func(m *omni.ServiceMessage) { m.Payload.Type = "html" }},
			rule[omni.ServiceMessage]{"status", func(m *omni.ServiceMessage) { m.Status = "" }},
			rule[omni.ServiceMessage]{"status", func(m *omni.ServiceMessage) { m.Status = "lost" }},
			rule[omni.ServiceMessage]{"reason", func(m *omni.ServiceMessage) { m.Reason = "because" }},
			rule[omni.ServiceMessage]{"clientId", func(m *omni.ServiceMessage) { m.ClientID = long256 }},
			rule[omni.ServiceMessage]{"carrierMessageId", func(m *omni.ServiceMessage) { m.CarrierMessageID = long256 }},
			rule[omni.ServiceMessage]{"receivedAt", func(m *omni.ServiceMessage) { m.ReceivedAt = 0 }},
			rule[omni.ServiceMessage]{"schemaVersion.version", func(m *omni.ServiceMessage) { m.SchemaVersion.Version = 0 }},
		),
		tableOf(func() omni.CarrierChannelEvent {
			return omni.CarrierChannelEvent{
				Kind: omni.EventMessage, Direction: omni.Inbound, Carrier: omni.CarrierTwilio, ChannelType: omni.ChannelSMS,
				CarrierMessageID: "SM1", From: "+1", To: "+2",
			}
		}, []func(*omni.CarrierChannelEvent){
			func(e *omni.CarrierChannelEvent) {
				e.Kind, e.Status, e.From, e.To = omni.EventStatus, omni.StatusSent, "", ""
			},
			func(e *omni.CarrierChannelEvent) {
				e.Kind, e.Status, e.CarrierMessageID, e.ClientReference = omni.EventStatus, omni.StatusSent, "", idA
			},
			func(e *omni.CarrierChannelEvent) {
				e.Kind, e.CarrierMessageID, e.From, e.To = omni.EventAccount, "", "", ""
			},
			func(e *omni.CarrierChannelEvent) {
				e.Fragment = &omni.MessageFragment{Reference: "7", Index: 1, Total: 2}
			},
		},
			rule[omni.CarrierChannelEvent]{"kind", func(e *omni.CarrierChannelEvent) { e.Kind = "" }},
			rule[omni.CarrierChannelEvent]{"direction", func(e *omni.CarrierChannelEvent) { e.Direction = "" }},
			rule[omni.CarrierChannelEvent]{"carrier", func(e *omni.CarrierChannelEvent) { e.Carrier = "" }},
			rule[omni.CarrierChannelEvent]{"channelType", func(e *omni.CarrierChannelEvent) { e.ChannelType = "" }},
			rule[omni.CarrierChannelEvent]{"status", func(e *omni.CarrierChannelEvent) { e.Status = "lost" }},
			rule[omni.CarrierChannelEvent]{"reason", func(e *omni.CarrierChannelEvent) { e.Reason = "because" }},
			rule[omni.CarrierChannelEvent]{"carrierMessageId", func(e *omni.CarrierChannelEvent) { e.CarrierMessageID = long256 }},
			rule[omni.CarrierChannelEvent]{"carrierMessageId", func(e *omni.CarrierChannelEvent) { e.CarrierMessageID = "" }},
			rule[omni.CarrierChannelEvent]{"from", func(e *omni.CarrierChannelEvent) { e.From = "" }},
			rule[omni.CarrierChannelEvent]{"to", func(e *omni.CarrierChannelEvent) { e.To = "" }},
			rule[omni.CarrierChannelEvent]{"status", func(e *omni.CarrierChannelEvent) { e.Kind = omni.EventStatus }},
			rule[omni.CarrierChannelEvent]{"carrierMessageId", func(e *omni.CarrierChannelEvent) {
				e.Kind, e.Status, e.CarrierMessageID = omni.EventStatus, omni.StatusSent, ""
			}},
			rule[omni.CarrierChannelEvent]{"location.longitude", func(e *omni.CarrierChannelEvent) { e.Location = &omni.Location{Longitude: 181} }},
			rule[omni.CarrierChannelEvent]{"contacts", func(e *omni.CarrierChannelEvent) {
				e.Contacts = slices.Repeat([]omni.ContactCard{{Name: "Juma"}}, 51)
			}},
			rule[omni.CarrierChannelEvent]{"contacts.name", func(e *omni.CarrierChannelEvent) { e.Contacts = []omni.ContactCard{{}} }},
			rule[omni.CarrierChannelEvent]{"metadata.metadata", func(e *omni.CarrierChannelEvent) { e.Metadata = omni.Metadata{"": "x"} }},
			rule[omni.CarrierChannelEvent]{"fragment.index", func(e *omni.CarrierChannelEvent) {
				e.Fragment = &omni.MessageFragment{Reference: "7", Index: 3, Total: 2}
			}},
		),
		tableOf(validPayload, []func(*omni.MessagePayload){
			func(p *omni.MessagePayload) { *p = omni.TextPayload("") },
			func(p *omni.MessagePayload) { *p = omni.TextPayload(strings.Repeat("a", omni.MaxText)) },
			func(p *omni.MessagePayload) { *p = omni.NewPayload("hi", []omni.MediaReference{validFile()}) },
			func(p *omni.MessagePayload) {
				v := validFile()
				v.Type = omni.MediaVideo
				*p = omni.NewPayload("hi", []omni.MediaReference{validFile(), v})
			},
			func(p *omni.MessagePayload) {
				*p = omni.MessagePayload{Type: omni.PayloadUnsupported, Unsupported: "poll"}
			},
			func(p *omni.MessagePayload) { *p = rich(omni.PayloadTemplate) },
			func(p *omni.MessagePayload) { *p = rich(omni.PayloadInteractive) },
			func(p *omni.MessagePayload) { *p = rich(omni.PayloadLocation) },
			func(p *omni.MessagePayload) { *p = rich(omni.PayloadContacts) },
		},
			rule[omni.MessagePayload]{"type", func(p *omni.MessagePayload) { p.Type = "" }},
			rule[omni.MessagePayload]{"text.body", func(p *omni.MessagePayload) { p.Text.Body = strings.Repeat("a", omni.MaxText+1) }},
			rule[omni.MessagePayload]{"text.body", func(p *omni.MessagePayload) { p.Text.Body = "a\x00" }},
			rule[omni.MessagePayload]{"text.body", func(p *omni.MessagePayload) { p.Text.Body = "a\xff" }},
			rule[omni.MessagePayload]{"text", func(p *omni.MessagePayload) { p.Text = nil }},
			rule[omni.MessagePayload]{"type", func(p *omni.MessagePayload) {
				p.Image = &omni.ImageMessage{References: []omni.MediaReference{validFile()}}
			}},
			rule[omni.MessagePayload]{"type", func(p *omni.MessagePayload) {
				p.Media = []omni.MediaMessage{{Type: omni.MediaImage, Reference: validFile()}}
			}},
			rule[omni.MessagePayload]{"image.references", func(p *omni.MessagePayload) { p.Type = omni.PayloadImage }},
			rule[omni.MessagePayload]{"image.references", func(p *omni.MessagePayload) {
				p.Type, p.Image = omni.PayloadImage, &omni.ImageMessage{}
			}},
			rule[omni.MessagePayload]{"image.references.type", func(p *omni.MessagePayload) {
				f := validFile()
				f.Type = omni.MediaVideo
				p.Type, p.Image = omni.PayloadImage, &omni.ImageMessage{References: []omni.MediaReference{f}}
			}},
			rule[omni.MessagePayload]{"image.references.state", func(p *omni.MessagePayload) {
				f := validFile()
				f.State = ""
				p.Type, p.Image = omni.PayloadImage, &omni.ImageMessage{References: []omni.MediaReference{f}}
			}},
			rule[omni.MessagePayload]{"media", func(p *omni.MessagePayload) {
				*p = omni.NewPayload("", []omni.MediaReference{validFile()})
				p.Media = []omni.MediaMessage{{Type: omni.MediaImage, Reference: validFile()}}
			}},
			rule[omni.MessagePayload]{"image", func(p *omni.MessagePayload) {
				*p = omni.NewPayload("", []omni.MediaReference{validFile()})
				p.Type, p.Media = omni.PayloadMedia, []omni.MediaMessage{{Type: omni.MediaImage, Reference: validFile()}}
			}},
			rule[omni.MessagePayload]{"media", func(p *omni.MessagePayload) { p.Type = omni.PayloadMedia }},
			rule[omni.MessagePayload]{"media.type", func(p *omni.MessagePayload) {
				p.Type, p.Media = omni.PayloadMedia, []omni.MediaMessage{{Reference: validFile()}}
			}},
			rule[omni.MessagePayload]{"media.reference.size", func(p *omni.MessagePayload) {
				f := validFile()
				f.Size = -1
				p.Type, p.Media = omni.PayloadMedia, []omni.MediaMessage{{Type: omni.MediaImage, Reference: f}}
			}},
			rule[omni.MessagePayload]{"unsupported", func(p *omni.MessagePayload) { p.Type = omni.PayloadUnsupported }},
			rule[omni.MessagePayload]{"template", func(p *omni.MessagePayload) { p.Type = omni.PayloadTemplate }},
			rule[omni.MessagePayload]{"interactive", func(p *omni.MessagePayload) { p.Type = omni.PayloadInteractive }},
			rule[omni.MessagePayload]{"location", func(p *omni.MessagePayload) { p.Type = omni.PayloadLocation }},
			rule[omni.MessagePayload]{"contacts", func(p *omni.MessagePayload) { p.Type = omni.PayloadContacts }},
			rule[omni.MessagePayload]{"template", func(p *omni.MessagePayload) { p.Template = rich(omni.PayloadTemplate).Template }},
			rule[omni.MessagePayload]{"interactive", func(p *omni.MessagePayload) { p.Interactive = rich(omni.PayloadInteractive).Interactive }},
			rule[omni.MessagePayload]{"location", func(p *omni.MessagePayload) { p.Location = &omni.Location{} }},
			rule[omni.MessagePayload]{"contacts", func(p *omni.MessagePayload) { p.Contacts = []omni.ContactCard{{Name: "Juma"}} }},
			rule[omni.MessagePayload]{"contacts", func(p *omni.MessagePayload) {
				*p = rich(omni.PayloadContacts)
				p.Contacts = slices.Repeat(p.Contacts, 51)
			}},
			rule[omni.MessagePayload]{"template.name", func(p *omni.MessagePayload) {
				*p = rich(omni.PayloadTemplate)
				p.Template.Name = "Hello"
			}},
			rule[omni.MessagePayload]{"interactive.type", func(p *omni.MessagePayload) {
				*p = rich(omni.PayloadInteractive)
				p.Interactive.Type, p.Interactive.Choices = "quiz", nil
			}},
			rule[omni.MessagePayload]{"location.latitude", func(p *omni.MessagePayload) {
				*p = rich(omni.PayloadLocation)
				p.Location.Latitude = 91
			}},
			rule[omni.MessagePayload]{"contacts.name", func(p *omni.MessagePayload) {
				*p = rich(omni.PayloadContacts)
				p.Contacts[0].Name = ""
			}},
		),
		tableOf(validFile, []func(*omni.MediaReference){
			func(r *omni.MediaReference) {
				r.ID, r.External.URL, r.State = "", "https://x.example/1", omni.MediaPending
			},
			func(r *omni.MediaReference) { r.ID, r.External.ID, r.Carrier = "", "123", "" },
		},
			rule[omni.MediaReference]{"id", func(r *omni.MediaReference) { r.ID = badID }},
			rule[omni.MediaReference]{"carrier", func(r *omni.MediaReference) { r.Carrier = "fax" }},
			rule[omni.MediaReference]{"type", func(r *omni.MediaReference) { r.Type = "" }},
			rule[omni.MediaReference]{"state", func(r *omni.MediaReference) { r.State = "" }},
			rule[omni.MediaReference]{"size", func(r *omni.MediaReference) { r.Size = -1 }},
			rule[omni.MediaReference]{"external", func(r *omni.MediaReference) { r.ID = "" }},
		),
		tableOf(func() omni.MediaConvertJob {
			return omni.MediaConvertJob{
				ID: idA, Tenant: org(), MessageID: idA, MediaID: idA, FromType: "audio/amr", ToType: "audio/mpeg", SchemaVersion: omni.CurrentSchema,
			}
		}, []func(*omni.MediaConvertJob){
			func(j *omni.MediaConvertJob) { j.Status, j.ResultID = omni.ConvertComplete, idB },
			func(j *omni.MediaConvertJob) { j.Status = omni.ConvertIncompatible },
		},
			rule[omni.MediaConvertJob]{"id", func(j *omni.MediaConvertJob) { j.ID = "" }},
			rule[omni.MediaConvertJob]{"tenant.organisationId", func(j *omni.MediaConvertJob) { j.Tenant = omni.Tenant{} }},
			rule[omni.MediaConvertJob]{"messageId", func(j *omni.MediaConvertJob) { j.MessageID = "" }},
			rule[omni.MediaConvertJob]{"mediaId", func(j *omni.MediaConvertJob) { j.MediaID = "" }},
			rule[omni.MediaConvertJob]{"externalJobId", func(j *omni.MediaConvertJob) { j.ExternalJobID = long256 }},
			rule[omni.MediaConvertJob]{"fromType", func(j *omni.MediaConvertJob) { j.FromType = "" }},
			rule[omni.MediaConvertJob]{"toType", func(j *omni.MediaConvertJob) { j.ToType = "" }},
			rule[omni.MediaConvertJob]{"status", func(j *omni.MediaConvertJob) { j.Status = "Done" }},
			rule[omni.MediaConvertJob]{"resultId", func(j *omni.MediaConvertJob) { j.Status = omni.ConvertComplete }},
			rule[omni.MediaConvertJob]{"schemaVersion.date", func(j *omni.MediaConvertJob) { j.SchemaVersion = omni.SchemaVersion{Version: 1} }},
		),
		tableOf(func() omni.SchemaVersion { return omni.CurrentSchema }, nil,
			rule[omni.SchemaVersion]{"version", func(v *omni.SchemaVersion) { v.Version = 0 }},
			rule[omni.SchemaVersion]{"date", func(v *omni.SchemaVersion) { *v = omni.SchemaVersion{Version: 1} }},
		),
		tableOf(func() omni.MessageFragment {
			return omni.MessageFragment{Reference: "171", Index: 1, Total: 2, Text: "a"}
		}, []func(*omni.MessageFragment){
			func(f *omni.MessageFragment) { f.Index, f.Total, f.Text = 255, 255, "" },
		},
			rule[omni.MessageFragment]{"reference", func(f *omni.MessageFragment) { f.Reference = "" }},
			rule[omni.MessageFragment]{"reference", func(f *omni.MessageFragment) { f.Reference = long256 }},
			rule[omni.MessageFragment]{"total", func(f *omni.MessageFragment) { f.Total = 1 }},
			rule[omni.MessageFragment]{"total", func(f *omni.MessageFragment) { f.Total = 256 }},
			rule[omni.MessageFragment]{"index", func(f *omni.MessageFragment) { f.Index = 0 }},
			rule[omni.MessageFragment]{"index", func(f *omni.MessageFragment) { f.Index = 3 }},
		),
		tableOf(func() omni.DeliveryStatus {
			return omni.DeliveryStatus{DeliveryStatusMessage: omni.DeliveryStatusMessage{CarrierMessageID: "SM1", Status: omni.StatusSent}, ReceivedAt: 1}
		}, []func(*omni.DeliveryStatus){func(d *omni.DeliveryStatus) { d.CarrierMessageID, d.MessageID = "", idA }},
			rule[omni.DeliveryStatus]{"status", func(d *omni.DeliveryStatus) { d.Status = "" }},
			rule[omni.DeliveryStatus]{"reason", func(d *omni.DeliveryStatus) { d.Reason = "because" }},
			rule[omni.DeliveryStatus]{"carrierMessageId", func(d *omni.DeliveryStatus) { d.CarrierMessageID = "" }},
			rule[omni.DeliveryStatus]{"carrierMessageId", func(d *omni.DeliveryStatus) { d.CarrierMessageID = long256 }},
			rule[omni.DeliveryStatus]{"receivedAt", func(d *omni.DeliveryStatus) { d.ReceivedAt = 0 }},
		),
		tableOf(func() omni.MessageQueueLock {
			return omni.MessageQueueLock{Key: "inbox/1", Owner: "n1", Token: 1, ExpiresAt: 1}
		}, nil,
			rule[omni.MessageQueueLock]{"key", func(l *omni.MessageQueueLock) { l.Key = "" }},
			rule[omni.MessageQueueLock]{"owner", func(l *omni.MessageQueueLock) { l.Owner = "" }},
			rule[omni.MessageQueueLock]{"token", func(l *omni.MessageQueueLock) { l.Token = 0 }},
			rule[omni.MessageQueueLock]{"expiresAt", func(l *omni.MessageQueueLock) { l.ExpiresAt = 0 }},
		),
		tableOf(func() omni.ExternalID { return omni.ExternalID{System: "salesforce", ID: "1"} }, nil,
			rule[omni.ExternalID]{"system", func(e *omni.ExternalID) { e.System = "" }},
			rule[omni.ExternalID]{"id", func(e *omni.ExternalID) { e.ID = "" }},
			rule[omni.ExternalID]{"id", func(e *omni.ExternalID) { e.ID = long256 }},
		),
		tableOf(validContact, []func(*omni.Contact){
			func(c *omni.Contact) { c.Name = "" },
			func(c *omni.Contact) { c.Labels = make([]string, 50) },
		},
			rule[omni.Contact]{"id", func(c *omni.Contact) { c.ID = "" }},
			rule[omni.Contact]{"tenant.organisationId", func(c *omni.Contact) { c.Tenant = omni.Tenant{} }},
			rule[omni.Contact]{"name", func(c *omni.Contact) { c.Name = badName }},
			rule[omni.Contact]{"labels", func(c *omni.Contact) { c.Labels = make([]string, 51) }},
			rule[omni.Contact]{"attributes", func(c *omni.Contact) {
				c.Attributes = map[string]string{}
				for i := range 101 {
					c.Attributes[strconv.Itoa(i)] = ""
				}
			}},
			rule[omni.Contact]{"externalIds.system", func(c *omni.Contact) { c.ExternalIDs = []omni.ExternalID{{ID: "1"}} }},
			rule[omni.Contact]{"schemaVersion.version", func(c *omni.Contact) { c.SchemaVersion.Version = 0 }},
		),
		tableOf(func() omni.ContactIdentity {
			return omni.ContactIdentity{ID: idA, Tenant: org(), ContactID: idA, ChannelType: omni.ChannelSMS, Address: "+1", SchemaVersion: omni.CurrentSchema}
		}, nil,
			rule[omni.ContactIdentity]{"id", func(i *omni.ContactIdentity) { i.ID = "" }},
			rule[omni.ContactIdentity]{"tenant.organisationId", func(i *omni.ContactIdentity) { i.Tenant = omni.Tenant{} }},
			rule[omni.ContactIdentity]{"aliases", func(i *omni.ContactIdentity) {
				i.Aliases = slices.Repeat([]omni.IdentityAlias{{Address: "+1", Kind: omni.AliasFormer}}, omni.MaxAliases+1)
			}},
			rule[omni.ContactIdentity]{"aliases.address", func(i *omni.ContactIdentity) { i.Aliases = []omni.IdentityAlias{{Kind: omni.AliasFormer}} }},
			rule[omni.ContactIdentity]{"contactId", func(i *omni.ContactIdentity) { i.ContactID = "" }},
			rule[omni.ContactIdentity]{"channelType", func(i *omni.ContactIdentity) { i.ChannelType = omni.ChannelMMS }},
			rule[omni.ContactIdentity]{"channelType", func(i *omni.ContactIdentity) { i.ChannelType = "" }},
			rule[omni.ContactIdentity]{"address", func(i *omni.ContactIdentity) { i.Address = "" }},
			rule[omni.ContactIdentity]{"address", func(i *omni.ContactIdentity) { i.Address = long256 }},
			rule[omni.ContactIdentity]{"schemaVersion.version", func(i *omni.ContactIdentity) { i.SchemaVersion.Version = 0 }},
		),
		tableOf(func() omni.ConsentUpdate {
			return omni.ConsentUpdate{Tenant: org(), ChannelType: omni.ChannelSMS, Address: "+1", By: "STOP", At: 1}
		}, nil,
			rule[omni.ConsentUpdate]{"tenant.organisationId", func(c *omni.ConsentUpdate) { c.Tenant = omni.Tenant{} }},
			rule[omni.ConsentUpdate]{"channelType", func(c *omni.ConsentUpdate) { c.ChannelType = "" }},
			rule[omni.ConsentUpdate]{"address", func(c *omni.ConsentUpdate) { c.Address = "" }},
			rule[omni.ConsentUpdate]{"by", func(c *omni.ConsentUpdate) { c.By = "" }},
			rule[omni.ConsentUpdate]{"at", func(c *omni.ConsentUpdate) { c.At = 0 }},
		),
		tableOf(validChannel, []func(*omni.DigitalChannel){func(d *omni.DigitalChannel) { *d = validWidget() }},
			rule[omni.DigitalChannel]{"id", func(d *omni.DigitalChannel) { d.ID = "" }},
			rule[omni.DigitalChannel]{"tenant.organisationId", func(d *omni.DigitalChannel) { d.Tenant = omni.Tenant{} }},
			rule[omni.DigitalChannel]{"groupId", func(d *omni.DigitalChannel) { d.GroupID = "" }},
			rule[omni.DigitalChannel]{"name", func(d *omni.DigitalChannel) { d.Name = "" }},
			rule[omni.DigitalChannel]{"channelType", func(d *omni.DigitalChannel) { d.ChannelType = omni.ChannelMMS }},
			rule[omni.DigitalChannel]{"channelType", func(d *omni.DigitalChannel) { d.ChannelType = "" }},
			rule[omni.DigitalChannel]{"address", func(d *omni.DigitalChannel) { d.Address = "" }},
			rule[omni.DigitalChannel]{"address", func(d *omni.DigitalChannel) { d.Address = long256 }},
			rule[omni.DigitalChannel]{"address", func(d *omni.DigitalChannel) { d.ChannelType, d.Address = omni.ChannelPubNub, "a b" }},
			rule[omni.DigitalChannel]{"carrier", func(d *omni.DigitalChannel) { d.Carrier = "" }},
			rule[omni.DigitalChannel]{"carrierAccountId", func(d *omni.DigitalChannel) { d.CarrierAccountID = "" }},
			rule[omni.DigitalChannel]{"liveChat", func(d *omni.DigitalChannel) { d.LiveChat = validWidget().LiveChat }},
			rule[omni.DigitalChannel]{"liveChat", func(d *omni.DigitalChannel) { *d = validWidget(); d.LiveChat = nil }},
			rule[omni.DigitalChannel]{"carrier", func(d *omni.DigitalChannel) { *d = validWidget(); d.Carrier = omni.CarrierTest }},
			rule[omni.DigitalChannel]{"carrier", func(d *omni.DigitalChannel) { *d = validWidget(); d.CarrierAccountID = idA }},
			rule[omni.DigitalChannel]{"liveChat.publicId", func(d *omni.DigitalChannel) { *d = validWidget(); d.LiveChat.PublicID = "" }},
			rule[omni.DigitalChannel]{"schemaVersion.version", func(d *omni.DigitalChannel) { d.SchemaVersion.Version = 0 }},
		),
		tableOf(validLiveChat, []func(*omni.LiveChatSettings){
			func(l *omni.LiveChatSettings) { l.Accent, l.Title, l.Greeting = "#1A73e8", "Chat", "Hi!" },
		},
			rule[omni.LiveChatSettings]{"publicId", func(l *omni.LiveChatSettings) { l.PublicID = "short" }},
			rule[omni.LiveChatSettings]{"allowedOrigins", func(l *omni.LiveChatSettings) { l.AllowedOrigins = nil }},
			rule[omni.LiveChatSettings]{"allowedOrigins", func(l *omni.LiveChatSettings) { l.AllowedOrigins = append(l.AllowedOrigins, "*") }},
			rule[omni.LiveChatSettings]{"accent", func(l *omni.LiveChatSettings) { l.Accent = "red" }},
			rule[omni.LiveChatSettings]{"accent", func(l *omni.LiveChatSettings) { l.Accent = "#12345g" }},
			rule[omni.LiveChatSettings]{"accent", func(l *omni.LiveChatSettings) { l.Accent = "1234567" }},
			rule[omni.LiveChatSettings]{"title", func(l *omni.LiveChatSettings) { l.Title = badName }},
			rule[omni.LiveChatSettings]{"greeting", func(l *omni.LiveChatSettings) { l.Greeting = strings.Repeat("a", 2001) }},
		),
		tableOf(validGroup, []func(*omni.DigitalChannelGroup){
			func(g *omni.DigitalChannelGroup) { g.Type, g.UserID, g.MemberIDs = omni.GroupPrivate, idA, nil },
			func(g *omni.DigitalChannelGroup) { g.Colour = "#0b8043" },
		},
			rule[omni.DigitalChannelGroup]{"id", func(g *omni.DigitalChannelGroup) { g.ID = "" }},
			rule[omni.DigitalChannelGroup]{"tenant.organisationId", func(g *omni.DigitalChannelGroup) { g.Tenant = omni.Tenant{} }},
			rule[omni.DigitalChannelGroup]{"name", func(g *omni.DigitalChannelGroup) { g.Name = "" }},
			rule[omni.DigitalChannelGroup]{"type", func(g *omni.DigitalChannelGroup) { g.Type = "" }},
			rule[omni.DigitalChannelGroup]{"userId", func(g *omni.DigitalChannelGroup) { g.Type = omni.GroupPrivate }},
			rule[omni.DigitalChannelGroup]{"userId", func(g *omni.DigitalChannelGroup) { g.UserID = idA }},
			rule[omni.DigitalChannelGroup]{"memberIds", func(g *omni.DigitalChannelGroup) { g.MemberIDs = []string{badID} }},
			rule[omni.DigitalChannelGroup]{"memberIds", func(g *omni.DigitalChannelGroup) {
				g.MemberIDs = strings.Split(strings.Repeat(idA+",", 1000)+idA, ",")
			}},
			rule[omni.DigitalChannelGroup]{"colour", func(g *omni.DigitalChannelGroup) { g.Colour = "#fff" }},
			rule[omni.DigitalChannelGroup]{"routing.strategy", func(g *omni.DigitalChannelGroup) { g.Routing.Strategy = "" }},
			rule[omni.DigitalChannelGroup]{"schemaVersion.version", func(g *omni.DigitalChannelGroup) { g.SchemaVersion.Version = 0 }},
		),
		tableOf(func() omni.PublishChannel {
			return omni.PublishChannel{DigitalChannelID: idA, ChannelType: omni.ChannelMMS, Sender: "+1", Target: omni.PublishIdentity{Address: "+2"}}
		}, nil,
			rule[omni.PublishChannel]{"digitalChannelId", func(p *omni.PublishChannel) { p.DigitalChannelID = "" }},
			rule[omni.PublishChannel]{"channelType", func(p *omni.PublishChannel) { p.ChannelType = "" }},
			rule[omni.PublishChannel]{"target.address", func(p *omni.PublishChannel) { p.Target.Address = "" }},
		),
		tableOf(func() omni.CarrierAccount {
			return omni.CarrierAccount{ID: idA, Tenant: org(), PublicID: "p", Carrier: omni.CarrierTwilio, Name: "main", SchemaVersion: omni.CurrentSchema}
		}, nil,
			rule[omni.CarrierAccount]{"id", func(a *omni.CarrierAccount) { a.ID = "" }},
			rule[omni.CarrierAccount]{"tenant.organisationId", func(a *omni.CarrierAccount) { a.Tenant = omni.Tenant{} }},
			rule[omni.CarrierAccount]{"publicId", func(a *omni.CarrierAccount) { a.PublicID = "" }},
			rule[omni.CarrierAccount]{"carrier", func(a *omni.CarrierAccount) { a.Carrier = "" }},
			rule[omni.CarrierAccount]{"name", func(a *omni.CarrierAccount) { a.Name = "" }},
			rule[omni.CarrierAccount]{"schemaVersion.version", func(a *omni.CarrierAccount) { a.SchemaVersion.Version = 0 }},
		),
		tableOf(func() omni.Interaction {
			return omni.Interaction{
				ID: idA, Tenant: org(), ContactID: idA, IdentityID: idA, DigitalChannelID: idA, GroupID: idA, ChannelType: omni.ChannelSMS,
				Owner: omni.InteractionOwner{Type: omni.EntityGroup, ID: idA}, State: omni.InteractionOpen, SchemaVersion: omni.CurrentSchema,
			}
		}, nil,
			rule[omni.Interaction]{"id", func(i *omni.Interaction) { i.ID = "" }},
			rule[omni.Interaction]{"tenant.organisationId", func(i *omni.Interaction) { i.Tenant = omni.Tenant{} }},
			rule[omni.Interaction]{"contactId", func(i *omni.Interaction) { i.ContactID = "" }},
			rule[omni.Interaction]{"identityId", func(i *omni.Interaction) { i.IdentityID = "" }},
			rule[omni.Interaction]{"digitalChannelId", func(i *omni.Interaction) { i.DigitalChannelID = "" }},
			rule[omni.Interaction]{"groupId", func(i *omni.Interaction) { i.GroupID = "" }},
			rule[omni.Interaction]{"channelType", func(i *omni.Interaction) { i.ChannelType = "" }},
			rule[omni.Interaction]{"owner.type", func(i *omni.Interaction) { i.Owner.Type = "" }},
			rule[omni.Interaction]{"owner.id", func(i *omni.Interaction) { i.Owner.ID = "" }},
			rule[omni.Interaction]{"labelIds", func(i *omni.Interaction) { i.LabelIDs = []string{badID} }},
			rule[omni.Interaction]{"labelIds", func(i *omni.Interaction) { i.LabelIDs = slices.Repeat([]string{idA}, 51) }},
			rule[omni.Interaction]{"state", func(i *omni.Interaction) { i.State = "closed" }},
			rule[omni.Interaction]{"schemaVersion.version", func(i *omni.Interaction) { i.SchemaVersion.Version = 0 }},
		),
		tableOf(func() omni.Folder {
			return omni.Folder{ID: idA, Tenant: org(), GroupID: idA, Name: "Returns", Type: omni.FolderDefault, SchemaVersion: omni.CurrentSchema}
		}, []func(*omni.Folder){func(f *omni.Folder) { f.Type, f.EndsAt = omni.FolderTemporary, 1 }},
			rule[omni.Folder]{"id", func(f *omni.Folder) { f.ID = "" }},
			rule[omni.Folder]{"tenant.organisationId", func(f *omni.Folder) { f.Tenant = omni.Tenant{} }},
			rule[omni.Folder]{"groupId", func(f *omni.Folder) { f.GroupID = "" }},
			rule[omni.Folder]{"name", func(f *omni.Folder) { f.Name = "" }},
			rule[omni.Folder]{"type", func(f *omni.Folder) { f.Type = "" }},
			rule[omni.Folder]{"endsAt", func(f *omni.Folder) { f.Type = omni.FolderTemporary }},
			rule[omni.Folder]{"endsAt", func(f *omni.Folder) { f.EndsAt = 1 }},
			rule[omni.Folder]{"schemaVersion.version", func(f *omni.Folder) { f.SchemaVersion.Version = 0 }},
		),
		tableOf(func() omni.LiveChatPayload {
			return omni.LiveChatPayload{LiveChatMessage: omni.LiveChatMessage{ClientID: idA}, Text: "hi"}
		}, []func(*omni.LiveChatPayload){
			func(p *omni.LiveChatPayload) { p.Text, p.MediaID, p.MediaType = "", idB, omni.MediaImage },
		},
			rule[omni.LiveChatPayload]{"clientId", func(p *omni.LiveChatPayload) { p.ClientID = "1" }},
			rule[omni.LiveChatPayload]{"text", func(p *omni.LiveChatPayload) { p.Text = "" }},
			rule[omni.LiveChatPayload]{"text", func(p *omni.LiveChatPayload) { p.Text = strings.Repeat("a", omni.MaxText+1) }},
			rule[omni.LiveChatPayload]{"mediaType", func(p *omni.LiveChatPayload) { p.MediaType = "gif" }},
			rule[omni.LiveChatPayload]{"mediaId", func(p *omni.LiveChatPayload) { p.MediaID = badID }},
		),
		tableOf(func() omni.WorkflowSteps {
			return omni.WorkflowSteps{Name: "identity", Result: omni.WorkflowSuccess}
		}, nil,
			rule[omni.WorkflowSteps]{"name", func(w *omni.WorkflowSteps) { w.Name = "" }},
			rule[omni.WorkflowSteps]{"result", func(w *omni.WorkflowSteps) { w.Result = "200" }},
		),
	}...)
}

func TestValidate(t *testing.T) {
	t.Parallel()
	for _, tb := range tables() {
		t.Run(tb.model, tb.run)
	}
}

// TestEveryRuleHasACase reads the Validate methods and counts: each rule of a field needs a case that breaks it.
func TestEveryRuleHasACase(t *testing.T) {
	t.Parallel()
	cases := map[string][]string{}
	for _, tb := range tables() {
		cases[tb.model] = tb.rules
	}
	files, err := filepath.Glob("*.go")
	require.NoError(t, err)
	methods := 0
	for _, name := range files {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		require.NoError(t, err)
		for _, d := range file.Decls {
			f, ok := d.(*ast.FuncDecl)
			if !ok || f.Recv == nil || f.Name.Name != "Validate" {
				continue
			}
			methods++
			model := types.ExprString(f.Recv.List[0].Type)
			need := map[string]int{}
			ast.Inspect(f, func(n ast.Node) bool {
				call, ok := n.(*ast.CallExpr)
				if !ok {
					return true
				}
				switch types.ExprString(call.Fun) {
				case "bad.require":
					need[literal(t, call.Args[1])]++
				case "bad.nest":
					need[literal(t, call.Args[0])+"."]++
				}
				return true
			})
			for field, n := range need {
				have := 0
				for _, c := range cases[model] {
					if c == field || strings.HasSuffix(field, ".") && strings.HasPrefix(c, field) {
						have++
					}
				}
				require.GreaterOrEqual(t, have, n, "%s: cases that break rules of %s", model, field)
			}
		}
	}
	require.Equal(t, len(cases), methods, "each model with a Validate has a table")
}

func literal(t *testing.T, e ast.Expr) string {
	t.Helper()
	lit, ok := e.(*ast.BasicLit)
	require.True(t, ok, "a field is named by a literal")
	s, err := strconv.Unquote(lit.Value)
	require.NoError(t, err)
	return s
}

func TestValidateNamesEveryFieldAtOnce(t *testing.T) {
	t.Parallel()
	var p *omni.Problem
	require.ErrorAs(t, omni.Interaction{}.Validate(), &p)
	for _, f := range []string{"id", "tenant.organisationId", "contactId", "owner.type", "owner.id", "state", "schemaVersion.date"} {
		require.Contains(t, p.Fields, f)
	}
	require.NotContains(t, p.Fields, "tenant.userId")
}
