package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"omniservice/internal/seal"
	"omniservice/omni"
	"omniservice/store"
)

// Markers of a store.
const (
	markerKey    = "secret key" // a value that the store's secret key opens
	markerImport = "import"     // how far an import has come: there while one is not finished
	markerDone   = "imported"   // the id of the last export that was imported
	markerID     = "id"         // names the store
)

// keyCheckText is what is sealed to see later whether a key is the same.
const keyCheckText = "omniservice key check"

// errWrongKey says that data were made with another secret key.
var errWrongKey = errors.New("the secret key is another one than these data were made with: credentials of carriers would not open. " +
	"Set OMNI_SECRET_KEY to the key of then, or put its file secret.key into the data directory")

// sealCheck makes a value by which a key is known again. It tells nothing about the key.
func sealCheck(keys *seal.Keyring) (*omni.SealedSecret, error) {
	id, nonce, sealed, err := keys.Seal([]byte(keyCheckText), []byte(keyCheckText))
	if err != nil {
		return nil, err
	}
	return &omni.SealedSecret{KeyID: id, Nonce: nonce, Ciphertext: sealed}, nil
}

// fits reports whether keys open what sealCheck made.
func fits(keys *seal.Keyring, check *omni.SealedSecret) bool {
	text, err := keys.Open(check.KeyID, check.Nonce, check.Ciphertext, []byte(keyCheckText))
	return err == nil && string(text) == keyCheckText
}

// storedCheck is the check that a store keeps, or nil.
func storedCheck(ctx context.Context, st store.Store) (*omni.SealedSecret, error) {
	b, err := st.Marker(ctx, markerKey)
	if err != nil || b == nil {
		return nil, err
	}
	var check omni.SealedSecret
	if err := json.Unmarshal(b, &check); err != nil {
		return nil, fmt.Errorf("marker %s: %w", markerKey, err)
	}
	return &check, nil
}

// keepCheck makes sure that a store is used with the key that it was made with: the first key that comes is remembered, and
// after a rotation the newest one.
func keepCheck(ctx context.Context, st store.Store, keys *seal.Keyring) error {
	check, err := storedCheck(ctx, st)
	if err != nil {
		return fmt.Errorf("check secret key: %w", err)
	}
	switch {
	case check == nil || fits(keys, check) && check.KeyID != keys.CurrentID():
	case !fits(keys, check):
		return errWrongKey
	default:
		return nil
	}
	if check, err = sealCheck(keys); err != nil {
		return fmt.Errorf("check secret key: %w", err)
	}
	b, err := json.Marshal(check)
	if err != nil {
		return fmt.Errorf("check secret key: %w", err)
	}
	return st.SetMarker(ctx, markerKey, b)
}

// existingKeyring is the configured key or the one in the data directory, or nil if there is none: none is made.
func (c *Config) existingKeyring() (*seal.Keyring, error) {
	text := c.SecretKey.Reveal()
	if text == "" {
		b, err := os.ReadFile(filepath.Join(c.DataDir, keyName)) // #nosec G304 -- in the operator's data directory
		if errors.Is(err, fs.ErrNotExist) {
			return nil, nil //nolint:nilnil // that there is none is an answer
		}
		if err != nil {
			return nil, fmt.Errorf("read secret key: %w", err)
		}
		text = strings.TrimSpace(string(b))
	}
	return keyringOf(text)
}

// readyStore refuses a store that an import has not finished with, or that was made with another secret key.
func readyStore(ctx context.Context, st store.Store, keys *seal.Keyring) error {
	unfinished, err := st.Marker(ctx, markerImport)
	if err != nil {
		return fmt.Errorf("look for an unfinished import: %w", err)
	}
	if unfinished != nil {
		return errors.New("an import into this store is not finished: run the same `omniservice import` again, it goes on where it stood")
	}
	return keepCheck(ctx, st, keys)
}

// storeID names a store; it is given at the first use.
func storeID(ctx context.Context, st store.Store) (string, error) {
	b, err := st.Marker(ctx, markerID)
	if err == nil && b == nil {
		b = []byte(omni.NewID())
		err = st.SetMarker(ctx, markerID, b)
	}
	return string(b), err
}
