package messagebird

import (
	"encoding/json"
	"strings"

	"omniservice/carriers"
	"omniservice/omni"
)

// conversationEvent is a webhook of Conversations.
type conversationEvent struct {
	Type    word `json:"type"`
	Contact struct {
		MSISDN      word `json:"msisdn"`
		DisplayName word `json:"displayName"`
	} `json:"contact"`
	Message *conversationMessage `json:"message"`
}

type conversationMessage struct {
	ID        word                `json:"id"`
	ChannelID word                `json:"channelId"`
	Platform  word                `json:"platform"`
	From      word                `json:"from"`
	To        word                `json:"to"`
	Direction word                `json:"direction"`
	Status    word                `json:"status"`
	Type      word                `json:"type"`
	Content   conversationContent `json:"content"`
	Source    origin              `json:"source"`
	Error     struct {
		Code word `json:"code"`
	} `json:"error"`
	Created word `json:"createdDatetime"`
	Updated word `json:"updatedDatetime"`
}

// conversationContent is what a message says; its type tells which part is set.
type conversationContent struct {
	Text     word             `json:"text,omitempty"`
	Image    *conversationURL `json:"image,omitempty"`
	Video    *conversationURL `json:"video,omitempty"`
	Audio    *conversationURL `json:"audio,omitempty"`
	File     *conversationURL `json:"file,omitempty"`
	Location *coordinates     `json:"location,omitempty"`

	// Only inbound. The forms are those of the library go-rest-api.
	Interactive *struct {
		Reply *struct {
			ID   word `json:"id"`
			Text word `json:"text"`
		} `json:"reply"`
	} `json:"interactive,omitempty"`
	Sticker *struct {
		Link word `json:"link"`
	} `json:"whatsappSticker,omitempty"`
	Answer *struct {
		Text struct {
			Body word `json:"body"`
		} `json:"text"`
		Context struct {
			ID word `json:"id"`
		} `json:"context"`
	} `json:"whatsappText,omitempty"`
}

type conversationURL struct {
	URL     word `json:"url"`
	Caption word `json:"caption,omitempty"`
}

type coordinates struct {
	Latitude  float64 `json:"latitude"`
	Longitude float64 `json:"longitude"`
}

// origin is what we write into source, which comes back. Others may write something else there.
type origin struct {
	Reference word `json:"reference,omitempty"`
}

// UnmarshalJSON implements json.Unmarshaler.
func (o *origin) UnmarshalJSON(raw []byte) error {
	*o = origin{}
	if raw[0] != '{' {
		return nil
	}
	type plain origin
	return json.Unmarshal(raw, (*plain)(o))
}

func (c *Carrier) parseConversation(body []byte) (carriers.Parsed, error) {
	var w conversationEvent
	if err := json.Unmarshal(body, &w); err != nil {
		return carriers.Parsed{}, carriers.MalformedJSON(err)
	}
	switch w.Type {
	case "":
		return carriers.Parsed{}, carriers.Missing("type")
	case "message.created", "message.updated":
	default:
		return ignored(carriers.UnknownEvent, string(w.Type)), nil
	}
	if w.Message == nil {
		return carriers.Parsed{}, carriers.Missing("message")
	}
	m := w.Message
	id, err := carriers.ID("message.id", string(m.ID))
	if err != nil {
		return carriers.Parsed{}, err
	}
	ours := c.config.channels.of(string(m.ChannelID))
	e := omni.CarrierChannelEvent{Carrier: omni.CarrierMessageBird, CarrierMessageID: id, ChannelType: families[strings.ToLower(string(m.Platform))]}
	switch {
	case e.ChannelType != "":
	case m.Platform != "":
		return ignored(carriers.UnknownEvent, string(m.Platform)), nil
	case ours.family != "":
		e.ChannelType = ours.family
	default:
		e.ChannelType = omni.ChannelSMS
	}
	if w.Type == "message.updated" {
		return c.conversationStatus(e, &w, ours)
	}
	if m.Direction != "received" { // one that we sent
		return ignored(carriers.UnknownEvent, string(w.Type)), nil
	}
	if e.From, err = needed("message.from", first(m.From, w.Contact.MSISDN)); err != nil {
		return carriers.Parsed{}, err
	}
	if e.To, err = needed("message.to", first(m.To, word(ours.address))); err != nil {
		return carriers.Parsed{}, err
	}
	if name := omni.CleanName(string(w.Contact.DisplayName)); strings.TrimPrefix(name, "+") != strings.TrimPrefix(e.From, "+") {
		e.ProfileName = name
	}
	readConversation(&e, m)
	e.Kind, e.Direction = omni.EventMessage, omni.Inbound
	e.OccurredAt = instant(string(m.Created))
	return finish(e, string(m.Type)), nil
}

