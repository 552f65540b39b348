package storetest

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"omniservice/omni"
	"omniservice/store"
)

func oneIdentityPerAddress(t *testing.T, s store.Store) {
	ctx := t.Context()
	w := newWorld(t, s)
	type result struct {
		contact  omni.Contact
		identity omni.ContactIdentity
		created  bool
	}
	const callers = 2
	contacts := few(s, 500, 50)
	all, errs := atOnce(contacts*callers, func(i int) (r result, err error) {
		r.contact, r.identity, r.created, err = s.ResolveIdentity(ctx, w.tenant, w.newIdentity(fmt.Sprintf("+1888%04d", i%contacts)))
		return r, err
	})
	created := map[string]int{}
	ids := map[string]string{}
	for i, r := range all {
		require.NoError(t, errs[i])
		require.Equal(t, r.contact.ID, r.identity.ContactID)
		if r.created {
			created[r.identity.Address]++
		}
		if id, ok := ids[r.identity.Address]; ok {
			require.Equal(t, id, r.identity.ID)
		}
		ids[r.identity.Address] = r.identity.ID
	}
	require.Len(t, created, contacts)
	for address, n := range created {
		require.Equal(t, 1, n, address)
	}
	require.Len(t, pages(t, store.MaxPage, func(p store.Page) (store.List[omni.Contact], error) { return s.Contacts(ctx, w.tenant, p) }), contacts+1)

	// The same address elsewhere is somebody else's, in another family too; MMS is of the SMS family.
	other := newWorld(t, s)
	_, theirs, isNew, err := s.ResolveIdentity(ctx, other.tenant, other.newIdentity("+18880001"))
	require.NoError(t, err)
	require.True(t, isNew)
	require.NotEqual(t, ids["+18880001"], theirs.ID)
	want := w.newIdentity("+18880001")
	want.ChannelType = omni.ChannelWhatsApp
	_, _, isNew, err = s.ResolveIdentity(ctx, w.tenant, want)
	require.NoError(t, err)
	require.True(t, isNew)
	want.ChannelType = omni.ChannelMMS
	_, same, isNew, err := s.ResolveIdentity(ctx, w.tenant, want)
	require.NoError(t, err)
	require.False(t, isNew)
	require.Equal(t, ids["+18880001"], same.ID)
	require.Equal(t, omni.ChannelSMS, same.ChannelType)
	got, err := s.IdentityByAddress(ctx, w.tenant, omni.ChannelMMS, "+18880001")
	require.NoError(t, err)
	require.Equal(t, same, got)
	_, err = s.IdentityByAddress(ctx, w.tenant, omni.ChannelSMS, "+1")
	require.ErrorIs(t, err, omni.ErrNotFound)
}

func namesAreLearnt(t *testing.T, s store.Store) {
	ctx := t.Context()
	w := newWorld(t, s)
	named := func(name string) (omni.Contact, omni.ContactIdentity) {
		want := w.newIdentity(w.identity.Address)
		want.Name = name
		c, i, created, err := s.ResolveIdentity(ctx, w.tenant, want)
		require.NoError(t, err)
		require.False(t, created)
		return c, i
	}
	c, i := named("")
	require.Empty(t, c.Name)
	require.Empty(t, i.Name)
	c, i = named("Eve")
	require.Equal(t, "Eve", c.Name)
	require.Equal(t, "Eve", i.Name)
	version := c.Version
	c, i = named("Eva")
	require.Equal(t, "Eve", c.Name, "a contact keeps its name")
	require.Equal(t, "Eva", i.Name)
	require.Equal(t, version, c.Version)
	c, i = named("")
	require.Equal(t, "Eve", c.Name)
	require.Equal(t, "Eva", i.Name)

	// What an agent wrote stays, and the version that they had is the one that counts.
	c.Name = "Eve Example"
	c, err := s.UpdateContact(ctx, w.tenant, c)
	require.NoError(t, err)
	after, _ := named("E.")
	require.Equal(t, c, after)
	stored, err := s.Contact(ctx, w.tenant, c.ID)
	require.NoError(t, err)
	require.Equal(t, c, stored)

	all, err := s.Identities(ctx, w.tenant, c.ID)
	require.NoError(t, err)
	require.Len(t, all, 1)
	require.Equal(t, "E.", all[0].Name)
}

