package twilio

import "omniservice/omni"

// statuses tells what Twilio's words mean. Sources: "Message status" of the Message resource and "Outbound message
// status in status callbacks", read 2026-11-22. A word that is not here changes nothing: received and receiving are
// of inbound messages.
//
// undelivered means that a network or a handset refused the message, failed that Twilio did not get it out.
// partially_delivered is documented without a channel that sends it.
var statuses = map[string]omni.Status{
	"accepted":            omni.StatusQueued,
	"scheduled":           omni.StatusQueued,
	"queued":              omni.StatusQueued,
	"sending":             omni.StatusQueued,
	"sent":                omni.StatusSent,
	"partially_delivered": omni.StatusSent,
	"delivered":           omni.StatusDelivered,
	"read":                omni.StatusRead,
	"undelivered":         omni.StatusUndeliverable,
	"failed":              omni.StatusFailed,
	"canceled":            omni.StatusFailed,
}
