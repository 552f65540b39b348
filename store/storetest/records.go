package storetest

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"omniservice/omni"
	"omniservice/store"
)

// fill sets every field of v to something that is not zero, so that a field which a store forgets is missed.
func fill(v any) {
	n := 0
	fillValue(reflect.ValueOf(v).Elem(), &n)
}

func fillValue(v reflect.Value, n *int) {
	*n++
	switch v.Kind() {
	case reflect.String:
		s := fmt.Sprintf("v%d", *n)
		if v.Type() == reflect.TypeFor[omni.RawJSON]() {
			s = strconv.Quote(s)
		}
		v.SetString(s)
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int64:
		v.SetInt(int64(*n))
	case reflect.Uint8:
		v.SetUint(uint64(*n % 256))
	case reflect.Float64:
		v.SetFloat(float64(*n) + 1./3)
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fillValue(v.Elem(), n)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		for i := range 2 {
			fillValue(v.Index(i), n)
		}
	case reflect.Map:
		k, e := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
		fillValue(k, n)
		fillValue(e, n)
		v.Set(reflect.MakeMap(v.Type()))
		v.SetMapIndex(k, e)
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[time.Time]() {
			v.Set(reflect.ValueOf(time.Date(2026, 3, 4, 5, 6, 7, 8e6, time.UTC)))
			return
		}
		for _, f := range v.Fields() {
			fillValue(f, n)
		}
	default:
		panic("no value for " + v.Type().String())
	}
}

// filled is a value with every field set, then changed by set.
func filled[T any](set func(v *T)) T {
	var v T
	fill(&v)
	set(&v)
	return v
}

