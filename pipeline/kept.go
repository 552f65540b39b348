package pipeline

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"omniservice/internal/seal"
	"omniservice/omni"
	"omniservice/store"
)

const (
	keptPlace = "carrier accounts kept for an outage" // what the file is sealed for
	keptSoon  = time.Second                           // after a change, until the file is written
	keptAll   = 10 * time.Minute                      // until all accounts are read again
	keptCost  = 20                                    // times as long as reading all took, at the least, until they are again
)

// kept are the last good copies of all carrier accounts, with their sealed credentials. They have no end date, and are
// in a sealed file too: so a node that starts without a store can check and take webhooks.
type kept struct {
	path string // "" keeps none on disk
	keys *seal.Keyring

	mu      sync.Mutex
	byID    map[string]keptAccount // by public id
	dirty   bool                   // the file holds something else
	changed chan struct{}
	again   chan struct{} // read all of them
}

type keptAccount struct {
	record omni.CarrierAccount
	seen   time.Time // by this process
}

// keptFile is the file.
type keptFile struct {
	KeyID  string `json:"keyId"`
	Nonce  []byte `json:"nonce"`
	Sealed []byte `json:"sealed"` // JSON of the accounts
}

// keptRecord is an account in the file: clients never read sealed credentials, so its own JSON leaves them out.
type keptRecord struct {
	Account     omni.CarrierAccount            `json:"account"`
	Credentials map[string][]omni.SealedSecret `json:"credentials"`
}

// init reads the file. One that cannot be read is as none: what was lost is read from the store again.
func (k *kept) init(path string, keys *seal.Keyring) error {
	*k = kept{path: path, keys: keys, byID: map[string]keptAccount{}, changed: make(chan struct{}, 1), again: make(chan struct{}, 1)}
	if path == "" {
		return nil
	}
	b, err := os.ReadFile(path) // #nosec G304 -- in the operator's data directory
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read kept accounts: %w", err)
	}
	var f keptFile
	if err := json.Unmarshal(b, &f); err != nil {
		return fmt.Errorf("read kept accounts: %w", err)
	}
	plain, err := keys.Open(f.KeyID, f.Nonce, f.Sealed, []byte(keptPlace))
	if err != nil {
		return fmt.Errorf("read kept accounts: %w", err)
	}
	var all []keptRecord
	if err := json.Unmarshal(plain, &all); err != nil {
		return fmt.Errorf("read kept accounts: %w", err)
	}
	for _, r := range all {
		r.Account.Credentials = r.Credentials
		k.byID[r.Account.PublicID] = keptAccount{record: r.Account}
	}
	return nil
}

func (k *kept) get(publicID string) (omni.CarrierAccount, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	a, ok := k.byID[publicID]
	return a.record, ok
}

func (k *kept) put(rec omni.CarrierAccount, now time.Time) {
	k.mu.Lock()
	defer k.mu.Unlock()
	old, ok := k.byID[rec.PublicID]
	k.byID[rec.PublicID] = keptAccount{rec, now}
	if !ok || old.record.Version != rec.Version {
		k.change()
	}
}

func (k *kept) drop(publicID string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if _, ok := k.byID[publicID]; ok {
		delete(k.byID, publicID)
		k.change()
	}
}

// replace makes all the only ones, but for those that were seen after began.
func (k *kept) replace(all []omni.CarrierAccount, began, now time.Time) {
	k.mu.Lock()
	defer k.mu.Unlock()
	next := make(map[string]keptAccount, len(all))
	same := true
	for _, rec := range all {
		next[rec.PublicID] = keptAccount{rec, now}
		old, ok := k.byID[rec.PublicID]
		same = same && ok && old.record.Version == rec.Version
	}
	for id, a := range k.byID {
		if a.seen.After(began) {
			next[id] = a
		}
	}
	if !same || len(next) != len(k.byID) {
		k.change()
	}
	k.byID = next
}

func (k *kept) change() {
	k.dirty = true
	select {
	case k.changed <- struct{}{}:
	default:
	}
}

