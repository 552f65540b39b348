package mongostore

import (
	"context"
	"fmt"

	"go.mongodb.org/mongo-driver/v2/bson"

	"omniservice/omni"
	"omniservice/store"
)

// records keeps plain records of a kind: it implements store.Records. A document is the record itself, with organisationId
// and with all fields of the kind, derived and empty ones too, so that every index finds it.
type records[T any] struct {
	s *Store
	k store.Kind[T]
}

// plainCollection is the schema of a kind: the unique key, and the list. A kind whose records are unique by something else
// than their id stays unsharded unless shardKey says by what.
func plainCollection[T any](k store.Kind[T], shardKey bson.D) collection {
	c := collection{name: k.Collection, holds: article(k.Name), shardKey: shardKey}
	if shardKey == nil && len(k.Unique) == 0 {
		c.shardKey = byOrganisation
	}
	if len(k.Unique) > 0 {
		fields := []string{fieldOrg}
		for _, f := range k.Unique {
			fields = append(fields, f.Name)
		}
		c.indexes = append(c.indexes, index{keys: ascending(fields...), unique: true, serves: "Find; what is unique in the organisation"})
	}
	fields := []string{fieldOrg}
	if k.Of != nil {
		fields = append(fields, k.Of.Name)
	}
	c.indexes = append(c.indexes, index{keys: ascending(append(fields, k.Sort.Name, "_id")...), serves: "List"})
	return c
}

func article(name string) string {
	switch name[0] {
	case 'a', 'e', 'i', 'o', 'u':
		return "an " + name
	default:
		return "a " + name
	}
}

func (r records[T]) kind() kind[T] {
	return kind[T]{
		what: r.k.Name, coll: r.k.Collection,
		id:  func(v *T) string { return *r.k.Meta(v).ID },
		org: func(v *T) string { return r.k.Meta(v).Tenant.OrganisationID },
		extra: func(v *T) bson.D {
			var d bson.D
			for _, f := range r.k.Fields() {
				d = append(d, bson.E{Key: f.Name, Value: f.Value(v)})
			}
			return d
		},
	}
}

// Create implements store.Ledger.
func (r records[T]) Create(ctx context.Context, t omni.Tenant, v T) error {
	return create(ctx, r.s, r.kind(), t, v)
}

// Get implements store.Ledger.
func (r records[T]) Get(ctx context.Context, t omni.Tenant, id string) (T, error) {
	return find(ctx, r.s, r.kind(), t, id)
}

// Find implements store.Ledger.
func (r records[T]) Find(ctx context.Context, t omni.Tenant, like T) (T, error) {
	filter := of(t)
	for _, f := range r.k.UniqueKey() {
		name := f.Name
		if name == "id" {
			name = "_id"
		}
		filter = append(filter, bson.E{Key: name, Value: f.Value(&like)})
	}
	return door(ctx, r.s, r.kind(), r.k.Name, filter)
}

// List implements store.Ledger.
func (r records[T]) List(ctx context.Context, t omni.Tenant, parent string, p store.Page) (store.List[T], error) {
	filter := of(t)
	if r.k.Of != nil {
		filter = append(filter, bson.E{Key: r.k.Of.Name, Value: parent})
	}
	o := order{field: r.k.Sort.Name, text: r.k.Sort.Text != nil, desc: r.k.Newest}
	name := r.k.Collection + " " + t.OrganisationID + " " + parent
	return list(ctx, r.s, r.kind(), name, filter, o, p, func(v T) place {
		at := place{ID: *r.k.Meta(&v).ID}
		if o.text {
			at.Text = r.k.Sort.Text(&v)
		} else {
			at.Number = r.k.Sort.Number(&v)
		}
		return at
	})
}

// Update implements store.Records. Whether a record has ended is seen before: it cannot end later without another version.
func (r records[T]) Update(ctx context.Context, t omni.Tenant, v T) (T, error) {
	m := r.k.Meta(&v)
	old := *m.Version
	*m.Version++
	if r.k.Ended == nil || m.Tenant.OrganisationID != t.OrganisationID {
		return update(ctx, r.s, r.kind(), t, old, v)
	}
	var none T
	have, err := r.Get(ctx, t, *m.ID)
	switch {
	case err != nil:
	case r.k.Ended(&have):
		err = fmt.Errorf("it has ended: %w", omni.ErrConflict)
	case *r.k.Meta(&have).Version != old:
		err = versionConflict(old)
	default:
		return update(ctx, r.s, r.kind(), t, old, v)
	}
	return none, fmt.Errorf("update %s %s: %w", r.k.Name, *m.ID, err)
}

