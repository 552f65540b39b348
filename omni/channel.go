package omni

import (
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Capabilities is what a channel can carry. Composer and validation read it; nobody keeps a table of carriers.
type Capabilities struct {
	MaxTextLength  int      `json:"maxTextLength"            bson:"maxTextLength"`           // UTF-16 code units; 0: no text
	Segmented      bool     `json:"segmented"                bson:"segmented"`               // text is cut into SMS parts
	MediaTypes     []string `json:"mediaTypes,omitempty"     bson:"mediaTypes,omitempty"`    // MIME types; "image/*" stands for all images
	MaxMediaBytes  int64    `json:"maxMediaBytes,omitempty"  bson:"maxMediaBytes,omitempty"` // one file
	MaxMediaCount  int      `json:"maxMediaCount,omitempty"  bson:"maxMediaCount,omitempty"` // files of one message
	Captions       bool     `json:"captions"                 bson:"captions"`                // text beside files
	Templates      bool     `json:"templates"                bson:"templates"`
	WindowHours    int      `json:"windowHours,omitempty"    bson:"windowHours,omitempty"` // free text only so long after the last inbound; 0: always
	DeliveryStatus bool     `json:"deliveryStatus"           bson:"deliveryStatus"`        // reports delivered
	ReadStatus     bool     `json:"readStatus"               bson:"readStatus"`            // reports read
	Typing         bool     `json:"typing"                   bson:"typing"`
	Reactions      bool     `json:"reactions"                bson:"reactions"`
	ReplyTo        bool     `json:"replyTo"                  bson:"replyTo"`

	MaxTextBytes     int               `json:"maxTextBytes,omitempty"     bson:"maxTextBytes,omitempty"`     // UTF-8 bytes, where the carrier counts those; 0: no such limit
	MaxSegments      int               `json:"maxSegments,omitempty"      bson:"maxSegments,omitempty"`      // SMS parts of one text; 0: no such limit
	MaxCaptionLength int               `json:"maxCaptionLength,omitempty" bson:"maxCaptionLength,omitempty"` // UTF-16 code units of a text beside files; 0: as MaxTextLength
	MediaLimits      []MediaLimit      `json:"mediaLimits,omitempty"      bson:"mediaLimits,omitempty"`      // of kinds that are not as MaxMediaBytes says
	TotalMediaBytes  int64             `json:"totalMediaBytes,omitempty"  bson:"totalMediaBytes,omitempty"`  // all files of one message; 0: no such limit
	Interactive      []InteractiveType `json:"interactive,omitempty"      bson:"interactive,omitempty"`      // buttons, lists and the like that can be sent
	Location         bool              `json:"location"                   bson:"location"`                   // a place can be sent
	ContactCards     bool              `json:"contactCards"               bson:"contactCards"`               // contacts can be sent
	ReadReceipts     bool              `json:"readReceipts"               bson:"readReceipts"`               // contacts are shown what we have read
}

// MediaLimit is the largest file of some types.
type MediaLimit struct {
	Types    []string `json:"types"    bson:"types"`    // MIME types; "image/*" stands for all images
	MaxBytes int64    `json:"maxBytes" bson:"maxBytes"` // one file
}

// LiveChatSettings is what a LiveChat channel has besides.
type LiveChatSettings struct {
	PublicID       string   `json:"publicId"                 bson:"publicId"`       // in the snippet; names the widget, opens nothing
	AllowedOrigins []string `json:"allowedOrigins"           bson:"allowedOrigins"` // scheme://host[:port] of the sites that may carry it
	Title          string   `json:"title,omitempty"          bson:"title,omitempty"`
	Greeting       string   `json:"greeting,omitempty"       bson:"greeting,omitempty"`
	Accent         string   `json:"accent,omitempty"         bson:"accent,omitempty"` // #rrggbb
}

// DigitalChannel is one of our numbers, accounts or widgets. (Seed: DigitalChannel.)
// Address is unique per carrier account and channel family.
type DigitalChannel struct {
	ID               string            `json:"id"                         bson:"_id"`
	Tenant           Tenant            `json:"tenant"                     bson:"tenant"`
	GroupID          string            `json:"groupId"                    bson:"groupId"`
	Name             string            `json:"name"                       bson:"name"`
	ChannelType      ChannelType       `json:"channelType"                bson:"channelType"`                // a family: an SMS channel carries MMS too
	Carrier          CarrierName       `json:"carrier,omitempty"          bson:"carrier,omitempty"`          // empty for LiveChat
	CarrierAccountID string            `json:"carrierAccountId,omitempty" bson:"carrierAccountId,omitempty"` // empty for LiveChat
	Address          string            `json:"address"                    bson:"address"`                    // number or name that contacts write to; LiveChat: the public id; PubNub: a name, or its beginning and *
	Capabilities     Capabilities      `json:"capabilities"               bson:"capabilities"`
	LiveChat         *LiveChatSettings `json:"liveChat,omitempty"         bson:"liveChat,omitempty"`
	Disabled         bool              `json:"disabled"                   bson:"disabled"`
	Version          int64             `json:"version"                    bson:"version"`
	CreatedAt        Millis            `json:"createdAt"                  bson:"createdAt"`
	SchemaVersion    SchemaVersion     `json:"schemaVersion"              bson:"schemaVersion"`
}

// Validate reports what is wrong as ErrInvalid.
func (d DigitalChannel) Validate() error {
	bad := invalid{}
	bad.require(ValidID(d.ID), "id", "must be an id")
	bad.nest("tenant", d.Tenant.Validate())
	bad.require(ValidID(d.GroupID), "groupId", "must be an id")
	bad.require(validName(d.Name), "name", nameRule)
	bad.require(d.ChannelType.Valid() && d.ChannelType == d.ChannelType.Family(), "channelType", "must be a channel family")
	bad.require(d.Address != "" && len(d.Address) <= 255, "address", "must be 1 to 255 bytes")
	bad.require(d.ChannelType != ChannelPubNub || validPubNubAddress(d.Address), "address",
		"must be the name of a PubNub channel, at most 92 characters without , : * / \\ and spaces, or its beginning and *")
	if d.ChannelType == ChannelLiveChat {
		bad.require(d.Carrier == "" && d.CarrierAccountID == "", "carrier", "must be empty for LiveChat")
		bad.require(d.LiveChat != nil, "liveChat", "is required for LiveChat")
	} else {
		bad.require(d.Carrier.Valid(), "carrier", "is not a carrier")
		bad.require(ValidID(d.CarrierAccountID), "carrierAccountId", "must be an id")
		bad.require(d.LiveChat == nil, "liveChat", "must be empty for this channel type")
	}
	if d.LiveChat != nil {
		bad.nest("liveChat", d.LiveChat.Validate())
	}
	bad.nest("schemaVersion", d.SchemaVersion.Validate())
	return bad.err("channel")
}

// Validate reports what is wrong as ErrInvalid.
func (l LiveChatSettings) Validate() error {
	bad := invalid{}
	bad.require(len(l.PublicID) >= 16, "publicId", "must be at least 16 characters")
	bad.require(len(l.AllowedOrigins) > 0, "allowedOrigins", "must name at least one site")
	for _, o := range l.AllowedOrigins {
		bad.require(ValidOrigin(o), "allowedOrigins", "must be like https://www.example.com, without path and without *")
	}
	bad.require(l.Accent == "" || len(l.Accent) == 7 && l.Accent[0] == '#' && isHex(l.Accent[1:]), "accent", "must be like #1a73e8")
	bad.require(l.Title == "" || validName(l.Title), "title", nameRule)
	bad.require(len(l.Greeting) <= 2000, "greeting", "must be at most 2000 bytes")
	return bad.err("LiveChat settings")
}

// ValidOrigin reports whether s is an origin as browsers write it: http or https, host (in ASCII), port only if it is
// not the default.
func ValidOrigin(s string) bool {
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || s != u.Scheme+"://"+u.Host {
		return false
	}
	host, port := u.Hostname(), u.Port()
	if strings.Contains(host, ":") {
		ip, err := netip.ParseAddr(host)
		if err != nil || ip.String() != host || ip.Zone() != "" {
			return false
		}
		host = "[" + host + "]"
	} else if host == "" || strings.ContainsFunc(host, notInHostName) {
		return false
	}
	if port == "" {
		return u.Host == host // not "host:"
	}
	n, err := strconv.ParseUint(port, 10, 16)
	return err == nil && n > 0 && strconv.FormatUint(n, 10) == port &&
		port != map[string]string{"http": "80", "https": "443"}[u.Scheme]
}

func notInHostName(r rune) bool {
	return (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '.' && r != '-' && r != '_'
}

func isHex(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return !strings.ContainsRune("0123456789abcdefABCDEF", r) })
}

