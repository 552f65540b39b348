package messagebird

import (
	"container/heap"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"omniservice/carriers"
)

// Headers of a signed webhook. The last two are those of the older scheme and of Bird's.
const (
	jwtHeader       = "MessageBird-Signature-JWT"
	signatureHeader = "MessageBird-Signature"
	timestampHeader = "MessageBird-Request-Timestamp"
)

// urlSecretParam holds the secret of an account whose webhooks are not signed.
const urlSecretParam = "key"

const (
	issuer = "MessageBird"

	// leeway is how far the beginning and the end of a token may be off our clock.
	leeway = time.Second

	// maxToken is many times the length of a token, in bytes.
	maxToken = 8 << 10
)

// Verify implements carriers.Carrier.
func (c *Carrier) Verify(r carriers.WebhookRequest) error {
	p := &proof{Carrier: c, WebhookRequest: r}
	for _, check := range c.checks {
		if name := check.fails(p); name != "" {
			e := carriers.Unauthenticated(name)
			e.Status = http.StatusUnauthorized
			e.Err = p.why
			return e
		}
	}
	return nil
}

// Delivered implements carriers.OnceOnly. The token that the webhook came with is used up. It is not before that: whoever was
// told that we could not keep a webhook may bring it again under the same token, and its message would be lost.
func (c *Carrier) Delivered(r carriers.WebhookRequest) {
	if c.config.scheme != schemeJWT {
		return
	}
	p := &proof{Carrier: c, WebhookRequest: r}
	if p.readToken(); p.tokenErr == nil && p.claims.ExpiresAt != nil {
		c.used.add(p.claims.says(), p.claims.ExpiresAt.Add(leeway), r.Now)
	}
}

// proof is a webhook that is looked at, and what was found in it.
type proof struct {
	*Carrier
	carriers.WebhookRequest

	claims   claims
	tokenErr error
	why      error // for the log
}

// check is one condition of an authentic webhook. They stand in lists so that a test can leave out each in turn and see
// that it is missed.
type check struct {
	name  string
	fails func(p *proof) string // the name of the error; "" if the condition holds
}

// expect makes the error of a condition that does not hold.
func expect(holds bool, name string) string {
	if holds {
		return ""
	}
	return name
}

var checks = map[string][]check{
	schemeJWT: {
		{"there is a token", func(p *proof) string {
			return expect(p.Header.Get(jwtHeader) != "", carriers.MissingSignature)
		}},
		{"it can be read", func(p *proof) string {
			p.readToken()
			return expect(!errors.Is(p.tokenErr, jwt.ErrTokenMalformed), carriers.BadSignature)
		}},
		{"it is signed with our key, by a hash that we allow", func(p *proof) string {
			return expect(p.tokenErr == nil, carriers.BadSignature)
		}},
		{"it was issued by MessageBird", func(p *proof) string {
			return expect(p.claims.Issuer == issuer, carriers.BadSignature)
		}},
		{"it has begun", func(p *proof) string {
			return expect(p.claims.NotBefore != nil && !p.claims.NotBefore.After(p.Now.Add(leeway)), carriers.ExpiredSignature)
		}},
		{"it has not ended", func(p *proof) string {
			return expect(p.claims.ExpiresAt != nil && !p.claims.ExpiresAt.Before(p.Now.Add(-leeway)), carriers.ExpiredSignature)
		}},
		{"it is of our time", func(p *proof) string {
			old := p.claims.NotBefore != nil && p.claims.NotBefore.Before(p.Now.Add(-p.config.window))
			long := p.claims.ExpiresAt != nil && p.claims.ExpiresAt.After(p.Now.Add(p.config.window))
			return expect(!old && !long, carriers.ExpiredSignature)
		}},
		{"it has an id", func(p *proof) string {
			return expect(p.claims.ID != "", carriers.BadSignature)
		}},
		{"it was made for this URL", func(p *proof) string {
			return expect(sameHash(p.claims.URLHash, []byte(p.URL)), carriers.BadSignature)
		}},
		{"it was made for this body", func(p *proof) string {
			if hash := p.claims.PayloadHash; hash != nil {
				return expect(len(p.Body) > 0 && sameHash(*hash, p.Body), carriers.BadSignature)
			}
			return expect(len(p.Body) == 0, carriers.BadSignature)
		}},
		{usedBefore, func(p *proof) string {
			if !p.used.has(p.claims.says(), p.Now) {
				return ""
			}
			p.why = errors.New("the token was used before")
			return carriers.BadSignature
		}},
	},
	schemeLegacy: {isSigned, {"it was made for this query and this body", func(p *proof) string {
		q, ok := sortedQuery(p.URL)
		return expect(ok && p.signed(q), carriers.BadSignature)
	}}, isFresh},
	schemeBird: {isSigned, {"it was made for this URL and this body", func(p *proof) string {
		return expect(p.signed(p.URL), carriers.BadSignature)
	}}, isFresh},
	schemeNone: {
		{"there is a secret in the URL, if one is agreed", func(p *proof) string {
			return expect(len(p.config.urlSecrets) == 0 || p.urlSecret() != "", carriers.MissingCredentials)
		}},
		{"it is ours", func(p *proof) string {
			given, ok := []byte(p.urlSecret()), len(p.config.urlSecrets) == 0
			for _, s := range p.config.urlSecrets {
				ok = subtle.ConstantTimeCompare(given, []byte(s.Reveal())) == 1 || ok
			}
			return expect(ok, carriers.BadCredentials)
		}},
	},
}

