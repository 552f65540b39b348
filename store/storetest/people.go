package storetest

import (
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"omniservice/omni"
	"omniservice/store"
)

func alias(address string, kind omni.AliasKind) omni.IdentityAlias {
	return omni.IdentityAlias{Address: address, Kind: kind, At: base}
}

func everyConsentIsKept(t *testing.T, s store.Store) {
	ctx := t.Context()
	w := newWorld(t, s)
	say := func(tenant omni.Tenant, out bool, by string, at omni.Millis) omni.ConsentUpdate {
		u := omni.ConsentUpdate{
			Tenant: tenant, ChannelType: w.identity.ChannelType, Address: w.identity.Address, OptedOut: out, By: by, At: at,
		}
		for range 2 { // said twice, kept once
			_, _, err := s.SetConsent(ctx, u)
			require.NoError(t, err)
		}
		return u
	}
	system := omni.Org(w.org.ID)
	said := []omni.ConsentUpdate{
		say(system, true, "STOP", base+10),
		say(system, false, "START", base+30),
		say(system, true, "STOP", base+20), // came late
		say(w.tenant, true, "asked on the phone", base+40),
	}
	slices.SortFunc(said, func(a, b omni.ConsentUpdate) int { return int(b.At - a.At) })
	list := func(p store.Page) (store.List[omni.ConsentUpdate], error) {
		return s.Consents(ctx, w.tenant, w.identity.ID, p)
	}
	for size := 1; size <= 5; size++ {
		require.Equal(t, said, pages(t, size, list), "pages of %d", size)
	}
	// Words of one moment come once each.
	want := len(said)
	for n := range 7 {
		say(w.tenant, n%2 == 0, fmt.Sprint("word ", n), base+50)
		want++
	}
	for size := 1; size <= 4; size++ {
		got := pages(t, size, list)
		require.Len(t, got, want)
		require.Equal(t, said, got[7:])
		by := map[string]bool{}
		for _, u := range got {
			by[fmt.Sprint(u.By, u.At)] = true
		}
		require.Len(t, by, want)
	}
	_, other, _, err := s.ResolveIdentity(ctx, w.tenant, w.newIdentity("+15559999"))
	require.NoError(t, err)
	l, err := s.Consents(ctx, w.tenant, other.ID, store.Page{})
	require.NoError(t, err)
	require.Empty(t, l.Items, "those of another identity")
	_, err = s.Consents(ctx, w.tenant, omni.NewID(), store.Page{})
	require.ErrorIs(t, err, omni.ErrNotFound)
}