func consentGoesByTime(t *testing.T, s store.Store) {
	ctx := t.Context()
	w := newWorld(t, s)
	set := func(out bool, by string, at omni.Millis) (omni.ContactIdentity, bool) {
		i, changed, err := s.SetConsent(ctx, omni.ConsentUpdate{
			Tenant: w.tenant, ChannelType: omni.ChannelSMS, Address: w.identity.Address, OptedOut: out, By: by, At: at,
		})
		require.NoError(t, err)
		stored, err := s.Identity(ctx, w.tenant, w.identity.ID)
		require.NoError(t, err)
		require.Equal(t, stored, i)
		return i, changed
	}
	i, changed := set(true, "STOP", base+10)
	require.True(t, changed)
	require.Equal(t, base+10, i.OptedOutAt)
	require.Equal(t, "STOP", i.OptOutBy)
	i, changed = set(true, "STOP", base+10)
	require.False(t, changed, "the same again")
	require.Equal(t, base+10, i.OptedOutAt)
	i, changed = set(false, "START", base+5)
	require.False(t, changed, "older than what is there")
	require.Equal(t, base+10, i.OptedOutAt)
	i, changed = set(false, "START", base+20)
	require.True(t, changed)
	require.Zero(t, i.OptedOutAt)
	require.Empty(t, i.OptOutBy)
	i, changed = set(true, "STOP", base+15)
	require.False(t, changed, "a START came after it")
	require.Zero(t, i.OptedOutAt)

	// Marketing has a state of its own.
	i, changed = set(true, omni.MarketingBy+"stop", base+12)
	require.True(t, changed)
	require.Zero(t, i.OptedOutAt)
	require.Equal(t, &omni.MarketingWord{OptedOut: true, By: "stop", At: base + 12}, i.Marketing)
	i, changed = set(true, omni.MarketingBy+"131050", base+13)
	require.False(t, changed, "the same once more")
	require.Equal(t, &omni.MarketingWord{OptedOut: true, By: "131050", At: base + 13}, i.Marketing)
	i, changed = set(false, omni.MarketingBy+"resume", base+12)
	require.False(t, changed, "older than what is there")
	require.True(t, i.Marketing.OptedOut)
	i, changed = set(true, "STOP", base+21)
	require.True(t, changed)
	require.Equal(t, base+21, i.OptedOutAt)
	require.Equal(t, base+13, i.Marketing.At)
	i, changed = set(false, omni.MarketingBy+"resume", base+14)
	require.True(t, changed)
	require.Equal(t, &omni.MarketingWord{By: "resume", At: base + 14}, i.Marketing)
	require.Equal(t, base+21, i.OptedOutAt)
	_, _, err := s.SetConsent(ctx, omni.ConsentUpdate{
		Tenant: w.tenant, ChannelType: omni.ChannelSMS, Address: "+1", OptedOut: true, By: "STOP", At: base,
	})
	require.ErrorIs(t, err, omni.ErrNotFound)
}

func oneOpenInteraction(t *testing.T, s store.Store) {
	ctx := t.Context()
	w := newWorld(t, s)
	const callers = 5
	contacts := few(s, 100, 20)
	identities := make([]omni.ContactIdentity, contacts)
	for n := range identities {
		_, i, _, err := s.ResolveIdentity(ctx, w.tenant, w.newIdentity(fmt.Sprintf("+1999%03d", n)))
		require.NoError(t, err)
		identities[n] = i
	}
	outcomes := make([]store.OpenOutcome, contacts*callers)
	got, errs := atOnce(len(outcomes), func(n int) (i omni.Interaction, err error) {
		i, outcomes[n], err = s.OpenInteraction(ctx, w.tenant, w.newInteraction(identities[n%contacts]), 0)
		return i, err
	})
	created := map[string]string{}
	for n, i := range got {
		require.NoError(t, errs[n])
		if outcomes[n] == store.OpenCreated {
			require.Empty(t, created[i.IdentityID])
			created[i.IdentityID] = i.ID
		}
	}
	require.Len(t, created, contacts)
	for n, i := range got {
		require.Equal(t, created[i.IdentityID], i.ID)
		require.Contains(t, []store.OpenOutcome{store.OpenCreated, store.OpenFound}, outcomes[n])
	}
}

