package testcarrier_test

import (
	"errors"
	"testing"

	"omniservice/carriers"
	"omniservice/carriers/carriertest"
	"omniservice/carriers/testcarrier"
	"omniservice/omni"
)

func FuzzParse(f *testing.F) {
	for _, x := range carriertest.Fixtures(f, "testdata/webhook") {
		f.Add([]byte(x.Request.Body))
	}
	c := open(f)
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
	for _, x := range carriertest.Fixtures(f, "testdata/webhook") {
		f.Add(x.Request.Headers[testcarrier.SignatureHeader], []byte(x.Request.Body))
	}
	stranger := func() carriers.Carrier {
		p := testcarrier.New(testcarrier.Options{})
		f.Cleanup(p.Close)
		c, err := p.Open(account(map[string]string{"secret": omni.NewToken(16)}), carriers.Options{})
		if err != nil {
			f.Fatal(err)
		}
		return c
	}()
	f.Fuzz(func(t *testing.T, signature string, body []byte) {
		r := request(string(body))
		r.Header.Set(testcarrier.SignatureHeader, signature)
		if stranger.Verify(r) == nil {
			t.Fatal("a signature that nobody can make was accepted")
		}
	})
}
