package pubnub

import (
	"context"
	"io"
	"net/http"
	"time"

	"omniservice/carriers"
	"omniservice/omni"
)

const (
	defaultAPI = "https://ps.pndsn.com"

	// maxBody is the largest webhook that is taken. PubNub names no limit: a batch holds at most some tens of messages of 32 KiB.
	maxBody = 4 << 20

	// maxMessage is the smallest message that PubNub refuses, in bytes as they go over the wire. Source: "API limits", read
	// 2026-11-23.
	maxMessage = 32 << 10

	// maxText leaves room in a message for what stands around its text, and for characters that JSON writes with two bytes.
	maxText = 30 << 10
	// maxSignedText is less, because a signed message goes out in the URL: there each byte may take three.
	maxSignedText = 10 << 10

	// maxFile is the largest file that PubNub stores, in bytes. Source: "File Sharing", read 2026-11-23.
	maxFile = 5 << 20
)

// Provider opens PubNub keysets.
type Provider struct{}

// New returns the provider.
func New() *Provider { return &Provider{} }

// Name implements carriers.Provider.
func (*Provider) Name() omni.CarrierName { return omni.CarrierPubNub }

// MaxBody implements carriers.Provider.
func (*Provider) MaxBody() int64 { return maxBody }

// Open implements carriers.Provider.
func (*Provider) Open(a carriers.Account, o carriers.Options) (carriers.Carrier, error) {
	conf, err := readConfig(a)
	if err != nil {
		return nil, err
	}
	o, base, err := o.Ready(omni.CarrierPubNub, defaultAPI)
	if err != nil {
		return nil, err
	}
	c := &Carrier{
		config: conf, api: o.APIBase, apiScheme: base.Scheme, apiHost: base.Host, http: o.HTTP, now: o.Now, openFile: o.OpenFile,
		spellings: spellings,
	}
	c.checks = headerChecks
	if conf.scheme == schemeFunction {
		c.checks = functionChecks
	}
	return c, nil
}

// Carrier is one PubNub keyset.
type Carrier struct {
	config    config
	api       string // scheme and host
	apiScheme string
	apiHost   string // host, with port if api has one
	http      *http.Client
	now       func() time.Time
	openFile  func(ctx context.Context, f omni.MediaReference) (io.ReadCloser, error) // nil: files go out as links
	checks    []check                                                                 // of a webhook, in order
	spellings []spelling                                                              // of the secret header
}

// Name implements carriers.Carrier.
func (*Carrier) Name() omni.CarrierName { return omni.CarrierPubNub }

// String keeps the secrets out of whatever prints a Carrier.
func (c *Carrier) String() string { return "pubnub keyset " + c.config.subscribeKey }

// GoString does the same for %#v.
func (c *Carrier) GoString() string { return c.String() }

// Capabilities implements carriers.Carrier. Receipts are told by apps that add them; reactions and receipts need Message
// Persistence on the keyset.
func (c *Carrier) Capabilities(family omni.ChannelType) (omni.Capabilities, bool) {
	if family != omni.ChannelPubNub {
		return omni.Capabilities{}, false
	}
	text := maxText
	if c.config.signs() {
		text = maxSignedText
	}
	return omni.Capabilities{
		MaxTextLength: text,
		MaxTextBytes:  text,
		MediaTypes: []string{
			"image/*", "audio/*", "video/*", "text/*", "application/pdf", "application/msword", "application/vnd.ms-excel",
			"application/vnd.ms-powerpoint", "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
			"application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
			"application/vnd.openxmlformats-officedocument.presentationml.presentation", "application/vnd.oasis.opendocument.text",
			"application/vnd.oasis.opendocument.spreadsheet", "application/vnd.oasis.opendocument.presentation",
		},
		MaxMediaBytes:  maxFile,
		MaxMediaCount:  10,
		Captions:       true,
		DeliveryStatus: true,
		ReadStatus:     true,
		Typing:         true,
		Reactions:      true,
		ReplyTo:        true,
		ReadReceipts:   true,
	}, true
}

// Pace implements carriers.Paced: a sender is a channel, whose subscribers lose what comes faster than they read.
func (c *Carrier) Pace(omni.ChannelType, string) carriers.Pace {
	return carriers.Pace{PerSecond: c.config.perSecond, Burst: int(c.config.perSecond)}
}

// The extra powers of a Carrier.
var (
	_ carriers.MediaFetcher = (*Carrier)(nil)
	_ carriers.Lookuper     = (*Carrier)(nil)
	_ carriers.Reactor      = (*Carrier)(nil)
	_ carriers.ReadMarker   = (*Carrier)(nil)
	_ carriers.Typer        = (*Carrier)(nil)
	_ carriers.Paced        = (*Carrier)(nil)
	_ carriers.Checker      = (*Carrier)(nil)
	_ carriers.CatchUp      = (*Carrier)(nil)
)