// resolve ends an interaction.
func (w *world) resolve(t *testing.T, s store.Store, i omni.Interaction, at omni.Millis) omni.Interaction {
	t.Helper()
	state, by := omni.InteractionResolved, w.tenant.UserID
	i, err := s.ChangeInteraction(t.Context(), w.tenant, i.ID, i.Version, store.InteractionChange{State: &state, ResolvedAt: &at, ResolvedBy: &by})
	require.NoError(t, err)
	return i
}

func resolvedInteractionsReopen(t *testing.T, s store.Store) {
	ctx := t.Context()
	w := newWorld(t, s)
	first := w.resolve(t, s, w.talk, base+100)
	require.Equal(t, omni.InteractionResolved, first.State)

	// Too long ago: a new one.
	second, how, err := s.OpenInteraction(ctx, w.tenant, w.newInteraction(w.identity), base+101)
	require.NoError(t, err)
	require.Equal(t, store.OpenCreated, how)
	require.NotEqual(t, first.ID, second.ID)
	second = w.resolve(t, s, second, base+200)

	// Of two resolved ones the newest, by one of many callers at the same instant.
	outcomes := make([]store.OpenOutcome, 32)
	got, errs := atOnce(len(outcomes), func(n int) (i omni.Interaction, err error) {
		i, outcomes[n], err = s.OpenInteraction(ctx, w.tenant, w.newInteraction(w.identity), base+100)
		return i, err
	})
	reopened := 0
	for n, i := range got {
		require.NoError(t, errs[n])
		require.Equal(t, second.ID, i.ID)
		require.Equal(t, omni.InteractionOpen, i.State)
		require.Zero(t, i.ResolvedAt)
		require.Empty(t, i.ResolvedBy)
		require.Equal(t, second.Version+1, i.Version)
		if outcomes[n] == store.OpenReopened {
			reopened++
		}
	}
	require.Equal(t, 1, reopened)

	// Nobody reopens the first while the second is open.
	state := omni.InteractionOpen
	have, err := s.ChangeInteraction(ctx, w.tenant, first.ID, first.Version, store.InteractionChange{State: &state})
	require.ErrorIs(t, err, omni.ErrConflict)
	require.Equal(t, first, have)

	// A snoozed one is not resolved: it is found.
	open, err := s.Interaction(ctx, w.tenant, second.ID)
	require.NoError(t, err)
	snoozed := omni.InteractionSnoozed
	_, err = s.ChangeInteraction(ctx, w.tenant, open.ID, open.Version, store.InteractionChange{State: &snoozed})
	require.NoError(t, err)
	found, how, err := s.OpenInteraction(ctx, w.tenant, w.newInteraction(w.identity), 0)
	require.NoError(t, err)
	require.Equal(t, store.OpenFound, how)
	require.Equal(t, second.ID, found.ID)
}

func oneClaimWins(t *testing.T, s store.Store) {
	ctx := t.Context()
	w := newWorld(t, s)
	got, errs := atOnce(64, func(n int) (omni.Interaction, error) {
		return s.ChangeInteraction(ctx, w.tenant, w.talk.ID, w.talk.Version, store.InteractionChange{
			Owner: &omni.InteractionOwner{Type: omni.EntityUser, ID: fmt.Sprintf("agent%d", n)},
		})
	})
	won := oneWins(t, errs, omni.ErrConflict)
	require.Equal(t, fmt.Sprintf("agent%d", won), got[won].Owner.ID)
	for _, i := range got {
		require.Equal(t, got[won], i, "the others learn who has it")
	}
}

