package pipeline

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/sony/gobreaker/v2"

	"omniservice/carriers"
	"omniservice/omni"
	"omniservice/omni/wire"
	"omniservice/store"
)

const (
	sendTimeout = 30 * time.Second
	// maxSendFor is how long a message is tried before it is given up: a chat answer that is older helps nobody.
	maxSendFor = 4 * time.Hour
	maxBackoff = 5 * time.Minute
)

// breaker keeps a dead carrier account from being asked again and again, and one account from holding up others.
type breaker = gobreaker.TwoStepCircuitBreaker[struct{}]

func (p *Pipeline) breaker(accountID string) *breaker {
	p.breakersMu.Lock()
	defer p.breakersMu.Unlock()
	b, ok := p.breakers[accountID]
	if !ok {
		b = gobreaker.NewTwoStepCircuitBreaker[struct{}](gobreaker.Settings{
			Name: accountID, Timeout: 10 * time.Second,
			ReadyToTrip: func(c gobreaker.Counts) bool { return c.ConsecutiveFailures >= 10 },
		})
		p.breakers[accountID] = b
	}
	return b
}

// backoff is how long to wait after the n-th failure: doubling from Options.RetryBase, at most maxBackoff, between half
// of it and all of it at random.
func (p *Pipeline) backoff(n int) time.Duration {
	d := min(p.o.RetryBase<<min(max(n-1, 0), 20), maxBackoff)
	return d/2 + rand.N(d/2+1) //nolint:gosec // jitter only spreads retries
}

// drainOutbox sends what is due in a worker's partitions, in order for each recipient.
func (p *Pipeline) drainOutbox(ctx context.Context, w *worker) (omni.Millis, error) {
	for p.mayGoOn(ctx, w) {
		items, err := p.store.PendingOutbox(ctx, w.partitions, p.millis(), 64)
		if err != nil {
			return 0, err
		}
		if len(items) == 0 {
			break
		}
		var mu sync.Mutex
		var failed error
		eachConversation(ctx, items, func(i store.OutboxItem) string { return i.Message.ID }, func(ctx context.Context, i store.OutboxItem) bool {
			if err := p.sendItem(ctx, i); err != nil && ctx.Err() == nil {
				p.log.ErrorContext(ctx, "send", "message_id", i.Message.ID, "org_id", i.Message.Tenant.OrganisationID, "err", err)
				mu.Lock()
				failed = err
				mu.Unlock()
			}
			return true
		})
		if failed != nil {
			return 0, failed
		}
	}
	return p.store.NextOutbox(ctx, w.partitions)
}

