package pubnub_test

import (
	"errors"
	"testing"

	"omniservice/carriers"
	"omniservice/carriers/carriertest"
	"omniservice/carriers/pubnub"
)

func FuzzParse(f *testing.F) {
	for _, x := range carriertest.Fixtures(f, "testdata/webhook") {
		if len(x.Request.Body) < 4<<10 {
			f.Add([]byte(x.Request.Body))
		}
	}
	c := open(f, carriers.Options{})
	f.Fuzz(func(t *testing.T, body []byte) {
		p, err := c.Parse(request(string(body)))
		var e *carriers.WebhookError
		if err != nil && !errors.As(err, &e) {
			t.Fatalf("%T is no *WebhookError", err)
		}
		if len(p.Events)+len(p.Ignored) > carriers.MaxEvents {
			t.Fatal("too many events")
		}
		for _, e := range p.Events {
			if err := e.Validate(); err != nil {
				t.Fatal(err)
			}
		}
		c.Respond(p)
	})
}

func FuzzVerify(f *testing.F) {
	f.Add("Bearer "+token, "1795435200", "sha256=00", []byte("{}"))
	f.Add("", "", "", []byte(""))
	f.Add(token, "x", "sha256=", []byte("[]"))
	strangers := map[string]carriers.Carrier{}
	for _, scheme := range []string{"header", "function"} {
		c, err := pubnub.New().Open(account(map[string]string{
			"webhookToken": "ffffffffffffffffffffffffffffffff-nobody-has-it", "webhookScheme": scheme,
		}), carriers.Options{})
		if err != nil {
			f.Fatal(err)
		}
		strangers[scheme] = c
	}
	f.Fuzz(func(t *testing.T, header, at, signature string, body []byte) {
		r := request(string(body))
		r.Header.Set("Authorization", header)
		r.Header.Set("X-Omni-Timestamp", at)
		r.Header.Set("X-Omni-Signature", signature)
		for scheme, c := range strangers {
			if c.Verify(r) == nil {
				t.Fatalf("%s: what nobody can make was accepted", scheme)
			}
		}
	})
}
