package mongostore

import (
	"context"
	"fmt"

	"go.mongodb.org/mongo-driver/v2/bson"

	"omniservice/omni"
	"omniservice/store"
)

// Fields of channels that are there for every channel, so that unique indexes need no exceptions.
const (
	fieldAccount = "account" // id of the carrier account, or ""
	fieldFamily  = "family"
	fieldWidget  = "widget" // public id of the widget; other channels have their own id
)

var (
	organisations = kind[omni.Organisation]{
		what: "organisation", coll: collOrganisations,
		id:  func(r *omni.Organisation) string { return r.ID },
		org: func(r *omni.Organisation) string { return r.ID },
	}
	users = kind[omni.User]{
		what: "user", coll: collUsers,
		id:  func(r *omni.User) string { return r.ID },
		org: func(r *omni.User) string { return r.OrganisationID },
	}
	apiKeys = kind[omni.APIKey]{
		what: "API key", coll: collAPIKeys,
		id:  func(r *omni.APIKey) string { return r.ID },
		org: func(r *omni.APIKey) string { return r.OrganisationID },
	}
	groups = kind[omni.DigitalChannelGroup]{
		what: "group", coll: collGroups,
		id:  func(r *omni.DigitalChannelGroup) string { return r.ID },
		org: func(r *omni.DigitalChannelGroup) string { return r.Tenant.OrganisationID },
	}
	folders = kind[omni.Folder]{
		what: "folder", coll: collFolders,
		id:  func(r *omni.Folder) string { return r.ID },
		org: func(r *omni.Folder) string { return r.Tenant.OrganisationID },
	}
	accounts = kind[omni.CarrierAccount]{
		what: "carrier account", coll: collAccounts,
		id:  func(r *omni.CarrierAccount) string { return r.ID },
		org: func(r *omni.CarrierAccount) string { return r.Tenant.OrganisationID },
	}
	channels = kind[omni.DigitalChannel]{
		what: "channel", coll: collChannels,
		id:  func(r *omni.DigitalChannel) string { return r.ID },
		org: func(r *omni.DigitalChannel) string { return r.Tenant.OrganisationID },
		extra: func(r *omni.DigitalChannel) bson.D {
			widget := r.ID
			if r.LiveChat != nil {
				widget = r.LiveChat.PublicID
			}
			return bson.D{
				{Key: fieldAccount, Value: r.CarrierAccountID},
				{Key: fieldFamily, Value: string(r.ChannelType.Family())},
				{Key: fieldWidget, Value: widget},
			}
		},
	}
	audits = kind[omni.AuditRecord]{
		what: "audit record", coll: collAudit,
		id:  func(r *omni.AuditRecord) string { return r.ID },
		org: func(r *omni.AuditRecord) string { return r.OrganisationID },
	}
)

// CreateOrganisation implements store.Store.
func (s *Store) CreateOrganisation(ctx context.Context, o omni.Organisation) error {
	return create(ctx, s, organisations, omni.Org(o.ID), o)
}

// Organisation implements store.Store.
func (s *Store) Organisation(ctx context.Context, t omni.Tenant) (omni.Organisation, error) {
	return find(ctx, s, organisations, t, t.OrganisationID)
}

// UpdateOrganisation implements store.Store.
func (s *Store) UpdateOrganisation(ctx context.Context, t omni.Tenant, o omni.Organisation) (omni.Organisation, error) {
	old := o.Version
	o.Version++
	return update(ctx, s, organisations, t, old, o)
}

// AllOrganisations implements store.Store.
func (s *Store) AllOrganisations(ctx context.Context, p store.Page) (store.List[omni.Organisation], error) {
	return list(ctx, s, organisations, "organisations", nil, oldestFirst, p,
		func(o omni.Organisation) place { return place{Number: int64(o.CreatedAt), ID: o.ID} })
}

// CreateUser implements store.Store.
func (s *Store) CreateUser(ctx context.Context, t omni.Tenant, u omni.User) error {
	return create(ctx, s, users, t, u)
}

// User implements store.Store.
func (s *Store) User(ctx context.Context, t omni.Tenant, id string) (omni.User, error) {
	return find(ctx, s, users, t, id)
}

