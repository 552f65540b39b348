package auth

import (
	"context"
	"crypto/hmac"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"omniservice/omni"
	"omniservice/store"
)

// Store is what logins need of the store.
type Store interface {
	store.Users
	store.Sessions
	store.Audit
	UserByEmail(ctx context.Context, email string) (omni.User, error)
	SessionByID(ctx context.Context, id string) (omni.Session, error)
	APIKeyByHash(ctx context.Context, hash string) (omni.APIKey, error)
	TakeOneTimeToken(ctx context.Context, hash string, now omni.Millis) (omni.OneTimeToken, error)
}

// Bus is what tickets and limits need of the bus.
type Bus interface {
	PutOnce(ctx context.Context, key string, value []byte, ttl time.Duration) error
	TakeOnce(ctx context.Context, key string) ([]byte, error)
	Allow(ctx context.Context, key string, n int, rate float64, burst int) (ok bool, retryAfter time.Duration, err error)
}

// Options sets the service up. The zero value needs the keys only.
type Options struct {
	Issuer      string // iss of every token: the public URL
	AccessKeys  []Key  // the first signs
	VisitorKeys []Key
	AccessTTL   time.Duration // 0 means 15 minutes, which is the most
	RefreshTTL  time.Duration // 0 means 30 days after the last refresh
	VisitorTTL  time.Duration // 0 means 30 days
	TicketTTL   time.Duration // 0 means 30 s
	CheckEvery  time.Duration // how long a session counts as good without looking again; 0 means 2 s
	Now         func() time.Time
	Log         *slog.Logger
}

// The audiences of our tokens: one is never taken for the other.
const (
	accessAudience  = "omniservice"
	visitorAudience = "omniservice-livechat"
)

// Service logs people and programs in. It is safe for concurrent use.
type Service struct {
	store     Store
	bus       Bus
	o         Options
	now       func() time.Time
	access    *Tokens
	visitors  *Tokens
	passwords *passwords
	failures  *failures

	mu     sync.Mutex
	seen   map[string]sighting
	hashes map[string]string // id of an API key to its hash, of the keys that were used here
}

// sighting is when a login or key was last looked at, and what was seen.
type sighting struct {
	at  time.Time
	p   Principal
	err error
}

// maxSeen bounds what is remembered of logins: 1 entry each.
const maxSeen = 20_000

// New makes the service.
func New(st Store, bus Bus, o Options) (*Service, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	defaults := []struct {
		d *time.Duration
		v time.Duration
	}{
		{&o.AccessTTL, 15 * time.Minute},
		{&o.RefreshTTL, 30 * 24 * time.Hour},
		{&o.VisitorTTL, 30 * 24 * time.Hour},
		{&o.TicketTTL, 30 * time.Second},
		{&o.CheckEvery, 2 * time.Second},
	}
	for _, d := range defaults {
		if *d.d == 0 {
			*d.d = d.v
		}
	}
	if o.AccessTTL > 15*time.Minute {
		return nil, fmt.Errorf("access tokens must not live longer than 15 minutes: %w", omni.ErrInvalid)
	}
	if o.Issuer == "" {
		return nil, fmt.Errorf("tokens need an issuer: %w", omni.ErrInvalid)
	}
	access, err := NewTokens(o.Issuer, accessAudience, o.Now, o.AccessKeys...)
	if err != nil {
		return nil, fmt.Errorf("access tokens: %w", err)
	}
	visitors, err := NewTokens(o.Issuer, visitorAudience, o.Now, o.VisitorKeys...)
	if err != nil {
		return nil, fmt.Errorf("visitor tokens: %w", err)
	}
	return &Service{
		store: st, bus: bus, o: o, now: o.Now, access: access, visitors: visitors,
		passwords: newPasswords(max(2, runtime.GOMAXPROCS(0))),
		failures:  &failures{bus: bus, now: o.Now, buckets: map[string]bucket{}}, seen: map[string]sighting{}, hashes: map[string]string{},
	}, nil
}

// RotateKeys replaces the signing keys of access and visitor tokens: see Tokens.Rotate.
func (s *Service) RotateKeys(access, visitors []Key) error {
	return errors.Join(s.access.Rotate(access...), s.visitors.Rotate(visitors...))
}

func (s *Service) millis() omni.Millis { return omni.MillisOf(s.now()) }