func changesOfAnInteraction(t *testing.T, s store.Store) {
	ctx := t.Context()
	w := newWorld(t, s)
	folder, group, resolved, at, by := omni.NewID(), omni.NewID(), omni.InteractionResolved, base+50, w.tenant.UserID
	snoozed, until, after, nothing, never := omni.InteractionSnoozed, base+100, int64(3), int64(0), omni.Millis(0)
	owner := omni.InteractionOwner{Type: omni.EntityUser, ID: by}
	labels, none := []string{omni.NewID(), omni.NewID()}, []string{}
	want := w.talk
	for _, step := range []struct {
		change store.InteractionChange
		set    func()
	}{
		{store.InteractionChange{}, func() {}},
		{store.InteractionChange{FolderID: &folder}, func() { want.FolderID = folder }},
		{store.InteractionChange{Owner: &owner}, func() { want.Owner = owner }},
		{store.InteractionChange{LabelIDs: &labels}, func() { want.LabelIDs = labels }},
		{store.InteractionChange{FolderID: &folder}, func() {}},
		{store.InteractionChange{LabelIDs: &none}, func() { want.LabelIDs = nil }},
		{store.InteractionChange{LabelIDs: &labels}, func() { want.LabelIDs = labels }},
		{store.InteractionChange{GroupID: &group}, func() { want.GroupID = group }},
		{store.InteractionChange{State: &snoozed, SnoozedUntil: &until, SnoozedAfter: &after}, func() { want.State, want.SnoozedUntil, want.SnoozedAfter = snoozed, until, after }},
		{store.InteractionChange{SnoozedUntil: &never, SnoozedAfter: &nothing}, func() { want.SnoozedUntil, want.SnoozedAfter = 0, 0 }},
		{store.InteractionChange{State: &resolved, ResolvedAt: &at, ResolvedBy: &by}, func() { want.State, want.ResolvedAt, want.ResolvedBy = resolved, at, by }},
	} {
		got, err := s.ChangeInteraction(ctx, w.tenant, want.ID, want.Version, step.change)
		require.NoError(t, err)
		want.Version++
		want.ChangedBy = w.tenant.UserID
		step.set()
		require.Equal(t, want, got)
		stored, err := s.Interaction(ctx, w.tenant, want.ID)
		require.NoError(t, err)
		require.Equal(t, want, stored)
	}
	have, err := s.ChangeInteraction(ctx, w.tenant, want.ID, 1, store.InteractionChange{FolderID: &folder})
	require.ErrorIs(t, err, omni.ErrConflict)
	require.Equal(t, want, have)
	have, err = s.ChangeInteraction(ctx, omni.Org(w.org.ID), want.ID, want.Version, store.InteractionChange{})
	require.NoError(t, err)
	require.Empty(t, have.ChangedBy, "nobody did")
	_, err = s.ChangeInteraction(ctx, w.tenant, omni.NewID(), 1, store.InteractionChange{})
	require.ErrorIs(t, err, omni.ErrNotFound)
}

func snoozesComeDue(t *testing.T, s store.Store) {
	ctx := t.Context()
	due := func(now omni.Millis, limit int) []string {
		t.Helper()
		is, err := s.SnoozesDue(ctx, now, limit)
		require.NoError(t, err)
		for _, i := range is {
			stored, err := s.Interaction(ctx, i.Tenant, i.ID)
			require.NoError(t, err)
			require.Equal(t, stored, i)
		}
		return idsOf(is, interactionID)
	}
	require.Empty(t, due(base*2, 10))
	state, open, never := omni.InteractionSnoozed, omni.InteractionOpen, omni.Millis(0)
	var talks []omni.Interaction
	for _, until := range []omni.Millis{base + 30, base + 10, base + 20} {
		w := newWorld(t, s)
		i, err := s.ChangeInteraction(ctx, w.tenant, w.talk.ID, w.talk.Version, store.InteractionChange{State: &state, SnoozedUntil: &until})
		require.NoError(t, err)
		talks = append(talks, i)
	}
	require.Empty(t, due(base+9, 10))
	require.Equal(t, []string{talks[1].ID}, due(base+10, 10))
	require.Equal(t, []string{talks[1].ID, talks[2].ID, talks[0].ID}, due(base+30, 10), "of all organisations, earliest first")
	require.Equal(t, []string{talks[1].ID, talks[2].ID}, due(base+30, 2))
	_, err := s.ChangeInteraction(ctx, omni.Org(talks[1].Tenant.OrganisationID), talks[1].ID, talks[1].Version, store.InteractionChange{State: &open, SnoozedUntil: &never})
	require.NoError(t, err)
	require.Equal(t, []string{talks[2].ID, talks[0].ID}, due(base+30, 10))
}

