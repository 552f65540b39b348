package testcarrier

import "omniservice/omni"

// statuses are the words for a status in webhooks, and what they mean. They are the gateway's own, without those
// that no carrier reports.
var statuses = map[string]omni.Status{
	"queued":        omni.StatusQueued,
	"sent":          omni.StatusSent,
	"delivered":     omni.StatusDelivered,
	"read":          omni.StatusRead,
	"failed":        omni.StatusFailed,
	"undeliverable": omni.StatusUndeliverable,
}
