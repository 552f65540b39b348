// Package seal encrypts small secrets for storage and derives keys for other purposes, all from one master key
// that has an id and can be rotated.
package seal

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
)

// KeySize is the length of a master key in bytes.
const KeySize = 32

// ErrOpen says that a sealed value does not open: wrong key, wrong place, or damaged.
var ErrOpen = errors.New("sealed value does not open")

// Keyring holds the master keys: one that seals, and older ones that still open. It is safe for concurrent use.
type Keyring struct {
	current string
	keys    map[string][]byte
	aeads   map[string]cipher.AEAD
}

// New makes a keyring. Every key is KeySize bytes; current names the one that seals.
func New(current string, keys map[string][]byte) (*Keyring, error) {
	k := &Keyring{current: current, keys: make(map[string][]byte, len(keys)), aeads: make(map[string]cipher.AEAD, len(keys))}
	for id, key := range keys {
		if len(key) != KeySize {
			return nil, fmt.Errorf("master key %q has %d bytes, it must have %d", id, len(key), KeySize)
		}
		sub, err := hkdf.Key(sha256.New, key, nil, "omniservice seal v1", KeySize)
		if err != nil {
			return nil, fmt.Errorf("derive from master key %q: %w", id, err)
		}
		block, err := aes.NewCipher(sub)
		if err != nil {
			return nil, fmt.Errorf("master key %q: %w", id, err)
		}
		aead, err := cipher.NewGCM(block)
		if err != nil {
			return nil, fmt.Errorf("master key %q: %w", id, err)
		}
		k.keys[id], k.aeads[id] = key, aead
	}
	if _, ok := k.keys[current]; !ok {
		return nil, fmt.Errorf("there is no master key %q", current)
	}
	return k, nil
}

// CurrentID names the key that seals.
func (k *Keyring) CurrentID() string { return k.current }

// Seal encrypts plaintext with AES-256-GCM. The same aad must be given to Open: it binds the value to its place.
func (k *Keyring) Seal(plaintext, aad []byte) (keyID string, nonce, ciphertext []byte, err error) {
	aead := k.aeads[k.current]
	nonce = make([]byte, aead.NonceSize())
	if _, err := rand.Read(nonce); err != nil {
		return "", nil, nil, fmt.Errorf("seal: %w", err)
	}
	return k.current, nonce, aead.Seal(nil, nonce, plaintext, aad), nil
}

// Open decrypts what Seal made; every failure wraps ErrOpen.
func (k *Keyring) Open(keyID string, nonce, ciphertext, aad []byte) ([]byte, error) {
	aead, ok := k.aeads[keyID]
	if !ok {
		return nil, fmt.Errorf("key %q is not known here: %w", keyID, ErrOpen)
	}
	if len(nonce) != aead.NonceSize() {
		return nil, ErrOpen
	}
	plaintext, err := aead.Open(nil, nonce, ciphertext, aad)
	if err != nil {
		return nil, ErrOpen
	}
	return plaintext, nil
}

// Derived is a key for one purpose, made from one master key.
type Derived struct {
	ID  string // of the master key
	Key []byte // KeySize bytes
}

// Derive makes the keys of a purpose, the current one first: a signature is made with the first and checked with all.
func (k *Keyring) Derive(purpose string) ([]Derived, error) {
	all := make([]Derived, 0, len(k.keys))
	for id, key := range k.keys {
		sub, err := hkdf.Key(sha256.New, key, nil, "omniservice "+purpose, KeySize)
		if err != nil {
			return nil, fmt.Errorf("derive %s: %w", purpose, err)
		}
		if id == k.current {
			all = append([]Derived{{id, sub}}, all...)
		} else {
			all = append(all, Derived{id, sub})
		}
	}
	return all, nil
}
