package storetest

import (
	"context"
	"errors"
	"reflect"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"omniservice/omni"
	"omniservice/store"
)

// foreign is what a call must give to a tenant that names another organisation's records.
type foreign string

const (
	notFound foreign = "not found"
	nothing  foreign = "nothing"   // an empty list, or zero
	itsOwn   foreign = "its own"   // the same name is another thing in another organisation
	noTenant foreign = "no tenant" // a door or a queue: see the contract
)

// stranger is organisation B with everything of A's that it should not be able to use.
type stranger struct {
	a       *world
	t       omni.Tenant // B
	out     omni.ServiceMessage
	picture omni.ServiceMessage // with a file that waits
	session omni.Session
	key     omni.APIKey
	aside   store.SetAside

	delivery omni.WebhookDelivery
}

// isolation says for every method of store.Store what B gets with A's ids. A method that is missing fails the test.
var isolation = map[string]struct {
	want foreign
	call func(ctx context.Context, s store.Store, x *stranger) (any, error)
}{
	"AcquireLock": {want: noTenant}, "ListLocks": {want: noTenant}, "AllOrganisations": {want: noTenant}, "APIKeyByHash": {want: noTenant},
	"CarrierAccountByPublicID": {want: noTenant}, "Close": {want: noTenant}, "CreateOrganisation": {want: noTenant},
	"NextDelivery": {want: noTenant}, "PendingDeliveries": {want: noTenant},
	"DoneInbox": {want: noTenant}, "Dump": {want: noTenant}, "Inspect": {want: noTenant}, "LiveChatChannel": {want: noTenant}, "NextMedia": {want: noTenant},
	"Load": {want: noTenant}, "Marker": {want: noTenant}, "NextOutbox": {want: noTenant}, "SetMarker": {want: noTenant}, "PendingInbox": {want: noTenant}, "PendingMedia": {want: noTenant}, "PendingOutbox": {want: noTenant}, "Ping": {want: noTenant}, "PutAside": {want: noTenant},
	"PutInbox": {want: noTenant}, "ReleaseLock": {want: noTenant}, "RetryInbox": {want: noTenant}, "SessionByID": {want: noTenant},
	"SettleChanges": {want: noTenant}, "SnoozesDue": {want: noTenant},
	"Sweep": {want: noTenant}, "TakeOneTimeToken": {want: noTenant}, "UserByEmail": {want: noTenant},

	"SearchMessages": {nothing, func(ctx context.Context, s store.Store, x *stranger) (any, error) {
		l, err := s.SearchMessages(ctx, x.t, store.MessageSearch{Query: "secret", GroupIDs: []string{x.a.group.ID}}, store.Page{})
		return l.Items, err
	}},
	"SearchContacts": {nothing, func(ctx context.Context, s store.Store, x *stranger) (any, error) {
		l, err := s.SearchContacts(ctx, x.t, store.ContactSearch{Query: x.a.identity.Address}, store.Page{})
		return l.Items, err
	}},
	"Organisation": {itsOwn, func(ctx context.Context, s store.Store, x *stranger) (any, error) {
		o, err := s.Organisation(ctx, x.t)
		return o.ID, err
	}},
	"UpdateOrganisation": {notFound, func(ctx context.Context, s store.Store, x *stranger) (any, error) {
		return s.UpdateOrganisation(ctx, x.t, x.a.org)
	}},
	"CreateUser": {notFound, func(ctx context.Context, s store.Store, x *stranger) (any, error) {
		return nil, s.CreateUser(ctx, x.t, newUser(x.a.org.ID, "Mallory"))
	}},
	"User": {notFound, func(ctx context.Context, s store.Store, x *stranger) (any, error) {
		return s.User(ctx, x.t, x.a.user.ID)
	}},
	"UpdateUser": {notFound, func(ctx context.Context, s store.Store, x *stranger) (any, error) {
		return s.UpdateUser(ctx, x.t, x.a.user)
	}},
	"Users": {nothing, func(ctx context.Context, s store.Store, x *stranger) (any, error) {
		l, err := s.Users(ctx, x.t, store.Page{})
		return l.Items, err
	}},
	"CreateSession": {notFound, func(ctx context.Context, s store.Store, x *stranger) (any, error) {
		n := x.session
		n.ID = omni.NewID()
		return nil, s.CreateSession(ctx, x.t, n)
	}},
	"RotateSession": {notFound, func(ctx context.Context, s store.Store, x *stranger) (any, error) {
		return s.RotateSession(ctx, x.t, x.session.ID, x.session.RefreshHash, "next", base)
	}},
	"EndSession": {notFound, func(ctx context.Context, s store.Store, x *stranger) (any, error) {
		return nil, s.EndSession(ctx, x.t, x.session.ID, base)
	}},
	"EndSessions": {nothing, func(ctx context.Context, s store.Store, x *stranger) (any, error) {
		return s.EndSessions(ctx, x.t, x.a.user.ID, base)
	}},
	"PutOneTimeToken": {notFound, func(ctx context.Context, s store.Store, x *stranger) (any, error) {
		return nil, s.PutOneTimeToken(ctx, x.t, omni.OneTimeToken{Hash: omni.NewToken(32), OrganisationID: x.a.org.ID, ExpiresAt: base})
	}},
	"CreateAPIKey": {notFound, func(ctx context.Context, s store.Store, x *stranger) (any, error) {
		k := x.key
		k.ID, k.Hash = omni.NewID(), omni.NewToken(32)
		return nil, s.CreateAPIKey(ctx, x.t, k)
	}},
	"APIKeys": {nothing, func(ctx context.Context, s store.Store, x *stranger) (any, error) {
		l, err := s.APIKeys(ctx, x.t, store.Page{})
		return l.Items, err
	}},
	"DeleteAPIKey": {notFound, func(ctx context.Context, s store.Store, x *stranger) (any, error) {
		return nil, s.DeleteAPIKey(ctx, x.t, x.key.ID)
	}},
	"CreateGroup": {notFound, func(ctx context.Context, s store.Store, x *stranger) (any, error) {
		return nil, s.CreateGroup(ctx, x.t, x.a.newGroup("Mallory"))
	}},
	"Group": {notFound, func(ctx context.Context, s store.Store, x *stranger) (any, error) {
		return s.Group(ctx, x.t, x.a.group.ID)
	}},
	"UpdateGroup": {notFound, func(ctx context.Context, s store.Store, x *stranger) (any, error) {
		g := x.a.group
		g.Tenant = x.t
		return s.UpdateGroup(ctx, x.t, g)
	}},
	"Groups": {nothing, func(ctx context.Context, s store.Store, x *stranger) (any, error) {
		l, err := s.Groups(ctx, x.t, store.Page{})
		return l.Items, err
	}},
	"CreateFolder": {notFound, func(ctx context.Context, s store.Store, x *stranger) (any, error) {
		f := x.a.folder
		f.ID = omni.NewID()
		return nil, s.CreateFolder(ctx, x.t, f)
	}},
	"Folder": {notFound, func(ctx context.Context, s store.Store, x *stranger) (any, error) {
		return s.Folder(ctx, x.t, x.a.folder.ID)
	}},
	"UpdateFolder": {notFound, func(ctx context.Context, s store.Store, x *stranger) (any, error) {
		f := x.a.folder
		f.Tenant = x.t
		return s.UpdateFolder(ctx, x.t, f)
	}},
	"Folders": {nothing, func(ctx context.Context, s store.Store, x *stranger) (any, error) {
		l, err := s.Folders(ctx, x.t, store.Page{})
		return l.Items, err
	}},
	"CreateCarrierAccount": {notFound, func(ctx context.Context, s store.Store, x *stranger) (any, error) {
		a := x.a.account
		a.ID, a.PublicID = omni.NewID(), omni.NewToken(16)
		return nil, s.CreateCarrierAccount(ctx, x.t, a)
	}},
	"CarrierAccount": {notFound, func(ctx context.Context, s store.Store, x *stranger) (any, error) {
		return s.CarrierAccount(ctx, x.t, x.a.account.ID)
	}},
	"UpdateCarrierAccount": {notFound, func(ctx context.Context, s store.Store, x *stranger) (any, error) {
		a := x.a.account
		a.Tenant = x.t
		return s.UpdateCarrierAccount(ctx, x.t, a)
	}},
	"CarrierAccounts": {nothing, func(ctx context.Context, s store.Store, x *stranger) (any, error) {
		l, err := s.CarrierAccounts(ctx, x.t, store.Page{})
		return l.Items, err
	}},
	"CreateChannel": {notFound, func(ctx context.Context, s store.Store, x *stranger) (any, error) {
		return nil, s.CreateChannel(ctx, x.t, x.a.newChannel("+1333"))
	}},
	"Channel": {notFound, func(ctx context.Context, s store.Store, x *stranger) (any, error) {
		return s.Channel(ctx, x.t, x.a.channel.ID)
	}},
	"ChannelByAddress": {notFound, func(ctx context.Context, s store.Store, x *stranger) (any, error) {
		return s.ChannelByAddress(ctx, x.t, x.a.account.ID, x.a.channel.ChannelType, x.a.channel.Address)
	}},
	"UpdateChannel": {notFound, func(ctx context.Context, s store.Store, x *stranger) (any, error) {
		c := x.a.channel
		c.Tenant = x.t
		return s.UpdateChannel(ctx, x.t, c)
	}},
	"Channels": {nothing, func(ctx context.Context, s store.Store, x *stranger) (any, error) {
		l, err := s.Channels(ctx, x.t, store.Page{})
		return l.Items, err
	}},
	"ResolveIdentity": {notFound, func(ctx context.Context, s store.Store, x *stranger) (any, error) {
		_, i, _, err := s.ResolveIdentity(ctx, x.t, x.a.newIdentity(x.a.identity.Address))
		return i, err
	}},
	"Identity": {notFound, func(ctx context.Context, s store.Store, x *stranger) (any, error) {
		return s.Identity(ctx, x.t, x.a.identity.ID)
	}},
	"IdentityByAddress": {notFound, func(ctx context.Context, s store.Store, x *stranger) (any, error) {
		return s.IdentityByAddress(ctx, x.t, x.a.identity.ChannelType, x.a.identity.Address)
	}},
	"Identities": {nothing, func(ctx context.Context, s store.Store, x *stranger) (any, error) {
		return s.Identities(ctx, x.t, x.a.contact.ID)
	}},
	"Contact": {notFound, func(ctx context.Context, s store.Store, x *stranger) (any, error) {
		return s.Contact(ctx, x.t, x.a.contact.ID)
	}},
	"UpdateContact": {notFound, func(ctx context.Context, s store.Store, x *stranger) (any, error) {
		c := x.a.contact
		c.Tenant = x.t
		return s.UpdateContact(ctx, x.t, c)
	}},
	"Contacts": {nothing, func(ctx context.Context, s store.Store, x *stranger) (any, error) {
		l, err := s.Contacts(ctx, x.t, store.Page{})
		return l.Items, err
	}},
	"SetConsent": {notFound, func(ctx context.Context, s store.Store, x *stranger) (any, error) {
		i, _, err := s.SetConsent(ctx, omni.ConsentUpdate{
			Tenant: x.t, ChannelType: x.a.identity.ChannelType, Address: x.a.identity.Address, OptedOut: true, By: "STOP", At: base,
		})
		return i, err
	}},
	"OpenInteraction": {notFound, func(ctx context.Context, s store.Store, x *stranger) (any, error) {
		i, _, err := s.OpenInteraction(ctx, x.t, x.a.newInteraction(x.a.identity), 0)
		return i, err
	}},
	"Interaction": {notFound, func(ctx context.Context, s store.Store, x *stranger) (any, error) {
		return s.Interaction(ctx, x.t, x.a.talk.ID)
	}},
	"ChangeInteraction": {notFound, func(ctx context.Context, s store.Store, x *stranger) (any, error) {
		folder := ""
		return s.ChangeInteraction(ctx, x.t, x.a.talk.ID, x.a.talk.Version, store.InteractionChange{FolderID: &folder})
	}},
	"MarkRead": {notFound, func(ctx context.Context, s store.Store, x *stranger) (any, error) {
		i, _, err := s.MarkRead(ctx, x.t, x.a.talk.ID, omni.SenderUser, 1)
		return i, err
	}},
	"ListInteractions": {nothing, func(ctx context.Context, s store.Store, x *stranger) (any, error) {
		var all []omni.Interaction
		for _, f := range []store.InteractionFilter{
			{}, {Unassigned: true}, {OwnerID: x.a.user.ID}, {ContactID: x.a.contact.ID},
		} {
			f.GroupIDs = []string{x.a.group.ID}
			l, err := s.ListInteractions(ctx, x.t, f, store.Page{})
			if err != nil {
				return nil, err
			}
			all = append(all, l.Items...)
		}
		return all, nil
	}},
	"ChangedSince": {nothing, func(ctx context.Context, s store.Store, x *stranger) (any, error) {
		theirs, err := s.ChangedSince(ctx, x.a.tenant, store.ChangeQuery{GroupIDs: []string{x.a.group.ID}})
		if err != nil {
			return nil, err
		}
		if _, err := s.ChangedSince(ctx, x.t, store.ChangeQuery{GroupIDs: []string{x.a.group.ID}, Since: theirs.Next}); !errors.Is(err, omni.ErrInvalid) {
			return "the place of another organisation was taken", err
		}
		c, err := s.ChangedSince(ctx, x.t, store.ChangeQuery{GroupIDs: []string{x.a.group.ID}, SinceAt: 1})
		return len(c.Interactions) + len(c.Messages), err
	}},
	"CountInteractions": {nothing, func(ctx context.Context, s store.Store, x *stranger) (any, error) {
		return s.CountInteractions(ctx, omni.Tenant{OrganisationID: x.t.OrganisationID, UserID: x.a.user.ID}, []string{x.a.group.ID})
	}},
	"AppendMessage": {notFound, func(ctx context.Context, s store.Store, x *stranger) (any, error) {
		m := x.a.inbound(x.a.talk, "from outside")
		if _, err := s.AppendMessage(ctx, x.t, m); err == nil {
			return m, nil
		}
		m.Tenant = x.t
		return s.AppendMessage(ctx, x.t, m)
	}},
	"Message": {notFound, func(ctx context.Context, s store.Store, x *stranger) (any, error) {
		return s.Message(ctx, x.t, x.out.ID)
	}},
	"MessageByCarrierID": {notFound, func(ctx context.Context, s store.Store, x *stranger) (any, error) {
		return s.MessageByCarrierID(ctx, x.t, x.a.channel.ID, "known")
	}},
	"ListMessages": {notFound, func(ctx context.Context, s store.Store, x *stranger) (any, error) {
		return s.ListMessages(ctx, x.t, x.a.talk.ID, store.MessageWindow{})
	}},
	"ApplyStatus": {notFound, func(ctx context.Context, s store.Store, x *stranger) (any, error) {
		d := status(x.a.channel.ID, "known", omni.StatusRead, base)
		d.MessageID = x.out.ID
		m, _, err := s.ApplyStatus(ctx, x.t, d)
		return m, err
	}},
	"ListAside": {nothing, func(ctx context.Context, s store.Store, x *stranger) (any, error) {
		l, err := s.ListAside(ctx, x.t, store.Page{})
		return l.Items, err
	}},
	"ReplayAside": {notFound, func(ctx context.Context, s store.Store, x *stranger) (any, error) {
		return s.ReplayAside(ctx, x.t, x.aside.Record.ID)
	}},
	"PutFragment": {itsOwn, func(ctx context.Context, s store.Store, x *stranger) (any, error) {
		parts, _, err := s.PutFragment(ctx, x.t, "shared", omni.MessageFragment{Reference: "r", Index: 2, Total: 2}, base)
		if len(parts) != 1 {
			return parts, err
		}
		return x.t.OrganisationID, err
	}},
	"JoinFragments": {itsOwn, func(ctx context.Context, s store.Store, x *stranger) (any, error) {
		return x.t.OrganisationID, s.JoinFragments(ctx, x.t, "unjoined", base)
	}},
	"MarkSending": {notFound, func(ctx context.Context, s store.Store, x *stranger) (any, error) {
		return nil, s.MarkSending(ctx, x.t, x.out.ID, base)
	}},
	"MarkSent": {notFound, func(ctx context.Context, s store.Store, x *stranger) (any, error) {
		return s.MarkSent(ctx, x.t, x.out.ID, "stolen", 1, status(x.a.channel.ID, "stolen", omni.StatusSent, base))
	}},
	"MarkRetry": {notFound, func(ctx context.Context, s store.Store, x *stranger) (any, error) {
		return nil, s.MarkRetry(ctx, x.t, x.out.ID, base*2, status(x.a.channel.ID, "", omni.StatusQueued, base))
	}},
	"PutOff": {notFound, func(ctx context.Context, s store.Store, x *stranger) (any, error) {
		return nil, s.PutOff(ctx, x.t, x.out.ID, base*2)
	}},
	"EditMessage": {notFound, func(ctx context.Context, s store.Store, x *stranger) (any, error) {
		m, _, err := s.EditMessage(ctx, x.t, x.out.ID, omni.MessageEdit{At: base * 2, Text: "stolen"})
		return m, err
	}},
	"MarkEnded": {notFound, func(ctx context.Context, s store.Store, x *stranger) (any, error) {
		return s.MarkEnded(ctx, x.t, x.out.ID, status(x.a.channel.ID, "", omni.StatusFailed, base))
	}},
	"Requeue": {notFound, func(ctx context.Context, s store.Store, x *stranger) (any, error) {
		return s.Requeue(ctx, x.t, x.out.ID, omni.DeliveryStatus{DeliveryStatusMessage: omni.DeliveryStatusMessage{Status: omni.StatusQueued}, ReceivedAt: base})
	}},
	"SetMedia": {notFound, func(ctx context.Context, s store.Store, x *stranger) (any, error) {
		return s.SetMedia(ctx, x.t, x.picture.ID, 0, omni.MediaReference{State: omni.MediaFailed}, 0)
	}},
	"ReserveKey": {itsOwn, func(ctx context.Context, s store.Store, x *stranger) (any, error) {
		_, free, err := s.ReserveKey(ctx, x.t, store.IdempotencyRecord{Key: "shared", ExpiresAt: base}, 1)
		if !free {
			return "taken", err
		}
		return x.t.OrganisationID, err
	}},
	"CompleteKey": {notFound, func(ctx context.Context, s store.Store, x *stranger) (any, error) {
		return nil, s.CompleteKey(ctx, x.t, store.IdempotencyRecord{Key: "theirs", Status: 500})
	}},
	"DropKey": {itsOwn, func(ctx context.Context, s store.Store, x *stranger) (any, error) {
		return x.t.OrganisationID, s.DropKey(ctx, x.t, "theirs")
	}},
	"AppendAudit": {notFound, func(ctx context.Context, s store.Store, x *stranger) (any, error) {
		return nil, s.AppendAudit(ctx, x.t, omni.AuditRecord{ID: omni.NewID(), OrganisationID: x.a.org.ID, At: base})
	}},
	"AuditRecords": {nothing, func(ctx context.Context, s store.Store, x *stranger) (any, error) {
		l, err := s.AuditRecords(ctx, x.t, store.Page{})
		return l.Items, err
	}},
	"Consents": {notFound, func(ctx context.Context, s store.Store, x *stranger) (any, error) {
		l, err := s.Consents(ctx, x.t, x.a.identity.ID, store.Page{})
		return l.Items, err
	}},
	"AddAlias": {notFound, func(ctx context.Context, s store.Store, x *stranger) (any, error) {
		return s.AddAlias(ctx, x.t, x.a.identity.ID, alias("+1999", omni.AliasVariant))
	}},
	"RemoveAlias": {notFound, func(ctx context.Context, s store.Store, x *stranger) (any, error) {
		return s.RemoveAlias(ctx, x.t, x.a.identity.ID, "alias")
	}},
	"ChangeAddress": {notFound, func(ctx context.Context, s store.Store, x *stranger) (any, error) {
		return s.ChangeAddress(ctx, x.t, x.a.identity.ID, "+1999", base)
	}},
	"SetExternalIDs": {notFound, func(ctx context.Context, s store.Store, x *stranger) (any, error) {
		return s.SetExternalIDs(ctx, x.t, x.a.identity.ID, nil)
	}},
	"ContactsByExternalID": {nothing, func(ctx context.Context, s store.Store, x *stranger) (any, error) {
		return s.ContactsByExternalID(ctx, x.t, "crm", "1")
	}},
	"SetReaction": {notFound, func(ctx context.Context, s store.Store, x *stranger) (any, error) {
		r := x.a.reaction(x.out.ID, "👎", base*2)
		if changed, err := s.SetReaction(ctx, x.t, r); err == nil {
			return changed, nil
		}
		r.Tenant = x.t
		changed, err := s.SetReaction(ctx, x.t, r)
		return changed, err
	}},
	"Reactions": {nothing, func(ctx context.Context, s store.Store, x *stranger) (any, error) {
		return s.Reactions(ctx, x.t, x.out.ID)
	}},
	"PutDeliveries": {notFound, func(ctx context.Context, s store.Store, x *stranger) (any, error) {
		return nil, s.PutDeliveries(ctx, x.t, x.a.delivery(x.delivery.WebhookID, base))
	}},
	"SetDelivery": {notFound, func(ctx context.Context, s store.Store, x *stranger) (any, error) {
		d := x.delivery
		d.Tenant, d.State = x.t, omni.DeliveryFailed
		return s.SetDelivery(ctx, x.t, d)
	}},
	"Delivery": {notFound, func(ctx context.Context, s store.Store, x *stranger) (any, error) {
		return s.Delivery(ctx, x.t, x.delivery.ID)
	}},
	"ListDeliveries": {nothing, func(ctx context.Context, s store.Store, x *stranger) (any, error) {
		l, err := s.ListDeliveries(ctx, x.t, x.delivery.WebhookID, store.Page{})
		return l.Items, err
	}},
	"ResendDelivery": {notFound, func(ctx context.Context, s store.Store, x *stranger) (any, error) {
		return s.ResendDelivery(ctx, x.t, x.delivery.ID, base, base)
	}},
}

