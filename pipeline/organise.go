package pipeline

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"omniservice/omni"
	"omniservice/omni/wire"
	"omniservice/store"
)

// maxSnooze is how far ahead an interaction can be snoozed.
const maxSnooze = 366 * 24 * time.Hour

// Move gives an interaction to another group that the actor sees, where nobody owns it until somebody claims it.
func (p *Pipeline) Move(ctx context.Context, a Actor, c wire.MoveInteraction) (omni.Interaction, error) {
	it, err := p.Interaction(ctx, a, c.InteractionID)
	if err != nil {
		return it, err
	}
	if err := p.mayGiveAway(a, it); err != nil {
		return it, err
	}
	groups, err := p.VisibleGroups(ctx, a)
	if err != nil {
		return it, err
	}
	at := slices.IndexFunc(groups, func(g omni.DigitalChannelGroup) bool { return g.ID == c.GroupID })
	if at < 0 {
		return it, fieldProblem("groupId", "must be a channel group that you see")
	}
	g := groups[at]
	if it.GroupID == g.ID {
		return it, nil
	}
	return p.change(ctx, a, it, c.Version, store.InteractionChange{
		GroupID: &g.ID, FolderID: &g.Routing.DefaultFolderID, Owner: &omni.InteractionOwner{Type: omni.EntityGroup, ID: g.ID},
	}, wire.InteractionMoved, "moved")
}

// Label makes c.LabelIDs the labels of an interaction. Those that it has may be gone; new ones must be there.
func (p *Pipeline) Label(ctx context.Context, a Actor, c wire.LabelInteraction) (omni.Interaction, error) {
	it, err := p.Interaction(ctx, a, c.InteractionID)
	if err != nil {
		return it, err
	}
	labels := make([]string, 0, len(c.LabelIDs))
	for _, id := range c.LabelIDs {
		if !slices.Contains(labels, id) {
			labels = append(labels, id)
		}
		if len(labels) > maxLabels {
			return it, fieldProblem("labelIds", fmt.Sprintf("must be at most %d", maxLabels))
		}
	}
	if slices.Equal(labels, it.LabelIDs) {
		return it, nil
	}
	for _, id := range labels {
		if slices.Contains(it.LabelIDs, id) {
			continue
		}
		err := omni.ErrNotFound
		if omni.ValidID(id) {
			_, err = p.store.Labels().Get(ctx, a.Tenant, id)
		}
		if errors.Is(err, omni.ErrNotFound) {
			return it, fieldProblem("labelIds", "must be labels of this organisation")
		}
		if err != nil {
			return it, fmt.Errorf("label %s: %w", id, err)
		}
	}
	return p.change(ctx, a, it, c.Version, store.InteractionChange{LabelIDs: &labels}, wire.InteractionUpdated, "labelled")
}

// maxLabels is how many labels an interaction can have: see omni.Interaction.Validate.
const maxLabels = 50

// Snooze puts an interaction away until a moment, or until the contact writes.
func (p *Pipeline) Snooze(ctx context.Context, a Actor, c wire.SnoozeInteraction) (omni.Interaction, error) {
	it, err := p.Interaction(ctx, a, c.InteractionID)
	if err != nil {
		return it, err
	}
	if now := p.millis(); c.Until <= now || c.Until > now.Add(maxSnooze) {
		return it, fieldProblem("until", "must be a moment from now on, at most a year ahead")
	}
	switch {
	case it.State == omni.InteractionResolved:
		return it, omni.Problemf(omni.ErrConflict, "this conversation is resolved; reopen it before you snooze it")
	case it.State == omni.InteractionSnoozed && it.SnoozedUntil == c.Until:
		return it, nil
	}
	ch, err := p.channel(ctx, a.Tenant, it.DigitalChannelID)
	if err != nil {
		return it, fmt.Errorf("channel of interaction %s: %w", it.ID, err)
	}
	defer p.lockInteraction(ch, it)()
	state, seen := omni.InteractionSnoozed, it.LastSequence
	it, err = p.changeLocked(ctx, a, it, c.Version, store.InteractionChange{
		State: &state, SnoozedUntil: &c.Until, SnoozedAfter: &seen,
	}, wire.InteractionSnoozed, "snoozed")
	if err != nil || it.LastSequence == seen {
		return it, err
	}
	// Somebody wrote while it was put away. If it was the contact nobody else will open it.
	ms, err := p.store.ListMessages(ctx, a.Tenant, it.ID, store.MessageWindow{After: seen})
	if err != nil {
		return it, fmt.Errorf("messages of interaction %s: %w", it.ID, err)
	}
	if slices.ContainsFunc(ms, func(m omni.ServiceMessage) bool { return m.Direction == omni.Inbound }) {
		return p.wake(ctx, it, contactWrote)
	}
	return it, nil
}

