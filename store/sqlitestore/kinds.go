package sqlitestore

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"unicode"

	"omniservice/omni"
	"omniservice/store"
)

// kindID numbers the kinds of plain records.
type kindID int

const (
	kindLabels kindID = iota
	kindNotes
	kindDrafts
	kindCannedReplies
	kindWorkflows
	kindWorkflowVersions
	kindTemplates
	kindRerouteMappings
	kindWebhooks
	kindMediaFiles
	kindConversions

	kindCount
)

// What can be done with a plain record. The statements of a kind stand at sqlPlain + kind*opCount.
const (
	opInsert stmt = iota
	opGet
	opFind
	opList
	opUpdate
	opDelete
	opDump
	opLoad

	opCount
)

// plain is how records of a kind are kept: a table with the columns id, org, doc, version where the kind has one, and
// one for each of the kind's fields.
type plain[T any] struct {
	store.Kind[T]

	id     kindID
	encode func(T) any // what is kept as doc; nil: the record itself
	decode func(scanner) (T, error)
}

var (
	labels           = plain[omni.Label]{Kind: store.LabelKind, id: kindLabels}
	notes            = plain[omni.Note]{Kind: store.NoteKind, id: kindNotes}
	drafts           = plain[omni.Draft]{Kind: store.DraftKind, id: kindDrafts}
	cannedReplies    = plain[omni.CannedReply]{Kind: store.CannedReplyKind, id: kindCannedReplies}
	workflows        = plain[omni.Workflow]{Kind: store.WorkflowKind, id: kindWorkflows}
	workflowVersions = plain[omni.WorkflowVersion]{Kind: store.WorkflowVersionKind, id: kindWorkflowVersions}
	templates        = plain[omni.MessageTemplate]{Kind: store.TemplateKind, id: kindTemplates}
	rerouteMappings  = plain[omni.RerouteMapping]{Kind: store.RerouteMappingKind, id: kindRerouteMappings}
	webhooks         = plain[omni.Webhook]{
		Kind: store.WebhookKind, id: kindWebhooks, decode: scanWebhook,
		encode: func(w omni.Webhook) any { return webhookDoc{w, w.Secrets} },
	}
	mediaFiles  = plain[omni.MediaFile]{Kind: store.MediaFileKind, id: kindMediaFiles}
	conversions = plain[omni.MediaConvertJob]{Kind: store.ConversionKind, id: kindConversions}
)

// webhookDoc is a webhook with what its JSON form, made for clients, leaves out.
type webhookDoc struct {
	omni.Webhook

	Secrets []omni.SealedSecret `json:"secrets,omitempty"`
}

func scanWebhook(r scanner) (omni.Webhook, error) {
	d, err := scanDoc[webhookDoc](r)
	d.Webhook.Secrets = d.Secrets
	return d.Webhook, err
}

// plainStatements puts the statements of plain records, which are made of the names in their kinds, at the beginning of all.
func plainStatements(all []string) {
	for _, add := range []func([]string){
		labels.statements, notes.statements, drafts.statements, cannedReplies.statements, workflows.statements,
		workflowVersions.statements, templates.statements, rerouteMappings.statements, webhooks.statements,
		mediaFiles.statements, conversions.statements,
	} {
		add(all)
	}
}

func (k plain[T]) stmt(op stmt) stmt { return sqlPlain + stmt(k.id)*opCount + op }

// column is the name of a field in SQL: created_at for createdAt.
func column(name string) string {
	var b strings.Builder
	for _, r := range name {
		if unicode.IsUpper(r) {
			b.WriteByte('_')
		}
		b.WriteRune(unicode.ToLower(r))
	}
	return b.String()
}