// UserByEmail implements store.Store.
func (s *Store) UserByEmail(ctx context.Context, email string) (omni.User, error) {
	return door(ctx, s, users, "user by e-mail", bson.D{{Key: "email", Value: email}})
}

// UpdateUser implements store.Store.
func (s *Store) UpdateUser(ctx context.Context, t omni.Tenant, u omni.User) (omni.User, error) {
	old := u.Version
	u.Version++
	return update(ctx, s, users, t, old, u)
}

// Users implements store.Store.
func (s *Store) Users(ctx context.Context, t omni.Tenant, p store.Page) (store.List[omni.User], error) {
	return list(ctx, s, users, "users "+t.OrganisationID, of(t), byName, p,
		func(u omni.User) place { return place{Text: u.Name, ID: u.ID} })
}

// CreateAPIKey implements store.Store.
func (s *Store) CreateAPIKey(ctx context.Context, t omni.Tenant, k omni.APIKey) error {
	return create(ctx, s, apiKeys, t, k)
}

// APIKeyByHash implements store.Store.
func (s *Store) APIKeyByHash(ctx context.Context, hash string) (omni.APIKey, error) {
	return door(ctx, s, apiKeys, "API key", bson.D{{Key: "hash", Value: hash}})
}

// APIKeys implements store.Store.
func (s *Store) APIKeys(ctx context.Context, t omni.Tenant, p store.Page) (store.List[omni.APIKey], error) {
	return list(ctx, s, apiKeys, "API keys "+t.OrganisationID, of(t), newestFirst, p,
		func(k omni.APIKey) place { return place{Number: int64(k.CreatedAt), ID: k.ID} })
}

