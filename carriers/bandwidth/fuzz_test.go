package bandwidth_test

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
	c := open(f, map[string]string{"username": hookUser, "password": hookPassword})
	f.Fuzz(func(t *testing.T, body []byte) {
		r := webhook("")
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
		f.Add(r.Header.Get("Authorization"), r.URL)
	}
	basic := open(f, map[string]string{"username": "nobody", "password": "ffffffffffffffffffffffffffffffff", "statusUsername": "no one", "statusPassword": "eeeeeeeeeeeeeeeeeeee"})
	path := open(f, map[string]string{"scheme": "path"})
	f.Fuzz(func(t *testing.T, header, address string) {
		r := webhook("[]")
		r.URL = address
		r.Header["Authorization"] = []string{header}
		if basic.Verify(*r) == nil {
			t.Fatal("credentials that nobody knows were accepted")
		}
		_ = path.Verify(*r)
		sign(map[string]string{"username": "nobody", "password": "ffffffffffffffffffffffffffffffff"}, r)
		if err := basic.Verify(*r); err != nil {
			t.Fatal(err)
		}
	})
}
