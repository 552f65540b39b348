package whatsapp

import (
	"encoding/json"
	"fmt"
	"net/url"

	"omniservice/carriers"
	"omniservice/omni"
)

// EnvMapping tells which environment has a business account. An app has one address for webhooks, and those about templates
// and accounts go nowhere else, whatever overrides there are: one environment gets them for all. (Seed: WhatsAppEnvMapping.)
type EnvMapping struct {
	WABAID      string `json:"wabaId"`
	Environment string `json:"environment"` // a name for people
	URL         string `json:"url"`         // where its webhooks go, https; empty: this environment
	Enabled     bool   `json:"enabled"`
}

// Validate reports what is wrong as omni.ErrInvalid.
func (m EnvMapping) Validate() error {
	bad := map[string]string{}
	if !isDigits(m.WABAID) {
		bad["wabaId"] = "must be digits"
	}
	if name := omni.CleanName(m.Environment); name == "" || name != m.Environment {
		bad["environment"] = "must be a name on one line"
	}
	if u, err := url.Parse(m.URL); m.URL != "" && (err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil) {
		bad["url"] = "must be an https address without a user name"
	}
	if len(bad) == 0 {
		return nil
	}
	p := omni.Problemf(omni.ErrInvalid, "the mapping is not valid")
	p.Fields = bad
	return p
}

// RoutingMessage is one change of a webhook on its way to the environment that it belongs to. (Seed: WhatsAppRoutingMessage.)
type RoutingMessage struct {
	NotificationID string       `json:"notificationId"` // of the webhook that it came with
	ReceivedAt     omni.Millis  `json:"receivedAt"`
	Field          string       `json:"field"`
	WABAID         string       `json:"wabaId"`
	PhoneNumberID  string       `json:"phoneNumberId,omitempty"` // empty where no number is meant
	Environment    string       `json:"environment,omitempty"`   // empty until it is known
	Payload        omni.RawJSON `json:"payload"`                 // a whole webhook with this change alone
	Signature      string       `json:"signature,omitempty"`     // of the webhook as it came; of the payload it is none
}

// RoutingMessages divides a webhook into its changes, in their order, so that each can go to another environment. id and now
// are those of the webhook. What cannot be read is a *carriers.WebhookError.
func RoutingMessages(r carriers.WebhookRequest, id string, now omni.Millis) ([]RoutingMessage, error) {
	if err := carriers.CheckNesting(r.Body); err != nil {
		return nil, err
	}
	if err := lenient(r.Body, &struct{}{}); err != nil {
		return nil, carriers.MalformedJSON(err)
	}
	var payload WebhookPayload
	payload.read(r.Body)
	var all []RoutingMessage
	for rawEntry := range elements(payload.Entry.raw) {
		var entry Entry
		entry.read(rawEntry)
		for rawChange := range elements(entry.Changes.raw) {
			if len(all) == maxChanges {
				return nil, tooMany("changes")
			}
			var change Change
			change.read(rawChange)
			var value MessageValue
			value.read(change.Value)
			body, err := json.Marshal(map[string]any{"object": payload.Object, "entry": []any{onlyChange(rawEntry, rawChange)}})
			if err != nil {
				return nil, fmt.Errorf("write change: %w", err)
			}
			all = append(all, RoutingMessage{
				NotificationID: id, ReceivedAt: now, Field: string(change.Field), WABAID: string(entry.ID),
				PhoneNumberID: string(value.Metadata.PhoneNumberID), Payload: omni.RawJSON(body), Signature: r.Header.Get(signatureHeader),
			})
		}
	}
	return all, nil
}

// onlyChange is an entry with one of its changes. Everything else stays as Meta wrote it.
func onlyChange(entry, change []byte) map[string]any {
	out := map[string]any{}
	n := 0
	for name, value := range members(entry) {
		if n++; n > maxMembers {
			break
		}
		out[name] = json.RawMessage(value)
	}
	out["changes"] = []json.RawMessage{change}
	return out
}
