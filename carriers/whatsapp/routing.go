package whatsapp

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"

	"omniservice/carriers"
	"omniservice/carriers/reroute"
	"omniservice/omni"
)

// An app at Meta has one callback URL. Messages and statuses can be sent elsewhere for an account or a number, by an override;
// what tells of templates and of the account itself cannot, and always comes to the app's own URL. So the environment that has
// the URL gives the others what is theirs. See package reroute.

// EnvMapping says which environment a WhatsApp Business Account belongs to: a mapping by WABA_ID. (Seed: WhatsAppEnvMapping.)
type EnvMapping = omni.RerouteMapping

// RoutingMessage is one change of a notification, with what decides where it goes. (Seed: WhatsAppRoutingMessage.)
type RoutingMessage struct {
	WABAID        string
	PhoneNumberID string
	Template      string
	Field         string
	Entry         int             // place of its entry in the notification
	Change        int             // place in its entry; -1: the entry has no changes
	Payload       json.RawMessage // the change as it came
}

// rawEnvelope is a notification whose parts are left as they came.
type rawEnvelope struct {
	Object json.RawMessage `json:"object"`
	Entry  []rawEntry      `json:"entry"`
}

type rawEntry map[string]json.RawMessage

// routing reads of a change what decides where it goes. All else is left alone.
type routing struct {
	Field text `json:"field"`
	Value struct {
		Metadata Metadata `json:"metadata"`
		Template text     `json:"message_template_name"`
	} `json:"value"`
}

// idOf reads a text or a number of any size as it is written; "" for anything else.
func idOf(raw json.RawMessage) string {
	var t text
	_ = json.Unmarshal(raw, &t) // what is missing is empty
	return string(t)
}

// cut reads a notification into its changes. What cannot be read gives none: it stays here, where Parse says what is wrong.
func cut(body []byte) (rawEnvelope, []RoutingMessage) {
	var e rawEnvelope
	if carriers.CheckNesting(body) != nil || json.Unmarshal(body, &e) != nil {
		return e, nil
	}
	var all []RoutingMessage
	for i, entry := range e.Entry {
		m := RoutingMessage{WABAID: idOf(entry["id"]), Entry: i, Change: -1}
		var changes []json.RawMessage
		if json.Unmarshal(entry["changes"], &changes) != nil || len(changes) == 0 {
			all = append(all, m)
			continue
		}
		for j, change := range changes {
			var r routing
			_ = json.Unmarshal(change, &r) // what has another shape is routed by its account alone
			m.Change, m.Payload, m.Field = j, change, string(r.Field)
			m.PhoneNumberID, m.Template = string(r.Value.Metadata.PhoneNumberID), string(r.Value.Template)
			all = append(all, m)
		}
	}
	return e, all
}

// Parts implements reroute.Sharer.
func (*Carrier) Parts(body []byte) []reroute.Part {
	_, all := cut(body)
	parts := make([]reroute.Part, 0, len(all))
	for i, m := range all {
		parts = append(parts, reroute.Part{WABAID: m.WABAID, PhoneNumberID: m.PhoneNumberID, Template: m.Template, Index: i})
	}
	return parts
}

// Join implements reroute.Sharer. Changes of one entry stay in one entry, and each change is as it came.
func (*Carrier) Join(body []byte, parts []reroute.Part) ([]byte, error) {
	e, all := cut(body)
	out := rawEnvelope{Object: e.Object, Entry: []rawEntry{}}
	last := -1
	var changes []json.RawMessage
	for _, p := range parts {
		if p.Index < 0 || p.Index >= len(all) {
			return nil, fmt.Errorf("the notification has no part %d: %w", p.Index, omni.ErrInvalid)
		}
		m := all[p.Index]
		if m.Entry != last {
			entry := rawEntry{}
			maps.Copy(entry, e.Entry[m.Entry])
			out.Entry, changes, last = append(out.Entry, entry), nil, m.Entry
		}
		if m.Change < 0 {
			continue
		}
		changes = append(changes, m.Payload)
		raw, err := encode(changes)
		if err != nil {
			return nil, fmt.Errorf("changes of entry %d: %w", m.Entry, err)
		}
		out.Entry[len(out.Entry)-1]["changes"] = raw
	}
	return encode(out)
}

// encode writes JSON without escapes that did not stand there before.
func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, fmt.Errorf("write notification: %w", err)
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// Sign implements reroute.Sharer: the environments of an app share its secret.
func (c *Carrier) Sign(h http.Header, body []byte) {
	mac := hmac.New(sha256.New, []byte(c.config.appSecrets[0].Reveal()))
	_, _ = mac.Write(body)
	h.Set(signatureHeader, signaturePrefix+hex.EncodeToString(mac.Sum(nil)))
}
