package pubnub

import (
	"bytes"
	"crypto/subtle"
	"fmt"
	"hash/fnv"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"omniservice/carriers"
	"omniservice/carriers/simulate"
	"omniservice/omni"
)

// mostKept is how many messages of a channel a double keeps in its history.
const mostKept = 1000

// Player plays PubNub. It keeps a history, as a keyset with Message Persistence does: of what is published, and of what
// customers write, whether the webhook arrives or not.
type Player struct {
	mu       sync.Mutex
	last     uint64               // the newest timetoken
	channels map[string][]*stored // oldest first
	writers  map[string]writer    // by channel
}

// writer is who wrote on a channel last, and the address of ours that they wrote to: the channel, or a pattern that it fits.
type writer struct{ user, address string }

// stored is a message of the history.
type stored struct {
	timetoken string
	user      string
	message   []byte // JSON
	actions   []storedAction
}

type storedAction struct{ timetoken, user, kind, value string }

// NewPlayer returns a Player whose history is empty.
func NewPlayer() *Player {
	return &Player{channels: map[string][]*stored{}, writers: map[string]writer{}}
}

var _ simulate.Player = (*Player)(nil)

// Name implements simulate.Player.
func (*Player) Name() omni.CarrierName { return omni.CarrierPubNub }

// Account implements simulate.Player.
func (*Player) Account() carriers.Account {
	return carriers.Account{
		Config: map[string]string{
			publishKey:   "pub-c-00000000-0000-4000-8000-0000000000d1",
			subscribeKey: "sub-c-00000000-0000-4000-8000-0000000000d2",
		},
		Credentials: map[string][]omni.Secret{
			webhookToken: {omni.NewSecret("double-webhook-token-0123456789abcdef")},
			authToken:    {omni.NewSecret("double-access-token-0123456789abcdef")},
		},
	}
}

// Address implements simulate.Player. It is a pattern, so that each customer has a channel of their own.
func (*Player) Address(family omni.ChannelType) string {
	if family == omni.ChannelPubNub {
		return "support-*"
	}
	return ""
}

// Customer implements simulate.Player.
func (*Player) Customer(family omni.ChannelType) string {
	if family == omni.ChannelPubNub {
		return "user-77"
	}
	return ""
}

// timetoken gives the next one. The caller holds the lock.
func (p *Player) timetoken(now time.Time) string {
	p.last = max(p.last+1, uint64(max(0, now.UnixMicro()))*10)
	return strconv.FormatUint(p.last, 10)
}

// keep puts a message into the history. The caller holds the lock.
func (p *Player) keep(channel string, m *stored) {
	all := append(p.channels[channel], m)
	p.channels[channel] = all[max(0, len(all)-mostKept):]
}

// webhookBody is the body of a webhook without envelope.
type webhookBody struct {
	Schema string `json:"dataSchema"`
	Data   []any  `json:"data"`
}

type webhookMessage struct {
	Timestamp string `json:"timestamp"`
	Message   any    `json:"message"`
	Meta      any    `json:"meta"`
	SenderID  string `json:"senderId"`
	Channel   string `json:"channel"`
	Timetoken string `json:"timetoken"`
}

type webhookAction struct {
	ID               string `json:"id"`
	Channel          string `json:"channel"`
	SubKey           string `json:"subKey"`
	MessageTimetoken string `json:"messageTimetoken"`
	Timestamp        string `json:"timestamp"`
	Type             string `json:"type"`
	Value            string `json:"value"`
	UserID           string `json:"userId"`
}

const (
	schemaPublish = "pubnub.com/schemas/events/messages.pubsub.publish?v=1.0.0"
	schemaCreated = "pubnub.com/schemas/events/messages.action.created?v=1.0.0"
	schemaDeleted = "pubnub.com/schemas/events/messages.action.deleted?v=1.0.0"
)