// Login is a session that has just begun or gone on.
type Login struct {
	Access         string
	AccessExpires  omni.Millis
	Refresh        string // sessionID.secret; works once
	RefreshExpires omni.Millis
	User           omni.User
	Principal      Principal
}

// Password logs in by e-mail address and password. addr is the peer's address, for the limit.
//
// An unknown user, one without a password, a disabled one and a wrong password are the same omni.ErrUnauthenticated
// after the same time. Too many failures are omni.ErrRateLimited.
func (s *Service) Password(ctx context.Context, email, password, addr string) (Login, error) {
	email = strings.ToLower(strings.TrimSpace(email))
	t, err := s.failures.begin(addr, "login/"+Hash(email))
	if err != nil {
		return Login{}, err
	}
	u, err := s.store.UserByEmail(ctx, email)
	if err != nil && !errors.Is(err, omni.ErrNotFound) {
		t.forgive()
		return Login{}, fmt.Errorf("find the user who logs in: %w", err)
	}
	ok, err := s.passwords.verify(ctx, u.PasswordHash, password)
	if err != nil {
		t.forgive()
		return Login{}, err
	}
	if !ok || u.ID == "" || u.Disabled {
		t.failed(ctx)
		if u.ID != "" {
			s.audit(ctx, omni.Org(u.OrganisationID), u.ID, "login.failed", u.ID, nil)
		}
		p := omni.Problemf(omni.ErrUnauthenticated, "The e-mail address or the password is wrong.")
		p.Err = errors.New("wrong login")
		return Login{}, p
	}
	t.forgive()
	return s.Begin(ctx, u, "password")
}

// Link logs in by a one-time token.
func (s *Service) Link(ctx context.Context, token, addr string) (Login, error) {
	t, err := s.failures.begin(addr, "")
	if err != nil {
		return Login{}, err
	}
	used := omni.Problemf(omni.ErrUnauthenticated, "This login link has been used or has ended. Ask for a new one.")
	rec, err := s.store.TakeOneTimeToken(ctx, Hash(token), s.millis())
	switch {
	case errors.Is(err, omni.ErrNotFound):
		t.failed(ctx)
		return Login{}, used
	case err != nil:
		t.forgive()
		return Login{}, fmt.Errorf("take a login link: %w", err)
	case rec.Purpose != PurposeLogin:
		return Login{}, used
	}
	u, err := s.store.User(ctx, omni.Org(rec.OrganisationID), rec.UserID)
	if err != nil {
		return Login{}, fmt.Errorf("find the user of a login link: %w", err)
	}
	if u.Disabled {
		return Login{}, used
	}
	t.forgive()
	return s.Begin(ctx, u, "link")
}

// Begin starts a session of a user who has shown who they are; by says how, for the audit.
func (s *Service) Begin(ctx context.Context, u omni.User, by string) (Login, error) {
	now := s.millis()
	id := omni.NewIDAt(s.now())
	refresh := id + "." + omni.NewToken(32)
	rec := omni.Session{
		ID: id, OrganisationID: u.OrganisationID, UserID: u.ID, RefreshHash: Hash(refresh),
		CreatedAt: now, ExpiresAt: now.Add(s.o.RefreshTTL),
	}
	t := omni.Tenant{OrganisationID: u.OrganisationID, UserID: u.ID}
	if err := s.store.CreateSession(ctx, t, rec); err != nil {
		return Login{}, fmt.Errorf("begin a session: %w", err)
	}
	s.audit(ctx, t, u.ID, "login", id, map[string]string{"by": by})
	return s.login(u, rec, refresh)
}

func (s *Service) login(u omni.User, rec omni.Session, refresh string) (Login, error) {
	p := Principal{
		Tenant: omni.Tenant{OrganisationID: u.OrganisationID, UserID: u.ID}, Role: u.Role, Name: u.Name, SessionID: rec.ID,
	}
	access, ends, err := s.NewAccess(p)
	if err != nil {
		return Login{}, err
	}
	p.ExpiresAt = ends
	return Login{
		Access: access, AccessExpires: ends, Refresh: refresh, RefreshExpires: rec.ExpiresAt, User: u, Principal: p,
	}, nil
}

