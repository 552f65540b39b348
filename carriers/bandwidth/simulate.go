package bandwidth

import (
	"bytes"
	"crypto/subtle"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode/utf16"

	"omniservice/carriers"
	"omniservice/carriers/simulate"
	"omniservice/omni"
)

// maxRequest bounds the body of a request to the played API, in bytes.
const maxRequest = 64 << 10

// Player plays Bandwidth: its webhooks with user name and password, and of its API the login, the messages and the files.
type Player struct{}

var _ simulate.Player = Player{}

// Name implements simulate.Player.
func (Player) Name() omni.CarrierName { return omni.CarrierBandwidth }

// Account implements simulate.Player.
func (Player) Account() carriers.Account {
	return carriers.Account{
		ID:       "0192f3a4-5b6c-7d8e-9fa0-b1c2d3e4f507",
		PublicID: "simulated",
		Config: map[string]string{
			accountID: "9900000", applicationID: "51515151-5151-4151-8151-515151515151", username: "simulated", apiUser: "gateway",
		},
		Credentials: map[string][]omni.Secret{
			password:    {omni.NewSecret("simulated-webhook-51515151")},
			apiPassword: {omni.NewSecret("simulated-api-51515151")},
		},
	}
}

// Address implements simulate.Player.
func (Player) Address(family omni.ChannelType) string {
	if family != omni.ChannelSMS {
		return ""
	}
	return "+15005550006"
}

// Customer implements simulate.Player.
func (Player) Customer(family omni.ChannelType) string {
	if family != omni.ChannelSMS {
		return ""
	}
	return "+14155550123"
}

// newID makes an id as Bandwidth's are: a time and something random, 29 characters.
func newID(now time.Time) string {
	return strconv.FormatInt(now.UnixMilli(), 10) + omni.NewToken(8)
}

const microseconds = "2006-01-02T15:04:05.000000Z"

// Inbound implements simulate.Player.
func (p Player) Inbound(a carriers.Account, webhookURL string, in simulate.Inbound, now time.Time) (*http.Request, error) {
	switch {
	case p.Address(in.ChannelType.Family()) == "":
		return nil, omni.Problemf(omni.ErrInvalid, "Bandwidth has no channel of type %s", in.ChannelType)
	case in.Reaction != "":
		return nil, omni.Problemf(omni.ErrInvalid, "Bandwidth does not bring reactions")
	case in.Only(omni.CarrierBandwidth) != nil:
		return nil, in.Only(omni.CarrierBandwidth)
	case in.ReplyTo != "":
		return nil, omni.Problemf(omni.ErrInvalid, "an SMS answers no other message")
	case in.From == "" || in.To == "":
		return nil, omni.Problemf(omni.ErrInvalid, "a message needs a sender and a recipient")
	}
	id := in.ID
	if id == "" {
		id = newID(now)
	}
	m := map[string]any{
		"id": id, "owner": in.To, "applicationId": a.Config[applicationID], "time": now.UTC().Format(microseconds),
		"segmentCount": segments(in.Text), "direction": "in", "to": []string{in.To}, "from": in.From, "text": in.Text,
	}
	var media []string
	for i, f := range in.Files {
		media = append(media, in.Base+mediaPath+a.Config[accountID]+"/media/"+url.PathEscape(id)+"/"+strconv.Itoa(i)+"/"+url.PathEscape(f))
	}
	if len(media) > 0 {
		m["media"], m["segmentCount"] = media, 1
	}
	return post(webhookURL, a, username, password, map[string]any{
		"type": typeReceived, "time": now.UTC().Format(microseconds), "description": "Incoming message received", "to": in.To, "message": m,
	})
}

