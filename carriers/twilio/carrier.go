package twilio

import (
	"net/http"
	"time"

	"omniservice/carriers"
	"omniservice/omni"
)

const (
	defaultAPI = "https://api.twilio.com"

	// maxBody is some ten times the largest webhook that Twilio's limits allow. It bounds what a forger can make us hash.
	maxBody = 256 << 10

	// maxText is the longest text of a message, in UTF-16 code units.
	maxText = 1600
)

// Provider opens Twilio accounts.
type Provider struct{}

// New returns the provider.
func New() *Provider { return &Provider{} }

// Name implements carriers.Provider.
func (*Provider) Name() omni.CarrierName { return omni.CarrierTwilio }

// MaxBody implements carriers.Provider.
func (*Provider) MaxBody() int64 { return maxBody }

// Open implements carriers.Provider.
func (*Provider) Open(a carriers.Account, o carriers.Options) (carriers.Carrier, error) {
	conf, err := readConfig(a)
	if err != nil {
		return nil, err
	}
	o, base, err := o.Ready(omni.CarrierTwilio, defaultAPI)
	if err != nil {
		return nil, err
	}
	return &Carrier{
		config: conf, webhookURL: o.WebhookURL, api: o.APIBase, apiHost: base.Host, http: o.HTTP, now: o.Now,
		checks: checks, spellings: spellings,
	}, nil
}

// Carrier is one Twilio account, or subaccount.
type Carrier struct {
	config     config
	webhookURL string
	api        string // scheme and host
	apiHost    string // host, with port if api has one
	http       *http.Client
	now        func() time.Time
	checks     []check    // of a webhook, in order
	spellings  []spelling // of a URL that may have been signed
}

// Name implements carriers.Carrier.
func (*Carrier) Name() omni.CarrierName { return omni.CarrierTwilio }

// String keeps the secrets out of whatever prints a Carrier.
func (c *Carrier) String() string { return "twilio account " + c.config.accountSID }

// GoString does the same for %#v.
func (c *Carrier) GoString() string { return c.String() }

// Capabilities implements carriers.Carrier. Sources: "Accepted content types for media" and "Guidance on WhatsApp
// media messages", read 2026-11-22. Twilio counts 5 MB for all files of an MMS together.
func (*Carrier) Capabilities(family omni.ChannelType) (omni.Capabilities, bool) {
	switch family {
	case omni.ChannelSMS:
		return omni.Capabilities{
			MaxTextLength: maxText,
			Segmented:     true,
			MediaTypes: []string{
				"image/*", "audio/*", "video/*", "text/vcard", "text/x-vcard", "text/csv", "text/rtf", "text/richtext",
				"text/calendar", "text/directory", "application/pdf", "application/vcard",
			},
			MaxMediaBytes:  5 << 20,
			MaxMediaCount:  10,
			Captions:       true,
			DeliveryStatus: true,
		}, true
	case omni.ChannelWhatsApp:
		return omni.Capabilities{
			MaxTextLength:  maxText,
			MediaTypes:     []string{"image/jpeg", "image/png", "image/webp", "audio/*", "video/mp4", "application/pdf", "text/vcard"},
			MaxMediaBytes:  16 << 20,
			MaxMediaCount:  1,
			Captions:       true,
			WindowHours:    24,
			DeliveryStatus: true,
			ReadStatus:     true,
		}, true
	default:
		return omni.Capabilities{}, false
	}
}
