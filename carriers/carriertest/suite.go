package carriertest

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"omniservice/carriers"
	"omniservice/omni"
)

var update = flag.Bool("update", false, "write the golden files of the carriers anew")

// Harness tells the suite how to drive one carrier.
type Harness struct {
	Provider carriers.Provider

	// Account makes an account that has the secret of a fixture configured. The suite also calls it with other values.
	Account func(secret map[string]string) carriers.Account

	// Secret is that of the requests that the suite makes itself, in the words of the fixtures.
	Secret map[string]string

	// Sign signs r as the provider does: written from its documentation, not with the carrier's own code.
	Sign func(secret map[string]string, r *carriers.WebhookRequest)

	SignsBody bool // an altered body is refused
	SignsURL  bool // an altered URL is refused

	Webhooks string // folder of the fixtures
	Sends    string // folder of the send cases; empty for a carrier that calls nobody

	// Batch is a webhook, not yet signed, with two messages. Nil for a provider that puts one into each.
	Batch *carriers.WebhookRequest
	// Unknown is a webhook, not yet signed, of a kind that nobody knows.
	Unknown carriers.WebhookRequest

	// Mutants makes copies of c that each lack one part of Verify. The suite has to notice every one.
	Mutants func(c carriers.Carrier) map[string]carriers.Carrier

	// Secrets must stand in no error and in nothing that is printed.
	Secrets []string

	seen *sync.Map // texts that were found silent
}

const webhookURL = "https://gw.example.test/webhooks/carrier/0123456789abcdef"

// Run runs the suite. Call it from a test that is not parallel: it measures memory.
func Run(t *testing.T, h Harness) {
	t.Helper()
	h.seen = &sync.Map{}
	fixtures := Fixtures(t, h.Webhooks)
	webhooks := slices.DeleteFunc(slices.Clone(fixtures), func(f Fixture) bool { return f.Kind == handshake })
	t.Run("memory", func(t *testing.T) { h.memory(t, webhooks) })
	t.Run("fixtures", func(t *testing.T) { h.fixtures(t, fixtures) })
	t.Run("signatures", func(t *testing.T) { h.signatures(t, webhooks) })
	t.Run("mutants", func(t *testing.T) { h.mutants(t, fixtures) })
	t.Run("malformed", func(t *testing.T) { h.malformed(t, webhooks) })
	t.Run("payloads", func(t *testing.T) { h.payloads(t) })
	t.Run("account", func(t *testing.T) { h.account(t) })
	if h.Sends != "" {
		t.Run("send", func(t *testing.T) { h.send(t) })
	}
}

// open opens an account whose carrier must call nobody.
func (h Harness) open(t *testing.T, secret map[string]string) carriers.Carrier {
	t.Helper()
	nobody := roundTrip(func(r *http.Request) (*http.Response, error) {
		t.Errorf("called %s", r.URL.Host)
		return nil, errors.New("nothing leaves the machine")
	})
	c, err := h.Provider.Open(h.Account(secret), carriers.Options{HTTP: &http.Client{Transport: nobody}})
	require.NoError(t, err)
	require.Equal(t, h.Provider.Name(), c.Name())
	h.silent(t, c)
	return c
}

// silent fails if something that may be printed or logged shows a secret.
func (h Harness) silent(t *testing.T, v any) {
	t.Helper()
	if _, before := h.seen.LoadOrStore(fmt.Sprintf("%T %v", v, v), true); before {
		return // thousands of errors read alike
	}
	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "err", v)
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "err", v)
	_, _ = fmt.Fprintf(&log, "%v %+v %#v", v, v, v)
	for _, secret := range h.Secrets {
		require.NotContains(t, log.String(), secret)
	}
}

