package inteliquent

import (
	"strings"

	"omniservice/omni"
)

// statuses tells what the words of a receipt mean, in lower case. The description has no such word: a receipt says that
// the message was delivered. The words are those that programs look for, and those of the portal's search of detail
// records; none is confirmed. A word that is not here changes nothing.
var statuses = map[string]omni.Status{
	"enroute":          omni.StatusSent,
	"delivered":        omni.StatusDelivered,
	"delivery_report":  omni.StatusDelivered,
	"successful":       omni.StatusDelivered,
	"success":          omni.StatusDelivered,
	"failed":           omni.StatusFailed,
	"message_failed":   omni.StatusFailed,
	"rejected":         omni.StatusUndeliverable,
	"undelivered":      omni.StatusUndeliverable,
	"blocked":          omni.StatusUndeliverable,
	"message_delivery": omni.StatusDelivered,
}

// status says what a receipt tells. ok is false for a word that nobody knows.
func (b WebhookBody) status() (status omni.Status, ok bool) {
	if b.Status != "" {
		status, ok = statuses[strings.ToLower(strings.TrimSpace(string(b.Status)))]
		return status, ok
	}
	if strings.ToLower(string(b.Type)) == typeFailed {
		return omni.StatusFailed, true
	}
	return omni.StatusDelivered, true
}
