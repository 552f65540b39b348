package server

import (
	"context"
	"net/http"
	"strconv"

	"omniservice/omni"
	"omniservice/omni/wire"
	"omniservice/server/auth"
	"omniservice/store"
)

// SyncBody is what changed.
type SyncBody struct {
	State        string               `json:"state" enum:"recovered,reset" doc:"recovered: all that changed is here or follows. reset: what changed since cannot be told; read the lists again, and go on from next"`
	Interactions []wire.Interaction   `json:"interactions" nullable:"false" doc:"As they are now, in the order of their changes. Merge by id: the higher version wins, and of the same version what is told later"`
	Messages     []wire.Message       `json:"messages" nullable:"false" doc:"As they are now, in the order of their changes. Merge by id: a status never moves down"`
	Next         string               `json:"next" doc:"since of the next page, and of the next call"`
	More         bool                 `json:"more" doc:"There is more to tell now. A page may hold fewer than limit, or none, and be followed by more"`
	Topics       []wire.TopicPosition `json:"topics" nullable:"false" doc:"Where the caller's topics stood before the changes were read: events up to there are in the answers, once more is false"`
}

type syncInput struct {
	Since string `query:"since" maxLength:"1000" doc:"next of an earlier answer, or a moment in milliseconds since 1970. Left out: the answer is reset, with next to begin from"`
	Limit int    `query:"limit" minimum:"1" maximum:"200" default:"50"`
}

// longestMoment is how many digits a moment has at most. What next gives is longer.
const longestMoment = 15

func (s *Server) apiSync() {
	register(s, endpoint{
		id: "sync", method: http.MethodGet, path: "/api/v1/sync", tag: "realtime",
		summary: "Interactions and messages that the caller sees and that changed, for a client whose topics were reset",
	}, s.sync)
}

func (s *Server) sync(ctx context.Context, p auth.Principal, in *syncInput) (*plain[SyncBody], error) {
	q := store.ChangeQuery{Since: in.Since, Limit: in.Limit}
	if at, err := strconv.ParseInt(in.Since, 10, 64); err == nil && len(in.Since) <= longestMoment {
		if at <= 0 {
			return nil, invalidField("since", "must be next of an earlier answer, or milliseconds since 1970")
		}
		q.Since, q.SinceAt = "", omni.Millis(at)
	}
	// Topics first, so that the data are at least as new.
	topics, err := s.topics(ctx, p)
	if err != nil {
		return nil, err
	}
	groups, err := s.d.Pipeline.VisibleGroups(ctx, actor(p))
	if err != nil {
		return nil, err
	}
	q.GroupIDs = idsOf(groups)
	c, err := s.d.Store.ChangedSince(ctx, p.Tenant, q)
	if err != nil {
		return nil, err
	}
	messages, err := s.newMessages(ctx, p.Tenant, c.Messages)
	if err != nil {
		return nil, err
	}
	b := SyncBody{
		State: wire.Recovered, Next: c.Next, More: c.More, Topics: topics,
		Interactions: newList(c.Interactions, "", wire.NewInteraction).Body.Items, Messages: messages,
	}
	if c.Reset {
		b.State = wire.Reset
	}
	return &plain[SyncBody]{Body: b}, nil
}