func (h Harness) fixtures(t *testing.T, fixtures []Fixture) {
	for _, f := range fixtures {
		t.Run(f.Name, func(t *testing.T) {
			t.Parallel()
			c := h.open(t, f.Secret)
			require.NoError(t, f.Check(c))
			r := f.Webhook()
			if f.Kind == handshake {
				return
			}
			if !f.Authentic() {
				h.silent(t, c.Verify(r))
				return
			}
			p, err := c.Parse(r)
			if err != nil {
				h.silent(t, err)
				return
			}
			golden(t, filepath.Join(h.Webhooks, f.Name+".golden.json"), p)
		})
	}
}

// golden compares v with a file, or writes it under -update.
func golden(t *testing.T, file string, v any) {
	t.Helper()
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	require.NoError(t, e.Encode(v))
	if *update {
		require.NoError(t, os.WriteFile(file, b.Bytes(), 0o644))
		return
	}
	want, err := os.ReadFile(file)
	require.NoError(t, err, "run the test with -update to write it")
	require.Equal(t, string(want), b.String())
}

// forgeries are requests that the provider did not make, each derived from one that it did.
func (h Harness) forgeries(f Fixture) map[string]carriers.WebhookRequest {
	all := map[string]carriers.WebhookRequest{}
	unsigned := f.Webhook()
	for name := range h.signatureHeaders(f) {
		unsigned.Header.Del(name)
	}
	all["unsigned"] = unsigned

	other := maps.Clone(f.Secret)
	for name, value := range other {
		if slices.Contains(h.Secrets, value) {
			other[name] = strings.Repeat("0", len(value))
		}
	}
	wrong := f.Webhook()
	h.Sign(other, &wrong)
	all["signed with another secret"] = wrong

	for name, values := range h.signatureHeaders(f) {
		garbled := f.Webhook()
		garbled.Header.Set(name, "x"+values[0])
		all["garbled "+name] = garbled
		short := f.Webhook()
		short.Header.Set(name, values[0][:len(values[0])/2])
		all["cut "+name] = short
	}
	if h.SignsBody && f.Request.Body != "" {
		// All bytes of a body are covered alike: of a long one some are enough.
		for i := 0; i < len(f.Request.Body); i += 1 + len(f.Request.Body)/500 {
			altered := f.Webhook()
			altered.Body[i] ^= 1
			all[fmt.Sprintf("byte %d of the body altered", i)] = altered
			cut := f.Webhook()
			cut.Body = cut.Body[:i]
			// What has nothing but the end of a separator cut off says the same.
			if rest := f.Request.Body[i:]; rest != "=" && rest != "&" {
				all[fmt.Sprintf("body cut at %d", i)] = cut
			}
		}
		longer := f.Webhook()
		longer.Body = append(longer.Body, "&Body=more"...)
		all["something added to the body"] = longer
	}
	if h.SignsURL {
		for name, change := range map[string]func(string) string{
			"host": func(u string) string { return strings.Replace(u, "://", "://evil.", 1) },
			"path": func(u string) string {
				before, query, found := strings.Cut(u, "?")
				if found {
					query = "?" + query
				}
				return before + "/x" + query
			},
			"query": func(u string) string {
				if strings.Contains(u, "?") {
					return u + "&x=1"
				}
				return u + "?x=1"
			},
			"scheme": func(u string) string { return strings.Replace(u, "https://", "http://", 1) },
		} {
			r := f.Webhook()
			r.URL = change(r.URL)
			all["another "+name] = r
		}
	}
	return all
}

// signatureHeaders are the headers of f that authenticate it.
func (h Harness) signatureHeaders(f Fixture) http.Header {
	r := f.Webhook()
	r.Header = http.Header{}
	h.Sign(f.Secret, &r)
	given := f.Webhook().Header
	for name := range r.Header {
		r.Header[name] = given[name]
	}
	return r.Header
}

func (h Harness) signatures(t *testing.T, fixtures []Fixture) {
	for _, f := range fixtures {
		if !f.Authentic() {
			continue
		}
		t.Run(f.Name, func(t *testing.T) {
			t.Parallel()
			c := h.open(t, f.Secret)
			again := f.Webhook()
			again.Header = again.Header.Clone()
			h.Sign(f.Secret, &again)
			require.NoError(t, c.Verify(again), "as the documentation says")
			require.NoError(t, c.Verify(again), "what could not be kept comes again")
			for what, r := range h.forgeries(f) {
				err := c.Verify(r)
				require.ErrorIs(t, err, omni.ErrUnauthenticated, what)
				var e *carriers.WebhookError
				require.ErrorAs(t, err, &e, what)
				require.True(t, isAuthentication(e.Name), "%s: %s", what, e.Name)
				h.silent(t, err)
			}
		})
	}
}

