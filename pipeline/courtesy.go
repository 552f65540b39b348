package pipeline

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"omniservice/carriers"
	"omniservice/omni"
	"omniservice/omni/wire"
	"omniservice/store"
)

// courtesies are what is done at a carrier beside sending messages: reactions, read marks, typing. They are done in the
// background by this process, in order for each key, and the newest of a key stands for those before it. What cannot be
// done after a few tries, or when the process ends, is given up: no message depends on it.
type courtesies struct {
	mu    sync.Mutex
	next  map[string]func(ctx context.Context) error // by key: what is to be done
	busy  map[string]bool                            // keys that are in queue or being worked on
	queue chan string
	typed map[string]time.Time // by interaction: until when the contact is shown that somebody writes
}

const (
	courtesyWorkers = 4
	courtesyTries   = 4
	courtesyTime    = 10 * time.Second // for one try
	courtesyQueue   = 1024
)

func (c *courtesies) init() {
	c.next, c.busy, c.queue = map[string]func(context.Context) error{}, map[string]bool{}, make(chan string, courtesyQueue)
	c.typed = map[string]time.Time{}
}

// add has something done soon. It is forgotten if too much waits.
func (c *courtesies) add(key string, do func(ctx context.Context) error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.next[key] = do
	if c.busy[key] {
		return
	}
	select {
	case c.queue <- key:
		c.busy[key] = true
	default:
		delete(c.next, key)
	}
}

func (c *courtesies) take(key string) func(context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	do := c.next[key]
	delete(c.next, key)
	return do
}

// superseded reports whether something newer waits under a key.
func (c *courtesies) superseded(key string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.next[key] != nil
}

// done lets the next of a key be done, if there is one.
func (c *courtesies) done(key string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.busy, key)
	if c.next[key] == nil {
		return
	}
	select {
	case c.queue <- key:
		c.busy[key] = true
	default:
		delete(c.next, key)
	}
}

// mayType reports whether the contact of an interaction has to be shown anew that somebody writes.
func (c *courtesies) mayType(interactionID string, every time.Duration, now time.Time) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if now.Before(c.typed[interactionID]) {
		return false
	}
	if len(c.typed) > maxCached {
		clear(c.typed)
	}
	c.typed[interactionID] = now.Add(every)
	return true
}

// doCourtesies works until ctx ends.
func (p *Pipeline) doCourtesies(ctx context.Context) error {
	var g errgroup.Group
	for range courtesyWorkers {
		g.Go(func() error {
			for {
				select {
				case <-ctx.Done():
					return nil
				case key := <-p.courtesies.queue:
					if do := p.courtesies.take(key); do != nil {
						p.tryCourtesy(ctx, key, do)
					}
					p.courtesies.done(key)
				}
			}
		})
	}
	return g.Wait()
}

func (p *Pipeline) tryCourtesy(ctx context.Context, key string, do func(context.Context) error) {
	for n := 1; ; n++ {
		try, cancel := context.WithTimeout(ctx, courtesyTime)
		err := do(try)
		cancel()
		failure, sent := errors.AsType[*carriers.SendError](err)
		again := err != nil && n < courtesyTries && (sent && failure.Retryable() || isAway(err))
		if !again || ctx.Err() != nil || p.courtesies.superseded(key) {
			return
		}
		wait := p.backoff(n)
		if sent {
			wait = max(wait, time.Duration(failure.RetryAfter)*time.Second)
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(min(wait, time.Minute)):
		}
	}
}

// other is the contact of an interaction as a carrier knows them, with the account to reach them by.
func (p *Pipeline) other(ctx context.Context, ch omni.DigitalChannel, it omni.Interaction) (*Account, omni.PublishChannel, error) {
	a, err := p.AccountByID(ctx, it.Tenant, ch.CarrierAccountID)
	if err != nil {
		return nil, omni.PublishChannel{}, fmt.Errorf("account of channel %s: %w", ch.ID, err)
	}
	id, err := p.store.Identity(ctx, it.Tenant, it.IdentityID)
	if err != nil {
		return nil, omni.PublishChannel{}, fmt.Errorf("identity of interaction %s: %w", it.ID, err)
	}
	return a, omni.PublishChannel{
		DigitalChannelID: ch.ID, ChannelType: ch.ChannelType, Sender: ch.Address,
		Target: omni.PublishIdentity{ContactID: it.ContactID, IdentityID: id.ID, Address: id.Address},
	}, nil
}

