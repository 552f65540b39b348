// Package auth decides who a request is from and what they may do: passwords, access and refresh tokens, API keys,
// one-time login links, tickets of sockets, tokens of website visitors, and the table of roles.
//
// Whatever it hands out is random or signed, kept only as a hash, and compared in constant time. A session is looked
// at again at most CheckEvery after it was last seen good, so a logout or a removed user is noticed everywhere soon.
package auth

import (
	"crypto/sha256"
	"encoding/hex"
)

// Hash is the form in which keys and tokens are stored: hex SHA-256. They are random, so no salt is needed.
func Hash(token string) string {
	sum := sha256.Sum256([]byte(token))
	return hex.EncodeToString(sum[:])
}