// sendItem sends one message once and stores what came of it. An error is one of the store; the item stays as it is.
func (p *Pipeline) sendItem(ctx context.Context, it store.OutboxItem) error {
	m := it.Message
	t := m.Tenant
	if m.Publish == nil {
		return p.ended(ctx, it, &carriers.SendError{Reason: omni.ReasonMalformed, Err: errors.New("message has no publish channel")})
	}
	ch, err := p.channel(ctx, t, m.Publish.DigitalChannelID)
	if err != nil {
		return p.notSendable(ctx, it, err)
	}
	a, err := p.AccountByID(ctx, t, ch.CarrierAccountID)
	if err != nil {
		return p.notSendable(ctx, it, err)
	}
	if it.SendingAt > 0 {
		return p.settle(ctx, it, a)
	}
	if err := p.mayStillSend(ctx, ch, m); err != nil {
		return p.ended(ctx, it, err)
	}
	if m, err = p.replying(ctx, ch, m); err != nil {
		return err
	}
	if at, now := p.turn(a, m); !now {
		return p.putOff(ctx, it, at)
	}
	done, err := p.breaker(a.Record.ID).Allow()
	if err != nil {
		return p.again(ctx, it, a.Record.ID, &carriers.SendError{Reason: omni.ReasonUnreachable, Err: err}, 10*time.Second)
	}
	if err := p.store.MarkSending(ctx, t, m.ID, p.millis()); err != nil {
		done(nil)
		if errors.Is(err, omni.ErrConflict) || errors.Is(err, omni.ErrNotFound) {
			return nil // a status that came in the meantime settled it
		}
		return fmt.Errorf("mark message %s as being sent: %w", m.ID, err)
	}

	// A stop of the gateway lets a send that has begun come to its end.
	sendCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), sendTimeout)
	began := p.now()
	res, err := a.Carrier.Send(sendCtx, p.withAddresses(m))
	cancel()
	took := p.now().Sub(began)

	var failure *carriers.SendError
	if err != nil && !errors.As(err, &failure) {
		failure = &carriers.SendError{Reason: omni.ReasonUnknown, Err: err}
	}
	if failure != nil && (failure.Reason == omni.ReasonUnreachable || failure.Reason == omni.ReasonUnknown) {
		done(failure) // one that hangs is as dead as one that is not there
	} else {
		done(nil)
	}
	if p.o.Metrics.Send != nil {
		var reason omni.Reason
		if failure != nil {
			reason = failure.Reason
		}
		p.o.Metrics.Send(a.Record.Carrier, reason, took)
	}

	p.answered(a, failure)
	ctx = context.WithoutCancel(ctx) // the outcome is stored whatever happens to us
	switch {
	case failure == nil:
		p.log.LogAttrs(ctx, slog.LevelDebug, "message sent", sendInfo(m, ch.CarrierAccountID, "").Attr())
		return p.sent(ctx, a, m, res)
	case failure.Retryable() && (failure.Tries == 0 || it.Attempts+1 < failure.Tries):
		return p.again(ctx, it, a.Record.ID, failure, 0)
	case failure.Reason == omni.ReasonUnknown:
		return p.ask(ctx, it, a, failure)
	default:
		return p.ended(ctx, it, failure)
	}
}

// replying names the message that m answers by the carrier's id, where the carrier shows such a thing and knows that message.
func (p *Pipeline) replying(ctx context.Context, ch omni.DigitalChannel, m omni.ServiceMessage) (omni.ServiceMessage, error) {
	if m.ReplyTo == "" || !ch.Capabilities.ReplyTo {
		return m, nil
	}
	to, err := p.store.Message(ctx, m.Tenant, m.ReplyTo)
	if errors.Is(err, omni.ErrNotFound) || err == nil && known(to) == "" {
		return m, nil
	}
	if err != nil {
		return m, fmt.Errorf("message that %s answers: %w", m.ID, err)
	}
	publish := *m.Publish
	publish.ReplyTo = to.CarrierMessageID
	m.Publish = &publish
	return m, nil
}

// sendInfo is what is logged of a send.
func sendInfo(m omni.ServiceMessage, accountID string, reason omni.Reason) carriers.LogInfo {
	return carriers.LogInfo{
		Carrier: m.Channel.Carrier, AccountID: accountID, OrgID: m.Tenant.OrganisationID, ChannelID: m.Channel.DigitalChannelID,
		MessageID: m.ID, MessageType: carriers.TypeMessage, Reason: string(reason),
	}
}

// notSendable handles a channel or account that cannot be used: gone for good, or only not readable now.
func (p *Pipeline) notSendable(ctx context.Context, it store.OutboxItem, err error) error {
	if errors.Is(err, omni.ErrNotFound) || errors.Is(err, omni.ErrInvalid) {
		return p.ended(ctx, it, &carriers.SendError{Reason: omni.ReasonMisconfigured, Err: err})
	}
	return fmt.Errorf("open channel of message %s: %w", it.Message.ID, err)
}

