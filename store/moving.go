package store

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"omniservice/omni"
)

// Moving is how everything leaves a store and enters another one. It spans organisations: it is for the operator's
// commands, never for a request.
//
// Leases, Ping's traces and Markers belong to the store, not to its data: they stay where they are.
type Moving interface {
	// Dump gives up to limit records (0: 500) after the place (the zero Position: from the beginning), and the place after
	// them; no records mean that there are no more. Order is that of RecordKinds, then of the keys, part by part, texts by their
	// bytes: the same in every store. Records that are written meanwhile are given as they are when Dump comes to them; of
	// those that were there before and after, each is given once.
	Dump(ctx context.Context, after Position, limit int) ([]Record, Position, error)
	// Load stores records as they are, all or an error: one with the key of a stored one replaces it. Messages that wait to
	// go out, and webhooks that wait to be worked on, queue behind those that are there, in the order given. A message raises
	// the LastSequence of an interaction that is behind it, as one is that was dumped while messages came. A unique key
	// that another record has is omni.ErrConflict; what cannot be read omni.ErrInvalid. After an error some may have been
	// stored; the same call again completes it.
	Load(ctx context.Context, rs []Record) error

	// Marker gives what SetMarker kept under name, or nil: what the program remembers of the store itself, such as how far
	// an import has come.
	Marker(ctx context.Context, name string) ([]byte, error)
	// SetMarker keeps value under name; an empty one removes it.
	SetMarker(ctx context.Context, name string, value []byte) error

	// Inspect reports how the store is. It changes nothing.
	Inspect(ctx context.Context, now omni.Millis) (Inspection, error)
}

// RecordKind names a kind of record, as table and collection do.
type RecordKind string

// Record is one record as it moves. Data is the same in every store, byte for byte: the JSON form of the kind's Go type,
// with what JSON leaves out elsewhere (hashes, sealed credentials) under its BSON name, at the end.
type Record struct {
	Kind RecordKind      `json:"kind"`
	Key  []string        `json:"key"` // unique in its kind; numbers in decimal
	Data json.RawMessage `json:"data"`
}

// Position is a place in a dump: that of the last record before it.
type Position struct {
	Kind RecordKind `json:"kind,omitempty"`
	Key  []string   `json:"key,omitempty"`
}

// The forms of records that are not a Go type of their own elsewhere.
type (
	// MovedIdentity is an identity with the moment of the newest word about consent.
	MovedIdentity struct {
		omni.ContactIdentity

		ConsentAt omni.Millis `json:"consentAt,omitempty"`
	}
	// MovedConsent is a word about consent.
	MovedConsent struct {
		IdentityID string      `json:"identityId"`
		Tenant     omni.Tenant `json:"tenant"`
		OptedOut   bool        `json:"optedOut"`
		By         string      `json:"by"`
		At         omni.Millis `json:"at"`
	}
	// MovedMessage is a message with its duties.
	MovedMessage struct {
		omni.ServiceMessage

		Outbox       *MovedOutbox `json:"outbox,omitempty"`       // set while it waits to go out
		PendingMedia []MovedMedia `json:"pendingMedia,omitempty"` // files that wait to be fetched, by index
	}
	// MovedOutbox is the duty to send a message.
	MovedOutbox struct {
		Attempts  int         `json:"attempts"`
		NotBefore omni.Millis `json:"notBefore"`
		SendingAt omni.Millis `json:"sendingAt"`
	}
	// MovedMedia is the duty to fetch a file.
	MovedMedia struct {
		Index     int         `json:"index"`
		Attempts  int         `json:"attempts"`
		NotBefore omni.Millis `json:"notBefore"`
	}
	// MovedEarly is what a carrier has said of a message that is not known by its id yet, in the order in which it came.
	MovedEarly struct {
		OrganisationID   string                `json:"organisationId"`
		DigitalChannelID string                `json:"digitalChannelId"`
		CarrierMessageID string                `json:"carrierMessageId"`
		Statuses         []omni.DeliveryStatus `json:"statuses"`
	}
	// MovedFragment is a part of a text, or with Index 0 the note that the text has been joined.
	MovedFragment struct {
		OrganisationID string                `json:"organisationId"`
		Key            string                `json:"key"`
		Index          int                   `json:"index"`
		ExpiresAt      omni.Millis           `json:"expiresAt"`
		Fragment       *omni.MessageFragment `json:"fragment,omitempty"` // nil with Index 0
	}
	// MovedIdempotency is what became of a request.
	MovedIdempotency struct {
		OrganisationID string      `json:"organisationId"`
		Key            string      `json:"key"`
		BodyHash       string      `json:"bodyHash"`
		Done           bool        `json:"done"`
		Status         int         `json:"status"`
		Body           []byte      `json:"body"`
		ExpiresAt      omni.Millis `json:"expiresAt"`
	}
)