// NewAccess makes an access token of a user's principal.
func (s *Service) NewAccess(p Principal) (string, omni.Millis, error) {
	end := s.now().Add(s.o.AccessTTL)
	c := Claims{OrganisationID: p.Tenant.OrganisationID, SessionID: p.SessionID}
	c.Subject = p.Tenant.UserID
	token, err := s.access.Sign(c, end)
	return token, omni.MillisOf(end), err
}

var errSessionOver = errors.New("the session is over")

// Refresh exchanges a refresh token for a new pair. A token that was used before ends its session: one of the two who
// had it is not who they say.
func (s *Service) Refresh(ctx context.Context, refresh, addr string) (Login, error) {
	if refresh == "" { // nothing was guessed, so nothing is counted
		return Login{}, unauthenticated("there is no refresh token")
	}
	id, _, ok := strings.Cut(refresh, ".")
	if !ok || !omni.ValidID(id) || len(refresh) > 200 {
		id = ""
	}
	account := ""
	if id != "" {
		account = "refresh/" + id
	}
	t, err := s.failures.begin(addr, account)
	if err != nil {
		return Login{}, err
	}
	l, err := s.refresh(ctx, id, refresh)
	if errors.Is(err, omni.ErrUnauthenticated) {
		t.failed(ctx)
	} else {
		t.forgive()
	}
	return l, err
}

func (s *Service) refresh(ctx context.Context, id, refresh string) (Login, error) {
	if id == "" {
		return Login{}, unauthenticated("the refresh token is malformed")
	}
	rec, err := s.store.SessionByID(ctx, id)
	if errors.Is(err, omni.ErrNotFound) {
		return Login{}, unauthenticated("there is no such session")
	}
	if err != nil {
		return Login{}, fmt.Errorf("find session %s: %w", id, err)
	}
	tenant := omni.Tenant{OrganisationID: rec.OrganisationID, UserID: rec.UserID}
	hash := Hash(refresh)
	if rec.EndedAt > 0 || rec.ExpiresAt <= s.millis() {
		return Login{}, unauthenticated("the session is over")
	}
	if !hmac.Equal([]byte(hash), []byte(rec.RefreshHash)) {
		return Login{}, s.refuse(ctx, tenant, rec, hash)
	}
	u, err := s.store.User(ctx, tenant, rec.UserID)
	if err != nil && !errors.Is(err, omni.ErrNotFound) {
		return Login{}, fmt.Errorf("find the user of session %s: %w", id, err)
	}
	if err != nil || u.Disabled {
		return Login{}, unauthenticated("the user was removed")
	}
	next := id + "." + omni.NewToken(32)
	rotated, err := s.store.RotateSession(ctx, tenant, id, hash, Hash(next), s.millis().Add(s.o.RefreshTTL))
	switch {
	case errors.Is(err, omni.ErrConflict): // a twin was faster
		return Login{}, s.endFamily(ctx, tenant, id)
	case errors.Is(err, omni.ErrNotFound):
		return Login{}, unauthenticated("the session is over")
	case err != nil:
		return Login{}, fmt.Errorf("rotate session %s: %w", id, err)
	}
	return s.login(u, rotated, next)
}

// refuse answers a refresh token that is not the current one: if it was once, the whole session ends.
func (s *Service) refuse(ctx context.Context, t omni.Tenant, rec omni.Session, hash string) error {
	if slices.ContainsFunc(rec.PreviousHashes, func(h string) bool { return hmac.Equal([]byte(h), []byte(hash)) }) {
		return s.endFamily(ctx, t, rec.ID)
	}
	return unauthenticated("the refresh token is wrong")
}

// ReusedError is the cause of an error about a refresh token that came twice: its session has ended, and the caller
// closes its sockets.
type ReusedError struct {
	Tenant    omni.Tenant
	SessionID string
}

// Error implements error.
func (*ReusedError) Error() string { return "the refresh token was used before" }

func (s *Service) endFamily(ctx context.Context, t omni.Tenant, id string) error {
	if err := s.store.EndSession(ctx, t, id, s.millis()); err != nil && !errors.Is(err, omni.ErrNotFound) {
		return fmt.Errorf("end session %s: %w", id, err)
	}
	s.Forget(Principal{SessionID: id})
	s.audit(ctx, t, t.UserID, "session.reused", id, nil)
	s.o.Log.WarnContext(ctx, "refresh token used twice", "org_id", t.OrganisationID, "reason", "session ended")
	p := omni.Problemf(omni.ErrUnauthenticated, "Log in again.")
	p.Err = &ReusedError{Tenant: t, SessionID: id}
	return p
}

