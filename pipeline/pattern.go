package pipeline

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"omniservice/omni"
	"omniservice/store"
)

// A channel of ours may stand for many addresses: support-* for every PubNub channel that begins so. Wherever such a channel is
// at work for one conversation its Address is the one that the contact wrote to. What is kept of a message names that one, so
// the newest message of a conversation tells where the next one goes, whatever was restarted in between.

// recentMessages is how many of the newest messages are looked at for an address.
const recentMessages = 20

// channelByPattern finds the channel whose pattern an address fits, the longest of them, and gives it with that address.
func (p *Pipeline) channelByPattern(ctx context.Context, t omni.Tenant, accountID string, family omni.ChannelType, address string) (omni.DigitalChannel, error) {
	all, err := p.caches.patterns.get(t.OrganisationID, func() ([]omni.DigitalChannel, error) {
		all, err := readAll(ctx, func(ctx context.Context, pg store.Page) (store.List[omni.DigitalChannel], error) {
			return p.store.Channels(ctx, t, pg)
		})
		return slices.DeleteFunc(all, func(ch omni.DigitalChannel) bool {
			_, pattern := omni.AddressPattern(ch.ChannelType, ch.Address)
			return !pattern
		}), err
	})
	if err != nil {
		return omni.DigitalChannel{}, fmt.Errorf("channels with patterns: %w", err)
	}
	var found omni.DigitalChannel
	for _, ch := range all {
		prefix, _ := omni.AddressPattern(ch.ChannelType, ch.Address)
		if ch.CarrierAccountID == accountID && ch.ChannelType == family && strings.HasPrefix(address, prefix) && len(ch.Address) > len(found.Address) {
			found = ch
		}
	}
	if found.ID == "" {
		return found, omni.Problemf(omni.ErrNotFound, "there is no channel for this address")
	}
	found.Address = address
	return found, nil
}

// addressed gives a channel with the address that a conversation goes by.
func (p *Pipeline) addressed(ctx context.Context, ch omni.DigitalChannel, it omni.Interaction) (omni.DigitalChannel, error) {
	if _, pattern := omni.AddressPattern(ch.ChannelType, ch.Address); !pattern {
		return ch, nil
	}
	ms, err := p.store.ListMessages(ctx, it.Tenant, it.ID, store.MessageWindow{Before: it.LastSequence + 1, Limit: recentMessages})
	if err != nil {
		return ch, fmt.Errorf("newest messages of interaction %s: %w", it.ID, err)
	}
	for _, m := range ms {
		if _, pattern := omni.AddressPattern(ch.ChannelType, m.Channel.Address); !pattern && m.Channel.DigitalChannelID == ch.ID {
			ch.Address = m.Channel.Address
			return ch, nil
		}
	}
	return ch, omni.Problemf(omni.ErrConflict, "it is not known where the contact reads: they have to write first")
}

// oursOf is our address in an event about an outbound message. On PubNub that is its channel: from and to are who writes there.
func oursOf(e omni.CarrierChannelEvent) string {
	if e.ChannelType == omni.ChannelPubNub {
		return e.To
	}
	return e.From
}

// statusContact is the address of the contact whom a status is about. On PubNub only its message tells.
func (p *Pipeline) statusContact(ctx context.Context, t omni.Tenant, ch omni.DigitalChannel, e omni.CarrierChannelEvent) (string, error) {
	if e.ChannelType != omni.ChannelPubNub {
		return e.Contact(), nil
	}
	m, err := p.store.MessageByCarrierID(ctx, t, ch.ID, e.CarrierMessageID)
	if errors.Is(err, omni.ErrNotFound) {
		return e.Contact(), nil // it is kept until that message has its id
	}
	if err != nil {
		return "", fmt.Errorf("message of a status: %w", err)
	}
	return m.To.Address, nil
}