// usedBefore names the check that only a second request can fail.
const usedBefore = "it was not used before"

var isSigned = check{"there are a signature and a time", func(p *proof) string {
	return expect(p.Header.Get(signatureHeader) != "" && p.Header.Get(timestampHeader) != "", carriers.MissingSignature)
}}

var isFresh = check{"it is of our time", func(p *proof) string {
	seconds, err := strconv.ParseInt(p.Header.Get(timestampHeader), 10, 64)
	if err != nil {
		return carriers.BadSignature
	}
	at := time.Unix(seconds, 0)
	return expect(!at.Before(p.Now.Add(-p.config.window)) && !at.After(p.Now.Add(p.config.window)), carriers.ExpiredSignature)
}}

// claims are those of MessageBird's tokens. They are compared with our clock in the checks, whose bounds are inside.
type claims struct {
	jwt.RegisteredClaims

	URLHash     string  `json:"url_hash"`
	PayloadHash *string `json:"payload_hash"` // nil: there is none
}

// says is a token's id with what it was made for. Another request under the same id is no repetition.
func (c *claims) says() string {
	if c.PayloadHash != nil {
		return c.ID + "\n" + c.URLHash + "\n" + *c.PayloadHash
	}
	return c.ID + "\n" + c.URLHash
}

// parser refuses whatever is not an HMAC, and what is not Base64 to the letter.
var parser = jwt.NewParser(
	jwt.WithValidMethods([]string{"HS256", "HS384", "HS512"}), jwt.WithoutClaimsValidation(), jwt.WithStrictDecoding(),
)

// readToken reads the token's claims and verifies its signature. If that fails the claims are those of whoever made it.
func (p *proof) readToken() {
	token := p.Header.Get(jwtHeader)
	if len(token) > maxToken {
		p.tokenErr = jwt.ErrTokenMalformed
		return
	}
	_, p.tokenErr = parser.ParseWithClaims(token, &p.claims, func(*jwt.Token) (any, error) {
		keys := jwt.VerificationKeySet{}
		for _, k := range p.config.signingKeys {
			keys.Keys = append(keys.Keys, []byte(k.Reveal()))
		}
		return keys, nil
	})
}

// sameHash reports whether given is the hash of text: SHA-256 in lower-case hexadecimal digits.
func sameHash(given string, text []byte) bool {
	sum := sha256.Sum256(text)
	return subtle.ConstantTimeCompare([]byte(given), []byte(hex.EncodeToString(sum[:]))) == 1
}