func aliasesStandForTheirIdentity(t *testing.T, s store.Store) {
	ctx := t.Context()
	w := newWorld(t, s)
	id := w.identity.ID
	same := func(address string) {
		t.Helper()
		want, err := s.Identity(ctx, w.tenant, id)
		require.NoError(t, err)
		got, err := s.IdentityByAddress(ctx, w.tenant, omni.ChannelMMS, address)
		require.NoError(t, err)
		require.Equal(t, want, got)
		c, i, created, err := s.ResolveIdentity(ctx, w.tenant, w.newIdentity(address))
		require.NoError(t, err)
		require.False(t, created)
		require.Equal(t, want, i)
		require.Equal(t, w.contact.ID, c.ID)
	}
	nobody := func(address string) {
		t.Helper()
		_, err := s.IdentityByAddress(ctx, w.tenant, omni.ChannelSMS, address)
		require.ErrorIs(t, err, omni.ErrNotFound)
	}

	i, err := s.AddAlias(ctx, w.tenant, id, alias("+5215512345678", omni.AliasVariant))
	require.NoError(t, err)
	require.Equal(t, []omni.IdentityAlias{alias("+5215512345678", omni.AliasVariant)}, i.Aliases)
	for _, again := range []string{"+5215512345678", w.identity.Address} {
		got, err := s.AddAlias(ctx, w.tenant, id, alias(again, omni.AliasFormer))
		require.NoError(t, err)
		require.Equal(t, i, got, "its own already")
	}
	same("+5215512345678")
	_, err = s.IdentityByAddress(ctx, w.tenant, omni.ChannelWhatsApp, "+5215512345678")
	require.ErrorIs(t, err, omni.ErrNotFound, "another channel family")

	// An address is one identity's.
	_, _, other := w.newTalk(t, s, "+15552222")
	_, err = s.AddAlias(ctx, w.tenant, id, alias("+15552222", omni.AliasVariant))
	require.ErrorIs(t, err, omni.ErrConflict)
	_, err = s.AddAlias(ctx, w.tenant, other.ID, alias("+5215512345678", omni.AliasVariant))
	require.ErrorIs(t, err, omni.ErrConflict)
	_, err = s.ChangeAddress(ctx, w.tenant, other.ID, "+5215512345678", base)
	require.ErrorIs(t, err, omni.ErrConflict)
	_, err = s.ChangeAddress(ctx, w.tenant, other.ID, w.identity.Address, base)
	require.ErrorIs(t, err, omni.ErrConflict)

	// What is said by an alias is said by its identity.
	i, changed, err := s.SetConsent(ctx, omni.ConsentUpdate{
		Tenant: w.tenant, ChannelType: omni.ChannelSMS, Address: "+5215512345678", OptedOut: true, By: "STOP", At: base + 1,
	})
	require.NoError(t, err)
	require.True(t, changed)
	require.Equal(t, id, i.ID)
	require.Equal(t, base+1, i.OptedOutAt)

	// A number changes: to a new one, and to one that was an alias.
	i, err = s.ChangeAddress(ctx, w.tenant, id, "+15553333", base+5)
	require.NoError(t, err)
	require.Equal(t, "+15553333", i.Address)
	former := omni.IdentityAlias{Address: w.identity.Address, Kind: omni.AliasFormer, At: base + 5}
	require.Equal(t, []omni.IdentityAlias{alias("+5215512345678", omni.AliasVariant), former}, i.Aliases)
	require.Equal(t, base+1, i.OptedOutAt)
	for _, a := range []string{"+15553333", w.identity.Address, "+5215512345678"} {
		same(a)
	}
	again, err := s.ChangeAddress(ctx, w.tenant, id, "+15553333", base+6)
	require.NoError(t, err)
	require.Equal(t, i, again)
	i, err = s.ChangeAddress(ctx, w.tenant, id, w.identity.Address, base+7)
	require.NoError(t, err)
	require.Equal(t, w.identity.Address, i.Address)
	require.ElementsMatch(t, []string{"+5215512345678", "+15553333"}, idsOf(i.Aliases, func(a omni.IdentityAlias) string { return a.Address }))
	same("+15553333")

	// One that is taken away is free.
	i, err = s.RemoveAlias(ctx, w.tenant, id, "+15553333")
	require.NoError(t, err)
	require.Len(t, i.Aliases, 1)
	again, err = s.RemoveAlias(ctx, w.tenant, id, "+15553333")
	require.NoError(t, err)
	require.Equal(t, i, again)
	nobody("+15553333")
	_, err = s.AddAlias(ctx, w.tenant, other.ID, alias("+15553333", omni.AliasLinked))
	require.NoError(t, err)

	for n := len(i.Aliases); n < omni.MaxAliases; n++ {
		_, err = s.AddAlias(ctx, w.tenant, id, alias(fmt.Sprintf("+1777%04d", n), omni.AliasLinked))
		require.NoError(t, err)
	}
	_, err = s.AddAlias(ctx, w.tenant, id, alias("+17779999", omni.AliasLinked))
	require.ErrorIs(t, err, omni.ErrInvalid)
	nobody("+17779999")
	_, err = s.ChangeAddress(ctx, w.tenant, id, "+17779999", base)
	require.ErrorIs(t, err, omni.ErrInvalid)
	nobody("+17779999")
	for _, call := range []func(id string) error{
		func(id string) error {
			_, err := s.AddAlias(ctx, w.tenant, id, alias("+1", omni.AliasLinked))
			return err
		},
		func(id string) error { _, err := s.RemoveAlias(ctx, w.tenant, id, "+1"); return err },
		func(id string) error { _, err := s.ChangeAddress(ctx, w.tenant, id, "+1", base); return err },
	} {
		require.ErrorIs(t, call(omni.NewID()), omni.ErrNotFound)
	}
}