// Why a snoozed interaction is open again.
const (
	contactWrote = "contact wrote"
	snoozeEnded  = "snooze ended"
)

// awake adds to a change of state what ends a snooze.
func awake(it omni.Interaction, c store.InteractionChange) store.InteractionChange {
	if it.State == omni.InteractionSnoozed {
		never, none := omni.Millis(0), int64(0)
		c.SnoozedUntil, c.SnoozedAfter = &never, &none
	}
	return c
}

// wake opens a snoozed interaction, unless somebody else has changed it so that it is not snoozed any more. The caller holds
// the conversation's lock.
func (p *Pipeline) wake(ctx context.Context, it omni.Interaction, why string) (omni.Interaction, error) {
	open := omni.InteractionOpen
	for {
		change := awake(it, store.InteractionChange{State: &open})
		after, err := p.store.ChangeInteraction(ctx, omni.Org(it.Tenant.OrganisationID), it.ID, it.Version, change)
		switch {
		case err == nil:
			p.announceChange(ctx, it, after, change, wire.InteractionReopened, wire.InteractionChange{Reason: why})
			return after, nil
		case !errors.Is(err, omni.ErrConflict):
			return it, fmt.Errorf("wake interaction %s: %w", it.ID, err)
		case after.State != omni.InteractionSnoozed || why == snoozeEnded || after.Version == it.Version:
			return after, nil
		}
		it = after // it was labelled, or the like: what the contact wrote still opens it
	}
}

// wakeSnoozed opens interactions whose snooze has come to its end, until ctx ends: on the node that has the lease of the
// first worker, and should two do it at once, each is opened once.
func (p *Pipeline) wakeSnoozed(ctx context.Context) error {
	t := time.NewTicker(p.o.Poll)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
		}
		if !p.leases.held(0, p.millis()) {
			continue
		}
		if err := p.wakeDue(ctx); err != nil && ctx.Err() == nil {
			p.log.Log(ctx, p.levelOf(err, slog.LevelError), "wake snoozed interactions", "err", err)
		}
	}
}

// wakeDue opens what is due now. What cannot be opened is tried again later, and does not keep the others waiting.
func (p *Pipeline) wakeDue(ctx context.Context) error {
	const atOnce = 100
	for {
		due, err := p.store.SnoozesDue(ctx, p.millis(), atOnce)
		if err != nil {
			return err
		}
		woken := 0
		var failed error
		for _, it := range due {
			if err := p.wakeOne(ctx, it); err != nil {
				failed = errors.Join(failed, err)
				continue
			}
			woken++
		}
		if failed != nil || len(due) < atOnce || woken == 0 {
			return failed
		}
	}
}

func (p *Pipeline) wakeOne(ctx context.Context, it omni.Interaction) error {
	ch, err := p.channel(ctx, it.Tenant, it.DigitalChannelID)
	if err != nil {
		return fmt.Errorf("channel of interaction %s: %w", it.ID, err)
	}
	defer p.lockInteraction(ch, it)()
	_, err = p.wake(ctx, it, snoozeEnded)
	return err
}
