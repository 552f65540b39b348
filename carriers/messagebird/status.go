package messagebird

import "omniservice/omni"

// What the products' words mean. A word that is not here changes nothing: in Conversations received is of inbound
// messages, and deleted, unknown, spam_complaint and list_unsubscribe are no steps of a delivery.
//
// delivery_failed means that a network or a handset refused the message; expired that its time ran out.

// classicStatuses are those of SMS and MMS. Source: "Message statuses" of the SMS API, read 2026-11-22.
var classicStatuses = map[string]omni.Status{
	"scheduled":       omni.StatusQueued,
	"sent":            omni.StatusSent,
	"buffered":        omni.StatusSent, // waits at the operator
	"delivered":       omni.StatusDelivered,
	"expired":         omni.StatusFailed,
	"delivery_failed": omni.StatusUndeliverable,
}

// conversationStatuses are those of message.updated. Source: "Message status" of the Conversations API, read 2026-11-22.
var conversationStatuses = map[string]omni.Status{
	"accepted":        omni.StatusQueued,
	"pending":         omni.StatusQueued,
	"sent":            omni.StatusSent,
	"transmitted":     omni.StatusSent,
	"dispatched":      omni.StatusSent,
	"buffered":        omni.StatusSent,
	"delayed":         omni.StatusSent,
	"delivered":       omni.StatusDelivered,
	"read":            omni.StatusRead,
	"opened":          omni.StatusRead,
	"clicked":         omni.StatusRead,
	"rejected":        omni.StatusUndeliverable,
	"delivery_failed": omni.StatusUndeliverable,
	"bounce":          omni.StatusUndeliverable,
	"out_of_bounded":  omni.StatusUndeliverable,
	"failed":          omni.StatusFailed,
	"expired":         omni.StatusFailed,
}

// birdStatuses are those of outbound messages in Bird's Channels. Source: "Message status and interactions", read
// 2026-11-22; processing is not described there.
var birdStatuses = map[string]omni.Status{
	"accepted":        omni.StatusQueued,
	"processing":      omni.StatusQueued,
	"sent":            omni.StatusSent,
	"delivered":       omni.StatusDelivered,
	"sending_failed":  omni.StatusFailed,
	"delivery_failed": omni.StatusUndeliverable,
}