func tenantsAreApart(t *testing.T, s store.Store) {
	ctx := t.Context()
	contract := reflect.TypeFor[store.Store]()
	tenant, consent := reflect.TypeFor[omni.Tenant](), reflect.TypeFor[omni.ConsentUpdate]()
	for m := range contract.Methods() {
		if isPlain(m.Type) {
			require.Contains(t, plainKinds, m.Name)
			continue
		}
		c, ok := isolation[m.Name]
		require.True(t, ok, "say in isolation what another organisation gets from %s", m.Name)
		takes := false
		for in := range m.Type.Ins() {
			takes = takes || in == tenant || in == consent
		}
		require.Equal(t, takes, c.want != noTenant, m.Name)
	}

	b := omni.Organisation{ID: omni.NewID(), Name: "B", Version: 1, CreatedAt: base, SchemaVersion: omni.CurrentSchema}
	require.NoError(t, s.CreateOrganisation(ctx, b))
	a := newWorld(t, s)
	x := &stranger{a: a, t: omni.Org(b.ID)}
	in := a.inbound(a.talk, "in")
	in.CarrierMessageID = "known"
	a.append(t, s, in)
	x.picture = a.append(t, s, a.withFiles(a.talk, omni.MediaImage)).Message
	x.out = a.append(t, s, a.outbound(a.talk, "out")).Message
	x.session = omni.Session{ID: omni.NewID(), OrganisationID: a.org.ID, UserID: a.user.ID, RefreshHash: "h", CreatedAt: base, ExpiresAt: base * 2}
	require.NoError(t, s.CreateSession(ctx, a.tenant, x.session))
	x.key = omni.APIKey{ID: omni.NewID(), OrganisationID: a.org.ID, Name: "k", Role: omni.RoleService, Hash: omni.NewToken(32), CreatedAt: base}
	require.NoError(t, s.CreateAPIKey(ctx, a.tenant, x.key))
	x.aside = store.SetAside{Record: a.inboxRecord(1), Reason: store.SetAsidePoison, At: base, ExpiresAt: base * 2}
	require.NoError(t, s.PutAside(ctx, x.aside))
	require.NoError(t, s.AppendAudit(ctx, a.tenant, omni.AuditRecord{ID: omni.NewID(), OrganisationID: a.org.ID, Action: "a", At: base}))
	for _, key := range []string{"shared", "theirs"} {
		_, _, err := s.ReserveKey(ctx, a.tenant, store.IdempotencyRecord{Key: key, BodyHash: "h", ExpiresAt: base}, 1)
		require.NoError(t, err)
	}

	_, err := s.AddAlias(ctx, a.tenant, a.identity.ID, alias("alias", omni.AliasVariant))
	require.NoError(t, err)
	_, err = s.SetExternalIDs(ctx, a.tenant, a.identity.ID, []omni.ExternalID{{System: "crm", ID: "1"}})
	require.NoError(t, err)
	_, _, err = s.SetConsent(ctx, omni.ConsentUpdate{
		Tenant: a.tenant, ChannelType: a.identity.ChannelType, Address: "alias", OptedOut: true, By: "STOP", At: base,
	})
	require.NoError(t, err)
	_, err = s.SetReaction(ctx, a.tenant, a.reaction(x.out.ID, "👍", base))
	require.NoError(t, err)

	x.delivery = a.delivery(omni.NewID(), base)
	require.NoError(t, s.PutDeliveries(ctx, a.tenant, x.delivery))

	before := everythingOf(t, s, x)
	names := make([]string, 0, len(isolation))
	for name := range isolation {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		c := isolation[name]
		switch c.want {
		case noTenant:
			continue
		case notFound:
			got, err := c.call(ctx, s, x)
			require.ErrorIs(t, err, omni.ErrNotFound, name)
			if got != nil {
				require.Empty(t, got, name)
			}
		case nothing:
			got, err := c.call(ctx, s, x)
			require.NoError(t, err, name)
			require.Empty(t, got, name)
		case itsOwn:
			got, err := c.call(ctx, s, x)
			require.NoError(t, err, name)
			require.Equal(t, x.t.OrganisationID, got, name)
		}
		require.Equal(t, before, everythingOf(t, s, x), "%s changed another organisation's data", name)
	}
}