// Report implements simulate.Player. Only RCS messages are read. A code that begins with 4 makes a failed message
// undeliverable, and 9902 one that was sent.
func (Player) Report(a carriers.Account, webhookURL string, s simulate.Sent, r simulate.Report, now time.Time) (*http.Request, error) {
	kinds := map[omni.Status]string{
		omni.StatusQueued: typeSending, omni.StatusSent: typeSent, omni.StatusDelivered: typeDelivered,
		omni.StatusFailed: typeFailed, omni.StatusUndeliverable: typeFailed,
	}
	d := DeliveryStatus{Type: kinds[r.Status], Code: r.Code}
	switch {
	case r.Status == omni.StatusUndeliverable && d.Code == "":
		d.Code = "4750"
	case d.Code == receiptExpired:
		d.Type = typeFailed
	case d.Type != typeFailed:
		d.Code = ""
	}
	code, err := strconv.Atoi(d.Code)
	if status, ok := d.Status(); !ok || status != r.Status || d.Code != "" && (err != nil || code <= 0) {
		return nil, omni.Problemf(omni.ErrInvalid, "Bandwidth does not report a message of type %s as %s with code %q", s.ChannelType, r.Status, r.Code)
	}
	m := map[string]any{
		"id": s.ID, "owner": s.From, "applicationId": a.Config[applicationID], "time": s.At.UTC().Format(microseconds),
		"segmentCount": segments(s.Text), "direction": "out", "to": []string{s.To}, "from": s.From, "text": "", "tag": s.Reference,
	}
	if len(s.FileURLs) > 0 {
		m["media"] = s.FileURLs
	}
	event := map[string]any{"type": d.Type, "time": now.UTC().Format(microseconds), "description": "simulated", "to": s.To, "message": m}
	if d.Code != "" {
		event["errorCode"] = code
	}
	user, secret := username, password
	if a.Config[statusUsername] != "" {
		user, secret = statusUsername, statusPassword
	}
	return post(webhookURL, a, user, secret, event)
}

// post makes the request of a webhook.
func post(webhookURL string, a carriers.Account, user, secret string, event map[string]any) (*http.Request, error) {
	body, err := json.Marshal([]any{event})
	if err != nil {
		return nil, omni.Problemf(omni.ErrInvalid, "the event cannot be written as JSON")
	}
	r, err := http.NewRequest(http.MethodPost, webhookURL, bytes.NewReader(body)) //nolint:noctx // whoever sends it has one
	if err != nil {
		return nil, omni.Problemf(omni.ErrInvalid, "the address of the webhook is not a URL")
	}
	r.Header.Set("Content-Type", "application/json; charset=utf-8")
	r.Header.Set("User-Agent", "BandwidthAPI/v2")
	if a.Config[scheme] != schemePath {
		r.SetBasicAuth(a.Config[user], a.Credential(secret).Reveal())
	}
	return r, nil
}

// API implements simulate.Player.
func (Player) API(a carriers.Account, d simulate.Desk) http.Handler {
	p := &playedAPI{desk: d, account: a, token: omni.NewToken(16)}
	mux := http.NewServeMux()
	mux.HandleFunc("POST "+tokenPath, p.login)
	mux.HandleFunc("POST "+mediaPath+"{account}/messages", p.own(p.create))
	mux.HandleFunc("GET "+mediaPath+"{account}/media", p.own(func(w http.ResponseWriter, _ *http.Request) {
		answer(w, http.StatusOK, []any{})
	}))
	mux.HandleFunc("GET "+mediaPath+"{account}/media/{message}/{n}/{file}", p.own(p.file))
	mux.HandleFunc("/", notFound)
	return mux
}

type playedAPI struct {
	desk    simulate.Desk
	account carriers.Account
	token   string // that the login gives
}

// login gives a token for the client's id and secret.
func (p *playedAPI) login(w http.ResponseWriter, r *http.Request) {
	id := p.account.Config[clientID]
	user, secret, _ := r.BasicAuth()
	r.Body = http.MaxBytesReader(w, r.Body, maxRequest)
	switch {
	case id == "" || same(user, id)&same(secret, p.account.Credential(clientSecret).Reveal()) != 1:
		answer(w, http.StatusUnauthorized, map[string]any{"error": "invalid_client"})
	case r.PostFormValue("grant_type") != "client_credentials":
		answer(w, http.StatusBadRequest, map[string]any{"error": "unsupported_grant_type"})
	default:
		answer(w, http.StatusOK, map[string]any{"access_token": p.token, "token_type": "Bearer", "expires_in": 3600})
	}
}

// own lets through what is called with the account's credentials, for the account.
func (p *playedAPI) own(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		user, secret, basic := r.BasicAuth()
		wanted := p.account.Config[apiUser]
		known := basic && wanted != "" && same(user, wanted)&same(secret, p.account.Credential(apiPassword).Reveal()) == 1
		if bearer, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer "); ok {
			known = subtle.ConstantTimeCompare([]byte(bearer), []byte(p.token)) == 1
		}
		switch {
		case !known:
			refuse(w, simulate.Verdict{Status: http.StatusUnauthorized})
		case r.PathValue("account") != p.account.Config[accountID]:
			refuse(w, simulate.Verdict{Status: http.StatusForbidden})
		default:
			next(w, r)
		}
	}
}

