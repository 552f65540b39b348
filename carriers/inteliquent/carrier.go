package inteliquent

import (
	"net/http"
	"time"

	"omniservice/carriers"
	"omniservice/omni"
)

const (
	defaultAPI = "https://messagebroker.inteliquent.com"
	apiPath    = "/msgbroker/rest"

	// maxBody is some ten times the largest webhook that anybody has described.
	maxBody = 256 << 10

	// Limits of a message. None is confirmed: these are what other carriers of North America take.
	maxText  = 1600    // UTF-16 code units
	maxFiles = 10      // of one message
	maxMMS   = 1 << 20 // bytes of all files
)

// Provider opens Inteliquent accounts.
type Provider struct{}

// New returns the provider.
func New() *Provider { return &Provider{} }

// Name implements carriers.Provider.
func (*Provider) Name() omni.CarrierName { return omni.CarrierInteliquent }

// MaxBody implements carriers.Provider.
func (*Provider) MaxBody() int64 { return maxBody }

// Open implements carriers.Provider.
func (*Provider) Open(a carriers.Account, o carriers.Options) (carriers.Carrier, error) {
	conf, err := readConfig(a)
	if err != nil {
		return nil, err
	}
	o, _, err = o.Ready(omni.CarrierInteliquent, defaultAPI)
	if err != nil {
		return nil, err
	}
	return &Carrier{
		config: conf, publicID: a.PublicID, webhookURL: o.WebhookURL, api: o.APIBase, http: o.HTTP, now: o.Now,
		checks: checks[conf.Scheme], digests: digests[conf.Scheme],
	}, nil
}

// Carrier is one Inteliquent account.
type Carrier struct {
	config     Config
	publicID   string
	webhookURL string
	api        string // scheme and host
	http       *http.Client
	now        func() time.Time
	checks     []check  // of a webhook, in order
	digests    []digest // that a webhook may bring
}

// Name implements carriers.Carrier.
func (*Carrier) Name() omni.CarrierName { return omni.CarrierInteliquent }

// String keeps the secrets out of whatever prints a Carrier.
func (*Carrier) String() string { return "inteliquent account" }

// GoString does the same for %#v.
func (c *Carrier) GoString() string { return c.String() }

// Capabilities implements carriers.Carrier. Whether deliveries are told is a setting of the account.
func (c *Carrier) Capabilities(family omni.ChannelType) (omni.Capabilities, bool) {
	if family != omni.ChannelSMS {
		return omni.Capabilities{}, false
	}
	return omni.Capabilities{
		MaxTextLength: maxText,
		Segmented:     true,
		MediaTypes: []string{
			"image/jpeg", "image/png", "image/gif", "audio/*", "video/*", "text/plain", "text/vcard", "text/x-vcard", "application/pdf",
		},
		MaxMediaBytes:   maxMMS,
		TotalMediaBytes: maxMMS,
		MaxMediaCount:   maxFiles,
		Captions:        true,
		DeliveryStatus:  c.config.DeliveryReceipts,
	}, true
}

// Pace implements carriers.Paced. No rate of Inteliquent's is known: only one that was configured is kept.
func (c *Carrier) Pace(family omni.ChannelType, _ string) carriers.Pace {
	if family != omni.ChannelSMS {
		return carriers.Pace{}
	}
	return carriers.Pace{PerSecond: c.config.MessagesPerSecond}
}
