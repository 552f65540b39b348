package messagebird

import (
	"cmp"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"omniservice/carriers"
	"omniservice/carriers/simulate"
	"omniservice/omni"
)

// maxRequest bounds a request to the played API, in bytes.
const maxRequest = 64 << 10

// Player plays MessageBird: its signed webhooks, and of its APIs the sending of messages, files, and what a check asks.
// The account says by which product.
type Player struct {
	Product string // of Account; "" means mms. With conversations and bird there is WhatsApp
}

var _ simulate.Player = Player{}

// Ids of what the account has at the double.
const (
	playedWorkspace       = "51515151-0000-4000-8000-515151515151"
	playedSMSChannel      = "51515151515151515151515151510001"
	playedWhatsAppChannel = "51515151515151515151515151510002"
	playedSMS             = "+15005550006"
	playedWhatsApp        = "+15005550009"
)

// Name implements simulate.Player.
func (Player) Name() omni.CarrierName { return omni.CarrierMessageBird }

// Account implements simulate.Player.
func (p Player) Account() carriers.Account {
	return carriers.Account{
		ID:       "0192f3a4-5b6c-7d8e-9fa0-b1c2d3e4f507",
		PublicID: "simulated-messagebird",
		Config: map[string]string{
			productField: cmp.Or(p.Product, productMMS), workspaceField: playedWorkspace,
			channelsField: "sms:" + playedSMS + "=" + playedSMSChannel + " whatsapp:" + playedWhatsApp + "=" + playedWhatsAppChannel,
		},
		Credentials: map[string][]omni.Secret{
			accessKey: {omni.NewSecret("simulated-access-key")}, signingKey: {omni.NewSecret("simulated-signing-key")},
		},
	}
}

// Address implements simulate.Player.
func (p Player) Address(family omni.ChannelType) string {
	switch {
	case family == omni.ChannelSMS:
		return playedSMS
	case family == omni.ChannelWhatsApp && (p.Product == productConversations || p.Product == productBird):
		return playedWhatsApp
	default:
		return ""
	}
}

// Customer implements simulate.Player.
func (p Player) Customer(family omni.ChannelType) string {
	if p.Address(family) == "" {
		return ""
	}
	return "+14155550123"
}

// productOf is what an account sends by.
func productOf(a carriers.Account) string { return cmp.Or(a.Config[productField], productSMS) }

// platform is the word for a family, "" if the product has none.
func platform(product string, kind omni.ChannelType) string {
	switch chat := product == productConversations || product == productBird; {
	case kind.Family() == omni.ChannelSMS:
		return "sms"
	case kind == omni.ChannelWhatsApp && chat:
		return "whatsapp"
	default:
		return ""
	}
}

// Inbound implements simulate.Player. No product brings reactions, and none but Conversations what is answered.
func (Player) Inbound(a carriers.Account, webhookURL string, in simulate.Inbound, now time.Time) (*http.Request, error) {
	product := productOf(a)
	word := platform(product, in.ChannelType)
	var can []string
	if word == "whatsapp" {
		can = []string{simulate.Place, simulate.NewKinds}
	}
	only := in.Only(omni.CarrierMessageBird, can...)
	switch {
	case only != nil:
		return nil, only
	case word == "":
		return nil, omni.Problemf(omni.ErrInvalid, "MessageBird has no channel of type %s with that product", in.ChannelType)
	case in.Reaction != "":
		return nil, omni.Problemf(omni.ErrInvalid, "MessageBird does not bring reactions")
	case in.ReplyTo != "" && (product != productConversations || word != "whatsapp" || len(in.Files) > 0):
		return nil, omni.Problemf(omni.ErrInvalid, "MessageBird does not tell what this answers")
	case in.From == "" || in.To == "":
		return nil, omni.Problemf(omni.ErrInvalid, "a message needs a sender and a recipient")
	case in.Text == "" && len(in.Files) == 0 && in.Location == nil && in.Unknown == "":
		return nil, omni.Problemf(omni.ErrInvalid, "a message needs a text or a file")
	case len(in.Files) > 1 && product == productConversations:
		return nil, omni.Problemf(omni.ErrInvalid, "a message of Conversations has one file")
	}
	in.ID = cmp.Or(in.ID, omni.NewToken(16))
	files := make([]string, len(in.Files))
	for i, f := range in.Files {
		files[i] = in.Base + "/v1/media/" + url.PathEscape(f)
	}
	created := now.UTC().Format(time.RFC3339)
	switch product {
	case productConversations:
		return playConversation(a, webhookURL, in, word, files, created, now)
	case productBird:
		return playBird(a, webhookURL, in, word, files, created, now)
	}
	form := url.Values{
		"id": {in.ID}, "recipient": {plain(in.To)}, "originator": {plain(in.From)}, "body": {in.Text}, "createdDatetime": {created},
	}
	if len(files) > 0 {
		form["mediaUrls"] = files
	}
	return signedRequest(a, http.MethodPost, webhookURL, "application/x-www-form-urlencoded", form.Encode(), now)
}

