// Package carriers defines what a messaging provider must do for the gateway, and the registry of those there are.
// Each provider has a folder of its own; carriertest is the suite that every one passes.
package carriers

import (
	"context"
	"net/http"
	"time"

	"omniservice/omni"
)

// WebhookRequest is one request of a carrier, read once.
type WebhookRequest struct {
	Method string
	URL    string // the public URL as the carrier was given it, query as sent; made from configuration, never from the request's host
	Header http.Header
	Body   []byte    // raw, at most the carrier's cap
	Now    time.Time // our clock, for signatures that carry a time
}

// Parsed is what one webhook says.
type Parsed struct {
	Events  []omni.CarrierChannelEvent // in payload order
	Ignored []Ignored                  // authentic parts that change nothing: acknowledged, counted, kept raw
}

// Ignored names a part of an authentic webhook that nothing follows from.
type Ignored struct {
	Name  string // unknown_status, unknown_event or empty
	Value string // the carrier's word, at most 64 characters
}

// Carrier adapts one account at one messaging provider. Methods are safe for concurrent use. (Seed: Carrier.)
type Carrier interface {
	Name() omni.CarrierName

	// Capabilities says what a channel of the given family can carry here; ok is false if it has no such channels.
	Capabilities(family omni.ChannelType) (c omni.Capabilities, ok bool)

	// Verify returns nil if the provider sent r, else a *WebhookError wrapping omni.ErrUnauthenticated.
	// It reads no more of the body than that needs.
	Verify(r WebhookRequest) error

	// Parse turns one payload into events. It does no I/O. What it cannot read at all is a *WebhookError
	// wrapping omni.ErrInvalid; what it can read but does not know is in Parsed.Ignored.
	Parse(r WebhookRequest) (Parsed, error)

	// Respond gives the answer to a webhook whose events are durable.
	Respond(p Parsed) HTTPResponse

	// Send delivers m once, by m.Publish. A failure is always a *SendError.
	Send(ctx context.Context, m omni.ServiceMessage) (SendResult, error)
}

// MediaFetcher is a Carrier whose files need more than a plain GET: credentials, or a step before.
type MediaFetcher interface {
	// MediaRequest makes the request for a file of an inbound message. Credentials in it go to its host only.
	MediaRequest(ctx context.Context, ref omni.MediaReference) (*http.Request, error)
	// MediaHosts lists the hosts that a file's URL may name.
	MediaHosts() []string
}

// Lookuper is a Carrier that can be asked what became of a send whose answer was lost.
type Lookuper interface {
	// Lookup finds the message that Send was called with. It returns omni.ErrNotFound if the carrier never took it.
	Lookup(ctx context.Context, m omni.ServiceMessage) (SendResult, error)
}

// SendResult is what a carrier answered to a message that it took.
type SendResult struct {
	CarrierMessageID string
	Status           omni.Status // queued or sent; a carrier that reports nothing later gives sent
	Segments         int         // 0 if not told
}

// Account is one account's configuration, opened.
type Account struct {
	ID          string                   // ours
	PublicID    string                   // in the webhook URL
	Config      map[string]string        // what is not secret
	Credentials map[string][]omni.Secret // newest first; all of them are valid for webhooks now, the first is used to send
}

// Credential returns the newest secret of a name, zero if there is none.
func (a Account) Credential(name string) omni.Secret {
	if s := a.Credentials[name]; len(s) > 0 {
		return s[0]
	}
	return omni.Secret{}
}

// Options is what a carrier gets from the program around it.
type Options struct {
	WebhookURL string       // public URL of this account's webhooks, without query
	HTTP       *http.Client // for Send and media: deadlines, body caps and address rules are its business; nil means http.DefaultClient, for tests
	APIBase    string       // scheme and host of the carrier's API; empty means the real one
	Deliver    Deliverer    // brings an event back as if a webhook had come; only the Test carrier uses it
	Now        func() time.Time
}

// Deliverer takes events that a carrier inside the gateway makes by itself.
type Deliverer func(ctx context.Context, accountID string, events []omni.CarrierChannelEvent) error

// Field describes one setting or credential of an account, for forms and checks.
type Field struct {
	Name     string `json:"name"`
	Label    string `json:"label"`
	Help     string `json:"help"`
	Secret   bool   `json:"secret"`
	Required bool   `json:"required"`
}

// Provider makes the Carrier of an account.
type Provider interface {
	Name() omni.CarrierName
	Fields() []Field
	// MaxBody is the largest webhook body taken, in bytes.
	MaxBody() int64
	// Open checks the account's configuration; what is wrong with it is an omni.Problem of kind ErrInvalid with Fields.
	Open(a Account, o Options) (Carrier, error)
}
