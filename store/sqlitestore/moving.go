package sqlitestore

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"omniservice/omni"
	"omniservice/store"
)

// mover is how records of a kind leave and enter.
type mover struct {
	kind   store.RecordKind
	tables []string // that it reads and writes
	dump   stmt
	from   func(p store.Position) ([]any, error)
	scan   func(r scanner) (store.Record, error)
	load   func(ctx context.Context, c *conn, r store.Record) error
}

// move puts a mover together. load stores a value with the arguments of a load statement.
func move[T any](m store.Moved[T], dump stmt, scan func(scanner) (T, error), load func(ctx context.Context, c *conn, v T) error, tables ...string) mover {
	return mover{
		kind: m.Kind, tables: append(tables, string(m.Kind)), dump: dump, from: m.Parts,
		scan: func(r scanner) (store.Record, error) {
			v, err := scan(r)
			if err != nil {
				return store.Record{}, err
			}
			return m.Record(v)
		},
		load: func(ctx context.Context, c *conn, r store.Record) error {
			v, err := m.Value(r)
			if err == nil {
				err = load(ctx, c, v)
			}
			if err != nil {
				return fmt.Errorf("%s %q: %w", r.Kind, r.Key, err)
			}
			return nil
		},
	}
}

// doc is a record whose row is its id, its organisation, its JSON, and what columns gives.
func doc[T any](m store.Moved[T], dump, load stmt, scan func(scanner) (T, error), of func(v T) (id, org string, kept any, columns []any)) mover {
	return move(m, dump, scan, func(ctx context.Context, c *conn, v T) error {
		id, org, kept, columns := of(v)
		b, err := json.Marshal(kept)
		if err == nil {
			_, err = c.exec(ctx, load, append([]any{id, org, b}, columns...)...)
		}
		return err
	})
}

// movePlain is a kind of plain records.
func movePlain[T any](k plain[T]) mover {
	return doc(store.MovedPlain(k.Kind), k.stmt(opDump), k.stmt(opLoad), k.scan, func(v T) (string, string, any, []any) {
		m := k.Meta(&v)
		var columns []any
		if m.Version != nil {
			columns = append(columns, *m.Version)
		}
		return *m.ID, m.Tenant.OrganisationID, k.doc(v), append(columns, k.columns(&v)...)
	})
}

