package server

import (
	"context"
	"net/http"
	"slices"

	"omniservice/omni"
	"omniservice/server/auth"
)

// GroupBody is a channel group.
type GroupBody struct {
	ID        string            `json:"id"`
	Name      string            `json:"name"`
	Type      omni.GroupType    `json:"type" enum:"PRIVATE,SHARED"`
	UserID    string            `json:"userId,omitempty" doc:"The only user of a private group"`
	MemberIDs []string          `json:"memberIds" nullable:"false"`
	Colour    string            `json:"colour,omitempty" doc:"#rrggbb"`
	Routing   omni.GroupRouting `json:"routing"`
	Version   int64             `json:"version"`
	CreatedAt omni.Millis       `json:"createdAt"`
}

func newGroup(g omni.DigitalChannelGroup) GroupBody {
	return GroupBody{
		ID: g.ID, Name: g.Name, Type: g.Type, UserID: g.UserID, MemberIDs: append([]string{}, g.MemberIDs...),
		Colour: g.Colour, Routing: g.Routing, Version: g.Version, CreatedAt: g.CreatedAt,
	}
}

type routingBody struct {
	Strategy        string `json:"strategy,omitempty" enum:"manual" default:"manual"`
	DefaultFolderID string `json:"defaultFolderId,omitempty" maxLength:"36"`
}

type groupPost struct {
	Body struct {
		Name      string         `json:"name" maxLength:"800"`
		Type      omni.GroupType `json:"type" enum:"PRIVATE,SHARED"`
		UserID    string         `json:"userId,omitempty" maxLength:"36"`
		MemberIDs []string       `json:"memberIds,omitempty" maxItems:"1000" nullable:"false"`
		Colour    string         `json:"colour,omitempty" maxLength:"7"`
		Routing   *routingBody   `json:"routing,omitempty"`
	}
}

type groupPatch struct {
	RecordInput

	IfMatch string `header:"If-Match" maxLength:"40"`
	Body    struct {
		Name      *string      `json:"name,omitempty" maxLength:"800"`
		MemberIDs *[]string    `json:"memberIds,omitempty" maxItems:"1000"`
		Colour    *string      `json:"colour,omitempty" maxLength:"7"`
		Routing   *routingBody `json:"routing,omitempty"`
	}
}

func groupRecord(g omni.DigitalChannelGroup) *record[GroupBody] {
	return &record[GroupBody]{ETag: etag(g.Version), Body: newGroup(g)}
}

func (s *Server) apiGroups() {
	register(s, endpoint{
		id: "group-list", method: http.MethodGet, path: "/api/v1/groups", tag: "groups",
		summary: "Channel groups that the caller sees, by name; admins see all",
	}, func(ctx context.Context, p auth.Principal, in *PageInput) (*listOutput[GroupBody], error) {
		l, err := s.d.Store.Groups(ctx, p.Tenant, page(in))
		if err != nil {
			return nil, err
		}
		seen := slices.DeleteFunc(l.Items, func(g omni.DigitalChannelGroup) bool { return !seesGroup(p, g) })
		return newList(seen, l.Next, newGroup), nil
	})
	register(s, endpoint{
		id: "group-create", method: http.MethodPost, path: "/api/v1/groups", tag: "groups", status: http.StatusCreated,
		summary: "Add a channel group", scope: map[string]string{"memberIds": "user"},
		sample: `{"name":"Group","type":"SHARED","memberIds":["{user}"]}`,
	}, s.createGroup)
	register(s, endpoint{
		id: "group-get", method: http.MethodGet, path: "/api/v1/groups/{id}", tag: "groups", summary: "A channel group",
		scope: map[string]string{"id": "group"},
	}, func(ctx context.Context, p auth.Principal, in *RecordInput) (*record[GroupBody], error) {
		if err := knownID(in.ID); err != nil {
			return nil, err
		}
		g, err := s.d.Store.Group(ctx, p.Tenant, in.ID)
		if err != nil {
			return nil, err
		}
		if !seesGroup(p, g) {
			return nil, omni.ErrNotFound
		}
		return groupRecord(g), nil
	})
	register(s, endpoint{
		id: "group-update", method: http.MethodPatch, path: "/api/v1/groups/{id}", tag: "groups",
		summary: "Change a channel group", scope: map[string]string{"id": "group"}, sample: `{"name":"Changed"}`,
	}, s.updateGroup)
}

