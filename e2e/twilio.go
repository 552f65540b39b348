package e2e

import (
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"omniservice/omni"
)

// SignTwilio makes the signature of a webhook as "Secure your webhooks" in Twilio's documentation says: the URL, then
// each parameter's name and value in the order of the names, through HMAC-SHA1 with the auth token, in Base64.
func SignTwilio(token, publicURL string, form url.Values) string {
	var b strings.Builder
	b.WriteString(publicURL)
	names := make([]string, 0, len(form))
	for name := range form {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		values := slices.Clone(form[name])
		slices.Sort(values)
		for _, v := range slices.Compact(values) {
			b.WriteString(name + v)
		}
	}
	mac := hmac.New(sha1.New, []byte(token))
	_, _ = io.WriteString(mac, b.String())
	return base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

// SMS is what Twilio posts when somebody writes to us.
func (a *Account) SMS(sid, from, to, body string) url.Values {
	return url.Values{
		"ToCountry": {"US"}, "ToState": {"CA"}, "SmsMessageSid": {sid}, "NumMedia": {"0"}, "ToCity": {""}, "FromZip": {"94107"},
		"SmsSid": {sid}, "FromState": {"CA"}, "SmsStatus": {"received"}, "FromCity": {"SAN FRANCISCO"}, "Body": {body},
		"FromCountry": {"US"}, "To": {to}, "ToZip": {""}, "NumSegments": {"1"}, "MessageSid": {sid}, "AccountSid": {a.SID},
		"From": {from}, "ApiVersion": {"2010-04-01"},
	}
}

// NewSID is an id as Twilio gives it.
func NewSID() string { return "SM" + omni.NewToken(16) }

// Post signs a form and posts it to the account's webhook; it answers the status.
func (a *Account) Post(form url.Values) (int, error) { return a.PostTo(a.WebhookURL, form) }

// PostTo posts it to another public URL of ours.
func (a *Account) PostTo(publicURL string, form url.Values) (int, error) {
	r, err := a.Request(publicURL, form)
	if err != nil {
		return 0, err
	}
	res, err := a.Org.sys.http.Do(r)
	if err != nil {
		return 0, err
	}
	drain(res)
	return res.StatusCode, nil
}

// Request makes the signed request.
func (a *Account) Request(publicURL string, form url.Values) (*http.Request, error) {
	r, err := http.NewRequest(http.MethodPost, a.Org.sys.Local(publicURL), strings.NewReader(form.Encode())) //nolint:noctx // the client has a timeout
	if err != nil {
		return nil, err
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded; charset=UTF-8")
	r.Header.Set("User-Agent", "TwilioProxy/1.1")
	r.Header.Set("X-Twilio-Signature", SignTwilio(a.AuthToken, publicURL, form))
	return r, nil
}

// Receive posts an SMS, which must be taken, and returns its SID.
func (a *Account) Receive(t testing.TB, from, to, body string) string {
	t.Helper()
	sid := NewSID()
	status, err := a.Post(a.SMS(sid, from, to, body))
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, status)
	return sid
}

// Sent is a message that the gateway gave to Twilio.
type Sent struct {
	SID      string
	Account  *Account
	From, To string
	Body     string
	Callback string // StatusCallback
	Form     url.Values
}

// Report posts a status of the message to its callback.
func (m Sent) Report(status string, extra ...string) (int, error) {
	form := url.Values{
		"SmsSid": {m.SID}, "SmsStatus": {status}, "MessageStatus": {status}, "To": {m.To}, "MessageSid": {m.SID},
		"AccountSid": {m.Account.SID}, "From": {m.From}, "ApiVersion": {"2010-04-01"},
	}
	for i := 0; i+1 < len(extra); i += 2 {
		form.Set(extra[i], extra[i+1])
	}
	return m.Account.PostTo(m.Callback, form)
}

// FakeTwilio is Twilio's API for sending, on loopback.
type FakeTwilio struct {
	URL string

	server *httptest.Server
	sys    *System

	mu       sync.Mutex
	accounts map[string]*Account
	sent     []Sent
	refused  []string
	nextSID  string
	before   func(Sent)       // called before the answer goes out
	answer   func(Sent) Reply // nil: taken
}

// Reply is an answer of the API that is not "taken". The zero Reply is "taken".
type Reply struct {
	Status int
	Code   int // Twilio's own
}

func newFakeTwilio(s *System) *FakeTwilio {
	f := &FakeTwilio{sys: s, accounts: map[string]*Account{}}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /2010-04-01/Accounts/{sid}/Messages.json", f.create)
	f.server = httptest.NewServer(mux)
	f.URL = f.server.URL
	return f
}

// Close stops it.
func (f *FakeTwilio) Close() { f.server.Close() }

func (f *FakeTwilio) know(a *Account) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.accounts[a.SID] = a
}