// identitiesAreFoundByAliases: a person whose number and carrier's id come in any combination is one person.
func identitiesAreFoundByAliases(t *testing.T, s store.Store) {
	ctx := t.Context()
	w := newWorld(t, s)
	known := func(address string, aliases ...string) omni.ContactIdentity {
		i := w.newIdentity(address)
		i.ChannelType = omni.ChannelWhatsApp
		for _, a := range aliases {
			i.Aliases = append(i.Aliases, alias(a, omni.AliasUserID))
		}
		return i
	}
	resolve := func(want omni.ContactIdentity) (omni.ContactIdentity, bool) {
		t.Helper()
		_, i, created, err := s.ResolveIdentity(ctx, w.tenant, want)
		require.NoError(t, err)
		stored, err := s.Identity(ctx, w.tenant, i.ID)
		require.NoError(t, err)
		require.Equal(t, stored, i)
		return i, created
	}

	first, created := resolve(known("+5511912345678", "BR.1", "BR.1", "+5511912345678", "+551112345678"))
	require.True(t, created)
	require.Equal(t, []omni.IdentityAlias{alias("BR.1", omni.AliasUserID), alias("+551112345678", omni.AliasUserID)}, first.Aliases, "each once")
	for _, want := range []omni.ContactIdentity{
		known("+5511912345678"), known("BR.1"), known("+551112345678"), known("BR.1", "+5511912345678"),
	} {
		got, created := resolve(want)
		require.False(t, created)
		require.Equal(t, first, got)
	}
	// What comes with something known is known from then on.
	got, created := resolve(known("BR.ENT.1", "BR.1", "BR.1.old"))
	require.False(t, created)
	require.Equal(t, first.ID, got.ID)
	require.Equal(t, append(slices.Clone(first.Aliases),
		omni.IdentityAlias{Address: "BR.ENT.1", Kind: omni.AliasLinked, At: base}, alias("BR.1.old", omni.AliasUserID)), got.Aliases)
	again, _ := resolve(known("BR.1.old"))
	require.Equal(t, got, again)

	// Of two people the address itself says who it is, and nobody loses an address.
	second, created := resolve(known("+5511988887777"))
	require.True(t, created)
	mixed, created := resolve(known("+5511988887777", "BR.1", "BR.2"))
	require.False(t, created)
	require.Equal(t, second.ID, mixed.ID)
	require.Equal(t, []omni.IdentityAlias{alias("BR.2", omni.AliasUserID)}, mixed.Aliases)
	still, _ := resolve(known("BR.1"))
	require.Equal(t, first.ID, still.ID)

	// At the same instant, by different addresses of the same person.
	const people, callers = 20, 4
	type result struct {
		identity omni.ContactIdentity
		contact  omni.Contact
		created  bool
	}
	all, errs := atOnce(people*callers, func(n int) (r result, err error) {
		own, other := fmt.Sprintf("+52%04d", n%people), fmt.Sprintf("+521%04d", n%people)
		if n/people%2 == 1 {
			own, other = other, own
		}
		r.contact, r.identity, r.created, err = s.ResolveIdentity(ctx, w.tenant, known(own, other))
		return r, err
	})
	for n := range people {
		made := 0
		for c := range callers {
			require.NoError(t, errs[c*people+n])
			r := all[c*people+n]
			require.Equal(t, all[n].identity.ID, r.identity.ID)
			require.Equal(t, all[n].contact.ID, r.contact.ID)
			if r.created {
				made++
			}
		}
		require.Equal(t, 1, made)
	}

	// Of many who take one address at the same instant one gets it.
	_, errs = atOnce(16, func(n int) (omni.ContactIdentity, error) {
		i := all[n].identity
		if n%2 == 0 {
			return s.AddAlias(ctx, w.tenant, i.ID, alias("wanted", omni.AliasLinked))
		}
		return s.ChangeAddress(ctx, w.tenant, i.ID, "wanted", base)
	})
	won := oneWins(t, errs, omni.ErrConflict)
	holder, err := s.IdentityByAddress(ctx, w.tenant, omni.ChannelWhatsApp, "wanted")
	require.NoError(t, err)
	require.Equal(t, all[won].identity.ID, holder.ID)
}

