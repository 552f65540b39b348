package omni

import (
	"net/url"
	"strings"
)

// LiveChatMessage is what every message of the widget has. (Seed: ILiveChatMessage.)
type LiveChatMessage struct {
	ClientID string `json:"clientId"          bson:"clientId"` // UUIDv7 made by the widget: the same again is the same message
	ReplyTo  string `json:"replyTo,omitempty" bson:"replyTo,omitempty"`
}

// LiveChatPayload is a message as the widget sends it. (Seed: ILiveChatPayload.)
type LiveChatPayload struct {
	LiveChatMessage `bson:",inline"`

	Text      string    `json:"text"                bson:"text"`
	MediaType MediaType `json:"mediaType,omitempty" bson:"mediaType,omitempty"` // of the file, if there is one
	MediaID   string    `json:"mediaId,omitempty"   bson:"mediaId,omitempty"`   // an upload of this visitor
}

// Validate reports what is wrong as ErrInvalid.
func (p LiveChatPayload) Validate() error {
	bad := invalid{}
	bad.require(ValidID(p.ClientID), "clientId", "must be an id")
	bad.require(p.Text != "" || p.MediaID != "", "text", "must not be empty")
	bad.require(len(p.Text) <= MaxText, "text", "must be at most 65536 bytes")
	bad.require(p.MediaType == "" || p.MediaType.Valid(), "mediaType", "must be image, video, audio or document")
	bad.require(p.MediaID == "" || ValidID(p.MediaID), "mediaId", "must be an id")
	return bad.err("LiveChat message")
}

// Visitor is a person on a website that carries the widget.
type Visitor struct {
	ID               string `json:"id"               bson:"_id"` // 128 random bits from the server, as hex
	OrganisationID   string `json:"organisationId"   bson:"organisationId"`
	DigitalChannelID string `json:"digitalChannelId" bson:"digitalChannelId"`
}

// Attributes of a contact that hold what a website visitor says of themselves, as they said it last. Nobody vouches for
// them; they stand beside what agents know and never in its place.
const (
	AttributeVisitorName  = "visitor-name" // while the contact goes by another one
	AttributeVisitorEmail = "visitor-email"
	AttributeVisitorPhone = "visitor-phone"
	AttributeVisitorPage  = "visitor-page" // the page that they are on, without query and fragment
)

// VisitorClaims is what a website visitor says of themselves. What is empty they do not say.
type VisitorClaims struct {
	Name  string
	Email string
	Phone string
	Page  string
}

// maxPage is the longest address of a page that is kept, in bytes.
const maxPage = 1000

// Clean makes c fit to be kept and shown. Phone is only made one line: what a number is depends on the country. Of a
// page's address what may be secret is dropped: user, query and fragment. What is no address is ErrInvalid.
func (c VisitorClaims) Clean() (VisitorClaims, error) {
	bad := invalid{}
	c.Name, c.Phone = CleanName(c.Name), CleanName(c.Phone)
	c.Email = strings.ToLower(strings.TrimSpace(c.Email))
	bad.require(c.Email == "" || validEmail(c.Email) && CleanName(c.Email) == c.Email, "email", "must be an e-mail address")
	if c.Page != "" {
		u, err := url.Parse(strings.TrimSpace(c.Page))
		ok := err == nil && (u.Scheme == "https" || u.Scheme == "http") && u.Host != ""
		if ok {
			c.Page = CleanText((&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path, RawPath: u.RawPath}).String())
		}
		bad.require(ok && len(c.Page) <= maxPage && CleanName(u.Host) == u.Host, "page", "must be a http or https address of at most 1000 bytes")
	}
	return c, bad.err("visitor")
}