func everyFieldComesBack(t *testing.T, s store.Store) {
	ctx := t.Context()
	w := newWorld(t, s)
	tenant := w.tenant

	org := filled(func(*omni.Organisation) {})
	require.NoError(t, s.CreateOrganisation(ctx, org))
	gotOrg, err := s.Organisation(ctx, omni.Org(org.ID))
	require.NoError(t, err)
	require.Equal(t, org, gotOrg)

	user := filled(func(u *omni.User) { u.OrganisationID = w.org.ID })
	require.NoError(t, s.CreateUser(ctx, tenant, user))
	gotUser, err := s.User(ctx, tenant, user.ID)
	require.NoError(t, err)
	require.Equal(t, user, gotUser)
	gotUser, err = s.UserByEmail(ctx, user.Email)
	require.NoError(t, err)
	require.Equal(t, user, gotUser)

	session := filled(func(n *omni.Session) { n.OrganisationID = w.org.ID })
	require.NoError(t, s.CreateSession(ctx, tenant, session))
	gotSession, err := s.SessionByID(ctx, session.ID)
	require.NoError(t, err)
	require.Equal(t, session, gotSession)

	token := filled(func(o *omni.OneTimeToken) { o.OrganisationID = w.org.ID; o.ExpiresAt = base + 10 })
	require.NoError(t, s.PutOneTimeToken(ctx, tenant, token))
	gotToken, err := s.TakeOneTimeToken(ctx, token.Hash, base)
	require.NoError(t, err)
	require.Equal(t, token, gotToken)

	key := filled(func(k *omni.APIKey) { k.OrganisationID = w.org.ID })
	require.NoError(t, s.CreateAPIKey(ctx, tenant, key))
	gotKey, err := s.APIKeyByHash(ctx, key.Hash)
	require.NoError(t, err)
	require.Equal(t, key, gotKey)
	keys, err := s.APIKeys(ctx, tenant, store.Page{})
	require.NoError(t, err)
	require.Equal(t, []omni.APIKey{key}, keys.Items)

	group := filled(func(g *omni.DigitalChannelGroup) { g.Tenant.OrganisationID = w.org.ID })
	require.NoError(t, s.CreateGroup(ctx, tenant, group))
	gotGroup, err := s.Group(ctx, tenant, group.ID)
	require.NoError(t, err)
	require.Equal(t, group, gotGroup)

	folder := filled(func(f *omni.Folder) { f.Tenant.OrganisationID = w.org.ID })
	require.NoError(t, s.CreateFolder(ctx, tenant, folder))
	gotFolder, err := s.Folder(ctx, tenant, folder.ID)
	require.NoError(t, err)
	require.Equal(t, folder, gotFolder)

	account := filled(func(a *omni.CarrierAccount) { a.Tenant.OrganisationID = w.org.ID })
	require.NoError(t, s.CreateCarrierAccount(ctx, tenant, account))
	gotAccount, err := s.CarrierAccount(ctx, tenant, account.ID)
	require.NoError(t, err)
	require.Equal(t, account, gotAccount)
	gotAccount, err = s.CarrierAccountByPublicID(ctx, account.PublicID)
	require.NoError(t, err)
	require.Equal(t, account, gotAccount)

	channel := filled(func(c *omni.DigitalChannel) { c.Tenant.OrganisationID = w.org.ID; c.ChannelType = omni.ChannelLiveChat })
	require.NoError(t, s.CreateChannel(ctx, tenant, channel))
	gotChannel, err := s.Channel(ctx, tenant, channel.ID)
	require.NoError(t, err)
	require.Equal(t, channel, gotChannel)
	gotChannel, err = s.LiveChatChannel(ctx, channel.LiveChat.PublicID)
	require.NoError(t, err)
	require.Equal(t, channel, gotChannel)

	want := filled(func(i *omni.ContactIdentity) {
		i.Tenant.OrganisationID = w.org.ID
		i.ChannelType = omni.ChannelWhatsApp
	})
	contact, identity, created, err := s.ResolveIdentity(ctx, tenant, want)
	require.NoError(t, err)
	require.True(t, created)
	require.Equal(t, want, identity)
	gotIdentity, err := s.Identity(ctx, tenant, want.ID)
	require.NoError(t, err)
	require.Equal(t, want, gotIdentity)

	full := filled(func(c *omni.Contact) {
		c.ID, c.Tenant, c.Version, c.CreatedAt = contact.ID, want.Tenant, contact.Version, contact.CreatedAt
	})
	updated, err := s.UpdateContact(ctx, tenant, full)
	require.NoError(t, err)
	full.Version++
	require.Equal(t, full, updated)
	gotContact, err := s.Contact(ctx, tenant, contact.ID)
	require.NoError(t, err)
	require.Equal(t, full, gotContact)

	talk := filled(func(i *omni.Interaction) { i.Tenant.OrganisationID = w.org.ID; i.State = omni.InteractionOpen })
	opened, how, err := s.OpenInteraction(ctx, tenant, talk, 0)
	require.NoError(t, err)
	require.Equal(t, store.OpenCreated, how)
	require.Equal(t, talk, opened)
	gotTalk, err := s.Interaction(ctx, tenant, talk.ID)
	require.NoError(t, err)
	require.Equal(t, talk, gotTalk)

	message := filled(func(m *omni.ServiceMessage) {
		m.Tenant.OrganisationID, m.InteractionID, m.Direction = w.org.ID, w.talk.ID, omni.Outbound
		m.Channel.ChannelType, m.Status = omni.ChannelSMS, omni.StatusQueued
	})
	appended := w.append(t, s, message)
	message.Sequence = 1
	require.Equal(t, message, appended.Message)
	gotMessage, err := s.Message(ctx, tenant, message.ID)
	require.NoError(t, err)
	require.Equal(t, message, gotMessage)
	items, err := s.PendingOutbox(ctx, allPartitions(), base, 10)
	require.NoError(t, err)
	require.Equal(t, []store.OutboxItem{{Message: message, Partition: store.OutboxPartition(message)}}, items)

	record := filled(func(r *store.InboxRecord) { r.Tenant.OrganisationID = w.org.ID; r.Partition = 7 })
	require.NoError(t, s.PutInbox(ctx, record))
	records, err := s.PendingInbox(ctx, []int{7}, base, 10)
	require.NoError(t, err)
	require.Equal(t, []store.InboxRecord{record}, records)

	aside := filled(func(a *store.SetAside) { a.Record = record })
	require.NoError(t, s.PutAside(ctx, aside))
	asides, err := s.ListAside(ctx, tenant, store.Page{})
	require.NoError(t, err)
	require.Equal(t, []store.SetAside{aside}, asides.Items)

	fragment := filled(func(f *omni.MessageFragment) { f.Index, f.Total = 1, 2 })
	parts, _, err := s.PutFragment(ctx, tenant, "k", fragment, base)
	require.NoError(t, err)
	require.Equal(t, []omni.MessageFragment{fragment}, parts)

	idem := filled(func(r *store.IdempotencyRecord) { r.ExpiresAt = base })
	_, free, err := s.ReserveKey(ctx, tenant, idem, 1)
	require.NoError(t, err)
	require.True(t, free)
	gotIdem, free, err := s.ReserveKey(ctx, tenant, idem, 1)
	require.NoError(t, err)
	require.False(t, free)
	require.Equal(t, idem, gotIdem)

	audit := filled(func(r *omni.AuditRecord) { r.OrganisationID = w.org.ID })
	require.NoError(t, s.AppendAudit(ctx, tenant, audit))
	audits, err := s.AuditRecords(ctx, tenant, store.Page{})
	require.NoError(t, err)
	require.Equal(t, []omni.AuditRecord{audit}, audits.Items)
}

