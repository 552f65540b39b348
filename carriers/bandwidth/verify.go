package bandwidth

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"net/http"
	"strings"

	"omniservice/carriers"
	"omniservice/omni"
)

// challenge is what a webhook without credentials is answered with. Bandwidth may wait for it before it brings them.
const challenge = `Basic realm="webhooks", charset="UTF-8"`

// Verify implements carriers.Carrier.
func (c *Carrier) Verify(r carriers.WebhookRequest) error {
	for _, check := range c.checks {
		if name := check.fails(c, r); name != "" {
			e := carriers.Unauthenticated(name)
			e.Status, e.Authenticate = http.StatusUnauthorized, challenge
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
	schemeBasic: {
		{"there are credentials", func(_ *Carrier, r carriers.WebhookRequest) string {
			if r.Header.Get("Authorization") == "" {
				return carriers.MissingCredentials
			}
			return ""
		}},
		{"they are a user name and a password", func(_ *Carrier, r carriers.WebhookRequest) string {
			if kind, _, _ := strings.Cut(r.Header.Get("Authorization"), " "); strings.ToLower(kind) != "basic" {
				return carriers.BadCredentials
			}
			return ""
		}},
		{"they are the account's", func(c *Carrier, r carriers.WebhookRequest) string {
			if !c.knows(r.Header.Get("Authorization")) {
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

// login is a user name with the passwords that are valid for it.
type login struct {
	name string
	of   func(c Config) (user string, passwords []omni.Secret)
}

var logins = []login{
	{"of inbound callbacks", func(c Config) (string, []omni.Secret) { return c.Username, c.Passwords }},
	{"of outbound callbacks", func(c Config) (string, []omni.Secret) { return c.StatusUsername, c.StatusPasswords }},
}

// knows reports whether an Authorization header holds a user name and a password that are valid. Which of the two
// kinds of callbacks it is does not matter: both may come to one address. All are compared, in the same time.
func (c *Carrier) knows(header string) bool {
	_, token, _ := strings.Cut(header, " ")
	decoded, err := base64.StdEncoding.DecodeString(strings.TrimSpace(token))
	if err != nil {
		return false
	}
	user, given, ok := strings.Cut(string(decoded), ":")
	if !ok {
		return false
	}
	found := 0
	for _, l := range c.logins {
		wanted, passwords := l.of(c.config)
		sameUser := same(user, wanted)
		for _, p := range passwords {
			found |= sameUser & same(given, p.Reveal())
		}
	}
	return found == 1
}

// same is 1 if two texts are the same, else 0. The time that it takes tells nothing of where they differ.
func same(a, b string) int {
	x, y := sha256.Sum256([]byte(a)), sha256.Sum256([]byte(b))
	return subtle.ConstantTimeCompare(x[:], y[:])
}
