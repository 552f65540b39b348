package pubnub

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"net/http"
	"strconv"
	"strings"
	"time"

	"omniservice/carriers"
	"omniservice/omni"
)

// Headers of a Function that signs what it posts.
const (
	timeHeader      = "X-Omni-Timestamp" // Unix seconds
	signatureHeader = "X-Omni-Signature" // sha256= and the hexadecimal HMAC of time, a dot and the body
)

// window is how far a signature's time may be from our clock.
const window = 5 * time.Minute

const bearer = "Bearer "

// Verify implements carriers.Carrier.
func (c *Carrier) Verify(r carriers.WebhookRequest) error {
	for _, check := range c.checks {
		if name := check.fails(c, r); name != "" {
			return &carriers.WebhookError{
				Name: name, Kind: omni.ErrUnauthenticated, Status: http.StatusUnauthorized, Authenticate: strings.TrimSpace(bearer),
			}
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

var headerChecks = []check{
	{"there is the header", func(c *Carrier, r carriers.WebhookRequest) string {
		if r.Header.Get(c.config.header) == "" {
			return carriers.MissingCredentials
		}
		return ""
	}},
	{"it is one of ours", func(c *Carrier, r carriers.WebhookRequest) string {
		given, found := []byte(r.Header.Get(c.config.header)), 0
		for _, token := range c.config.tokens {
			for _, s := range c.spellings {
				if want, ok := s.of(c.config.header, token.Reveal()); ok {
					found |= subtle.ConstantTimeCompare(given, []byte(want))
				}
			}
		}
		if found != 1 {
			return carriers.BadCredentials
		}
		return ""
	}},
}

// spelling is one way to write the token into the header.
type spelling struct {
	name string
	of   func(header, token string) (value string, ok bool)
}

var spellings = []spelling{
	{"with Bearer", func(_, token string) (string, bool) {
		return bearer + strings.TrimPrefix(token, bearer), true
	}},
	{"alone", func(header, token string) (string, bool) { return token, header != defaultHeader }},
}

var functionChecks = []check{
	{"there are signature and time", func(_ *Carrier, r carriers.WebhookRequest) string {
		if r.Header.Get(signatureHeader) == "" || r.Header.Get(timeHeader) == "" {
			return carriers.MissingSignature
		}
		return ""
	}},
	{"it was made for this time and body", func(c *Carrier, r carriers.WebhookRequest) string {
		given, found := []byte(r.Header.Get(signatureHeader)), 0
		for _, token := range c.config.tokens {
			found |= subtle.ConstantTimeCompare(given, []byte(functionSignature(token, r.Header.Get(timeHeader), r.Body)))
		}
		if found != 1 {
			return carriers.BadSignature
		}
		return ""
	}},
	{"it was made now", func(_ *Carrier, r carriers.WebhookRequest) string {
		seconds, err := strconv.ParseInt(r.Header.Get(timeHeader), 10, 64)
		if err != nil {
			return carriers.BadSignature
		}
		if off := r.Now.Unix() - seconds; off > int64(window/time.Second) || off < -int64(window/time.Second) {
			return carriers.ExpiredSignature
		}
		return ""
	}},
}

// functionSignature is what a Function puts into signatureHeader.
func functionSignature(token omni.Secret, unix string, body []byte) string {
	mac := hmac.New(sha256.New, []byte(token.Reveal()))
	mac.Write([]byte(unix + "."))
	mac.Write(body)
	return "sha256=" + hex.EncodeToString(mac.Sum(nil))
}
