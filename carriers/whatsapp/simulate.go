package whatsapp

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"omniservice/carriers"
	"omniservice/carriers/simulate"
	"omniservice/omni"
)

// What the account at the double has.
const (
	playWABA     = "220000000000031"
	playApp      = "440000000000013"
	playAddress  = "+254700100200"
	playCustomer = "+254711222333"

	// playPhone begins the id of a number at the double; its digits follow.
	playPhone = "310"

	maxUploadMemory = 1 << 20
)

// Player plays Meta: its signed webhooks, and of the Graph API what one business account needs.
type Player struct{}

var _ simulate.Player = Player{}

// Name implements simulate.Player.
func (Player) Name() omni.CarrierName { return omni.CarrierWhatsApp }

// Account implements simulate.Player.
func (Player) Account() carriers.Account {
	secret := func(s string) []omni.Secret { return []omni.Secret{omni.NewSecret(s)} }
	return carriers.Account{
		ID:       "0192f3a4-5b6c-7d8e-9fa0-b1c2d3e4f506",
		PublicID: "simulated",
		Config:   map[string]string{wabaID: playWABA, appID: playApp},
		Credentials: map[string][]omni.Secret{
			accessToken: secret("simulated-access-token"), appSecret: secret("simulated-app-secret"), verifyToken: secret("simulated-verify-token"),
		},
	}
}

// Address implements simulate.Player.
func (Player) Address(family omni.ChannelType) string {
	if family != omni.ChannelWhatsApp {
		return ""
	}
	return playAddress
}

// Customer implements simulate.Player.
func (Player) Customer(family omni.ChannelType) string {
	if family != omni.ChannelWhatsApp {
		return ""
	}
	return playCustomer
}

// object is JSON that is being written.
type object = map[string]any

func digits(address string) string { return strings.TrimPrefix(address, "+") }

func newWamid() string {
	return "wamid." + base64.RawURLEncoding.EncodeToString([]byte(omni.NewToken(16)))
}

// Inbound implements simulate.Player. A message has one file: each further one is a message of its own, in the same webhook.
func (Player) Inbound(a carriers.Account, webhookURL string, in simulate.Inbound, now time.Time) (*http.Request, error) {
	if in.ChannelType != omni.ChannelWhatsApp && in.ChannelType != "" {
		return nil, omni.Problemf(omni.ErrInvalid, "WhatsApp brings nothing on %s", in.ChannelType)
	}
	var messages []object
	message := func(kind string, content any) {
		m := object{"id": newWamid(), "timestamp": strconv.FormatInt(now.Unix(), 10), "type": kind, kind: content}
		if len(messages) == 0 && in.ID != "" {
			m["id"] = in.ID
		}
		if carriers.IsUserID(in.From) {
			m["from_user_id"] = in.From
		} else {
			m["from"] = digits(in.From)
		}
		if in.ReplyTo != "" && in.Reaction == "" && in.Act == "" {
			m["context"] = object{"from": digits(in.To), "id": in.ReplyTo}
		}
		messages = append(messages, m)
	}
	text := in.Text
	for i, id := range in.Files {
		typ := "application/octet-stream"
		if i < len(in.FileTypes) && in.FileTypes[i] != "" {
			typ = in.FileTypes[i]
		}
		file := object{"id": id, "mime_type": typ}
		if text != "" {
			file["caption"], text = text, ""
		}
		kind := string(omni.MediaTypeOf(typ))
		if kind == string(kindDocument) {
			file["filename"] = id
		}
		message(kind, file)
	}
	switch {
	case in.Act != "" && in.ReplyTo == "":
		return nil, omni.Problemf(omni.ErrInvalid, "which message it is about is missing")
	case in.Act == simulate.Unreact:
		message("reaction", object{"message_id": in.ReplyTo, "emoji": ""})
	case in.Act == simulate.Edit:
		message("edit", object{"original_message_id": in.ReplyTo, "message": object{"type": "text", "text": object{"body": text}}})
	case in.Act == simulate.Delete:
		message("revoke", object{"original_message_id": in.ReplyTo})
	case in.Reaction != "" && in.ReplyTo != "":
		message("reaction", object{"message_id": in.ReplyTo, "emoji": in.Reaction})
	case in.Location != nil:
		l := in.Location
		message("location", outLocation{Latitude: l.Latitude, Longitude: l.Longitude, Name: l.Name, Address: l.Address})
	case len(in.Contacts) > 0:
		message("contacts", outCards(in.Contacts))
	case in.Unknown != "":
		message(in.Unknown, object{"of": "a later version"})
	case text != "":
		message("text", object{"body": text})
	case len(messages) == 0:
		return nil, omni.Problemf(omni.ErrInvalid, "a message needs a text, a file or a reaction")
	}
	contact := object{"wa_id": digits(in.From)}
	if carriers.IsUserID(in.From) {
		contact = object{"user_id": in.From}
	}
	if in.ProfileName != "" {
		contact["profile"] = object{"name": in.ProfileName}
	}
	return post(a, webhookURL, in.To, object{"contacts": []object{contact}, "messages": messages})
}