func valuesAreCopies(t *testing.T, s store.Store) {
	ctx := t.Context()
	w := newWorld(t, s)
	w.group.MemberIDs[0] = "changed after it was given"
	g, err := s.Group(ctx, w.tenant, w.group.ID)
	require.NoError(t, err)
	require.Equal(t, []string{w.tenant.UserID}, g.MemberIDs)
	g.MemberIDs[0] = "changed after it was got"
	g, err = s.Group(ctx, w.tenant, w.group.ID)
	require.NoError(t, err)
	require.Equal(t, []string{w.tenant.UserID}, g.MemberIDs)

	m := w.outbound(w.talk, "text")
	a := w.append(t, s, m)
	m.Payload.Text.Body = "changed"
	m.Publish.Sender = "changed"
	require.Equal(t, "text", a.Message.Payload.Text.Body)
	require.Equal(t, w.channel.Address, a.Message.Publish.Sender)
	got, err := s.Message(ctx, w.tenant, m.ID)
	require.NoError(t, err)
	require.Equal(t, a.Message, got)
}

func creatingTheSameAgain(t *testing.T, s store.Store) {
	ctx := t.Context()
	w := newWorld(t, s)
	require.NoError(t, s.CreateOrganisation(ctx, w.org))
	require.NoError(t, s.CreateUser(ctx, w.tenant, w.user))
	require.NoError(t, s.CreateGroup(ctx, w.tenant, w.group))
	require.NoError(t, s.CreateFolder(ctx, w.tenant, w.folder))
	require.NoError(t, s.CreateCarrierAccount(ctx, w.tenant, w.account))
	require.NoError(t, s.CreateChannel(ctx, w.tenant, w.channel))
	n := omni.Session{ID: omni.NewID(), OrganisationID: w.org.ID, UserID: w.user.ID, RefreshHash: "a", CreatedAt: base, ExpiresAt: base + 1}
	k := omni.APIKey{ID: omni.NewID(), OrganisationID: w.org.ID, Name: "k", Role: omni.RoleService, Hash: omni.NewToken(32), CreatedAt: base}
	r := omni.AuditRecord{ID: omni.NewID(), OrganisationID: w.org.ID, ActorID: "system", Action: "a", At: base}
	for range 2 {
		require.NoError(t, s.CreateSession(ctx, w.tenant, n))
		require.NoError(t, s.CreateAPIKey(ctx, w.tenant, k))
		require.NoError(t, s.AppendAudit(ctx, w.tenant, r))
	}
	// Another record under the same id is a conflict, and changes nothing.
	other := w.group
	other.Name = "Other"
	require.ErrorIs(t, s.CreateGroup(ctx, w.tenant, other), omni.ErrConflict)
	r.Action = "b"
	require.ErrorIs(t, s.AppendAudit(ctx, w.tenant, r), omni.ErrConflict)
	g, err := s.Group(ctx, w.tenant, w.group.ID)
	require.NoError(t, err)
	require.Equal(t, w.group, g)
	all, err := s.AuditRecords(ctx, w.tenant, store.Page{})
	require.NoError(t, err)
	require.Len(t, all.Items, 1)
	require.Equal(t, "a", all.Items[0].Action)
}