// Inbound implements simulate.Player. Where To is a pattern the customer has a channel of their own in it.
func (p *Player) Inbound(a carriers.Account, webhookURL string, in simulate.Inbound, now time.Time) (*http.Request, error) {
	if in.ChannelType != omni.ChannelPubNub {
		return nil, omni.Problemf(omni.ErrInvalid, "PubNub has no channel of type %s", in.ChannelType)
	}
	channel := in.To
	if prefix, ok := omni.AddressPattern(omni.ChannelPubNub, channel); ok {
		channel = prefix + in.From
	}
	if !omni.ValidPubNubChannel(channel) || !validUser(in.From) {
		return nil, omni.Problemf(omni.ErrInvalid, "to must be the name of a PubNub channel, and from a user id")
	}
	at := now.UTC().Format(time.RFC3339Nano)
	if err := in.Only(omni.CarrierPubNub, string(simulate.Unreact)); err != nil {
		return nil, err
	}
	if in.Reaction != "" {
		schema := schemaCreated
		if in.Act == simulate.Unreact {
			schema = schemaDeleted
		}
		_, of, err := splitID(in.ReplyTo)
		if err != nil {
			return nil, omni.Problemf(omni.ErrInvalid, "replyTo must be the id of a message")
		}
		return hook(a, webhookURL, schema, webhookAction{
			ID: omni.NewToken(16), Channel: channel, SubKey: a.Config[subscribeKey], MessageTimetoken: of, Timestamp: at,
			Type: actionReaction, Value: in.Reaction, UserID: in.From,
		}, now)
	}
	m := outbound{Type: "text", Text: in.Text}
	if of, timetoken, err := splitID(in.ReplyTo); err == nil && of == channel {
		m.ReplyTo = timetoken
	}
	for _, id := range in.Files {
		m.Files = append(m.Files, sentFile{
			ID: id, Name: id, URL: in.Base + "/v1/files/" + escape(a.Config[subscribeKey]) + "/channels/" + escape(channel) + "/files/" + escape(id) + "/" + escape(id),
		})
	}
	body, err := encodeJSON(m)
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	timetoken := ""
	switch of, given, err := splitID(in.ID); {
	case err == nil && of == channel:
		timetoken = given
	case in.ID != "":
		timetoken = timetokenNamed(in.ID)
	default:
		timetoken = p.timetoken(now)
	}
	if p.find(channel, timetoken) == nil {
		p.keep(channel, &stored{timetoken: timetoken, user: in.From, message: body})
	}
	p.writers[channel] = writer{in.From, in.To}
	p.mu.Unlock()
	return hook(a, webhookURL, schemaPublish, webhookMessage{
		Timestamp: at, Message: m, SenderID: in.From, Channel: channel, Timetoken: timetoken,
	}, now)
}

// Report implements simulate.Player: an app adds the receipt.
func (p *Player) Report(a carriers.Account, webhookURL string, s simulate.Sent, r simulate.Report, now time.Time) (*http.Request, error) {
	channel, timetoken, err := splitID(s.ID)
	if err != nil {
		return nil, omni.Problemf(omni.ErrInvalid, "the message has no id of PubNub's")
	}
	for word, status := range statuses {
		if status == r.Status {
			return hook(a, webhookURL, schemaCreated, webhookAction{
				ID: omni.NewToken(16), Channel: channel, SubKey: a.Config[subscribeKey], MessageTimetoken: timetoken,
				Timestamp: now.UTC().Format(time.RFC3339Nano), Type: actionReceipt, Value: word, UserID: p.writer(channel).user,
			}, now)
		}
	}
	return nil, omni.Problemf(omni.ErrInvalid, "PubNub does not report %s: apps add delivered and read", r.Status)
}

// timetokenNamed is a timetoken of a past moment that a name always has, so that what comes again is the same.
func timetokenNamed(name string) string {
	h := fnv.New64a()
	_, _ = io.WriteString(h, name)
	return "16" + fmt.Sprintf("%015d", h.Sum64()%1e15)
}

// writer is who wrote on a channel last, or else some user.
func (p *Player) writer(channel string) writer {
	p.mu.Lock()
	defer p.mu.Unlock()
	if w, ok := p.writers[channel]; ok {
		return w
	}
	return writer{p.Customer(omni.ChannelPubNub), channel}
}

// hook makes a webhook, authenticated as the account says.
func hook(a carriers.Account, webhookURL, schema string, data any, now time.Time) (*http.Request, error) {
	c, err := readConfig(a)
	if err != nil {
		return nil, err
	}
	body, err := encodeJSON(webhookBody{Schema: schema, Data: []any{data}})
	if err != nil {
		return nil, err
	}
	r, err := http.NewRequest(http.MethodPost, webhookURL, bytes.NewReader(body)) //nolint:noctx // who sends it gives it one
	if err != nil {
		return nil, omni.Problemf(omni.ErrInvalid, "the webhook's address is not a URL")
	}
	r.Header.Set("Content-Type", "application/json")
	if c.scheme == schemeFunction {
		unix := strconv.FormatInt(now.Unix(), 10)
		r.Header.Set(timeHeader, unix)
		r.Header.Set(signatureHeader, functionSignature(c.tokens[0], unix, body))
		return r, nil
	}
	r.Header.Set(c.header, bearer+strings.TrimPrefix(c.tokens[0].Reveal(), bearer))
	return r, nil
}

