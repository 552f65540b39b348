package server

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"

	"omniservice/hub"
	"omniservice/omni"
	"omniservice/pipeline"
	"omniservice/server/auth"
)

// LiveChatBody is what a LiveChat channel has besides.
type LiveChatBody struct {
	PublicID       string   `json:"publicId" doc:"Names the widget in the snippet"`
	AllowedOrigins []string `json:"allowedOrigins" nullable:"false" doc:"scheme://host[:port] of the sites that may carry it"`
	Title          string   `json:"title,omitempty"`
	Greeting       string   `json:"greeting,omitempty"`
	Accent         string   `json:"accent,omitempty" doc:"#rrggbb"`
}

// ChannelBody is one of the organisation's numbers, accounts or widgets.
type ChannelBody struct {
	ID               string            `json:"id"`
	Name             string            `json:"name"`
	GroupID          string            `json:"groupId"`
	ChannelType      omni.ChannelType  `json:"channelType"`
	Carrier          omni.CarrierName  `json:"carrier,omitempty"`
	CarrierAccountID string            `json:"carrierAccountId,omitempty"`
	Address          string            `json:"address"`
	Capabilities     omni.Capabilities `json:"capabilities"`
	LiveChat         *LiveChatBody     `json:"liveChat,omitempty"`
	Disabled         bool              `json:"disabled"`
	Version          int64             `json:"version"`
	CreatedAt        omni.Millis       `json:"createdAt"`
}

func newChannel(c omni.DigitalChannel) ChannelBody {
	b := ChannelBody{
		ID: c.ID, Name: c.Name, GroupID: c.GroupID, ChannelType: c.ChannelType, Carrier: c.Carrier,
		CarrierAccountID: c.CarrierAccountID, Address: c.Address, Capabilities: c.Capabilities, Disabled: c.Disabled,
		Version: c.Version, CreatedAt: c.CreatedAt,
	}
	if l := c.LiveChat; l != nil {
		b.Capabilities = pipeline.LiveChatCapabilities() // of this program, not of the one that made the channel
		b.LiveChat = &LiveChatBody{
			PublicID: l.PublicID, AllowedOrigins: append([]string{}, l.AllowedOrigins...), Title: l.Title, Greeting: l.Greeting, Accent: l.Accent,
		}
	}
	return b
}

type liveChatInput struct {
	AllowedOrigins []string `json:"allowedOrigins,omitempty" maxItems:"100" nullable:"false"`
	Title          *string  `json:"title,omitempty" maxLength:"800"`
	Greeting       *string  `json:"greeting,omitempty" maxLength:"2000"`
	Accent         *string  `json:"accent,omitempty" maxLength:"7"`
}

func (in *liveChatInput) apply(l *omni.LiveChatSettings) {
	if in.AllowedOrigins != nil {
		l.AllowedOrigins = unique(in.AllowedOrigins)
	}
	set(&l.Title, in.Title)
	set(&l.Greeting, in.Greeting)
	set(&l.Accent, in.Accent)
}

type channelPost struct {
	Body struct {
		Name             string           `json:"name" maxLength:"800"`
		GroupID          string           `json:"groupId" maxLength:"36"`
		ChannelType      omni.ChannelType `json:"channelType" enum:"SMS,WhatsApp,PubNub,LiveChat"`
		CarrierAccountID string           `json:"carrierAccountId,omitempty" maxLength:"36" doc:"Not for LiveChat"`
		Address          string           `json:"address,omitempty" maxLength:"255" doc:"The number or name that contacts write to; not for LiveChat"`
		LiveChat         *liveChatInput   `json:"liveChat,omitempty"`
	}
}

type channelPatch struct {
	RecordInput

	IfMatch string `header:"If-Match" maxLength:"40"`
	Body    struct {
		Name     *string        `json:"name,omitempty" maxLength:"800"`
		GroupID  *string        `json:"groupId,omitempty" maxLength:"36"`
		LiveChat *liveChatInput `json:"liveChat,omitempty"`
		Disabled *bool          `json:"disabled,omitempty"`
	}
}