// finish ends the reading of a message that has a type: MMS is an SMS with files, and what we cannot show has a name.
func finish(e omni.CarrierChannelEvent, kind string) carriers.Parsed {
	if e.ChannelType.Family() == omni.ChannelSMS {
		e.ChannelType = omni.ChannelSMS
		if len(e.Media) > 0 {
			e.ChannelType = omni.ChannelMMS
		}
	}
	if e.Text == "" && len(e.Media) == 0 {
		if kind == "" || kind == "text" {
			return ignored(carriers.Empty, "")
		}
		e.Unsupported = carriers.Ignore("", kind).Value
	}
	return told(e)
}

func (c *Carrier) conversationStatus(e omni.CarrierChannelEvent, w *conversationEvent, ours channel) (carriers.Parsed, error) {
	m := w.Message
	var err error
	if e.From, err = address("message.from", first(m.From, word(ours.address))); err != nil {
		return carriers.Parsed{}, err
	}
	if e.To, err = address("message.to", first(m.To, w.Contact.MSISDN)); err != nil {
		return carriers.Parsed{}, err
	}
	e.ClientReference = reference(string(m.Source.Reference))
	e.OccurredAt = instant(string(m.Updated))
	p, err := parseStatus(e, "message.status", string(m.Status), conversationStatuses, string(m.Error.Code))
	if err == nil && len(p.Events) > 0 && m.Direction != "sent" {
		return ignored(carriers.UnknownEvent, string(w.Type)), nil // one that was written to us
	}
	return p, err
}

// readConversation reads what a message says.
func readConversation(e *omni.CarrierChannelEvent, m *conversationMessage) {
	content := &m.Content
	file := func(f *conversationURL, kind omni.MediaType) {
		if f != nil {
			e.Text, e.Media = omni.CleanText(string(f.Caption)), appendFile(nil, string(f.URL), "", "", kind)
		}
	}
	switch m.Type {
	case "text":
		e.Text = omni.CleanText(string(content.Text))
	case "image":
		file(content.Image, omni.MediaImage)
	case "video":
		file(content.Video, omni.MediaVideo)
	case "audio":
		file(content.Audio, omni.MediaAudio)
	case "file":
		file(content.File, omni.MediaDocument)
	case "whatsappSticker":
		if content.Sticker != nil {
			e.Media = appendFile(nil, string(content.Sticker.Link), "", "", omni.MediaImage)
		}
	case "location":
		setPlace(e, content.Location, "")
	case "interactive":
		if content.Interactive != nil && content.Interactive.Reply != nil {
			e.Text = omni.CleanText(string(content.Interactive.Reply.Text))
			e.ButtonPayload = omni.CleanText(string(content.Interactive.Reply.ID))
		}
	case "whatsappText":
		if content.Answer != nil {
			e.Text = omni.CleanText(string(content.Answer.Text.Body))
			e.ReplyTo = replyTo(string(content.Answer.Context.ID))
		}
	}
}

func setPlace(e *omni.CarrierChannelEvent, at *coordinates, name string) {
	if at == nil {
		return
	}
	l := omni.Location{Latitude: at.Latitude, Longitude: at.Longitude, Name: omni.CleanName(name)}
	if l.Validate() == nil {
		e.Location, e.Text = &l, l.Geo()
	}
}

func replyTo(s string) string {
	if id, err := carriers.ID("", s); err == nil {
		return id
	}
	return ""
}

// first is the first word that is not empty.
func first(all ...word) string {
	for _, w := range all {
		if s := strings.TrimSpace(string(w)); s != "" {
			return s
		}
	}
	return ""
}
