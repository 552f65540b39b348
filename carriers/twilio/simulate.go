package twilio

import (
	"crypto/hmac"
	"crypto/sha1" //nolint:gosec // Twilio's choice
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf16"

	"omniservice/carriers"
	"omniservice/carriers/simulate"
	"omniservice/omni"
)

// maxForm bounds the form of a request to the played API, in bytes.
const maxForm = 64 << 10

// Player plays Twilio: its signed webhooks, and of its API the messages and their files.
type Player struct{}

var _ simulate.Player = Player{}

// Name implements simulate.Player.
func (Player) Name() omni.CarrierName { return omni.CarrierTwilio }

// Account implements simulate.Player.
func (Player) Account() carriers.Account {
	return carriers.Account{
		ID:       "0192f3a4-5b6c-7d8e-9fa0-b1c2d3e4f506",
		PublicID: "simulated",
		Config:   map[string]string{accountSID: "AC5151515151515151515151515151aaaa"},
		Credentials: map[string][]omni.Secret{
			authToken: {omni.NewSecret("51515151515151515151515151515eed")},
		},
	}
}

// Address implements simulate.Player. The numbers are Twilio's own for tests.
func (Player) Address(family omni.ChannelType) string {
	switch family {
	case omni.ChannelSMS:
		return "+15005550006"
	case omni.ChannelWhatsApp:
		return "+15005550009"
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

// Inbound implements simulate.Player. Reactions Twilio does not bring, and answers to a message of WhatsApp alone.
func (p Player) Inbound(a carriers.Account, webhookURL string, in simulate.Inbound, _ time.Time) (*http.Request, error) {
	whatsApp := in.ChannelType == omni.ChannelWhatsApp
	switch {
	case p.Address(in.ChannelType.Family()) == "":
		return nil, omni.Problemf(omni.ErrInvalid, "Twilio has no channel of type %s", in.ChannelType)
	case in.Reaction != "":
		return nil, omni.Problemf(omni.ErrInvalid, "Twilio does not bring reactions")
	case whatsApp && in.Only(omni.CarrierTwilio, simulate.Place, simulate.NewKinds) != nil, !whatsApp && in.Only(omni.CarrierTwilio) != nil:
		return nil, in.Only(omni.CarrierTwilio)
	case in.ReplyTo != "" && !whatsApp:
		return nil, omni.Problemf(omni.ErrInvalid, "an SMS answers no other message")
	case in.From == "" || in.To == "":
		return nil, omni.Problemf(omni.ErrInvalid, "a message needs a sender and a recipient")
	}
	id := in.ID
	if id == "" && len(in.Files) > 0 && !whatsApp {
		id = "MM" + omni.NewToken(16)
	} else if id == "" {
		id = "SM" + omni.NewToken(16)
	}
	account := a.Config[accountSID]
	form := url.Values{
		"ApiVersion": {"2010-04-01"}, "AccountSid": {account}, "MessageSid": {id}, "SmsMessageSid": {id}, "SmsSid": {id},
		"SmsStatus": {"received"}, "From": {in.From}, "To": {in.To}, "Body": {in.Text},
		"NumSegments": {"1"}, "NumMedia": {strconv.Itoa(len(in.Files))},
	}
	if whatsApp {
		form.Set("From", whatsAppPrefix+in.From)
		form.Set("To", whatsAppPrefix+in.To)
		form.Set("WaId", strings.TrimPrefix(in.From, "+"))
		form.Set("ChannelPrefix", "whatsapp")
		form.Set("MessageType", "text")
		if in.ProfileName != "" {
			form.Set("ProfileName", in.ProfileName)
		}
	}
	if in.ReplyTo != "" {
		form.Set("OriginalRepliedMessageSid", in.ReplyTo)
		form.Set("OriginalRepliedMessageSender", whatsAppPrefix+in.To)
	}
	if l := in.Location; l != nil {
		form.Set("Latitude", strconv.FormatFloat(l.Latitude, 'f', -1, 64))
		form.Set("Longitude", strconv.FormatFloat(l.Longitude, 'f', -1, 64))
		form.Set("Label", l.Name)
		form.Set("Address", l.Address)
		form.Set("MessageType", "location")
	}
	if in.Unknown != "" {
		form.Set("MessageType", in.Unknown)
	}
	for i, file := range in.Files {
		n := strconv.Itoa(i)
		kind := "application/octet-stream"
		if i < len(in.FileTypes) && in.FileTypes[i] != "" {
			kind = in.FileTypes[i]
		}
		form.Set("MediaUrl"+n, in.Base+accountPath(account)+"/Messages/"+url.PathEscape(id)+"/Media/"+url.PathEscape(file))
		form.Set("MediaContentType"+n, kind)
		if whatsApp {
			word, _, _ := strings.Cut(kind, "/")
			form.Set("MessageType", word)
		}
	}
	return signedForm(a, webhookURL, form)
}

// words are Twilio's words for our statuses.
var words = map[omni.Status]string{
	omni.StatusQueued: "queued", omni.StatusSent: "sent", omni.StatusDelivered: "delivered", omni.StatusRead: "read",
	omni.StatusFailed: "failed", omni.StatusUndeliverable: "undelivered",
}

// Report implements simulate.Player. Only messages of WhatsApp are read.
func (Player) Report(a carriers.Account, webhookURL string, s simulate.Sent, r simulate.Report, _ time.Time) (*http.Request, error) {
	word, ok := words[r.Status]
	if !ok || r.Status == omni.StatusRead && s.ChannelType != omni.ChannelWhatsApp {
		return nil, omni.Problemf(omni.ErrInvalid, "Twilio reports no message of type %s as %s", s.ChannelType, r.Status)
	}
	from, to := s.From, s.To
	form := url.Values{
		"ApiVersion": {"2010-04-01"}, "AccountSid": {a.Config[accountSID]}, "MessageSid": {s.ID}, "SmsSid": {s.ID},
		"MessageStatus": {word}, "SmsStatus": {word},
	}
	if s.ChannelType == omni.ChannelWhatsApp {
		from, to = whatsAppPrefix+from, whatsAppPrefix+to
		form.Set("ChannelPrefix", "whatsapp")
	}
	form.Set("From", from)
	form.Set("To", to)
	if r.Code != "" {
		form.Set("ErrorCode", r.Code)
	}
	return signedForm(a, webhookURL, form)
}

// signedForm makes the request of a webhook.
func signedForm(a carriers.Account, webhookURL string, form url.Values) (*http.Request, error) {
	body := form.Encode()
	r, err := http.NewRequest(http.MethodPost, webhookURL, strings.NewReader(body)) //nolint:noctx // whoever sends it has one
	if err != nil {
		return nil, omni.Problemf(omni.ErrInvalid, "the address of the webhook is not a URL")
	}
	p, err := decodeForm(body)
	if err != nil {
		return nil, err
	}
	mac := hmac.New(sha1.New, []byte(a.Credential(authToken).Reveal()))
	mac.Write([]byte(webhookURL))
	mac.Write(p.signedText())
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded; charset=UTF-8")
	r.Header.Set("User-Agent", "TwilioProxy/1.1")
	r.Header.Set(signatureHeader, base64.StdEncoding.EncodeToString(mac.Sum(nil)))
	return r, nil
}

func accountPath(sid string) string { return "/2010-04-01/Accounts/" + sid }

// API implements simulate.Player.
func (Player) API(a carriers.Account, d simulate.Desk) http.Handler {
	p := &playedAPI{desk: d, sid: a.Config[accountSID], logins: map[string]string{}}
	p.logins[p.sid] = a.Credential(authToken).Reveal()
	if key := a.Config[apiKeySID]; key != "" {
		p.logins[key] = a.Credential(apiKeySecret).Reveal()
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST "+accountPath("{account}")+"/Messages.json", p.own(p.create))
	mux.HandleFunc("GET "+accountPath("{account}")+"/Messages/{message}/Media/{file}", p.own(func(w http.ResponseWriter, r *http.Request) {
		if _, ok := d.File(r.PathValue("file")); !ok {
			refuse(w, simulate.Verdict{Status: http.StatusNotFound})
			return
		}
		http.Redirect(w, r, "/files/"+url.PathEscape(r.PathValue("file")), http.StatusTemporaryRedirect)
	}))
	mux.HandleFunc("GET /files/{file}", p.file)
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		refuse(w, simulate.Verdict{Status: http.StatusNotFound})
	})
	return mux
}

type playedAPI struct {
	desk   simulate.Desk
	sid    string
	logins map[string]string // user and password
}

// own lets through what is called with the account's credentials, for the account.
func (p *playedAPI) own(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		user, password, _ := r.BasicAuth()
		want, ok := p.logins[user]
		switch {
		case !ok || subtle.ConstantTimeCompare([]byte(password), []byte(want)) != 1:
			refuse(w, simulate.Verdict{Status: http.StatusUnauthorized})
		case r.PathValue("account") != p.sid:
			refuse(w, simulate.Verdict{Status: http.StatusNotFound})
		default:
			next(w, r)
		}
	}
}

