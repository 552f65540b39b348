package app

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"omniservice/omni"
	"omniservice/server/auth"
	"omniservice/store"
	"omniservice/store/mongostore"
	"omniservice/store/sqlitestore"
)

// loginLinkTTL is how long a printed login link works.
const loginLinkTTL = 24 * time.Hour

// OpenStore opens the store of a configuration for programs beside the server, ready to be used.
func OpenStore(ctx context.Context, c Config) (store.Store, error) {
	st, err := openStore(ctx, c)
	if err != nil {
		return nil, err
	}
	if m, ok := st.(*mongostore.Store); ok {
		if _, err := m.EnsureIndexes(ctx); err != nil {
			return nil, errors.Join(err, st.Close())
		}
	}
	return st, nil
}

// openStore opens the store of a configuration. A MongoDB need not be there yet, and has to be prepared.
func openStore(ctx context.Context, c Config) (store.Store, error) {
	if !c.MongoURI.IsZero() {
		return mongostore.Open(ctx, c.MongoURI.Reveal(), mongostore.Options{ServerExpiry: true})
	}
	if err := os.MkdirAll(c.DataDir, 0o700); err != nil {
		return nil, fmt.Errorf("data directory: %w", err)
	}
	st, err := sqlitestore.New(ctx, filepath.Join(c.DataDir, storeName), sqlitestore.Options{})
	if err != nil {
		return nil, fmt.Errorf("open store in %s: %w", c.DataDir, err)
	}
	return st, nil
}

// NewUser is what a user is made from.
type NewUser struct {
	Organisation string // name or id; made with a group "Everyone" if there is none of that name. Empty: the only one there is
	Email        string
	Name         string // empty: the part of Email before the @
	Role         omni.Role
	Password     omni.Secret // may be empty
}

// MadeUser is a user who was made.
type MadeUser struct {
	UserID         string `json:"userId"`
	OrganisationID string `json:"organisationId"`
	GroupID        string `json:"groupId,omitempty"` // of the organisation's first group, if it was made too
	LoginToken     string `json:"loginToken"`        // logs in once, for 24 hours
}

// CreateUser makes a user, and their organisation if it is not there yet.
func CreateUser(ctx context.Context, st store.Store, n NewUser, now time.Time) (MadeUser, error) {
	org, created, err := findOrganisation(ctx, st, n.Organisation, now)
	if err != nil {
		return MadeUser{}, err
	}
	t := omni.Org(org.ID)
	n.Email = strings.ToLower(strings.TrimSpace(n.Email))
	if n.Name == "" {
		n.Name, _, _ = strings.Cut(n.Email, "@")
	}
	u := omni.User{
		ID: omni.NewIDAt(now), OrganisationID: org.ID, Email: n.Email, Name: n.Name, Role: n.Role,
		Version: 1, CreatedAt: omni.MillisOf(now), SchemaVersion: omni.CurrentSchema,
	}
	if err := u.Validate(); err != nil {
		return MadeUser{}, err
	}
	if !n.Password.IsZero() {
		if u.PasswordHash, err = auth.HashPassword(n.Password.Reveal()); err != nil {
			return MadeUser{}, err
		}
	}
	if created {
		if err := st.CreateOrganisation(ctx, org); err != nil {
			return MadeUser{}, fmt.Errorf("create organisation: %w", err)
		}
	}
	if err := st.CreateUser(ctx, t, u); err != nil {
		if errors.Is(err, omni.ErrConflict) {
			return MadeUser{}, fmt.Errorf("there is a user %s already: %w", n.Email, omni.ErrConflict)
		}
		return MadeUser{}, fmt.Errorf("create user: %w", err)
	}
	made := MadeUser{UserID: u.ID, OrganisationID: org.ID}
	if created {
		g := omni.DigitalChannelGroup{
			ID: omni.NewIDAt(now), Tenant: t, Name: "Everyone", Type: omni.GroupShared, MemberIDs: []string{u.ID},
			Routing: omni.GroupRouting{Strategy: "manual"}, Version: 1, CreatedAt: omni.MillisOf(now), SchemaVersion: omni.CurrentSchema,
		}
		if err := st.CreateGroup(ctx, t, g); err != nil {
			return MadeUser{}, fmt.Errorf("create group: %w", err)
		}
		made.GroupID = g.ID
	}
	made.LoginToken, err = LoginToken(ctx, st, u, now)
	if err != nil {
		return MadeUser{}, err
	}
	return made, st.AppendAudit(ctx, t, omni.AuditRecord{
		ID: omni.NewIDAt(now), OrganisationID: org.ID, ActorID: "system", Action: "user.create", TargetID: u.ID,
		Details: map[string]string{"role": string(u.Role)}, At: omni.MillisOf(now),
	})
}

