package server

import (
	"context"
	"errors"
	"net/http"
	"time"

	"omniservice/omni"
	"omniservice/server/auth"
)

// Names of the cookies of a browser's login.
const (
	refreshCookie = "omni_refresh" // HttpOnly, sent to auth only
	csrfCookie    = "omni_csrf"    // read by the page, which sends it back as X-CSRF-Token
	refreshPath   = "/api/v1/auth"
)

// SessionBody is a login.
type SessionBody struct {
	AccessToken  string           `json:"accessToken" doc:"For the Authorization header; lives 15 minutes"`
	ExpiresAt    omni.Millis      `json:"expiresAt"`
	RefreshToken string           `json:"refreshToken,omitempty" doc:"Programs only; works once. Browsers get it as a cookie"`
	User         UserBody         `json:"user"`
	Organisation OrganisationBody `json:"organisation"`
}

type loginInput struct {
	Body struct {
		Email        string `json:"email,omitempty" maxLength:"254"`
		Password     string `json:"password,omitempty" maxLength:"1024"`
		LoginToken   string `json:"loginToken,omitempty" maxLength:"200" doc:"From a login link, instead of e-mail and password"`
		Programmatic bool   `json:"programmatic,omitempty" doc:"Answer the refresh token in the body instead of cookies"`
	}
}

// RefreshInput is what shows a refresh token: a cookie with its CSRF token, or the body.
type RefreshInput struct {
	Refresh    string `cookie:"omni_refresh" maxLength:"200"`
	CSRFCookie string `cookie:"omni_csrf" maxLength:"200"`
	CSRFHeader string `header:"X-CSRF-Token" maxLength:"200"`
	Body       *struct {
		RefreshToken string `json:"refreshToken,omitempty" maxLength:"200"`
	} `required:"false"`
}

type logoutInput struct {
	RefreshInput

	Authorization string `header:"Authorization" maxLength:"4200" doc:"Says which session to end where there is no refresh token"`
}

// token returns the refresh token, and whether it came in a cookie.
func (in *RefreshInput) token() (token string, cookie bool, err error) {
	if in.Body != nil && in.Body.RefreshToken != "" {
		return in.Body.RefreshToken, false, nil
	}
	if in.Refresh != "" && !auth.CheckCSRF(in.Refresh, in.CSRFCookie, in.CSRFHeader) {
		return "", true, omni.Problemf(omni.ErrForbidden, "The header X-CSRF-Token must hold the cookie %s.", csrfCookie)
	}
	return in.Refresh, true, nil
}

type sessionOutput struct {
	SetCookie []http.Cookie `header:"Set-Cookie"`
	Body      SessionBody
}

type cookiesOutput struct {
	SetCookie []http.Cookie `header:"Set-Cookie"`
}

type passwordInput struct {
	Body struct {
		Current  string `json:"current,omitempty" maxLength:"1024" doc:"Needed if a password is set"`
		Password string `json:"password" maxLength:"1024" doc:"At least 12 characters"`
	}
}

func (s *Server) apiAuth() {
	register(s, endpoint{
		id: "auth-login", method: http.MethodPost, path: "/api/v1/auth/login", tag: "auth",
		summary: "Log in with e-mail and password, or with a login link's token",
	}, s.login)
	register(s, endpoint{
		id: "auth-refresh", method: http.MethodPost, path: "/api/v1/auth/refresh", tag: "auth",
		summary: "Exchange the refresh token, which works once, for a new login",
	}, s.refresh)
	register(s, endpoint{
		id: "auth-logout", method: http.MethodPost, path: "/api/v1/auth/logout", tag: "auth", status: http.StatusNoContent,
		summary: "End the session and its sockets",
	}, s.logout)
	register(s, endpoint{
		id: "auth-password", method: http.MethodPost, path: "/api/v1/auth/password", tag: "auth", status: http.StatusNoContent,
		summary: "Set one's own password; ends all other sessions",
	}, s.setPassword)
}

func (s *Server) login(ctx context.Context, _ auth.Principal, in *loginInput) (*sessionOutput, error) {
	var l auth.Login
	var err error
	switch b := in.Body; {
	case b.LoginToken != "" && b.Email == "" && b.Password == "":
		l, err = s.auth.Link(ctx, b.LoginToken, peerOf(ctx))
	case b.LoginToken == "" && b.Email != "" && b.Password != "":
		l, err = s.auth.Password(ctx, b.Email, b.Password, peerOf(ctx))
	default:
		return nil, omni.Problemf(omni.ErrInvalid, "Give email and password, or loginToken.")
	}
	if err != nil {
		return nil, err
	}
	return s.session(ctx, l, !in.Body.Programmatic)
}