func externalIDsAreFound(t *testing.T, s store.Store) {
	ctx := t.Context()
	w := newWorld(t, s)
	link := func(system, id string) omni.ExternalID {
		return omni.ExternalID{System: system, ID: id, SyncedAt: base}
	}
	find := func(system, id string) []string {
		t.Helper()
		all, err := s.ContactsByExternalID(ctx, w.tenant, system, id)
		require.NoError(t, err)
		return idsOf(all, func(c omni.Contact) string { return c.ID })
	}
	require.Empty(t, find("crm", "1"))

	c := w.contact
	c.ExternalIDs = []omni.ExternalID{link("crm", "1"), link("shop", "1")}
	c, err := s.UpdateContact(ctx, w.tenant, c)
	require.NoError(t, err)
	require.Equal(t, []string{c.ID}, find("crm", "1"))
	require.Equal(t, []string{c.ID}, find("shop", "1"))
	require.Empty(t, find("crm", "2"))
	require.Empty(t, find("CRM", "1"))

	later := w.newIdentity("+15557777")
	later.CreatedAt = base + 5
	_, other, _, err := s.ResolveIdentity(ctx, w.tenant, later)
	require.NoError(t, err)
	i, err := s.SetExternalIDs(ctx, w.tenant, other.ID, []omni.ExternalID{link("crm", "1"), link("crm", "2")})
	require.NoError(t, err)
	require.Equal(t, []omni.ExternalID{link("crm", "1"), link("crm", "2")}, i.ExternalIDs)
	stored, err := s.Identity(ctx, w.tenant, other.ID)
	require.NoError(t, err)
	require.Equal(t, i, stored)
	require.Equal(t, []string{c.ID, other.ContactID}, find("crm", "1"), "oldest first")
	require.Equal(t, []string{other.ContactID}, find("crm", "2"))
	_, err = s.SetExternalIDs(ctx, w.tenant, w.identity.ID, []omni.ExternalID{link("crm", "1")})
	require.NoError(t, err)
	require.Equal(t, []string{c.ID, other.ContactID}, find("crm", "1"), "each contact once")
	all, err := s.ContactsByExternalID(ctx, w.tenant, "crm", "1")
	require.NoError(t, err)
	require.Equal(t, c, all[0])

	// What is replaced is gone; what comes with a new identity is there.
	c.ExternalIDs = nil
	_, err = s.UpdateContact(ctx, w.tenant, c)
	require.NoError(t, err)
	require.Empty(t, find("shop", "1"))
	require.Equal(t, []string{c.ID, other.ContactID}, find("crm", "1"), "its identity still has it")
	i, err = s.SetExternalIDs(ctx, w.tenant, other.ID, nil)
	require.NoError(t, err)
	require.Empty(t, i.ExternalIDs)
	require.Equal(t, []string{c.ID}, find("crm", "1"))
	fresh := w.newIdentity("+15558888")
	fresh.ExternalIDs = []omni.ExternalID{link("crm", "3")}
	made, _, _, err := s.ResolveIdentity(ctx, w.tenant, fresh)
	require.NoError(t, err)
	require.Equal(t, []string{made.ID}, find("crm", "3"))
	_, err = s.SetExternalIDs(ctx, w.tenant, omni.NewID(), nil)
	require.ErrorIs(t, err, omni.ErrNotFound)
}