func playConversation(a carriers.Account, webhookURL string, in simulate.Inbound, platform string, files []string, created string, now time.Time) (*http.Request, error) {
	kind, content := "text", map[string]any{"text": in.Text}
	switch {
	case in.Location != nil:
		kind, content = "location", map[string]any{"location": coordinates{in.Location.Latitude, in.Location.Longitude}}
	case in.Unknown != "":
		kind, content = in.Unknown, map[string]any{in.Unknown: map[string]any{"of": "a later version"}}
	case len(files) > 0:
		kind, content = "file", map[string]any{"file": map[string]any{"url": files[0], "caption": in.Text}}
	case in.ReplyTo != "":
		kind, content = "whatsappText", map[string]any{"whatsappText": map[string]any{
			"text": map[string]any{"body": in.Text}, "context": map[string]any{"id": in.ReplyTo},
		}}
	}
	return signedJSON(a, webhookURL, map[string]any{
		"type":         "message.created",
		"contact":      map[string]any{"id": "1", "msisdn": json.Number(plain(in.From)), "displayName": cmp.Or(in.ProfileName, plain(in.From))},
		"conversation": map[string]any{"id": "1", "status": "active"},
		"message": map[string]any{
			"id": in.ID, "platform": platform, "from": in.From, "to": in.To, "direction": "received", "status": "received",
			"type": kind, "content": content, "createdDatetime": created, "updatedDatetime": created,
		},
	}, now)
}

func playBird(a carriers.Account, webhookURL string, in simulate.Inbound, platform string, files []string, created string, now time.Time) (*http.Request, error) {
	body := map[string]any{"type": "text", "text": map[string]any{"text": in.Text}}
	switch l := in.Location; {
	case l != nil:
		body = map[string]any{"type": "location", "location": map[string]any{
			"coordinates": coordinates{l.Latitude, l.Longitude}, "location": map[string]any{"label": l.Name, "address": l.Address},
		}}
	case in.Unknown != "":
		body = map[string]any{"type": in.Unknown, in.Unknown: map[string]any{"of": "a later version"}}
	case len(files) > 0:
		var all []map[string]any
		for _, f := range files {
			all = append(all, map[string]any{"mediaUrl": f})
		}
		body = map[string]any{"type": "file", "file": map[string]any{"text": in.Text, "files": all}}
	}
	return signedJSON(a, webhookURL, map[string]any{
		"service": "channels", "event": platform + ".inbound",
		"payload": map[string]any{
			"id": in.ID, "channelId": playedSMSChannel, "direction": "incoming", "status": "delivered", "reason": "", "body": body,
			"sender": map[string]any{"contact": map[string]any{
				"identifierKey": "phonenumber", "identifierValue": in.From, "annotations": map[string]any{"name": in.ProfileName},
			}},
			"receiver":  map[string]any{"connector": map[string]any{"identifierValue": in.To}},
			"createdAt": created, "lastStatusAt": created, "updatedAt": created,
		},
	}, now)
}

// wordFor finds the carrier's word for a status: of several the first by letter, so that it is the same each time.
func wordFor(table map[string]omni.Status, s omni.Status) (string, bool) {
	best := ""
	for w, is := range table {
		if is == s && (best == "" || w < best) {
			best = w
		}
	}
	return best, best != ""
}