// statements puts the statements of k where stmt finds them. Those that a kind without versions does not have stay empty.
func (k plain[T]) statements(all []string) {
	var none T
	versioned := k.Meta(&none).Version != nil
	put := func(op stmt, text string) { all[stmt(k.id)*opCount+op] = text }

	names, values, changes := "id, org, doc", "?1, ?2, ?3", "version = version + 1, doc = ?4"
	n := 3
	if versioned {
		names, values, n = names+", version", values+", ?4", 4
	}
	for i, f := range k.Fields() {
		names += ", " + column(f.Name)
		values += ", " + param(n+1+i)
		changes += ", " + column(f.Name) + " = " + param(n+1+i)
	}
	put(opInsert, `INSERT INTO `+k.Collection+` (`+names+`) VALUES (`+values+`)`)
	put(opGet, `SELECT doc FROM `+k.Collection+` WHERE id = ?1 AND org = ?2`)

	put(opDump, `SELECT doc FROM `+k.Collection+` WHERE id > ?1 ORDER BY id LIMIT ?2`)
	put(opLoad, `INSERT INTO `+k.Collection+` (`+names+`) VALUES (`+values+`) ON CONFLICT (id) DO UPDATE SET `+
		strings.Join(replaced(names), ", "))

	where := "org = ?1"
	for i, f := range k.UniqueKey() {
		where += " AND " + column(f.Name) + " = " + param(2+i)
	}
	put(opFind, `SELECT doc FROM `+k.Collection+` WHERE `+where)

	where, n = "org = ?1", 2
	if k.Of != nil {
		where, n = where+" AND "+column(k.Of.Name)+" = ?2", 3
	}
	than, way, by := ">", "", column(k.Sort.Name)
	if k.Newest {
		than, way = "<", " DESC"
	}
	put(opList, `SELECT doc FROM `+k.Collection+` WHERE `+where+` AND (`+by+`, id) `+than+` (`+param(n)+`, `+param(n+1)+
		`) ORDER BY `+by+way+`, id`+way+` LIMIT `+param(n+2))
	if !versioned {
		return
	}
	put(opUpdate, `UPDATE `+k.Collection+` SET `+changes+` WHERE id = ?1 AND org = ?2 AND version = ?3`)
	put(opDelete, `DELETE FROM `+k.Collection+` WHERE id = ?1 AND org = ?2`)
}

// replaced are the assignments that make a row what was to be inserted.
func replaced(names string) []string {
	all := strings.Split(names, ", ")
	for i, name := range all {
		all[i] = name + " = excluded." + name
	}
	return all
}

func param(n int) string { return "?" + string(rune('0'+n)) } // no statement has ten

func (k plain[T]) scan(r scanner) (T, error) {
	if k.decode != nil {
		return k.decode(r)
	}
	return scanDoc[T](r)
}

func (k plain[T]) doc(r T) any {
	if k.encode != nil {
		return k.encode(r)
	}
	return r
}

// columns are the values of the columns after the version.
func (k plain[T]) columns(r *T) []any {
	var all []any
	for _, f := range k.Fields() {
		all = append(all, f.Value(r))
	}
	return all
}

func (k plain[T]) set() recordSet[T] {
	return recordSet[T]{k.Name, k.stmt(opInsert), k.stmt(opGet), k.stmt(opUpdate), k.scan}
}

// records implements store.Records.
type records[T any] struct {
	s *Store
	k plain[T]
}

// Create implements store.Ledger.
func (r records[T]) Create(ctx context.Context, t omni.Tenant, v T) error {
	m := r.k.Meta(&v)
	var columns []any
	if m.Version != nil {
		columns = append(columns, *m.Version)
	}
	return create(ctx, r.s, r.k.set(), t, m.Tenant.OrganisationID, *m.ID, r.k.doc(v), append(columns, r.k.columns(&v)...)...)
}

// Get implements store.Ledger.
func (r records[T]) Get(ctx context.Context, t omni.Tenant, id string) (T, error) {
	return find(ctx, r.s, r.k.set(), t, id)
}

// Find implements store.Ledger.
func (r records[T]) Find(ctx context.Context, t omni.Tenant, like T) (T, error) {
	args := []any{t.OrganisationID}
	for _, f := range r.k.UniqueKey() {
		args = append(args, f.Value(&like))
	}
	return door(ctx, r.s, r.k.Name, r.k.stmt(opFind), r.k.scan, args...)
}