// refresh asks for all accounts to be read again.
func (k *kept) refresh() {
	select {
	case k.again <- struct{}{}:
	default:
	}
}

// write replaces the file if something has changed.
func (k *kept) write() error {
	k.mu.Lock()
	if !k.dirty || k.path == "" {
		k.mu.Unlock()
		return nil
	}
	k.dirty = false
	all := make([]keptRecord, 0, len(k.byID))
	for _, a := range k.byID {
		all = append(all, keptRecord{a.record, a.record.Credentials})
	}
	k.mu.Unlock()
	err := k.save(all)
	if err != nil {
		k.mu.Lock()
		k.dirty = true
		k.mu.Unlock()
		return fmt.Errorf("write kept accounts: %w", err)
	}
	return nil
}

func (k *kept) save(all []keptRecord) error {
	plain, err := json.Marshal(all)
	if err != nil {
		return err
	}
	var f keptFile
	if f.KeyID, f.Nonce, f.Sealed, err = k.keys.Seal(plain, []byte(keptPlace)); err != nil {
		return err
	}
	b, err := json.Marshal(f)
	if err != nil {
		return err
	}
	tmp, err := os.CreateTemp(filepath.Dir(k.path), ".accounts-*") // 0600
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(tmp.Name()) }() // it is not there any more if all went well
	_, err = tmp.Write(b)
	if err = errors.Join(err, tmp.Sync(), tmp.Close()); err != nil {
		return err
	}
	return os.Rename(tmp.Name(), k.path)
}

// keepAccounts reads all accounts at the start, from time to time and when asked, and writes the file when something has
// changed, until ctx ends.
func (p *Pipeline) keepAccounts(ctx context.Context) error {
	all := time.NewTimer(0)
	defer all.Stop()
	soon := time.NewTimer(time.Hour)
	soon.Stop()
	defer soon.Stop()
	var notBefore time.Time
	for {
		select {
		case <-ctx.Done():
			if err := p.kept.write(); err != nil {
				p.log.WarnContext(ctx, "keep carrier accounts", "err", err)
			}
			return nil
		case <-p.kept.again:
			all.Reset(max(keptSoon, time.Until(notBefore)))
		case <-all.C:
			began := time.Now()
			if err := p.readAccounts(ctx); err != nil && ctx.Err() == nil && !isAway(err) {
				p.log.WarnContext(ctx, "read carrier accounts", "err", err)
			}
			took := time.Since(began)
			notBefore = time.Now().Add(keptCost * took)
			all.Reset(max(keptAll, keptCost*took))
		case <-p.kept.changed:
			soon.Reset(keptSoon)
		case <-soon.C:
			if err := p.kept.write(); err != nil {
				p.log.WarnContext(ctx, "keep carrier accounts", "err", err)
				soon.Reset(keptAll)
			}
		}
	}
}

// readAccounts reads the accounts of every organisation.
func (p *Pipeline) readAccounts(ctx context.Context) error {
	began := p.now()
	var all []omni.CarrierAccount
	err := p.EachAccount(ctx, func(rec omni.CarrierAccount) error {
		if !rec.Disabled {
			all = append(all, rec)
		}
		return nil
	})
	if err != nil {
		return err
	}
	p.kept.replace(all, began, p.now())
	return nil
}

// EachAccount calls do for every carrier account of every organisation, until it fails.
func (p *Pipeline) EachAccount(ctx context.Context, do func(rec omni.CarrierAccount) error) error {
	orgs, err := readAll(ctx, p.store.AllOrganisations)
	if err != nil {
		return fmt.Errorf("list organisations: %w", err)
	}
	for _, o := range orgs {
		some, err := readAll(ctx, func(ctx context.Context, pg store.Page) (store.List[omni.CarrierAccount], error) {
			return p.store.CarrierAccounts(ctx, omni.Org(o.ID), pg)
		})
		if err != nil {
			return fmt.Errorf("list carrier accounts: %w", err)
		}
		for _, rec := range some {
			if err := do(rec); err != nil {
				return err
			}
		}
	}
	return nil
}