// Owner returns whose session a refresh token belongs to, for logging out. It is zero unless the token is the current one.
func (s *Service) Owner(ctx context.Context, refresh string) (Principal, error) {
	id, _, ok := strings.Cut(refresh, ".")
	if !ok || !omni.ValidID(id) {
		return Principal{}, nil
	}
	rec, err := s.store.SessionByID(ctx, id)
	if errors.Is(err, omni.ErrNotFound) {
		return Principal{}, nil
	}
	if err != nil {
		return Principal{}, fmt.Errorf("find session %s: %w", id, err)
	}
	if !hmac.Equal([]byte(Hash(refresh)), []byte(rec.RefreshHash)) {
		return Principal{}, nil
	}
	return Principal{Tenant: omni.Tenant{OrganisationID: rec.OrganisationID, UserID: rec.UserID}, SessionID: id}, nil
}

// Logout ends a session. One that has ended is no error.
func (s *Service) Logout(ctx context.Context, p Principal) error {
	if p.SessionID == "" {
		return nil
	}
	err := s.store.EndSession(ctx, p.Tenant, p.SessionID, s.millis())
	s.Forget(p)
	if err != nil && !errors.Is(err, omni.ErrNotFound) {
		return fmt.Errorf("end session %s: %w", p.SessionID, err)
	}
	s.audit(ctx, p.Tenant, p.Tenant.UserID, "logout", p.SessionID, nil)
	return nil
}

// EndUser ends all sessions of a user and returns their ids.
func (s *Service) EndUser(ctx context.Context, t omni.Tenant, userID string) ([]string, error) {
	ids, err := s.store.EndSessions(ctx, t, userID, s.millis())
	if err != nil {
		return nil, fmt.Errorf("end the sessions of user %s: %w", userID, err)
	}
	for _, id := range ids {
		s.Forget(Principal{SessionID: id})
	}
	return ids, nil
}

// CheckCurrent reports whether password is the one that u has now. Failures count like those of a login.
func (s *Service) CheckCurrent(ctx context.Context, u omni.User, password, addr string) error {
	t, err := s.failures.begin(addr, "login/"+Hash(u.Email))
	if err != nil {
		return err
	}
	ok, err := s.passwords.verify(ctx, u.PasswordHash, password)
	if err != nil {
		t.forgive()
		return err
	}
	if !ok {
		t.failed(ctx)
		p := omni.Problemf(omni.ErrInvalid, "The current password is wrong.")
		p.Fields = map[string]string{"current": "is wrong"}
		return p
	}
	t.forgive()
	return nil
}

// Bearer turns what stands in an Authorization header, without "Bearer ", into a principal: an access token or an API key.
// Anything wrong with it is omni.ErrUnauthenticated; omni.ErrUnavailable means that it could not be looked at.
func (s *Service) Bearer(ctx context.Context, credential string) (Principal, error) {
	if strings.HasPrefix(credential, keyPrefix) {
		return s.APIKey(ctx, credential)
	}
	return s.Access(ctx, credential)
}

// Access turns an access token into a principal.
func (s *Service) Access(ctx context.Context, token string) (Principal, error) {
	c, err := s.access.Verify(token)
	if err != nil {
		return Principal{}, err
	}
	if !omni.ValidID(c.SessionID) || !omni.ValidID(c.Subject) || !omni.ValidID(c.OrganisationID) {
		return Principal{}, unauthenticated("the token is not an access token")
	}
	return s.Check(ctx, Principal{
		Tenant:    omni.Tenant{OrganisationID: c.OrganisationID, UserID: c.Subject},
		SessionID: c.SessionID, ExpiresAt: omni.MillisOf(c.ExpiresAt.Time),
	})
}

// APIKey turns an API key into a principal.
func (s *Service) APIKey(ctx context.Context, key string) (Principal, error) {
	if !strings.HasPrefix(key, keyPrefix) || len(key) > 200 {
		return Principal{}, unauthenticated("the API key is malformed")
	}
	return s.keyByHash(ctx, Hash(key))
}