// mutants checks the suite against the carrier: whatever part of Verify is taken away, something above fails.
func (h Harness) mutants(t *testing.T, fixtures []Fixture) {
	if h.Mutants == nil {
		return
	}
	noticed := map[string]bool{}
	look := func(notices func(f Fixture, mutant carriers.Carrier) bool) {
		for _, f := range fixtures {
			for name, mutant := range h.Mutants(h.open(t, f.Secret)) {
				noticed[name] = noticed[name] || notices(f, mutant)
			}
		}
	}
	look(func(f Fixture, mutant carriers.Carrier) bool { return f.Check(mutant) != nil })
	look(func(f Fixture, mutant carriers.Carrier) bool {
		if f.Authentic() && f.Kind != handshake {
			for _, r := range h.forgeries(f) {
				if mutant.Verify(r) == nil {
					return true
				}
			}
		}
		return false
	})
	require.NotEmpty(t, noticed)
	for name, seen := range noticed {
		require.True(t, seen, "nothing fails without: %s", name)
	}
}

// malformed cuts every fixture at each byte, alters single bytes of it, and tries bodies that nobody sends, all signed as the
// provider signs. (Rules W8 and X3.) What was cut the same way before is not tried again: many fixtures begin alike.
func (h Harness) malformed(t *testing.T, fixtures []Fixture) {
	tried := map[string][]string{}
	for _, f := range fixtures {
		alike := fmt.Sprint(f.Request.Method, f.Request.URL, f.Request.Headers["Content-Type"], f.Secret)
		before := tried[alike]
		tried[alike] = append(before, f.Request.Body)
		t.Run(f.Name, func(t *testing.T) {
			t.Parallel()
			c := h.open(t, f.Secret)
			for i := known(f.Request.Body, before); i < len(f.Request.Body); i++ {
				r := f.Webhook()
				r.Body = r.Body[:i]
				h.Sign(f.Secret, &r)
				require.NoError(t, c.Verify(r))
				h.parses(t, c, r)
			}
			for i := range len(f.Request.URL) {
				r := f.Webhook()
				r.URL = r.URL[:i]
				h.Sign(f.Secret, &r)
				h.verifies(t, c, r)
				h.parses(t, c, r)
			}
			for _, body := range byteOff(f.Request.Body) {
				r := f.Webhook()
				r.Body = body
				h.Sign(f.Secret, &r)
				h.verifies(t, c, r)
				h.parses(t, c, r)
			}
			for _, address := range byteOff(f.Request.URL) {
				r := f.Webhook()
				r.URL = string(address)
				h.Sign(f.Secret, &r)
				h.verifies(t, c, r)
				h.parses(t, c, r)
			}
			if len(before) > 0 {
				return
			}
			for _, body := range hostile(8 << 10) {
				r := f.Webhook()
				r.Body = body
				h.Sign(f.Secret, &r)
				h.verifies(t, c, r)
				h.parses(t, c, r)
			}
		})
	}
}

// byteOff are copies of s in each of which one byte is another: a bit of it has turned over, or something stands there that ends
// or begins a part of JSON or of a form. The places are spread over s, and others in a text of another length.
func byteOff(s string) [][]byte {
	const places, signs = 24, "\"\\{}[]:,&=%+;0- \x00\n\x80\xff"
	var all [][]byte
	for i := range min(places, len(s)) {
		at := i * len(s) / min(places, len(s))
		turned, replaced := []byte(s), []byte(s)
		turned[at] ^= 1 << ((at + i) % 8)
		replaced[at] = signs[(at+i)%len(signs)]
		all = append(all, turned, replaced)
	}
	return all
}

