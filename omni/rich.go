package omni

import (
	"slices"
	"strconv"
)

// Limits of what is richer than text and files, whatever the carrier. Its own may be lower.
const (
	maxContactCards = 50
	maxComponents   = 20
	maxParameters   = 100
	maxChoices      = 10
)

// TemplateMessage is an approved template with what fills its places. The carrier makes of it what its API wants, such as the
// seed's IWhatsAppMessageTemplate.
type TemplateMessage struct {
	TemplateID string              `json:"templateId,omitempty" bson:"templateId,omitempty"` // ours; empty where the template is known by name alone
	Name       string              `json:"name"                 bson:"name"`
	Language   string              `json:"language"             bson:"language"` // as the carrier writes it: en_US
	Components []TemplateComponent `json:"components,omitempty" bson:"components,omitempty"`
}

// TemplateComponent fills the places of one part of a template. Parts without places have none.
type TemplateComponent struct {
	Type       string              `json:"type"              bson:"type"`              // header, body or button
	SubType    string              `json:"subType,omitempty" bson:"subType,omitempty"` // button: quick_reply, url, copy_code, flow, catalog
	Index      int                 `json:"index,omitempty"   bson:"index,omitempty"`   // button: its place, from 0
	Parameters []TemplateParameter `json:"parameters"        bson:"parameters"`
}

// TemplateParameter fills one place.
type TemplateParameter struct {
	Type     string          `json:"type"               bson:"type"`           // text, payload, coupon_code, image, video, document, location, currency, date_time or action
	Name     string          `json:"name,omitempty"     bson:"name,omitempty"` // of a named place
	Text     string          `json:"text,omitempty"     bson:"text,omitempty"` // text, payload or coupon_code
	File     *MediaReference `json:"file,omitempty"     bson:"file,omitempty"` // image, video or document
	Location *Location       `json:"location,omitempty" bson:"location,omitempty"`
	Value    RawJSON         `json:"value,omitempty"    bson:"value,omitempty"` // currency, date_time and action, as the carrier describes them
}

// Files are the files that fill places, in order.
func (m TemplateMessage) Files() []MediaReference {
	var files []MediaReference
	for _, c := range m.Components {
		for _, p := range c.Parameters {
			if p.File != nil {
				files = append(files, *p.File)
			}
		}
	}
	return files
}

// Validate reports what is wrong as ErrInvalid.
func (m TemplateMessage) Validate() error {
	bad := invalid{}
	bad.require(m.TemplateID == "" || ValidID(m.TemplateID), "templateId", "must be an id")
	bad.require(validTemplateName(m.Name), "name", "must be 1 to 512 lower-case letters, digits and underscores")
	bad.require(m.Language != "" && len(m.Language) <= 20, "language", "must be 1 to 20 bytes")
	bad.require(len(m.Components) <= maxComponents, "components", "must be at most 20")
	for _, c := range m.Components {
		bad.require(slices.Contains([]string{"header", "body", "button"}, c.Type), "components.type", "must be header, body or button")
		bad.require(len(c.SubType) <= 64, "components.subType", "must be at most 64 bytes")
		bad.require(c.Index >= 0 && c.Index < maxComponents, "components.index", "must be between 0 and 19")
		bad.require(len(c.Parameters) <= maxParameters, "components.parameters", "must be at most 100")
		for _, p := range c.Parameters {
			bad.require(p.Type != "" && len(p.Type) <= 64, "components.parameters.type", "must be 1 to 64 bytes")
			bad.require(len(p.Name) <= 255, "components.parameters.name", "must be at most 255 bytes")
			bad.require(len(p.Text) <= MaxText, "components.parameters.text", "must be at most 65536 bytes")
			bad.require(p.Value == "" || validRawJSON(p.Value), "components.parameters.value", rawJSONRule)
			if p.File != nil {
				bad.nest("components.parameters.file", p.File.Validate())
			}
			if p.Location != nil {
				bad.nest("components.parameters.location", p.Location.Validate())
			}
		}
	}
	return bad.err("template message")
}

// InteractiveMessage is a text with something to press, to choose or to fill in.
type InteractiveMessage struct {
	Type       InteractiveType     `json:"type"                 bson:"type"`
	Header     string              `json:"header,omitempty"     bson:"header,omitempty"`
	HeaderFile *MediaReference     `json:"headerFile,omitempty" bson:"headerFile,omitempty"` // instead of Header
	Footer     string              `json:"footer,omitempty"     bson:"footer,omitempty"`
	Choices    []InteractiveChoice `json:"choices,omitempty"    bson:"choices,omitempty"` // buttons, or the rows of a list
	Button     string              `json:"button,omitempty"     bson:"button,omitempty"`  // what opens the list, the address or the form
	URL        string              `json:"url,omitempty"        bson:"url,omitempty"`     // cta_url
	Flow       RawJSON             `json:"flow,omitempty"       bson:"flow,omitempty"`    // the parameters of a flow, as the carrier describes them
}

