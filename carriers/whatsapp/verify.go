package whatsapp

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"net/http"
	"net/url"
	"strings"

	"omniservice/carriers"
	"omniservice/omni"
)

const (
	signatureHeader = "X-Hub-Signature-256"
	signaturePrefix = "sha256="

	// maxChallenge bounds what a handshake may have us repeat, in bytes. Meta sends some ten digits.
	maxChallenge = 1 << 10
)

// Verify implements carriers.Carrier. The signature is of the bytes of the body as they came: Meta writes "/" as "\/" and
// what is not ASCII as escapes, and nobody who decodes and encodes a body gets the same bytes again.
func (c *Carrier) Verify(r carriers.WebhookRequest) error {
	for _, check := range c.checks {
		if name := check.fails(c, r); name != "" {
			return refuse(name)
		}
	}
	return nil
}

// refuse answers 403 to what Meta did not send. Not 200: if it is our secret that is wrong, Meta tries again for days and
// nothing is lost.
func refuse(name string) *carriers.WebhookError {
	e := carriers.Unauthenticated(name)
	e.Status = http.StatusForbidden
	return e
}

// check is one condition of an authentic webhook. They stand in a list so that a test can leave out each in turn and see
// that it is missed.
type check struct {
	name  string
	fails func(c *Carrier, r carriers.WebhookRequest) string // the name of the error; "" if the condition holds
}

var checks = []check{
	{"there is a signature", func(_ *Carrier, r carriers.WebhookRequest) string {
		if r.Header.Get(signatureHeader) == "" {
			return carriers.MissingSignature
		}
		return ""
	}},
	{"it is of the kind that we take", func(_ *Carrier, r carriers.WebhookRequest) string {
		if !strings.HasPrefix(r.Header.Get(signatureHeader), signaturePrefix) {
			return carriers.BadSignature
		}
		return ""
	}},
	{"it was made with a secret of ours for this body", func(c *Carrier, r carriers.WebhookRequest) string {
		if !c.signed(r) {
			return carriers.BadSignature
		}
		return ""
	}},
}

// signed reports whether the signature is one that any of the app's secrets makes for the body.
func (c *Carrier) signed(r carriers.WebhookRequest) bool {
	_, digits, _ := strings.Cut(r.Header.Get(signatureHeader), "=")
	var given, sum [sha256.Size]byte
	if len(digits) != hex.EncodedLen(len(given)) {
		return false
	}
	if _, err := hex.Decode(given[:], []byte(digits)); err != nil {
		return false
	}
	for _, secret := range c.config.appSecrets {
		mac := hmac.New(sha256.New, []byte(secret.Reveal()))
		mac.Write(r.Body)
		if subtle.ConstantTimeCompare(given[:], mac.Sum(sum[:0])) == 1 {
			return true
		}
	}
	return false
}

// Challenge implements carriers.Challenger: whoever enters our address at Meta has to know the verify token.
func (c *Carrier) Challenge(r carriers.WebhookRequest) (answer carriers.HTTPResponse, ok bool, err error) {
	if r.Method != http.MethodGet {
		return carriers.HTTPResponse{}, false, nil
	}
	_, query, _ := strings.Cut(r.URL, "?")
	query, _, _ = strings.Cut(query, "#")
	q, _ := url.ParseQuery(query) // what can be read of it: what is missing is refused below
	for _, challenge := range c.challenges {
		if err := challenge.fails(c, q); err != nil {
			return carriers.HTTPResponse{}, true, err
		}
	}
	return carriers.HTTPResponse{
		Status: http.StatusOK, ContentType: "text/plain", Body: q.Get("hub.challenge"),
		Metric: carriers.ReceivedAndForwarded, MessageType: carriers.TypeUnknown,
	}, true, nil
}

// challenge is one condition of a handshake.
type challenge struct {
	name  string
	fails func(c *Carrier, q url.Values) error // a *carriers.WebhookError; nil if the condition holds
}

var challenges = []challenge{
	{"it is to subscribe", func(_ *Carrier, q url.Values) error {
		if q.Get("hub.mode") != "subscribe" {
			return &carriers.WebhookError{Name: carriers.BadCredentials, Kind: omni.ErrForbidden, Status: http.StatusForbidden}
		}
		return nil
	}},
	{"its token is one of ours", func(c *Carrier, q url.Values) error {
		given := []byte(q.Get("hub.verify_token"))
		if len(given) == 0 {
			return refuse(carriers.MissingCredentials)
		}
		for _, token := range c.config.verifyTokens {
			if subtle.ConstantTimeCompare(given, []byte(token.Reveal())) == 1 {
				return nil
			}
		}
		return refuse(carriers.BadCredentials)
	}},
	{"there is a challenge", func(_ *Carrier, q url.Values) error {
		switch text := q.Get("hub.challenge"); {
		case text == "":
			return carriers.Missing("hub.challenge")
		case len(text) > maxChallenge:
			return &carriers.WebhookError{Name: carriers.MalformedBody, Kind: omni.ErrInvalid}
		}
		return nil
	}},
}