// known is the length at which a body has to be cut to be one that was not cut out of others.
func known(body string, others []string) int {
	most := 0
	for _, other := range others {
		n := 0
		for n < len(body) && n < len(other) && body[n] == other[n] {
			n++
		}
		most = max(most, n+1)
	}
	return most
}

// verifies expects a verdict on a request that no provider makes.
func (h Harness) verifies(t *testing.T, c carriers.Carrier, r carriers.WebhookRequest) {
	t.Helper()
	if err := c.Verify(r); err != nil {
		require.ErrorIs(t, err, omni.ErrUnauthenticated)
		h.refuses(t, err)
	}
}

// refuses expects the error of a request that is not taken: its sender is told by a 4xx, since a 5xx would bring it again.
func (h Harness) refuses(t *testing.T, err error) {
	t.Helper()
	var e *carriers.WebhookError
	require.ErrorAs(t, err, &e)
	require.Equal(t, 4, statusOf(e)/100, "%v", err)
	h.silent(t, err)
}

// parses expects that a request is read or refused, and that what is read is valid.
func (h Harness) parses(t *testing.T, c carriers.Carrier, r carriers.WebhookRequest) {
	t.Helper()
	p, err := c.Parse(r)
	if err != nil {
		require.True(t, is(err, omni.ErrInvalid) || is(err, omni.ErrForbidden), "%v", err)
		h.refuses(t, err)
		return
	}
	require.LessOrEqual(t, len(p.Events)+len(p.Ignored), carriers.MaxEvents)
	for _, e := range p.Events {
		require.NoError(t, e.Validate())
		require.LessOrEqual(t, len(e.Text), omni.MaxText)
	}
	require.Equal(t, 2, c.Respond(p).Status/100)
}

// hostile are bodies of about n bytes, each expensive in its own way.
func hostile(n int) [][]byte {
	fill := func(before, unit, after string) []byte {
		return []byte(before + strings.Repeat(unit, max(0, n-len(before)-len(after))/len(unit)) + after)
	}
	return [][]byte{
		nil, []byte("null"), []byte("[]"), []byte("{}"), []byte(`""`), []byte("0"), []byte("{"), []byte("\xef\xbb\xbf{}"),
		fill("", "\x00", ""), fill("", "\xff", ""), fill("", "%", ""), fill("", "&", ""), fill("", "a&", ""),
		fill("", "=&", ""), fill("", ";", ""), fill("", "%FF", ""), fill("MessageSid=", "x", ""),
		fill("", "[", ""), fill("", `{"a":`, ""), fill("", "[", "]"), fill("[", "{},", "{}]"), fill("[", "0,", "0]"),
		fill(`{"events":[`, "{},", "{}]}"), fill(`{"events":[`, "0,", "0]}"), fill(`{"events":[`, `"",`, `""]}`),
		fill(`{"events":[{"media":[`, "{},", "{}]}]}"), fill(`{"a":[`, "0,", "0]}"), fill(`{"`, "a", `":1}`),
		fill("{", `"a":1,`, `"b":2}`), fill(`{"MessageSid":"`, `\u0000`, `"}`), fill(`{"MessageSid":"`, `\ud800`, `"}`),
		fill(`{"MessageSid":`, "9", "}"), fill(`{"events":[{"at":`, "9", "}]}"),
	}
}

