package server

import (
	"context"
	"net/http"
	"slices"

	"omniservice/omni"
	"omniservice/server/auth"
)

// FolderBody is a folder of a group.
type FolderBody struct {
	ID        string          `json:"id"`
	GroupID   string          `json:"groupId"`
	Name      string          `json:"name"`
	Type      omni.FolderType `json:"type" enum:"DEFAULT,TEMPORARY"`
	EndsAt    omni.Millis     `json:"endsAt,omitempty"`
	Version   int64           `json:"version"`
	CreatedAt omni.Millis     `json:"createdAt"`
}

func newFolder(f omni.Folder) FolderBody {
	return FolderBody{
		ID: f.ID, GroupID: f.GroupID, Name: f.Name, Type: f.Type, EndsAt: f.EndsAt, Version: f.Version, CreatedAt: f.CreatedAt,
	}
}

type folderPost struct {
	Body struct {
		GroupID string          `json:"groupId" maxLength:"36"`
		Name    string          `json:"name" maxLength:"800"`
		Type    omni.FolderType `json:"type" enum:"DEFAULT,TEMPORARY"`
		EndsAt  omni.Millis     `json:"endsAt,omitempty" minimum:"0"`
	}
}

type folderPatch struct {
	RecordInput

	IfMatch string `header:"If-Match" maxLength:"40"`
	Body    struct {
		Name   *string      `json:"name,omitempty" maxLength:"800"`
		EndsAt *omni.Millis `json:"endsAt,omitempty" minimum:"0"`
	}
}

func folderRecord(f omni.Folder) *record[FolderBody] {
	return &record[FolderBody]{ETag: etag(f.Version), Body: newFolder(f)}
}

func (s *Server) apiFolders() {
	register(s, endpoint{
		id: "folder-list", method: http.MethodGet, path: "/api/v1/folders", tag: "folders",
		summary: "Folders of the groups that the caller sees, by name",
	}, func(ctx context.Context, p auth.Principal, in *PageInput) (*listOutput[FolderBody], error) {
		groups, err := s.d.Pipeline.VisibleGroups(ctx, actor(p))
		if err != nil {
			return nil, err
		}
		l, err := s.d.Store.Folders(ctx, p.Tenant, page(in))
		if err != nil {
			return nil, err
		}
		seen := slices.DeleteFunc(l.Items, func(f omni.Folder) bool {
			return p.Role != omni.RoleAdmin && !slices.Contains(idsOf(groups), f.GroupID)
		})
		return newList(seen, l.Next, newFolder), nil
	})
	register(s, endpoint{
		id: "folder-create", method: http.MethodPost, path: "/api/v1/folders", tag: "folders", status: http.StatusCreated,
		summary: "Add a folder to a group", scope: map[string]string{"groupId": "group"},
		sample: `{"groupId":"{group}","name":"Folder","type":"DEFAULT"}`,
	}, func(ctx context.Context, p auth.Principal, in *folderPost) (*record[FolderBody], error) {
		f := omni.Folder{
			ID: omni.NewIDAt(s.now()), Tenant: omni.Org(p.Tenant.OrganisationID), GroupID: in.Body.GroupID, Name: in.Body.Name,
			Type: in.Body.Type, EndsAt: in.Body.EndsAt, Version: 1, CreatedAt: s.millis(), SchemaVersion: omni.CurrentSchema,
		}
		if err := f.Validate(); err != nil {
			return nil, err
		}
		if _, err := s.d.Store.Group(ctx, p.Tenant, f.GroupID); err != nil {
			return nil, missing(err, "group", f.GroupID)
		}
		if err := s.d.Store.CreateFolder(ctx, p.Tenant, f); err != nil {
			return nil, err
		}
		s.changed(ctx, p.Tenant, "folder", f.ID)
		return folderRecord(f), nil
	})
	register(s, endpoint{
		id: "folder-update", method: http.MethodPatch, path: "/api/v1/folders/{id}", tag: "folders",
		summary: "Change a folder", scope: map[string]string{"id": "folder"}, sample: `{"name":"Changed"}`,
	}, func(ctx context.Context, p auth.Principal, in *folderPatch) (*record[FolderBody], error) {
		if err := knownID(in.ID); err != nil {
			return nil, err
		}
		v, err := version(in.IfMatch)
		if err != nil {
			return nil, err
		}
		f, err := s.d.Store.Folder(ctx, p.Tenant, in.ID)
		if err != nil {
			return nil, err
		}
		if f.Version != v {
			return nil, preconditionFailed("folder")
		}
		set(&f.Name, in.Body.Name)
		set(&f.EndsAt, in.Body.EndsAt)
		if err := f.Validate(); err != nil {
			return nil, err
		}
		if f, err = s.d.Store.UpdateFolder(ctx, p.Tenant, f); err != nil {
			return nil, staleAs("folder", err)
		}
		s.changed(ctx, p.Tenant, "folder", f.ID)
		return folderRecord(f), nil
	})
}

func idsOf(groups []omni.DigitalChannelGroup) []string {
	ids := make([]string, 0, len(groups))
	for _, g := range groups {
		ids = append(ids, g.ID)
	}
	return ids
}
