package twilio

import (
	"crypto/hmac"
	"crypto/sha1" //nolint:gosec // Twilio's choice; HMAC does not need what SHA-1 has lost
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"strings"

	"omniservice/carriers"
)

const signatureHeader = "X-Twilio-Signature"

// Verify implements carriers.Carrier.
func (c *Carrier) Verify(r carriers.WebhookRequest) error {
	for _, check := range c.checks {
		if name := check.fails(c, r); name != "" {
			return carriers.Unauthenticated(name)
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

var checks = []check{
	{"there is a signature", func(_ *Carrier, r carriers.WebhookRequest) string {
		if r.Header.Get(signatureHeader) == "" {
			return carriers.MissingSignature
		}
		return ""
	}},
	{"it was made for this URL and these parameters", func(c *Carrier, r carriers.WebhookRequest) string {
		if !c.signed(r) {
			return carriers.BadSignature
		}
		return ""
	}},
	{"the body is the one whose hash was signed", func(_ *Carrier, r carriers.WebhookRequest) string {
		if layoutOf(r) != inBody {
			return ""
		}
		want, _ := queryParam(r.URL, bodyHash)
		sum := sha256.Sum256(r.Body)
		if subtle.ConstantTimeCompare([]byte(hex.EncodeToString(sum[:])), []byte(want)) != 1 {
			return carriers.BadSignature
		}
		return ""
	}},
}

// signed reports whether the signature is one that any of the account's tokens makes for any spelling of the URL.
func (c *Carrier) signed(r carriers.WebhookRequest) bool {
	var text []byte
	if layoutOf(r) == inForm {
		p, err := decodeForm(string(r.Body))
		if err != nil {
			return false // Twilio would not have sent it
		}
		text = p.signedText()
	}
	given := []byte(r.Header.Get(signatureHeader))
	urls := make([]string, 0, len(c.spellings))
	for _, s := range c.spellings {
		if u, ok := s.of(r.URL); ok {
			urls = append(urls, u)
		}
	}
	for _, token := range c.config.authTokens {
		mac := hmac.New(sha1.New, []byte(token.Reveal()))
		for _, u := range urls {
			mac.Reset()
			mac.Write([]byte(u))
			mac.Write(text)
			var sum [sha1.Size]byte
			var want [28]byte // Base64 of 20 bytes
			base64.StdEncoding.Encode(want[:], mac.Sum(sum[:0]))
			if subtle.ConstantTimeCompare(given, want[:]) == 1 {
				return true
			}
		}
	}
	return false
}

// spelling is one way to write the URL. Twilio signs what it called, but does not always keep the port as it was
// configured, or leaves it away.
type spelling struct {
	name string
	of   func(address string) (spelt string, ok bool) // not ok: it is the address itself
}

var spellings = []spelling{
	{"as it is", func(address string) (string, bool) { return address, true }},
	{"without port", func(address string) (string, bool) {
		before, host, port, after := splitPort(address)
		return before + host + after, port != ""
	}},
	{"with the default port", func(address string) (string, bool) {
		before, host, port, after := splitPort(address)
		switch {
		case port != "":
			return "", false
		case strings.HasPrefix(before, "https://"):
			return before + host + ":443" + after, true
		case strings.HasPrefix(before, "http://"):
			return before + host + ":80" + after, true
		default:
			return "", false
		}
	}},
}

// splitPort cuts a URL around its port, leaving every byte as it is: before holds scheme and user, port its
// colon, after path and query. The parts joined are the URL.
func splitPort(address string) (before, host, port, after string) {
	start := strings.Index(address, "://")
	if start < 0 {
		return "", address, "", ""
	}
	start += len("://")
	end := len(address)
	if i := strings.IndexAny(address[start:], "/?#"); i >= 0 {
		end = start + i
	}
	if i := strings.LastIndexByte(address[start:end], '@'); i >= 0 {
		start += i + 1
	}
	before, host, after = address[:start], address[start:end], address[end:]
	if i := strings.LastIndexByte(host, ':'); i >= 0 && strings.IndexByte(host[i:], ']') < 0 {
		host, port = host[:i], host[i:]
	}
	return before, host, port, after
}