// movers has one for each kind, in the order of store.RecordKinds.
var movers = []mover{
	doc(store.MovedOrganisations, sqlDumpOrganisations, sqlLoadOrganisation, organisations.scan, func(v omni.Organisation) (string, string, any, []any) {
		return v.ID, v.ID, v, []any{v.Version, int64(v.CreatedAt)}
	}),
	doc(store.MovedUsers, sqlDumpUsers, sqlLoadUser, users.scan, func(v omni.User) (string, string, any, []any) {
		return v.ID, v.OrganisationID, userDoc{v, v.PasswordHash}, []any{v.Version, v.Email, v.Name}
	}),
	move(store.MovedSessions, sqlDumpSessions, scanSession, loadSession),
	move(store.MovedOneTimeTokens, sqlDumpTokens, scanToken, func(ctx context.Context, c *conn, v omni.OneTimeToken) error {
		_, err := c.exec(ctx, sqlLoadToken, v.Hash, v.OrganisationID, v.UserID, v.Purpose, int64(v.ExpiresAt))
		return err
	}),
	doc(store.MovedAPIKeys, sqlDumpAPIKeys, sqlLoadAPIKey, apiKeys.scan, func(v omni.APIKey) (string, string, any, []any) {
		return v.ID, v.OrganisationID, apiKeyDoc{v, v.Hash}, []any{v.Hash, int64(v.CreatedAt)}
	}),
	doc(store.MovedGroups, sqlDumpGroups, sqlLoadGroup, groups.scan, func(v omni.DigitalChannelGroup) (string, string, any, []any) {
		return v.ID, v.Tenant.OrganisationID, v, []any{v.Version, v.Name}
	}),
	doc(store.MovedFolders, sqlDumpFolders, sqlLoadFolder, folders.scan, func(v omni.Folder) (string, string, any, []any) {
		return v.ID, v.Tenant.OrganisationID, v, []any{v.Version, v.Name}
	}),
	doc(store.MovedCarrierAccounts, sqlDumpAccounts, sqlLoadAccount, accounts.scan, func(v omni.CarrierAccount) (string, string, any, []any) {
		return v.ID, v.Tenant.OrganisationID, accountDoc{v, v.Credentials}, []any{v.Version, v.PublicID, v.Name}
	}),
	doc(store.MovedChannels, sqlDumpChannels, sqlLoadChannel, channels.scan, func(v omni.DigitalChannel) (string, string, any, []any) {
		return v.ID, v.Tenant.OrganisationID, v, append([]any{v.Version}, channelColumns(v)...)
	}),
	doc(store.MovedContacts, sqlDumpContacts, sqlLoadContact, contacts.scan, func(v omni.Contact) (string, string, any, []any) {
		return v.ID, v.Tenant.OrganisationID, v, []any{v.Version, int64(v.CreatedAt)}
	}),
	doc(store.MovedIdentities, sqlDumpIdentities, sqlLoadIdentity, scanMovedIdentity, func(v store.MovedIdentity) (string, string, any, []any) {
		return v.ID, v.Tenant.OrganisationID, v.ContactIdentity, []any{
			v.ContactID, string(v.ChannelType), v.Address, int64(v.CreatedAt), int64(v.ConsentAt),
		}
	}),
	move(store.MovedConsents, sqlDumpConsents, scanConsent, func(ctx context.Context, c *conn, v store.MovedConsent) error {
		_, err := c.exec(ctx, sqlConsentAdd, v.IdentityID, v.Tenant.OrganisationID, v.OptedOut, v.By, v.Tenant.UserID, int64(v.At))
		return err
	}),
	move(store.MovedInteractions, sqlDumpInteractions, scanInteraction, func(ctx context.Context, c *conn, v omni.Interaction) error {
		_, err := c.exec(ctx, sqlLoadInteraction, interactionArgs(v)...)
		return err
	}),
	move(store.MovedMessages, sqlDumpMessages, scanMovedMessage, loadMessage, "outbox", "pending_media"),
	move(store.MovedReactions, sqlDumpReactions, scanDoc[omni.Reaction], func(ctx context.Context, c *conn, v omni.Reaction) error {
		doc, err := json.Marshal(v)
		if err == nil {
			_, err = c.exec(ctx, sqlReactionPut, v.Tenant.OrganisationID, v.MessageID, string(v.SenderType), v.SenderID, v.Emoji, int64(v.At), doc)
		}
		return err
	}),
	move(store.MovedEarlyStatuses, sqlDumpEarly, scanMovedEarly, loadEarly),
	move(store.MovedInbox, sqlDumpInbox, func(r scanner) (store.InboxRecord, error) {
		q, err := scanInbox(r)
		return q.item, err
	}, func(ctx context.Context, c *conn, v store.InboxRecord) error {
		doc, body, err := inboxDoc(v)
		if err == nil {
			_, err = c.exec(ctx, sqlLoadInbox, inboxArgs(v, doc, body)...)
		}
		return err
	}),
	move(store.MovedSetAside, sqlDumpAside, scanAside, func(ctx context.Context, c *conn, v store.SetAside) error {
		args, err := asideArgs(v)
		if err == nil {
			_, err = c.exec(ctx, sqlLoadAside, args...)
		}
		return err
	}),
	move(store.MovedFragments, sqlDumpFragments, scanMovedFragment, loadFragment),
	move(store.MovedIdempotencyKeys, sqlDumpKeys, scanMovedKey, func(ctx context.Context, c *conn, v store.MovedIdempotency) error {
		_, err := c.exec(ctx, sqlLoadKey, v.OrganisationID, v.Key, v.BodyHash, v.Done, v.Status, v.Body, int64(v.ExpiresAt))
		return err
	}),
	doc(store.MovedAuditRecords, sqlDumpAudits, sqlLoadAudit, audits.scan, func(v omni.AuditRecord) (string, string, any, []any) {
		return v.ID, v.OrganisationID, v, []any{int64(v.At)}
	}),
	movePlain(labels), movePlain(notes), movePlain(drafts), movePlain(cannedReplies), movePlain(workflows),
	movePlain(workflowVersions), movePlain(templates), movePlain(rerouteMappings), movePlain(webhooks), movePlain(mediaFiles),
	movePlain(conversions),
	move(store.MovedDeliveries, sqlDumpDeliveries, scanDoc[omni.WebhookDelivery], func(ctx context.Context, c *conn, v omni.WebhookDelivery) error {
		args, err := deliveryArgs(v)
		if err == nil {
			_, err = c.exec(ctx, sqlLoadDelivery, args...)
		}
		return err
	}),
}