func (s *Server) refresh(ctx context.Context, _ auth.Principal, in *RefreshInput) (*sessionOutput, error) {
	token, cookie, err := in.token()
	if err != nil {
		return nil, err
	}
	l, err := s.auth.Refresh(ctx, token, peerOf(ctx))
	if err != nil {
		if reused, ok := errors.AsType[*auth.ReusedError](err); ok {
			s.closeSession(ctx, reused.Tenant.OrganisationID, reused.SessionID, "session ended")
		}
		if cookie && token != "" && errors.Is(err, omni.ErrUnauthenticated) {
			h := http.Header{}
			for _, c := range s.noCookies() {
				h.Add("Set-Cookie", c.String())
			}
			err = &withHeader{h, err}
		}
		return nil, err
	}
	return s.session(ctx, l, cookie)
}

func (s *Server) logout(ctx context.Context, _ auth.Principal, in *logoutInput) (*cookiesOutput, error) {
	token, _, err := in.token()
	if err != nil {
		return nil, err
	}
	p, err := s.auth.Owner(ctx, token)
	if err != nil {
		return nil, err
	}
	if access, ok := bearer(in.Authorization); ok && p.SessionID == "" {
		// Who is logged out already is logged out.
		if p, err = s.auth.Access(ctx, access); err != nil && !errors.Is(err, omni.ErrUnauthenticated) {
			return nil, err
		}
	}
	if err := s.auth.Logout(ctx, p); err != nil {
		return nil, err
	}
	if p.SessionID != "" {
		s.closeSession(ctx, p.Tenant.OrganisationID, p.SessionID, "logged out")
	}
	return &cookiesOutput{SetCookie: s.noCookies()}, nil
}

func (s *Server) setPassword(ctx context.Context, p auth.Principal, in *passwordInput) (*cookiesOutput, error) {
	u, err := s.d.Store.User(ctx, p.Tenant, p.Tenant.UserID)
	if err != nil {
		return nil, err
	}
	if u.PasswordHash != "" {
		if err := s.auth.CheckCurrent(ctx, u, in.Body.Current, peerOf(ctx)); err != nil {
			return nil, err
		}
	}
	if u.PasswordHash, err = auth.HashPassword(in.Body.Password); err != nil {
		return nil, err
	}
	if u, err = s.d.Store.UpdateUser(ctx, p.Tenant, u); err != nil {
		return nil, err
	}
	if err := s.audit(ctx, p, "user.password", u.ID, nil); err != nil {
		return nil, err
	}
	ended, err := s.auth.EndUser(ctx, p.Tenant, u.ID)
	if err != nil {
		return nil, err
	}
	l, err := s.auth.Begin(ctx, u, "password change")
	if err != nil {
		return nil, err
	}
	for _, id := range ended {
		s.closeSession(ctx, p.Tenant.OrganisationID, id, "password changed")
	}
	return &cookiesOutput{SetCookie: s.cookies(l)}, nil
}

func (s *Server) session(ctx context.Context, l auth.Login, cookie bool) (*sessionOutput, error) {
	org, err := s.d.Store.Organisation(ctx, l.Principal.Tenant)
	if err != nil {
		return nil, err
	}
	out := &sessionOutput{Body: SessionBody{
		AccessToken: l.Access, ExpiresAt: l.AccessExpires, User: newUser(l.User), Organisation: newOrganisation(org),
	}}
	if cookie {
		out.SetCookie = s.cookies(l)
	} else {
		out.Body.RefreshToken = l.Refresh
	}
	return out, nil
}

// cookies are a browser's login.
func (s *Server) cookies(l auth.Login) []http.Cookie {
	age := int(time.Duration(l.RefreshExpires-s.millis()) * time.Millisecond / time.Second)
	return []http.Cookie{s.cookie(refreshCookie, l.Refresh, age), s.cookie(csrfCookie, auth.CSRF(l.Refresh), age)}
}

// noCookies take it away.
func (s *Server) noCookies() []http.Cookie {
	return []http.Cookie{s.cookie(refreshCookie, "", -1), s.cookie(csrfCookie, "", -1)}
}

func (s *Server) cookie(name, value string, age int) http.Cookie {
	c := http.Cookie{ //nolint:gosec // Secure wherever the gateway is reached by https; the page has to read the CSRF token
		Name: name, Value: value, Path: "/", MaxAge: age, Secure: s.https, SameSite: http.SameSiteStrictMode,
	}
	if name == refreshCookie {
		c.Path, c.HttpOnly = refreshPath, true
	}
	return c
}
