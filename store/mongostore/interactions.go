package mongostore

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"omniservice/omni"
	"omniservice/store"
)

// fieldSlot is "" in an interaction that is not resolved, and its own id in one that is. It ends the unique key which lets
// one interaction per identity and channel be open.
const fieldSlot = "slot"

// interactionDoc is an interaction as it is stored.
//
// What lists show of its messages (LastSequence, LastMessageAt, LastPreview, LastDirection, LastInboundAt, WaitingSince,
// Unread) follows from the messages: see fold.
type interactionDoc struct {
	omni.Interaction `bson:",inline"`

	Org       string `bson:"organisationId"`
	Slot      string `bson:"slot"`
	LastOrder int64  `bson:"lastOrder"` // messageDoc.Order of the newest message

	News    string `bson:"news,omitempty"`    // see changes.go
	Changed int64  `bson:"changed,omitempty"` // number of the newest change; 0: none yet
}

func newInteractionDoc(i omni.Interaction) interactionDoc {
	return interactionDoc{Interaction: i, Org: i.Tenant.OrganisationID, Slot: slotOf(i.ID, i.State), News: omni.NewID()}
}

func slotOf(id string, state omni.InteractionState) string {
	if state == omni.InteractionResolved {
		return id
	}
	return ""
}

var interactionColls = []collection{
	{name: collInteractions, holds: "an interaction, with what lists show of its messages", shardKey: ascending(fieldOrg), indexes: []index{
		{
			keys: ascending(fieldOrg, "identityId", "digitalChannelId", fieldSlot), unique: true,
			serves: "OpenInteraction: at most one per identity and channel is not resolved (its slot is empty; that of a resolved one is its id)",
		},
		{keys: ascending(fieldOrg, "identityId", "digitalChannelId", "resolvedAt"), serves: "OpenInteraction: the newest resolved one"},
		{
			keys:   ascending(fieldOrg, "groupId", "state", "owner.type", "lastMessageAt", "_id"),
			serves: "ListInteractions and CountInteractions of groups: all, or those that nobody has taken; a merge of one scan per group",
		},
		{
			keys:   ascending(fieldOrg, "owner.id", "state", "owner.type", "lastMessageAt", "_id", "groupId"),
			serves: "ListInteractions and CountInteractions of an owner",
		},
		{keys: ascending(fieldOrg, "contactId", "state", "lastMessageAt", "_id"), serves: "ListInteractions of a contact"},
		changedIndex, newsIndex,
		{keys: ascending("snoozedUntil"), sparse: true, serves: "SnoozesDue"},
	}},
}

// OpenInteraction implements store.Store. Each way is one write of one document, and the unique key of slot decides between
// calls at the same instant, on any node: who runs into it looks again. A call that is repeated after its write finds what it
// wrote.
func (s *Store) OpenInteraction(ctx context.Context, t omni.Tenant, want omni.Interaction, reopenSince omni.Millis) (omni.Interaction, store.OpenOutcome, error) {
	var outcome store.OpenOutcome
	i, err := run(ctx, s, func(ctx context.Context) (i omni.Interaction, err error) {
		if want.Tenant.OrganisationID != t.OrganisationID {
			return i, omni.ErrNotFound
		}
		for range maxRaces {
			i, outcome, err = s.openInteraction(ctx, t, want, reopenSince)
			if !errors.Is(err, errRaced) {
				return i, err
			}
		}
		return i, err
	})
	if err != nil {
		return i, "", fmt.Errorf("open interaction %s: %w", want.ID, err)
	}
	return i, outcome, nil
}

// maxRaces is how often a call looks again when others were faster. Each time one of them got on; so it is not reached,
// unless what it looks at cannot be as it is.
const maxRaces = 200

// errRaced is what a conditional write returns that came too late: look again. To the caller it is a conflict.
var errRaced = fmt.Errorf("others changed it at the same time: %w", omni.ErrConflict)

