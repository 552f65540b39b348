package pipeline

import (
	"context"
	"errors"
	"fmt"

	"omniservice/carriers"
	"omniservice/internal/seal"
	"omniservice/omni"
)

// Account is a carrier account that is ready to use.
type Account struct {
	Record   omni.CarrierAccount
	Provider carriers.Provider
	Carrier  carriers.Carrier
	expires  omni.Millis // when one of its older credentials ends; 0: none does
}

// Account finds the account that a webhook URL names. Unknown and disabled ones are omni.ErrNotFound: that is said only
// after the store was asked. While the store is away the last good copy is used, however old; an account of which there is
// none is omni.ErrUnavailable then.
func (p *Pipeline) Account(ctx context.Context, publicID string) (*Account, error) {
	if a, fresh := p.caches.accounts.fresh(publicID); fresh {
		return a, nil
	}
	if p.outage.away.Load() {
		if a, ok := p.lastGood(publicID); ok {
			return a, nil
		}
	}
	soon, cancel := p.storeSoon(ctx)
	rec, err := p.store.CarrierAccountByPublicID(soon, publicID)
	cancel()
	if err == nil {
		a, err := p.reopen(rec)
		if err == nil {
			p.caches.accounts.put(publicID, a)
			p.kept.put(rec, p.now())
			return a, nil
		}
		p.caches.accounts.forget(publicID)
		if errors.Is(err, omni.ErrNotFound) {
			p.kept.drop(publicID)
		}
		return nil, err
	}
	if errors.Is(err, omni.ErrNotFound) {
		p.caches.accounts.forget(publicID)
		p.kept.drop(publicID)
		return nil, err
	}
	if ctx.Err() != nil {
		return nil, err
	}
	if isAway(err) {
		p.goAway(ctx, err)
	}
	if a, ok := p.lastGood(publicID); ok {
		return a, nil
	}
	return nil, fmt.Errorf("%w: %w", omni.ErrUnavailable, err)
}

// lastGood is the account as it was when the store last gave it, to this process or to one before.
func (p *Pipeline) lastGood(publicID string) (*Account, bool) {
	a, ok := p.caches.accounts.peek(publicID)
	if ok && (a.expires == 0 || a.expires > p.millis()) {
		return a, true
	}
	rec, ok := p.kept.get(publicID)
	if !ok {
		return nil, false
	}
	a, err := p.reopen(rec)
	if err != nil {
		return nil, false
	}
	p.caches.accounts.keep(publicID, a)
	return a, true
}

// AccountByID finds an organisation's account. Disabled ones are omni.ErrNotFound.
func (p *Pipeline) AccountByID(ctx context.Context, t omni.Tenant, id string) (*Account, error) {
	a, err := p.caches.byID.get(id, func() (*Account, error) {
		rec, err := p.store.CarrierAccount(ctx, t, id)
		if err != nil {
			return nil, err
		}
		return p.reopen(rec)
	})
	if err == nil && a.Record.Tenant.OrganisationID != t.OrganisationID {
		return nil, omni.ErrNotFound
	}
	return a, err
}

// reopen keeps the account that is open already if nothing of it has changed.
func (p *Pipeline) reopen(rec omni.CarrierAccount) (*Account, error) {
	if rec.Disabled {
		return nil, omni.Problemf(omni.ErrNotFound, "the carrier account is disabled")
	}
	if a, ok := p.caches.byID.peek(rec.ID); ok && a.Record.Version == rec.Version && (a.expires == 0 || a.expires > p.millis()) {
		return a, nil
	}
	a, err := p.open(rec)
	if err == nil {
		p.caches.byID.put(rec.ID, a)
	}
	return a, err
}

