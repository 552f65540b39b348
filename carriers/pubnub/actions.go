package pubnub

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"omniservice/carriers"
	"omniservice/omni"
)

// typing is the signal that shows that we are writing: at most 64 bytes, never stored.
const typing = `{"type":"typing","value":true}`

// typingFor is how long apps show it. Source: the typing timeout of PubNub's Chat SDK, read 2026-11-23.
const typingFor = 5 * time.Second

// The message actions that are told to apps.
const (
	actionReaction = "reaction"
	actionReceipt  = "receipt"
	receiptRead    = "read"
)

// React implements carriers.Reactor. PubNub keeps every reaction of a user: the gateway's one before is taken away.
func (c *Carrier) React(ctx context.Context, p omni.PublishChannel, carrierMessageID, emoji string) error {
	channel, timetoken, err := target(p, carrierMessageID)
	if err != nil {
		return err
	}
	had, err := c.reactions(ctx, channel, timetoken)
	if err != nil {
		return err
	}
	if _, there := had[emoji]; emoji != "" && !there {
		if err := c.act(ctx, channel, timetoken, actionReaction, emoji); err != nil {
			return err
		}
	}
	for was, action := range had {
		if was == emoji {
			continue
		}
		_, err := c.exchange(ctx, call{method: http.MethodDelete, path: c.actionPath(channel, timetoken) + "/action/" + action})
		if err != nil && !answered(err, http.StatusNotFound) {
			return err
		}
	}
	return nil
}

// MarkRead implements carriers.ReadMarker.
func (c *Carrier) MarkRead(ctx context.Context, p omni.PublishChannel, carrierMessageID string) error {
	channel, timetoken, err := target(p, carrierMessageID)
	if err != nil {
		return err
	}
	return c.act(ctx, channel, timetoken, actionReceipt, receiptRead)
}

// Type implements carriers.Typer.
func (c *Carrier) Type(ctx context.Context, p omni.PublishChannel, carrierMessageID string) error {
	channel, _, err := splitID(carrierMessageID)
	if err != nil {
		if channel, err = sender(&p); err != nil {
			return malformed(err)
		}
	}
	a, err := c.exchange(ctx, call{
		method: http.MethodGet,
		path: "/signal/" + escape(c.config.publishKey) + "/" + escape(c.config.subscribeKey) + "/0/" + escape(channel) + "/0/" +
			escape(typing),
	})
	if err != nil {
		return err
	}
	_, err = taken(channel, a)
	return err
}

// TypeEvery implements carriers.Typer.
func (*Carrier) TypeEvery() time.Duration { return typingFor }

// target is the message that is acted on.
func target(p omni.PublishChannel, carrierMessageID string) (channel, timetoken string, err error) {
	if p.ChannelType != omni.ChannelPubNub {
		return "", "", malformed(errors.New("the message is not of a PubNub channel"))
	}
	channel, timetoken, err = splitID(carrierMessageID)
	if err != nil {
		return "", "", malformed(err)
	}
	return channel, timetoken, nil
}

func (c *Carrier) actionPath(channel, timetoken string) string {
	return "/v1/message-actions/" + escape(c.config.subscribeKey) + "/channel/" + escape(channel) + "/message/" + timetoken
}

// act adds a message action. One that is there already is none again.
func (c *Carrier) act(ctx context.Context, channel, timetoken, kind, word string) error {
	body, err := encodeJSON(struct {
		Type  string `json:"type"`
		Value string `json:"value"`
	}{kind, word})
	if err != nil {
		return malformed(err)
	}
	_, err = c.exchange(ctx, call{method: http.MethodPost, path: c.actionPath(channel, timetoken), body: body})
	if answered(err, http.StatusConflict) {
		return nil
	}
	return err
}

// answered reports whether err is an answer of a status.
func answered(err error, status int) bool {
	failure, ok := errors.AsType[*carriers.SendError](err)
	return ok && failure.Code == strconv.Itoa(status)
}

// reactions are the gateway's own to a message: what they are, and the timetoken of the action of each.
func (c *Carrier) reactions(ctx context.Context, channel, timetoken string) (map[string]string, error) {
	n, err := strconv.ParseUint(timetoken, 10, 63)
	if err != nil {
		return nil, malformed(errNoID)
	}
	a, err := c.exchange(ctx, call{
		method: http.MethodGet,
		path:   "/v3/history-with-actions/sub-key/" + escape(c.config.subscribeKey) + "/channel/" + escape(channel),
		query:  map[string]string{"max": "1", "start": strconv.FormatUint(n+1, 10), "end": timetoken}, // from start, without it, back to end
	})
	if err != nil {
		return nil, err
	}
	body, err := readJSON(a.Body)
	if err != nil {
		return nil, &carriers.SendError{Reason: omni.ReasonUnreachable, Err: err}
	}
	had := map[string]string{}
	for m := range channelOf(body, channel).elements() {
		if m.member("timetoken").digits() != timetoken {
			continue
		}
		for word, all := range m.member("actions").member(actionReaction).members() {
			for one := range all.elements() {
				user, _ := one.member("uuid").text()
				if id := one.member("actionTimetoken").digits(); user == c.config.userID && id != "" {
					emoji, _ := value(`"` + string(word) + `"`).text()
					had[emoji] = id
				}
			}
		}
	}
	return had, nil
}

// channelOf is what an answer of the history says of a channel.
func channelOf(body value, channel string) value {
	for name, m := range body.member("channels").members() {
		if strings.TrimSpace(string(name)) == channel {
			return m
		}
		if text, ok := value(`"` + string(name) + `"`).text(); ok && text == channel {
			return m
		}
	}
	return nil
}
