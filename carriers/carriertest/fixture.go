// Package carriertest is the suite that every carrier passes, and the reader of the files that it works on.
//
// A fixture is one HTTP request that a provider, or a forger, makes to the gateway, with what has to come of it:
// testdata/webhook/<case>.json. A send case is one message with the request that it becomes, the provider's answer
// and the result: testdata/send/<case>.json.
package carriertest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"omniservice/carriers"
	"omniservice/omni"
)

// Now is the clock of fixtures that name none.
var Now = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// Fixture is one webhook and what comes of it.
type Fixture struct {
	Name     string            `json:"name"`
	Kind     string            `json:"kind"` // message, status, template, account, handshake, invalid, signature
	Request  Request           `json:"request"`
	Secret   map[string]string `json:"secret"` // what the account has configured, in the carrier's own words
	Response Response          `json:"response"`
	Error    *FixtureError     `json:"error"` // of what is refused, or acknowledged without an event
	Events   []map[string]any  `json:"events"`
	Note     string            `json:"note"` // for the reader
}

// Request is the request of a fixture.
type Request struct {
	Method  string            `json:"method"`
	URL     string            `json:"url"` // public URL as the provider called it
	Headers map[string]string `json:"headers"`
	Body    string            `json:"body"`
}

// Response is the answer of a fixture.
type Response struct {
	Status int     `json:"status"`
	Body   *string `json:"body"` // nil: not looked at
}

// FixtureError is the error of a fixture: one of the names in carriers, and the field for missing_field.
type FixtureError struct {
	Name  string `json:"name"`
	Field string `json:"field"`
}

// Fixtures reads the fixtures of a folder, in the order of its files. Each has a name of its own.
func Fixtures(tb testing.TB, dir string) []Fixture {
	tb.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.json"))
	require.NoError(tb, err)
	var all []Fixture
	named := map[string]string{}
	for _, file := range files {
		if strings.HasSuffix(file, ".golden.json") {
			continue
		}
		raw, err := os.ReadFile(file)
		require.NoError(tb, err)
		var f Fixture
		require.NoError(tb, json.Unmarshal(raw, &f), file)
		require.NotEmpty(tb, f.Name, "%s has no name", file)
		require.Empty(tb, named[f.Name], "%s has the name of another", file)
		named[f.Name] = file
		all = append(all, f)
	}
	require.NotEmpty(tb, all, "no fixtures in %s", dir)
	return all
}

// Time is the clock that the fixture wants.
func (f Fixture) Time() time.Time {
	if now, err := time.Parse(time.RFC3339, f.Secret["now"]); err == nil {
		return now
	}
	return Now
}

// Webhook is the fixture's request as a carrier gets it.
func (f Fixture) Webhook() carriers.WebhookRequest {
	r := carriers.WebhookRequest{
		Method: f.Request.Method, URL: f.Request.URL, Header: http.Header{},
		Body: []byte(f.Request.Body), Now: f.Time(),
	}
	for name, value := range f.Request.Headers {
		r.Header.Set(name, value)
	}
	return r
}

// Origin is scheme and host of the URL that the provider called: what the gateway's public URL has to be for a
// signature of the URL to hold.
func (f Fixture) Origin() string {
	u, err := url.Parse(f.Request.URL)
	if err != nil {
		return ""
	}
	return u.Scheme + "://" + u.Host
}

// HTTPRequest makes the request to a running gateway at base, such as http://127.0.0.1:8080. Path and query are
// those of the fixture, so the account's public id is the last part of its path.
func (f Fixture) HTTPRequest(tb testing.TB, base string) *http.Request {
	tb.Helper()
	target := base + strings.TrimPrefix(f.Request.URL, f.Origin())
	r, err := http.NewRequestWithContext(tb.Context(), f.Request.Method, target, strings.NewReader(f.Request.Body))
	require.NoError(tb, err)
	r.Header = f.Webhook().Header
	return r
}