func (s *Store) openInteraction(ctx context.Context, t omni.Tenant, want omni.Interaction, reopenSince omni.Millis) (omni.Interaction, store.OpenOutcome, error) {
	c := s.coll(collInteractions)
	mine := of(t, bson.E{Key: "identityId", Value: want.IdentityID}, bson.E{Key: "digitalChannelId", Value: want.DigitalChannelID})
	i, err := one[omni.Interaction](ctx, c, with(mine, bson.E{Key: fieldSlot, Value: ""}))
	if !errors.Is(err, mongo.ErrNoDocuments) {
		return i, store.OpenFound, err
	}

	resolved := with(mine, bson.E{Key: "state", Value: omni.InteractionResolved})
	if reopenSince > 0 {
		resolved = append(resolved, bson.E{Key: "resolvedAt", Value: bson.D{{Key: "$gte", Value: reopenSince}}})
	}
	old, err := one[omni.Interaction](ctx, c, resolved, options.FindOne().SetSort(bson.D{{Key: "resolvedAt", Value: -1}}))
	if err == nil {
		i, err = after[omni.Interaction](ctx, c,
			with(named(t, old.ID), bson.E{Key: "version", Value: old.Version}),
			bson.D{
				{Key: "$set", Value: bson.D{{Key: "state", Value: omni.InteractionOpen}, {Key: fieldSlot, Value: ""}, news()}},
				{Key: "$unset", Value: bson.D{{Key: "resolvedAt", Value: ""}, {Key: "resolvedBy", Value: ""}, {Key: "changedBy", Value: ""}}},
				{Key: "$inc", Value: bson.D{{Key: "version", Value: int64(1)}}},
			})
		return i, store.OpenReopened, raced(err)
	}
	if !errors.Is(err, mongo.ErrNoDocuments) {
		return i, "", err
	}

	_, err = c.InsertOne(ctx, newInteractionDoc(want))
	if mongo.IsDuplicateKeyError(err) {
		if have, getErr := one[omni.Interaction](ctx, c, named(t, want.ID)); getErr == nil && have.State == omni.InteractionResolved {
			return i, "", fmt.Errorf("it was there, and is resolved: %w", omni.ErrConflict)
		}
	}
	return want, store.OpenCreated, raced(err)
}

// raced is errRaced if err says that another call was faster: a document is not any more as the filter wants it, or one with
// the same unique key is there.
func raced(err error) error {
	if errors.Is(err, mongo.ErrNoDocuments) || mongo.IsDuplicateKeyError(err) {
		return errRaced
	}
	return err
}

// Interaction implements store.Store.
func (s *Store) Interaction(ctx context.Context, t omni.Tenant, id string) (omni.Interaction, error) {
	i, err := run(ctx, s, func(ctx context.Context) (omni.Interaction, error) {
		return one[omni.Interaction](ctx, s.coll(collInteractions), named(t, id))
	})
	if err != nil {
		return i, fmt.Errorf("find interaction %s: %w", id, err)
	}
	return i, nil
}

// ChangeInteraction implements store.Store: one conditional update.
func (s *Store) ChangeInteraction(ctx context.Context, t omni.Tenant, id string, version int64, change store.InteractionChange) (omni.Interaction, error) {
	var have omni.Interaction // what a conflict is told with
	i, err := run(ctx, s, func(ctx context.Context) (omni.Interaction, error) {
		c := s.coll(collInteractions)
		i, err := after[omni.Interaction](ctx, c, with(named(t, id), bson.E{Key: "version", Value: version}), changeUpdate(t, id, change))
		switch {
		case errors.Is(err, mongo.ErrNoDocuments):
			err = versionConflict(version)
		case mongo.IsDuplicateKeyError(err):
			err = fmt.Errorf("another one is open: %w", omni.ErrConflict)
		default:
			return i, err
		}
		var getErr error
		if have, getErr = one[omni.Interaction](ctx, c, named(t, id)); getErr != nil {
			return i, getErr
		}
		return i, err
	})
	if err != nil {
		if !errors.Is(err, omni.ErrConflict) {
			have = omni.Interaction{}
		}
		return have, fmt.Errorf("change interaction %s: %w", id, err)
	}
	return i, nil
}

func changeUpdate(t omni.Tenant, id string, c store.InteractionChange) bson.D {
	fields, gone := bson.D{news()}, bson.D(nil)
	// What is left out of documents when it is empty is taken away then.
	put := func(key string, value any, empty bool) {
		if empty {
			gone = append(gone, bson.E{Key: key, Value: ""})
		} else {
			fields = append(fields, bson.E{Key: key, Value: value})
		}
	}
	put("changedBy", t.UserID, t.UserID == "")
	if c.Owner != nil {
		fields = append(fields, bson.E{Key: "owner", Value: *c.Owner})
	}
	if c.State != nil {
		fields = append(fields, bson.E{Key: "state", Value: *c.State}, bson.E{Key: fieldSlot, Value: slotOf(id, *c.State)})
	}
	if c.GroupID != nil {
		fields = append(fields, bson.E{Key: "groupId", Value: *c.GroupID})
	}
	if c.FolderID != nil {
		fields = append(fields, bson.E{Key: "folderId", Value: *c.FolderID})
	}
	if c.LabelIDs != nil {
		put("labelIds", *c.LabelIDs, len(*c.LabelIDs) == 0)
	}
	if c.ResolvedAt != nil {
		fields = append(fields, bson.E{Key: "resolvedAt", Value: *c.ResolvedAt})
	}
	if c.ResolvedBy != nil {
		fields = append(fields, bson.E{Key: "resolvedBy", Value: *c.ResolvedBy})
	}
	if c.SnoozedUntil != nil {
		put("snoozedUntil", *c.SnoozedUntil, *c.SnoozedUntil == 0)
	}
	if c.SnoozedAfter != nil {
		put("snoozedAfter", *c.SnoozedAfter, *c.SnoozedAfter == 0)
	}
	update := bson.D{{Key: "$inc", Value: bson.D{{Key: "version", Value: int64(1)}}}, {Key: "$set", Value: fields}}
	if len(gone) > 0 {
		update = append(update, bson.E{Key: "$unset", Value: gone})
	}
	return update
}

