package messagebird

import (
	"encoding/json"
	"strings"

	"omniservice/carriers"
	"omniservice/omni"
)

// birdEvent is a webhook of Bird's Channels.
type birdEvent struct {
	Service word         `json:"service"`
	Event   word         `json:"event"`
	Payload *birdMessage `json:"payload"`
}

type birdMessage struct {
	ID        word `json:"id"`
	ChannelID word `json:"channelId"`
	Sender    struct {
		Contact   birdEnd `json:"contact"`
		Connector birdEnd `json:"connector"`
	} `json:"sender"`
	Receiver struct {
		Contacts  some[birdEnd] `json:"contacts"`
		Connector birdEnd       `json:"connector"`
	} `json:"receiver"`
	Body      birdBody `json:"body"`
	Reference word     `json:"reference"`
	Status    word     `json:"status"`
	Failure   struct {
		Code   word `json:"code"`
		Source struct {
			Code word `json:"code"`
		} `json:"source"`
	} `json:"failure"`
	StatusAt word `json:"lastStatusAt"`
	Created  word `json:"createdAt"`
}

type birdEnd struct {
	Key         word `json:"identifierKey,omitempty"`
	Value       word `json:"identifierValue"`
	Annotations *struct {
		Name word `json:"name"`
	} `json:"annotations,omitempty"`
}

// birdBody is what a message says; its type tells which part is set.
type birdBody struct {
	Type  word       `json:"type"`
	Text  *birdText  `json:"text,omitempty"`
	Image *birdImage `json:"image,omitempty"`
	File  *birdFiles `json:"file,omitempty"`

	Location *struct {
		Coordinates *coordinates `json:"coordinates"`
		Place       *struct {
			Label word `json:"label"`
		} `json:"location"`
	} `json:"location,omitempty"` // only inbound
}

type birdText struct {
	Text word `json:"text"`
}

type birdImage struct {
	Text   word           `json:"text,omitempty"`
	Images some[birdFile] `json:"images"`
}

type birdFiles struct {
	Text  word           `json:"text,omitempty"`
	Files some[birdFile] `json:"files"`
}

type birdFile struct {
	URL         word `json:"mediaUrl"`
	ContentType word `json:"contentType,omitempty"`
	Name        word `json:"filename,omitempty"`
}

func (c *Carrier) parseBird(body []byte) (carriers.Parsed, error) {
	var w birdEvent
	if err := json.Unmarshal(body, &w); err != nil {
		return carriers.Parsed{}, carriers.MalformedJSON(err)
	}
	if w.Event == "" {
		return carriers.Parsed{}, carriers.Missing("event")
	}
	platform, what, _ := strings.Cut(string(w.Event), ".")
	family, ok := families[platform]
	if !ok || w.Service != "" && w.Service != "channels" || what != "inbound" && what != "outbound" {
		return ignored(carriers.UnknownEvent, string(w.Event)), nil
	}
	if w.Payload == nil {
		return carriers.Parsed{}, carriers.Missing("payload")
	}
	m := w.Payload
	id, err := carriers.ID("payload.id", string(m.ID))
	if err != nil {
		return carriers.Parsed{}, err
	}
	ours := word(c.config.channels.of(string(m.ChannelID)).address)
	e := omni.CarrierChannelEvent{Carrier: omni.CarrierMessageBird, CarrierMessageID: id, ChannelType: family}
	if what == "outbound" {
		return birdStatus(e, m, ours)
	}
	if e.From, err = needed("payload.sender.contact.identifierValue", string(m.Sender.Contact.Value)); err != nil {
		return carriers.Parsed{}, err
	}
	if e.To, err = needed("payload.receiver.connector.identifierValue", first(m.Receiver.Connector.Value, ours)); err != nil {
		return carriers.Parsed{}, err
	}
	if a := m.Sender.Contact.Annotations; a != nil {
		e.ProfileName = omni.CleanName(string(a.Name))
	}
	readBird(&e, &m.Body)
	e.Kind, e.Direction = omni.EventMessage, omni.Inbound
	e.OccurredAt = instant(string(m.Created))
	return finish(e, string(m.Body.Type)), nil
}

// birdStatus reads what became of a message. The code of the network says more than Bird's own class of it.
func birdStatus(e omni.CarrierChannelEvent, m *birdMessage, ours word) (carriers.Parsed, error) {
	var err error
	if e.From, err = address("payload.sender.connector.identifierValue", first(m.Sender.Connector.Value, ours)); err != nil {
		return carriers.Parsed{}, err
	}
	if len(m.Receiver.Contacts) > 0 {
		if e.To, err = address("payload.receiver.contacts.identifierValue", string(m.Receiver.Contacts[0].Value)); err != nil {
			return carriers.Parsed{}, err
		}
	}
	e.ClientReference = reference(string(m.Reference))
	e.OccurredAt = instant(first(m.StatusAt, m.Created))
	return parseStatus(e, "payload.status", string(m.Status), birdStatuses, first(m.Failure.Source.Code, m.Failure.Code))
}

// readBird reads what a message says.
func readBird(e *omni.CarrierChannelEvent, b *birdBody) {
	switch {
	case b.Type == "text" && b.Text != nil:
		e.Text = omni.CleanText(string(b.Text.Text))
	case b.Type == "image" && b.Image != nil:
		e.Text = omni.CleanText(string(b.Image.Text))
		for _, f := range b.Image.Images {
			e.Media = appendFile(e.Media, string(f.URL), string(f.ContentType), string(f.Name), omni.MediaImage)
		}
	case b.Type == "file" && b.File != nil:
		e.Text = omni.CleanText(string(b.File.Text))
		for _, f := range b.File.Files {
			e.Media = appendFile(e.Media, string(f.URL), string(f.ContentType), string(f.Name), "")
		}
	case b.Type == "location" && b.Location != nil:
		label := ""
		if b.Location.Place != nil {
			label = string(b.Location.Place.Label)
		}
		setPlace(e, b.Location.Coordinates, label)
	}
}