// Report implements simulate.Player.
func (Player) Report(a carriers.Account, webhookURL string, s simulate.Sent, r simulate.Report, now time.Time) (*http.Request, error) {
	word := string(r.Status)
	if statuses[word] != r.Status {
		return nil, omni.Problemf(omni.ErrInvalid, "WhatsApp does not report %s", r.Status)
	}
	status := object{"id": s.ID, "status": word, "timestamp": strconv.FormatInt(now.Unix(), 10)}
	if carriers.IsUserID(s.To) {
		status["recipient_user_id"] = s.To
	} else {
		status["recipient_id"] = digits(s.To)
	}
	if s.Reference != "" {
		status["biz_opaque_callback_data"] = s.Reference
	}
	if r.Status == omni.StatusFailed {
		code := ErrorCode(r.Code)
		if code == "" {
			code = CodeUndeliverable
		}
		status["errors"] = []object{errorOf(code)}
	} else {
		status["pricing"] = object{"billable": false, "pricing_model": "PMP", "type": "free_customer_service", "category": "service"}
	}
	return post(a, webhookURL, s.From, object{"statuses": []object{status}})
}

// errorOf is an error with a code as Meta writes it.
func errorOf(code ErrorCode) object {
	f, _ := code.find()
	return object{"code": json.Number(code), "title": f.meaning, "message": f.meaning, "error_data": object{"details": f.meaning}}
}

// post makes the signed webhook of one change about a number of ours.
func post(a carriers.Account, webhookURL, ours string, value object) (*http.Request, error) {
	value["messaging_product"] = product
	value["metadata"] = object{"display_phone_number": digits(ours), "phone_number_id": playPhone + digits(ours)}
	account := a.Config[wabaID]
	if account == "" {
		account = playWABA
	}
	body, err := json.Marshal(object{"object": webhookObject, "entry": []object{{
		"id": account, "changes": []object{{"field": "messages", "value": value}},
	}}})
	if err != nil {
		return nil, fmt.Errorf("write webhook: %w", err)
	}
	body = bytes.ReplaceAll(body, []byte("/"), []byte(`\/`)) // as Meta does
	mac := hmac.New(sha256.New, []byte(a.Credential(appSecret).Reveal()))
	mac.Write(body)
	r, err := http.NewRequestWithContext(context.Background(), http.MethodPost, webhookURL, bytes.NewReader(body))
	if err != nil {
		return nil, omni.Problemf(omni.ErrInvalid, "the webhook's address is not a URL")
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("User-Agent", "facebookexternalua")
	r.Header.Set(signatureHeader, signaturePrefix+hex.EncodeToString(mac.Sum(nil)))
	return r, nil
}

// API implements simulate.Player.
func (Player) API(a carriers.Account, d simulate.Desk) http.Handler {
	p := &playedGraph{account: a, desk: d}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /{version}/{id}/messages", p.message)
	mux.HandleFunc("POST /{version}/{id}/media", p.upload)
	mux.HandleFunc("GET /{version}/{id}", p.node)
	mux.HandleFunc("GET /{version}/{id}/phone_numbers", p.numbers)
	mux.HandleFunc("GET /{version}/{id}/subscribed_apps", p.apps)
	mux.HandleFunc("GET /{version}/{id}/subscriptions", p.subscriptions)
	mux.HandleFunc("GET /{version}/{id}/message_templates", p.templates)
	mux.HandleFunc("POST /{version}/{id}/message_templates", p.createTemplate)
	mux.HandleFunc("DELETE /{version}/{id}/message_templates", p.deleteTemplate)
	mux.HandleFunc("GET /whatsapp_business/attachments/{version}/{id}", p.download)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		token := []byte(strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "))
		app := a.Config[appID] + "|" + a.Credential(appSecret).Reveal()
		if !hmac.Equal(token, []byte(a.Credential(accessToken).Reveal())) && !hmac.Equal(token, []byte(app)) {
			refuseCall(w, http.StatusUnauthorized, CodeTokenExpired)
			return
		}
		mux.ServeHTTP(w, r)
	})
}