// file serves a file as the place does that the API redirects to: without credentials.
func (p *playedAPI) file(w http.ResponseWriter, r *http.Request) {
	f, ok := p.desk.File(r.PathValue("file"))
	if !ok {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", f.ContentType)
	_, _ = w.Write(f.Body)
}

// create takes a message.
func (p *playedAPI) create(w http.ResponseWriter, r *http.Request) {
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	if err != nil || kind != "application/x-www-form-urlencoded" || r.ParseForm() != nil {
		refuse(w, simulate.Verdict{Status: http.StatusBadRequest})
		return
	}
	form := r.PostForm
	s := simulate.Sent{
		ID: "SM" + omni.NewToken(16), ChannelType: omni.ChannelSMS, From: form.Get("From"), To: form.Get("To"), Text: form.Get("Body"),
		FileURLs: slices.Clone(form["MediaUrl"]), Callback: form.Get("StatusCallback"), Raw: []byte(form.Encode()), At: p.desk.Now(),
	}
	if s.From == "" {
		s.From = form.Get("MessagingServiceSid")
	}
	if to, ok := strings.CutPrefix(s.To, whatsAppPrefix); ok {
		s.ChannelType, s.To, s.From = omni.ChannelWhatsApp, to, strings.TrimPrefix(s.From, whatsAppPrefix)
	} else if len(s.FileURLs) > 0 {
		s.ID, s.ChannelType = "MM"+s.ID[2:], omni.ChannelMMS
	}
	if id, ok := queryParam(s.Callback, messageParam); ok {
		s.Reference = id
	}
	if code := p.wrong(s); code != "" {
		refuse(w, simulate.Verdict{Status: http.StatusBadRequest, Code: code})
		return
	}
	if v := p.desk.Take(s); v.Status != 0 {
		refuse(w, v)
		return
	}
	answer(w, http.StatusCreated, map[string]any{
		"sid": s.ID, "status": "queued", "num_segments": strconv.Itoa(segments(s.Text)), "num_media": strconv.Itoa(len(s.FileURLs)),
		"from": form.Get("From"), "to": form.Get("To"), "account_sid": p.sid, "body": s.Text, "direction": "outbound-api",
		"error_code": nil, "error_message": nil, "api_version": "2010-04-01",
		"uri": accountPath(p.sid) + "/Messages/" + s.ID + ".json",
	})
}

// wrong is the code of what Twilio does not take; "" if it does.
func (p *playedAPI) wrong(s simulate.Sent) string {
	switch {
	case s.To == "":
		return "21604"
	case s.From == "":
		return "21603"
	case s.Text == "" && len(s.FileURLs) == 0:
		return "21602"
	case len(utf16.Encode([]rune(s.Text))) > maxText:
		return "21617"
	case len(s.FileURLs) > 10 || s.ChannelType == omni.ChannelWhatsApp && len(s.FileURLs) > 1:
		return "21623"
	}
	for _, file := range s.FileURLs {
		if !isURL(file) {
			return "21620"
		}
	}
	if s.Callback != "" && !isURL(s.Callback) {
		return "21609"
	}
	return ""
}

func isURL(s string) bool {
	u, err := url.Parse(s)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != ""
}

// codes are what Twilio answers with a status where nothing more is known.
var codes = map[int]string{
	http.StatusUnauthorized: "20003", http.StatusNotFound: "20404", http.StatusTooManyRequests: "20429", http.StatusServiceUnavailable: "20503",
}

// refuse answers as Twilio does; without a code, as a gateway before it.
func refuse(w http.ResponseWriter, v simulate.Verdict) {
	if v.RetryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(v.RetryAfter))
	}
	if v.Code == "" {
		v.Code = codes[v.Status]
	}
	code, err := strconv.Atoi(v.Code)
	if err != nil {
		http.Error(w, http.StatusText(v.Status), v.Status)
		return
	}
	answer(w, v.Status, map[string]any{
		"code": code, "message": "simulated", "more_info": "https://www.twilio.com/docs/errors/" + v.Code, "status": v.Status,
	})
}

func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}

// segments counts the parts of an SMS, taking ASCII for GSM-7.
func segments(text string) int {
	units := utf16.Encode([]rune(text))
	one, many := 160, 153
	if slices.ContainsFunc(units, func(u uint16) bool { return u > 0x7f }) {
		one, many = 70, 67
	}
	if len(units) <= one {
		return 1
	}
	return (len(units) + many - 1) / many
}