// Moved says how records of a kind move.
type Moved[T any] struct {
	Kind  RecordKind
	Shape string // a letter for each part of the key: t is a text, n a number
	Key   func(v *T) []string
}

// The kinds of records besides the plain ones.
var (
	MovedOrganisations   = byID("organisations", func(v *omni.Organisation) string { return v.ID })
	MovedUsers           = byID("users", func(v *omni.User) string { return v.ID })
	MovedSessions        = byID("sessions", func(v *omni.Session) string { return v.ID })
	MovedOneTimeTokens   = byID("one_time_tokens", func(v *omni.OneTimeToken) string { return v.Hash })
	MovedAPIKeys         = byID("api_keys", func(v *omni.APIKey) string { return v.ID })
	MovedGroups          = byID("channel_groups", func(v *omni.DigitalChannelGroup) string { return v.ID })
	MovedFolders         = byID("folders", func(v *omni.Folder) string { return v.ID })
	MovedCarrierAccounts = byID("carrier_accounts", func(v *omni.CarrierAccount) string { return v.ID })
	MovedChannels        = byID("channels", func(v *omni.DigitalChannel) string { return v.ID })
	MovedContacts        = byID("contacts", func(v *omni.Contact) string { return v.ID })
	MovedIdentities      = byID("identities", func(v *MovedIdentity) string { return v.ID })
	MovedConsents        = Moved[MovedConsent]{"consents", "tnntt", func(v *MovedConsent) []string {
		out := "0"
		if v.OptedOut {
			out = "1"
		}
		return []string{v.IdentityID, decimal(v.At), out, v.By, v.Tenant.UserID}
	}}
	MovedMessages = Moved[MovedMessage]{"messages", "tn", func(v *MovedMessage) []string {
		return []string{v.InteractionID, decimal(v.Sequence)}
	}}
	MovedInteractions = byID("interactions", func(v *omni.Interaction) string { return v.ID })
	MovedReactions    = Moved[omni.Reaction]{"reactions", "tttt", func(v *omni.Reaction) []string {
		return []string{v.Tenant.OrganisationID, v.MessageID, string(v.SenderType), v.SenderID}
	}}
	MovedEarlyStatuses = Moved[MovedEarly]{"early_statuses", "ttt", func(v *MovedEarly) []string {
		return []string{v.OrganisationID, v.DigitalChannelID, v.CarrierMessageID}
	}}
	MovedInbox     = byID("inbox", func(v *InboxRecord) string { return v.ID })
	MovedSetAside  = byID("set_aside", func(v *SetAside) string { return v.Record.ID })
	MovedFragments = Moved[MovedFragment]{"fragments", "ttn", func(v *MovedFragment) []string {
		return []string{v.OrganisationID, v.Key, decimal(v.Index)}
	}}
	MovedIdempotencyKeys = Moved[MovedIdempotency]{"idempotency_keys", "tt", func(v *MovedIdempotency) []string {
		return []string{v.OrganisationID, v.Key}
	}}
	MovedDeliveries   = byID("webhook_deliveries", func(v *omni.WebhookDelivery) string { return v.ID })
	MovedAuditRecords = byID("audit_records", func(v *omni.AuditRecord) string { return v.ID })
)

