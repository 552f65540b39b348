package messagebird_test

import (
	"errors"
	"net/http"
	"testing"

	"omniservice/carriers"
	"omniservice/carriers/carriertest"
)

var schemes = []string{"jwt", "legacy", "bird", "none"}

func seed(f *testing.F) {
	for _, x := range append(carriertest.Fixtures(f, "testdata/webhook"), carriertest.Fixtures(f, "testdata/cases")...) {
		r := x.Webhook()
		scheme := uint8(0)
		for i, s := range schemes {
			if s == x.Secret["scheme"] {
				scheme = uint8(i)
			}
		}
		signature, stamp := r.Header.Get("MessageBird-Signature-JWT"), r.Header.Get("MessageBird-Request-Timestamp")
		if signature == "" {
			signature = r.Header.Get("MessageBird-Signature")
		}
		f.Add(scheme, r.Method == http.MethodGet, r.URL, r.Header.Get("Content-Type"), signature, stamp, r.Body)
	}
}

func request(get bool, address, kind, signature, stamp string, body []byte) carriers.WebhookRequest {
	r := carriers.WebhookRequest{Method: http.MethodPost, URL: address, Header: http.Header{}, Body: body, Now: vectorTime}
	if get {
		r.Method = http.MethodGet
	}
	r.Header.Set("Content-Type", kind)
	r.Header.Set("MessageBird-Signature-JWT", signature)
	r.Header.Set("MessageBird-Signature", signature)
	r.Header.Set("MessageBird-Request-Timestamp", stamp)
	return r
}

func FuzzParse(f *testing.F) {
	seed(f)
	all := map[string]carriers.Carrier{}
	for _, s := range schemes {
		all[s] = open(f, s, signingKey)
	}
	f.Fuzz(func(t *testing.T, scheme uint8, get bool, address, kind, _, _ string, body []byte) {
		c := all[schemes[int(scheme)%len(schemes)]]
		p, err := c.Parse(request(get, address, kind, "", "", body))
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
	signed := schemes[:3]
	strangers, ours := map[string]carriers.Carrier{}, map[string]carriers.Carrier{}
	for _, s := range signed {
		strangers[s], ours[s] = open(f, s, "ffffffffffffffffffffffffffffffff"), open(f, s, signingKey)
	}
	f.Fuzz(func(t *testing.T, scheme uint8, get bool, address, kind, signature, stamp string, body []byte) {
		s := signed[int(scheme)%len(signed)]
		r := request(get, address, kind, signature, stamp, body)
		if strangers[s].Verify(r) == nil {
			t.Fatal("a signature that nobody can make was accepted")
		}
		_ = ours[s].Verify(r)
		again := r
		again.Header = r.Header.Clone()
		sign(map[string]string{"scheme": s, "signingKey": signingKey}, &again)
		if s != "legacy" && ours[s].Verify(again) != nil {
			t.Fatal("the carrier's own signature was refused")
		}
	})
}