// file serves a file. Bandwidth does not always say what it is.
func (p *playedAPI) file(w http.ResponseWriter, r *http.Request) {
	f, ok := p.desk.File(r.PathValue("file"))
	if !ok {
		notFound(w, r)
		return
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	_, _ = w.Write(f.Body)
}

// create takes a message.
func (p *playedAPI) create(w http.ResponseWriter, r *http.Request) {
	if kind, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";"); strings.TrimSpace(kind) != "application/json" {
		refuse(w, simulate.Verdict{Status: http.StatusUnsupportedMediaType})
		return
	}
	var raw bytes.Buffer
	var q request
	if _, err := raw.ReadFrom(http.MaxBytesReader(w, r.Body, maxRequest)); err != nil || json.Unmarshal(raw.Bytes(), &q) != nil {
		refuse(w, simulate.Verdict{Status: http.StatusBadRequest})
		return
	}
	if field := p.wrong(q); field != "" {
		answer(w, http.StatusBadRequest, map[string]any{
			"type": "request-validation", "description": "Your request could not be accepted.",
			"fieldErrors": []any{map[string]any{"fieldName": field, "description": "simulated"}},
		})
		return
	}
	now := p.desk.Now()
	s := simulate.Sent{
		ID: newID(now), Reference: q.Tag, ChannelType: omni.ChannelSMS, From: q.From, To: q.To[0], Text: q.Text,
		FileURLs: q.Media, Raw: raw.Bytes(), At: now,
	}
	parts := segments(q.Text)
	if len(q.Media) > 0 || len(q.To) > 1 {
		s.ChannelType, parts = omni.ChannelMMS, 1
	}
	if v := p.desk.Take(s); v.Status != 0 {
		refuse(w, v)
		return
	}
	answer(w, http.StatusAccepted, map[string]any{
		"id": s.ID, "owner": q.From, "applicationId": q.ApplicationID, "time": now.UTC().Format(microseconds), "segmentCount": parts,
		"direction": "out", "to": q.To, "from": q.From, "media": q.Media, "text": q.Text, "tag": q.Tag, "priority": q.Priority,
	})
}

// wrong is the field that Bandwidth does not take; "" if it takes all.
func (p *playedAPI) wrong(q request) string {
	switch {
	case q.ApplicationID != p.account.Config[applicationID]:
		return "applicationId"
	case !isNumber(q.From) && !isShortCode(q.From) && !isName(q.From):
		return "from"
	case len(q.To) == 0 || len(q.To) > 10:
		return "to"
	case q.Text == "" && len(q.Media) == 0 || len(utf16.Encode([]rune(q.Text))) > maxText:
		return "text"
	case len(q.Tag) > maxTag:
		return "tag"
	}
	for _, to := range q.To {
		if !isNumber(to) {
			return "to"
		}
	}
	for _, file := range q.Media {
		if u, err := url.Parse(file); err != nil || u.Host == "" || len(file) > maxFileURL {
			return "media"
		}
	}
	return ""
}

// typeOf are the types of answers whose HTTP status has one.
var typeOf = map[int]string{
	http.StatusBadRequest: "request-validation", http.StatusUnauthorized: "unauthorized", http.StatusForbidden: "forbidden",
	http.StatusUnsupportedMediaType: "unsupported-content-type", http.StatusTooManyRequests: "max-message-queue-size-exceeded",
}

// refuse answers as Bandwidth does; where it has no type, as something in between.
func refuse(w http.ResponseWriter, v simulate.Verdict) {
	if v.RetryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(v.RetryAfter))
	}
	if code, err := strconv.Atoi(v.Code); err == nil { // an error code of the table, which no page shows in an answer
		answer(w, v.Status, map[string]any{"type": "request-validation", "description": "simulated", "errorCode": code})
		return
	}
	kind := v.Code
	if kind == "" {
		kind = typeOf[v.Status]
	}
	if kind == "" {
		http.Error(w, http.StatusText(v.Status), v.Status)
		return
	}
	answer(w, v.Status, map[string]any{"type": kind, "description": "simulated"})
}

// notFound answers as Bandwidth does where there is nothing.
func notFound(w http.ResponseWriter, r *http.Request) {
	answer(w, http.StatusNotFound, map[string]any{
		"timestamp": "2026-11-23T12:00:00.000+0000", "status": http.StatusNotFound, "error": "Not Found", "message": "Not Found", "path": r.URL.Path,
	})
}

func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}

// segments counts the parts of an SMS, taking ASCII for GSM-7.
func segments(text string) int {
	one, many, units := 160, 153, 0
	for _, r := range text {
		units += utf16.RuneLen(r)
		if r > 0x7f {
			one, many = 70, 67
		}
	}
	if units <= one {
		return 1
	}
	return (units + many - 1) / many
}
