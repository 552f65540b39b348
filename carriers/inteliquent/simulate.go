package inteliquent

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"omniservice/carriers"
	"omniservice/carriers/simulate"
	"omniservice/omni"
)

// maxRequest bounds the body of a request to the played API, in bytes.
const maxRequest = 64 << 10

// Player plays Inteliquent: its webhooks, and of its API the messages and the configuration of webhooks. It makes the
// referenceId that it is given the message's own, which is not known of Inteliquent.
type Player struct{}

var _ simulate.Player = Player{}

// Name implements simulate.Player.
func (Player) Name() omni.CarrierName { return omni.CarrierInteliquent }

// Account implements simulate.Player.
func (p Player) Account() carriers.Account {
	return carriers.Account{
		ID:       "0192f3a4-5b6c-7d8e-9fa0-b1c2d3e4f508",
		PublicID: "simulated",
		Config:   map[string]string{scheme: schemeDigest, numbers: p.Address(omni.ChannelSMS), deliveryReceipts: "yes"},
		Credentials: map[string][]omni.Secret{
			outboundKey: {omni.NewSecret("simulated-outbound-51515151")},
			apiKey:      {omni.NewSecret("simulated-inbound-51515151")},
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

// bare is a number as Inteliquent writes it.
func bare(number string) string { return strings.TrimPrefix(number, "+") }

// Inbound implements simulate.Player.
func (p Player) Inbound(a carriers.Account, webhookURL string, in simulate.Inbound, _ time.Time) (*http.Request, error) {
	switch {
	case p.Address(in.ChannelType.Family()) == "":
		return nil, omni.Problemf(omni.ErrInvalid, "Inteliquent has no channel of type %s", in.ChannelType)
	case in.Reaction != "":
		return nil, omni.Problemf(omni.ErrInvalid, "Inteliquent does not bring reactions")
	case in.Only(omni.CarrierInteliquent) != nil:
		return nil, in.Only(omni.CarrierInteliquent)
	case in.ReplyTo != "":
		return nil, omni.Problemf(omni.ErrInvalid, "an SMS answers no other message")
	case in.From == "" || in.To == "":
		return nil, omni.Problemf(omni.ErrInvalid, "a message needs a sender and a recipient")
	}
	id := in.ID
	if id == "" {
		id = "Acc" + omni.NewToken(8)
	}
	files := []string{}
	for _, f := range in.Files {
		files = append(files, in.Base+"/files/"+url.PathEscape(f))
	}
	return post(webhookURL, a, map[string]any{
		"referenceId": id, "from": bare(in.From), "to": []string{bare(in.To)}, "text": in.Text, "deliveryReceipt": false, "mediaUrls": files,
	})
}

// Report implements simulate.Player. Receipts have no codes, and nothing says that a message waits or was read.
func (Player) Report(a carriers.Account, webhookURL string, s simulate.Sent, r simulate.Report, _ time.Time) (*http.Request, error) {
	words := map[omni.Status]string{
		omni.StatusSent: "Enroute", omni.StatusDelivered: "", omni.StatusFailed: "Failed", omni.StatusUndeliverable: "Blocked",
	}
	word, ok := words[r.Status]
	if !ok || r.Code != "" {
		return nil, omni.Problemf(omni.ErrInvalid, "Inteliquent does not report a message as %s with code %q", r.Status, r.Code)
	}
	body := map[string]any{"referenceId": s.ID, "from": bare(s.From), "to": []string{bare(s.To)}, "text": "", "deliveryReceipt": true}
	if word != "" {
		body["status"] = word
	}
	if len(s.FileURLs) > 0 {
		body["mediaUrls"] = s.FileURLs
	}
	return post(webhookURL, a, body)
}

// post makes the request of a webhook.
func post(webhookURL string, a carriers.Account, event map[string]any) (*http.Request, error) {
	body, err := json.Marshal(event)
	if err != nil {
		return nil, omni.Problemf(omni.ErrInvalid, "the event cannot be written as JSON")
	}
	r, err := http.NewRequest(http.MethodPost, webhookURL, bytes.NewReader(body)) //nolint:noctx // whoever sends it has one
	if err != nil {
		return nil, omni.Problemf(omni.ErrInvalid, "the address of the webhook is not a URL")
	}
	r.Header.Set("Content-Type", "application/json")
	token, d := omni.NewID(), plain
	switch a.Config[scheme] {
	case schemePath:
		return r, nil
	case schemeHeader:
		r.Header.Set(a.Config[headerName], a.Credential(headerValue).Reveal())
		return r, nil
	case schemeHMAC:
		d = keyed
	}
	r.Header.Set(tokenHeader, token)
	r.Header.Set(digestHeader, hex.EncodeToString(d.of(a.Credential(apiKey), token)))
	return r, nil
}

// API implements simulate.Player.
func (Player) API(a carriers.Account, d simulate.Desk) http.Handler {
	p := &playedAPI{desk: d, key: a.Credential(outboundKey)}
	mux := http.NewServeMux()
	for path, serve := range map[string]func(http.ResponseWriter, []byte){
		"/publishMessages": p.publish, "/configureAuthorization": p.configure, "/selectAuthorization": p.list, "/removeAuthorization": p.remove,
	} {
		mux.HandleFunc("POST "+apiPath+path, p.own(serve))
	}
	mux.HandleFunc("GET /files/{file}", p.file)
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { refuse(w, simulate.Verdict{Status: http.StatusNotFound}) })
	return mux
}

type playedAPI struct {
	desk simulate.Desk
	key  omni.Secret

	mu       sync.Mutex
	webhooks []map[string]any // as they were configured, each with its authId
	last     int              // authId
}

// own lets through what is called with the outbound key, and reads it.
func (p *playedAPI) own(next func(http.ResponseWriter, []byte)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		given, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		if !ok || same(given, p.key.Reveal()) != 1 {
			refuse(w, simulate.Verdict{Status: http.StatusUnauthorized})
			return
		}
		var raw bytes.Buffer
		if _, err := raw.ReadFrom(http.MaxBytesReader(w, r.Body, maxRequest)); err != nil {
			refuse(w, simulate.Verdict{Status: http.StatusRequestEntityTooLarge})
			return
		}
		next(w, raw.Bytes())
	}
}

// file serves a file, to everybody.
func (p *playedAPI) file(w http.ResponseWriter, r *http.Request) {
	f, ok := p.desk.File(r.PathValue("file"))
	if !ok {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", f.ContentType)
	_, _ = w.Write(f.Body)
}

// publish takes a message.
func (p *playedAPI) publish(w http.ResponseWriter, raw []byte) {
	var q request
	if json.Unmarshal(raw, &q) != nil {
		refuse(w, simulate.Verdict{Status: http.StatusBadRequest})
		return
	}
	known := func(n string) bool { return isNumber("+" + n) }
	if !known(q.From) || len(q.To) == 0 || slices.ContainsFunc(q.To, func(n string) bool { return !known(n) }) || q.Text == "" && len(q.MediaURLs) == 0 {
		refuse(w, simulate.Verdict{Status: http.StatusRequestTimeout}) // its word for what is not right
		return
	}
	// One program counts on the id that it gives. What Inteliquent makes of it nobody has confirmed.
	id := q.ReferenceID
	if id == "" {
		id = omni.NewID()
	}
	s := simulate.Sent{
		ID: id, Reference: q.ReferenceID, ChannelType: omni.ChannelSMS, From: "+" + q.From, To: "+" + q.To[0], Text: q.Text,
		FileURLs: q.MediaURLs, Raw: raw, At: p.desk.Now(),
	}
	if len(s.FileURLs) > 0 {
		s.ChannelType = omni.ChannelMMS
	}
	if v := p.desk.Take(s); v.Status != 0 {
		refuse(w, v)
		return
	}
	responses := []any{}
	for _, n := range q.To {
		responses = append(responses, map[string]any{"to": n, "status": "SUCCESS"})
	}
	reply(w, http.StatusOK, map[string]any{
		"success": true, "reason": "SUCCESS", "detail": "SUCCESS",
		"result": map[string]any{
			"referenceId": s.ID, "from": q.From, "text": q.Text, "mediaUrls": q.MediaURLs, "messageType": string(s.ChannelType), "resultResponses": responses,
		},
	})
}

// authorizations is the body of what configures and removes webhooks.
type authorizations struct {
	Authorizations []map[string]any `json:"authorizations"`
}

func (p *playedAPI) configure(w http.ResponseWriter, raw []byte) {
	var q authorizations
	if json.Unmarshal(raw, &q) != nil {
		refuse(w, simulate.Verdict{Status: http.StatusBadRequest})
		return
	}
	p.mu.Lock()
	for _, a := range q.Authorizations {
		if a != nil && len(p.webhooks) < 100 {
			p.last++
			a["authId"] = strconv.Itoa(p.last)
			p.webhooks = append(p.webhooks, a)
		}
	}
	p.mu.Unlock()
	reply(w, http.StatusOK, map[string]any{"success": true, "reason": "SUCCESS", "detail": "SUCCESS"})
}

func (p *playedAPI) remove(w http.ResponseWriter, raw []byte) {
	var q authorizations
	if json.Unmarshal(raw, &q) != nil {
		refuse(w, simulate.Verdict{Status: http.StatusBadRequest})
		return
	}
	p.mu.Lock()
	for _, a := range q.Authorizations {
		p.webhooks = slices.DeleteFunc(p.webhooks, func(w map[string]any) bool { return w["authId"] == a["authId"] })
	}
	p.mu.Unlock()
	reply(w, http.StatusOK, map[string]any{"success": true, "reason": "SUCCESS", "detail": "SUCCESS"})
}

func (p *playedAPI) list(w http.ResponseWriter, _ []byte) {
	p.mu.Lock()
	all := slices.Clone(p.webhooks)
	p.mu.Unlock()
	reply(w, http.StatusOK, map[string]any{
		"success": true, "reason": "SUCCESS", "detail": "SUCCESS", "authConfig": map[string]any{"authorizations": all},
	})
}

// refuse answers as Inteliquent does: a status of 200 says in words that there was no success. A fault without a code is
// one of something in between.
func refuse(w http.ResponseWriter, v simulate.Verdict) {
	if v.RetryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(v.RetryAfter))
	}
	switch {
	case v.Status/100 == 2:
		reply(w, v.Status, map[string]any{"success": false, "reason": v.Code, "detail": "simulated"})
	case v.Status/100 == 5 && v.Code == "":
		http.Error(w, http.StatusText(v.Status), v.Status)
	default:
		code := v.Code
		if code == "" {
			code = strconv.Itoa(v.Status)
		}
		reply(w, v.Status, map[string]any{"statusCode": code, "status": "simulated"})
	}
}

func reply(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}