// NextSID makes the next message get a given id.
func (f *FakeTwilio) NextSID(sid string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.nextSID = sid
}

// BeforeAnswer is called with each message before the gateway gets its answer.
func (f *FakeTwilio) BeforeAnswer(do func(Sent)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.before = do
}

// Answer decides what each message is answered.
func (f *FakeTwilio) Answer(how func(Sent) Reply) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.answer = how
}

// Sent lists what was taken or answered, in the order in which it came.
func (f *FakeTwilio) Sent() []Sent {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.sent)
}

// Refused lists what was wrong with requests that Twilio would not have taken.
func (f *FakeTwilio) Refused() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.refused)
}

// Await waits for the n-th message, counted from 1.
func (f *FakeTwilio) Await(t testing.TB, n int) Sent {
	t.Helper()
	Eventually(t, fmt.Sprintf("Twilio gets message %d", n), func() bool { return len(f.Sent()) >= n })
	return f.Sent()[n-1]
}

func (f *FakeTwilio) create(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	acc := f.accounts[r.PathValue("sid")]
	f.mu.Unlock()
	fail := func(status, code int, why string) {
		f.mu.Lock()
		f.refused = append(f.refused, why)
		f.mu.Unlock()
		writeTwilioError(w, status, code)
	}
	user, password, ok := r.BasicAuth()
	if acc == nil || !ok || user != acc.SID || !hmac.Equal([]byte(password), []byte(acc.AuthToken)) {
		fail(http.StatusUnauthorized, 20003, "wrong credentials")
		return
	}
	if err := r.ParseForm(); err != nil || r.Header.Get("Content-Type") != "application/x-www-form-urlencoded" {
		fail(http.StatusBadRequest, 20001, "not a form")
		return
	}
	m := Sent{
		Account: acc, From: r.PostForm.Get("From"), To: r.PostForm.Get("To"), Body: r.PostForm.Get("Body"),
		Callback: r.PostForm.Get("StatusCallback"), Form: r.PostForm,
	}
	switch {
	case m.To == "":
		fail(http.StatusBadRequest, 21604, "no To")
		return
	case m.From == "":
		fail(http.StatusBadRequest, 21603, "no From")
		return
	case m.Body == "" && len(r.PostForm["MediaUrl"]) == 0:
		fail(http.StatusBadRequest, 21602, "neither Body nor MediaUrl")
		return
	case !strings.HasPrefix(m.Callback, f.sys.PublicURL+"/webhooks/twilio/"):
		fail(http.StatusBadRequest, 21609, "StatusCallback is not ours: "+m.Callback)
		return
	}
	f.mu.Lock()
	if m.SID = f.nextSID; m.SID == "" {
		m.SID = NewSID()
	}
	f.nextSID = ""
	f.sent = append(f.sent, m)
	before, answer := f.before, f.answer
	f.mu.Unlock()
	var reply Reply
	if answer != nil {
		reply = answer(m)
	}
	if before != nil {
		before(m)
	}
	if reply.Status != 0 {
		writeTwilioError(w, reply.Status, reply.Code)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusCreated)
	_ = json.NewEncoder(w).Encode(map[string]any{
		"sid": m.SID, "status": "queued", "num_segments": "1", "num_media": "0", "from": m.From, "to": m.To,
		"error_code": nil, "error_message": nil,
	})
}

func writeTwilioError(w http.ResponseWriter, status, code int) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]any{"code": code, "message": "refused", "status": status})
}
