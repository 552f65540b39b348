package sqlitestore

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"omniservice/omni"
	"omniservice/store"
)

// consentRow is a word about consent with its place in the ledger.
type consentRow struct {
	omni.ConsentUpdate

	seq int64
}

// Consents implements store.Store.
func (s *Store) Consents(ctx context.Context, t omni.Tenant, identityID string, p store.Page) (store.List[omni.ConsentUpdate], error) {
	none := store.List[omni.ConsentUpdate]{}
	i, err := s.Identity(ctx, t, identityID)
	if err != nil {
		return none, err
	}
	rows, err := page(ctx, s, "consents "+t.OrganisationID+" "+identityID, sqlConsents, func(r scanner) (v consentRow, err error) {
		v.ChannelType, v.Address, v.Tenant.OrganisationID = i.ChannelType, i.Address, t.OrganisationID
		return v, r.Scan(&v.seq, &v.OptedOut, &v.By, &v.Tenant.UserID, &v.At)
	}, p, firstNewest, func(v consentRow) key {
		return key{number: int64(v.At), id: strconv.FormatInt(v.seq, 10)}
	}, t.OrganisationID, identityID)
	if err != nil {
		return none, err
	}
	l := store.List[omni.ConsentUpdate]{Next: rows.Next}
	for _, r := range rows.Items {
		l.Items = append(l.Items, r.ConsentUpdate)
	}
	return l, nil
}

// atAddress finds the identity that an address stands for: its own, or an alias.
func atAddress(ctx context.Context, c *conn, t omni.Tenant, family omni.ChannelType, address string) (identityRow, error) {
	i, err := queryOne(ctx, c, sqlIdentityByAddress, scanIdentityRow, t.OrganisationID, string(family.Family()), address)
	if errors.Is(err, omni.ErrNotFound) {
		i, err = queryOne(ctx, c, sqlIdentityByAlias, scanIdentityRow, t.OrganisationID, string(family.Family()), address)
	}
	return i, err
}

// hasAddress reports whether an address is one of i's.
func hasAddress(i omni.ContactIdentity, address string) bool {
	return i.Address == address ||
		slices.ContainsFunc(i.Aliases, func(a omni.IdentityAlias) bool { return a.Address == address })
}

// withAliases adds what stands for nobody yet, as far as there is room. added tells whether any was.
func withAliases(ctx context.Context, c *conn, t omni.Tenant, i *omni.ContactIdentity, aliases []omni.IdentityAlias) (added bool, err error) {
	i.Aliases = slices.Clone(i.Aliases)
	for _, a := range aliases {
		if hasAddress(*i, a.Address) || len(i.Aliases) >= omni.MaxAliases {
			continue
		}
		_, err := atAddress(ctx, c, t, i.ChannelType, a.Address)
		if err == nil {
			continue
		}
		if !errors.Is(err, omni.ErrNotFound) {
			return added, err
		}
		i.Aliases = append(i.Aliases, a)
		added = true
	}
	return added, nil
}

// changeIdentity reads an identity, has it changed, and stores it if change says so.
func changeIdentity(ctx context.Context, s *Store, op string, t omni.Tenant, id string,
	change func(ctx context.Context, c *conn, i *omni.ContactIdentity) (bool, error),
) (omni.ContactIdentity, error) {
	i, err := write(ctx, s, func(ctx context.Context, c *conn) (identityRow, error) {
		i, err := queryOne(ctx, c, sqlIdentity, scanIdentityRow, id, t.OrganisationID)
		if err != nil {
			return i, err
		}
		if changed, err := change(ctx, c, &i.ContactIdentity); err != nil || !changed {
			return i, err
		}
		return i, putIdentity(ctx, c, i)
	})
	if err != nil {
		return omni.ContactIdentity{}, fmt.Errorf("%s %s: %w", op, id, err)
	}
	return i.ContactIdentity, nil
}

