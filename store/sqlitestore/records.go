package sqlitestore

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"omniservice/omni"
	"omniservice/store"
)

// The documents of records whose JSON form, made for clients, leaves secrets out.
type (
	userDoc struct {
		omni.User

		PasswordHash string `json:"passwordHash,omitempty"`
	}
	apiKeyDoc struct {
		omni.APIKey

		Hash string `json:"hash"`
	}
	accountDoc struct {
		omni.CarrierAccount

		Credentials map[string][]omni.SealedSecret `json:"credentials,omitempty"`
	}
)

func scanDoc[T any](r scanner) (v T, err error) {
	var doc []byte
	if err := r.Scan(&doc); err != nil {
		return v, err
	}
	return v, json.Unmarshal(doc, &v)
}

func scanUser(r scanner) (omni.User, error) {
	d, err := scanDoc[userDoc](r)
	d.User.PasswordHash = d.PasswordHash
	return d.User, err
}

func scanAPIKey(r scanner) (omni.APIKey, error) {
	d, err := scanDoc[apiKeyDoc](r)
	d.APIKey.Hash = d.Hash
	return d.APIKey, err
}

func scanAccount(r scanner) (omni.CarrierAccount, error) {
	d, err := scanDoc[accountDoc](r)
	d.CarrierAccount.Credentials = d.Credentials
	return d.CarrierAccount, err
}

// recordSet is how records of one kind are kept.
type recordSet[T any] struct {
	what                string
	insert, get, update stmt
	scan                func(scanner) (T, error)
}

var (
	organisations = recordSet[omni.Organisation]{"organisation", sqlOrganisationInsert, sqlOrganisation, sqlOrganisationUpdate, scanDoc[omni.Organisation]}
	users         = recordSet[omni.User]{"user", sqlUserInsert, sqlUser, sqlUserUpdate, scanUser}
	apiKeys       = recordSet[omni.APIKey]{"API key", sqlAPIKeyInsert, sqlAPIKey, stmtCount, scanAPIKey}
	groups        = recordSet[omni.DigitalChannelGroup]{"group", sqlGroupInsert, sqlGroup, sqlGroupUpdate, scanDoc[omni.DigitalChannelGroup]}
	folders       = recordSet[omni.Folder]{"folder", sqlFolderInsert, sqlFolder, sqlFolderUpdate, scanDoc[omni.Folder]}
	accounts      = recordSet[omni.CarrierAccount]{"carrier account", sqlAccountInsert, sqlAccount, sqlAccountUpdate, scanAccount}
	channels      = recordSet[omni.DigitalChannel]{"channel", sqlChannelInsert, sqlChannel, sqlChannelUpdate, scanDoc[omni.DigitalChannel]}
	contacts      = recordSet[omni.Contact]{"contact", sqlContactInsert, sqlContact, sqlContactUpdate, scanDoc[omni.Contact]}
	audits        = recordSet[omni.AuditRecord]{"audit record", sqlAuditInsert, sqlAudit, stmtCount, scanDoc[omni.AuditRecord]}
)

