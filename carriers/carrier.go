// Package carriers defines what a messaging provider must do for the gateway, and the registry of those there are.
// Each provider has a folder of its own; carriertest is the suite that every one passes.
package carriers

import (
	"context"
	"io"
	"net/http"
	"net/url"
	"slices"
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

// MetadataTaken is the key in the metadata of a reaction without emoji under which an adapter says which one was taken back, where
// its users may put several on a message: of those one is kept, and what is said of another does not take it away.
const MetadataTaken = "taken"

// Carrier adapts one account at one messaging provider. Methods are safe for concurrent use. (Seed: Carrier.)
type Carrier interface {
	Name() omni.CarrierName

	// Capabilities says what a channel of the given family can carry here; ok is false if it has no such channels.
	Capabilities(family omni.ChannelType) (c omni.Capabilities, ok bool)

	// Verify returns nil if the provider sent r, else a *WebhookError wrapping omni.ErrUnauthenticated.
	// It reads no more of the body than that needs, and changes nothing: a webhook that could not be kept comes again as it is.
	Verify(r WebhookRequest) error

	// Parse turns one payload into events. It does no I/O. What it cannot read at all is a *WebhookError
	// wrapping omni.ErrInvalid; what it can read but does not know is in Parsed.Ignored.
	Parse(r WebhookRequest) (Parsed, error)

	// Respond gives the answer to a webhook whose events are durable.
	Respond(p Parsed) HTTPResponse

	// Send delivers m once, by m.Publish: its sender, its recipient, and Publish.ReplyTo for the carrier's id of the message
	// that it answers. Files have an address that the provider can fetch (External.URL). A failure is always a *SendError.
	Send(ctx context.Context, m omni.ServiceMessage) (SendResult, error)
}

// Challenger is a Carrier whose provider asks, before it posts anything, whether a webhook's address is ours.
type Challenger interface {
	// Challenge answers such a request; ok is false where r is an ordinary webhook, to be verified and parsed. What is
	// wrong with it is a *WebhookError.
	Challenge(r WebhookRequest) (answer HTTPResponse, ok bool, err error)
}

// OnceOnly is a Carrier whose provider signs each webhook for one delivery.
type OnceOnly interface {
	// Delivered notes that what an authentic webhook brought is durable: from then on Verify refuses it.
	Delivered(r WebhookRequest)
}

// MediaFetcher is a Carrier whose files need more than a plain GET: credentials, or a step before.
type MediaFetcher interface {
	// MediaRequest makes the request for a file of an inbound message. Credentials in it go to its host only. ExpectSum notes
	// with it what the file has to hash to, if that is learnt only now. A file that the provider does not have any more is
	// omni.ErrNotFound, and not asked for again.
	MediaRequest(ctx context.Context, ref omni.MediaReference) (*http.Request, error)
	// MediaHosts lists the hosts that a file's URL may name, with their port if they have one; *.example.com stands for all
	// below example.com.
	MediaHosts() []string
}

// sumKey is where a request keeps what its file has to hash to.
type sumKey struct{}

// ExpectSum notes with the request for a file the SHA-256 that the provider says it has, as lower-case hex, where the
// reference does not tell it. "" notes nothing.
func ExpectSum(r *http.Request, sha256 string) *http.Request {
	if sha256 == "" {
		return r
	}
	return r.WithContext(context.WithValue(r.Context(), sumKey{}, sha256))
}

// ExpectedSum is what ExpectSum noted, or "".
func ExpectedSum(r *http.Request) string {
	sum, _ := r.Context().Value(sumKey{}).(string)
	return sum
}

// Lookuper is a Carrier that can be asked what became of a send whose answer was lost.
type Lookuper interface {
	// Lookup finds the message that Send was called with. It returns omni.ErrNotFound if the carrier never took it.
	Lookup(ctx context.Context, m omni.ServiceMessage) (SendResult, error)
}

// Reactor is a Carrier that brings our reactions to its users.
type Reactor interface {
	// React puts an emoji on a message of p's recipient, named by the carrier's id; an empty one takes back what was there.
	// A failure is always a *SendError.
	React(ctx context.Context, p omni.PublishChannel, carrierMessageID, emoji string) error
}

// ReadMarker is a Carrier that shows its users what we have read.
type ReadMarker interface {
	// MarkRead tells p's recipient that we have read a message of theirs, and all before it. A failure is always a *SendError.
	MarkRead(ctx context.Context, p omni.PublishChannel, carrierMessageID string) error
}

// Typer is a Carrier that shows its users that we are writing.
type Typer interface {
	// Type shows it to p's recipient for some seconds; carrierMessageID is the newest message that they sent, "" for none.
	// TypeEvery is how long it is shown at least. A failure is always a *SendError.
	Type(ctx context.Context, p omni.PublishChannel, carrierMessageID string) error
	TypeEvery() time.Duration
}

// Paced is a Carrier that takes only so many messages in a time.
type Paced interface {
	// Pace says how fast a sender of ours may send. It may change from call to call.
	Pace(family omni.ChannelType, sender string) Pace
}

// Pace is how fast messages may go out. What is zero has no limit.
type Pace struct {
	PerSecond float64       // of one sender, over time
	Burst     int           // of one sender, at once; 0 means as many as in a second, at least 1
	PairEvery time.Duration // between two messages of one sender to one recipient, over time
	PairBurst int           // to one recipient, at once; 0 means 1
}

// Checker is a Carrier that can find out whether its account works.
type Checker interface {
	// Check asks the provider, without sending anything to anybody. Every check that was made is in the answer.
	Check(ctx context.Context) []Check
}

// Check is one thing that was looked at, for those who set an account up.
type Check struct {
	Name   string `json:"name"` // credentials, sender, webhook, subscription, ...
	OK     bool   `json:"ok"`
	Detail string `json:"detail"` // what was found; if not OK what is wrong and what to do. Holds no secret
}

// TemplateManager is a Carrier that keeps message templates. Errors are omni.Problems: ErrInvalid with Fields for what is
// wrong with a template, ErrForbidden for credentials without that right, ErrRateLimited and ErrUnavailable.
type TemplateManager interface {
	// Templates lists all templates of the account. Of each, the carrier's fields are set: those that are not ours alone.
	Templates(ctx context.Context) ([]omni.MessageTemplate, error)
	// CheckTemplate reports what the provider would refuse in a new template.
	CheckTemplate(t omni.MessageTemplate) error
	// CreateTemplate hands a template in for review; the answer has its CarrierID, Status and Category.
	CreateTemplate(ctx context.Context, t omni.MessageTemplate) (omni.MessageTemplate, error)
	// DeleteTemplate removes a template in its language.
	DeleteTemplate(ctx context.Context, t omni.MessageTemplate) error
	// FillTemplate checks what fills a template's places, and gives the message's text as its reader will see it.
	FillTemplate(t omni.MessageTemplate, m omni.TemplateMessage) (text string, err error)
}

// Explainer is a Provider that can put its error codes into words.
type Explainer interface {
	// Explain says for an agent what a code of the provider means and, where the meaning does not say it, what to do. ok is
	// false for a code that it does not know.
	Explain(code string) (meaning, advice string, ok bool)
}

// CatchUp is a Carrier that can be asked for what came in while its webhooks did not arrive.
type CatchUp interface {
	// Missed lists what was written to an address of ours (the To of its events) since a moment, oldest first. Events that
	// were delivered already may be among them.
	Missed(ctx context.Context, address string, since omni.Millis) ([]omni.CarrierChannelEvent, error)
}

// SendResult is what a carrier answered to a message that it took.
type SendResult struct {
	CarrierMessageID string
	Status           omni.Status // queued or sent; a carrier that reports nothing later gives sent
	Segments         int         // 0 if not told

	// RecipientAliases are addresses by which the carrier knows the recipient beside the one that was written to: the number as
	// it writes it, the id that it gives people. All are the same person's.
	RecipientAliases []string
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

// Secrets returns the secrets of a name that are set, newest first.
func (a Account) Secrets(name string) []omni.Secret {
	return slices.DeleteFunc(slices.Clone(a.Credentials[name]), omni.Secret.IsZero)
}

// Options is what a carrier gets from the program around it.
type Options struct {
	WebhookURL string       // public URL of this account's webhooks, without query
	HTTP       *http.Client // for Send and media: deadlines, body caps and address rules are its business; nil means http.DefaultClient, for tests
	APIBase    string       // scheme and host of the carrier's API; empty means the real one
	Deliver    Deliverer    // brings an event back as if a webhook had come; only the Test carrier uses it
	Now        func() time.Time

	// OpenFile reads a file of an outbound message, for a carrier that takes files instead of their addresses. It is
	// omni.ErrNotFound if there is no such file. nil: there are none.
	OpenFile func(ctx context.Context, f omni.MediaReference) (io.ReadCloser, error)
}

// Ready fills in what is left out: the real API at api, the default client and the clock. base is the address of the API in use.
// One that is no URL is omni.ErrInvalid.
func (o Options) Ready(name omni.CarrierName, api string) (ready Options, base *url.URL, err error) {
	if o.APIBase == "" {
		o.APIBase = api
	}
	if base, err = url.Parse(o.APIBase); err != nil || base.Host == "" {
		return o, nil, omni.Problemf(omni.ErrInvalid, "the base of %s's API is not a URL", name)
	}
	if o.HTTP == nil {
		o.HTTP = http.DefaultClient
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return o, base, nil
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