func (p *Pipeline) open(rec omni.CarrierAccount) (*Account, error) {
	provider, err := p.reg.Provider(rec.Carrier)
	if err != nil {
		return nil, err
	}
	a := carriers.Account{ID: rec.ID, PublicID: rec.PublicID, Config: rec.Config, Credentials: map[string][]omni.Secret{}}
	var expires omni.Millis
	for name, sealed := range rec.Credentials {
		for _, s := range sealed {
			if s.ValidUntil > 0 && s.ValidUntil <= p.millis() {
				continue
			}
			if s.ValidUntil > 0 && (expires == 0 || s.ValidUntil < expires) {
				expires = s.ValidUntil
			}
			plain, err := p.keys.Open(s.KeyID, s.Nonce, s.Ciphertext, credentialPlace(rec, name))
			if err != nil {
				return nil, fmt.Errorf("credential %s of carrier account %s: %w", name, rec.ID, err)
			}
			a.Credentials[name] = append(a.Credentials[name], omni.NewSecret(string(plain)))
		}
	}
	c, err := provider.Open(a, carriers.Options{
		WebhookURL: p.WebhookURL(rec), HTTP: p.o.HTTP, APIBase: p.o.APIBase[rec.Carrier], Deliver: p.Deliver, Now: p.now,
		OpenFile: p.openFile(rec.Tenant.OrganisationID),
	})
	if err != nil {
		return nil, err
	}
	return &Account{Record: rec, Provider: provider, Carrier: c, expires: expires}, nil
}

// CheckAccount opens the account without keeping it: an omni.Problem says which setting is wrong.
func (p *Pipeline) CheckAccount(rec omni.CarrierAccount) error {
	_, err := p.open(rec)
	return err
}

// WebhookURL is where the carrier of an account posts to.
func (p *Pipeline) WebhookURL(rec omni.CarrierAccount) string {
	return p.o.PublicURL + "/webhooks/" + rec.Carrier.Path() + "/" + rec.PublicID
}

// SealCredential encrypts a credential of an account. It opens only as that credential of that account.
func SealCredential(k *seal.Keyring, rec omni.CarrierAccount, name, value string) (omni.SealedSecret, error) {
	id, nonce, ct, err := k.Seal([]byte(value), credentialPlace(rec, name))
	if err != nil {
		return omni.SealedSecret{}, err
	}
	return omni.SealedSecret{KeyID: id, Nonce: nonce, Ciphertext: ct, Hint: omni.NewSecret(value).Hint()}, nil
}

// ResealCredentials gives the account with every credential sealed under the current key, so that an older key can be
// taken away. changed is false if they were already.
func ResealCredentials(k *seal.Keyring, rec omni.CarrierAccount) (out omni.CarrierAccount, changed bool, err error) {
	out = rec
	out.Credentials = make(map[string][]omni.SealedSecret, len(rec.Credentials))
	for name, all := range rec.Credentials {
		for _, s := range all {
			if s.KeyID != k.CurrentID() {
				place := credentialPlace(rec, name)
				plain, err := k.Open(s.KeyID, s.Nonce, s.Ciphertext, place)
				if err != nil {
					return rec, false, fmt.Errorf("credential %s of carrier account %s: %w", name, rec.ID, err)
				}
				if s.KeyID, s.Nonce, s.Ciphertext, err = k.Seal(plain, place); err != nil {
					return rec, false, fmt.Errorf("seal credential %s of carrier account %s: %w", name, rec.ID, err)
				}
				changed = true
			}
			out.Credentials[name] = append(out.Credentials[name], s)
		}
	}
	return out, changed, nil
}

func credentialPlace(rec omni.CarrierAccount, name string) []byte {
	return []byte(rec.Tenant.OrganisationID + "/" + rec.ID + "/" + name)
}

// OpenCredential opens the newest credential of a name.
func OpenCredential(k *seal.Keyring, rec omni.CarrierAccount, name string) (omni.Secret, error) {
	sealed := rec.Credentials[name]
	if len(sealed) == 0 {
		return omni.Secret{}, omni.Problemf(omni.ErrNotFound, "carrier account %s has no credential %s", rec.ID, name)
	}
	plain, err := k.Open(sealed[0].KeyID, sealed[0].Nonce, sealed[0].Ciphertext, credentialPlace(rec, name))
	if err != nil {
		return omni.Secret{}, fmt.Errorf("credential %s of carrier account %s: %w", name, rec.ID, err)
	}
	return omni.NewSecret(string(plain)), nil
}