// Report implements simulate.Player.
func (Player) Report(a carriers.Account, webhookURL string, s simulate.Sent, r simulate.Report, now time.Time) (*http.Request, error) {
	product := productOf(a)
	tables := map[string]map[string]omni.Status{productConversations: conversationStatuses, productBird: birdStatuses}
	table, ok := tables[product]
	if !ok {
		table = classicStatuses
	}
	word, ok := wordFor(table, r.Status)
	family := platform(product, s.ChannelType)
	if !ok || family == "" || r.Status == omni.StatusRead && family != "whatsapp" {
		return nil, omni.Problemf(omni.ErrInvalid, "MessageBird reports no message of type %s as %s", s.ChannelType, r.Status)
	}
	at := now.UTC().Format(time.RFC3339)
	address := cmp.Or(s.Callback, webhookURL)
	switch product {
	case productConversations:
		message := map[string]any{
			"id": s.ID, "platform": family, "from": s.From, "to": s.To, "direction": "sent", "status": word, "type": "text",
			"content": map[string]any{"text": s.Text}, "source": map[string]any{"reference": s.Reference}, "updatedDatetime": at,
		}
		if r.Code != "" {
			message["error"] = map[string]any{"code": r.Code}
		}
		return signedJSON(a, address, map[string]any{"type": "message.updated", "contact": map[string]any{}, "conversation": map[string]any{"id": "1"}, "message": message}, now)
	case productBird:
		payload := map[string]any{
			"id": s.ID, "direction": "outgoing", "status": word, "reference": s.Reference, "lastStatusAt": at,
			"sender":   map[string]any{"connector": map[string]any{"identifierValue": s.From}},
			"receiver": map[string]any{"contacts": []any{map[string]any{"identifierKey": "phonenumber", "identifierValue": s.To}}},
		}
		if r.Code != "" {
			payload["failure"] = map[string]any{"code": 15001, "source": map[string]any{"name": "sms-messagebird", "code": r.Code}}
		}
		return signedJSON(a, address, map[string]any{"service": "channels", "event": family + ".outbound", "payload": payload}, now)
	}
	query := url.Values{
		"id": {s.ID}, "reference": {s.Reference}, "recipient": {plain(s.To)}, "status": {word}, "statusDatetime": {at}, "ported": {"0"}, "mccmnc": {"310260"},
	}
	if r.Code != "" {
		query.Set("statusErrorCode", r.Code)
	}
	separator := "?"
	if strings.Contains(address, "?") {
		separator = "&"
	}
	return signedRequest(a, http.MethodGet, address+separator+query.Encode(), "", "", now)
}

func signedJSON(a carriers.Account, address string, body any, now time.Time) (*http.Request, error) {
	text, err := json.Marshal(body)
	if err != nil {
		return nil, omni.Problemf(omni.ErrInvalid, "the webhook cannot be written as JSON")
	}
	return signedRequest(a, http.MethodPost, address, "application/json", string(text), now)
}

// signedRequest makes the request of a webhook, signed as the account says.
func signedRequest(a carriers.Account, method, address, kind, body string, now time.Time) (*http.Request, error) {
	conf, err := readConfig(a)
	if err != nil {
		return nil, err
	}
	if s := conf.urlSecrets; len(s) > 0 && !strings.Contains(address, urlSecretParam+"=") {
		separator := "?"
		if strings.Contains(address, "?") {
			separator = "&"
		}
		address += separator + url.Values{urlSecretParam: {s[0].Reveal()}}.Encode()
	}
	r, err := http.NewRequest(method, address, strings.NewReader(body)) //nolint:noctx // whoever sends it has one
	if err != nil {
		return nil, omni.Problemf(omni.ErrInvalid, "the address of the webhook is not a URL")
	}
	if kind != "" {
		r.Header.Set("Content-Type", kind)
	}
	r.Header.Set("User-Agent", "messagebird-double")
	switch conf.scheme {
	case schemeJWT:
		err = signToken(r, conf.signingKeys[0], address, body, now)
	case schemeLegacy:
		q, _ := sortedQuery(address)
		stamp(r, conf.signingKeys[0], q, body, now)
	case schemeBird:
		stamp(r, conf.signingKeys[0], address, body, now)
	}
	if err != nil {
		return nil, omni.Problemf(omni.ErrInvalid, "the webhook cannot be signed")
	}
	return r, nil
}

func signToken(r *http.Request, key omni.Secret, address, body string, now time.Time) error {
	urlHash := sha256.Sum256([]byte(address))
	c := claims{URLHash: hex.EncodeToString(urlHash[:])}
	c.Issuer, c.ID = issuer, omni.NewToken(16)
	c.NotBefore, c.ExpiresAt = jwt.NewNumericDate(now), jwt.NewNumericDate(now.Add(time.Minute))
	text := jwt.MapClaims{"iss": c.Issuer, "jti": c.ID, "nbf": c.NotBefore, "exp": c.ExpiresAt, "url_hash": c.URLHash}
	if body != "" {
		sum := sha256.Sum256([]byte(body))
		text["payload_hash"] = hex.EncodeToString(sum[:])
	}
	token, err := jwt.NewWithClaims(jwt.SigningMethodHS256, text).SignedString([]byte(key.Reveal()))
	r.Header.Set(jwtHeader, token)
	return err
}