// GroupRouting is how a group hands out what comes in. (Seed: IDigitalChannelGroup.)
type GroupRouting struct {
	Strategy        string `json:"strategy"                  bson:"strategy"` // "manual": agents claim
	DefaultFolderID string `json:"defaultFolderId,omitempty" bson:"defaultFolderId,omitempty"`
}

// DigitalChannelGroup is a set of channels and the people who work on them. (Seed: DigitalChannelGroup.)
type DigitalChannelGroup struct {
	ID            string        `json:"id"               bson:"_id"`
	Tenant        Tenant        `json:"tenant"           bson:"tenant"`
	Name          string        `json:"name"             bson:"name"`
	Type          GroupType     `json:"type"             bson:"type"`
	UserID        string        `json:"userId,omitempty" bson:"userId,omitempty"` // PRIVATE: its only user
	MemberIDs     []string      `json:"memberIds"        bson:"memberIds"`        // SHARED: users who see it; admins and supervisors see all shared ones
	Colour        string        `json:"colour,omitempty" bson:"colour,omitempty"` // #rrggbb
	Routing       GroupRouting  `json:"routing"          bson:"routing"`
	Version       int64         `json:"version"          bson:"version"`
	CreatedAt     Millis        `json:"createdAt"        bson:"createdAt"`
	SchemaVersion SchemaVersion `json:"schemaVersion"    bson:"schemaVersion"`
}