// Delete implements store.Records.
func (r records[T]) Delete(ctx context.Context, t omni.Tenant, id string) error {
	err := runOnly(ctx, r.s, func(ctx context.Context) error {
		res, err := r.s.coll(r.k.Collection).DeleteOne(ctx, named(t, id))
		if err == nil && res.DeletedCount == 0 {
			err = omni.ErrNotFound
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("delete %s %s: %w", r.k.Name, id, err)
	}
	return nil
}

// plainSchema are the collections of plain records. Drafts grow with conversations, conversion jobs with files: they are
// sharded by what their unique key begins with, or not at all where that changes.
var plainSchema = []collection{
	plainCollection(store.LabelKind, nil),
	plainCollection(store.NoteKind, nil),
	plainCollection(store.DraftKind, ascending(fieldOrg, "userId")),
	plainCollection(store.CannedReplyKind, nil),
	plainCollection(store.WorkflowKind, nil),
	plainCollection(store.WorkflowVersionKind, nil),
	plainCollection(store.TemplateKind, nil),
	plainCollection(store.RerouteMappingKind, nil),
	plainCollection(store.WebhookKind, nil),
	plainCollection(store.MediaFileKind, nil),
	plainCollection(store.ConversionKind, nil),
}

// plainMovers are how they move.
var plainMovers = []mover{
	movePlain(store.LabelKind), movePlain(store.NoteKind), movePlain(store.DraftKind), movePlain(store.CannedReplyKind),
	movePlain(store.WorkflowKind), movePlain(store.WorkflowVersionKind), movePlain(store.TemplateKind),
	movePlain(store.RerouteMappingKind), movePlain(store.WebhookKind), movePlain(store.MediaFileKind),
	movePlain(store.ConversionKind),
}

// Labels implements store.Store.
func (s *Store) Labels() store.Records[omni.Label] {
	return records[omni.Label]{s, store.LabelKind}
}

// Notes implements store.Store.
func (s *Store) Notes() store.Records[omni.Note] {
	return records[omni.Note]{s, store.NoteKind}
}

// Drafts implements store.Store.
func (s *Store) Drafts() store.Records[omni.Draft] {
	return records[omni.Draft]{s, store.DraftKind}
}

// CannedReplies implements store.Store.
func (s *Store) CannedReplies() store.Records[omni.CannedReply] {
	return records[omni.CannedReply]{s, store.CannedReplyKind}
}

// Workflows implements store.Store.
func (s *Store) Workflows() store.Records[omni.Workflow] {
	return records[omni.Workflow]{s, store.WorkflowKind}
}

// WorkflowVersions implements store.Store.
func (s *Store) WorkflowVersions() store.Ledger[omni.WorkflowVersion] {
	return records[omni.WorkflowVersion]{s, store.WorkflowVersionKind}
}

// Templates implements store.Store.
func (s *Store) Templates() store.Records[omni.MessageTemplate] {
	return records[omni.MessageTemplate]{s, store.TemplateKind}
}

// RerouteMappings implements store.Store.
func (s *Store) RerouteMappings() store.Records[omni.RerouteMapping] {
	return records[omni.RerouteMapping]{s, store.RerouteMappingKind}
}

// Webhooks implements store.Store.
func (s *Store) Webhooks() store.Records[omni.Webhook] {
	return records[omni.Webhook]{s, store.WebhookKind}
}

// MediaFiles implements store.Store.
func (s *Store) MediaFiles() store.Records[omni.MediaFile] {
	return records[omni.MediaFile]{s, store.MediaFileKind}
}

// Conversions implements store.Store.
func (s *Store) Conversions() store.Records[omni.MediaConvertJob] {
	return records[omni.MediaConvertJob]{s, store.ConversionKind}
}
