package auth

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"golang.org/x/crypto/argon2"

	"omniservice/omni"
)

// The cost of a password: 19 MiB and 2 passes, the least that OWASP's password storage sheet gives for argon2id
// (read 2026-11-20).
const (
	argonMemory  = 19 * 1024 // KiB
	argonPasses  = 2
	argonThreads = 1
	saltLength   = 16
	keyLength    = 32
)

// The lengths that a password may have. The upper bound keeps hashing cheap for whoever sends megabytes.
const (
	MinPassword = 12  // characters
	MaxPassword = 256 // bytes
)

// CheckPassword reports a password that may not be set as omni.ErrInvalid with the field password.
func CheckPassword(password string) error {
	text := ""
	switch {
	case utf8.RuneCountInString(password) < MinPassword:
		text = "must be at least 12 characters"
	case len(password) > MaxPassword:
		text = "must be at most 256 bytes"
	case !utf8.ValidString(password):
		text = "must be valid UTF-8"
	default:
		return nil
	}
	p := omni.Problemf(omni.ErrInvalid, "The password %s.", text)
	p.Fields = map[string]string{"password": text}
	return p
}

// HashPassword checks a password and returns it as argon2id in PHC form:
// $argon2id$v=19$m=19456,t=2,p=1$<salt>$<key>, both in unpadded base64.
func HashPassword(password string) (string, error) {
	if err := CheckPassword(password); err != nil {
		return "", err
	}
	salt := make([]byte, saltLength)
	_, _ = rand.Read(salt) // never fails since Go 1.24
	return phc(password, salt), nil
}

func phc(password string, salt []byte) string {
	key := argon2.IDKey([]byte(password), salt, argonPasses, argonMemory, argonThreads, keyLength)
	b64 := base64.RawStdEncoding
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s",
		argon2.Version, argonMemory, argonPasses, argonThreads, b64.EncodeToString(salt), b64.EncodeToString(key))
}

// parsedHash is a password hash taken apart.
type parsedHash struct {
	memory, passes uint32
	threads        uint8
	salt, key      []byte
}

// The most that a stored hash may ask for, so that a damaged record cannot exhaust the memory.
const (
	maxArgonMemory = 256 * 1024
	maxArgonPasses = 16
)

func parsePHC(s string) (parsedHash, error) {
	bad := fmt.Errorf("password hash: %w", omni.ErrInvalid)
	parts := strings.Split(s, "$")
	if len(parts) != 6 || parts[0] != "" || parts[1] != "argon2id" || parts[2] != "v="+strconv.Itoa(argon2.Version) {
		return parsedHash{}, bad
	}
	var h parsedHash
	if n, err := fmt.Sscanf(parts[3], "m=%d,t=%d,p=%d", &h.memory, &h.passes, &h.threads); err != nil || n != 3 {
		return parsedHash{}, bad
	}
	if h.memory < 8 || h.memory > maxArgonMemory || h.passes < 1 || h.passes > maxArgonPasses || h.threads < 1 {
		return parsedHash{}, bad
	}
	var err error
	if h.salt, err = base64.RawStdEncoding.DecodeString(parts[4]); err != nil || len(h.salt) < 8 {
		return parsedHash{}, bad
	}
	if h.key, err = base64.RawStdEncoding.DecodeString(parts[5]); err != nil || len(h.key) < 16 || len(h.key) > 64 {
		return parsedHash{}, bad
	}
	return h, nil
}

// passwords checks passwords, a few at a time: each takes 19 MiB, and a flood of logins must not take all memory.
type passwords struct {
	slots chan struct{}
	decoy parsedHash // checked where there is no user or no password, so that both take the same time
}

func newPasswords(atOnce int) *passwords {
	decoy := parsedHash{memory: argonMemory, passes: argonPasses, threads: argonThreads, salt: make([]byte, saltLength), key: make([]byte, keyLength)}
	_, _ = rand.Read(decoy.key) // the key of no password that anybody knows
	return &passwords{slots: make(chan struct{}, atOnce), decoy: decoy}
}

// verify reports whether password belongs to stored. An empty or unreadable stored hash takes as long as a wrong password.
func (p *passwords) verify(ctx context.Context, stored, password string) (bool, error) {
	if len(password) > MaxPassword {
		password = password[:MaxPassword] // never right, since it could not have been set; costs the same
		stored = ""
	}
	select {
	case p.slots <- struct{}{}:
		defer func() { <-p.slots }()
	case <-ctx.Done():
		return false, fmt.Errorf("wait to check a password: %w", omni.ErrUnavailable)
	}
	h, err := parsePHC(stored)
	known := err == nil
	if !known {
		h = p.decoy
	}
	got := argon2.IDKey([]byte(password), h.salt, h.passes, h.memory, h.threads, uint32(len(h.key)))
	return subtle.ConstantTimeCompare(got, h.key) == 1 && known, nil
}