// signed reports whether the signature is one that any of the account's keys makes for the request's time, what is given
// and the request's body.
func (p *proof) signed(middle string) bool {
	given := []byte(p.Header.Get(signatureHeader))
	body := sha256.Sum256(p.Body)
	ok := false
	for _, key := range p.config.signingKeys {
		mac := hmac.New(sha256.New, []byte(key.Reveal()))
		mac.Write([]byte(p.Header.Get(timestampHeader) + "\n" + middle + "\n"))
		mac.Write(body[:])
		want := base64.StdEncoding.EncodeToString(mac.Sum(nil))
		ok = subtle.ConstantTimeCompare(given, []byte(want)) == 1 || ok
	}
	return ok
}

// sortedQuery is the query of a URL as the older scheme signs it: by name, in form style. A query that is read in more
// than one way is not signed by anybody.
func sortedQuery(address string) (string, bool) {
	values, err := url.ParseQuery(query(address))
	if err != nil {
		return "", false
	}
	return values.Encode(), true
}

// urlSecret is the secret that the URL holds, "" if none.
func (p *proof) urlSecret() string {
	all, err := decodeForm(query(p.URL))
	if err != nil {
		return ""
	}
	return all.last(urlSecretParam)
}

// query is the raw query of a URL.
func query(address string) string {
	address, _, _ = strings.Cut(address, "#")
	_, q, _ := strings.Cut(address, "?")
	return q
}

// maxUsed bounds the tokens that are remembered: more than come in the minute that one lives, at thousands a second.
const maxUsed = 1 << 18

// usedTokens remembers tokens until they end. It belongs to one gateway: that a token is used again at another one, or
// after a restart, changes nothing all the same, since what a webhook says counts once.
type usedTokens struct {
	most   int
	mu     sync.Mutex
	known  map[[16]byte]struct{}
	ending endings
}

func newUsedTokens(most int) *usedTokens {
	return &usedTokens{most: most, known: map[[16]byte]struct{}{}}
}

type ending struct {
	at time.Time
	id [16]byte
}

// has reports whether what a token says is remembered.
func (u *usedTokens) has(token string, now time.Time) bool {
	key := keyOf(token)
	u.mu.Lock()
	defer u.mu.Unlock()
	u.forgetEnded(now)
	_, known := u.known[key]
	return known
}

// add remembers what a token says until a moment. If there are too many the one that ends first goes.
func (u *usedTokens) add(token string, until, now time.Time) {
	key := keyOf(token)
	u.mu.Lock()
	defer u.mu.Unlock()
	u.forgetEnded(now)
	if _, known := u.known[key]; known {
		return
	}
	if len(u.ending) >= u.most {
		u.forgetFirst()
	}
	u.known[key] = struct{}{}
	heap.Push(&u.ending, ending{until, key})
}

func keyOf(token string) [16]byte {
	sum := sha256.Sum256([]byte(token))
	return [16]byte(sum[:16])
}

func (u *usedTokens) forgetEnded(now time.Time) {
	for len(u.ending) > 0 && u.ending[0].at.Before(now) {
		u.forgetFirst()
	}
}

func (u *usedTokens) forgetFirst() {
	if e, ok := heap.Pop(&u.ending).(ending); ok {
		delete(u.known, e.id)
	}
}

// endings is a heap by time.
type endings []ending

// Len implements heap.Interface.
func (e endings) Len() int { return len(e) }

// Less implements heap.Interface.
func (e endings) Less(i, j int) bool { return e[i].at.Before(e[j].at) }

// Swap implements heap.Interface.
func (e endings) Swap(i, j int) { e[i], e[j] = e[j], e[i] }

// Push implements heap.Interface.
func (e *endings) Push(x any) {
	if one, ok := x.(ending); ok {
		*e = append(*e, one)
	}
}

// Pop implements heap.Interface.
func (e *endings) Pop() any {
	last := len(*e) - 1
	one := (*e)[last]
	*e = (*e)[:last]
	return one
}
