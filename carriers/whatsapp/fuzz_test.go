package whatsapp_test

import (
	"errors"
	"net/http"
	"testing"

	"omniservice/carriers"
	"omniservice/carriers/carriertest"
	"omniservice/omni"
)

func request(get bool, address, signature string, body []byte) carriers.WebhookRequest {
	r := carriers.WebhookRequest{Method: http.MethodPost, URL: address, Header: http.Header{}, Body: body}
	if get {
		r.Method = http.MethodGet
	}
	r.Header.Set("X-Hub-Signature-256", signature)
	return r
}

func FuzzParse(f *testing.F) {
	for _, x := range carriertest.Fixtures(f, "testdata/webhook") {
		f.Add([]byte(x.Request.Body))
	}
	c := open(f)
	f.Fuzz(func(t *testing.T, body []byte) {
		p, err := c.Parse(request(false, webhook, "", body))
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
			for _, m := range e.Media {
				if err := m.Validate(); err != nil {
					t.Fatal(err)
				}
			}
		}
		c.Respond(p)
	})
}

func FuzzVerify(f *testing.F) {
	for _, x := range carriertest.Fixtures(f, "testdata/webhook") {
		r := x.Webhook()
		f.Add(r.Method == http.MethodGet, r.URL, r.Header.Get("X-Hub-Signature-256"), r.Body)
	}
	other := func(a carriers.Account) {
		a.Credentials["appSecret"] = []omni.Secret{omni.NewSecret("ffffffffffffffffffffffffffffffff")}
		a.Credentials["verifyToken"] = []omni.Secret{omni.NewSecret("a-token-that-nobody-knows")}
	}
	ours, stranger := open(f), open(f, other)
	f.Fuzz(func(t *testing.T, get bool, address, signature string, body []byte) {
		r := request(get, address, signature, body)
		if stranger.Verify(r) == nil {
			t.Fatal("a signature that nobody can make was accepted")
		}
		if answer, _, err := stranger.Challenge(r); err == nil && answer.Status != 0 {
			t.Fatal("a token that nobody knows was accepted")
		}
		_ = ours.Verify(r)
		sign(defaults(), &r)
		if ours.Verify(r) != nil {
			t.Fatal("a good signature was refused")
		}
	})
}