func uniqueOverAll(t *testing.T, s store.Store) {
	ctx := t.Context()
	a, b := newWorld(t, s), newWorld(t, s)

	user := newUser(b.org.ID, "Same address")
	user.Email = a.user.Email
	require.ErrorIs(t, s.CreateUser(ctx, b.tenant, user), omni.ErrConflict)
	moved := b.user
	moved.Email = a.user.Email
	_, err := s.UpdateUser(ctx, b.tenant, moved)
	require.ErrorIs(t, err, omni.ErrConflict)

	account := b.account
	account.ID, account.PublicID = omni.NewID(), a.account.PublicID
	require.ErrorIs(t, s.CreateCarrierAccount(ctx, b.tenant, account), omni.ErrConflict)

	chat := b.newChannel("w")
	chat.ChannelType, chat.Carrier, chat.CarrierAccountID = omni.ChannelLiveChat, "", ""
	chat.LiveChat = &omni.LiveChatSettings{PublicID: omni.NewToken(16), AllowedOrigins: []string{"https://example.com"}}
	chat.Address = chat.LiveChat.PublicID
	require.NoError(t, s.CreateChannel(ctx, b.tenant, chat))
	other := chat
	other.ID, other.Tenant, other.Address = omni.NewID(), omni.Org(a.org.ID), "elsewhere"
	require.ErrorIs(t, s.CreateChannel(ctx, a.tenant, other), omni.ErrConflict)

	// An address is one channel's per account and family.
	channel := a.newChannel(a.channel.Address)
	require.ErrorIs(t, s.CreateChannel(ctx, a.tenant, channel), omni.ErrConflict)
	channel.ChannelType = omni.ChannelWhatsApp
	require.NoError(t, s.CreateChannel(ctx, a.tenant, channel))
	channel.ChannelType = omni.ChannelSMS
	_, err = s.UpdateChannel(ctx, a.tenant, channel)
	require.ErrorIs(t, err, omni.ErrConflict)

	key := omni.APIKey{ID: omni.NewID(), OrganisationID: a.org.ID, Name: "k", Role: omni.RoleService, Hash: omni.NewToken(32)}
	require.NoError(t, s.CreateAPIKey(ctx, a.tenant, key))
	key.ID, key.OrganisationID = omni.NewID(), b.org.ID
	require.ErrorIs(t, s.CreateAPIKey(ctx, b.tenant, key), omni.ErrConflict)

	// Of many users with one address at the same instant one is made, and the others' writes are not hurt.
	email := omni.NewID() + "@example.com"
	_, errs := atOnce(64, func(i int) (struct{}, error) {
		u := newUser(a.org.ID, "Racer")
		if i%2 == 0 {
			u.Email = email
		}
		return struct{}{}, s.CreateUser(ctx, a.tenant, u)
	})
	var same []error
	for i, err := range errs {
		if i%2 == 0 {
			same = append(same, err)
			continue
		}
		require.NoError(t, err)
	}
	oneWins(t, same, omni.ErrConflict)
}

// versioned are the records that are updated by version: each calls update with the stored record at a version.
func versioned(ctx context.Context, s store.Store, w *world) map[string]func(version int64) (int64, error) {
	return map[string]func(int64) (int64, error){
		"organisation": func(v int64) (int64, error) {
			r := w.org
			r.Version = v
			r, err := s.UpdateOrganisation(ctx, w.tenant, r)
			return r.Version, err
		},
		"user": func(v int64) (int64, error) {
			r := w.user
			r.Version = v
			r, err := s.UpdateUser(ctx, w.tenant, r)
			return r.Version, err
		},
		"group": func(v int64) (int64, error) {
			r := w.group
			r.Version = v
			r, err := s.UpdateGroup(ctx, w.tenant, r)
			return r.Version, err
		},
		"folder": func(v int64) (int64, error) {
			r := w.folder
			r.Version = v
			r, err := s.UpdateFolder(ctx, w.tenant, r)
			return r.Version, err
		},
		"account": func(v int64) (int64, error) {
			r := w.account
			r.Version = v
			r, err := s.UpdateCarrierAccount(ctx, w.tenant, r)
			return r.Version, err
		},
		"channel": func(v int64) (int64, error) {
			r := w.channel
			r.Version = v
			r, err := s.UpdateChannel(ctx, w.tenant, r)
			return r.Version, err
		},
		"contact": func(v int64) (int64, error) {
			r := w.contact
			r.Version = v
			r, err := s.UpdateContact(ctx, w.tenant, r)
			return r.Version, err
		},
	}
}

func updatesAreConditional(t *testing.T, s store.Store) {
	ctx := t.Context()
	w := newWorld(t, s)
	for what, update := range versioned(ctx, s, w) {
		v, err := update(1)
		require.NoError(t, err, what)
		require.Equal(t, int64(2), v, what)
		for _, wrong := range []int64{0, 1, 3} {
			_, err = update(wrong)
			require.ErrorIs(t, err, omni.ErrConflict, what)
		}
		v, err = update(2)
		require.NoError(t, err, what)
		require.Equal(t, int64(3), v, what)
	}
	u := w.user
	u.Version, u.Name, u.Email, u.PasswordHash = 3, "Renamed", omni.NewID()+"@example.com", "other"
	_, err := s.UpdateUser(ctx, w.tenant, u)
	require.NoError(t, err)
	u.Version = 4
	got, err := s.UserByEmail(ctx, u.Email)
	require.NoError(t, err)
	require.Equal(t, u, got)
	_, err = s.UserByEmail(ctx, w.user.Email)
	require.ErrorIs(t, err, omni.ErrNotFound)
	missing := w.group
	missing.ID = omni.NewID()
	_, err = s.UpdateGroup(ctx, w.tenant, missing)
	require.ErrorIs(t, err, omni.ErrNotFound)
}

