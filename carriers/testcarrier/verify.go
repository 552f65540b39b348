package testcarrier

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"strconv"
	"strings"
	"time"

	"omniservice/carriers"
	"omniservice/omni"
)

// SignatureHeader is the header that a webhook's signature stands in.
const SignatureHeader = "X-Omni-Test-Signature"

// window is how far a signature's time may be from our clock.
const window = 300 * time.Second

// Sign returns the signature of a body, made at now.
func Sign(secret omni.Secret, body []byte, now time.Time) string {
	t := strconv.FormatInt(now.Unix(), 10)
	return "t=" + t + ",v1=" + mac(secret, t, body)
}

func mac(secret omni.Secret, t string, body []byte) string {
	h := hmac.New(sha256.New, []byte(secret.Reveal()))
	h.Write([]byte(t + "."))
	h.Write(body)
	return hex.EncodeToString(h.Sum(nil))
}

// Verify implements carriers.Carrier.
func (c *Carrier) Verify(r carriers.WebhookRequest) error {
	given := readHeader(r.Header.Get(SignatureHeader))
	for _, check := range c.checks {
		if name := check.fails(c, r, given); name != "" {
			return carriers.Unauthenticated(name)
		}
	}
	return nil
}

// header is the signature header, read.
type header struct {
	time string
	v1   []string
}

// readHeader reads at most 4 signatures: two secrets may be valid at once, and nobody needs more.
func readHeader(s string) header {
	var h header
	for range 8 {
		if s == "" {
			break
		}
		var part string
		part, s, _ = strings.Cut(s, ",")
		switch name, value, _ := strings.Cut(strings.TrimSpace(part), "="); {
		case name == "t" && h.time == "":
			h.time = value
		case name == "v1" && len(h.v1) < 4:
			h.v1 = append(h.v1, value)
		}
	}
	return h
}

// check is one condition of an authentic webhook. They stand in a list so that a test can leave out each in turn
// and see that it is missed.
type check struct {
	name  string
	fails func(c *Carrier, r carriers.WebhookRequest, given header) string // the name of the error; "" if the condition holds
}

var checks = []check{
	{"there is a signature", func(_ *Carrier, r carriers.WebhookRequest, _ header) string {
		if r.Header.Get(SignatureHeader) == "" {
			return carriers.MissingSignature
		}
		return ""
	}},
	{"it was made for this body", func(c *Carrier, r carriers.WebhookRequest, given header) string {
		for _, secret := range c.secrets {
			want := []byte(mac(secret, given.time, r.Body))
			for _, v := range given.v1 {
				if subtle.ConstantTimeCompare(want, []byte(v)) == 1 {
					return ""
				}
			}
		}
		return carriers.BadSignature
	}},
	{"it was made now", func(_ *Carrier, r carriers.WebhookRequest, given header) string {
		seconds, err := strconv.ParseInt(given.time, 10, 64)
		if err != nil {
			return carriers.BadSignature
		}
		if off := r.Now.Unix() - seconds; off > int64(window/time.Second) || off < -int64(window/time.Second) {
			return carriers.ExpiredSignature
		}
		return ""
	}},
}
