package auth

import (
	"crypto/hmac"
	"time"

	"omniservice/omni"
)

const keyPrefix = "omni_"

// PurposeLogin is the purpose of the one-time tokens that log in.
const PurposeLogin = "login"

// NewAPIKey makes an API key of an organisation and the record to store. The key cannot be had again.
func NewAPIKey(now time.Time, organisationID, name string, role omni.Role, expires omni.Millis) (string, omni.APIKey) {
	key := keyPrefix + omni.NewToken(32)
	return key, omni.APIKey{
		ID: omni.NewIDAt(now), OrganisationID: organisationID, Name: name, Role: role, Hash: Hash(key),
		Hint: key[len(key)-4:], CreatedAt: omni.MillisOf(now), ExpiresAt: expires,
	}
}

// NewLoginToken makes a token that logs a user in once, until ttl has passed, and the record to store.
func NewLoginToken(now time.Time, u omni.User, ttl time.Duration) (string, omni.OneTimeToken) {
	token := omni.NewToken(32)
	return token, omni.OneTimeToken{
		Hash: Hash(token), OrganisationID: u.OrganisationID, UserID: u.ID, Purpose: PurposeLogin,
		ExpiresAt: omni.MillisOf(now.Add(ttl)),
	}
}

// CSRF is the value that must come back in a header beside a refresh token that came in a cookie. It follows from
// the token, so a cookie that somebody else planted does not match, and tells nothing about it.
func CSRF(refresh string) string { return Hash("csrf " + refresh) }

// CheckCSRF reports whether header and cookie both hold the value that belongs to a refresh token.
func CheckCSRF(refresh, cookie, header string) bool {
	want := []byte(CSRF(refresh))
	return hmac.Equal(want, []byte(header)) && hmac.Equal(want, []byte(cookie))
}