func oneOfManyUpdatesWins(t *testing.T, s store.Store) {
	w := newWorld(t, s)
	for what, update := range versioned(t.Context(), s, w) {
		versions, errs := atOnce(16, func(int) (int64, error) { return update(1) })
		require.Equal(t, int64(2), versions[oneWins(t, errs, omni.ErrConflict)], what)
	}
}

func listsAreOrderedAndPaged(t *testing.T, s store.Store) {
	ctx := t.Context()
	w := newWorld(t, s)
	names := []string{"b", "a", "c", "b", "Z", "b", "ä", "a"}
	for n, name := range names {
		at := base + omni.Millis(n/2) // pairs of the same instant
		u := newUser(w.org.ID, name)
		require.NoError(t, s.CreateUser(ctx, w.tenant, u))
		require.NoError(t, s.CreateGroup(ctx, w.tenant, w.newGroup(name)))
		f := w.folder
		f.ID, f.Name = omni.NewID(), name
		require.NoError(t, s.CreateFolder(ctx, w.tenant, f))
		a := w.account
		a.ID, a.PublicID, a.Name = omni.NewID(), omni.NewToken(16), name
		require.NoError(t, s.CreateCarrierAccount(ctx, w.tenant, a))
		c := w.newChannel(fmt.Sprintf("+1%d", n))
		c.Name = name
		require.NoError(t, s.CreateChannel(ctx, w.tenant, c))
		k := omni.APIKey{ID: omni.NewID(), OrganisationID: w.org.ID, Name: name, Role: omni.RoleService, Hash: omni.NewToken(32), CreatedAt: at}
		require.NoError(t, s.CreateAPIKey(ctx, w.tenant, k))
		i := w.newIdentity(fmt.Sprintf("+2%d", n))
		i.CreatedAt = at
		_, _, _, err := s.ResolveIdentity(ctx, w.tenant, i)
		require.NoError(t, err)
		require.NoError(t, s.AppendAudit(ctx, w.tenant, omni.AuditRecord{ID: omni.NewID(), OrganisationID: w.org.ID, Action: name, At: at}))
		r := w.inboxRecord(1)
		require.NoError(t, s.PutAside(ctx, store.SetAside{Record: r, Reason: store.SetAsidePoison, At: at, ExpiresAt: at + 1000}))
		require.NoError(t, s.CreateOrganisation(ctx, omni.Organisation{ID: omni.NewID(), Name: name, CreatedAt: at, SchemaVersion: omni.CurrentSchema}))
	}
	const n = 8
	byName := func(a, b [2]string) int { return cmp.Or(cmp.Compare(a[0], b[0]), cmp.Compare(a[1], b[1])) }
	newest := func(a, b [2]string) int { return byName(b, a) }
	checkOrder(t, n+1, byName, func(p store.Page) (store.List[omni.User], error) { return s.Users(ctx, w.tenant, p) },
		func(v omni.User) [2]string { return [2]string{v.Name, v.ID} })
	checkOrder(t, n+1, byName, func(p store.Page) (store.List[omni.DigitalChannelGroup], error) { return s.Groups(ctx, w.tenant, p) },
		func(v omni.DigitalChannelGroup) [2]string { return [2]string{v.Name, v.ID} })
	checkOrder(t, n+1, byName, func(p store.Page) (store.List[omni.Folder], error) { return s.Folders(ctx, w.tenant, p) },
		func(v omni.Folder) [2]string { return [2]string{v.Name, v.ID} })
	checkOrder(t, n+1, byName, func(p store.Page) (store.List[omni.CarrierAccount], error) {
		return s.CarrierAccounts(ctx, w.tenant, p)
	},
		func(v omni.CarrierAccount) [2]string { return [2]string{v.Name, v.ID} })
	checkOrder(t, n+1, byName, func(p store.Page) (store.List[omni.DigitalChannel], error) { return s.Channels(ctx, w.tenant, p) },
		func(v omni.DigitalChannel) [2]string { return [2]string{v.Name, v.ID} })
	checkOrder(t, n, newest, func(p store.Page) (store.List[omni.APIKey], error) { return s.APIKeys(ctx, w.tenant, p) },
		func(v omni.APIKey) [2]string { return [2]string{fmt.Sprint(v.CreatedAt), v.ID} })
	checkOrder(t, n+1, newest, func(p store.Page) (store.List[omni.Contact], error) { return s.Contacts(ctx, w.tenant, p) },
		func(v omni.Contact) [2]string { return [2]string{fmt.Sprint(v.CreatedAt), v.ID} })
	checkOrder(t, n, newest, func(p store.Page) (store.List[omni.AuditRecord], error) { return s.AuditRecords(ctx, w.tenant, p) },
		func(v omni.AuditRecord) [2]string { return [2]string{fmt.Sprint(v.At), v.ID} })
	checkOrder(t, n, newest, func(p store.Page) (store.List[store.SetAside], error) { return s.ListAside(ctx, w.tenant, p) },
		func(v store.SetAside) [2]string { return [2]string{fmt.Sprint(v.At), v.Record.ID} })
	checkOrder(t, n+1, byName, func(p store.Page) (store.List[omni.Organisation], error) { return s.AllOrganisations(ctx, p) },
		func(v omni.Organisation) [2]string { return [2]string{fmt.Sprint(v.CreatedAt), v.ID} })

	// Sizes of pages.
	for range 205 {
		require.NoError(t, s.AppendAudit(ctx, w.tenant, omni.AuditRecord{ID: omni.NewID(), OrganisationID: w.org.ID, At: base}))
	}
	for limit, want := range map[int]int{0: 50, 1: 1, 200: 200, 1000: store.MaxPage} {
		l, err := s.AuditRecords(ctx, w.tenant, store.Page{Limit: limit})
		require.NoError(t, err)
		require.Len(t, l.Items, want)
		require.NotEmpty(t, l.Next)
	}
	_, err := s.AuditRecords(ctx, w.tenant, store.Page{Limit: -1})
	require.ErrorIs(t, err, omni.ErrInvalid)
}

