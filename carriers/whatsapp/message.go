package whatsapp

import (
	"bytes"
	"encoding/json"
	"math"
	"strings"

	"omniservice/carriers"
	"omniservice/omni"
)

// Message is what a person did: they wrote, pressed, reacted, changed or took back. Its type names the part that is set.
// (Seed: WhatsAppMessage.)
type Message struct {
	ID               text                `json:"id"`
	From             text                `json:"from"`
	FromUserID       text                `json:"from_user_id"`
	FromParentUserID text                `json:"from_parent_user_id"`
	To               text                `json:"to"`         // of an echo
	ToUserID         text                `json:"to_user_id"` // of an echo
	Timestamp        stamp               `json:"timestamp"`
	Type             text                `json:"type"`
	GroupID          text                `json:"group_id"`
	Context          *messageContext     `json:"context"`
	Referral         json.RawMessage     `json:"referral"`
	Identity         json.RawMessage     `json:"identity"`
	Errors           List[reported]      `json:"errors"`
	Text             *TextContent        `json:"text"`
	Image            *mediaContent       `json:"image"`
	Video            *mediaContent       `json:"video"`
	Audio            *mediaContent       `json:"audio"`
	Voice            *mediaContent       `json:"voice"` // an older word for a voice note
	Document         *mediaContent       `json:"document"`
	Sticker          *mediaContent       `json:"sticker"`
	Location         *locationContent    `json:"location"`
	Contacts         List[card]          `json:"contacts"`
	Interactive      *interactiveContent `json:"interactive"`
	Button           *buttonContent      `json:"button"`
	Reaction         *Reaction           `json:"reaction"`
	Order            *orderContent       `json:"order"`
	System           *systemContent      `json:"system"`
	Unsupported      *unsupportedContent `json:"unsupported"`
	Edit             *editContent        `json:"edit"`
	Revoke           *revokeContent      `json:"revoke"`
}

// messageContext is what a message answers, or that it was passed on.
type messageContext struct {
	From                text            `json:"from"`
	ID                  text            `json:"id"`
	Forwarded           flag            `json:"forwarded"`
	FrequentlyForwarded flag            `json:"frequently_forwarded"`
	ReferredProduct     json.RawMessage `json:"referred_product"`
}

// TextContent is plain text. (Seed: WhatsAppTextContent.)
type TextContent struct {
	Body text `json:"body"`
}

// mediaContent is a file.
type mediaContent struct {
	ID       text `json:"id"`
	MimeType text `json:"mime_type"`
	SHA256   text `json:"sha256"` // in Base64
	URL      text `json:"url"`    // for five minutes; most webhooks have none
	Caption  text `json:"caption"`
	Filename text `json:"filename"`
	Voice    flag `json:"voice"`
	Animated flag `json:"animated"`
}

// locationContent is a place.
type locationContent struct {
	Latitude  *float64 `json:"latitude"`
	Longitude *float64 `json:"longitude"`
	Name      text     `json:"name"`
	Address   text     `json:"address"`
	URL       text     `json:"url"`
}

// card is a contact that is passed on.
type card struct {
	Name struct {
		FormattedName text `json:"formatted_name"`
		FirstName     text `json:"first_name"`
		LastName      text `json:"last_name"`
	} `json:"name"`
	Phones List[struct {
		Phone text `json:"phone"`
		WaID  text `json:"wa_id"`
	}] `json:"phones"`
	Emails List[struct {
		Email text `json:"email"`
	}] `json:"emails"`
	Org struct {
		Company text `json:"company"`
	} `json:"org"`
}

// interactiveContent is what was chosen in an interactive message of ours.
type interactiveContent struct {
	Type        text       `json:"type"`
	ButtonReply *choice    `json:"button_reply"`
	ListReply   *choice    `json:"list_reply"`
	FlowReply   *flowReply `json:"nfm_reply"`
}

// choice is a button or a row that was pressed.
type choice struct {
	ID          text `json:"id"`
	Title       text `json:"title"`
	Description text `json:"description"`
}

// flowReply is a form that was filled in.
type flowReply struct {
	Name         text `json:"name"`
	Body         text `json:"body"`
	ResponseJSON text `json:"response_json"` // JSON, mostly
}

// buttonContent is a button of a template that was pressed.
type buttonContent struct {
	Text    text `json:"text"`
	Payload text `json:"payload"`
}

// Reaction is an emoji on a message, of theirs or of ours; none takes away what was there. (Seed: IWhatsAppReaction.)
type Reaction struct {
	MessageID text   `json:"message_id"`
	Emoji     string `json:"emoji"`
}

// orderContent is what was ordered from a catalogue.
type orderContent struct {
	CatalogID    text            `json:"catalog_id"`
	Text         text            `json:"text"`
	ProductItems json.RawMessage `json:"product_items"`
}