func channelRecord(c omni.DigitalChannel) *record[ChannelBody] {
	return &record[ChannelBody]{ETag: etag(c.Version), Body: newChannel(c)}
}

func (s *Server) apiChannels() {
	register(s, endpoint{
		id: "channel-list", method: http.MethodGet, path: "/api/v1/channels", tag: "channels",
		summary: "Channels of the groups that the caller sees, by name; admins see all",
	}, func(ctx context.Context, p auth.Principal, in *PageInput) (*listOutput[ChannelBody], error) {
		groups, err := s.d.Pipeline.VisibleGroups(ctx, actor(p))
		if err != nil {
			return nil, err
		}
		l, err := s.d.Store.Channels(ctx, p.Tenant, page(in))
		if err != nil {
			return nil, err
		}
		ids := idsOf(groups)
		seen := slices.DeleteFunc(l.Items, func(c omni.DigitalChannel) bool {
			return p.Role != omni.RoleAdmin && !slices.Contains(ids, c.GroupID)
		})
		return newList(seen, l.Next, newChannel), nil
	})
	register(s, endpoint{
		id: "channel-create", method: http.MethodPost, path: "/api/v1/channels", tag: "channels", status: http.StatusCreated,
		summary: "Add a channel", scope: map[string]string{"groupId": "group", "carrierAccountId": "carrier-account"},
		sample: `{"name":"Channel","groupId":"{group}","channelType":"SMS","carrierAccountId":"{carrier-account}","address":"+12025550123"}`,
	}, s.createChannel)
	register(s, endpoint{
		id: "channel-get", method: http.MethodGet, path: "/api/v1/channels/{id}", tag: "channels", summary: "A channel",
		scope: map[string]string{"id": "channel"},
	}, func(ctx context.Context, p auth.Principal, in *RecordInput) (*record[ChannelBody], error) {
		if err := knownID(in.ID); err != nil {
			return nil, err
		}
		c, err := s.d.Store.Channel(ctx, p.Tenant, in.ID)
		if err != nil {
			return nil, err
		}
		if p.Role != omni.RoleAdmin {
			groups, err := s.d.Pipeline.VisibleGroups(ctx, actor(p))
			if err != nil {
				return nil, err
			}
			if !slices.Contains(idsOf(groups), c.GroupID) {
				return nil, omni.ErrNotFound
			}
		}
		return channelRecord(c), nil
	})
	register(s, endpoint{
		id: "channel-update", method: http.MethodPatch, path: "/api/v1/channels/{id}", tag: "channels",
		summary: "Change a channel", scope: map[string]string{"id": "channel"}, sample: `{"name":"Changed"}`,
	}, s.updateChannel)
}

func (s *Server) createChannel(ctx context.Context, p auth.Principal, in *channelPost) (*record[ChannelBody], error) {
	b := in.Body
	c := omni.DigitalChannel{
		ID: omni.NewIDAt(s.now()), Tenant: omni.Org(p.Tenant.OrganisationID), GroupID: b.GroupID, Name: b.Name,
		ChannelType: b.ChannelType.Family(), Version: 1, CreatedAt: s.millis(), SchemaVersion: omni.CurrentSchema,
	}
	if _, err := s.d.Store.Group(ctx, p.Tenant, c.GroupID); err != nil {
		return nil, missing(err, "group", c.GroupID)
	}
	if c.ChannelType == omni.ChannelLiveChat {
		if b.CarrierAccountID != "" || b.Address != "" {
			return nil, invalidField("carrierAccountId", "and address must be left out for LiveChat")
		}
		c.LiveChat = &omni.LiveChatSettings{PublicID: omni.NewToken(16)}
		if b.LiveChat != nil {
			b.LiveChat.apply(c.LiveChat)
		}
		c.Address, c.Capabilities = c.LiveChat.PublicID, pipeline.LiveChatCapabilities()
	} else {
		if b.LiveChat != nil {
			return nil, invalidField("liveChat", "must be left out for this channel type")
		}
		if err := s.byCarrier(ctx, p, &c, b.CarrierAccountID); err != nil {
			return nil, err
		}
		c.Address = address(b.Address)
	}
	if err := c.Validate(); err != nil {
		return nil, err
	}
	if err := s.d.Store.CreateChannel(ctx, p.Tenant, c); err != nil {
		return nil, inUse(err, "address", "is a channel of this carrier account already")
	}
	s.changed(ctx, p.Tenant, "channel", c.ID)
	return channelRecord(c), s.audit(ctx, p, "channel.create", c.ID, nil)
}