// Authentic reports whether the provider made the request, as far as its signature tells.
func (f Fixture) Authentic() bool {
	if f.Error != nil {
		return !isAuthentication(f.Error.Name)
	}
	return f.Response.Status != http.StatusUnauthorized && f.Response.Status != http.StatusForbidden
}

func isAuthentication(name string) bool {
	return slices.Contains([]string{
		carriers.MissingSignature, carriers.BadSignature, carriers.ExpiredSignature,
		carriers.MissingCredentials, carriers.BadCredentials,
	}, name)
}

func isIgnored(name string) bool {
	return slices.Contains([]string{carriers.UnknownStatus, carriers.UnknownEvent, carriers.Empty}, name)
}

func kindOf(name string) error {
	switch {
	case isAuthentication(name):
		return omni.ErrUnauthenticated
	case name == carriers.ForeignAccount:
		return omni.ErrForbidden
	default:
		return omni.ErrInvalid
	}
}

// handshake is the kind of a fixture in which the provider asks whether an address is ours.
const handshake = "handshake"

// Check runs the fixture through Challenge, Verify, Parse and Respond of c. It returns what is not as the fixture says. A
// fixture of a refusal need not name the error; its status says enough.
func (f Fixture) Check(c carriers.Carrier) error {
	r := f.Webhook()
	if asked, err := f.checkChallenge(c, r); asked || err != nil {
		return err
	}
	err := c.Verify(r)
	if !f.Authentic() {
		return f.checkRefused(err)
	}
	if err != nil {
		return fmt.Errorf("%s: refused, though it is authentic: %w", f.Name, err)
	}
	p, err := c.Parse(r)
	switch {
	case f.Response.Status >= http.StatusBadRequest || f.Error != nil && !isIgnored(f.Error.Name):
		return f.checkRefused(err)
	case err != nil:
		return fmt.Errorf("%s: not parsed: %w", f.Name, err)
	case f.Error != nil && !slices.ContainsFunc(p.Ignored, func(i carriers.Ignored) bool { return i.Name == f.Error.Name }):
		return fmt.Errorf("%s: %s is not reported, only %v", f.Name, f.Error.Name, p.Ignored)
	}
	if err := f.CheckEvents(p.Events); err != nil {
		return err
	}
	return f.checkAnswer(c.Respond(p))
}

// checkChallenge lets c answer a request that asks whether the address is ours. asked is false where it is none.
func (f Fixture) checkChallenge(c carriers.Carrier, r carriers.WebhookRequest) (asked bool, err error) {
	ch, ok := c.(carriers.Challenger)
	if ok {
		var answer carriers.HTTPResponse
		answer, ok, err = ch.Challenge(r)
		switch {
		case ok && f.Response.Status >= http.StatusBadRequest:
			return true, f.checkRefused(err)
		case err != nil:
			return ok, fmt.Errorf("%s: refused: %w", f.Name, err)
		case ok:
			return true, f.checkAnswer(answer)
		}
	}
	if f.Kind == handshake {
		return false, fmt.Errorf("%s: taken for a webhook", f.Name)
	}
	return false, nil
}

func (f Fixture) checkAnswer(answer carriers.HTTPResponse) error {
	if answer.Status != f.Response.Status || f.Response.Body != nil && answer.Body != *f.Response.Body {
		return fmt.Errorf("%s: answered %d %q", f.Name, answer.Status, answer.Body)
	}
	if !answer.Metric.Valid() || !answer.MessageType.Valid() {
		return fmt.Errorf("%s: counted as %q %q", f.Name, answer.Metric, answer.MessageType)
	}
	return nil
}