func stamp(r *http.Request, key omni.Secret, middle, body string, now time.Time) {
	at, sum := strconv.FormatInt(now.Unix(), 10), sha256.Sum256([]byte(body))
	mac := hmac.New(sha256.New, []byte(key.Reveal()))
	mac.Write([]byte(at + "\n" + middle + "\n"))
	mac.Write(sum[:])
	r.Header.Set(timestampHeader, at)
	r.Header.Set(signatureHeader, base64.StdEncoding.EncodeToString(mac.Sum(nil)))
}

// API implements simulate.Player.
func (Player) API(a carriers.Account, d simulate.Desk) http.Handler {
	conf, err := readConfig(a)
	if err != nil {
		return http.NotFoundHandler()
	}
	p := &playedAPI{desk: d, config: conf}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /messages", p.own(p.takeSMS))
	mux.HandleFunc("POST /mms", p.own(p.takeMMS))
	mux.HandleFunc("POST /v1/send", p.own(p.takeConversation))
	mux.HandleFunc("POST /workspaces/{workspace}/channels/{channel}/messages", p.own(p.takeBird))
	mux.HandleFunc("GET /v1/media/{file}", p.own(p.file))
	mux.HandleFunc("GET /balance", p.own(func(w http.ResponseWriter, _ *http.Request) {
		reply(w, http.StatusOK, map[string]any{"payment": "prepaid", "type": "credits", "amount": 9.2})
	}))
	for _, path := range []string{"/v1/conversations", "/workspaces/{workspace}/channels", "/workspaces/{workspace}/channels/{channel}"} {
		mux.HandleFunc("GET "+path, p.own(func(w http.ResponseWriter, _ *http.Request) {
			reply(w, http.StatusOK, map[string]any{"items": []any{}})
		}))
	}
	mux.HandleFunc("/", p.own(func(w http.ResponseWriter, _ *http.Request) {
		refuse(w, simulate.Verdict{Status: http.StatusNotFound}, "")
	}))
	return mux
}

type playedAPI struct {
	desk   simulate.Desk
	config config
}

// own lets through what is called with the account's access key.
func (p *playedAPI) own(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		given, ok := strings.CutPrefix(r.Header.Get("Authorization"), "AccessKey ")
		for _, key := range p.config.accessKeys {
			if ok && subtle.ConstantTimeCompare([]byte(given), []byte(key.Reveal())) == 1 {
				next(w, r)
				return
			}
		}
		refuse(w, simulate.Verdict{Status: http.StatusUnauthorized}, "access_key")
	}
}

func (p *playedAPI) file(w http.ResponseWriter, r *http.Request) {
	f, ok := p.desk.File(r.PathValue("file"))
	if !ok {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", f.ContentType)
	_, _ = w.Write(f.Body)
}

// read reads a request; false if it was refused.
func (p *playedAPI) read(w http.ResponseWriter, r *http.Request, into any) ([]byte, bool) {
	raw, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxRequest))
	if err != nil || json.Unmarshal(raw, into) != nil {
		refuse(w, simulate.Verdict{Status: http.StatusBadRequest, Code: "21"}, "")
		return nil, false
	}
	return raw, true
}

// take gives a message to the desk, unless something is missing; false if it was refused.
func (p *playedAPI) take(w http.ResponseWriter, s simulate.Sent) bool {
	missing := ""
	switch {
	case s.From == "":
		missing = "originator"
	case s.To == "":
		missing = "recipients"
	case s.Text == "" && len(s.FileURLs) == 0:
		missing = "body"
	}
	if missing != "" {
		refuse(w, simulate.Verdict{Status: http.StatusUnprocessableEntity, Code: "9"}, missing)
		return false
	}
	if v := p.desk.Take(s); v.Status != 0 {
		refuse(w, v, "")
		return false
	}
	return true
}

// withPlus is a number of SMS as E.164.
func withPlus(s string) string {
	if a, err := address("", s); err == nil {
		return a
	}
	return s
}

func (p *playedAPI) takeSMS(w http.ResponseWriter, r *http.Request) {
	var in outboundSMS
	raw, ok := p.read(w, r, &in)
	if !ok {
		return
	}
	s := simulate.Sent{
		ID: omni.NewToken(16), Reference: in.Reference, ChannelType: omni.ChannelSMS, From: withPlus(in.Originator), To: withPlus(strings.Join(in.Recipients, ",")),
		Text: in.Body, Callback: in.ReportURL, Raw: raw, At: p.desk.Now(),
	}
	p.classic(w, s)
}