// byCarrier fills in what a channel has from its carrier account.
func (s *Server) byCarrier(ctx context.Context, p auth.Principal, c *omni.DigitalChannel, accountID string) error {
	if !omni.ValidID(accountID) {
		return invalidField("carrierAccountId", "must be an id")
	}
	a, err := s.d.Pipeline.AccountByID(ctx, p.Tenant, accountID)
	if err != nil {
		return missing(err, "carrier account", accountID)
	}
	capabilities, ok := a.Carrier.Capabilities(c.ChannelType)
	if !ok {
		return invalidField("channelType", "is not one that this carrier has")
	}
	c.Carrier, c.CarrierAccountID, c.Capabilities = a.Record.Carrier, a.Record.ID, capabilities
	return nil
}

// address brings a number as people write it into the form in which carriers name it.
func address(s string) string {
	s = strings.TrimSpace(s)
	if !strings.HasPrefix(s, "+") {
		return s
	}
	return strings.Map(func(r rune) rune {
		if strings.ContainsRune(" -().", r) {
			return -1
		}
		return r
	}, s)
}

func (s *Server) updateChannel(ctx context.Context, p auth.Principal, in *channelPatch) (*record[ChannelBody], error) {
	if err := knownID(in.ID); err != nil {
		return nil, err
	}
	v, err := version(in.IfMatch)
	if err != nil {
		return nil, err
	}
	c, err := s.d.Store.Channel(ctx, p.Tenant, in.ID)
	if err != nil {
		return nil, err
	}
	if c.Version != v {
		return nil, preconditionFailed("channel")
	}
	set(&c.Name, in.Body.Name)
	set(&c.Disabled, in.Body.Disabled)
	if in.Body.GroupID != nil {
		if _, err := s.d.Store.Group(ctx, p.Tenant, *in.Body.GroupID); err != nil {
			return nil, missing(err, "group", *in.Body.GroupID)
		}
		c.GroupID = *in.Body.GroupID
	}
	if in.Body.LiveChat != nil {
		if c.LiveChat == nil {
			return nil, invalidField("liveChat", "must be left out for this channel type")
		}
		in.Body.LiveChat.apply(c.LiveChat)
	}
	if err := c.Validate(); err != nil {
		return nil, err
	}
	if c, err = s.d.Store.UpdateChannel(ctx, p.Tenant, c); err != nil {
		if errors.Is(err, omni.ErrConflict) {
			return nil, preconditionFailed("channel")
		}
		return nil, err
	}
	s.changed(ctx, p.Tenant, "channel", c.ID)
	if c.Disabled && c.ChannelType == omni.ChannelLiveChat {
		s.closeVisitors(ctx, c)
	}
	return channelRecord(c), s.audit(ctx, p, "channel.update", c.ID, nil)
}

// closeVisitors closes the sockets of a LiveChat channel's visitors: their sessions are named by the channel.
func (s *Server) closeVisitors(ctx context.Context, c omni.DigitalChannel) {
	err := s.d.Hub.CloseSession(context.WithoutCancel(ctx), c.Tenant.OrganisationID, c.ID, hub.CloseRemoved, "chat closed")
	if err != nil {
		s.log.WarnContext(ctx, "close visitors' sockets", "channel_id", c.ID, "err", err)
	}
}