// SnoozesDue implements store.Store. Only what is snoozed has the field, and so the index holds little.
func (s *Store) SnoozesDue(ctx context.Context, now omni.Millis, limit int) ([]omni.Interaction, error) {
	if limit <= 0 {
		return nil, nil
	}
	is, err := run(ctx, s, func(ctx context.Context) ([]omni.Interaction, error) {
		return all[omni.Interaction](ctx, s.coll(collInteractions),
			bson.D{
				{Key: "snoozedUntil", Value: bson.D{{Key: "$gt", Value: int64(0)}, {Key: "$lte", Value: now}}},
				{Key: "state", Value: omni.InteractionSnoozed},
			},
			options.Find().SetSort(bson.D{{Key: "snoozedUntil", Value: 1}}).SetLimit(int64(limit)))
	})
	if err != nil {
		return nil, fmt.Errorf("snoozes that are due: %w", err)
	}
	return is, nil
}

// MarkRead implements store.Store. Unread is the number of inbound messages above the mark. It is kept by differences: each
// message that comes adds one, and moving the mark takes away those that it passes. Both may happen in any order, and so the
// filter holds the old mark alone; a conversation with many messages does not keep its reader waiting.
func (s *Store) MarkRead(ctx context.Context, t omni.Tenant, id string, by omni.SenderType, seq int64) (omni.Interaction, bool, error) {
	if by != omni.SenderUser && by != omni.SenderContact {
		return omni.Interaction{}, false, fmt.Errorf("mark interaction %s read by %q: %w", id, by, omni.ErrInvalid)
	}
	moved := false
	i, err := run(ctx, s, func(ctx context.Context) (i omni.Interaction, err error) {
		for range maxRaces {
			i, moved, err = s.markRead(ctx, t, id, by, seq)
			if !errors.Is(err, errRaced) {
				return i, err
			}
		}
		return i, err
	})
	if err != nil {
		return i, false, fmt.Errorf("mark interaction %s read: %w", id, err)
	}
	return i, moved, nil
}

func (s *Store) markRead(ctx context.Context, t omni.Tenant, id string, by omni.SenderType, seq int64) (omni.Interaction, bool, error) {
	c := s.coll(collInteractions)
	i, err := one[omni.Interaction](ctx, c, named(t, id))
	if err != nil {
		return i, false, err
	}
	field, mark := "agentReadSeq", i.AgentReadSeq
	if by == omni.SenderContact {
		field, mark = "contactReadSeq", i.ContactReadSeq
	}
	seq = min(seq, i.LastSequence)
	if seq <= mark {
		return i, false, nil
	}
	update := set(bson.E{Key: field, Value: seq}, news())
	if by == omni.SenderUser {
		n, err := s.coll(collMessages).CountDocuments(ctx, of(t, bson.E{Key: "interactionId", Value: id},
			bson.E{Key: "sequence", Value: bson.D{{Key: "$gt", Value: mark}, {Key: "$lte", Value: seq}}},
			bson.E{Key: "direction", Value: omni.Inbound}))
		if err != nil {
			return i, false, err
		}
		update = append(update, bson.E{Key: "$inc", Value: bson.D{{Key: "unread", Value: -n}}})
	}
	i, err = after[omni.Interaction](ctx, c, with(named(t, id), bson.E{Key: field, Value: mark}), update)
	return i, true, raced(err)
}

// groupsAtOnce is how many groups one query spans: the server merges up to 200 ordered scans of an index, and each group is
// one scan for each type of owner. More would be sorted in memory.
const groupsAtOnce = 100

var ownerTypes = []omni.OrganisationalEntity{omni.EntityUser, omni.EntityGroup}