// DeleteAPIKey implements store.Store.
func (s *Store) DeleteAPIKey(ctx context.Context, t omni.Tenant, id string) error {
	err := runOnly(ctx, s, func(ctx context.Context) error {
		res, err := s.coll(collAPIKeys).DeleteOne(ctx, named(t, id))
		if err == nil && res.DeletedCount == 0 {
			err = omni.ErrNotFound
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("delete API key %s: %w", id, err)
	}
	return nil
}

// CreateGroup implements store.Store.
func (s *Store) CreateGroup(ctx context.Context, t omni.Tenant, g omni.DigitalChannelGroup) error {
	return create(ctx, s, groups, t, g)
}

// Group implements store.Store.
func (s *Store) Group(ctx context.Context, t omni.Tenant, id string) (omni.DigitalChannelGroup, error) {
	return find(ctx, s, groups, t, id)
}

// UpdateGroup implements store.Store.
func (s *Store) UpdateGroup(ctx context.Context, t omni.Tenant, g omni.DigitalChannelGroup) (omni.DigitalChannelGroup, error) {
	old := g.Version
	g.Version++
	return update(ctx, s, groups, t, old, g)
}

// Groups implements store.Store.
func (s *Store) Groups(ctx context.Context, t omni.Tenant, p store.Page) (store.List[omni.DigitalChannelGroup], error) {
	return list(ctx, s, groups, "groups "+t.OrganisationID, of(t), byName, p,
		func(g omni.DigitalChannelGroup) place { return place{Text: g.Name, ID: g.ID} })
}

// CreateFolder implements store.Store.
func (s *Store) CreateFolder(ctx context.Context, t omni.Tenant, f omni.Folder) error {
	return create(ctx, s, folders, t, f)
}

// Folder implements store.Store.
func (s *Store) Folder(ctx context.Context, t omni.Tenant, id string) (omni.Folder, error) {
	return find(ctx, s, folders, t, id)
}

// UpdateFolder implements store.Store.
func (s *Store) UpdateFolder(ctx context.Context, t omni.Tenant, f omni.Folder) (omni.Folder, error) {
	old := f.Version
	f.Version++
	return update(ctx, s, folders, t, old, f)
}

// Folders implements store.Store.
func (s *Store) Folders(ctx context.Context, t omni.Tenant, p store.Page) (store.List[omni.Folder], error) {
	return list(ctx, s, folders, "folders "+t.OrganisationID, of(t), byName, p,
		func(f omni.Folder) place { return place{Text: f.Name, ID: f.ID} })
}

// CreateCarrierAccount implements store.Store.
func (s *Store) CreateCarrierAccount(ctx context.Context, t omni.Tenant, a omni.CarrierAccount) error {
	return create(ctx, s, accounts, t, a)
}

// CarrierAccount implements store.Store.
func (s *Store) CarrierAccount(ctx context.Context, t omni.Tenant, id string) (omni.CarrierAccount, error) {
	return find(ctx, s, accounts, t, id)
}

// CarrierAccountByPublicID implements store.Store.
func (s *Store) CarrierAccountByPublicID(ctx context.Context, publicID string) (omni.CarrierAccount, error) {
	return door(ctx, s, accounts, "carrier account by public id", bson.D{{Key: "publicId", Value: publicID}})
}

// UpdateCarrierAccount implements store.Store.
func (s *Store) UpdateCarrierAccount(ctx context.Context, t omni.Tenant, a omni.CarrierAccount) (omni.CarrierAccount, error) {
	old := a.Version
	a.Version++
	return update(ctx, s, accounts, t, old, a)
}

// CarrierAccounts implements store.Store.
func (s *Store) CarrierAccounts(ctx context.Context, t omni.Tenant, p store.Page) (store.List[omni.CarrierAccount], error) {
	return list(ctx, s, accounts, "carrier accounts "+t.OrganisationID, of(t), byName, p,
		func(a omni.CarrierAccount) place { return place{Text: a.Name, ID: a.ID} })
}

// CreateChannel implements store.Store.
func (s *Store) CreateChannel(ctx context.Context, t omni.Tenant, c omni.DigitalChannel) error {
	return create(ctx, s, channels, t, c)
}

// Channel implements store.Store.
func (s *Store) Channel(ctx context.Context, t omni.Tenant, id string) (omni.DigitalChannel, error) {
	return find(ctx, s, channels, t, id)
}

// ChannelByAddress implements store.Store.
func (s *Store) ChannelByAddress(ctx context.Context, t omni.Tenant, accountID string, family omni.ChannelType, address string) (omni.DigitalChannel, error) {
	return door(ctx, s, channels, "channel by address", of(t,
		bson.E{Key: fieldAccount, Value: accountID}, bson.E{Key: fieldFamily, Value: string(family.Family())},
		bson.E{Key: "address", Value: address}))
}

// LiveChatChannel implements store.Store.
func (s *Store) LiveChatChannel(ctx context.Context, publicID string) (omni.DigitalChannel, error) {
	c, err := door(ctx, s, channels, "channel by public id", bson.D{{Key: fieldWidget, Value: publicID}})
	if err == nil && c.LiveChat == nil {
		return omni.DigitalChannel{}, fmt.Errorf("find channel by public id: %w", omni.ErrNotFound)
	}
	return c, err
}

// UpdateChannel implements store.Store.
func (s *Store) UpdateChannel(ctx context.Context, t omni.Tenant, c omni.DigitalChannel) (omni.DigitalChannel, error) {
	old := c.Version
	c.Version++
	return update(ctx, s, channels, t, old, c)
}

// Channels implements store.Store.
func (s *Store) Channels(ctx context.Context, t omni.Tenant, p store.Page) (store.List[omni.DigitalChannel], error) {
	return list(ctx, s, channels, "channels "+t.OrganisationID, of(t), byName, p,
		func(c omni.DigitalChannel) place { return place{Text: c.Name, ID: c.ID} })
}

// AppendAudit implements store.Store.
func (s *Store) AppendAudit(ctx context.Context, t omni.Tenant, r omni.AuditRecord) error {
	return create(ctx, s, audits, t, r)
}

// AuditRecords implements store.Store.
func (s *Store) AuditRecords(ctx context.Context, t omni.Tenant, p store.Page) (store.List[omni.AuditRecord], error) {
	return list(ctx, s, audits, "audit records "+t.OrganisationID, of(t), order{field: "at", desc: true}, p,
		func(r omni.AuditRecord) place { return place{Number: int64(r.At), ID: r.ID} })
}