// free is omni.ErrConflict if an address stands for another identity.
func free(ctx context.Context, c *conn, t omni.Tenant, i omni.ContactIdentity, address string) error {
	other, err := atAddress(ctx, c, t, i.ChannelType, address)
	switch {
	case errors.Is(err, omni.ErrNotFound):
		return nil
	case err == nil && other.ID != i.ID:
		return fmt.Errorf("the address is another identity's: %w", omni.ErrConflict)
	default:
		return err
	}
}

func tooManyAliases() error {
	return omni.Problemf(omni.ErrInvalid, "an identity has at most %d aliases", omni.MaxAliases)
}

// AddAlias implements store.Store.
func (s *Store) AddAlias(ctx context.Context, t omni.Tenant, identityID string, a omni.IdentityAlias) (omni.ContactIdentity, error) {
	return changeIdentity(ctx, s, "add alias to identity", t, identityID, func(ctx context.Context, c *conn, i *omni.ContactIdentity) (bool, error) {
		if hasAddress(*i, a.Address) {
			return false, nil
		}
		if err := free(ctx, c, t, *i, a.Address); err != nil {
			return false, err
		}
		if len(i.Aliases) >= omni.MaxAliases {
			return false, tooManyAliases()
		}
		i.Aliases = append(i.Aliases, a)
		return true, nil
	})
}

// RemoveAlias implements store.Store.
func (s *Store) RemoveAlias(ctx context.Context, t omni.Tenant, identityID, address string) (omni.ContactIdentity, error) {
	return changeIdentity(ctx, s, "remove alias of identity", t, identityID, func(_ context.Context, _ *conn, i *omni.ContactIdentity) (bool, error) {
		before := len(i.Aliases)
		i.Aliases = without(i.Aliases, address)
		return len(i.Aliases) < before, nil
	})
}

// without gives aliases but for that of an address; none are nil.
func without(aliases []omni.IdentityAlias, address string) []omni.IdentityAlias {
	var left []omni.IdentityAlias
	for _, a := range aliases {
		if a.Address != address {
			left = append(left, a)
		}
	}
	return left
}

// ChangeAddress implements store.Store.
func (s *Store) ChangeAddress(ctx context.Context, t omni.Tenant, identityID, address string, at omni.Millis) (omni.ContactIdentity, error) {
	return changeIdentity(ctx, s, "change address of identity", t, identityID, func(ctx context.Context, c *conn, i *omni.ContactIdentity) (bool, error) {
		if i.Address == address {
			return false, nil
		}
		if err := free(ctx, c, t, *i, address); err != nil {
			return false, err
		}
		i.Aliases = append(without(i.Aliases, address), omni.IdentityAlias{Address: i.Address, Kind: omni.AliasFormer, At: at})
		if len(i.Aliases) > omni.MaxAliases {
			return false, tooManyAliases()
		}
		i.Address = address
		_, err := c.exec(ctx, sqlIdentityAddress, identityID, t.OrganisationID, address)
		return true, err
	})
}

// SetExternalIDs implements store.Store.
func (s *Store) SetExternalIDs(ctx context.Context, t omni.Tenant, identityID string, ids []omni.ExternalID) (omni.ContactIdentity, error) {
	return changeIdentity(ctx, s, "set external ids of identity", t, identityID, func(_ context.Context, _ *conn, i *omni.ContactIdentity) (bool, error) {
		i.ExternalIDs = nil
		if len(ids) > 0 {
			i.ExternalIDs = slices.Clone(ids)
		}
		return true, nil
	})
}

// ContactsByExternalID implements store.Store.
func (s *Store) ContactsByExternalID(ctx context.Context, t omni.Tenant, system, id string) ([]omni.Contact, error) {
	all, err := read(ctx, s, func(ctx context.Context, c *conn) ([]omni.Contact, error) {
		return queryAll(ctx, c, sqlContactsByExternalID, contacts.scan, t.OrganisationID, system, id, store.MaxPage)
	})
	if err != nil {
		return nil, fmt.Errorf("list contacts by external id: %w", err)
	}
	return all, nil
}
