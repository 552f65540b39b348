package testcarrier

import (
	"context"
	"errors"
	"fmt"
	"time"
	"unicode/utf16"

	"omniservice/carriers"
	"omniservice/internal/wait"
	"omniservice/omni"
)

// Reports that the gateway cannot take are brought again, as a carrier would, after 1, 2, 4 ... seconds.
const (
	deliverTries = 6
	deliverPause = time.Second
)

// Send implements carriers.Carrier.
func (c *Carrier) Send(ctx context.Context, m omni.ServiceMessage) (carriers.SendResult, error) {
	if err := c.sendable(m); err != nil {
		return carriers.SendResult{}, &carriers.SendError{Reason: omni.ReasonMalformed, Err: err}
	}
	b := c.provider.Behaviour(c.accountID)
	if err := wait.For(ctx, b.answerDelay()); err != nil {
		return carriers.SendResult{}, &carriers.SendError{Reason: omni.ReasonUnreachable, Err: err}
	}
	var failure *carriers.SendError
	if b.FailRate > 0 && c.provider.random() < b.FailRate {
		failure = &carriers.SendError{Reason: Reason(b.FailCode), Code: b.FailCode}
		switch failure.Reason {
		case omni.ReasonUnknown: // taken; only the answer is lost
		case omni.ReasonThrottled:
			failure.RetryAfter = 1
			return carriers.SendResult{}, failure
		default:
			return carriers.SendResult{}, failure
		}
	}
	result, err := c.take(m, b)
	switch {
	case err != nil:
		return carriers.SendResult{}, &carriers.SendError{Reason: omni.ReasonUnreachable, Err: err}
	case failure != nil:
		return carriers.SendResult{}, failure
	default:
		return result, nil
	}
}

func (c *Carrier) sendable(m omni.ServiceMessage) error {
	if m.Publish == nil || m.Publish.Sender == "" || m.Publish.Target.Address == "" {
		return errors.New("the message has no sender or no recipient")
	}
	able, ok := c.Capabilities(m.Publish.ChannelType.Family())
	text := m.Payload.TextBody()
	switch {
	case !ok:
		return fmt.Errorf("no channel of type %s here", m.Publish.ChannelType)
	case text == "" && len(m.Payload.Files()) == 0:
		return errors.New("the message has neither text nor files")
	case len(utf16.Encode([]rune(text))) > able.MaxTextLength:
		return fmt.Errorf("the text has more than %d characters", able.MaxTextLength)
	case len(m.Payload.Files()) > able.MaxMediaCount:
		return fmt.Errorf("the message has more than %d files", able.MaxMediaCount)
	}
	return nil
}

// take delivers a message, and begins to report what becomes of it.
func (c *Carrier) take(m omni.ServiceMessage, b Behaviour) (carriers.SendResult, error) {
	p := c.provider
	result := carriers.SendResult{CarrierMessageID: "test-" + omni.NewToken(16), Status: omni.StatusQueued}
	if m.Publish.ChannelType.Family() == omni.ChannelSMS {
		count, err := omni.CountSegments(m.Payload.TextBody())
		if err != nil {
			return carriers.SendResult{}, err
		}
		result.Segments = count.Segments
	}
	d := &Delivery{
		ID: m.ID, CarrierMessageID: result.CarrierMessageID, ChannelType: m.Publish.ChannelType,
		From: m.Publish.Sender, To: m.Publish.Target.Address, Text: m.Payload.TextBody(),
		At: omni.MillisOf(p.now()), Status: omni.StatusQueued,
	}
	files := m.Payload.Files()
	if t := m.Payload.Template; t != nil {
		files = t.Files()
	}
	for _, f := range files {
		d.MediaURLs = append(d.MediaURLs, f.External.URL)
	}
	plan := b.plan(d.ChannelType)
	report := *d // d itself changes under the lock

	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return carriers.SendResult{}, errors.New("the Test carrier is closed")
	}
	p.account(c.accountID).add(d, result)
	if c.deliver != nil && len(plan) > 0 {
		p.reports.Go(func() { c.report(p.ctx, d, report, plan, b) })
	}
	return result, nil
}

// report brings the statuses of a message back, one after the other.
func (c *Carrier) report(ctx context.Context, d *Delivery, of Delivery, plan []omni.Status, b Behaviour) {
	for _, status := range plan {
		if wait.For(ctx, b.reportDelay()) != nil {
			return
		}
		e := omni.CarrierChannelEvent{
			Kind: omni.EventStatus, Direction: omni.Outbound, Carrier: omni.CarrierTest, ChannelType: of.ChannelType,
			CarrierMessageID: of.CarrierMessageID, From: of.From, To: of.To, Status: status, ClientReference: of.ID,
			OccurredAt: omni.MillisOf(c.provider.now()),
		}
		if status == omni.StatusFailed || status == omni.StatusUndeliverable {
			setFailure(&e, b.FailCode)
		}
		if !c.bring(ctx, e) {
			return
		}
		c.provider.mu.Lock()
		if status.Rank() > d.Status.Rank() {
			d.Status = status
		}
		c.provider.mu.Unlock()
	}
}

// bring hands an event over until the gateway has taken it, or the tries are used up. It is false once ctx has ended.
func (c *Carrier) bring(ctx context.Context, e omni.CarrierChannelEvent) bool {
	pause := deliverPause
	for try := 1; c.deliver(ctx, c.accountID, []omni.CarrierChannelEvent{e}) != nil && try < deliverTries; try++ {
		if wait.For(ctx, pause) != nil {
			return false
		}
		pause *= 2
	}
	return ctx.Err() == nil
}

// Lookup implements carriers.Lookuper. What was sent before this program started, or long ago, it cannot tell of:
// that is omni.ErrUnavailable.
func (c *Carrier) Lookup(_ context.Context, m omni.ServiceMessage) (carriers.SendResult, error) {
	p := c.provider
	p.mu.Lock()
	defer p.mu.Unlock()
	a := p.account(c.accountID)
	if result, ok := a.results[m.ID]; ok {
		return result, nil
	}
	if a.forgot || m.CreatedAt <= omni.MillisOf(p.started) {
		return carriers.SendResult{}, omni.Problemf(omni.ErrUnavailable, "the Test carrier does not remember so far back")
	}
	return carriers.SendResult{}, omni.Problemf(omni.ErrNotFound, "the Test carrier never took this message")
}
