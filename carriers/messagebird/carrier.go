package messagebird

import (
	"net/http"
	"strings"
	"time"

	"omniservice/carriers"
	"omniservice/omni"
)

// Where the products' APIs are.
const (
	restAPI          = "https://rest.messagebird.com"
	conversationsAPI = "https://conversations.messagebird.com"
	birdAPI          = "https://api.bird.com"
)

// maxBody is several times the largest webhook: a text has at most 4,096 characters, nine bytes each in a form, and there
// are at most 10 files. It bounds what a forger can make us hash.
const maxBody = 128 << 10

// Limits of texts and files. Those of MMS beside the text's are often quoted, not documented.
const (
	maxParts       = 9              // of an SMS: 1,377 characters of GSM-7, 603 of UCS-2
	maxSMS         = maxParts * 153 // characters
	maxMMS         = 2000           // characters
	maxMMSFiles    = 10
	maxMMSBytes    = 1 << 20
	maxWhatsApp    = 4096 // characters
	maxCaption     = 1024 // of a file, in WhatsApp
	whatsAppWindow = 24   // hours after the last inbound
	maxReference   = 128  // characters
)

// Provider opens MessageBird accounts.
type Provider struct{}

// New returns the provider.
func New() *Provider { return &Provider{} }

// Name implements carriers.Provider.
func (*Provider) Name() omni.CarrierName { return omni.CarrierMessageBird }

// MaxBody implements carriers.Provider.
func (*Provider) MaxBody() int64 { return maxBody }

// Open implements carriers.Provider.
func (*Provider) Open(a carriers.Account, o carriers.Options) (carriers.Carrier, error) {
	conf, err := readConfig(a)
	if err != nil {
		return nil, err
	}
	double := o.APIBase
	o, _, err = o.Ready(omni.CarrierMessageBird, restAPI)
	if err != nil {
		return nil, err
	}
	c := &Carrier{
		config: conf, accountID: a.ID, webhookURL: o.WebhookURL, http: o.HTTP, now: o.Now,
		rest: restAPI, conversations: conversationsAPI, bird: birdAPI,
		checks: checks[conf.scheme], used: newUsedTokens(maxUsed),
	}
	if double != "" {
		c.rest, c.conversations, c.bird = double, double, double
	}
	return c, nil
}

// Carrier is one MessageBird account, or one workspace at Bird.
type Carrier struct {
	config        config
	accountID     string
	webhookURL    string
	rest          string // scheme and host of each API
	conversations string
	bird          string
	http          *http.Client
	now           func() time.Time
	checks        []check // of a webhook, in order
	used          *usedTokens
}

// Name implements carriers.Carrier.
func (*Carrier) Name() omni.CarrierName { return omni.CarrierMessageBird }

// String keeps the secrets out of whatever prints a Carrier.
func (c *Carrier) String() string { return "messagebird account " + c.accountID }

// GoString does the same for %#v.
func (c *Carrier) GoString() string { return c.String() }

// Capabilities implements carriers.Carrier. Conversations and Bird carry SMS without files.
func (c *Carrier) Capabilities(family omni.ChannelType) (omni.Capabilities, bool) {
	chat := c.config.product == productConversations || c.config.product == productBird
	switch {
	case family == omni.ChannelSMS:
		all := omni.Capabilities{MaxTextLength: maxSMS, Segmented: true, MaxSegments: maxParts, DeliveryStatus: true}
		if c.config.product == productMMS {
			all.MediaTypes = []string{"image/jpeg", "image/png", "image/gif", "audio/*", "video/*", "text/vcard", "text/x-vcard", "application/pdf"}
			all.MaxMediaBytes, all.MaxMediaCount = maxMMSBytes, maxMMSFiles
			all.Captions, all.MaxCaptionLength = true, maxMMS
		}
		return all, true
	case family == omni.ChannelWhatsApp && chat:
		return omni.Capabilities{
			MaxTextLength:    maxWhatsApp,
			MediaTypes:       []string{"image/jpeg", "image/png", "audio/*", "video/mp4", "video/3gpp", "application/pdf", "text/plain"},
			MaxMediaBytes:    16 << 20,
			MaxMediaCount:    1,
			MediaLimits:      []omni.MediaLimit{{Types: []string{"image/*"}, MaxBytes: 5 << 20}},
			Captions:         true,
			MaxCaptionLength: maxCaption,
			WindowHours:      whatsAppWindow,
			DeliveryStatus:   true,
			ReadStatus:       c.config.product == productConversations, // Bird tells it as an interaction, whose form is not documented
			Location:         c.config.product == productConversations,
		}, true
	default:
		return omni.Capabilities{}, false
	}
}

// Pace implements carriers.Paced. The APIs take 500 requests a second of an account; what a sender may send depends on
// its kind and country, and is the account's to say.
func (c *Carrier) Pace(omni.ChannelType, string) carriers.Pace {
	return carriers.Pace{PerSecond: c.config.perSecond}
}

// address writes numbers as E.164. The carrier gives them with their country code and without plus, so that eight digits
// or more that do not begin with 0 get one; fewer are a short code. Other addresses stay as they are. Errors are
// *carriers.WebhookError.
func address(field, s string) (string, error) {
	s = strings.TrimSpace(s)
	if len(s) >= 8 && len(s) <= 15 && s[0] != '0' && strings.Trim(s, "0123456789") == "" {
		s = "+" + s
	}
	return carriers.Address(field, s)
}