// systemContent is what WhatsApp says of a person: that their number changed.
type systemContent struct {
	Body    text `json:"body"`
	Type    text `json:"type"`
	WaID    text `json:"wa_id"`     // the new one
	NewWaID text `json:"new_wa_id"` // the same in older versions
	UserID  text `json:"user_id"`   // the new one
}

// unsupportedContent names a kind of message that Meta does not pass on.
type unsupportedContent struct {
	Type text `json:"type"`
}

// editContent is a message that was changed.
type editContent struct {
	OriginalMessageID text     `json:"original_message_id"`
	Message           *Message `json:"message"`
}

// revokeContent is a message that was taken back.
type revokeContent struct {
	OriginalMessageID text `json:"original_message_id"`
}

// message reads what a person wrote to us or, outbound, what we wrote to them in the phone app.
func (b *batch) message(m Message, direction omni.Direction) error {
	e := b.event(omni.EventMessage, direction)
	id, err := carriers.ID("id", string(m.ID))
	e.From, e.To = addressOf(m.From, m.FromUserID), b.ours
	if direction == omni.Outbound {
		e.To = addressOf(m.To, m.ToUserID)
		if e.From == "" {
			e.From = b.ours
		}
	}
	switch {
	case m.GroupID != "":
		return b.ignore(carriers.UnknownEvent, "group")
	case err != nil || e.From == "" || e.To == "":
		return b.ignore(carriers.UnknownEvent, string(m.Type)) // nobody can tell whose it is
	case !b.first(id):
		return nil
	}
	e.CarrierMessageID = id
	if m.Timestamp != 0 {
		e.OccurredAt = omni.Millis(m.Timestamp)
	}
	b.person(&e, m, direction)
	if c := m.Context; c != nil {
		if id, err := carriers.ID("id", string(c.ID)); err == nil {
			e.ReplyTo = id
		}
		if c.Forwarded || c.FrequentlyForwarded {
			e.Metadata.Set("forwarded", "true")
		}
		if c.FrequentlyForwarded {
			e.Metadata.Set("frequentlyForwarded", "true")
		}
		setJSON(&e.Metadata, "referredProduct", c.ReferredProduct)
	}
	setReferral(&e.Metadata, m.Referral)
	setJSON(&e.Metadata, "identity", m.Identity)
	if failed := m.Errors.First(); failed != (reported{}) {
		e.ErrorCode = word(string(failed.Code))
		set(&e.Metadata, "errorDetails", failed.details())
	}
	if !content(&e, m) {
		unsupported(&e, m)
	}
	return b.add(e)
}

// person adds what is known of the person beside their address.
func (b *batch) person(e *omni.CarrierChannelEvent, m Message, direction omni.Direction) {
	address, userID, parent := m.From, m.FromUserID, m.FromParentUserID
	if direction == omni.Outbound {
		address, userID, parent = m.To, m.ToUserID, ""
	}
	known := b.contact(address, userID)
	e.ProfileName = omni.CleanName(string(known.Profile.Name))
	set(&e.Metadata, "username", known.Profile.Username)
	set(&e.Metadata, "identityKeyHash", known.IdentityKeyHash)
	if userID == "" {
		userID = known.UserID
	}
	if parent == "" {
		parent = known.ParentUserID
	}
	if e.Contact() != string(userID) {
		set(&e.Metadata, "userId", userID)
	}
	set(&e.Metadata, "parentUserId", parent)
}

// setReferral adds the advertisement or post that led to a message.
func setReferral(m *omni.Metadata, raw []byte) {
	if len(raw) == 0 || raw[0] != '{' {
		return
	}
	var r struct {
		SourceURL      text `json:"source_url"`
		SourceID       text `json:"source_id"`
		SourceType     text `json:"source_type"`
		Headline       text `json:"headline"`
		Body           text `json:"body"`
		MediaType      text `json:"media_type"`
		ImageURL       text `json:"image_url"`
		VideoURL       text `json:"video_url"`
		ThumbnailURL   text `json:"thumbnail_url"`
		ClickID        text `json:"ctwa_clid"`
		WelcomeMessage struct {
			Text text `json:"text"`
		} `json:"welcome_message"`
	}
	_ = lenient(raw, &r)
	set(m, "referralSourceUrl", r.SourceURL)
	set(m, "referralSourceId", r.SourceID)
	set(m, "referralSourceType", r.SourceType)
	set(m, "referralHeadline", r.Headline)
	set(m, "referralBody", r.Body)
	set(m, "referralMediaType", r.MediaType)
	set(m, "referralImageUrl", r.ImageURL)
	set(m, "referralVideoUrl", r.VideoURL)
	set(m, "referralThumbnailUrl", r.ThumbnailURL)
	set(m, "referralClickId", r.ClickID)
	set(m, "referralWelcomeText", r.WelcomeMessage.Text)
}

