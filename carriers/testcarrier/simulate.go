package testcarrier

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"path"
	"strings"
	"time"

	"omniservice/internal/wait"
	"omniservice/omni"
)

const (
	maxFragments = 10
	maxAnswer    = 4 << 10
)

// Inbound is what a simulated customer sends, and how the carrier brings it.
type Inbound struct {
	ID          string           `json:"id,omitempty"`          // the carrier's id; empty means a new one
	ChannelType omni.ChannelType `json:"channelType,omitempty"` // SMS, MMS or WhatsApp; empty means SMS
	From        string           `json:"from"`
	To          string           `json:"to"`
	Text        string           `json:"text"`
	MediaURL    string           `json:"mediaUrl,omitempty"`
	ProfileName string           `json:"profileName,omitempty"`
	Fragments   int              `json:"fragments,omitempty"`  // parts that the text is cut into; 0 and 1: not cut
	Duplicates  int              `json:"duplicates,omitempty"` // how often each webhook comes again
	DelayMs     int              `json:"delayMs,omitempty"`    // how long the carrier takes, in milliseconds
}

// Validate reports what is wrong as ErrInvalid.
func (in Inbound) Validate() error {
	bad := map[string]string{}
	require := func(ok bool, field, problem string) {
		if !ok {
			bad[field] = problem
		}
	}
	switch in.ChannelType {
	case "", omni.ChannelSMS, omni.ChannelMMS, omni.ChannelWhatsApp:
	default:
		bad["channelType"] = "must be SMS, MMS or WhatsApp"
	}
	require(in.From != "" && len(in.From) <= 255, "from", "must be 1 to 255 bytes")
	require(in.To != "" && len(in.To) <= 255, "to", "must be 1 to 255 bytes")
	require(in.Text != "" || in.MediaURL != "", "text", "or mediaUrl is required")
	require(len(in.Text) <= omni.MaxText, "text", fmt.Sprintf("must be at most %d bytes", omni.MaxText))
	require(in.Fragments >= 0 && in.Fragments <= maxFragments, "fragments", fmt.Sprintf("must be between 0 and %d", maxFragments))
	require(in.Fragments < 2 || in.MediaURL == "", "fragments", "only a text without files is cut")
	require(in.Fragments < 2 || len([]rune(in.Text)) >= in.Fragments, "fragments", "must be no more than the text has characters")
	require(in.Duplicates >= 0 && in.Duplicates <= maxDuplicates, "duplicates", fmt.Sprintf("must be between 0 and %d", maxDuplicates))
	require(in.DelayMs >= 0 && in.DelayMs <= maxDelayMs, "delayMs", fmt.Sprintf("must be between 0 and %d", maxDelayMs))
	if len(bad) == 0 {
		return nil
	}
	p := omni.Problemf(omni.ErrInvalid, "the message is not valid")
	p.Fields = bad
	return p
}

// Simulate makes the bodies of the webhooks that bring a message, in the order in which they are posted: one, or one
// for each part, and each as often again as there are to be duplicates. now is the time that they tell.
func Simulate(in Inbound, now time.Time) ([][]byte, error) {
	if err := in.Validate(); err != nil {
		return nil, err
	}
	e := Event{
		Kind: "message", ID: in.ID, Channel: string(in.ChannelType), From: in.From, To: in.To, Text: in.Text,
		ProfileName: in.ProfileName, At: omni.MillisOf(now),
	}
	if e.ID == "" {
		e.ID = "test-" + omni.NewToken(16)
	}
	if in.MediaURL != "" {
		e.Media = Files{{URL: in.MediaURL, ContentType: contentType(in.MediaURL)}}
	}
	events := []Event{e}
	if in.Fragments > 1 {
		events = cut(e, in.Fragments)
	}
	var bodies [][]byte
	for _, e := range events {
		body, err := json.Marshal(Body{Events: []Event{e}})
		if err != nil {
			return nil, fmt.Errorf("write event: %w", err)
		}
		for range 1 + in.Duplicates {
			bodies = append(bodies, body)
		}
	}
	return bodies, nil
}

// cut makes n events of one, with about the same number of characters each.
func cut(e Event, n int) []Event {
	text := []rune(e.Text)
	reference := omni.NewToken(4)
	events := make([]Event, n)
	for i := range n {
		part := e
		part.ID = fmt.Sprintf("%s-%d", e.ID, i+1)
		part.Text = string(text[i*len(text)/n : (i+1)*len(text)/n])
		part.Fragment = &Fragment{Reference: reference, Index: i + 1, Total: n}
		events[i] = part
	}
	return events
}

// contentType guesses a file's type from its address, as nothing else is known of it.
func contentType(address string) string {
	if u, err := url.Parse(address); err == nil {
		address = u.Path
	}
	kind, _, _ := strings.Cut(mime.TypeByExtension(path.Ext(address)), ";")
	if kind == "" {
		return "application/octet-stream"
	}
	return kind
}

// Client posts simulated webhooks to a gateway.
type Client struct {
	URL    string      // of the account's webhooks
	Secret omni.Secret // the account's
	HTTP   *http.Client
	Now    func() time.Time // nil means time.Now
}

// Post brings a message: after its delay, one webhook after the other. It returns at the first that is not taken.
func (c Client) Post(ctx context.Context, in Inbound) error {
	now := time.Now
	if c.Now != nil {
		now = c.Now
	}
	bodies, err := Simulate(in, now())
	if err != nil {
		return err
	}
	if err := wait.For(ctx, time.Duration(in.DelayMs)*time.Millisecond); err != nil {
		return fmt.Errorf("wait for the delay: %w", err)
	}
	for i, body := range bodies {
		if err := c.post(ctx, body, now()); err != nil {
			return fmt.Errorf("webhook %d of %d: %w", i+1, len(bodies), err)
		}
	}
	return nil
}

func (c Client) post(ctx context.Context, body []byte, now time.Time) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, c.URL, bytes.NewReader(body))
	if err != nil {
		return errors.New("the webhook's address is not a URL")
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set(SignatureHeader, Sign(c.Secret, body, now))
	client := c.HTTP
	if client == nil {
		client = http.DefaultClient
	}
	resp, err := client.Do(r)
	if err != nil {
		return fmt.Errorf("post: %w", err)
	}
	defer func() { _ = resp.Body.Close() }()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return fmt.Errorf("read the answer: %w", err)
	}
	if resp.StatusCode/100 != 2 {
		return fmt.Errorf("the gateway answered %d %s", resp.StatusCode, bytes.TrimSpace(answer))
	}
	return nil
}