// Sees reports whether a user of a role sees the group.
func (g DigitalChannelGroup) Sees(userID string, role Role) bool {
	if g.Type == GroupPrivate {
		return userID != "" && g.UserID == userID
	}
	switch role {
	case RoleAdmin, RoleSupervisor, RoleService:
		return true
	case RoleAgent:
		return slices.Contains(g.MemberIDs, userID)
	default:
		return false
	}
}

// HomeTopic is the hub topic of the group's interactions.
func (g DigitalChannelGroup) HomeTopic() string {
	if g.Type == GroupPrivate {
		return UserTopic(g.UserID)
	}
	return GroupTopic(g.ID)
}

// Validate reports what is wrong as ErrInvalid.
func (g DigitalChannelGroup) Validate() error {
	bad := invalid{}
	bad.require(ValidID(g.ID), "id", "must be an id")
	bad.nest("tenant", g.Tenant.Validate())
	bad.require(validName(g.Name), "name", nameRule)
	bad.require(g.Type.Valid(), "type", "must be PRIVATE or SHARED")
	bad.require(g.Type != GroupPrivate || ValidID(g.UserID), "userId", "must name the user of a private group")
	bad.require(g.Type != GroupShared || g.UserID == "", "userId", "must be empty for a shared group")
	bad.require(len(g.MemberIDs) <= 1000, "memberIds", "must be at most 1000")
	for _, id := range g.MemberIDs {
		bad.require(ValidID(id), "memberIds", "must be ids")
	}
	bad.require(g.Colour == "" || len(g.Colour) == 7 && g.Colour[0] == '#' && isHex(g.Colour[1:]), "colour", "must be like #1a73e8")
	bad.require(g.Routing.Strategy == "manual", "routing.strategy", "must be manual")
	bad.nest("schemaVersion", g.SchemaVersion.Validate())
	return bad.err("channel group")
}