// API implements simulate.Player.
func (p *Player) API(a carriers.Account, d simulate.Desk) http.Handler {
	conf, err := readConfig(a)
	s := &service{player: p, config: conf, desk: d}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /time/0", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, http.StatusOK, []any{d.Now().UnixMicro() * 10})
	})
	mux.HandleFunc("POST /upload/{id}", s.upload) // stands for the store of files, which is not PubNub's
	for pattern, serve := range map[string]func(http.ResponseWriter, *http.Request, []byte){
		"POST /publish/{pub}/{sub}/0/{channel}/0":                                     s.publish,
		"GET /publish/{pub}/{sub}/0/{channel}/0/{message}":                            s.publish,
		"GET /v1/files/publish-file/{pub}/{sub}/0/{channel}/0/{message}":              s.publish,
		"GET /signal/{pub}/{sub}/0/{channel}/0/{message}":                             s.signal,
		"POST /v1/message-actions/{sub}/channel/{channel}/message/{of}":               s.addAction,
		"DELETE /v1/message-actions/{sub}/channel/{channel}/message/{of}/action/{id}": s.removeAction,
		"GET /v3/history/sub-key/{sub}/channel/{channel}":                             s.history,
		"GET /v3/history-with-actions/sub-key/{sub}/channel/{channel}":                s.history,
		"POST /v1/files/{sub}/channels/{channel}/generate-upload-url":                 s.uploadURL,
		"GET /v1/files/{sub}/channels/{channel}/files/{id}/{name}":                    s.file,
	} {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			body, readErr := io.ReadAll(io.LimitReader(r.Body, maxMessage+1))
			switch {
			case err != nil || readErr != nil:
				deny(w, http.StatusBadRequest, "the account is not valid")
			case r.PathValue("sub") != conf.subscribeKey || r.PathValue("pub") != "" && r.PathValue("pub") != conf.publishKey:
				deny(w, http.StatusBadRequest, "Invalid Key")
			case !s.allowed(r, body):
				deny(w, http.StatusForbidden, "Forbidden")
			default:
				serve(w, r, body)
			}
		})
	}
	return mux
}

// service is PubNub for one keyset.
type service struct {
	player *Player
	config config
	desk   simulate.Desk
}

// allowed checks the token or the signature of a request. A keyset without either takes everybody.
func (s *service) allowed(r *http.Request, body []byte) bool {
	q := r.URL.Query()
	switch {
	case q.Get("uuid") == "":
		return false
	case !s.config.auth.IsZero():
		return subtle.ConstantTimeCompare([]byte(q.Get("auth")), []byte(s.config.auth.Reveal())) == 1
	case s.config.signs():
		given, all := q.Get("signature"), map[string]string{}
		q.Del("signature")
		for name := range q {
			all[name] = q.Get(name)
		}
		want := sign(s.config.secretKey, r.Method, s.config.publishKey, r.URL.EscapedPath(), encode(all), body)
		at, err := strconv.ParseInt(q.Get("timestamp"), 10, 64)
		off := s.desk.Now().Sub(time.Unix(at, 0))
		return err == nil && off.Abs() <= maxOff && subtle.ConstantTimeCompare([]byte(given), []byte(want)) == 1
	default:
		return true
	}
}

// publish takes a message, or a file message.
func (s *service) publish(w http.ResponseWriter, r *http.Request, body []byte) {
	if m := r.PathValue("message"); m != "" {
		body = []byte(m)
	}
	channel := r.PathValue("channel")
	m, err := readJSON(body)
	switch {
	case len(body) >= maxMessage:
		deny(w, http.StatusRequestEntityTooLarge, "Message Too Large")
		return
	case err != nil || !omni.ValidPubNubChannel(channel):
		writeJSON(w, http.StatusBadRequest, []any{0, "Invalid JSON"})
		return
	}
	s.player.mu.Lock()
	timetoken := s.player.timetoken(s.desk.Now())
	s.player.mu.Unlock()
	said, to := m, s.player.writer(channel)
	sent := simulate.Sent{
		ID: messageID(channel, timetoken), ChannelType: omni.ChannelPubNub, From: to.address, To: to.user, Raw: body, At: s.desk.Now(),
	}
	if file := m.member("file"); file.kind() == '{' {
		said = m.member("message")
		id, _ := file.member("id").text()
		sent.FileIDs = append(sent.FileIDs, id)
	}
	sent.Text, _ = said.member("text").text()
	sent.Reference, _ = said.member("omniMessageId").text()
	for f := range said.member("files").elements() {
		id, _ := f.member("id").text()
		address, _ := f.member("url").text()
		if _, here := s.desk.File(id); here {
			sent.FileIDs = append(sent.FileIDs, id)
		} else {
			sent.FileURLs = append(sent.FileURLs, address)
		}
	}
	if of := said.member("replyTo").digits(); of != "" {
		sent.ReplyTo = messageID(channel, of)
	}
	sent.Kept = func() {
		s.player.mu.Lock()
		defer s.player.mu.Unlock()
		s.player.keep(channel, &stored{timetoken: timetoken, user: r.URL.Query().Get("uuid"), message: bytes.Clone(m)})
	}
	if s.refuses(w, sent) {
		return
	}
	writeJSON(w, http.StatusOK, []any{1, "Sent", timetoken})
}