// LoginToken makes a token that logs a user in once.
func LoginToken(ctx context.Context, st store.Store, u omni.User, now time.Time) (string, error) {
	token, rec := auth.NewLoginToken(now, u, loginLinkTTL)
	if err := st.PutOneTimeToken(ctx, omni.Org(u.OrganisationID), rec); err != nil {
		return "", fmt.Errorf("store login token: %w", err)
	}
	return token, nil
}

// CreateAPIKey makes an API key for programs that set the gateway up or send through it. The key is shown this once.
func CreateAPIKey(ctx context.Context, st store.Store, organisation, name string, role omni.Role, now time.Time) (key string, rec omni.APIKey, err error) {
	org, created, err := findOrganisation(ctx, st, organisation, now)
	if err != nil {
		return "", rec, err
	}
	if created {
		return "", rec, omni.Problemf(omni.ErrNotFound, "there is no organisation %q: make it with its first admin by `omniservice user create`", organisation)
	}
	key, rec = auth.NewAPIKey(now, org.ID, name, role, 0)
	if err := rec.Validate(); err != nil {
		return "", rec, err
	}
	if err := st.CreateAPIKey(ctx, omni.Org(org.ID), rec); err != nil {
		return "", rec, fmt.Errorf("create API key: %w", err)
	}
	return key, rec, st.AppendAudit(ctx, omni.Org(org.ID), omni.AuditRecord{
		ID: omni.NewIDAt(now), OrganisationID: org.ID, ActorID: "system", Action: "apikey.create", TargetID: rec.ID,
		Details: map[string]string{"role": string(role)}, At: omni.MillisOf(now),
	})
}

// findOrganisation finds an organisation by name or id, or makes the record of a new one, not yet stored.
func findOrganisation(ctx context.Context, st store.Store, nameOrID string, now time.Time) (o omni.Organisation, created bool, err error) {
	l, err := st.AllOrganisations(ctx, store.Page{Limit: store.MaxPage})
	if err != nil {
		return o, false, fmt.Errorf("list organisations: %w", err)
	}
	if nameOrID == "" {
		switch len(l.Items) {
		case 1:
			return l.Items[0], false, nil
		case 0:
			nameOrID = "My organisation"
		default:
			return o, false, omni.Problemf(omni.ErrInvalid, "there are several organisations: name one with --organisation")
		}
	}
	for {
		for _, o := range l.Items {
			if o.ID == nameOrID || strings.EqualFold(o.Name, nameOrID) {
				return o, false, nil
			}
		}
		if l.Next == "" {
			break
		}
		if l, err = st.AllOrganisations(ctx, store.Page{Cursor: l.Next, Limit: store.MaxPage}); err != nil {
			return o, false, fmt.Errorf("list organisations: %w", err)
		}
	}
	return omni.Organisation{
		ID: omni.NewIDAt(now), Name: nameOrID, DefaultCountry: "US", ReopenMinutes: 7 * 24 * 60, Version: 1,
		CreatedAt: omni.MillisOf(now), SchemaVersion: omni.CurrentSchema,
	}, true, nil
}