// PublishChannel is what an outbound message goes out by. (Seed: PublishChannel.)
type PublishChannel struct {
	DigitalChannelID string          `json:"digitalChannelId" bson:"digitalChannelId"`
	ChannelType      ChannelType     `json:"channelType"      bson:"channelType"` // MMS for an SMS channel that sends files
	Sender           string          `json:"sender"           bson:"sender"`      // our address
	Target           PublishIdentity `json:"target"           bson:"target"`
	ReplyTo          string          `json:"replyTo,omitempty" bson:"replyTo,omitempty"` // the carrier's id of the message that this answers; set when it goes out
}

// PublishIdentity is who an outbound message goes to. (Seed: PublishIdentity.)
type PublishIdentity struct {
	ContactID  string `json:"contactId"  bson:"contactId"`
	IdentityID string `json:"identityId" bson:"identityId"`
	Address    string `json:"address"    bson:"address"`
}

// Validate reports what is wrong as ErrInvalid.
func (p PublishChannel) Validate() error {
	bad := invalid{}
	bad.require(ValidID(p.DigitalChannelID), "digitalChannelId", "must be an id")
	bad.require(p.ChannelType.Valid(), "channelType", "is not a channel type")
	bad.require(p.Target.Address != "", "target.address", "is required")
	return bad.err("publish channel")
}

// SealedSecret is a credential as it is stored: encrypted, with the id of the key that did it.
type SealedSecret struct {
	KeyID      string `json:"keyId"                bson:"keyId"`
	Nonce      []byte `json:"nonce"                bson:"nonce"`
	Ciphertext []byte `json:"ciphertext"           bson:"ciphertext"`
	Hint       string `json:"hint,omitempty"       bson:"hint,omitempty"`       // last 4 characters, for people
	ValidUntil Millis `json:"validUntil,omitempty" bson:"validUntil,omitempty"` // end of a secret that was replaced; 0: none
}

// CarrierAccount is an organisation's account at a carrier: where its webhooks come in, and the credentials.
type CarrierAccount struct {
	ID            string                    `json:"id"            bson:"_id"`
	Tenant        Tenant                    `json:"tenant"        bson:"tenant"`
	PublicID      string                    `json:"publicId"      bson:"publicId"` // in the webhook URL; 128 random bits
	Carrier       CarrierName               `json:"carrier"       bson:"carrier"`
	Name          string                    `json:"name"          bson:"name"`
	Config        map[string]string         `json:"config"        bson:"config"`      // what is not secret, such as accountSid
	Credentials   map[string][]SealedSecret `json:"-"             bson:"credentials"` // name -> newest first, at most 2 valid at once
	Disabled      bool                      `json:"disabled"      bson:"disabled"`
	Version       int64                     `json:"version"       bson:"version"`
	CreatedAt     Millis                    `json:"createdAt"     bson:"createdAt"`
	SchemaVersion SchemaVersion             `json:"schemaVersion" bson:"schemaVersion"`
}

// Validate reports what is wrong as ErrInvalid.
func (a CarrierAccount) Validate() error {
	bad := invalid{}
	bad.require(ValidID(a.ID), "id", "must be an id")
	bad.nest("tenant", a.Tenant.Validate())
	bad.require(a.PublicID != "", "publicId", "is required")
	bad.require(a.Carrier.Valid(), "carrier", "is not a carrier")
	bad.require(validName(a.Name), "name", nameRule)
	bad.nest("schemaVersion", a.SchemaVersion.Validate())
	return bad.err("carrier account")
}

// WindowOpen reports whether free text may be sent at now, given when the contact last wrote (0: never).
func (c Capabilities) WindowOpen(lastInbound Millis, now Millis) bool {
	return c.WindowHours == 0 ||
		lastInbound > 0 && now < lastInbound.Add(time.Duration(c.WindowHours)*time.Hour)
}
