package pipeline

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"omniservice/omni"
	"omniservice/omni/wire"
	"omniservice/store"
)

// capabilitiesEvery is how often channels are compared with what their carriers can carry, after the start.
const capabilitiesEvery = time.Hour

// keepCapabilities has channels say what their carriers can carry now: that is stored with a channel when it is made, and a
// newer gateway may know more, or less, of a carrier.
func (p *Pipeline) keepCapabilities(ctx context.Context) error {
	next := time.NewTimer(0)
	defer next.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-next.C:
		}
		wait := capabilitiesEvery
		if err := p.refreshCapabilities(ctx); err != nil && ctx.Err() == nil {
			if !isAway(err) {
				p.log.WarnContext(ctx, "refresh capabilities", "err", err)
			}
			wait = p.o.Poll
		}
		next.Reset(wait)
	}
}

func (p *Pipeline) refreshCapabilities(ctx context.Context) error {
	orgs, err := readAll(ctx, p.store.AllOrganisations)
	if err != nil {
		return fmt.Errorf("list organisations: %w", err)
	}
	for _, o := range orgs {
		t := omni.Org(o.ID)
		all, err := readAll(ctx, func(ctx context.Context, pg store.Page) (store.List[omni.DigitalChannel], error) {
			return p.store.Channels(ctx, t, pg)
		})
		if err != nil {
			return fmt.Errorf("list channels: %w", err)
		}
		for _, ch := range all {
			if ch.CarrierAccountID == "" {
				continue
			}
			if err := p.refreshChannel(ctx, t, ch); err != nil {
				return err
			}
		}
	}
	return nil
}

func (p *Pipeline) refreshChannel(ctx context.Context, t omni.Tenant, ch omni.DigitalChannel) error {
	a, err := p.AccountByID(ctx, t, ch.CarrierAccountID)
	if isAway(err) {
		return err
	}
	if err != nil {
		return nil //nolint:nilerr // an account that is disabled or cannot be opened says nothing of its channels
	}
	now, ok := a.Carrier.Capabilities(ch.ChannelType)
	if !ok || same(now, ch.Capabilities) {
		return nil
	}
	ch.Capabilities = now
	_, err = p.store.UpdateChannel(ctx, t, ch)
	if errors.Is(err, omni.ErrConflict) || errors.Is(err, omni.ErrNotFound) {
		return nil // somebody changed it in this moment: another node, perhaps, in the same way
	}
	if err != nil {
		return fmt.Errorf("update channel %s: %w", ch.ID, err)
	}
	p.Forget("channel", ch.ID)
	p.log.InfoContext(ctx, "capabilities of a channel changed", "carrier", ch.Carrier, "org_id", t.OrganisationID, "channel_id", ch.ID)
	p.publish(ctx, omni.OrgTopic(t.OrganisationID), wire.SettingsChanged, wire.SettingsChange{Kind: "channel", ID: ch.ID})
	return nil
}

// same reports whether two capability records look the same to whoever reads them.
func same(a, b omni.Capabilities) bool {
	x, err := json.Marshal(a)
	if err != nil {
		return false
	}
	y, err := json.Marshal(b)
	return err == nil && bytes.Equal(x, y)
}