func (s *Service) keyByHash(ctx context.Context, hash string) (Principal, error) {
	return s.look("h/"+hash, func() (Principal, error) {
		k, err := s.store.APIKeyByHash(ctx, hash)
		if errors.Is(err, omni.ErrNotFound) {
			return Principal{}, unauthenticated("there is no such API key")
		}
		if err != nil {
			return Principal{}, fmt.Errorf("find an API key: %w", err)
		}
		if k.ExpiresAt > 0 && k.ExpiresAt <= s.millis() {
			return Principal{}, unauthenticated("the API key has ended")
		}
		s.mu.Lock()
		s.hashes[k.ID] = hash
		s.mu.Unlock()
		return Principal{
			Tenant: omni.Tenant{OrganisationID: k.OrganisationID, UserID: k.ID}, Role: k.Role, Name: k.Name,
			KeyID: k.ID, ExpiresAt: k.ExpiresAt, keyHash: hash,
		}, nil
	})
}

// keyAgain looks again at an API key that was let in: its hash is in the principal, or this node has seen it.
func (s *Service) keyAgain(ctx context.Context, p Principal) (Principal, error) {
	hash := p.keyHash
	if hash == "" {
		s.mu.Lock()
		hash = s.hashes[p.KeyID]
		s.mu.Unlock()
	}
	got, err := s.keyByHash(ctx, hash)
	if err != nil {
		return Principal{}, err
	}
	if got.Tenant != p.Tenant {
		return Principal{}, unauthenticated("the key is of another organisation")
	}
	return got, nil
}

// Check looks again at a principal that was good before: a session that ended, a user who was removed, a key that was
// deleted and a token that has ended are omni.ErrUnauthenticated. The answer has the role and name of now.
func (s *Service) Check(ctx context.Context, p Principal) (Principal, error) {
	if p.ExpiresAt > 0 && p.ExpiresAt.Add(Leeway) <= s.millis() {
		return Principal{}, unauthenticated("the token has ended")
	}
	switch {
	case p.Visitor != nil:
		return p, nil // the channel is looked at by whoever serves visitors
	case p.KeyID != "":
		return s.keyAgain(ctx, p)
	case p.SessionID == "":
		return Principal{}, unauthenticated("nobody is logged in")
	}
	got, err := s.look(p.key(), func() (Principal, error) { return s.session(ctx, p) })
	if err != nil {
		return Principal{}, err
	}
	if got.Tenant != p.Tenant {
		return Principal{}, unauthenticated("the token is of another user")
	}
	got.ExpiresAt = p.ExpiresAt
	return got, nil
}

func (s *Service) session(ctx context.Context, p Principal) (Principal, error) {
	rec, err := s.store.SessionByID(ctx, p.SessionID)
	if errors.Is(err, omni.ErrNotFound) {
		return Principal{}, unauthenticated("there is no such session")
	}
	if err != nil {
		return Principal{}, fmt.Errorf("find session %s: %w", p.SessionID, err)
	}
	if rec.EndedAt > 0 || rec.ExpiresAt <= s.millis() {
		return Principal{}, unauthenticated(errSessionOver.Error())
	}
	t := omni.Tenant{OrganisationID: rec.OrganisationID, UserID: rec.UserID}
	u, err := s.store.User(ctx, t, rec.UserID)
	if errors.Is(err, omni.ErrNotFound) || err == nil && u.Disabled {
		return Principal{}, unauthenticated("the user was removed")
	}
	if err != nil {
		return Principal{}, fmt.Errorf("find the user of session %s: %w", p.SessionID, err)
	}
	return Principal{Tenant: t, Role: u.Role, Name: u.Name, SessionID: rec.ID}, nil
}

// look returns what find found, not asked more often than CheckEvery. A store that is away is not remembered.
func (s *Service) look(key string, find func() (Principal, error)) (Principal, error) {
	now := s.now()
	s.mu.Lock()
	got, ok := s.seen[key]
	s.mu.Unlock()
	if ok && now.Sub(got.at) < s.o.CheckEvery && !now.Before(got.at) {
		return got.p, got.err
	}
	p, err := find()
	if err != nil && !errors.Is(err, omni.ErrUnauthenticated) {
		return Principal{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.seen) >= maxSeen {
		for k, v := range s.seen {
			if now.Sub(v.at) >= s.o.CheckEvery {
				delete(s.seen, k)
			}
		}
		if len(s.seen) >= maxSeen {
			clear(s.seen)
		}
	}
	s.seen[key] = sighting{at: now, p: p, err: err}
	return p, err
}

// Forget makes the next Check of a session or key look into the store.
func (s *Service) Forget(p Principal) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if p.KeyID == "" {
		delete(s.seen, p.key())
		return
	}
	for k, v := range s.seen {
		if v.p.KeyID == p.KeyID {
			delete(s.seen, k)
		}
	}
}