// InteractiveChoice is a button or a row.
type InteractiveChoice struct {
	ID          string `json:"id"                    bson:"id"` // comes back as ButtonPayload
	Title       string `json:"title"                 bson:"title"`
	Description string `json:"description,omitempty" bson:"description,omitempty"` // of a row
	Section     string `json:"section,omitempty"     bson:"section,omitempty"`     // of a row: its heading; rows of one section stand together
}

// Validate reports what is wrong as ErrInvalid.
func (m InteractiveMessage) Validate() error {
	bad := invalid{}
	bad.require(m.Type.Valid(), "type", "must be button, list, cta_url, location_request_message or flow")
	bad.require(len(m.Header) <= MaxText, "header", "must be at most 65536 bytes")
	bad.require(len(m.Footer) <= MaxText, "footer", "must be at most 65536 bytes")
	bad.require(m.Header == "" || m.HeaderFile == nil, "headerFile", "must be empty beside a header")
	choosing := m.Type == InteractiveButtons || m.Type == InteractiveList
	bad.require(!choosing || len(m.Choices) > 0, "choices", "must hold at least one")
	bad.require(choosing || len(m.Choices) == 0, "choices", "must be empty for this type")
	bad.require(len(m.Choices) <= maxChoices, "choices", "must be at most 10")
	seen := map[string]bool{}
	for _, c := range m.Choices {
		bad.require(c.ID != "" && len(c.ID) <= 256, "choices.id", "must be 1 to 256 bytes")
		bad.require(!seen[c.ID], "choices.id", "must differ from each other")
		bad.require(c.Title != "" && len(c.Title) <= 255, "choices.title", "must be 1 to 255 bytes")
		bad.require(len(c.Description) <= 255, "choices.description", "must be at most 255 bytes")
		bad.require(len(c.Section) <= 255, "choices.section", "must be at most 255 bytes")
		seen[c.ID] = true
	}
	bad.require(len(m.Button) <= 255, "button", "must be at most 255 bytes")
	bad.require(m.Type != InteractiveURL || validHTTPS(m.URL), "url", "must be an https address of at most 2000 bytes, without a user name")
	bad.require(m.Type == InteractiveURL || m.URL == "", "url", "must be empty for this type")
	bad.require((m.Type == InteractiveFlow) == (m.Flow != ""), "flow", "belongs to a flow, which needs it")
	bad.require(m.Flow == "" || validRawJSON(m.Flow), "flow", rawJSONRule)
	if m.HeaderFile != nil {
		bad.nest("headerFile", m.HeaderFile.Validate())
	}
	return bad.err("interactive message")
}

// Location is a place on Earth.
type Location struct {
	Latitude  float64 `json:"latitude"          bson:"latitude"`  // degrees, north is positive
	Longitude float64 `json:"longitude"         bson:"longitude"` // degrees, east is positive
	Name      string  `json:"name,omitempty"    bson:"name,omitempty"`
	Address   string  `json:"address,omitempty" bson:"address,omitempty"`
}

// Geo is the place as text, such as geo:-1.28333,36.81667 (RFC 5870), each number as short as it can be.
func (l Location) Geo() string {
	degrees := func(f float64) string { return strconv.FormatFloat(f+0, 'f', -1, 64) } // no minus before zero
	return "geo:" + degrees(l.Latitude) + "," + degrees(l.Longitude)
}

// Validate reports what is wrong as ErrInvalid.
func (l Location) Validate() error {
	bad := invalid{}
	bad.require(l.Latitude >= -90 && l.Latitude <= 90, "latitude", "must be between -90 and 90")
	bad.require(l.Longitude >= -180 && l.Longitude <= 180, "longitude", "must be between -180 and 180")
	bad.require(len(l.Name) <= 1000, "name", "must be at most 1000 bytes")
	bad.require(len(l.Address) <= 1000, "address", "must be at most 1000 bytes")
	return bad.err("location")
}

// ContactCard is a contact that somebody passes on: names and ways to reach them, all of it hostile text.
type ContactCard struct {
	Name         string   `json:"name"                   bson:"name"` // as it is shown
	Phones       []string `json:"phones,omitempty"       bson:"phones,omitempty"`
	Emails       []string `json:"emails,omitempty"       bson:"emails,omitempty"`
	Organisation string   `json:"organisation,omitempty" bson:"organisation,omitempty"`
}

// Validate reports what is wrong as ErrInvalid.
func (c ContactCard) Validate() error {
	bad := invalid{}
	bad.require(c.Name != "" && len(c.Name) <= 255, "name", "must be 1 to 255 bytes")
	bad.require(len(c.Phones) <= 20, "phones", "must be at most 20")
	bad.require(len(c.Emails) <= 20, "emails", "must be at most 20")
	for _, p := range c.Phones {
		bad.require(len(p) <= 255, "phones", "must be at most 255 bytes each")
	}
	for _, e := range c.Emails {
		bad.require(len(e) <= 255, "emails", "must be at most 255 bytes each")
	}
	bad.require(len(c.Organisation) <= 255, "organisation", "must be at most 255 bytes")
	return bad.err("contact card")
}
