package bandwidth

import (
	"strings"

	"omniservice/omni"
)

// Types of webhooks that tell what became of a message.
const (
	typeSending   = "message-sending"
	typeSent      = "message-sent"
	typeDelivered = "message-delivered"
	typeFailed    = "message-failed"
	typeRead      = "message-read"
)

// receiptExpired is the code of a message whose receipt did not come within two hours. It may well have arrived.
const receiptExpired = "9902"

// statuses tells what the types of status webhooks mean. Source: "Webhooks", read 2026-11-23. What message-failed means
// follows from its code: see DeliveryStatus. message-sending comes for MMS alone, and only where receipts are enabled.
// Without them the message-delivered of an MMS only says that Bandwidth has handed it on.
var statuses = map[string]omni.Status{
	typeSending:   omni.StatusQueued,
	typeSent:      omni.StatusSent,
	typeDelivered: omni.StatusDelivered,
	typeRead:      omni.StatusRead,
	typeFailed:    omni.StatusFailed,
}

// DeliveryStatus is what a webhook tells of a message that we sent. (Seed: BandwidthDeliveryStatus.)
type DeliveryStatus struct {
	Type string // of the webhook, such as message-failed
	Code string // error code, four digits; "" if there is none
}

// Status says how far the message has come. ok is false for a type that is no status.
//
// A failure whose code begins with 4 is a refusal: by a network, by the handset, or by Bandwidth on its way there. Other
// codes, and none, are failures of service. After 9902 the message counts as sent: it must never be sent again.
func (d DeliveryStatus) Status() (status omni.Status, ok bool) {
	status, ok = statuses[d.Type]
	switch {
	case d.Type != typeFailed:
	case d.Code == receiptExpired:
		status = omni.StatusSent
	case strings.HasPrefix(d.Code, "4"):
		status = omni.StatusUndeliverable
	}
	return status, ok
}

// Reason says why the message failed; it is empty where it has not.
func (d DeliveryStatus) Reason() omni.Reason {
	switch s, _ := d.Status(); s {
	case omni.StatusFailed, omni.StatusUndeliverable:
		return reasonOf(d.Code)
	default:
		return ""
	}
}
