package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"omniservice/internal/seal"
	"omniservice/omni"
	"omniservice/pipeline"
	"omniservice/store"
)

// reseal seals the credentials that are under an older key under the current one: after a start with the new key first
// and the old one behind it, the old one can be left out. What cannot be opened is logged and stays as it is.
func reseal(ctx context.Context, st store.Store, keys *seal.Keyring, log *slog.Logger) error {
	orgs := store.Page{Limit: store.MaxPage}
	for {
		l, err := st.AllOrganisations(ctx, orgs)
		if err != nil {
			return fmt.Errorf("seal credentials anew: %w", err)
		}
		for _, o := range l.Items {
			if err := resealAccounts(ctx, st, omni.Org(o.ID), keys, log); err != nil {
				return err
			}
		}
		if orgs.Cursor = l.Next; orgs.Cursor == "" {
			return nil
		}
	}
}

func resealAccounts(ctx context.Context, st store.Store, t omni.Tenant, keys *seal.Keyring, log *slog.Logger) error {
	page := store.Page{Limit: store.MaxPage}
	for {
		l, err := st.CarrierAccounts(ctx, t, page)
		if err != nil {
			return fmt.Errorf("seal credentials anew: %w", err)
		}
		for _, rec := range l.Items {
			fresh, changed, err := pipeline.ResealCredentials(keys, rec)
			if err != nil {
				log.ErrorContext(ctx, "a credential cannot be opened", "org_id", t.OrganisationID, "account_id", rec.ID, "err", err)
				continue
			}
			if !changed {
				continue
			}
			// A conflict is somebody who changes the account now: what they set is under the current key.
			if _, err := st.UpdateCarrierAccount(ctx, t, fresh); err != nil && !errors.Is(err, omni.ErrConflict) {
				return fmt.Errorf("seal credentials of carrier account %s anew: %w", rec.ID, err)
			}
		}
		if page.Cursor = l.Next; page.Cursor == "" {
			return nil
		}
	}
}