// mayStillSend looks again at what may have changed while the message waited.
func (p *Pipeline) mayStillSend(ctx context.Context, ch omni.DigitalChannel, m omni.ServiceMessage) *carriers.SendError {
	if p.millis() > max(m.CreatedAt, m.StatusAt).Add(maxSendFor) { // StatusAt: when it was queued, perhaps again
		return &carriers.SendError{Reason: omni.ReasonUnreachable, Code: "expired"}
	}
	id, err := p.store.Identity(ctx, m.Tenant, m.Publish.Target.IdentityID)
	if err == nil && id.OptedOutAt > 0 {
		return &carriers.SendError{Reason: omni.ReasonOptedOut}
	}
	if !p.stillOpen(ctx, ch, m) {
		return &carriers.SendError{Reason: omni.ReasonWindowClosed}
	}
	if err == nil {
		return p.templateRefused(ctx, ch, id, m)
	}
	return nil // an identity that cannot be read now was checked when the message was taken
}

// ask finds out what became of a send whose answer was lost, where the carrier can be asked. It may know of the message a moment
// later than it took it, so that it has to deny it twice before it is sent again.
func (p *Pipeline) ask(ctx context.Context, it store.OutboxItem, a *Account, failure *carriers.SendError) error {
	l, ok := a.Carrier.(carriers.Lookuper)
	if !ok {
		return p.ended(ctx, it, failure)
	}
	for _, wait := range []time.Duration{p.o.RetryBase / 2, 2 * p.o.RetryBase} {
		time.Sleep(wait) //nolint:forbidigo // it is short, and what has begun is ended, also at a stop of the gateway
		try, cancel := context.WithTimeout(ctx, sendTimeout)
		res, err := l.Lookup(try, it.Message)
		cancel()
		switch {
		case err == nil:
			return p.sent(ctx, a, it.Message, res)
		case !errors.Is(err, omni.ErrNotFound):
			return p.ended(ctx, it, failure)
		}
	}
	return p.again(ctx, it, a.Record.ID, &carriers.SendError{Reason: omni.ReasonUnreachable, Code: failure.Code, Err: failure.Err}, 0)
}

// settle deals with a send that was interrupted: the carrier is asked what became of it where it can be, else the
// message is shown as unknown until a status tells. It is never sent again by itself.
func (p *Pipeline) settle(ctx context.Context, it store.OutboxItem, a *Account) error {
	l, ok := a.Carrier.(carriers.Lookuper)
	if !ok {
		return p.ended(ctx, it, &carriers.SendError{Reason: omni.ReasonUnknown})
	}
	ctx, cancel := context.WithTimeout(ctx, sendTimeout)
	defer cancel()
	res, err := l.Lookup(ctx, it.Message)
	switch {
	case err == nil:
		return p.sent(ctx, a, it.Message, res)
	case errors.Is(err, omni.ErrNotFound):
		return p.again(ctx, it, a.Record.ID, &carriers.SendError{Reason: omni.ReasonUnreachable, Err: err}, 0)
	default:
		return p.ended(ctx, it, &carriers.SendError{Reason: omni.ReasonUnknown, Err: err})
	}
}

func (p *Pipeline) sent(ctx context.Context, a *Account, m omni.ServiceMessage, res carriers.SendResult) error {
	status := res.Status
	if status == "" {
		status = omni.StatusSent
	}
	p.learnAliases(ctx, a, m, res)
	defer p.order.lock(a.Record.ID, m.To.Address)()
	after, err := p.store.MarkSent(ctx, m.Tenant, m.ID, res.CarrierMessageID, res.Segments, p.sendStatus(m, status, nil, res.CarrierMessageID))
	if err != nil {
		return fmt.Errorf("store what became of message %s: %w", m.ID, err)
	}
	return p.outcome(ctx, m, after)
}

