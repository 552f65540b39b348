package auth

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"regexp"
	"sync"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"omniservice/omni"
)

// Algorithm is how a key signs. It belongs to the key; a token's own word for it only has to agree.
type Algorithm string

// The algorithms.
const (
	HS256 Algorithm = "HS256"
	EdDSA Algorithm = "EdDSA"
)

// Leeway is how far other clocks may be off.
const Leeway = 60 * time.Second

// Key signs or verifies tokens under an id.
type Key struct {
	ID        string // kid: 1 to 64 letters, digits, - and _
	Algorithm Algorithm
	Secret    []byte             // HS256: at least 32 bytes
	Private   ed25519.PrivateKey // EdDSA: needed to sign
	Public    ed25519.PublicKey  // EdDSA
}

var keyID = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)

func (k Key) check(signs bool) error {
	switch {
	case !keyID.MatchString(k.ID):
		return errors.New("the id of a signing key must be 1 to 64 letters, digits, - and _")
	case k.Algorithm == HS256 && len(k.Secret) < 32:
		return fmt.Errorf("signing key %s: an HS256 secret must be at least 32 bytes", k.ID)
	case k.Algorithm == EdDSA && len(k.Public) != ed25519.PublicKeySize:
		return fmt.Errorf("signing key %s: the public key must be 32 bytes", k.ID)
	case k.Algorithm == EdDSA && signs && len(k.Private) != ed25519.PrivateKeySize:
		return fmt.Errorf("signing key %s: the private key must be 64 bytes", k.ID)
	case k.Algorithm != HS256 && k.Algorithm != EdDSA:
		return fmt.Errorf("signing key %s: the algorithm must be HS256 or EdDSA", k.ID)
	}
	return nil
}

func (k Key) method() jwt.SigningMethod {
	if k.Algorithm == EdDSA {
		return jwt.SigningMethodEdDSA
	}
	return jwt.SigningMethodHS256
}

// Claims is what our tokens say.
type Claims struct {
	jwt.RegisteredClaims

	OrganisationID string `json:"org"`
	SessionID      string `json:"sid,omitempty"` // access tokens
	ChannelID      string `json:"chn,omitempty"` // visitor tokens
}

// Tokens signs and verifies the tokens of one purpose: the audience. It is safe for concurrent use.
type Tokens struct {
	issuer, audience string
	now              func() time.Time

	mu    sync.RWMutex
	first Key
	byID  map[string]Key
}

// NewTokens makes the tokens of an audience. The first key signs; all of them verify. Unsafe keys are an error.
func NewTokens(issuer, audience string, now func() time.Time, keys ...Key) (*Tokens, error) {
	t := &Tokens{issuer: issuer, audience: audience, now: now}
	if err := t.Rotate(keys...); err != nil {
		return nil, err
	}
	return t, nil
}

// Rotate replaces the keys without a restart: the first signs from now on, the others verify what was signed before.
func (t *Tokens) Rotate(keys ...Key) error {
	if len(keys) == 0 {
		return errors.New("there is no signing key")
	}
	byID := make(map[string]Key, len(keys))
	for i, k := range keys {
		if err := k.check(i == 0); err != nil {
			return err
		}
		if _, ok := byID[k.ID]; ok {
			return fmt.Errorf("signing key %s is there twice", k.ID)
		}
		byID[k.ID] = k
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.first, t.byID = keys[0], byID
	return nil
}

// Sign makes a token of c that ends at end. Issuer, audience and times are set here.
func (t *Tokens) Sign(c Claims, end time.Time) (string, error) {
	t.mu.RLock()
	k := t.first
	t.mu.RUnlock()
	now := t.now()
	c.Issuer, c.Audience = t.issuer, jwt.ClaimStrings{t.audience}
	c.IssuedAt, c.NotBefore, c.ExpiresAt = jwt.NewNumericDate(now), jwt.NewNumericDate(now), jwt.NewNumericDate(end)
	token := jwt.NewWithClaims(k.method(), c)
	token.Header["kid"] = k.ID
	var key any = k.Secret
	if k.Algorithm == EdDSA {
		key = k.Private
	}
	s, err := token.SignedString(key)
	if err != nil {
		return "", fmt.Errorf("sign a token for %s: %w", t.audience, err)
	}
	return s, nil
}

// maxToken is longer than any token of ours: what is longer is not read.
const maxToken = 4096

// Verify returns what a token says. Whatever is wrong with it is omni.ErrUnauthenticated.
func (t *Tokens) Verify(token string) (Claims, error) {
	if len(token) > maxToken {
		return Claims{}, unauthenticated("the token is too long")
	}
	var c Claims
	_, err := jwt.NewParser(
		jwt.WithValidMethods([]string{string(HS256), string(EdDSA)}),
		jwt.WithLeeway(Leeway), jwt.WithTimeFunc(t.now), jwt.WithIssuer(t.issuer), jwt.WithAudience(t.audience),
		jwt.WithExpirationRequired(), jwt.WithNotBeforeRequired(), jwt.WithStrictDecoding(),
	).ParseWithClaims(token, &c, t.key)
	if err != nil {
		return Claims{}, unauthenticated("the token is not valid")
	}
	return c, nil
}

// key finds the key that a token's header names. A header that brings a key of its own is refused unread.
func (t *Tokens) key(token *jwt.Token) (any, error) {
	for name := range token.Header {
		switch name {
		case "alg", "typ", "kid":
		default:
			return nil, errors.New("the token's header holds more than alg, typ and kid")
		}
	}
	id, ok := token.Header["kid"].(string)
	if !ok || !keyID.MatchString(id) {
		return nil, errors.New("the token names no key")
	}
	t.mu.RLock()
	k, ok := t.byID[id]
	t.mu.RUnlock()
	if !ok || token.Method.Alg() != string(k.Algorithm) {
		return nil, errors.New("the token names no key of ours")
	}
	if k.Algorithm == EdDSA {
		return k.Public, nil
	}
	return k.Secret, nil
}

// unauthenticated is the one answer to whoever could not show who they are. cause is for the log.
func unauthenticated(cause string) error {
	p := omni.Problemf(omni.ErrUnauthenticated, "Log in again.")
	p.Err = errors.New(cause)
	return p
}
