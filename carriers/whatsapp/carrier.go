package whatsapp

import (
	"net/http"
	"net/url"
	"time"

	"omniservice/carriers"
	"omniservice/omni"
)

const (
	defaultAPI     = "https://graph.facebook.com"
	defaultVersion = "v26.0"

	// maxBody is more than the largest webhook, of which Meta says 3 MB.
	maxBody = 4 << 20
)

// Provider opens WhatsApp accounts.
type Provider struct{}

// New returns the provider.
func New() *Provider { return &Provider{} }

// Name implements carriers.Provider.
func (*Provider) Name() omni.CarrierName { return omni.CarrierWhatsApp }

// MaxBody implements carriers.Provider.
func (*Provider) MaxBody() int64 { return maxBody }

// Open implements carriers.Provider.
func (*Provider) Open(a carriers.Account, o carriers.Options) (carriers.Carrier, error) {
	conf, err := readConfig(a)
	if err != nil {
		return nil, err
	}
	o, base, err := o.Ready(omni.CarrierWhatsApp, defaultAPI)
	if err != nil {
		return nil, err
	}
	c := &Carrier{
		config: conf, webhookURL: o.WebhookURL, api: o.APIBase, http: o.HTTP, now: o.Now, openFile: o.OpenFile,
		state: newState(conf.phones), checks: checks, challenges: challenges,
	}
	if c.api != defaultAPI {
		c.double = base
	}
	return c, nil
}

// Carrier is one WhatsApp Business Account with its numbers, and the app that it is reached by.
type Carrier struct {
	config     config
	webhookURL string
	api        string   // scheme and host
	double     *url.URL // the same where it is not Meta's: files may lie there too
	http       *http.Client
	now        func() time.Time
	openFile   fileOpener
	state      *state
	checks     []check     // of a webhook, in order
	challenges []challenge // of a handshake, in order
}

// Name implements carriers.Carrier.
func (*Carrier) Name() omni.CarrierName { return omni.CarrierWhatsApp }

// String keeps the secrets out of whatever prints a Carrier.
func (c *Carrier) String() string { return "whatsapp account " + c.config.wabaID }

// GoString does the same for %#v.
func (c *Carrier) GoString() string { return c.String() }

// Capabilities implements carriers.Carrier. Sources: "Media" and the pages of each message type, read 2026-11-23.
// A file has no more than one message; where a kind cannot carry a text, the file goes as a document, which can.
func (*Carrier) Capabilities(family omni.ChannelType) (omni.Capabilities, bool) {
	if family != omni.ChannelWhatsApp {
		return omni.Capabilities{}, false
	}
	return omni.Capabilities{
		MaxTextLength:    maxText,
		MaxCaptionLength: maxCaption,
		MediaTypes: []string{
			"image/jpeg", "image/png", "image/webp", "audio/aac", "audio/amr", "audio/mpeg", "audio/mp4", "audio/ogg", "video/mp4", "video/3gpp",
			"application/*", "text/*", "image/*", "audio/*", "video/*", // as documents
		},
		MaxMediaBytes:  maxDocument,
		MaxMediaCount:  1,
		Captions:       true,
		Templates:      true,
		WindowHours:    24,
		DeliveryStatus: true,
		ReadStatus:     true,
		ReadReceipts:   true,
		Typing:         true,
		Reactions:      true,
		ReplyTo:        true,
		Interactive:    omni.InteractiveTypes,
		Location:       true,
		ContactCards:   true,
	}, true
}