// checkOrder reads a list in pages of every size and requires the same n items in order.
func checkOrder[T any](t *testing.T, n int, order func(a, b [2]string) int, list func(store.Page) (store.List[T], error), keyOf func(T) [2]string) {
	t.Helper()
	for size := 1; size <= n+1; size++ {
		var keys [][2]string
		for _, v := range pages(t, size, list) {
			keys = append(keys, keyOf(v))
		}
		require.Len(t, keys, n, "pages of %d", size)
		require.True(t, slices.IsSortedFunc(keys, order), "%v", keys)
		require.Len(t, slices.CompactFunc(keys, func(a, b [2]string) bool { return a == b }), n, "an item came twice")
	}
}

func cursorsBelongToTheirList(t *testing.T, s store.Store) {
	ctx := t.Context()
	a, b := newWorld(t, s), newWorld(t, s)
	for _, w := range []*world{a, b} {
		require.NoError(t, s.CreateGroup(ctx, w.tenant, w.newGroup("Second")))
		require.NoError(t, s.CreateUser(ctx, w.tenant, newUser(w.org.ID, "Second")))
		w.newTalk(t, s, "+15552222")
	}
	groups, err := s.Groups(ctx, a.tenant, store.Page{Limit: 1})
	require.NoError(t, err)
	require.NotEmpty(t, groups.Next)
	f := store.InteractionFilter{GroupIDs: []string{a.group.ID}}
	talks, err := s.ListInteractions(ctx, a.tenant, f, store.Page{Limit: 1})
	require.NoError(t, err)
	require.NotEmpty(t, talks.Next)
	_, err = s.ListInteractions(ctx, a.tenant, f, store.Page{Cursor: talks.Next})
	require.NoError(t, err)

	calls := map[string]func(cursor string) error{
		"users": func(c string) error { _, err := s.Users(ctx, a.tenant, store.Page{Cursor: c}); return err },
		"groups of another organisation": func(c string) error {
			_, err := s.Groups(ctx, b.tenant, store.Page{Cursor: c})
			return err
		},
		"organisations": func(c string) error { _, err := s.AllOrganisations(ctx, store.Page{Cursor: c}); return err },
		"interactions of another state": func(c string) error {
			_, err := s.ListInteractions(ctx, a.tenant, store.InteractionFilter{GroupIDs: f.GroupIDs, State: omni.InteractionResolved}, store.Page{Cursor: c})
			return err
		},
		"interactions of other groups": func(c string) error {
			_, err := s.ListInteractions(ctx, a.tenant, store.InteractionFilter{GroupIDs: []string{a.group.ID, omni.NewID()}}, store.Page{Cursor: c})
			return err
		},
		"set aside": func(c string) error { _, err := s.ListAside(ctx, a.tenant, store.Page{Cursor: c}); return err },
	}
	bad := []string{groups.Next, talks.Next, "x", "=", "AAAA", groups.Next + "A", groups.Next[1:], "\x00", "' OR 1=1 --"}
	for what, call := range calls {
		for _, c := range bad {
			require.ErrorIs(t, call(c), omni.ErrInvalid, "%s with %q", what, c)
		}
	}
}