// known is the carrier's id of a message, "" if it has none of its own.
func known(m omni.ServiceMessage) string {
	if strings.HasPrefix(m.CarrierMessageID, joinedPrefix) || strings.HasPrefix(m.CarrierMessageID, systemPrefix) {
		return ""
	}
	return m.CarrierMessageID
}

// newestInbound is the carrier's id of the newest message that the contact wrote up to a sequence, "" if there is none near.
func (p *Pipeline) newestInbound(ctx context.Context, it omni.Interaction, upTo int64) (string, error) {
	ms, err := p.store.ListMessages(ctx, it.Tenant, it.ID, store.MessageWindow{Before: upTo + 1, Limit: 50})
	if err != nil {
		return "", fmt.Errorf("messages of interaction %s: %w", it.ID, err)
	}
	for _, m := range ms {
		if m.Direction == omni.Inbound && known(m) != "" {
			return known(m), nil
		}
	}
	return "", nil
}

// notDone logs a courtesy that failed, and gives the failure back.
func (p *Pipeline) notDone(ctx context.Context, what string, ch omni.DigitalChannel, messageID string, err error) error {
	if err == nil {
		return nil
	}
	info := carriers.LogInfo{
		Carrier: ch.Carrier, AccountID: ch.CarrierAccountID, OrgID: ch.Tenant.OrganisationID, ChannelID: ch.ID, MessageID: messageID,
	}
	if failure, ok := errors.AsType[*carriers.SendError](err); ok {
		info.Reason = string(failure.Reason)
	}
	p.log.LogAttrs(ctx, slog.LevelInfo, "courtesy not done", info.Attr(), slog.String("op", what), slog.Any("err", err))
	return err
}

// tellRead shows the contact how far agents have read, where the carrier does such a thing: by their newest message, which stands
// for all before it.
func (p *Pipeline) tellRead(ch omni.DigitalChannel, it omni.Interaction) {
	if ch.CarrierAccountID == "" || !ch.Capabilities.ReadReceipts {
		return
	}
	p.courtesies.add("read|"+it.ID, func(ctx context.Context) error {
		a, to, err := p.other(ctx, ch, it)
		if err != nil {
			return p.notDone(ctx, "read", ch, "", err)
		}
		marker, ok := a.Carrier.(carriers.ReadMarker)
		if !ok {
			return nil
		}
		id, err := p.newestInbound(ctx, it, it.AgentReadSeq)
		if err != nil || id == "" {
			return p.notDone(ctx, "read", ch, "", err)
		}
		return p.notDone(ctx, "read", ch, "", marker.MarkRead(ctx, to, id))
	})
}

// tellTyping shows the contact that somebody writes, where the carrier does such a thing, and no oftener than it must.
func (p *Pipeline) tellTyping(ctx context.Context, it omni.Interaction) {
	ch, err := p.channel(ctx, it.Tenant, it.DigitalChannelID)
	if err != nil || ch.CarrierAccountID == "" || !ch.Capabilities.Typing {
		return
	}
	p.courtesies.add("typing|"+it.ID, func(ctx context.Context) error {
		a, to, err := p.other(ctx, ch, it)
		if err != nil {
			return nil //nolint:nilerr // it is shown again when the agent goes on
		}
		typer, ok := a.Carrier.(carriers.Typer)
		if !ok || !p.courtesies.mayType(it.ID, typer.TypeEvery(), p.now()) {
			return nil
		}
		id, err := p.newestInbound(ctx, it, it.LastSequence)
		if err == nil {
			err = typer.Type(ctx, to, id)
		}
		_ = p.notDone(ctx, "typing", ch, "", err)
		return nil
	})
}