// refuses gives what was sent to the desk, and answers if that does not take it.
func (s *service) refuses(w http.ResponseWriter, sent simulate.Sent) bool {
	v := s.desk.Take(sent)
	if v.RetryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(v.RetryAfter))
	}
	if v.Status/100 > 2 {
		deny(w, v.Status, v.Code)
		return true
	}
	return false
}

func (s *service) signal(w http.ResponseWriter, r *http.Request, _ []byte) {
	if m := r.PathValue("message"); len(m) > 64 {
		deny(w, http.StatusRequestEntityTooLarge, "Signal Too Large")
		return
	}
	s.player.mu.Lock()
	timetoken := s.player.timetoken(s.desk.Now())
	s.player.mu.Unlock()
	if r.PathValue("message") == typing {
		to := s.player.writer(r.PathValue("channel"))
		s.desk.Note(simulate.Mark{Kind: simulate.MarkTyping, From: to.address, To: to.user})
	}
	writeJSON(w, http.StatusOK, []any{1, "Sent", timetoken})
}

// find is a message of the history. The caller holds the lock.
func (p *Player) find(channel, timetoken string) *stored {
	for _, m := range p.channels[channel] {
		if m.timetoken == timetoken {
			return m
		}
	}
	return nil
}

func (s *service) addAction(w http.ResponseWriter, r *http.Request, body []byte) {
	channel, of, user := r.PathValue("channel"), r.PathValue("of"), r.URL.Query().Get("uuid")
	v, err := readJSON(body)
	kind, _ := v.member("type").text()
	word, _ := v.member("value").text()
	if err != nil || kind == "" || word == "" {
		deny(w, http.StatusBadRequest, "Invalid JSON")
		return
	}
	to := s.player.writer(channel)
	if kind == actionReaction && s.refuses(w, simulate.Sent{
		ID: omni.NewToken(16), ChannelType: omni.ChannelPubNub, From: to.address, To: to.user,
		ReplyTo: messageID(channel, of), Reaction: word, Raw: body, At: s.desk.Now(),
	}) {
		return
	}
	if kind == actionReceipt && word == receiptRead {
		s.desk.Note(simulate.Mark{Kind: simulate.MarkRead, From: to.address, To: to.user, MessageID: messageID(channel, of)})
	}
	p := s.player
	p.mu.Lock()
	defer p.mu.Unlock()
	m := p.find(channel, of)
	if m == nil {
		m = &stored{} // PubNub takes actions of messages that it does not have
	}
	for _, a := range m.actions {
		if a.user == user && a.kind == kind && a.value == word {
			deny(w, http.StatusConflict, "Action Already Added")
			return
		}
	}
	added := storedAction{p.timetoken(s.desk.Now()), user, kind, word}
	m.actions = append(m.actions, added)
	writeJSON(w, http.StatusOK, map[string]any{"status": http.StatusOK, "data": map[string]string{
		"messageTimetoken": of, "type": kind, "uuid": user, "value": word, "actionTimetoken": added.timetoken,
	}})
}

func (s *service) removeAction(w http.ResponseWriter, r *http.Request, _ []byte) {
	p, channel, of := s.player, r.PathValue("channel"), r.PathValue("of")
	to := p.writer(channel)
	p.mu.Lock()
	defer p.mu.Unlock()
	if m := p.find(channel, of); m != nil {
		m.actions = slices.DeleteFunc(m.actions, func(a storedAction) bool {
			gone := a.timetoken == r.PathValue("id")
			if gone && a.kind == actionReaction {
				s.desk.Note(simulate.Mark{Kind: simulate.MarkUnreact, From: to.address, To: to.user, MessageID: messageID(channel, of)})
			}
			return gone
		})
	}
	writeJSON(w, http.StatusOK, map[string]any{"status": http.StatusOK, "data": map[string]any{}})
}