// content reads the part that a message's type names. It reports whether there is one that we know.
func content(e *omni.CarrierChannelEvent, m Message) bool {
	switch m.Type {
	case "text":
		if m.Text == nil {
			return false
		}
		e.Text = omni.CleanText(string(m.Text.Body))
		return true
	case "image":
		return file(e, m.Image)
	case "video":
		return file(e, m.Video)
	case "audio":
		return file(e, m.Audio)
	case "voice":
		if m.Voice == nil {
			m.Voice = m.Audio
		}
		if !file(e, m.Voice) {
			return false
		}
		e.Metadata.Set("voice", "true")
		return true
	case "document":
		return file(e, m.Document)
	case "sticker":
		return file(e, m.Sticker)
	case "location":
		return location(e, m.Location)
	case "contacts":
		return cards(e, m.Contacts)
	case "interactive":
		return interactive(e, m.Interactive)
	case "button":
		if m.Button == nil {
			return false
		}
		e.Text, e.ButtonPayload = omni.CleanText(string(m.Button.Text)), omni.CleanText(string(m.Button.Payload))
		set(&e.Metadata, "buttonPayload", m.Button.Payload)
		return true
	case "order":
		return order(e, m.Order)
	case "reaction":
		return reaction(e, m.Reaction)
	case "system":
		return system(e, m.System)
	case "edit":
		return edit(e, m.Edit)
	case "revoke":
		return m.Revoke != nil && about(e, omni.EventDelete, m.Revoke.OriginalMessageID)
	default:
		return false
	}
}

// about makes e an event about another message. It reports whether that one is named.
func about(e *omni.CarrierChannelEvent, kind omni.EventKind, messageID text) bool {
	id, err := carriers.ID("message_id", string(messageID))
	if err != nil {
		return false
	}
	e.Kind, e.ReplyTo = kind, id
	return true
}

// unsupported shows that there was something that we cannot show: whoever reads it looks in the phone app.
func unsupported(e *omni.CarrierChannelEvent, m Message) {
	kind := carriers.Ignore("", string(m.Type)).Value
	switch kind {
	case "unsupported", "":
		e.Text, kind = "[unsupported]", "unsupported"
		if m.Unsupported != nil {
			if named := carriers.Ignore("", string(m.Unsupported.Type)).Value; named != "" {
				kind = named
			}
		}
	default:
		e.Text = "[unsupported: " + kind + "]"
	}
	e.Unsupported = kind
}

func file(e *omni.CarrierChannelEvent, f *mediaContent) bool {
	if f == nil {
		return false
	}
	id, address := omni.CleanText(string(f.ID)), omni.CleanText(string(f.URL))
	if id == "" && address == "" {
		return false
	}
	ref := omni.MediaReference{
		Carrier: omni.CarrierWhatsApp, Type: omni.MediaTypeOf(string(f.MimeType)), ContentType: omni.CleanText(string(f.MimeType)),
		FileName: omni.CleanName(string(f.Filename)), SHA256: sumOf(string(f.SHA256)), State: omni.MediaPending, External: omni.ExternalRef{ID: id, URL: address},
	}
	if e.OccurredAt != 0 {
		ref.External.ExpiresAt = e.OccurredAt + mediaForMillis
	}
	e.Media = []omni.MediaReference{ref}
	e.Text = omni.CleanText(string(f.Caption))
	if f.Voice {
		e.Metadata.Set("voice", "true")
	}
	if f.Animated {
		e.Metadata.Set("animated", "true")
	}
	set(&e.Metadata, "fileName", f.Filename)
	set(&e.Metadata, "fileSha256", f.SHA256)
	return true
}

func location(e *omni.CarrierChannelEvent, l *locationContent) bool {
	if l == nil || l.Latitude == nil || l.Longitude == nil || math.Abs(*l.Latitude) > 90 || math.Abs(*l.Longitude) > 180 {
		return false
	}
	e.Location = &omni.Location{
		Latitude: *l.Latitude, Longitude: *l.Longitude, Name: omni.CleanName(string(l.Name)), Address: omni.CleanName(string(l.Address)),
	}
	e.Text = e.Location.Geo()
	set(&e.Metadata, "locationName", l.Name)
	set(&e.Metadata, "locationAddress", l.Address)
	set(&e.Metadata, "locationUrl", l.URL)
	return true
}

// Limits of the contacts that a message may pass on.
const (
	maxCards = 50
	maxWays  = 20 // numbers of one, and addresses
)