// create stores a record of organisation t. The very same record again is no error, so that a create can be repeated.
func create[T any](ctx context.Context, s *Store, k recordSet[T], t omni.Tenant, org, id string, doc any, columns ...any) error {
	if org != t.OrganisationID {
		return fmt.Errorf("create %s %s: organisation: %w", k.what, id, omni.ErrNotFound)
	}
	b, err := json.Marshal(doc)
	if err != nil {
		return fmt.Errorf("create %s %s: %w", k.what, id, err)
	}
	err = writeOnly(ctx, s, func(ctx context.Context, c *conn) error {
		_, err := c.exec(ctx, k.insert, append([]any{id, org, b}, columns...)...)
		if !errors.Is(err, omni.ErrConflict) {
			return err
		}
		if have, getErr := queryOne(ctx, c, k.get, scanBytes, id, org); getErr == nil && string(have) == string(b) {
			return nil
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("create %s %s: %w", k.what, id, err)
	}
	return nil
}

// find reads a record of organisation t.
func find[T any](ctx context.Context, s *Store, k recordSet[T], t omni.Tenant, id string) (T, error) {
	v, err := read(ctx, s, func(ctx context.Context, c *conn) (T, error) {
		return queryOne(ctx, c, k.get, k.scan, id, t.OrganisationID)
	})
	if err != nil {
		return v, fmt.Errorf("find %s %s: %w", k.what, id, err)
	}
	return v, nil
}

// door reads a record by something that its bearer had to know.
func door[T any](ctx context.Context, s *Store, what string, id stmt, scan func(scanner) (T, error), args ...any) (T, error) {
	v, err := read(ctx, s, func(ctx context.Context, c *conn) (T, error) {
		return queryOne(ctx, c, id, scan, args...)
	})
	if err != nil {
		return v, fmt.Errorf("find %s: %w", what, err)
	}
	return v, nil
}

// update replaces a record of organisation t if its version is still the given one. doc has the next version.
func update[T any](ctx context.Context, s *Store, k recordSet[T], t omni.Tenant, org, id string, version int64, doc any, columns ...any) error {
	if org != t.OrganisationID {
		return fmt.Errorf("update %s %s: %w", k.what, id, omni.ErrNotFound)
	}
	b, err := json.Marshal(doc)
	if err != nil {
		return fmt.Errorf("update %s %s: %w", k.what, id, err)
	}
	err = writeOnly(ctx, s, func(ctx context.Context, c *conn) error {
		n, err := c.exec(ctx, k.update, append([]any{id, org, version, b}, columns...)...)
		if err != nil || n > 0 {
			return err
		}
		if _, err := queryOne(ctx, c, k.get, scanBytes, id, org); err != nil {
			return err
		}
		return fmt.Errorf("version is not %d: %w", version, omni.ErrConflict)
	})
	if err != nil {
		return fmt.Errorf("update %s %s: %w", k.what, id, err)
	}
	return nil
}

// page reads a page of the list that id gives; keys are texts if first is firstText, else numbers.
func page[T any](ctx context.Context, s *Store, list string, id stmt, scan func(scanner) (T, error), p store.Page, first key,
	keyOf func(T) key, args ...any,
) (store.List[T], error) {
	from, limit, err := start(list, p, first)
	if err != nil {
		return store.List[T]{}, fmt.Errorf("list %s: %w", list, err)
	}
	var place any = from.number
	if first == firstText {
		place = from.text
	}
	all, err := read(ctx, s, func(ctx context.Context, c *conn) ([]T, error) {
		return queryAll(ctx, c, id, scan, append(args, place, from.id, limit+1)...)
	})
	if err != nil {
		return store.List[T]{}, fmt.Errorf("list %s: %w", list, err)
	}
	return pageOf(list, all, limit, keyOf), nil
}

// CreateOrganisation implements store.Store.
func (s *Store) CreateOrganisation(ctx context.Context, o omni.Organisation) error {
	return create(ctx, s, organisations, omni.Org(o.ID), o.ID, o.ID, o, o.Version, int64(o.CreatedAt))
}

// Organisation implements store.Store.
func (s *Store) Organisation(ctx context.Context, t omni.Tenant) (omni.Organisation, error) {
	return find(ctx, s, organisations, t, t.OrganisationID)
}

// UpdateOrganisation implements store.Store.
func (s *Store) UpdateOrganisation(ctx context.Context, t omni.Tenant, o omni.Organisation) (omni.Organisation, error) {
	old := o.Version
	o.Version++
	return orNone(o, update(ctx, s, organisations, t, o.ID, o.ID, old, o))
}

// AllOrganisations implements store.Store.
func (s *Store) AllOrganisations(ctx context.Context, p store.Page) (store.List[omni.Organisation], error) {
	return page(ctx, s, "organisations", sqlOrganisations, organisations.scan, p, firstOldest,
		func(o omni.Organisation) key { return key{number: int64(o.CreatedAt), id: o.ID} })
}

// orNone is v, or nothing if there is an error.
func orNone[T any](v T, err error) (T, error) {
	if err != nil {
		var none T
		return none, err
	}
	return v, nil
}

// CreateUser implements store.Store.
func (s *Store) CreateUser(ctx context.Context, t omni.Tenant, u omni.User) error {
	return create(ctx, s, users, t, u.OrganisationID, u.ID, userDoc{u, u.PasswordHash}, u.Version, u.Email, u.Name)
}

// User implements store.Store.
func (s *Store) User(ctx context.Context, t omni.Tenant, id string) (omni.User, error) {
	return find(ctx, s, users, t, id)
}

// UserByEmail implements store.Store.
func (s *Store) UserByEmail(ctx context.Context, email string) (omni.User, error) {
	return door(ctx, s, "user by e-mail", sqlUserByEmail, scanUser, email)
}

// UpdateUser implements store.Store.
func (s *Store) UpdateUser(ctx context.Context, t omni.Tenant, u omni.User) (omni.User, error) {
	old := u.Version
	u.Version++
	return orNone(u, update(ctx, s, users, t, u.OrganisationID, u.ID, old, userDoc{u, u.PasswordHash}, u.Email, u.Name))
}

// Users implements store.Store.
func (s *Store) Users(ctx context.Context, t omni.Tenant, p store.Page) (store.List[omni.User], error) {
	return page(ctx, s, "users "+t.OrganisationID, sqlUsers, scanUser, p, firstText,
		func(u omni.User) key { return key{text: u.Name, id: u.ID} }, t.OrganisationID)
}

// CreateAPIKey implements store.Store.
func (s *Store) CreateAPIKey(ctx context.Context, t omni.Tenant, k omni.APIKey) error {
	return create(ctx, s, apiKeys, t, k.OrganisationID, k.ID, apiKeyDoc{k, k.Hash}, k.Hash, int64(k.CreatedAt))
}

// APIKeyByHash implements store.Store.
func (s *Store) APIKeyByHash(ctx context.Context, hash string) (omni.APIKey, error) {
	return door(ctx, s, "API key", sqlAPIKeyByHash, scanAPIKey, hash)
}

// APIKeys implements store.Store.
func (s *Store) APIKeys(ctx context.Context, t omni.Tenant, p store.Page) (store.List[omni.APIKey], error) {
	return page(ctx, s, "API keys "+t.OrganisationID, sqlAPIKeys, scanAPIKey, p, firstNewest,
		func(k omni.APIKey) key { return key{number: int64(k.CreatedAt), id: k.ID} }, t.OrganisationID)
}

// DeleteAPIKey implements store.Store.
func (s *Store) DeleteAPIKey(ctx context.Context, t omni.Tenant, id string) error {
	err := writeOnly(ctx, s, func(ctx context.Context, c *conn) error {
		return oneRow(c.exec(ctx, sqlAPIKeyDelete, id, t.OrganisationID))
	})
	if err != nil {
		return fmt.Errorf("delete API key %s: %w", id, err)
	}
	return nil
}

// oneRow is omni.ErrNotFound if a statement changed nothing.
func oneRow(n int64, err error) error {
	if err == nil && n == 0 {
		return omni.ErrNotFound
	}
	return err
}

// CreateGroup implements store.Store.
func (s *Store) CreateGroup(ctx context.Context, t omni.Tenant, g omni.DigitalChannelGroup) error {
	return create(ctx, s, groups, t, g.Tenant.OrganisationID, g.ID, g, g.Version, g.Name)
}

// Group implements store.Store.
func (s *Store) Group(ctx context.Context, t omni.Tenant, id string) (omni.DigitalChannelGroup, error) {
	return find(ctx, s, groups, t, id)
}

// UpdateGroup implements store.Store.
func (s *Store) UpdateGroup(ctx context.Context, t omni.Tenant, g omni.DigitalChannelGroup) (omni.DigitalChannelGroup, error) {
	old := g.Version
	g.Version++
	return orNone(g, update(ctx, s, groups, t, g.Tenant.OrganisationID, g.ID, old, g, g.Name))
}

// Groups implements store.Store.
func (s *Store) Groups(ctx context.Context, t omni.Tenant, p store.Page) (store.List[omni.DigitalChannelGroup], error) {
	return page(ctx, s, "groups "+t.OrganisationID, sqlGroups, groups.scan, p, firstText,
		func(g omni.DigitalChannelGroup) key { return key{text: g.Name, id: g.ID} }, t.OrganisationID)
}

// CreateFolder implements store.Store.
func (s *Store) CreateFolder(ctx context.Context, t omni.Tenant, f omni.Folder) error {
	return create(ctx, s, folders, t, f.Tenant.OrganisationID, f.ID, f, f.Version, f.Name)
}

// Folder implements store.Store.
func (s *Store) Folder(ctx context.Context, t omni.Tenant, id string) (omni.Folder, error) {
	return find(ctx, s, folders, t, id)
}

// UpdateFolder implements store.Store.
func (s *Store) UpdateFolder(ctx context.Context, t omni.Tenant, f omni.Folder) (omni.Folder, error) {
	old := f.Version
	f.Version++
	return orNone(f, update(ctx, s, folders, t, f.Tenant.OrganisationID, f.ID, old, f, f.Name))
}

// Folders implements store.Store.
func (s *Store) Folders(ctx context.Context, t omni.Tenant, p store.Page) (store.List[omni.Folder], error) {
	return page(ctx, s, "folders "+t.OrganisationID, sqlFolders, folders.scan, p, firstText,
		func(f omni.Folder) key { return key{text: f.Name, id: f.ID} }, t.OrganisationID)
}

// CreateCarrierAccount implements store.Store.
func (s *Store) CreateCarrierAccount(ctx context.Context, t omni.Tenant, a omni.CarrierAccount) error {
	return create(ctx, s, accounts, t, a.Tenant.OrganisationID, a.ID, accountDoc{a, a.Credentials}, a.Version, a.PublicID, a.Name)
}

// CarrierAccount implements store.Store.
func (s *Store) CarrierAccount(ctx context.Context, t omni.Tenant, id string) (omni.CarrierAccount, error) {
	return find(ctx, s, accounts, t, id)
}

// CarrierAccountByPublicID implements store.Store.
func (s *Store) CarrierAccountByPublicID(ctx context.Context, publicID string) (omni.CarrierAccount, error) {
	return door(ctx, s, "carrier account by public id", sqlAccountByPublicID, scanAccount, publicID)
}

// UpdateCarrierAccount implements store.Store.
func (s *Store) UpdateCarrierAccount(ctx context.Context, t omni.Tenant, a omni.CarrierAccount) (omni.CarrierAccount, error) {
	old := a.Version
	a.Version++
	return orNone(a, update(ctx, s, accounts, t, a.Tenant.OrganisationID, a.ID, old, accountDoc{a, a.Credentials}, a.PublicID, a.Name))
}

// CarrierAccounts implements store.Store.
func (s *Store) CarrierAccounts(ctx context.Context, t omni.Tenant, p store.Page) (store.List[omni.CarrierAccount], error) {
	return page(ctx, s, "carrier accounts "+t.OrganisationID, sqlAccounts, scanAccount, p, firstText,
		func(a omni.CarrierAccount) key { return key{text: a.Name, id: a.ID} }, t.OrganisationID)
}

// channelColumns are the columns of a channel after its version.
func channelColumns(c omni.DigitalChannel) []any {
	var publicID any
	if c.LiveChat != nil {
		publicID = c.LiveChat.PublicID
	}
	return []any{c.Name, c.CarrierAccountID, string(c.ChannelType.Family()), c.Address, publicID}
}

// CreateChannel implements store.Store.
func (s *Store) CreateChannel(ctx context.Context, t omni.Tenant, c omni.DigitalChannel) error {
	return create(ctx, s, channels, t, c.Tenant.OrganisationID, c.ID, c, append([]any{c.Version}, channelColumns(c)...)...)
}

// Channel implements store.Store.
func (s *Store) Channel(ctx context.Context, t omni.Tenant, id string) (omni.DigitalChannel, error) {
	return find(ctx, s, channels, t, id)
}

// ChannelByAddress implements store.Store.
func (s *Store) ChannelByAddress(ctx context.Context, t omni.Tenant, accountID string, family omni.ChannelType, address string) (omni.DigitalChannel, error) {
	return door(ctx, s, "channel by address", sqlChannelByAddress, channels.scan, t.OrganisationID, accountID, string(family.Family()), address)
}

// LiveChatChannel implements store.Store.
func (s *Store) LiveChatChannel(ctx context.Context, publicID string) (omni.DigitalChannel, error) {
	return door(ctx, s, "channel by public id", sqlChannelByPublicID, channels.scan, publicID)
}

// UpdateChannel implements store.Store.
func (s *Store) UpdateChannel(ctx context.Context, t omni.Tenant, c omni.DigitalChannel) (omni.DigitalChannel, error) {
	old := c.Version
	c.Version++
	return orNone(c, update(ctx, s, channels, t, c.Tenant.OrganisationID, c.ID, old, c, channelColumns(c)...))
}

// Channels implements store.Store.
func (s *Store) Channels(ctx context.Context, t omni.Tenant, p store.Page) (store.List[omni.DigitalChannel], error) {
	return page(ctx, s, "channels "+t.OrganisationID, sqlChannels, channels.scan, p, firstText,
		func(c omni.DigitalChannel) key { return key{text: c.Name, id: c.ID} }, t.OrganisationID)
}

// AppendAudit implements store.Store.
func (s *Store) AppendAudit(ctx context.Context, t omni.Tenant, r omni.AuditRecord) error {
	return create(ctx, s, audits, t, r.OrganisationID, r.ID, r, int64(r.At))
}

// AuditRecords implements store.Store.
func (s *Store) AuditRecords(ctx context.Context, t omni.Tenant, p store.Page) (store.List[omni.AuditRecord], error) {
	return page(ctx, s, "audit records "+t.OrganisationID, sqlAuditList, audits.scan, p, firstNewest,
		func(r omni.AuditRecord) key { return key{number: int64(r.At), id: r.ID} }, t.OrganisationID)
}