// checkRefused expects the error that the fixture names, and the status that it is answered with.
func (f Fixture) checkRefused(err error) error {
	var e *carriers.WebhookError
	switch {
	case err == nil:
		return fmt.Errorf("%s: accepted, though it has to be refused", f.Name)
	case !asWebhookError(err, &e):
		return fmt.Errorf("%s: the error is a %T, not a *WebhookError: %w", f.Name, err, err)
	case f.Response.Status != 0 && statusOf(e) != f.Response.Status:
		return fmt.Errorf("%s: refused with %d, not with %d: %w", f.Name, statusOf(e), f.Response.Status, err)
	case f.Error == nil:
		return nil
	case e.Name != f.Error.Name || e.Field != f.Error.Field:
		return fmt.Errorf("%s: refused as %q %q, not as %q %q", f.Name, e.Name, e.Field, f.Error.Name, f.Error.Field)
	case !is(err, kindOf(e.Name)):
		return fmt.Errorf("%s: %s is of another kind than %w", f.Name, e.Name, kindOf(e.Name))
	}
	return nil
}

// statusOf is the HTTP status that an error is answered with.
func statusOf(e *carriers.WebhookError) int {
	switch {
	case e.Status != 0:
		return e.Status
	case is(e, omni.ErrUnauthenticated) || is(e, omni.ErrForbidden):
		return http.StatusForbidden
	default:
		return http.StatusBadRequest
	}
}

// always are the keys that an event of a fixture has in any case; the others of an event are looked at only where
// they stand.
var always = []string{
	"kind", "direction", "carrier", "channelType", "carrierMessageId", "from", "to", "text", "media",
	"status", "errorCode", "replyTo", "reaction",
}

// lower are the keys that fixtures write in lower case.
var lower = []string{"direction", "carrier", "channelType"}

// CheckEvents compares events with those of the fixture. It returns the first difference.
func (f Fixture) CheckEvents(events []omni.CarrierChannelEvent) error {
	if len(events) != len(f.Events) {
		return fmt.Errorf("%s: %d events, not %d", f.Name, len(events), len(f.Events))
	}
	for i, e := range events {
		if err := e.Validate(); err != nil {
			return fmt.Errorf("%s: event %d: %w", f.Name, i, err)
		}
		got := eventJSON(e)
		for _, key := range always {
			if _, ok := f.Events[i][key]; !ok {
				return fmt.Errorf("%s: event %d of the fixture lacks %s", f.Name, i, key)
			}
		}
		for key, want := range f.Events[i] {
			if key == "note" {
				continue // for the reader
			}
			if key == "media" {
				want = mediaJSON(want)
			}
			if !reflect.DeepEqual(want, got[key]) {
				return fmt.Errorf("%s: event %d: %s is %#v, not %#v", f.Name, i, key, got[key], want)
			}
		}
	}
	return nil
}

// eventJSON is an event in the form of a fixture, with the zero value of every key.
func eventJSON(e omni.CarrierChannelEvent) map[string]any {
	raw, err := json.Marshal(e)
	if err != nil {
		return nil
	}
	got := map[string]any{
		"segments": 0., "recipients": []any{}, "optOut": "", "buttonPayload": "", "profileName": "", "clientReference": "",
		"retryable": false, "keyword": "", "networkCode": "", "field": "",
		"signatureValid": true, // it would not be here otherwise
	}
	if json.Unmarshal(raw, &got) != nil {
		return nil
	}
	for _, key := range lower {
		word, _ := got[key].(string)
		got[key] = strings.ToLower(word)
	}
	files := []any{}
	for _, m := range e.Media {
		files = append(files, map[string]any{"id": m.External.ID, "url": m.External.URL, "contentType": m.ContentType})
	}
	got["media"] = files
	return got
}

// mediaJSON gives the files of a fixture's event the keys that they may leave out: what is missing is not known.
func mediaJSON(want any) any {
	files, ok := want.([]any)
	if !ok {
		return want
	}
	out := []any{}
	for _, file := range files {
		m := map[string]any{"id": "", "url": "", "contentType": ""}
		if given, ok := file.(map[string]any); ok {
			for key, value := range given {
				if value != nil { // null, too, is not known
					m[key] = value
				}
			}
		}
		out = append(out, m)
	}
	return out
}
