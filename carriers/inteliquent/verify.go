package inteliquent

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"net/http"
	"strings"

	"omniservice/carriers"
	"omniservice/omni"
)

// Headers of a webhook with a digest.
const (
	tokenHeader  = "messageID"         // a random token, another one each time
	digestHeader = "verificationToken" // lower-case hex
)

// challenges say what a webhook has to bring, by scheme.
var challenges = map[string]string{
	schemeDigest: `VerificationToken realm="webhooks", algorithm="SHA-256"`,
	schemeHMAC:   `VerificationToken realm="webhooks", algorithm="HMAC-SHA-256"`,
	schemeEither: `VerificationToken realm="webhooks"`,
	schemeHeader: `Header realm="webhooks"`,
	schemePath:   `Path realm="webhooks"`,
}

// Verify implements carriers.Carrier.
func (c *Carrier) Verify(r carriers.WebhookRequest) error {
	for _, check := range c.checks {
		if name := check.fails(c, r); name != "" {
			e := carriers.Unauthenticated(name)
			e.Status, e.Authenticate = http.StatusUnauthorized, challenges[c.config.Scheme]
			return e
		}
	}
	return nil
}

// check is one condition of an authentic webhook. They stand in a list so that a test can leave out each in turn
// and see that it is missed.
type check struct {
	name  string
	fails func(c *Carrier, r carriers.WebhookRequest) string // the name of the error; "" if the condition holds
}

// checks are those of each scheme.
var checks = map[string][]check{
	schemeDigest: digestChecks,
	schemeHMAC:   digestChecks,
	schemeEither: digestChecks,
	schemeHeader: {
		{"the header is there", func(c *Carrier, r carriers.WebhookRequest) string {
			if r.Header.Get(c.config.HeaderName) == "" {
				return carriers.MissingCredentials
			}
			return ""
		}},
		{"it has the value that was agreed", func(c *Carrier, r carriers.WebhookRequest) string {
			given, found := r.Header.Get(c.config.HeaderName), 0
			for _, v := range c.config.HeaderValues {
				found |= same(given, v.Reveal())
			}
			if found != 1 {
				return carriers.BadCredentials
			}
			return ""
		}},
	},
	schemePath: {
		{"the path ends with the account's id", func(c *Carrier, r carriers.WebhookRequest) string {
			address, _, _ := strings.Cut(r.URL, "?")
			last := address[strings.LastIndexByte(address, '/')+1:]
			if subtle.ConstantTimeCompare([]byte(last), []byte(c.publicID)) != 1 {
				return carriers.BadCredentials
			}
			return ""
		}},
	},
}

var digestChecks = []check{
	{"there are a token and its digest", func(_ *Carrier, r carriers.WebhookRequest) string {
		if r.Header.Get(tokenHeader) == "" || r.Header.Get(digestHeader) == "" {
			return carriers.MissingSignature
		}
		return ""
	}},
	{"the digest was made with the API key", func(c *Carrier, r carriers.WebhookRequest) string {
		token, given := r.Header.Get(tokenHeader), []byte(r.Header.Get(digestHeader))
		for _, key := range c.config.APIKeys {
			for _, d := range c.digests {
				if subtle.ConstantTimeCompare(given, []byte(hex.EncodeToString(d.of(key, token)))) == 1 {
					return ""
				}
			}
		}
		return carriers.BadSignature
	}},
}

// digest is one way to prove that the API key is known.
type digest struct {
	name string
	of   func(key omni.Secret, token string) []byte
}

// digests are those of each scheme.
var digests = map[string][]digest{
	schemeDigest: {plain},
	schemeHMAC:   {keyed},
	schemeEither: {plain, keyed},
}

// plain is what comes: SHA-256 over key and token, one after the other.
var plain = digest{"SHA-256", func(key omni.Secret, token string) []byte {
	sum := sha256.Sum256([]byte(key.Reveal() + token))
	return sum[:]
}}

// keyed is what the description says.
var keyed = digest{"HMAC-SHA-256", func(key omni.Secret, token string) []byte {
	mac := hmac.New(sha256.New, []byte(key.Reveal()))
	mac.Write([]byte(token))
	return mac.Sum(nil)
}}

// same is 1 if two texts are the same, else 0. The time that it takes tells nothing of where they differ.
func same(a, b string) int {
	x, y := sha256.Sum256([]byte(a)), sha256.Sum256([]byte(b))
	return subtle.ConstantTimeCompare(x[:], y[:])
}
