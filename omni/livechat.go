package omni

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
