package bandwidth

import (
	"cmp"
	"net/http"
	"net/url"
	"time"

	"omniservice/carriers"
	"omniservice/omni"
)

const (
	defaultAPI   = "https://messaging.bandwidth.com"
	defaultLogin = "https://api.bandwidth.com" // where access tokens are got

	// maxBody has room for as many events as are read of one webhook; Bandwidth has been seen to put one into each.
	maxBody = 512 << 10

	// Limits of a message. Sources: "Send messages", "Media" and the support page on toll-free MMS, read 2026-11-23. For a
	// long code no page tells the size of an MMS; about 1 MB gets through at most networks of the US.
	maxText          = 2048    // UTF-16 code units; Bandwidth says characters
	maxFileURL       = 4096    // characters
	maxTag           = 1024    // characters
	maxFiles         = 10      // our own: Bandwidth tells no number
	maxMMS           = 1 << 20 // bytes of all files
	maxTollFreeMMS   = 525_000 // bytes of all files, from a toll-free number
	maxAlphanumerics = 11      // characters of a sender that is a name
)

// Provider opens Bandwidth accounts.
type Provider struct{}

// New returns the provider.
func New() *Provider { return &Provider{} }

// Name implements carriers.Provider.
func (*Provider) Name() omni.CarrierName { return omni.CarrierBandwidth }

// MaxBody implements carriers.Provider.
func (*Provider) MaxBody() int64 { return maxBody }

// Open implements carriers.Provider.
func (*Provider) Open(a carriers.Account, o carriers.Options) (carriers.Carrier, error) {
	conf, err := readConfig(a)
	if err != nil {
		return nil, err
	}
	loginAPI := cmp.Or(o.APIBase, defaultLogin)
	o, base, err := o.Ready(omni.CarrierBandwidth, defaultAPI)
	if err != nil {
		return nil, err
	}
	c := &Carrier{
		config: conf, publicID: a.PublicID, api: o.APIBase, base: base, http: o.HTTP, now: o.Now,
		checks: checks[conf.Scheme], logins: logins,
	}
	if conf.ClientID != "" {
		c.tokens = newTokens(loginAPI+tokenPath, conf.ClientID, conf.ClientSecret, c.http, c.now)
	}
	return c, nil
}

// Carrier is one Bandwidth account with one messaging application.
type Carrier struct {
	config   Config
	publicID string
	api      string   // scheme and host
	base     *url.URL // the same, read
	http     *http.Client
	now      func() time.Time
	tokens   *tokens // nil: the API user is used
	checks   []check // of a webhook, in order
	logins   []login // that a webhook may bring
}

// Name implements carriers.Carrier.
func (*Carrier) Name() omni.CarrierName { return omni.CarrierBandwidth }

// String keeps the secrets out of whatever prints a Carrier.
func (c *Carrier) String() string { return "bandwidth account " + c.config.AccountID }

// GoString does the same for %#v.
func (c *Carrier) GoString() string { return c.String() }

// Capabilities implements carriers.Carrier. The types are those of the support page on file types of MMS.
func (*Carrier) Capabilities(family omni.ChannelType) (omni.Capabilities, bool) {
	if family != omni.ChannelSMS {
		return omni.Capabilities{}, false
	}
	return omni.Capabilities{
		MaxTextLength: maxText,
		Segmented:     true,
		MediaTypes: []string{
			"image/jpeg", "image/png", "image/gif", "image/bmp", "image/tiff", "image/webp", "audio/*", "video/*",
			"text/plain", "text/csv", "text/calendar", "text/vcard", "text/x-vcard", "application/pdf", "application/rtf", "application/zip",
		},
		MaxMediaBytes:   maxMMS,
		TotalMediaBytes: maxMMS,
		MaxMediaCount:   maxFiles,
		Captions:        true,
		DeliveryStatus:  true,
	}, true
}

// Pace implements carriers.Paced. Bandwidth queues what comes too fast for 15 minutes of the account's rate and then
// answers 429, so only a limit that was configured is kept here. Rates count SMS parts, not messages.
func (c *Carrier) Pace(family omni.ChannelType, _ string) carriers.Pace {
	if family != omni.ChannelSMS {
		return carriers.Pace{}
	}
	return carriers.Pace{PerSecond: c.config.MessagesPerSecond}
}