// Dump implements store.Store.
func (s *Store) Dump(ctx context.Context, after store.Position, limit int) ([]store.Record, store.Position, error) {
	if limit <= 0 {
		limit = store.DumpLimit
	}
	first := slices.IndexFunc(movers, func(m mover) bool { return m.kind == after.Kind })
	if first < 0 && after.Kind != "" {
		return nil, after, fmt.Errorf("dump after %q: %w", after.Kind, omni.ErrInvalid)
	}
	records, err := read(ctx, s, func(ctx context.Context, c *conn) ([]store.Record, error) {
		var all []store.Record
		for _, m := range movers[max(first, 0):] {
			args, err := m.from(after)
			if err != nil {
				return nil, err
			}
			rs, err := queryAll(ctx, c, m.dump, m.scan, append(args, limit-len(all))...)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", m.kind, err)
			}
			if all = append(all, rs...); len(all) >= limit {
				break
			}
		}
		return all, nil
	})
	if err != nil {
		return nil, after, fmt.Errorf("dump: %w", err)
	}
	if len(records) > 0 {
		last := records[len(records)-1]
		after = store.Position{Kind: last.Kind, Key: last.Key}
	}
	return records, after, nil
}

// Load implements store.Store: all in one transaction.
func (s *Store) Load(ctx context.Context, rs []store.Record) error {
	err := writeOnly(ctx, s, func(ctx context.Context, c *conn) error {
		for _, r := range rs {
			i := slices.IndexFunc(movers, func(m mover) bool { return m.kind == r.Kind })
			if i < 0 {
				return fmt.Errorf("records of kind %q: %w", r.Kind, omni.ErrInvalid)
			}
			if err := movers[i].load(ctx, c, r); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("load: %w", err)
	}
	return nil
}

// Marker implements store.Store.
func (s *Store) Marker(ctx context.Context, name string) ([]byte, error) {
	b, err := read(ctx, s, func(ctx context.Context, c *conn) ([]byte, error) {
		return queryOne(ctx, c, sqlMarker, scanBytes, name)
	})
	if errors.Is(err, omni.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("marker %s: %w", name, err)
	}
	return b, nil
}

// SetMarker implements store.Store.
func (s *Store) SetMarker(ctx context.Context, name string, value []byte) error {
	err := writeOnly(ctx, s, func(ctx context.Context, c *conn) error {
		if len(value) == 0 {
			_, err := c.exec(ctx, sqlMarkerDrop, name)
			return err
		}
		_, err := c.exec(ctx, sqlMarkerSet, name, value)
		return err
	})
	if err != nil {
		return fmt.Errorf("set marker %s: %w", name, err)
	}
	return nil
}

func loadSession(ctx context.Context, c *conn, v omni.Session) error {
	args, err := sessionArgs(v)
	if err == nil {
		_, err = c.exec(ctx, sqlLoadSession, args...)
	}
	return err
}

func scanMovedIdentity(r scanner) (store.MovedIdentity, error) {
	i, err := scanIdentityRow(r)
	return store.MovedIdentity{ContactIdentity: i.ContactIdentity, ConsentAt: i.consentAt}, err
}

func scanConsent(r scanner) (v store.MovedConsent, err error) {
	return v, r.Scan(&v.IdentityID, &v.Tenant.OrganisationID, &v.Tenant.UserID, &v.OptedOut, &v.By, (*int64)(&v.At))
}

func scanMovedMessage(r scanner) (v store.MovedMessage, err error) {
	var (
		waits bool
		o     store.MovedOutbox
		n     int64
		files []byte
	)
	if err := scanMessageAnd(r, &v.ServiceMessage, &waits, &n, (*int64)(&o.NotBefore), (*int64)(&o.SendingAt), &files); err != nil {
		return v, err
	}
	if waits {
		o.Attempts = int(n)
		v.Outbox = &o
	}
	return v, json.Unmarshal(files, &v.PendingMedia)
}

func loadMessage(ctx context.Context, c *conn, v store.MovedMessage) error {
	a, err := newAppending(v.ServiceMessage)
	if err != nil {
		return err
	}
	m := v.ServiceMessage
	org := m.Tenant.OrganisationID
	seq, err := queryOne(ctx, c, sqlLoadMessage, scanInt, append(a.args, m.Sequence)...)
	if err != nil {
		return err
	}
	if _, err := c.exec(ctx, sqlLoadSequence, m.InteractionID, org, m.Sequence); err != nil {
		return err
	}
	if v.Outbox == nil {
		if err := leaveOutbox(ctx, c, m.Tenant, m.ID); err != nil {
			return err
		}
	} else {
		recipient := recipientKey(m)
		if _, err := c.exec(ctx, sqlLoadOutbox, seq, m.ID, org, recipient, store.OutboxPartition(m),
			v.Outbox.Attempts, int64(v.Outbox.NotBefore), int64(v.Outbox.SendingAt)); err != nil {
			return err
		}
		if _, err := c.exec(ctx, sqlLoadOutboxBehind, org, recipient, seq); err != nil {
			return err
		}
	}
	if _, err := c.exec(ctx, sqlLoadMediaDrop, m.ID); err != nil {
		return err
	}
	for _, f := range v.PendingMedia {
		if _, err := c.exec(ctx, sqlLoadMedia, seq, m.ID, org, f.Index, store.MediaPartition(m.ID), f.Attempts, int64(f.NotBefore)); err != nil {
			return err
		}
	}
	return nil
}

func scanMovedEarly(r scanner) (v store.MovedEarly, err error) {
	var rows []byte
	if err := r.Scan(&v.OrganisationID, &v.DigitalChannelID, &v.CarrierMessageID, &rows); err != nil {
		return v, err
	}
	type row = [2]json.RawMessage // seq, and doc as a text
	var all []row
	if err := json.Unmarshal(rows, &all); err != nil {
		return v, err
	}
	seq := func(r row) (n int64) {
		_ = json.Unmarshal(r[0], &n) // SQLite made it
		return n
	}
	slices.SortFunc(all, func(a, b row) int { return cmp.Compare(seq(a), seq(b)) })
	for _, r := range all {
		var text string
		if err := json.Unmarshal(r[1], &text); err != nil {
			return v, err
		}
		var d omni.DeliveryStatus
		if err := json.Unmarshal([]byte(text), &d); err != nil {
			return v, err
		}
		v.Statuses = append(v.Statuses, d)
	}
	return v, nil
}

func loadEarly(ctx context.Context, c *conn, v store.MovedEarly) error {
	if _, err := queryAll(ctx, c, sqlEarlyTake, func(scanner) (struct{}, error) { return struct{}{}, nil },
		v.OrganisationID, v.DigitalChannelID, v.CarrierMessageID); err != nil {
		return err
	}
	for _, d := range v.Statuses {
		doc, err := json.Marshal(d)
		if err != nil {
			return err
		}
		if _, err := c.exec(ctx, sqlEarlyPut, v.OrganisationID, v.DigitalChannelID, v.CarrierMessageID, string(d.Status),
			int64(d.ReceivedAt.Add(keepEarly)), doc); err != nil {
			return err
		}
	}
	return nil
}

func scanMovedFragment(r scanner) (v store.MovedFragment, err error) {
	var index int64
	var doc []byte
	if err := r.Scan(&v.OrganisationID, &v.Key, &index, (*int64)(&v.ExpiresAt), &doc); err != nil {
		return v, err
	}
	if v.Index = int(index); v.Index == joinedPart {
		return v, nil
	}
	v.Fragment = &omni.MessageFragment{}
	return v, json.Unmarshal(doc, v.Fragment)
}

func loadFragment(ctx context.Context, c *conn, v store.MovedFragment) error {
	doc := []byte("{}")
	if v.Fragment != nil {
		var err error
		if doc, err = json.Marshal(v.Fragment); err != nil {
			return err
		}
	}
	_, err := c.exec(ctx, sqlLoadFragment, v.OrganisationID, v.Key, v.Index, int64(v.ExpiresAt), doc)
	return err
}

func scanMovedKey(r scanner) (v store.MovedIdempotency, err error) {
	var status int64
	err = r.Scan(&v.OrganisationID, &v.Key, &v.BodyHash, &v.Done, &status, &v.Body, (*int64)(&v.ExpiresAt))
	v.Status = int(status)
	return v, err
}
