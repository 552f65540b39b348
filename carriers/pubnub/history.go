package pubnub

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"time"

	"omniservice/carriers"
	"omniservice/omni"
)

// Limits of what is read from the history of one channel.
const (
	historyPage  = 100 // messages of one answer; PubNub gives no more
	smallPage    = 25  // so many are never more than carriers.MaxAnswer
	historyPages = 20
)

// clocks is how far PubNub's clock may be from ours.
const clocks = time.Minute

// timetokenOf is the timetoken of a moment.
func timetokenOf(m omni.Millis) string { return strconv.FormatInt(max(0, int64(m))*10_000, 10) }

// history calls each with the messages of a channel since a timetoken, newest first, until it is false or all were seen.
func (c *Carrier) history(ctx context.Context, channel, since string, each func(value) bool) error {
	start, size := "", historyPage
	for range historyPages {
		query := map[string]string{
			"max": strconv.Itoa(size), "end": since, "include_meta": "true", "include_uuid": "true", "include_message_type": "true",
		}
		if start != "" {
			query["start"] = start
		}
		a, err := c.exchange(ctx, call{
			method: http.MethodGet, query: query,
			path: "/v3/history/sub-key/" + escape(c.config.subscribeKey) + "/channel/" + escape(channel),
		})
		if failure, ok := errors.AsType[*carriers.SendError](err); ok && failure.Reason == omni.ReasonUnknown && a.Status == http.StatusOK &&
			size != smallPage {
			size = smallPage // the answer was too long
			continue
		}
		if err != nil {
			return err
		}
		body, err := readJSON(a.Body)
		if err != nil {
			return &carriers.SendError{Reason: omni.ReasonUnreachable, Err: err}
		}
		page := slices.Collect(channelOf(body, channel).elements()) // oldest first
		oldest := ""
		for _, m := range slices.Backward(page) {
			oldest = m.member("timetoken").digits()
			if !each(m) {
				return nil
			}
		}
		// What is older than the oldest is asked for next: a page may hold less than was asked for, so its size says nothing.
		if oldest == "" || oldest == start {
			return nil
		}
		start = oldest
		if body.member("more").kind() != '{' && len(page) < size {
			return nil
		}
	}
	return nil
}

// Missed implements carriers.CatchUp. It needs Message Persistence on the keyset. Of a very full channel the newest are given.
func (c *Carrier) Missed(ctx context.Context, address string, since omni.Millis) ([]omni.CarrierChannelEvent, error) {
	if !omni.ValidPubNubChannel(address) {
		return nil, omni.Problemf(omni.ErrInvalid, "the address is not the name of a PubNub channel")
	}
	var all []omni.CarrierChannelEvent
	err := c.history(ctx, address, timetokenOf(since), func(m value) bool {
		p := parser{c: c}
		it := readItem(m)
		it.channel, it.id, it.kind = address, "", ""
		p.message(it)
		all = append(all, p.out.Events...)
		return len(all) < carriers.MaxEvents
	})
	if err != nil {
		return nil, fmt.Errorf("read the history: %w", err)
	}
	slices.Reverse(all)
	return all, nil
}

// Lookup implements carriers.Lookuper: it looks for our id of the message in the history of its channel. That the message is
// not there says something only if PubNub keeps messages of that channel at all; else it is omni.ErrUnavailable.
func (c *Carrier) Lookup(ctx context.Context, m omni.ServiceMessage) (carriers.SendResult, error) {
	channel, err := sender(m.Publish)
	if err != nil {
		return carriers.SendResult{}, fmt.Errorf("look a message up: %w", errors.Join(err, omni.ErrInvalid))
	}
	var result carriers.SendResult
	kept := false
	look := func(v value) bool {
		kept = true
		said := v.member("message")
		if inner := said.member("message"); inner.kind() == '{' && said.member("file").kind() == '{' {
			said = inner
		}
		user, _ := v.member("uuid").text()
		id, _ := said.member("omniMessageId").text()
		timetoken := v.member("timetoken").digits()
		if user == c.config.userID && id == m.ID && timetoken != "" {
			result = carriers.SendResult{CarrierMessageID: messageID(channel, timetoken), Status: omni.StatusSent}
		}
		return result.CarrierMessageID == ""
	}
	if err := c.history(ctx, channel, timetokenOf(m.CreatedAt.Add(-clocks)), look); err != nil {
		return carriers.SendResult{}, fmt.Errorf("look a message up: %w", err)
	}
	if result.CarrierMessageID != "" {
		return result, nil
	}
	if !kept {
		err := c.history(ctx, channel, "0", func(value) bool { kept = true; return false })
		if err != nil {
			return carriers.SendResult{}, fmt.Errorf("look a message up: %w", err)
		}
	}
	if !kept {
		return carriers.SendResult{}, omni.Problemf(omni.ErrUnavailable, "PubNub keeps no messages of this channel")
	}
	return carriers.SendResult{}, omni.Problemf(omni.ErrNotFound, "PubNub never took this message")
}