// reaction is one of a contact to a message.
func (w *world) reaction(messageID, emoji string, at omni.Millis) omni.Reaction {
	return omni.Reaction{
		Tenant: omni.Org(w.org.ID), MessageID: messageID, SenderType: omni.SenderContact, SenderID: w.identity.ID, Emoji: emoji, At: at,
		SchemaVersion: omni.CurrentSchema,
	}
}

func reactionsAreReplaced(t *testing.T, s store.Store) {
	ctx := t.Context()
	w := newWorld(t, s)
	m := w.append(t, s, w.outbound(w.talk, "how are you?")).Message
	other := w.append(t, s, w.outbound(w.talk, "and you?")).Message
	set := func(r omni.Reaction) bool {
		t.Helper()
		changed, err := s.SetReaction(ctx, w.tenant, r)
		require.NoError(t, err)
		return changed
	}
	list := func(ids ...string) []omni.Reaction {
		t.Helper()
		all, err := s.Reactions(ctx, w.tenant, ids...)
		require.NoError(t, err)
		return all
	}
	require.Empty(t, list(m.ID))
	require.Empty(t, list())

	first := filled(func(r *omni.Reaction) { r.Tenant, r.MessageID, r.At = omni.Org(w.org.ID), m.ID, base+10 })
	require.True(t, set(first))
	require.False(t, set(first), "the same again")
	require.Equal(t, []omni.Reaction{first}, list(m.ID))

	thumb := w.reaction(m.ID, "👍", base+20)
	require.True(t, set(thumb))
	heart := w.reaction(m.ID, "❤️", base+30)
	require.True(t, set(heart))
	require.Equal(t, []omni.Reaction{first, heart}, list(m.ID), "one for each sender")
	require.False(t, set(thumb), "it came late")
	require.Equal(t, []omni.Reaction{first, heart}, list(m.ID))

	elsewhere := w.reaction(other.ID, "👍", base+15)
	require.True(t, set(elsewhere))
	require.Equal(t, []omni.Reaction{first, elsewhere, heart}, list(m.ID, other.ID, omni.NewID()), "oldest first")

	require.True(t, set(w.reaction(m.ID, "", base+40)), "taken away")
	require.Equal(t, []omni.Reaction{first}, list(m.ID))
	require.False(t, set(w.reaction(m.ID, "", base+41)), "again")
	require.False(t, set(w.reaction(m.ID, "👎", base+35)), "older than its end")
	require.Equal(t, []omni.Reaction{first}, list(m.ID))
	back := w.reaction(m.ID, "👎", base+50)
	require.True(t, set(back))
	require.Equal(t, []omni.Reaction{first, back}, list(m.ID))

	// In any order the last one stays.
	_, errs := atOnce(32, func(n int) (bool, error) {
		return s.SetReaction(ctx, w.tenant, w.reaction(other.ID, fmt.Sprint(n), base+100+omni.Millis(n)))
	})
	for _, err := range errs {
		require.NoError(t, err)
	}
	require.Equal(t, []omni.Reaction{w.reaction(other.ID, "31", base+131)}, list(other.ID))

	_, err := s.SetReaction(ctx, w.tenant, w.reaction(omni.NewID(), "👍", base))
	require.ErrorIs(t, err, omni.ErrNotFound)
	_, err = s.Reactions(ctx, w.tenant, make([]string, store.MaxPage+1)...)
	require.ErrorIs(t, err, omni.ErrInvalid)
}
