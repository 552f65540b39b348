package inteliquent_test

import (
	"errors"
	"testing"

	"omniservice/carriers"
	"omniservice/carriers/carriertest"
)

func FuzzParse(f *testing.F) {
	for _, x := range carriertest.Fixtures(f, "testdata/webhook") {
		f.Add([]byte(x.Request.Body))
	}
	c := open(f, map[string]string{"apiKey": key, "numbers": "15005550006,15005550007"})
	f.Fuzz(func(t *testing.T, body []byte) {
		r := request("")
		r.Body = body
		p, err := c.Parse(*r)
		var e *carriers.WebhookError
		if err != nil && !errors.As(err, &e) {
			t.Fatalf("%T is no *WebhookError", err)
		}
		for _, e := range p.Events {
			if err := e.Validate(); err != nil {
				t.Fatal(err)
			}
		}
		if err == nil && len(p.Events)+len(p.Ignored) == 0 {
			t.Fatal("nothing was found, and nothing is said of it")
		}
		c.Respond(p)
	})
}

func FuzzVerify(f *testing.F) {
	for _, x := range carriertest.Fixtures(f, "testdata/webhook") {
		r := x.Webhook()
		f.Add(r.Header.Get("messageID"), r.Header.Get("verificationToken"), r.Header.Get("X-Gateway-Token"), r.URL)
	}
	digest := open(f, map[string]string{"scheme": "either", "apiKey": "ffffffffffffffffffffffffffffffff"})
	value := open(f, map[string]string{"scheme": "header", "headerName": "X-Gateway-Token", "headerValue": "ffffffffffffffffffffffffffffffff"})
	path := open(f, map[string]string{"scheme": "path"})
	f.Fuzz(func(t *testing.T, token, given, agreed, address string) {
		r := request("{}")
		r.URL = address
		r.Header.Set("messageID", token)
		r.Header.Set("verificationToken", given)
		r.Header.Set("X-Gateway-Token", agreed)
		if digest.Verify(*r) == nil || value.Verify(*r) == nil {
			t.Fatal("what nobody can make was accepted")
		}
		_ = path.Verify(*r)
		sign(map[string]string{"scheme": "digest", "apiKey": "ffffffffffffffffffffffffffffffff"}, r)
		if err := digest.Verify(*r); err != nil {
			t.Fatal(err)
		}
	})
}
