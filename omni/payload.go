package omni

import (
	"strings"
	"unicode/utf8"
)

// MessagePayload is what a message says: one of its parts is set, Type tells which. (Seed: MessagePayLoad.)
// Text may stand beside Image or Media.
type MessagePayload struct {
	Type          PayloadType         `json:"type"                    bson:"type"`
	Text          *TextMessage        `json:"text,omitempty"          bson:"text,omitempty"`
	Image         *ImageMessage       `json:"image,omitempty"         bson:"image,omitempty"`
	Media         []MediaMessage      `json:"media,omitempty"         bson:"media,omitempty"`
	Template      *TemplateMessage    `json:"template,omitempty"      bson:"template,omitempty"`
	Interactive   *InteractiveMessage `json:"interactive,omitempty"   bson:"interactive,omitempty"`
	Location      *Location           `json:"location,omitempty"      bson:"location,omitempty"`
	Contacts      []ContactCard       `json:"contacts,omitempty"      bson:"contacts,omitempty"`
	ButtonPayload string              `json:"buttonPayload,omitempty" bson:"buttonPayload,omitempty"` // what the pressed button carried
	Unsupported   string              `json:"unsupported,omitempty"   bson:"unsupported,omitempty"`   // the carrier's word for the kind, such as "poll"
}

// TextMessage is plain text. (Seed: TextMessage.)
type TextMessage struct {
	Body string `json:"body" bson:"body"` // UTF-8 as received, at most MaxText bytes; hostile text
}

// ImageMessage is one or more images. (Seed: ImageMessage.)
type ImageMessage struct {
	References []MediaReference `json:"references" bson:"references"` // at least one, in order
}

// MediaMessage is one file of any kind. (Seed: MediaMessage.)
type MediaMessage struct {
	Type      MediaType      `json:"type"      bson:"type"`
	Reference MediaReference `json:"reference" bson:"reference"`
}

// TextPayload is a payload of text alone.
func TextPayload(body string) MessagePayload {
	return MessagePayload{Type: PayloadText, Text: &TextMessage{Body: body}}
}

// NewPayload makes the payload for a text and files: text if there are no files, image if all of them are
// images, else media.
func NewPayload(text string, files []MediaReference) MessagePayload {
	if len(files) == 0 {
		return TextPayload(text)
	}
	p := MessagePayload{Type: PayloadImage}
	if text != "" {
		p.Text = &TextMessage{Body: text}
	}
	for _, f := range files {
		if f.Type != MediaImage {
			p.Type = PayloadMedia
		}
	}
	if p.Type == PayloadImage {
		p.Image = &ImageMessage{References: files}
		return p
	}
	for _, f := range files {
		p.Media = append(p.Media, MediaMessage{Type: f.Type, Reference: f})
	}
	return p
}

// TextBody returns the text, or "".
func (p MessagePayload) TextBody() string {
	if p.Text == nil {
		return ""
	}
	return p.Text.Body
}

// Files returns all files of the payload, in order.
func (p MessagePayload) Files() []MediaReference {
	var files []MediaReference
	if p.Image != nil {
		files = append(files, p.Image.References...)
	}
	for _, m := range p.Media {
		files = append(files, m.Reference)
	}
	return files
}

// Validate reports what is wrong as ErrInvalid.
func (p MessagePayload) Validate() error {
	bad := invalid{}
	bad.require(len(p.TextBody()) <= MaxText, "text.body", "must be at most 65536 bytes")
	bad.require(utf8.ValidString(p.TextBody()), "text.body", "must be UTF-8")
	bad.require(!strings.ContainsRune(p.TextBody(), 0), "text.body", "must not contain NUL")
	switch p.Type {
	case PayloadText:
		bad.require(p.Text != nil, "text", "is required for a text")
		bad.require(p.Image == nil && len(p.Media) == 0, "type", "must not be text where there are files")
	case PayloadImage:
		bad.require(p.Image != nil && len(p.Image.References) > 0, "image.references", "must hold at least one image")
		bad.require(len(p.Media) == 0, "media", "must be empty beside images")
	case PayloadMedia:
		bad.require(len(p.Media) > 0, "media", "must hold at least one file")
		bad.require(p.Image == nil, "image", "must be empty beside media")
	case PayloadUnsupported:
		bad.require(p.Unsupported != "", "unsupported", "must name the kind")
	case PayloadTemplate:
		bad.require(p.Template != nil, "template", "is required for a template")
	case PayloadInteractive:
		bad.require(p.Interactive != nil, "interactive", "is required for an interactive message")
	case PayloadLocation:
		bad.require(p.Location != nil, "location", "is required for a location")
	case PayloadContacts:
		bad.require(len(p.Contacts) > 0, "contacts", "must hold at least one contact")
	default:
		bad.require(false, "type", "must be text, image, media, template, interactive, location, contacts or unsupported")
	}
	bad.require(p.Template == nil || p.Type == PayloadTemplate, "template", "must be empty for this type")
	bad.require(p.Interactive == nil || p.Type == PayloadInteractive, "interactive", "must be empty for this type")
	bad.require(p.Location == nil || p.Type == PayloadLocation, "location", "must be empty for this type")
	bad.require(len(p.Contacts) == 0 || p.Type == PayloadContacts, "contacts", "must be empty for this type")
	if p.Template != nil {
		bad.nest("template", p.Template.Validate())
	}
	if p.Interactive != nil {
		bad.nest("interactive", p.Interactive.Validate())
	}
	if p.Location != nil {
		bad.nest("location", p.Location.Validate())
	}
	bad.require(len(p.Contacts) <= maxContactCards, "contacts", "must be at most 50")
	for _, c := range p.Contacts {
		bad.nest("contacts", c.Validate())
	}
	if p.Image != nil {
		for _, r := range p.Image.References {
			bad.require(r.Type == MediaImage, "image.references.type", "must be image")
			bad.nest("image.references", r.Validate())
		}
	}
	for _, m := range p.Media {
		bad.require(m.Type.Valid(), "media.type", "must be image, video, audio or document")
		bad.nest("media.reference", m.Reference.Validate())
	}
	return bad.err("payload")
}