// everythingOf reads all that A has.
func everythingOf(t *testing.T, s store.Store, x *stranger) []any {
	t.Helper()
	ctx := t.Context()
	var all []any
	read := func(v any, err error) {
		t.Helper()
		require.NoError(t, err)
		all = append(all, v)
	}
	w := x.a
	o, err := s.Organisation(ctx, w.tenant)
	read(o, err)
	users, err := s.Users(ctx, w.tenant, store.Page{})
	read(users, err)
	session, err := s.SessionByID(ctx, x.session.ID)
	read(session, err)
	keys, err := s.APIKeys(ctx, w.tenant, store.Page{})
	read(keys, err)
	groups, err := s.Groups(ctx, w.tenant, store.Page{})
	read(groups, err)
	folders, err := s.Folders(ctx, w.tenant, store.Page{})
	read(folders, err)
	accounts, err := s.CarrierAccounts(ctx, w.tenant, store.Page{})
	read(accounts, err)
	channels, err := s.Channels(ctx, w.tenant, store.Page{})
	read(channels, err)
	contacts, err := s.Contacts(ctx, w.tenant, store.Page{})
	read(contacts, err)
	identities, err := s.Identities(ctx, w.tenant, w.contact.ID)
	read(identities, err)
	talks, err := s.ListInteractions(ctx, w.tenant, store.InteractionFilter{GroupIDs: []string{w.group.ID}}, store.Page{})
	read(talks, err)
	messages, err := s.ListMessages(ctx, w.tenant, w.talk.ID, store.MessageWindow{})
	read(messages, err)
	reactions, err := s.Reactions(ctx, w.tenant, x.out.ID)
	read(reactions, err)
	consents, err := s.Consents(ctx, w.tenant, w.identity.ID, store.Page{})
	read(consents, err)
	linked, err := s.ContactsByExternalID(ctx, w.tenant, "crm", "1")
	read(linked, err)
	deliveries, err := s.ListDeliveries(ctx, w.tenant, x.delivery.WebhookID, store.Page{})
	read(deliveries, err)
	items, err := s.PendingOutbox(ctx, allPartitions(), base, 100)
	read(items, err)
	media, err := s.PendingMedia(ctx, allPartitions(), base, 100)
	read(media, err)
	asides, err := s.ListAside(ctx, w.tenant, store.Page{})
	read(asides, err)
	audits, err := s.AuditRecords(ctx, w.tenant, store.Page{})
	read(audits, err)
	for _, name := range []string{"shared", "unjoined"} { // stores a part the first time
		parts, joined, err := s.PutFragment(ctx, w.tenant, name, omni.MessageFragment{Reference: "r", Index: 1, Total: 2}, base)
		read(parts, err)
		read(joined, nil)
	}
	key, _, err := s.ReserveKey(ctx, w.tenant, store.IdempotencyRecord{Key: "theirs", ExpiresAt: base}, 1)
	read(key, err)
	return all
}