// playedGraph is the API of one account.
type playedGraph struct {
	account carriers.Account
	desk    simulate.Desk
}

func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}

func refuseCall(w http.ResponseWriter, status int, code ErrorCode) {
	if code == "" {
		answer(w, status, object{})
		return
	}
	e := errorOf(code)
	e["message"] = "(#" + string(code) + ") " + fmt.Sprint(e["title"])
	e["type"], e["fbtrace_id"] = "OAuthException", omni.NewToken(8)
	delete(e, "title")
	answer(w, status, object{"error": e})
}

// usualCodes are the codes that come with a status, where it has one of its own.
var usualCodes = map[int]ErrorCode{
	http.StatusBadRequest: CodeInvalidParameter, http.StatusUnauthorized: CodeTokenExpired, http.StatusForbidden: CodePermission,
	http.StatusTooManyRequests: CodeThroughput, http.StatusServiceUnavailable: CodeUnavailable,
}

// message takes what is sent, and what only marks or types.
func (g *playedGraph) message(w http.ResponseWriter, r *http.Request) {
	raw, err := io.ReadAll(http.MaxBytesReader(w, r.Body, carriers.MaxAnswer))
	if err != nil {
		refuseCall(w, http.StatusBadRequest, CodeInvalidParameter)
		return
	}
	var in struct {
		OutboundPayload
		Status    string  `json:"status"`
		MessageID string  `json:"message_id"`
		Typing    *typing `json:"typing_indicator"`
	}
	if json.Unmarshal(raw, &in) != nil || in.MessagingProduct != product || !strings.HasPrefix(r.PathValue("id"), playPhone) {
		refuseCall(w, http.StatusBadRequest, CodeInvalidParameter)
		return
	}
	ours := "+" + strings.TrimPrefix(r.PathValue("id"), playPhone)
	if in.Status == "read" {
		kind := simulate.MarkRead
		if in.Typing != nil {
			kind = simulate.MarkTyping
		}
		g.desk.Note(simulate.Mark{Kind: kind, From: ours, MessageID: in.MessageID})
		answer(w, http.StatusOK, object{"success": true})
		return
	}
	s := g.sent(in.OutboundPayload, ours)
	s.Raw = raw
	if code := g.wrong(in.OutboundPayload, s); code != "" {
		refuseCall(w, http.StatusBadRequest, code)
		return
	}
	v := g.desk.Take(s)
	if v.RetryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(v.RetryAfter))
	}
	if v.Status != 0 {
		code := ErrorCode(v.Code)
		if code == "" {
			code = usualCodes[v.Status]
		}
		refuseCall(w, v.Status, code)
		return
	}
	if in.Reaction != nil && in.Reaction.Emoji == "" {
		g.desk.Note(simulate.Mark{Kind: simulate.MarkUnreact, From: s.From, To: s.To, MessageID: s.ReplyTo})
	}
	contact := object{"input": in.To + in.Recipient}
	if in.To != "" {
		contact["wa_id"] = knownAs(in.To)
	} else {
		contact["user_id"] = in.Recipient
	}
	answer(w, http.StatusOK, object{"messaging_product": product, "contacts": []object{contact}, "messages": []object{{"id": s.ID}}})
}

// sent puts a message into the words of all providers.
func (g *playedGraph) sent(o OutboundPayload, from string) simulate.Sent {
	s := simulate.Sent{
		ID: newWamid(), Reference: o.CallbackData, ChannelType: omni.ChannelWhatsApp, From: from, To: o.Recipient, At: g.desk.Now(),
	}
	if o.To != "" {
		s.To = address(o.To)
	}
	if o.Context != nil {
		s.ReplyTo = o.Context.MessageID
	}
	if o.Text != nil {
		s.Text = o.Text.Body
	}
	if o.Interactive != nil && o.Interactive.Body != nil {
		s.Text = o.Interactive.Body.Text
	}
	if o.Reaction != nil {
		s.ReplyTo, s.Reaction = string(o.Reaction.MessageID), o.Reaction.Emoji
	}
	if o.Template != nil {
		s.Template, s.Text = o.Template.Name, readTemplate(*o.Template, g.desk.Templates())
	}
	if l := o.Location; l != nil {
		s.Location = &omni.Location{Latitude: l.Latitude, Longitude: l.Longitude, Name: l.Name, Address: l.Address}
	}
	for _, c := range o.Contacts {
		card := omni.ContactCard{Name: c.Name.FormattedName}
		for _, p := range c.Phones {
			card.Phones = append(card.Phones, p.Phone)
		}
		for _, m := range c.Emails {
			card.Emails = append(card.Emails, m.Email)
		}
		if c.Org != nil {
			card.Organisation = c.Org.Company
		}
		s.Contacts = append(s.Contacts, card)
	}
	if o.Template != nil {
		for _, c := range o.Template.Components {
			for _, p := range c.Parameters {
				f, _ := p[fmt.Sprint(p["type"])].(map[string]any)
				if id, ok := f["id"].(string); ok {
					s.FileIDs = append(s.FileIDs, id)
				} else if link, ok := f["link"].(string); ok {
					s.FileURLs = append(s.FileURLs, link)
				}
			}
		}
	}
	for _, f := range []*outFile{o.Image, o.Video, o.Audio, o.Document, o.Sticker} {
		switch {
		case f == nil:
			continue
		case f.ID != "":
			s.FileIDs = append(s.FileIDs, f.ID)
		default:
			s.FileURLs = append(s.FileURLs, f.Link)
		}
		s.Text = f.Caption
	}
	return s
}