// ListInteractions implements store.Store. Every query is a range of an index, or a merge of ranges, in the list's order.
func (s *Store) ListInteractions(ctx context.Context, t omni.Tenant, f store.InteractionFilter, p store.Page) (store.List[omni.Interaction], error) {
	if f.State == "" {
		f.State = omni.InteractionOpen
	}
	groupIDs := slices.Compact(slices.Sorted(slices.Values(f.GroupIDs)))
	list := fmt.Sprintf("interactions %s %s %s %t %s %q", t.OrganisationID, f.State, f.OwnerID, f.Unassigned, f.ContactID, groupIDs)
	l, err := run(ctx, s, func(ctx context.Context) (l store.List[omni.Interaction], err error) {
		if f.Unassigned && f.OwnerID != "" {
			groupIDs = nil // nobody's and somebody's
		}
		if _, err := pageLimit(p.Limit); err != nil {
			return l, err
		}
		if len(groupIDs) == 0 {
			return s.emptyInteractions(list, p)
		}
		for chunk := range slices.Chunk(groupIDs, groupsAtOnce) {
			more, err := page(ctx, s.coll(collInteractions), list, listFilter(t, f, chunk), order{field: "lastMessageAt", desc: true}, p, placeOfInteraction)
			if err != nil {
				return l, err
			}
			l = mergeInteractions(l, more)
		}
		return cutInteractions(list, l, p)
	})
	if err != nil {
		return store.List[omni.Interaction]{}, fmt.Errorf("list interactions: %w", err)
	}
	return l, nil
}

func placeOfInteraction(i omni.Interaction) place {
	return place{Number: int64(i.LastMessageAt), ID: i.ID}
}

// emptyInteractions is the list of nothing, which has no cursors but is asked for with those of before.
func (s *Store) emptyInteractions(list string, p store.Page) (l store.List[omni.Interaction], err error) {
	if p.Cursor != "" {
		_, err = parseCursor(list, p.Cursor)
	}
	return l, err
}

// mergeInteractions joins two pages of the same place. Next is set if one of them goes on.
func mergeInteractions(a, b store.List[omni.Interaction]) store.List[omni.Interaction] {
	a.Items = append(a.Items, b.Items...)
	slices.SortFunc(a.Items, func(x, y omni.Interaction) int {
		return cmp.Or(cmp.Compare(y.LastMessageAt, x.LastMessageAt), strings.Compare(y.ID, x.ID))
	})
	a.Next = cmp.Or(a.Next, b.Next)
	return a
}

// cutInteractions makes one page of merged ones.
func cutInteractions(list string, l store.List[omni.Interaction], p store.Page) (store.List[omni.Interaction], error) {
	limit, err := pageLimit(p.Limit)
	if err != nil || len(l.Items) <= limit && l.Next == "" {
		return l, err
	}
	l.Items = l.Items[:min(limit, len(l.Items))]
	l.Next, err = cursorText(list, placeOfInteraction(l.Items[len(l.Items)-1]))
	return l, err
}

func in[T any](values []T) bson.D { return bson.D{{Key: "$in", Value: values}} }

func listFilter(t omni.Tenant, f store.InteractionFilter, groupIDs []string) bson.D {
	groups := bson.E{Key: "groupId", Value: in(groupIDs)}
	state := bson.E{Key: "state", Value: f.State}
	owner := []bson.E{{Key: "owner.type", Value: in(ownerTypes)}}
	switch {
	case f.Unassigned:
		owner = []bson.E{{Key: "owner.type", Value: omni.EntityGroup}}
	case f.OwnerID != "":
		owner = []bson.E{{Key: "owner.type", Value: omni.EntityUser}, {Key: "owner.id", Value: f.OwnerID}}
	}
	filter := of(t, groups, state)
	if f.ContactID != "" {
		filter = append(filter, bson.E{Key: "contactId", Value: f.ContactID})
	}
	return append(filter, owner...)
}

// maxCount is up to where interactions are counted.
const maxCount = 100

// CountInteractions implements store.Store. Each number is a scan of at most maxCount keys of an index.
func (s *Store) CountInteractions(ctx context.Context, t omni.Tenant, groupIDs []string) (store.Counts, error) {
	n, err := run(ctx, s, func(ctx context.Context) (n store.Counts, err error) {
		if len(groupIDs) == 0 {
			return n, nil
		}
		count := func(f store.InteractionFilter) int {
			if err != nil {
				return 0
			}
			f.State = omni.InteractionOpen
			var k int64
			k, err = s.coll(collInteractions).CountDocuments(ctx, listFilter(t, f, groupIDs), options.Count().SetLimit(maxCount))
			return int(k)
		}
		if t.UserID != "" {
			n.Mine = count(store.InteractionFilter{OwnerID: t.UserID})
		}
		n.Unassigned = count(store.InteractionFilter{Unassigned: true})
		n.All = count(store.InteractionFilter{})
		return n, err
	})
	if err != nil {
		return store.Counts{}, fmt.Errorf("count interactions: %w", err)
	}
	return n, nil
}