// seesGroup reports whether somebody may know of a group. Admins set groups up, so they know of all; what is said in
// a private one they do not see.
func seesGroup(p auth.Principal, g omni.DigitalChannelGroup) bool {
	return p.Role == omni.RoleAdmin || g.Sees(p.Tenant.UserID, p.Role)
}

func (s *Server) createGroup(ctx context.Context, p auth.Principal, in *groupPost) (*record[GroupBody], error) {
	b := in.Body
	g := omni.DigitalChannelGroup{
		ID: omni.NewIDAt(s.now()), Tenant: omni.Org(p.Tenant.OrganisationID), Name: b.Name, Type: b.Type, UserID: b.UserID,
		MemberIDs: unique(b.MemberIDs), Colour: b.Colour, Routing: omni.GroupRouting{Strategy: "manual"}, Version: 1,
		CreatedAt: s.millis(), SchemaVersion: omni.CurrentSchema,
	}
	if b.Routing != nil {
		g.Routing.DefaultFolderID = b.Routing.DefaultFolderID
	}
	if err := s.checkGroup(ctx, p, g); err != nil {
		return nil, err
	}
	if err := s.d.Store.CreateGroup(ctx, p.Tenant, g); err != nil {
		return nil, err
	}
	s.changed(ctx, p.Tenant, "group", g.ID)
	s.regrant(ctx, p, peopleOf(g))
	return groupRecord(g), s.audit(ctx, p, "group.create", g.ID, nil)
}

func (s *Server) updateGroup(ctx context.Context, p auth.Principal, in *groupPatch) (*record[GroupBody], error) {
	if err := knownID(in.ID); err != nil {
		return nil, err
	}
	v, err := version(in.IfMatch)
	if err != nil {
		return nil, err
	}
	g, err := s.d.Store.Group(ctx, p.Tenant, in.ID)
	if err != nil {
		return nil, err
	}
	if g.Version != v {
		return nil, preconditionFailed("group")
	}
	before := peopleOf(g)
	set(&g.Name, in.Body.Name)
	set(&g.Colour, in.Body.Colour)
	if in.Body.MemberIDs != nil {
		g.MemberIDs = unique(*in.Body.MemberIDs)
	}
	if in.Body.Routing != nil {
		g.Routing.DefaultFolderID = in.Body.Routing.DefaultFolderID
	}
	if err := s.checkGroup(ctx, p, g); err != nil {
		return nil, err
	}
	if g, err = s.d.Store.UpdateGroup(ctx, p.Tenant, g); err != nil {
		return nil, staleAs("group", err)
	}
	s.changed(ctx, p.Tenant, "group", g.ID)
	s.regrant(ctx, p, difference(before, peopleOf(g)))
	return groupRecord(g), s.audit(ctx, p, "group.update", g.ID, nil)
}

// checkGroup checks a group and what it names.
func (s *Server) checkGroup(ctx context.Context, p auth.Principal, g omni.DigitalChannelGroup) error {
	if err := g.Validate(); err != nil {
		return err
	}
	for _, id := range peopleOf(g) {
		if _, err := s.d.Store.User(ctx, p.Tenant, id); err != nil {
			return missing(err, "user", id)
		}
	}
	if id := g.Routing.DefaultFolderID; id != "" {
		f, err := s.d.Store.Folder(ctx, p.Tenant, id)
		if err != nil {
			return missing(err, "folder", id)
		}
		if f.GroupID != g.ID {
			return invalidField("routing.defaultFolderId", "must be a folder of this group")
		}
	}
	return nil
}

func peopleOf(g omni.DigitalChannelGroup) []string {
	if g.Type == omni.GroupPrivate {
		return []string{g.UserID}
	}
	return g.MemberIDs
}

// unique sorts ids and drops doubles.
func unique(ids []string) []string {
	ids = append([]string{}, ids...)
	slices.Sort(ids)
	return slices.Compact(ids)
}

// difference is what only one of two lists holds.
func difference(a, b []string) []string {
	var d []string
	for _, id := range a {
		if !slices.Contains(b, id) {
			d = append(d, id)
		}
	}
	for _, id := range b {
		if !slices.Contains(a, id) {
			d = append(d, id)
		}
	}
	return d
}
