package whatsapp

import (
	"context"
	"net/http"
	"time"

	"omniservice/omni"
)

// typingEvery is less than the 25 seconds for which WhatsApp shows that we are writing.
const typingEvery = 20 * time.Second

// React implements carriers.Reactor. POST /{phone number id}/messages
func (c *Carrier) React(ctx context.Context, p omni.PublishChannel, carrierMessageID, emoji string) error {
	if carrierMessageID == "" || len(emoji) > omni.MaxEmoji {
		return malformed("a reaction needs a message, and at most one emoji")
	}
	o := OutboundPayload{
		MessagingProduct: product, RecipientType: "individual", Type: "reaction", Reaction: &Reaction{text(carrierMessageID), emoji},
	}
	if err := o.recipient(p.Target.Address); err != nil {
		return err
	}
	phoneID, err := c.phoneID(ctx, p.Sender)
	if err != nil {
		return err
	}
	if _, err := c.call(ctx, http.MethodPost, "/"+phoneID+"/messages", nil, o); err != nil {
		return c.heldBack(err, &p, sending{})
	}
	return nil
}

// marking says that a message was read, and perhaps that we are writing.
type marking struct {
	MessagingProduct string  `json:"messaging_product"`
	Status           string  `json:"status"` // read
	MessageID        string  `json:"message_id"`
	Typing           *typing `json:"typing_indicator,omitempty"`
}

type typing struct {
	Type string `json:"type"` // text
}

// MarkRead implements carriers.ReadMarker. All messages before it count as read too.
func (c *Carrier) MarkRead(ctx context.Context, p omni.PublishChannel, carrierMessageID string) error {
	return c.mark(ctx, p, marking{MessageID: carrierMessageID})
}

// Type implements carriers.Typer. WhatsApp shows it as an answer to a message, which it marks as read: without one there is
// nothing to show. It ends with our message, or after 25 seconds.
func (c *Carrier) Type(ctx context.Context, p omni.PublishChannel, carrierMessageID string) error {
	return c.mark(ctx, p, marking{MessageID: carrierMessageID, Typing: &typing{"text"}})
}

// TypeEvery implements carriers.Typer.
func (*Carrier) TypeEvery() time.Duration { return typingEvery }

func (c *Carrier) mark(ctx context.Context, p omni.PublishChannel, m marking) error {
	if m.MessageID == "" {
		return malformed("WhatsApp shows this for a message that they sent, and there is none")
	}
	m.MessagingProduct, m.Status = product, "read"
	phoneID, err := c.phoneID(ctx, p.Sender)
	if err != nil {
		return err
	}
	_, err = c.call(ctx, http.MethodPost, "/"+phoneID+"/messages", nil, m)
	return err
}