func (p *playedAPI) takeMMS(w http.ResponseWriter, r *http.Request) {
	var in outboundMMS
	raw, ok := p.read(w, r, &in)
	if !ok {
		return
	}
	p.classic(w, simulate.Sent{
		ID: omni.NewToken(16), Reference: in.Reference, ChannelType: omni.ChannelMMS, From: withPlus(in.Originator), To: withPlus(strings.Join(in.Recipients, ",")),
		Text: in.Body, FileURLs: in.MediaURLs, Raw: raw, At: p.desk.Now(),
	})
}

func (p *playedAPI) classic(w http.ResponseWriter, s simulate.Sent) {
	if !p.take(w, s) {
		return
	}
	parts := 1
	if n, err := omni.CountSegments(s.Text); err == nil && s.ChannelType == omni.ChannelSMS {
		parts = n.Segments
	}
	reply(w, http.StatusCreated, map[string]any{
		"id": s.ID, "href": "https://rest.messagebird.com/messages/" + s.ID, "direction": "mt", "reference": s.Reference,
		"recipients": map[string]any{"totalCount": 1, "totalSentCount": 1, "items": []any{map[string]any{
			"recipient": json.Number(plain(s.To)), "status": "sent", "statusDatetime": s.At.UTC().Format(time.RFC3339), "messagePartCount": parts,
		}}},
	})
}

func (p *playedAPI) takeConversation(w http.ResponseWriter, r *http.Request) {
	var in outboundConversation
	raw, ok := p.read(w, r, &in)
	if !ok {
		return
	}
	ours := p.config.channels.of(in.From)
	s := simulate.Sent{
		ID: omni.NewToken(16), Reference: string(in.Source.Reference), ChannelType: ours.family, From: ours.address, To: in.To,
		Text: string(in.Content.Text), Callback: in.ReportURL, Raw: raw, At: p.desk.Now(),
	}
	for _, f := range []*conversationURL{in.Content.Image, in.Content.Video, in.Content.Audio, in.Content.File} {
		if f != nil {
			s.Text, s.FileURLs = string(f.Caption), append(s.FileURLs, string(f.URL))
		}
	}
	if in.Content.Location != nil {
		s.Location = &omni.Location{Latitude: in.Content.Location.Latitude, Longitude: in.Content.Location.Longitude}
		s.Text = s.Location.Geo()
	}
	if p.take(w, s) {
		reply(w, http.StatusAccepted, map[string]any{"id": s.ID, "status": "accepted"})
	}
}

func (p *playedAPI) takeBird(w http.ResponseWriter, r *http.Request) {
	var in outboundBird
	raw, ok := p.read(w, r, &in)
	if !ok {
		return
	}
	if r.PathValue("workspace") != p.config.workspace {
		refuse(w, simulate.Verdict{Status: http.StatusNotFound}, "")
		return
	}
	ours := p.config.channels.of(r.PathValue("channel"))
	s := simulate.Sent{
		ID: omni.NewToken(16), Reference: in.Reference, ChannelType: ours.family, From: ours.address, Raw: raw, At: p.desk.Now(),
	}
	if len(in.Receiver.Contacts) > 0 {
		s.To = string(in.Receiver.Contacts[0].Value)
	}
	var files some[birdFile]
	switch {
	case in.Body.Text != nil:
		s.Text = string(in.Body.Text.Text)
	case in.Body.Image != nil:
		s.Text, files = string(in.Body.Image.Text), in.Body.Image.Images
	case in.Body.File != nil:
		s.Text, files = string(in.Body.File.Text), in.Body.File.Files
	}
	for _, f := range files {
		s.FileURLs = append(s.FileURLs, string(f.URL))
	}
	if p.take(w, s) {
		reply(w, http.StatusAccepted, map[string]any{"id": s.ID, "channelId": r.PathValue("channel"), "status": "accepted"})
	}
}

// playedCodes are what the API answers with a status where nothing more is known.
var playedCodes = map[int]string{
	http.StatusBadRequest: "21", http.StatusUnauthorized: "2", http.StatusForbidden: "2", http.StatusPaymentRequired: "25",
	http.StatusNotFound: "20", http.StatusUnprocessableEntity: "10",
}

// refuse answers as the API does; without a code, as a gateway before it.
func refuse(w http.ResponseWriter, v simulate.Verdict, parameter string) {
	if v.RetryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(v.RetryAfter))
	}
	code, err := strconv.Atoi(cmp.Or(v.Code, playedCodes[v.Status]))
	if err != nil {
		http.Error(w, http.StatusText(v.Status), v.Status)
		return
	}
	reply(w, v.Status, map[string]any{"errors": []any{map[string]any{"code": code, "description": "simulated", "parameter": parameter}}})
}

func reply(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}