// React puts an agent's emoji on a message, or takes away what they had put there, and has the carrier show it to the contact. If
// the carrier does not, it is taken away again.
func (p *Pipeline) React(ctx context.Context, a Actor, c wire.ReactMessage) (wire.ReactionChange, error) {
	var none wire.ReactionChange
	emoji := omni.CleanName(c.Emoji)
	if len(emoji) > omni.MaxEmoji || emoji == "" && c.Emoji != "" {
		return none, fieldProblem("emoji", "must be an emoji, or empty to take it away")
	}
	m, err := p.Message(ctx, a, c.MessageID)
	if err != nil {
		return none, err
	}
	it, err := p.Interaction(ctx, a, m.InteractionID)
	if err != nil {
		return none, err
	}
	ch, err := p.channel(ctx, a.Tenant, it.DigitalChannelID)
	if err != nil {
		return none, fmt.Errorf("channel of interaction %s: %w", it.ID, err)
	}
	id, err := p.store.Identity(ctx, a.Tenant, it.IdentityID)
	if err != nil {
		return none, fmt.Errorf("identity of interaction %s: %w", it.ID, err)
	}
	switch {
	case !ch.Capabilities.Reactions:
		return none, omni.Problemf(omni.ErrUnsupported, "the channel %q shows no reactions", ch.Name)
	case ch.Disabled:
		return none, omni.Problemf(omni.ErrConflict, "the channel %q is switched off", ch.Name)
	case known(m) == "" || m.DeletedAt > 0:
		return none, omni.Problemf(omni.ErrConflict, "the carrier does not know this message, or no more; react to another one")
	case id.OptedOutAt > 0:
		return none, omni.Problemf(omni.ErrOptedOut, "the contact has opted out")
	case !ch.Capabilities.WindowOpen(it.LastInboundAt, p.millis()):
		return none, omni.Problemf(omni.ErrWindowClosed, "reactions may be sent for %d hours after the contact wrote", ch.Capabilities.WindowHours)
	}
	change, changed, err := p.setReaction(ctx, ch, it, omni.Reaction{
		Tenant: omni.Org(a.Tenant.OrganisationID), MessageID: m.ID, SenderType: omni.SenderUser, SenderID: a.Tenant.UserID, Emoji: emoji,
		At: p.millis(), SchemaVersion: omni.CurrentSchema,
	})
	if err != nil || !changed {
		return change, err
	}
	p.courtesies.add("react|"+m.ID, func(ctx context.Context) error { return p.sendReaction(ctx, ch, it, m, change) })
	return change, nil
}

// setReaction stores and announces a reaction of ours.
func (p *Pipeline) setReaction(ctx context.Context, ch omni.DigitalChannel, it omni.Interaction, r omni.Reaction) (wire.ReactionChange, bool, error) {
	change := wire.ReactionChange{MessageID: r.MessageID, InteractionID: it.ID, Reaction: wire.NewReactions([]omni.Reaction{r})[r.MessageID][0]}
	defer p.lockInteraction(ch, it)()
	changed, err := p.store.SetReaction(ctx, r.Tenant, r)
	if err != nil {
		return change, false, fmt.Errorf("set reaction: %w", err)
	}
	if changed {
		p.publish(ctx, p.homeTopic(ctx, it), wire.MessageReaction, change)
	}
	return change, changed, nil
}

// sendReaction has the carrier show a reaction. What it refuses for good is taken away.
func (p *Pipeline) sendReaction(ctx context.Context, ch omni.DigitalChannel, it omni.Interaction, m omni.ServiceMessage, change wire.ReactionChange) error {
	a, to, err := p.other(ctx, ch, it)
	if err == nil {
		reactor, ok := a.Carrier.(carriers.Reactor)
		if !ok {
			err = &carriers.SendError{Reason: omni.ReasonMisconfigured, Err: omni.ErrUnsupported}
		} else {
			err = reactor.React(ctx, to, known(m), change.Reaction.Emoji)
		}
	}
	failure, refused := errors.AsType[*carriers.SendError](err)
	if refused && !failure.Retryable() && change.Reaction.Emoji != "" {
		_, _, undone := p.setReaction(context.WithoutCancel(ctx), ch, it, omni.Reaction{
			Tenant: omni.Org(it.Tenant.OrganisationID), MessageID: m.ID, SenderType: change.Reaction.SenderType, SenderID: change.Reaction.SenderID,
			At: change.Reaction.At + 1, SchemaVersion: omni.CurrentSchema,
		})
		err = errors.Join(err, undone)
	}
	return p.notDone(ctx, "react", ch, m.ID, err)
}