// ForgetUser makes the next Check of every session of a user look into the store.
func (s *Service) ForgetUser(userID string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for k, v := range s.seen {
		if v.p.Tenant.UserID == userID {
			delete(s.seen, k)
		}
	}
}

// NewTicket makes a ticket for a socket of p: one use, TicketTTL.
func (s *Service) NewTicket(ctx context.Context, p Principal) (string, omni.Millis, error) {
	value, err := json.Marshal(ticket{
		Tenant: p.Tenant, SessionID: p.SessionID, KeyID: p.KeyID, KeyHash: p.keyHash, Visitor: p.Visitor, ExpiresAt: p.ExpiresAt,
	})
	if err != nil {
		return "", 0, fmt.Errorf("encode a ticket: %w", err)
	}
	token := omni.NewToken(32)
	if err := s.bus.PutOnce(ctx, "ticket/"+Hash(token), value, s.o.TicketTTL); err != nil {
		return "", 0, fmt.Errorf("keep a ticket: %w", err)
	}
	return token, s.millis().Add(s.o.TicketTTL), nil
}

// TakeTicket turns a ticket into its principal, once.
func (s *Service) TakeTicket(ctx context.Context, token string) (Principal, error) {
	if token == "" || len(token) > 200 {
		return Principal{}, unauthenticated("the ticket is malformed")
	}
	value, err := s.bus.TakeOnce(ctx, "ticket/"+Hash(token))
	if errors.Is(err, omni.ErrNotFound) {
		return Principal{}, unauthenticated("the ticket was used or has ended")
	}
	if err != nil {
		return Principal{}, fmt.Errorf("take a ticket: %w", err)
	}
	var t ticket
	if err := json.Unmarshal(value, &t); err != nil {
		return Principal{}, fmt.Errorf("decode a ticket: %w", err)
	}
	p := Principal{Tenant: t.Tenant, SessionID: t.SessionID, KeyID: t.KeyID, keyHash: t.KeyHash, Visitor: t.Visitor, ExpiresAt: t.ExpiresAt}
	if p.Visitor != nil {
		p.Role = omni.RoleVisitor
	}
	return s.Check(ctx, p)
}

// NewVisitor makes the token of a website visitor.
func (s *Service) NewVisitor(v omni.Visitor) (string, omni.Millis, error) {
	end := s.now().Add(s.o.VisitorTTL)
	token, err := s.visitors.Sign(Claims{
		RegisteredClaims: jwt.RegisteredClaims{Subject: v.ID}, OrganisationID: v.OrganisationID, ChannelID: v.DigitalChannelID,
	}, end)
	return token, omni.MillisOf(end), err
}

// Visitor turns a visitor's token into a principal.
func (s *Service) Visitor(token string) (Principal, error) {
	c, err := s.visitors.Verify(token)
	if err != nil {
		return Principal{}, err
	}
	if len(c.Subject) != 32 || !omni.ValidID(c.ChannelID) || !omni.ValidID(c.OrganisationID) {
		return Principal{}, unauthenticated("the token is not a visitor's")
	}
	return Principal{
		Tenant: omni.Org(c.OrganisationID), Role: omni.RoleVisitor, ExpiresAt: omni.MillisOf(c.ExpiresAt.Time),
		Visitor: &omni.Visitor{ID: c.Subject, OrganisationID: c.OrganisationID, DigitalChannelID: c.ChannelID},
	}, nil
}

func (s *Service) audit(ctx context.Context, t omni.Tenant, actor, action, target string, details map[string]string) {
	err := s.store.AppendAudit(ctx, t, omni.AuditRecord{
		ID: omni.NewIDAt(s.now()), OrganisationID: t.OrganisationID, ActorID: actor, Action: action, TargetID: target,
		Details: details, At: s.millis(),
	})
	if err != nil {
		s.o.Log.ErrorContext(ctx, "audit record lost", "org_id", t.OrganisationID, "op", action, "err", err)
	}
}
