package twilio_test

import (
	"errors"
	"net/http"
	"testing"

	"omniservice/carriers"
	"omniservice/carriers/carriertest"
)

func seed(f *testing.F) {
	for _, x := range carriertest.Fixtures(f, "testdata/webhook") {
		r := x.Webhook()
		f.Add(r.Method == http.MethodGet, r.URL, r.Header.Get("Content-Type"), r.Header.Get("X-Twilio-Signature"), r.Body)
	}
}

func request(get bool, address, kind, signature string, body []byte) carriers.WebhookRequest {
	r := carriers.WebhookRequest{Method: http.MethodPost, URL: address, Header: http.Header{}, Body: body}
	if get {
		r.Method = http.MethodGet
	}
	r.Header.Set("Content-Type", kind)
	r.Header.Set("X-Twilio-Signature", signature)
	return r
}

func FuzzParse(f *testing.F) {
	seed(f)
	c := open(f, token)
	f.Fuzz(func(t *testing.T, get bool, address, kind, _ string, body []byte) {
		p, err := c.Parse(request(get, address, kind, "", body))
		var e *carriers.WebhookError
		if err != nil && !errors.As(err, &e) {
			t.Fatalf("%T is no *WebhookError", err)
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
	seed(f)
	stranger := open(f, "ffffffffffffffffffffffffffffffff")
	ours := open(f, token)
	f.Fuzz(func(t *testing.T, get bool, address, kind, signature string, body []byte) {
		r := request(get, address, kind, signature, body)
		if stranger.Verify(r) == nil {
			t.Fatal("a signature that nobody can make was accepted")
		}
		_ = ours.Verify(r)
		again := r
		again.Header = r.Header.Clone()
		sign(map[string]string{"authToken": token}, &again)
		_ = ours.Verify(again)
	})
}