func readMarksMoveForward(t *testing.T, s store.Store) {
	ctx := t.Context()
	w := newWorld(t, s)
	for range 3 {
		w.append(t, s, w.inbound(w.talk, "in"))
		w.append(t, s, w.outbound(w.talk, "out"))
	}
	for _, step := range []struct {
		by                     omni.SenderType
		seq                    int64
		changed                bool
		agent, contact, unread int64
	}{
		{omni.SenderUser, 0, false, 0, 0, 3},
		{omni.SenderUser, 1, true, 1, 0, 2},
		{omni.SenderUser, 1, false, 1, 0, 2},
		{omni.SenderUser, 2, true, 2, 0, 2},
		{omni.SenderUser, 3, true, 3, 0, 1},
		{omni.SenderUser, 2, false, 3, 0, 1},
		{omni.SenderContact, 4, true, 3, 4, 1},
		{omni.SenderContact, 3, false, 3, 4, 1},
		{omni.SenderUser, 1000, true, 6, 4, 0},
		{omni.SenderUser, 1000, false, 6, 4, 0},
	} {
		i, changed, err := s.MarkRead(ctx, w.tenant, w.talk.ID, step.by, step.seq)
		require.NoError(t, err)
		require.Equal(t, step.changed, changed, "%+v", step)
		require.Equal(t, step.agent, i.AgentReadSeq, "%+v", step)
		require.Equal(t, step.contact, i.ContactReadSeq, "%+v", step)
		require.Equal(t, step.unread, int64(i.Unread), "%+v", step)
		require.Equal(t, w.talk.Version, i.Version, "reading leaves the version")
		stored, err := s.Interaction(ctx, w.tenant, w.talk.ID)
		require.NoError(t, err)
		require.Equal(t, stored, i)
	}
	_, _, err := s.MarkRead(ctx, w.tenant, omni.NewID(), omni.SenderUser, 1)
	require.ErrorIs(t, err, omni.ErrNotFound)

	// Marks and messages at the same instant leave a count that is right.
	_, errs := atOnce(64, func(n int) (struct{}, error) {
		if n%2 == 0 {
			_, err := s.AppendMessage(ctx, w.tenant, w.inbound(w.talk, "more"))
			return struct{}{}, err
		}
		_, _, err := s.MarkRead(ctx, w.tenant, w.talk.ID, omni.SenderUser, int64(n))
		return struct{}{}, err
	})
	for _, err := range errs {
		require.NoError(t, err)
	}
	i, err := s.Interaction(ctx, w.tenant, w.talk.ID)
	require.NoError(t, err)
	above, err := s.ListMessages(ctx, w.tenant, w.talk.ID, store.MessageWindow{After: i.AgentReadSeq, Limit: store.MaxPage})
	require.NoError(t, err)
	unread := 0
	for _, m := range above {
		if m.Direction == omni.Inbound {
			unread++
		}
	}
	require.Equal(t, unread, i.Unread)
}

