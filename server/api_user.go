package server

import (
	"context"
	"net/http"
	"strings"
	"time"

	"omniservice/hub"
	"omniservice/omni"
	"omniservice/server/auth"
)

// UserBody is a user. Agents see of others the id, name and role only.
type UserBody struct {
	ID        string      `json:"id"`
	Name      string      `json:"name"`
	Email     string      `json:"email,omitempty"`
	Role      omni.Role   `json:"role" enum:"admin,supervisor,agent,service"`
	Disabled  bool        `json:"disabled" doc:"Removed: cannot log in"`
	Version   int64       `json:"version"`
	CreatedAt omni.Millis `json:"createdAt,omitempty"`
}

func newUser(u omni.User) UserBody {
	return UserBody{
		ID: u.ID, Name: u.Name, Email: u.Email, Role: u.Role, Disabled: u.Disabled, Version: u.Version, CreatedAt: u.CreatedAt,
	}
}

// NewUserBody is a user who was just created.
type NewUserBody struct {
	UserBody

	LoginLink string `json:"loginLink,omitempty" doc:"Where no password was given: logs in once, within 72 hours"`
}

type userPost struct {
	Body struct {
		Name     string    `json:"name" maxLength:"800"`
		Email    string    `json:"email" maxLength:"254"`
		Role     omni.Role `json:"role" enum:"admin,supervisor,agent"`
		Password string    `json:"password,omitempty" maxLength:"1024"`
	}
}

type userPatch struct {
	RecordInput

	IfMatch string `header:"If-Match" maxLength:"40"`
	Body    struct {
		Name     *string    `json:"name,omitempty" maxLength:"800"`
		Role     *omni.Role `json:"role,omitempty" enum:"admin,supervisor,agent"`
		Disabled *bool      `json:"disabled,omitempty"`
	}
}

// linkLife is how long a new user's login link works.
const linkLife = 72 * time.Hour

func userRecord(u omni.User) *record[UserBody] {
	return &record[UserBody]{ETag: etag(u.Version), Body: newUser(u)}
}

func (s *Server) apiUsers() {
	register(s, endpoint{
		id: "user-list", method: http.MethodGet, path: "/api/v1/users", tag: "users", summary: "Users, by name",
	}, func(ctx context.Context, p auth.Principal, in *PageInput) (*listOutput[UserBody], error) {
		l, err := s.d.Store.Users(ctx, p.Tenant, page(in))
		if err != nil {
			return nil, err
		}
		return newList(l.Items, l.Next, func(u omni.User) UserBody {
			b := newUser(u)
			if p.Role != omni.RoleAdmin && u.ID != p.Tenant.UserID {
				b.Email = ""
			}
			return b
		}), nil
	})
	register(s, endpoint{
		id: "user-create", method: http.MethodPost, path: "/api/v1/users", tag: "users", status: http.StatusCreated,
		summary: "Add a user; without a password they get a login link",
	}, s.createUser)
	register(s, endpoint{
		id: "user-get", method: http.MethodGet, path: "/api/v1/users/{id}", tag: "users", summary: "A user",
		scope: map[string]string{"id": "user"},
	}, func(ctx context.Context, p auth.Principal, in *RecordInput) (*record[UserBody], error) {
		if err := knownID(in.ID); err != nil {
			return nil, err
		}
		u, err := s.d.Store.User(ctx, p.Tenant, in.ID)
		if err != nil {
			return nil, err
		}
		return userRecord(u), nil
	})
	register(s, endpoint{
		id: "user-update", method: http.MethodPatch, path: "/api/v1/users/{id}", tag: "users",
		summary: "Change a user's name or role, or remove them", scope: map[string]string{"id": "user"}, sample: `{"name":"Changed"}`,
	}, s.updateUser)
}

func (s *Server) createUser(ctx context.Context, p auth.Principal, in *userPost) (*record[NewUserBody], error) {
	u := omni.User{
		ID: omni.NewIDAt(s.now()), OrganisationID: p.Tenant.OrganisationID, Name: in.Body.Name,
		Email: strings.ToLower(strings.TrimSpace(in.Body.Email)), Role: in.Body.Role, Version: 1,
		CreatedAt: s.millis(), SchemaVersion: omni.CurrentSchema,
	}
	if err := u.Validate(); err != nil {
		return nil, err
	}
	if in.Body.Password != "" {
		var err error
		if u.PasswordHash, err = auth.HashPassword(in.Body.Password); err != nil {
			return nil, err
		}
	}
	if err := s.d.Store.CreateUser(ctx, p.Tenant, u); err != nil {
		return nil, inUse(err, "email", "is in use")
	}
	if err := s.audit(ctx, p, "user.create", u.ID, map[string]string{"role": string(u.Role)}); err != nil {
		return nil, err
	}
	s.changed(ctx, p.Tenant, "user", u.ID)
	out := &record[NewUserBody]{ETag: etag(u.Version), Body: NewUserBody{UserBody: newUser(u)}}
	if u.PasswordHash == "" {
		token, rec := auth.NewLoginToken(s.now(), u, linkLife)
		if err := s.d.Store.PutOneTimeToken(ctx, p.Tenant, rec); err != nil {
			return nil, err
		}
		out.Body.LoginLink = LoginLink(s.o.PublicURL, token)
	}
	return out, nil
}

// LoginLink is the address of a one-time login. The token stands behind #, so that it reaches no log.
func LoginLink(publicURL, token string) string { return publicURL + "/login#token=" + token }

func (s *Server) updateUser(ctx context.Context, p auth.Principal, in *userPatch) (*record[UserBody], error) {
	if err := knownID(in.ID); err != nil {
		return nil, err
	}
	v, err := version(in.IfMatch)
	if err != nil {
		return nil, err
	}
	u, err := s.d.Store.User(ctx, p.Tenant, in.ID)
	if err != nil {
		return nil, err
	}
	if u.Version != v {
		return nil, preconditionFailed("user")
	}
	before := u
	set(&u.Name, in.Body.Name)
	set(&u.Role, in.Body.Role)
	set(&u.Disabled, in.Body.Disabled)
	if u.ID == p.Tenant.UserID && (u.Disabled || u.Role != before.Role) {
		return nil, omni.Problemf(omni.ErrInvalid, "You cannot remove yourself or change your own role. Another admin can.")
	}
	if err := u.Validate(); err != nil {
		return nil, err
	}
	if u, err = s.d.Store.UpdateUser(ctx, p.Tenant, u); err != nil {
		return nil, staleAs("user", err)
	}
	s.auth.ForgetUser(u.ID)
	s.changed(ctx, p.Tenant, "user", u.ID)
	switch {
	case u.Disabled && !before.Disabled:
		if _, err := s.auth.EndUser(ctx, p.Tenant, u.ID); err != nil {
			return nil, err
		}
		s.closeUser(ctx, p.Tenant.OrganisationID, u.ID, hub.CloseRemoved, "removed")
		err = s.audit(ctx, p, "user.disable", u.ID, nil)
	case !u.Disabled && before.Disabled:
		err = s.audit(ctx, p, "user.enable", u.ID, nil)
	}
	if err == nil && u.Role != before.Role {
		s.regrant(ctx, p, []string{u.ID})
		err = s.audit(ctx, p, "user.role", u.ID, map[string]string{"from": string(before.Role), "to": string(u.Role)})
	}
	return userRecord(u), err
}