func pagingUnderWrites(t *testing.T, s store.Store) {
	ctx := t.Context()
	w := newWorld(t, s)
	var talks []omni.Interaction
	for n := range 40 {
		i, _, _ := w.newTalk(t, s, fmt.Sprintf("+1777%03d", n))
		m := w.inbound(i, "first")
		m.CreatedAt = base + omni.Millis(n)
		w.append(t, s, m)
		talks = append(talks, i)
	}
	quiet := idsOf(talks[:20], interactionID) // nothing happens to these
	var stop atomic.Bool
	ended := make(chan error, 1)
	go func() {
		at := base + 1000
		for !stop.Load() {
			m := w.inbound(talks[20+rand.N(20)], "more")
			m.CreatedAt = at
			at++
			if _, err := s.AppendMessage(ctx, w.tenant, m); err != nil {
				ended <- err
				return
			}
		}
		ended <- nil
	}()
	for range 5 {
		// The busy ones move to the top: they may come again or not at all, the quiet ones come once, in order.
		var seen []string
		for _, i := range pages(t, 7, func(p store.Page) (store.List[omni.Interaction], error) {
			return s.ListInteractions(ctx, w.tenant, store.InteractionFilter{GroupIDs: []string{w.group.ID}}, p)
		}) {
			if slices.Contains(quiet, i.ID) {
				seen = append(seen, i.ID)
			}
		}
		slices.Reverse(seen)
		require.Equal(t, quiet, seen)
	}
	stop.Store(true)
	require.NoError(t, <-ended)
}

func refreshTokensRotate(t *testing.T, s store.Store) {
	ctx := t.Context()
	w := newWorld(t, s)
	n := omni.Session{ID: omni.NewID(), OrganisationID: w.org.ID, UserID: w.user.ID, RefreshHash: "h0", CreatedAt: base, ExpiresAt: base + 100}
	require.NoError(t, s.CreateSession(ctx, w.tenant, n))

	got, errs := atOnce(32, func(i int) (omni.Session, error) {
		return s.RotateSession(ctx, w.tenant, n.ID, "h0", fmt.Sprintf("next%d", i), base+200)
	})
	won := oneWins(t, errs, omni.ErrConflict)
	require.Equal(t, fmt.Sprintf("next%d", won), got[won].RefreshHash)
	stored, err := s.SessionByID(ctx, n.ID)
	require.NoError(t, err)
	require.Equal(t, got[won], stored)
	require.Equal(t, base+200, stored.ExpiresAt)
	require.Equal(t, []string{"h0"}, stored.PreviousHashes)

	old := stored.RefreshHash
	for i := range 60 {
		next := fmt.Sprintf("r%d", i)
		stored, err = s.RotateSession(ctx, w.tenant, n.ID, old, next, base+300)
		require.NoError(t, err)
		old = next
	}
	require.Len(t, stored.PreviousHashes, 50)
	require.Equal(t, "r58", stored.PreviousHashes[49], "newest last")
	_, err = s.RotateSession(ctx, w.tenant, n.ID, "r0", "x", base+400)
	require.ErrorIs(t, err, omni.ErrConflict)
	unchanged, err := s.SessionByID(ctx, n.ID)
	require.NoError(t, err)
	require.Equal(t, stored, unchanged)

	require.NoError(t, s.EndSession(ctx, w.tenant, n.ID, base+50))
	_, err = s.RotateSession(ctx, w.tenant, n.ID, old, "x", base+400)
	require.ErrorIs(t, err, omni.ErrNotFound)
}