// wrong says what Meta refuses in a message by itself.
func (g *playedGraph) wrong(o OutboundPayload, s simulate.Sent) ErrorCode {
	for _, id := range s.FileIDs {
		if _, ok := g.desk.File(id); !ok {
			return CodeInvalidParameter
		}
	}
	known := g.desk.Templates()
	switch {
	case s.To == "" || o.Type == "":
		return CodeMissingParameter
	case units(s.Text) > maxText:
		return CodeInvalidParameter
	case o.Template == nil || len(known) == 0:
		return ""
	}
	for _, t := range known {
		if t.Name == o.Template.Name && t.Language == o.Template.Language.Code && t.Usable() {
			return ""
		}
	}
	return CodeTemplateMissing
}

func (g *playedGraph) upload(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxDocument+maxUploadMemory)
	file, header, err := r.FormFile("file")
	if err != nil || r.FormValue("messaging_product") != product {
		refuseCall(w, http.StatusBadRequest, CodeInvalidParameter)
		return
	}
	defer func() { _ = file.Close() }()
	body, err := io.ReadAll(file)
	if err != nil {
		refuseCall(w, http.StatusBadRequest, CodeMediaUpload)
		return
	}
	id := "9" + strings.Map(func(r rune) rune { return '0' + r%10 }, omni.NewToken(16))
	g.desk.AddFile(id, simulate.File{Name: header.Filename, ContentType: header.Header.Get("Content-Type"), Body: body})
	answer(w, http.StatusOK, object{"id": id})
}

// node serves the business account, a number or a file.
func (g *playedGraph) node(w http.ResponseWriter, r *http.Request) {
	id := r.PathValue("id")
	if id == g.account.Config[wabaID] {
		answer(w, http.StatusOK, object{"id": id, "name": "Simulated business", "account_review_status": "APPROVED"})
		return
	}
	if f, ok := g.desk.File(id); ok {
		sum := sha256.Sum256(f.Body)
		scheme := "http"
		if r.TLS != nil {
			scheme = "https"
		}
		answer(w, http.StatusOK, object{
			"messaging_product": product, "id": id, "url": scheme + "://" + r.Host + "/whatsapp_business/attachments/" + r.PathValue("version") + "/" + id,
			"mime_type": f.ContentType, "sha256": base64.StdEncoding.EncodeToString(sum[:]), "file_size": len(f.Body),
		})
		return
	}
	if number, ok := strings.CutPrefix(id, playPhone); ok && isDigits(number) {
		answer(w, http.StatusOK, numberOf("+"+number))
		return
	}
	refuseCall(w, http.StatusBadRequest, CodeInvalidParameter)
}

// knownAs is how WhatsApp itself writes a number: many of Brazil are older than their ninth digit.
func knownAs(number string) string {
	if len(number) == 13 && strings.HasPrefix(number, "55") && number[4] == '9' {
		return number[:4] + number[5:]
	}
	return number
}

func numberOf(address string) object {
	return object{
		"id": playPhone + digits(address), "display_phone_number": address, "verified_name": "Simulated business",
		"quality_rating": "GREEN", "status": "CONNECTED", "messaging_limit_tier": "TIER_1K", "throughput": object{"level": "STANDARD"},
	}
}

