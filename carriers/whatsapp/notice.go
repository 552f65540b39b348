package whatsapp

import (
	"strings"

	"omniservice/carriers"
	"omniservice/omni"
)

// TemplateStatusUpdate tells where a template stands now. (Seed: WhatsAppTemplateStatusUpdate.)
type TemplateStatusUpdate struct {
	Event    text `json:"event"`
	ID       text `json:"message_template_id"` // decimal; more than a float holds
	Name     text `json:"message_template_name"`
	Language text `json:"message_template_language"`
	Category text `json:"message_template_category"`
	Reason   text `json:"reason"` // why it was rejected; NONE or null otherwise
}

// TemplateQualityUpdate tells what recipients make of a template. (Seed: WhatsAppTemplateQualityUpdate.)
type TemplateQualityUpdate struct {
	ID            text `json:"message_template_id"`
	Name          text `json:"message_template_name"`
	Language      text `json:"message_template_language"`
	PreviousScore text `json:"previous_quality_score"`
	NewScore      text `json:"new_quality_score"`
}

// componentsUpdated is the status of an event that says that a template has another text now.
const componentsUpdated = "COMPONENTS_UPDATED"

// templateUpdate is a notice of any kind about a template.
type templateUpdate struct {
	TemplateStatusUpdate
	NewCategory text `json:"new_category"`
	Correct     text `json:"correct_category"` // in notices beforehand
}

func (b *batch) template(raw []byte) error {
	var u templateUpdate
	_ = lenient(raw, &u) // it is JSON: it was part of some
	e := b.event(omni.EventTemplate, omni.Inbound)
	e.Field, e.From = b.field, addressless(b.entry.ID)
	e.CarrierMessageID, e.Text = word(string(u.ID)), omni.CleanText(string(u.Name))
	if e.CarrierMessageID == "" && e.Text == "" {
		return b.ignore(carriers.Empty, b.field)
	}
	switch b.field {
	case "message_template_status_update":
		e.Status = upper(u.Event)
		if reason := string(upper(u.Reason)); e.Status == omni.Status(omni.TemplateRejected) && reason != "NONE" {
			e.ErrorCode = reason
		}
	case "message_template_quality_update":
		var q TemplateQualityUpdate
		_ = lenient(raw, &q) // as above
		e.Status = upper(q.NewScore)
	case "template_category_update":
		if e.Status = upper(u.NewCategory); e.Status == "" {
			e.Status = upper(u.Correct)
		}
	default:
		e.Status = componentsUpdated
	}
	set(&e.Metadata, "language", u.Language)
	flatten(&e.Metadata, raw, "message_template_id", "message_template_name", "message_template_language")
	return b.add(e)
}

func (b *batch) account(raw []byte) error {
	var u struct {
		Event        text `json:"event"`
		Decision     text `json:"decision"`
		AlertType    text `json:"alert_type"`
		DisplayPhone text `json:"display_phone_number"`
		Phone        text `json:"phone_number"`
	}
	_ = lenient(raw, &u) // as above
	e := b.event(omni.EventAccount, omni.Inbound)
	e.Field, e.From = b.field, addressless(b.entry.ID)
	if e.To = addressOf(u.DisplayPhone, ""); e.To == "" {
		e.To = addressOf(u.Phone, "")
	}
	for _, s := range []text{u.Event, u.Decision, u.AlertType} {
		if e.Status == "" {
			e.Status = upper(s)
		}
	}
	if b.field == "phone_number_quality_update" && e.Status == "THROUGHPUT_UPGRADE" {
		b.state.raise(e.To, true)
	}
	flatten(&e.Metadata, raw)
	return b.add(e)
}

// addressless is the id of an account where an address stands otherwise.
func addressless(id text) string { return word(string(id)) }

// upper is a word of Meta's in capitals, at most as long as a status is.
func upper(s text) omni.Status {
	return omni.Status(word(strings.ToUpper(strings.TrimSpace(string(s)))))
}