// RecordKinds lists all kinds in the order in which they move.
var RecordKinds = []RecordKind{
	MovedOrganisations.Kind, MovedUsers.Kind, MovedSessions.Kind, MovedOneTimeTokens.Kind, MovedAPIKeys.Kind, MovedGroups.Kind,
	MovedFolders.Kind, MovedCarrierAccounts.Kind, MovedChannels.Kind, MovedContacts.Kind, MovedIdentities.Kind,
	MovedConsents.Kind, MovedInteractions.Kind, MovedMessages.Kind, MovedReactions.Kind, MovedEarlyStatuses.Kind, MovedInbox.Kind,
	MovedSetAside.Kind, MovedFragments.Kind, MovedIdempotencyKeys.Kind, MovedAuditRecords.Kind,
	MovedPlain(LabelKind).Kind, MovedPlain(NoteKind).Kind, MovedPlain(DraftKind).Kind, MovedPlain(CannedReplyKind).Kind,
	MovedPlain(WorkflowKind).Kind, MovedPlain(WorkflowVersionKind).Kind, MovedPlain(TemplateKind).Kind,
	MovedPlain(RerouteMappingKind).Kind, MovedPlain(WebhookKind).Kind, MovedPlain(MediaFileKind).Kind,
	MovedPlain(ConversionKind).Kind, MovedDeliveries.Kind,
}

func decimal[N ~int | ~int64](n N) string { return strconv.FormatInt(int64(n), 10) }

func byID[T any](kind RecordKind, id func(v *T) string) Moved[T] {
	return Moved[T]{kind, "t", func(v *T) []string { return []string{id(v)} }}
}

// MovedPlain is how plain records of kind k move.
func MovedPlain[T any](k Kind[T]) Moved[T] {
	return byID(RecordKind(k.Collection), func(v *T) string { return *k.Meta(v).ID })
}

// Record is v as it moves.
func (m Moved[T]) Record(v T) (Record, error) {
	data, err := encodeWhole(&v)
	if err != nil {
		return Record{}, fmt.Errorf("encode %s: %w", m.Kind, err)
	}
	return Record{Kind: m.Kind, Key: m.Key(&v), Data: data}, nil
}

// Value is the record that r holds. One that has another kind or key than it says is omni.ErrInvalid.
func (m Moved[T]) Value(r Record) (v T, err error) {
	if r.Kind != m.Kind {
		return v, fmt.Errorf("%s is not of %s: %w", r.Kind, m.Kind, omni.ErrInvalid)
	}
	if err := decodeWhole(r.Data, &v); err != nil {
		return v, fmt.Errorf("record %q of %s: %w: %w", r.Key, m.Kind, omni.ErrInvalid, err)
	}
	if key := m.Key(&v); !slices.Equal(key, r.Key) {
		return v, fmt.Errorf("record %q of %s has the data of %q: %w", r.Key, m.Kind, key, omni.ErrInvalid)
	}
	return v, nil
}

// Parts are the parts of a position's key as a query takes them, strings and int64s; those before all for a position
// that is not in this kind.
func (m Moved[T]) Parts(p Position) ([]any, error) {
	parts := make([]any, len(m.Shape))
	if p.Kind == m.Kind && len(p.Key) != len(m.Shape) {
		return nil, fmt.Errorf("position %q in %s: %w", p.Key, p.Kind, omni.ErrInvalid)
	}
	for i, what := range m.Shape {
		switch {
		case p.Kind != m.Kind && what == 'n':
			parts[i] = int64(-1 << 63)
		case p.Kind != m.Kind:
			parts[i] = ""
		case what == 'n':
			n, err := strconv.ParseInt(p.Key[i], 10, 64)
			if err != nil {
				return nil, fmt.Errorf("position %q in %s: %w", p.Key, p.Kind, omni.ErrInvalid)
			}
			parts[i] = n
		default:
			parts[i] = p.Key[i]
		}
	}
	return parts, nil
}