func interactionListsMergeGroups(t *testing.T, s store.Store) {
	ctx := t.Context()
	w := newWorld(t, s)
	w.resolve(t, s, w.talk, base)
	groups := []string{omni.NewID(), omni.NewID(), omni.NewID(), omni.NewID()}
	agents := []string{w.tenant.UserID, omni.NewID()}
	contacts := []string{omni.NewID(), omni.NewID()}
	var all []omni.Interaction
	for n := range 60 {
		_, identity, _, err := s.ResolveIdentity(ctx, w.tenant, w.newIdentity(fmt.Sprintf("+1666%03d", n)))
		require.NoError(t, err)
		i := w.newInteraction(identity)
		i.GroupID = groups[n%3] // the fourth is empty
		i.ContactID = contacts[n%2]
		i.LastMessageAt = base + omni.Millis(rand.N(10)) // often the same instant
		i.Owner = omni.InteractionOwner{Type: omni.EntityGroup, ID: i.GroupID}
		if n%4 != 0 {
			i.Owner = omni.InteractionOwner{Type: omni.EntityUser, ID: agents[n/4%2]}
		}
		i.State = []omni.InteractionState{omni.InteractionOpen, omni.InteractionOpen, omni.InteractionSnoozed, omni.InteractionResolved}[n/2%4]
		_, _, err = s.OpenInteraction(ctx, w.tenant, i, base*2)
		require.NoError(t, err)
		all = append(all, i)
	}
	slices.SortFunc(all, func(a, b omni.Interaction) int {
		if a.LastMessageAt != b.LastMessageAt {
			return int(b.LastMessageAt - a.LastMessageAt)
		}
		return strings.Compare(b.ID, a.ID)
	})
	for _, groupIDs := range [][]string{nil, groups[:1], groups[:2], groups, {groups[3]}, {groups[1], groups[0], groups[1]}} {
		for _, owner := range append([]string{""}, agents...) {
			for _, unassigned := range []bool{false, true} {
				for _, contact := range append([]string{""}, contacts...) {
					for _, state := range []omni.InteractionState{"", omni.InteractionSnoozed, omni.InteractionResolved} {
						f := store.InteractionFilter{GroupIDs: groupIDs, OwnerID: owner, Unassigned: unassigned, ContactID: contact, State: state}
						want := slices.DeleteFunc(slices.Clone(all), func(i omni.Interaction) bool {
							return !slices.Contains(groupIDs, i.GroupID) || owner != "" && (i.Owner.Type != omni.EntityUser || i.Owner.ID != owner) ||
								unassigned && i.Owner.Type != omni.EntityGroup || contact != "" && i.ContactID != contact ||
								i.State != state && (state != "" || i.State != omni.InteractionOpen)
						})
						got := pages(t, 4, func(p store.Page) (store.List[omni.Interaction], error) {
							return s.ListInteractions(ctx, w.tenant, f, p)
						})
						require.Equal(t, idsOf(want, interactionID), idsOf(got, interactionID), "%+v", f)
					}
				}
			}
		}
	}
}

func interactionsAreCounted(t *testing.T, s store.Store) {
	ctx := t.Context()
	w := newWorld(t, s)
	count := func(groupIDs ...string) store.Counts {
		n, err := s.CountInteractions(ctx, w.tenant, groupIDs)
		require.NoError(t, err)
		return n
	}
	require.Equal(t, store.Counts{Unassigned: 1, All: 1}, count(w.group.ID))
	require.Zero(t, count())
	require.Zero(t, count(omni.NewID()))

	taken, err := s.ChangeInteraction(ctx, w.tenant, w.talk.ID, w.talk.Version, store.InteractionChange{
		Owner: &omni.InteractionOwner{Type: omni.EntityUser, ID: w.tenant.UserID},
	})
	require.NoError(t, err)
	require.Equal(t, store.Counts{Mine: 1, All: 1}, count(w.group.ID))
	nobody, err := s.CountInteractions(ctx, omni.Org(w.org.ID), []string{w.group.ID})
	require.NoError(t, err)
	require.Equal(t, store.Counts{All: 1}, nobody, "without a user nothing is mine")
	w.resolve(t, s, taken, base)
	require.Zero(t, count(w.group.ID))

	second := omni.NewID()
	_, errs := atOnce(120, func(n int) (struct{}, error) {
		_, identity, _, err := s.ResolveIdentity(ctx, w.tenant, w.newIdentity(fmt.Sprintf("+1444%03d", n)))
		if err != nil {
			return struct{}{}, err
		}
		i := w.newInteraction(identity)
		if n%2 == 0 {
			i.GroupID = second
		}
		_, _, err = s.OpenInteraction(ctx, w.tenant, i, 0)
		return struct{}{}, err
	})
	for _, err := range errs {
		require.NoError(t, err)
	}
	require.Equal(t, store.Counts{Unassigned: 60, All: 60}, count(second))
	require.Equal(t, store.Counts{Unassigned: 100, All: 100}, count(second, w.group.ID), "at most 100")
	require.Equal(t, store.Counts{Unassigned: 60, All: 60}, count(second, second))
}