func sessionsEnd(t *testing.T, s store.Store) {
	ctx := t.Context()
	w := newWorld(t, s)
	var mine []string
	for i := range 3 {
		n := omni.Session{ID: omni.NewID(), OrganisationID: w.org.ID, UserID: w.user.ID, RefreshHash: fmt.Sprint(i), CreatedAt: base, ExpiresAt: base + 100}
		require.NoError(t, s.CreateSession(ctx, w.tenant, n))
		mine = append(mine, n.ID)
	}
	others := omni.Session{ID: omni.NewID(), OrganisationID: w.org.ID, UserID: omni.NewID(), RefreshHash: "o", CreatedAt: base, ExpiresAt: base + 100}
	require.NoError(t, s.CreateSession(ctx, w.tenant, others))

	require.NoError(t, s.EndSession(ctx, w.tenant, mine[0], base+5))
	require.NoError(t, s.EndSession(ctx, w.tenant, mine[0], base+6), "again")
	first, err := s.SessionByID(ctx, mine[0])
	require.NoError(t, err)
	require.Equal(t, base+5, first.EndedAt, "the first end stays")
	require.ErrorIs(t, s.EndSession(ctx, w.tenant, omni.NewID(), base), omni.ErrNotFound)

	ids, err := s.EndSessions(ctx, w.tenant, w.user.ID, base+7)
	require.NoError(t, err)
	require.ElementsMatch(t, mine[1:], ids)
	ids, err = s.EndSessions(ctx, w.tenant, w.user.ID, base+8)
	require.NoError(t, err)
	require.Empty(t, ids)
	left, err := s.SessionByID(ctx, others.ID)
	require.NoError(t, err)
	require.Zero(t, left.EndedAt)
	_, err = s.SessionByID(ctx, omni.NewID())
	require.ErrorIs(t, err, omni.ErrNotFound)
}

func oneTimeTokensWorkOnce(t *testing.T, s store.Store) {
	ctx := t.Context()
	w := newWorld(t, s)
	o := omni.OneTimeToken{Hash: omni.NewToken(32), OrganisationID: w.org.ID, UserID: w.user.ID, Purpose: "login", ExpiresAt: base + 10}
	require.NoError(t, s.PutOneTimeToken(ctx, w.tenant, o))
	got, errs := atOnce(32, func(int) (omni.OneTimeToken, error) { return s.TakeOneTimeToken(ctx, o.Hash, base) })
	require.Equal(t, o, got[oneWins(t, errs, omni.ErrNotFound)])
	require.NoError(t, s.PutOneTimeToken(ctx, w.tenant, o))
	_, err := s.TakeOneTimeToken(ctx, o.Hash, o.ExpiresAt)
	require.ErrorIs(t, err, omni.ErrNotFound, "it has ended")
}

func apiKeysAreDeleted(t *testing.T, s store.Store) {
	ctx := t.Context()
	w := newWorld(t, s)
	k := omni.APIKey{ID: omni.NewID(), OrganisationID: w.org.ID, Name: "k", Role: omni.RoleService, Hash: omni.NewToken(32), CreatedAt: base}
	require.NoError(t, s.CreateAPIKey(ctx, w.tenant, k))
	require.NoError(t, s.DeleteAPIKey(ctx, w.tenant, k.ID))
	_, err := s.APIKeyByHash(ctx, k.Hash)
	require.ErrorIs(t, err, omni.ErrNotFound)
	require.ErrorIs(t, s.DeleteAPIKey(ctx, w.tenant, k.ID), omni.ErrNotFound)
}

func channelsAreFound(t *testing.T, s store.Store) {
	ctx := t.Context()
	w := newWorld(t, s)
	got, err := s.ChannelByAddress(ctx, w.tenant, w.account.ID, omni.ChannelSMS, w.channel.Address)
	require.NoError(t, err)
	require.Equal(t, w.channel, got)
	got, err = s.ChannelByAddress(ctx, w.tenant, w.account.ID, omni.ChannelMMS, w.channel.Address)
	require.NoError(t, err, "MMS comes to the SMS channel")
	require.Equal(t, w.channel, got)
	for _, miss := range []struct {
		account string
		family  omni.ChannelType
		address string
	}{
		{omni.NewID(), omni.ChannelSMS, w.channel.Address},
		{w.account.ID, omni.ChannelWhatsApp, w.channel.Address},
		{w.account.ID, omni.ChannelSMS, w.channel.Address + "0"},
	} {
		_, err = s.ChannelByAddress(ctx, w.tenant, miss.account, miss.family, miss.address)
		require.ErrorIs(t, err, omni.ErrNotFound)
	}
	moved := w.channel
	moved.Address = "+19999"
	_, err = s.UpdateChannel(ctx, w.tenant, moved)
	require.NoError(t, err)
	_, err = s.ChannelByAddress(ctx, w.tenant, w.account.ID, omni.ChannelSMS, w.channel.Address)
	require.ErrorIs(t, err, omni.ErrNotFound)
	_, err = s.LiveChatChannel(ctx, "")
	require.ErrorIs(t, err, omni.ErrNotFound, "channels without a widget have no public id")
	_, err = s.LiveChatChannel(ctx, omni.NewToken(16))
	require.ErrorIs(t, err, omni.ErrNotFound)
}