// hiddenField is a field that JSON leaves out.
type hiddenField struct {
	name  string
	index []int
}

// hiddenFields finds them in a struct and those that it embeds.
func hiddenFields(t reflect.Type, at []int) []hiddenField {
	var all []hiddenField
	for i := range t.NumField() {
		f := t.Field(i)
		index := append(slices.Clone(at), i)
		switch {
		case f.Anonymous && f.Type.Kind() == reflect.Struct:
			all = append(all, hiddenFields(f.Type, index)...)
		case f.Tag.Get("json") == "-":
			all = append(all, hiddenField{strings.ToLower(f.Name[:1]) + f.Name[1:], index})
		}
	}
	return all
}

// encodeWhole is the JSON form of the struct at v with its hidden fields.
func encodeWhole(v any) ([]byte, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	s := reflect.ValueOf(v).Elem()
	for _, f := range hiddenFields(s.Type(), nil) {
		value, err := json.Marshal(s.FieldByIndex(f.index).Interface())
		if err != nil {
			return nil, err
		}
		b = append(b[:len(b)-1], ',')
		b = append(strconv.AppendQuote(b, f.name), ':')
		b = append(append(b, value...), '}')
	}
	return b, nil
}

// decodeWhole reads what encodeWhole wrote into the struct at v.
func decodeWhole(b []byte, v any) error {
	if err := json.Unmarshal(b, v); err != nil {
		return err
	}
	s := reflect.ValueOf(v).Elem()
	hidden := hiddenFields(s.Type(), nil)
	if len(hidden) == 0 {
		return nil
	}
	var fields map[string]json.RawMessage
	if err := json.NewDecoder(bytes.NewReader(b)).Decode(&fields); err != nil {
		return err
	}
	for _, f := range hidden {
		value, ok := fields[f.name]
		if !ok {
			continue
		}
		if err := json.Unmarshal(value, s.FieldByIndex(f.index).Addr().Interface()); err != nil {
			return fmt.Errorf("%s: %w", f.name, err)
		}
	}
	return nil
}

// DumpLimit is how many records Dump gives if it is not told.
const DumpLimit = 500

// MostCounted is up to where Inspect counts: more is reported as that.
const MostCounted = 100_000

// Inspection is how a store is.
type Inspection struct {
	Engine      string                  `json:"engine"`                // with its version
	Place       string                  `json:"place"`                 // file, or hosts and database, without credentials
	Schema      int                     `json:"schema"`                // the newest migration that was applied
	Newest      int                     `json:"newest"`                // the newest that this program knows
	Journal     string                  `json:"journal,omitempty"`     // SQLite: journal mode; MongoDB: write concern
	Bytes       int64                   `json:"bytes"`                 // on disk, without what has not been merged yet
	LogBytes    int64                   `json:"logBytes,omitempty"`    // SQLite: the write-ahead log
	Differences []string                `json:"differences,omitempty"` // where tables and indexes are not as declared
	Queues      []QueueDepth            `json:"queues"`
	Expired     int                     `json:"expired"` // records that Sweep would remove, up to MostCounted of each kind
	Leases      []omni.MessageQueueLock `json:"leases"`  // those that have not ended, and those whose owner let them run out
}

// QueueDepth is how much waits in a queue.
type QueueDepth struct {
	Name   string      `json:"name"`             // inbox, outbox, media, deliveries, set_aside, or search: messages that are not in the index yet
	Depth  int         `json:"depth"`            // up to MostCounted
	Failed int         `json:"failed"`           // of these, those that have failed before
	Oldest omni.Millis `json:"oldest,omitempty"` // when the oldest came; 0: nothing waits
}