func (p *Pipeline) ended(ctx context.Context, it store.OutboxItem, failure *carriers.SendError) error {
	m := it.Message
	status := omni.StatusFailed
	if failure.Reason == omni.ReasonUnknown {
		status = omni.StatusUnknown
	}
	accountID := ""
	ch, err := p.channel(ctx, m.Tenant, m.Channel.DigitalChannelID)
	if err == nil {
		accountID = ch.CarrierAccountID
	}
	p.log.LogAttrs(ctx, slog.LevelWarn, "message not sent", sendInfo(m, accountID, failure.Reason).Attr(), slog.Any("err", failure))
	if err == nil {
		defer p.order.lock(accountID, m.To.Address)()
	}
	after, err := p.store.MarkEnded(ctx, m.Tenant, m.ID, p.sendStatus(m, status, failure, ""))
	if err != nil {
		return fmt.Errorf("store what became of message %s: %w", m.ID, err)
	}
	return p.outcome(ctx, m, after)
}

// again puts a message back. atLeast is the shortest wait; 0 leaves it to the carrier's word and the backoff.
func (p *Pipeline) again(ctx context.Context, it store.OutboxItem, accountID string, failure *carriers.SendError, atLeast time.Duration) error {
	m := it.Message
	wait := max(atLeast, p.backoff(it.Attempts+1), time.Duration(failure.RetryAfter)*time.Second)
	p.log.LogAttrs(ctx, slog.LevelInfo, "message is tried again", sendInfo(m, accountID, failure.Reason).Attr(), slog.Int("attempt", it.Attempts+1))
	// A carrier that says when must not hear of it earlier: the millisecond that has begun does not count.
	due := p.millis().Add(wait + time.Millisecond)
	if err := p.store.MarkRetry(ctx, m.Tenant, m.ID, due, p.sendStatus(m, omni.StatusQueued, failure, "")); err != nil && !errors.Is(err, omni.ErrConflict) {
		return fmt.Errorf("put message %s back: %w", m.ID, err)
	}
	return nil
}

func (p *Pipeline) sendStatus(m omni.ServiceMessage, status omni.Status, failure *carriers.SendError, carrierID string) omni.DeliveryStatus {
	s := omni.DeliveryStatus{
		DeliveryStatusMessage: omni.DeliveryStatusMessage{CarrierMessageID: carrierID, Status: status},
		MessageID:             m.ID, DigitalChannelID: m.Channel.DigitalChannelID, ReceivedAt: p.millis(),
	}
	if failure != nil {
		s.Reason, s.ErrorCode = failure.Reason, failure.Code
	}
	return s
}

// outcome announces a message's status if the send changed it.
func (p *Pipeline) outcome(ctx context.Context, before, after omni.ServiceMessage) error {
	if after.Status == before.Status && after.Reason == before.Reason {
		return nil
	}
	ch, err := p.channel(ctx, after.Tenant, after.Channel.DigitalChannelID)
	if err != nil {
		p.untold()
		return fmt.Errorf("channel of message %s: %w", after.ID, err)
	}
	return p.statusApplied(ctx, ch, after)
}

// enqueue stores an outbound message and announces it. The caller holds the conversation's lock.
func (p *Pipeline) enqueue(ctx context.Context, t omni.Tenant, ch omni.DigitalChannel, m omni.ServiceMessage, how store.OpenOutcome) (omni.ServiceMessage, bool, error) {
	key := "message " + m.InteractionID + " " + m.ClientID
	res, err := p.store.AppendMessage(ctx, t, m)
	if err != nil {
		p.doubt(key, how, err)
		return omni.ServiceMessage{}, false, fmt.Errorf("append message: %w", err)
	}
	if was, unsure := p.unsure.take(key); unsure && !res.Created {
		res.Created, how = true, was
	}
	if !res.Created {
		return res.Message, false, nil
	}
	if how == store.OpenCreated {
		p.publish(ctx, p.homeTopic(ctx, res.Interaction), wire.InteractionCreated, wire.NewInteraction(res.Interaction))
		how = store.OpenFound
	}
	p.announce(ctx, ch, res, how)
	if ch.ChannelType != omni.ChannelLiveChat {
		p.kick(p.outbox, store.OutboxPartition(res.Message))
	}
	return res.Message, true, nil
}