func cards(e *omni.CarrierChannelEvent, all List[card]) bool {
	var lines []string
	for c := range all.Some(maxCards) {
		name := omni.CleanName(string(c.Name.FormattedName))
		if name == "" {
			name = omni.CleanName(string(c.Name.FirstName + " " + c.Name.LastName))
		}
		card := omni.ContactCard{Name: short(name), Organisation: short(omni.CleanName(string(c.Org.Company)))}
		for p := range c.Phones.Some(maxWays) {
			number := p.Phone
			if number == "" {
				number = text(address(string(p.WaID)))
			}
			if s := short(omni.CleanName(string(number))); s != "" {
				card.Phones = append(card.Phones, s)
			}
		}
		for m := range c.Emails.Some(maxWays) {
			if s := short(omni.CleanName(string(m.Email))); s != "" {
				card.Emails = append(card.Emails, s)
			}
		}
		line := "[contact]"
		if name != "" {
			line += " " + name
		}
		if len(card.Phones) > 0 {
			line += " " + card.Phones[0]
		}
		lines = append(lines, line)
		if card.Name == "" && len(card.Phones) > 0 {
			card.Name = card.Phones[0]
		}
		if card.Name != "" {
			e.Contacts = append(e.Contacts, card)
		}
	}
	if len(lines) == 0 {
		return false
	}
	e.Text = omni.CleanText(strings.Join(lines, "\n"))
	return true
}

// short cuts a name to the 255 bytes that a card has for it.
func short(s string) string {
	if len(s) > 255 {
		s = strings.ToValidUTF8(s[:255], "")
	}
	return s
}

func interactive(e *omni.CarrierChannelEvent, i *interactiveContent) bool {
	if i == nil {
		return false
	}
	chosen := i.ButtonReply
	if chosen == nil {
		chosen = i.ListReply
	}
	switch {
	case chosen != nil:
		e.Text, e.ButtonPayload = omni.CleanText(string(chosen.Title)), omni.CleanText(string(chosen.ID))
		set(&e.Metadata, "interactiveId", chosen.ID)
		set(&e.Metadata, "interactiveDescription", chosen.Description)
	case i.FlowReply != nil:
		e.Text = omni.CleanText(string(i.FlowReply.Body))
		set(&e.Metadata, "flowName", i.FlowReply.Name)
		response(&e.Metadata, i.FlowReply.ResponseJSON)
	default:
		return false
	}
	set(&e.Metadata, "interactiveType", i.Type)
	return true
}

// response adds what a form was filled in with: as JSON if it is an object, which nobody promises, else as it is.
func response(m *omni.Metadata, filled text) {
	var object struct {
		Token text `json:"flow_token"`
	}
	raw := []byte(strings.TrimSpace(string(filled)))
	if !bytes.HasPrefix(raw, []byte("{")) || carriers.CheckNesting(raw) != nil || lenient(raw, &object) != nil {
		set(m, "flowResponse", filled)
		return
	}
	setJSON(m, "flowResponse", raw)
	set(m, "flowToken", object.Token)
}

func order(e *omni.CarrierChannelEvent, o *orderContent) bool {
	if o == nil {
		return false
	}
	if e.Text = omni.CleanText(string(o.Text)); e.Text == "" {
		e.Text = "[order]"
	}
	set(&e.Metadata, "orderCatalogId", o.CatalogID)
	setJSON(&e.Metadata, "orderItems", o.ProductItems)
	return true
}

func reaction(e *omni.CarrierChannelEvent, r *Reaction) bool {
	if r == nil || len(r.Emoji) > omni.MaxEmoji || !about(e, omni.EventReaction, r.MessageID) {
		return false
	}
	e.Reaction = omni.CleanText(r.Emoji)
	return true
}

func system(e *omni.CarrierChannelEvent, s *systemContent) bool {
	if s == nil {
		return false
	}
	e.Kind, e.Text = omni.EventSystem, omni.CleanText(string(s.Body))
	set(&e.Metadata, "systemType", s.Type)
	to := addressOf(s.WaID, s.NewWaID)
	if s.Type == "user_changed_user_id" || to == "" {
		if id := addressOf(s.UserID, ""); id != "" {
			to = id
		}
	}
	if to != e.From {
		e.Metadata.Set("newAddress", to)
	}
	if id := addressOf(s.UserID, ""); id != to {
		e.Metadata.Set("newUserId", id) // with the number, the id that it came with changes too
	}
	return true
}

func edit(e *omni.CarrierChannelEvent, changed *editContent) bool {
	if changed == nil || changed.Message == nil || !about(e, omni.EventEdit, changed.OriginalMessageID) {
		return false
	}
	m := changed.Message
	if m.Text != nil {
		e.Text = omni.CleanText(string(m.Text.Body))
	}
	for _, f := range []*mediaContent{m.Image, m.Video, m.Document} {
		if f != nil {
			set(&e.Metadata, "caption", f.Caption)
		}
	}
	return true
}