func (g *playedGraph) download(w http.ResponseWriter, r *http.Request) {
	f, ok := g.desk.File(r.PathValue("id"))
	if !ok {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", f.ContentType)
	_, _ = w.Write(f.Body)
}

func (*playedGraph) numbers(w http.ResponseWriter, _ *http.Request) {
	answer(w, http.StatusOK, object{"data": []object{numberOf(playAddress)}})
}

func (g *playedGraph) apps(w http.ResponseWriter, _ *http.Request) {
	answer(w, http.StatusOK, object{"data": []object{
		{"whatsapp_business_api_data": object{"id": g.account.Config[appID], "name": "Simulated app", "link": "https://www.facebook.com/games/?app_id=1"}},
	}})
}

func (*playedGraph) subscriptions(w http.ResponseWriter, _ *http.Request) {
	fields := make([]object, 0, len(wantedFields))
	for _, f := range wantedFields {
		fields = append(fields, object{"name": f, "version": defaultVersion})
	}
	answer(w, http.StatusOK, object{"data": []object{{"object": webhookObject, "active": true, "fields": fields}}})
}

func templateOf(t omni.MessageTemplate) object {
	format := "POSITIONAL"
	if t.NamedParameters {
		format = "NAMED"
	}
	o := object{
		"id": t.CarrierID, "name": t.Name, "language": t.Language, "status": t.Status, "category": t.Category, "components": t.Components,
		"parameter_format": format, "quality_score": object{"score": t.Quality}, "rejected_reason": "NONE",
	}
	if t.RejectedReason != "" {
		o["rejected_reason"] = t.RejectedReason
	}
	return o
}

// templates serves them by pages, as long as the call wants them.
func (g *playedGraph) templates(w http.ResponseWriter, r *http.Request) {
	var matching []omni.MessageTemplate
	for _, t := range g.desk.Templates() {
		if q := r.URL.Query(); (q.Get("name") == "" || q.Get("name") == t.Name) && (q.Get("language") == "" || q.Get("language") == t.Language) {
			matching = append(matching, t)
		}
	}
	limit, err := strconv.Atoi(r.FormValue("limit"))
	if err != nil || limit < 1 {
		limit = 25
	}
	start, _ := strconv.Atoi(r.FormValue("after")) // what is no cursor of ours begins anew
	start = min(max(start, 0), len(matching))
	end := min(start+limit, len(matching))
	page := make([]object, 0, end-start)
	for _, t := range matching[start:end] {
		page = append(page, templateOf(t))
	}
	paging := object{"cursors": object{"before": strconv.Itoa(start), "after": strconv.Itoa(end)}}
	if end < len(matching) {
		paging["next"] = "https://graph.facebook.com" + r.URL.Path + "?after=" + strconv.Itoa(end)
	}
	answer(w, http.StatusOK, object{"data": page, "paging": paging})
}

func (g *playedGraph) createTemplate(w http.ResponseWriter, r *http.Request) {
	var in struct {
		Name            string                `json:"name"`
		Language        string                `json:"language"`
		Category        omni.TemplateCategory `json:"category"`
		ParameterFormat string                `json:"parameter_format"`
		Components      omni.RawJSON          `json:"components"`
	}
	if json.NewDecoder(http.MaxBytesReader(w, r.Body, carriers.MaxAnswer)).Decode(&in) != nil || in.Name == "" || in.Language == "" ||
		!in.Category.Valid() || in.Components == "" {
		refuseCall(w, http.StatusBadRequest, CodeInvalidParameter)
		return
	}
	all := g.desk.Templates()
	for _, t := range all {
		if t.Name == in.Name && t.Language == in.Language {
			refuseCall(w, http.StatusBadRequest, CodeInvalidParameter)
			return
		}
	}
	t := omni.MessageTemplate{
		CarrierID: strconv.Itoa(1400000000000000 + len(all)), Name: in.Name, Language: in.Language, Category: in.Category,
		Status: omni.TemplatePending, Quality: omni.QualityUnknown, NamedParameters: in.ParameterFormat == "NAMED", Components: in.Components,
	}
	g.desk.SetTemplates(append(all, t))
	answer(w, http.StatusOK, object{"id": t.CarrierID, "status": t.Status, "category": t.Category})
}

// deleteTemplate removes one template by its id, or all of a name.
func (g *playedGraph) deleteTemplate(w http.ResponseWriter, r *http.Request) {
	name, id := r.URL.Query().Get("name"), r.URL.Query().Get("hsm_id")
	var left []omni.MessageTemplate
	all := g.desk.Templates()
	for _, t := range all {
		if t.Name != name || id != "" && t.CarrierID != id {
			left = append(left, t)
		}
	}
	if len(left) == len(all) {
		refuseCall(w, http.StatusNotFound, CodeTemplateMissing)
		return
	}
	g.desk.SetTemplates(left)
	answer(w, http.StatusOK, object{"success": true})
}
