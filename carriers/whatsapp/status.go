package whatsapp

import (
	"encoding/json"

	"omniservice/carriers"
	"omniservice/omni"
)

// Status is how far a message of ours has come. (Seed: WhatsAppStatus.)
type Status struct {
	ID                    text            `json:"id"`
	Status                text            `json:"status"`
	Timestamp             stamp           `json:"timestamp"`
	RecipientID           text            `json:"recipient_id"`
	RecipientUserID       text            `json:"recipient_user_id"`
	RecipientParentUserID text            `json:"recipient_parent_user_id"`
	RecipientType         text            `json:"recipient_type"`           // individual or group
	ParticipantID         text            `json:"recipient_participant_id"` // of a group: who of it
	CallbackData          text            `json:"biz_opaque_callback_data"`
	Conversation          *Conversation   `json:"conversation"`
	Pricing               *pricing        `json:"pricing"`
	Errors                List[reported]  `json:"errors"`
	Type                  json.RawMessage `json:"type"`
}

// Conversation is what Meta charges by, in the pricing before July 2025 and in windows that an advertisement opened.
// (Seed: WhatsAppConversation.)
type Conversation struct {
	ID        text   `json:"id"`
	ExpiresAt stamp  `json:"expiration_timestamp"`
	Origin    Origin `json:"origin"`
}

// Origin is what opened a conversation. (Seed: WhatsAppOrigin.)
type Origin struct {
	Type text `json:"type"`
}

// pricing is what a message costs.
type pricing struct {
	Billable     *flag `json:"billable"`
	PricingModel text  `json:"pricing_model"`
	Category     text  `json:"category"`
	Type         text  `json:"type"`
}

// reported is one error of a webhook.
type reported struct {
	Code    text `json:"code"`
	Title   text `json:"title"`
	Message text `json:"message"`
	Details text `json:"details"` // where older versions have it
	Data    struct {
		Details text `json:"details"`
	} `json:"error_data"`
}

// played is the word for a voice message that was listened to.
const played = "played"

// statuses tells what Meta's words mean. Source: "Status messages webhook reference", read 2026-11-23. The word deleted,
// which older versions sent when a person took a message back, is no status.
var statuses = map[string]omni.Status{
	"sent":      omni.StatusSent,
	"delivered": omni.StatusDelivered,
	"read":      omni.StatusRead,
	played:      omni.StatusRead,
	"failed":    omni.StatusFailed,
}

func (b *batch) status(s Status) error {
	status, ok := statuses[string(s.Status)]
	if !ok {
		return b.ignore(carriers.UnknownStatus, string(s.Status))
	}
	id, err := carriers.ID("id", string(s.ID))
	if err != nil {
		return b.ignore(carriers.UnknownEvent, "status")
	}
	if !b.first(id + " " + string(status)) {
		return nil
	}
	e := b.event(omni.EventStatus, omni.Outbound)
	e.CarrierMessageID, e.Status = id, status
	e.From, e.To = b.ours, addressOf(s.RecipientID, s.RecipientUserID)
	e.OccurredAt = omni.Millis(s.Timestamp)
	failed := s.Errors.First()
	e.ErrorCode = word(string(failed.Code))
	set(&e.Metadata, "errorDetails", failed.details())
	e.Reason = reasonOfStatus(status, ErrorCode(e.ErrorCode))
	e.Retryable = e.Reason.Retryable()
	if len(s.CallbackData) <= maxReference {
		e.ClientReference = omni.CleanText(string(s.CallbackData)) // ours, unless another program sends for this number too
	}
	if s.RecipientType != "individual" {
		set(&e.Metadata, "recipientType", s.RecipientType)
	}
	set(&e.Metadata, "recipientParticipantId", s.ParticipantID)
	if s.Status == played {
		e.Metadata.Set("played", "true")
	}
	if e.To != string(s.RecipientUserID) {
		set(&e.Metadata, "userId", s.RecipientUserID)
	}
	set(&e.Metadata, "parentUserId", s.RecipientParentUserID)
	if c := s.Conversation; c != nil {
		set(&e.Metadata, "conversationId", c.ID)
		set(&e.Metadata, "conversationOrigin", c.Origin.Type)
		setTime(&e.Metadata, "conversationExpiresAt", c.ExpiresAt)
	}
	if p := s.Pricing; p != nil {
		set(&e.Metadata, "pricingModel", p.PricingModel)
		set(&e.Metadata, "pricingCategory", p.Category)
		set(&e.Metadata, "pricingType", p.Type)
		billable := p.Type == "regular"
		if p.Billable != nil {
			billable = bool(*p.Billable)
		}
		if billable {
			e.Metadata.Set("billable", "true")
		} else {
			e.Metadata.Set("billable", "false")
		}
	}
	return b.add(e)
}