// memory holds Verify and Parse to ten times the body (rule W8), and to a fixed amount for small ones: little before
// it is known who sent it, and after that enough for as many events as there may be. What is counted is all that
// they allocate, which is more than they hold at once.
func (h Harness) memory(t *testing.T, fixtures []Fixture) {
	const times, unknown, authentic = 10, 32 << 10, 1 << 20
	allocated := func(do func()) int {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		do()
		runtime.ReadMemStats(&after)
		return int(after.TotalAlloc - before.TotalAlloc)
	}
	measure := func(what string, c carriers.Carrier, r carriers.WebhookRequest) {
		size := len(r.Body) + len(r.URL)
		require.LessOrEqual(t, allocated(func() { _ = c.Verify(r) }), times*size+unknown, "verify %s: %d bytes", what, size)
		require.LessOrEqual(t, allocated(func() { _, _ = c.Parse(r) }), times*size+authentic, "parse %s: %d bytes", what, size)
	}
	tried := map[string]bool{}
	for _, f := range fixtures {
		c := h.open(t, f.Secret)
		measure(f.Name, c, f.Webhook())
		kind := f.Request.Method + f.Request.Headers["Content-Type"] + f.Kind
		if tried[kind] {
			continue // large bodies take long, and fixtures of a kind are read alike
		}
		tried[kind] = true
		for i, body := range hostile(int(min(h.Provider.MaxBody(), 256<<10))) { // what grows too fast does so in a part of the largest
			r := f.Webhook()
			r.Body = body
			h.Sign(f.Secret, &r)
			measure(fmt.Sprintf("%s with hostile body %d", f.Name, i), c, r)
		}
	}
}

func (h Harness) payloads(t *testing.T) {
	c := h.open(t, h.Secret)
	if h.Batch != nil {
		r := *h.Batch
		h.Sign(h.Secret, &r)
		require.NoError(t, c.Verify(r))
		p, err := c.Parse(r)
		require.NoError(t, err)
		require.Len(t, p.Events, 2, "two messages in one payload are two events")
		require.NotEqual(t, p.Events[0].CarrierMessageID, p.Events[1].CarrierMessageID)
	}
	r := h.Unknown
	h.Sign(h.Secret, &r)
	require.NoError(t, c.Verify(r))
	p, err := c.Parse(r)
	require.NoError(t, err, "what is authentic and unknown is no error")
	require.Empty(t, p.Events)
	require.NotEmpty(t, p.Ignored)
	for _, i := range p.Ignored {
		require.True(t, isIgnored(i.Name))
		require.LessOrEqual(t, len([]rune(i.Value)), 64)
	}
	require.Equal(t, 2, c.Respond(p).Status/100, "or the provider sends it for ever")
	require.Equal(t, 2, c.Respond(carriers.Parsed{}).Status/100)
}

// account checks that the fields tell what an account needs, and that Open names what is missing.
func (h Harness) account(t *testing.T) {
	full := h.Account(h.Secret)
	fields := h.Provider.Fields()
	for _, f := range fields {
		require.NotEmpty(t, f.Label, f.Name)
		require.NotEmpty(t, f.Help, f.Name)
		if !f.Required {
			continue
		}
		a := full
		a.Config, a.Credentials = maps.Clone(full.Config), maps.Clone(full.Credentials)
		delete(a.Config, f.Name)
		delete(a.Credentials, f.Name)
		_, err := h.Provider.Open(a, carriers.Options{})
		var p *omni.Problem
		require.ErrorAs(t, err, &p, f.Name)
		require.ErrorIs(t, err, omni.ErrInvalid, f.Name)
		require.Contains(t, p.Fields, f.Name)
		h.silent(t, err)
	}
	hidden := map[string]bool{}
	for _, f := range fields {
		hidden[f.Name] = f.Secret
	}
	for name := range full.Config {
		require.Contains(t, hidden, name, "a setting without a field")
		require.False(t, hidden[name], "%s is stored in the clear", name)
	}
	for name := range full.Credentials {
		require.True(t, hidden[name], "%s has no field for a secret", name)
	}
	require.Positive(t, h.Provider.MaxBody())
	require.LessOrEqual(t, h.Provider.MaxBody(), int64(4<<20))
	c := h.open(t, h.Secret)
	some := false
	for _, family := range omni.ChannelTypes {
		_, ok := c.Capabilities(family)
		require.False(t, ok && family != family.Family(), "%s is no family", family)
		some = some || ok
	}
	require.True(t, some)
}

func is(err, target error) bool { return errors.Is(err, target) }

func asWebhookError(err error, to **carriers.WebhookError) bool { return errors.As(err, to) }

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