// historyItem is a message of an answer.
type historyItem struct {
	Message   any            `json:"message"`
	Timetoken string         `json:"timetoken"`
	UUID      string         `json:"uuid"`
	Meta      string         `json:"meta"`
	Actions   map[string]any `json:"actions,omitempty"`
}

func (s *service) history(w http.ResponseWriter, r *http.Request, _ []byte) {
	channel, q := r.PathValue("channel"), r.URL.Query()
	most, err := strconv.Atoi(q.Get("max"))
	if err != nil || most < 1 || most > historyPage {
		most = historyPage
	}
	s.player.mu.Lock()
	defer s.player.mu.Unlock()
	items := []historyItem{}
	for _, m := range slices.Backward(s.player.channels[channel]) {
		if start := q.Get("start"); start != "" && m.timetoken >= start || m.timetoken < pad(q.Get("end")) {
			continue
		}
		if len(items) == most {
			break
		}
		it := historyItem{Message: rawMessage(m.message), Timetoken: m.timetoken, UUID: m.user}
		if strings.HasPrefix(r.URL.Path, "/v3/history-with-actions/") {
			it.Actions = map[string]any{}
			for _, a := range m.actions {
				words, _ := it.Actions[a.kind].(map[string][]map[string]string)
				if words == nil {
					words = map[string][]map[string]string{}
				}
				words[a.value] = append(words[a.value], map[string]string{"uuid": a.user, "actionTimetoken": a.timetoken})
				it.Actions[a.kind] = words
			}
		}
		items = append(items, it)
	}
	slices.Reverse(items)
	out := map[string]any{"status": http.StatusOK, "error": false, "error_message": "", "channels": map[string]any{}}
	if len(items) > 0 {
		out["channels"] = map[string]any{channel: items}
	}
	if len(items) == most {
		out["more"] = map[string]any{"url": r.URL.Path, "start": items[0].Timetoken, "max": most}
	}
	writeJSON(w, http.StatusOK, out)
}

// pad makes timetokens comparable as texts.
func pad(timetoken string) string {
	return strings.Repeat("0", max(0, 17-len(timetoken))) + timetoken
}

// rawMessage is JSON that is written as it is.
type rawMessage []byte

// MarshalJSON implements json.Marshaler.
func (m rawMessage) MarshalJSON() ([]byte, error) { return m, nil }

func (s *service) uploadURL(w http.ResponseWriter, r *http.Request, body []byte) {
	v, err := readJSON(body)
	name, _ := v.member("name").text()
	if err != nil || name == "" {
		deny(w, http.StatusBadRequest, "Invalid JSON")
		return
	}
	id := omni.NewToken(16)
	s.desk.AddFile(id, simulate.File{Name: name})
	writeJSON(w, http.StatusOK, map[string]any{
		"status": http.StatusOK, "data": map[string]string{"id": id, "name": name},
		"file_upload_request": map[string]any{
			"url": "http://" + r.Host + "/upload/" + id, "method": http.MethodPost,
			"form_fields": []map[string]string{{"key": "key", "value": id}, {"key": "Content-Type", "value": ""}},
		},
	})
}

func (s *service) upload(w http.ResponseWriter, r *http.Request) {
	id := r.PathValue("id")
	f, ok := s.desk.File(id)
	r.Body = http.MaxBytesReader(w, r.Body, maxFile+(1<<20))
	if err := r.ParseMultipartForm(maxFile); err != nil || //nolint:gosec // the body is bounded above
		!ok || r.FormValue("key") != id {
		w.WriteHeader(http.StatusForbidden)
		return
	}
	part, _, err := r.FormFile("file")
	if err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	f.Body, err = io.ReadAll(part)
	if f.ContentType = r.FormValue("Content-Type"); err != nil || len(f.Body) > maxFile {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	s.desk.AddFile(id, f)
	w.WriteHeader(http.StatusNoContent)
}

func (s *service) file(w http.ResponseWriter, r *http.Request, _ []byte) {
	f, ok := s.desk.File(r.PathValue("id"))
	if !ok {
		deny(w, http.StatusNotFound, "Not Found")
		return
	}
	w.Header().Set("Content-Type", f.ContentType)
	_, _ = w.Write(f.Body)
}

func deny(w http.ResponseWriter, status int, message string) {
	writeJSON(w, status, map[string]any{"status": status, "error": true, "message": message, "service": "double"})
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	body, err := encodeJSON(v)
	if err != nil {
		status, body = http.StatusInternalServerError, nil
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(body)
}

// String names the channels that the history holds, for tests that fail.
func (p *Player) String() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return fmt.Sprintf("double of PubNub with %d channels %q", len(p.channels), slices.Sorted(maps.Keys(p.channels)))
}