// List implements store.Ledger.
func (r records[T]) List(ctx context.Context, t omni.Tenant, of string, p store.Page) (store.List[T], error) {
	args := []any{t.OrganisationID}
	if r.k.Of != nil {
		args = append(args, of)
	}
	first := firstOldest
	switch {
	case r.k.Sort.Text != nil:
		first = firstText
	case r.k.Newest:
		first = firstNewest
	}
	list := r.k.Collection + " " + t.OrganisationID + " " + of
	return page(ctx, r.s, list, r.k.stmt(opList), r.k.scan, p, first, func(v T) key {
		place := key{id: *r.k.Meta(&v).ID}
		if first == firstText {
			place.text = r.k.Sort.Text(&v)
		} else {
			place.number = r.k.Sort.Number(&v)
		}
		return place
	}, args...)
}

// Update implements store.Records.
func (r records[T]) Update(ctx context.Context, t omni.Tenant, v T) (T, error) {
	m := r.k.Meta(&v)
	old := *m.Version
	*m.Version++
	var none T
	if m.Tenant.OrganisationID != t.OrganisationID {
		return none, fmt.Errorf("update %s %s: %w", r.k.Name, *m.ID, omni.ErrNotFound)
	}
	doc, err := json.Marshal(r.k.doc(v))
	if err != nil {
		return none, fmt.Errorf("update %s %s: %w", r.k.Name, *m.ID, err)
	}
	columns := r.k.columns(&v)
	err = writeOnly(ctx, r.s, func(ctx context.Context, c *conn) error {
		have, err := queryOne(ctx, c, r.k.stmt(opGet), r.k.scan, *m.ID, t.OrganisationID)
		if err != nil {
			return err
		}
		if r.k.Ended != nil && r.k.Ended(&have) {
			return fmt.Errorf("it has ended: %w", omni.ErrConflict)
		}
		n, err := c.exec(ctx, r.k.stmt(opUpdate), slices.Concat([]any{*m.ID, t.OrganisationID, old, doc}, columns)...)
		if err == nil && n == 0 {
			err = fmt.Errorf("version is not %d: %w", old, omni.ErrConflict)
		}
		return err
	})
	if err != nil {
		return none, fmt.Errorf("update %s %s: %w", r.k.Name, *m.ID, err)
	}
	return v, nil
}

// Delete implements store.Records.
func (r records[T]) Delete(ctx context.Context, t omni.Tenant, id string) error {
	err := writeOnly(ctx, r.s, func(ctx context.Context, c *conn) error {
		return oneRow(c.exec(ctx, r.k.stmt(opDelete), id, t.OrganisationID))
	})
	if err != nil {
		return fmt.Errorf("delete %s %s: %w", r.k.Name, id, err)
	}
	return nil
}

// Labels implements store.Store.
func (s *Store) Labels() store.Records[omni.Label] { return records[omni.Label]{s, labels} }

// Notes implements store.Store.
func (s *Store) Notes() store.Records[omni.Note] { return records[omni.Note]{s, notes} }

// Drafts implements store.Store.
func (s *Store) Drafts() store.Records[omni.Draft] { return records[omni.Draft]{s, drafts} }

// CannedReplies implements store.Store.
func (s *Store) CannedReplies() store.Records[omni.CannedReply] {
	return records[omni.CannedReply]{s, cannedReplies}
}

// Workflows implements store.Store.
func (s *Store) Workflows() store.Records[omni.Workflow] { return records[omni.Workflow]{s, workflows} }

// WorkflowVersions implements store.Store.
func (s *Store) WorkflowVersions() store.Ledger[omni.WorkflowVersion] {
	return records[omni.WorkflowVersion]{s, workflowVersions}
}

// Templates implements store.Store.
func (s *Store) Templates() store.Records[omni.MessageTemplate] {
	return records[omni.MessageTemplate]{s, templates}
}

// RerouteMappings implements store.Store.
func (s *Store) RerouteMappings() store.Records[omni.RerouteMapping] {
	return records[omni.RerouteMapping]{s, rerouteMappings}
}

// Webhooks implements store.Store.
func (s *Store) Webhooks() store.Records[omni.Webhook] { return records[omni.Webhook]{s, webhooks} }

// MediaFiles implements store.Store.
func (s *Store) MediaFiles() store.Records[omni.MediaFile] {
	return records[omni.MediaFile]{s, mediaFiles}
}

// Conversions implements store.Store.
func (s *Store) Conversions() store.Records[omni.MediaConvertJob] {
	return records[omni.MediaConvertJob]{s, conversions}
}
