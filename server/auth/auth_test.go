package auth_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"omniservice/hub/membus"
	"omniservice/omni"
	"omniservice/server/auth"
	"omniservice/store"
	"omniservice/store/sqlitestore"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	issuer   = "https://chat.example.com"
	password = "correct horse battery"
	peer     = "192.0.2.7"
)

// clock is a time that a test moves.
type clock struct {
	mu sync.Mutex
	t  time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

func (c *clock) Add(d time.Duration) {
	c.mu.Lock()
	c.t = c.t.Add(d)
	c.mu.Unlock()
}

type fixture struct {
	t     *testing.T
	store *sqlitestore.Store
	bus   *membus.Bus
	clock *clock
	auth  *auth.Service
	user  omni.User
	log   *bytes.Buffer
}

func accessKey() auth.Key {
	return auth.Key{ID: "a1", Algorithm: auth.HS256, Secret: bytes.Repeat([]byte("a"), 32)}
}

func visitorKey() auth.Key {
	return auth.Key{ID: "v1", Algorithm: auth.HS256, Secret: bytes.Repeat([]byte("v"), 32)}
}

// hashed is the password's hash, made once: it costs what it costs.
var hashed = sync.OnceValue(func() string {
	h, err := auth.HashPassword(password)
	if err != nil {
		panic(err)
	}
	return h
})

func setUp(t *testing.T) *fixture {
	t.Helper()
	ctx := t.Context()
	st, err := sqlitestore.New(ctx, sqlitestore.Memory, sqlitestore.Options{})
	require.NoError(t, err)
	bus := membus.New(membus.Options{})
	f := &fixture{t: t, store: st, bus: bus, clock: &clock{t: time.Now()}, log: &bytes.Buffer{}}
	t.Cleanup(func() { require.NoError(t, errors.Join(bus.Close(), st.Close())) })
	f.auth, err = auth.New(st, bus, auth.Options{
		Issuer: issuer, AccessKeys: []auth.Key{accessKey()}, VisitorKeys: []auth.Key{visitorKey()}, Now: f.clock.Now,
		Log: slog.New(slog.NewJSONHandler(f.log, nil)),
	})
	require.NoError(t, err)
	org := omni.Organisation{ID: omni.NewID(), Name: "Org", Version: 1, CreatedAt: 1, SchemaVersion: omni.CurrentSchema}
	require.NoError(t, st.CreateOrganisation(ctx, org))
	f.user = omni.User{
		ID: omni.NewID(), OrganisationID: org.ID, Email: "ana@example.com", Name: "Ana", Role: omni.RoleAgent,
		PasswordHash: hashed(), Version: 1, CreatedAt: 1, SchemaVersion: omni.CurrentSchema,
	}
	require.NoError(t, st.CreateUser(ctx, omni.Org(org.ID), f.user))
	return f
}

func (f *fixture) login() auth.Login {
	f.t.Helper()
	l, err := f.auth.Password(f.t.Context(), f.user.Email, password, peer)
	require.NoError(f.t, err)
	return l
}

func TestPasswordHash(t *testing.T) {
	t.Parallel()
	h, err := auth.HashPassword(password)
	require.NoError(t, err)
	require.True(t, strings.HasPrefix(h, "$argon2id$v=19$m=19456,t=2,p=1$"), h)
	again, err := auth.HashPassword(password)
	require.NoError(t, err)
	require.NotEqual(t, h, again, "each hash has its own salt")

	for name, bad := range map[string]string{"short": "eleven char", "long": strings.Repeat("x", 257), "not UTF-8": strings.Repeat("\xff", 20)} {
		_, err := auth.HashPassword(bad)
		require.ErrorIs(t, err, omni.ErrInvalid, name)
	}
}

func TestSec_A7_X13_LoginTellsNothingAndIsLimited(t *testing.T) {
	t.Parallel()
	f := setUp(t)
	ctx := t.Context()
	none := omni.User{
		ID: omni.NewID(), OrganisationID: f.user.OrganisationID, Email: "none@example.com", Name: "None", Role: omni.RoleAgent,
		Version: 1, CreatedAt: 1, SchemaVersion: omni.CurrentSchema,
	}
	require.NoError(t, f.store.CreateUser(ctx, omni.Org(f.user.OrganisationID), none))
	gone := none
	gone.ID, gone.Email, gone.Disabled, gone.PasswordHash = omni.NewID(), "gone@example.com", true, hashed()
	require.NoError(t, f.store.CreateUser(ctx, omni.Org(f.user.OrganisationID), gone))

	texts := map[string]bool{}
	for _, c := range []struct{ email, password string }{
		{"ana@example.com", "wrong password"},
		{"nobody@example.com", password},
		{"none@example.com", ""},
		{"gone@example.com", password},
		{"ana@example.com", strings.Repeat("x", 5000)},
	} {
		_, err := f.auth.Password(ctx, c.email, c.password, peer)
		require.ErrorIs(t, err, omni.ErrUnauthenticated, c.email)
		var p *omni.Problem
		require.ErrorAs(t, err, &p)
		texts[p.Message] = true
	}
	require.Len(t, texts, 1, "the same words for every failure")

	// 2 failures so far at ana's account: 3 more, and the right password is not looked at any more.
	for range 3 {
		_, err := f.auth.Password(ctx, "ana@example.com", "wrong password", "192.0.2.9")
		require.ErrorIs(t, err, omni.ErrUnauthenticated)
	}
	_, err := f.auth.Password(ctx, "ANA@example.com ", password, "192.0.2.10")
	require.ErrorIs(t, err, omni.ErrRateLimited)
	var p *omni.Problem
	require.ErrorAs(t, err, &p)
	require.Positive(t, p.RetryAfter)
	f.clock.Add(13 * time.Second)
	_, err = f.auth.Password(ctx, "ana@example.com", password, "192.0.2.10")
	require.NoError(t, err)
}

// Whether there is such a user cannot be told by the clock: a password is looked at in each case.
func TestSec_A7_X13_UnknownUsersTakeAsLong(t *testing.T) {
	t.Parallel()
	f := setUp(t)
	known, unknown := time.Duration(math.MaxInt64), time.Duration(math.MaxInt64)
	for range 9 { // in turns, and the shortest of each: what else this machine does disturbs both
		for email, shortest := range map[string]*time.Duration{f.user.Email: &known, "nobody@example.com": &unknown} {
			begin := time.Now()
			_, err := f.auth.Password(t.Context(), email, "wrong password", peer)
			*shortest = min(*shortest, time.Since(begin))
			require.ErrorIs(t, err, omni.ErrUnauthenticated)
		}
		f.clock.Add(time.Minute)
	}
	require.Greater(t, unknown, known/2)
	require.Less(t, unknown, known*2)
}

func TestSec_A7_FailuresOfOneAddressAreLimited(t *testing.T) {
	t.Parallel()
	f := setUp(t)
	for i := range 20 {
		_, err := f.auth.Link(t.Context(), fmt.Sprint("guess", i), peer)
		require.ErrorIs(t, err, omni.ErrUnauthenticated)
	}
	_, err := f.auth.Link(t.Context(), "guess", peer)
	require.ErrorIs(t, err, omni.ErrRateLimited)
	_, err = f.auth.Link(t.Context(), "guess", "198.51.100.1")
	require.ErrorIs(t, err, omni.ErrUnauthenticated, "another address is not concerned")
}

func TestSuccessesAreNotLimited(t *testing.T) {
	t.Parallel()
	f := setUp(t)
	for range 8 {
		f.login()
	}
}

func TestLoginLinkWorksOnce(t *testing.T) {
	t.Parallel()
	f := setUp(t)
	token, rec := auth.NewLoginToken(f.clock.Now(), f.user, time.Hour)
	require.NotContains(t, fmt.Sprint(rec), token, "only the hash is kept")
	require.NoError(t, f.store.PutOneTimeToken(t.Context(), omni.Org(f.user.OrganisationID), rec))
	l, err := f.auth.Link(t.Context(), token, peer)
	require.NoError(t, err)
	require.Equal(t, f.user.ID, l.User.ID)
	_, err = f.auth.Link(t.Context(), token, peer)
	require.ErrorIs(t, err, omni.ErrUnauthenticated)

	token, rec = auth.NewLoginToken(f.clock.Now(), f.user, time.Hour)
	require.NoError(t, f.store.PutOneTimeToken(t.Context(), omni.Org(f.user.OrganisationID), rec))
	f.clock.Add(61 * time.Minute)
	_, err = f.auth.Link(t.Context(), token, peer)
	require.ErrorIs(t, err, omni.ErrUnauthenticated)
}

func TestSec_A5_RefreshIsSingleUseAndReuseEndsTheFamily(t *testing.T) {
	t.Parallel()
	f := setUp(t)
	ctx := t.Context()
	first := f.login()
	second, err := f.auth.Refresh(ctx, first.Refresh, peer)
	require.NoError(t, err)
	require.NotEqual(t, first.Refresh, second.Refresh)
	_, err = f.auth.Access(ctx, second.Access)
	require.NoError(t, err)

	// A guess at the secret of a known session neither works nor ends it.
	id, _, _ := strings.Cut(second.Refresh, ".")
	_, err = f.auth.Refresh(ctx, id+"."+omni.NewToken(32), peer)
	require.ErrorIs(t, err, omni.ErrUnauthenticated)
	third, err := f.auth.Refresh(ctx, second.Refresh, peer)
	require.NoError(t, err)

	_, err = f.auth.Refresh(ctx, first.Refresh, peer)
	require.ErrorIs(t, err, omni.ErrUnauthenticated)
	var reused *auth.ReusedError
	require.ErrorAs(t, err, &reused)
	require.Equal(t, id, reused.SessionID)
	_, err = f.auth.Refresh(ctx, third.Refresh, peer)
	require.ErrorIs(t, err, omni.ErrUnauthenticated, "the whole family has ended")
	_, err = f.auth.Access(ctx, third.Access)
	require.ErrorIs(t, err, omni.ErrUnauthenticated)
}

func TestSec_A5_OfTwoRefreshesAtOnceOneWins(t *testing.T) {
	t.Parallel()
	f := setUp(t)
	l := f.login()
	var wg sync.WaitGroup
	var mu sync.Mutex
	won := 0
	for range 4 {
		wg.Go(func() {
			if _, err := f.auth.Refresh(t.Context(), l.Refresh, peer); err == nil {
				mu.Lock()
				won++
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	require.LessOrEqual(t, won, 1)
}

func TestSec_A5_AccessTokensLiveAQuarterOfAnHour(t *testing.T) {
	t.Parallel()
	f := setUp(t)
	l := f.login()
	require.Equal(t, omni.MillisOf(f.clock.Now().Add(15*time.Minute)), l.AccessExpires)
	f.clock.Add(15 * time.Minute)
	_, err := f.auth.Access(t.Context(), l.Access)
	require.NoError(t, err, "clocks may differ by a minute")
	f.clock.Add(61 * time.Second)
	_, err = f.auth.Access(t.Context(), l.Access)
	require.ErrorIs(t, err, omni.ErrUnauthenticated)
	_, err = auth.New(f.store, f.bus, auth.Options{
		Issuer: issuer, AccessKeys: []auth.Key{accessKey()}, VisitorKeys: []auth.Key{visitorKey()}, AccessTTL: 15*time.Minute + 1,
	})
	require.ErrorIs(t, err, omni.ErrInvalid, "nor can more be set")
}

func TestSec_A5_LogoutAndRemovalAreNoticed(t *testing.T) {
	t.Parallel()
	f := setUp(t)
	ctx := t.Context()
	l := f.login()
	p, err := f.auth.Access(ctx, l.Access)
	require.NoError(t, err)
	require.Equal(t, omni.RoleAgent, p.Role)
	require.Equal(t, f.user.ID, p.Tenant.UserID)

	// Another node ends it: within CheckEvery it is noticed here.
	require.NoError(t, f.store.EndSession(ctx, p.Tenant, p.SessionID, 1))
	f.clock.Add(2 * time.Second)
	_, err = f.auth.Check(ctx, p)
	require.ErrorIs(t, err, omni.ErrUnauthenticated)

	l = f.login()
	p, err = f.auth.Access(ctx, l.Access)
	require.NoError(t, err)
	require.NoError(t, f.auth.Logout(ctx, p))
	_, err = f.auth.Check(ctx, p)
	require.ErrorIs(t, err, omni.ErrUnauthenticated, "this node notices at once")

	l = f.login()
	p, err = f.auth.Access(ctx, l.Access)
	require.NoError(t, err)
	u := f.user
	u.Disabled = true
	_, err = f.store.UpdateUser(ctx, p.Tenant, u)
	require.NoError(t, err)
	f.clock.Add(2 * time.Second)
	_, err = f.auth.Check(ctx, p)
	require.ErrorIs(t, err, omni.ErrUnauthenticated)
	_, err = f.auth.Refresh(ctx, l.Refresh, peer)
	require.ErrorIs(t, err, omni.ErrUnauthenticated)
}

func TestRoleIsReadAnew(t *testing.T) {
	t.Parallel()
	f := setUp(t)
	l := f.login()
	u := f.user
	u.Role, u.Name = omni.RoleAdmin, "Ana B"
	_, err := f.store.UpdateUser(t.Context(), omni.Org(u.OrganisationID), u)
	require.NoError(t, err)
	f.auth.ForgetUser(u.ID)
	p, err := f.auth.Access(t.Context(), l.Access)
	require.NoError(t, err)
	require.Equal(t, omni.RoleAdmin, p.Role)
	require.Equal(t, "Ana B", p.Name)
}

// forge makes a token with any header, signed with HS256 by secret.
func forge(header, claims map[string]any, secret []byte) string {
	enc := func(v any) string {
		b, _ := json.Marshal(v)
		return base64.RawURLEncoding.EncodeToString(b)
	}
	signed := enc(header) + "." + enc(claims)
	sig, err := jwt.SigningMethodHS256.Sign(signed, secret)
	if err != nil {
		panic(err)
	}
	return signed + "." + base64.RawURLEncoding.EncodeToString(sig)
}

func TestSec_A4_X5_Tokens(t *testing.T) {
	t.Parallel()
	f := setUp(t)
	l := f.login()
	now := f.clock.Now()
	header := func(change ...any) map[string]any {
		h := map[string]any{"alg": "HS256", "typ": "JWT", "kid": "a1"}
		for i := 0; i < len(change); i += 2 {
			if change[i+1] == nil {
				delete(h, change[i].(string))
				continue
			}
			h[change[i].(string)] = change[i+1]
		}
		return h
	}
	claims := func(change ...any) map[string]any {
		c := map[string]any{
			"iss": issuer, "aud": "omniservice", "sub": f.user.ID, "org": f.user.OrganisationID, "sid": l.Principal.SessionID,
			"iat": now.Unix(), "nbf": now.Unix(), "exp": now.Add(time.Minute).Unix(),
		}
		for i := 0; i < len(change); i += 2 {
			if change[i+1] == nil {
				delete(c, change[i].(string))
				continue
			}
			c[change[i].(string)] = change[i+1]
		}
		return c
	}
	secret := accessKey().Secret
	public, private, err := ed25519.GenerateKey(nil)
	require.NoError(t, err)
	pub, err := json.Marshal(public)
	require.NoError(t, err)
	none := func() string {
		s, err := jwt.NewWithClaims(jwt.SigningMethodNone, jwt.MapClaims(claims())).SignedString(jwt.UnsafeAllowNoneSignatureType)
		require.NoError(t, err)
		return s
	}
	foreign := func() string {
		token := jwt.NewWithClaims(jwt.SigningMethodEdDSA, jwt.MapClaims(claims()))
		token.Header["kid"] = "a1"
		s, err := token.SignedString(private)
		require.NoError(t, err)
		return s
	}
	visitor, _, err := f.auth.NewVisitor(omni.Visitor{ID: omni.NewToken(16), OrganisationID: f.user.OrganisationID, DigitalChannelID: omni.NewID()})
	require.NoError(t, err)

	good := forge(header(), claims(), secret)
	_, err = f.auth.Access(t.Context(), good)
	require.NoError(t, err, "the forger makes good tokens too")
	_, err = f.auth.Access(t.Context(), forge(header(), claims("exp", now.Add(-59*time.Second).Unix(), "nbf", now.Add(59*time.Second).Unix()), secret))
	require.NoError(t, err, "60 s of leeway")

	for name, token := range map[string]string{
		"empty":                  "",
		"garbage":                "a.b.c",
		"none":                   none(),
		"wrong secret":           forge(header(), claims(), bytes.Repeat([]byte("b"), 32)),
		"alg none with HMAC":     forge(header("alg", "none"), claims(), secret),
		"alg HS512":              forge(header("alg", "HS512"), claims(), secret),
		"alg RS256":              forge(header("alg", "RS256"), claims(), secret),
		"alg of another key":     foreign(),
		"public key as secret":   forge(header(), claims(), pub),
		"no kid":                 forge(header("kid", nil), claims(), secret),
		"unknown kid":            forge(header("kid", "zz"), claims(), secret),
		"kid is a path":          forge(header("kid", "../../a1"), claims(), secret),
		"kid is a URL":           forge(header("kid", "https://evil.example/k"), claims(), secret),
		"kid is no string":       forge(header("kid", 1), claims(), secret),
		"jku":                    forge(header("jku", "https://evil.example/jwks"), claims(), secret),
		"x5u":                    forge(header("x5u", "https://evil.example/x"), claims(), secret),
		"jwk":                    forge(header("jwk", map[string]any{"kty": "oct"}), claims(), secret),
		"crit":                   forge(header("crit", []string{"exp"}), claims(), secret),
		"no exp":                 forge(header(), claims("exp", nil), secret),
		"no nbf":                 forge(header(), claims("nbf", nil), secret),
		"no iss":                 forge(header(), claims("iss", nil), secret),
		"no aud":                 forge(header(), claims("aud", nil), secret),
		"other iss":              forge(header(), claims("iss", "https://evil.example"), secret),
		"other aud":              forge(header(), claims("aud", "omniservice-livechat"), secret),
		"ended":                  forge(header(), claims("exp", now.Add(-61*time.Second).Unix()), secret),
		"not yet":                forge(header(), claims("nbf", now.Add(61*time.Second).Unix()), secret),
		"no session":             forge(header(), claims("sid", nil), secret),
		"unknown session":        forge(header(), claims("sid", omni.NewID()), secret),
		"session of another":     forge(header(), claims("sub", omni.NewID()), secret),
		"of another org":         forge(header(), claims("org", omni.NewID()), secret),
		"a visitor's":            visitor,
		"too long":               good + strings.Repeat("x", 5000),
		"signature padded":       good + "=",
		"refresh token as token": l.Refresh,
	} {
		_, err := f.auth.Access(t.Context(), token)
		require.ErrorIs(t, err, omni.ErrUnauthenticated, name)
		require.Equal(t, omni.CodeUnauthenticated, omni.CodeOf(err), name)
	}
	_, err = f.auth.Visitor(l.Access)
	require.ErrorIs(t, err, omni.ErrUnauthenticated, "an access token is no visitor's token")
}

func TestSec_A4_ShortSecretsStopTheStart(t *testing.T) {
	t.Parallel()
	short := auth.Key{ID: "k", Algorithm: auth.HS256, Secret: bytes.Repeat([]byte("x"), 31)}
	for name, keys := range map[string][]auth.Key{
		"none": nil, "short": {short}, "path as id": {{ID: "../k", Algorithm: auth.HS256, Secret: bytes.Repeat([]byte("x"), 32)}},
		"unknown algorithm": {{ID: "k", Algorithm: "RS256", Secret: bytes.Repeat([]byte("x"), 32)}}, "twice": {accessKey(), accessKey()},
		"public key only": {{ID: "k", Algorithm: auth.EdDSA, Public: make([]byte, 32)}},
	} {
		_, err := auth.NewTokens(issuer, "aud", time.Now, keys...)
		require.Error(t, err, name)
		require.NotContains(t, err.Error(), "xxxx", name)
	}
}

func TestSec_A6_KeysRotateWithoutARestart(t *testing.T) {
	t.Parallel()
	public, private, err := ed25519.GenerateKey(nil)
	require.NoError(t, err)
	fresh := auth.Key{ID: "a2", Algorithm: auth.EdDSA, Public: public, Private: private}
	tokens, err := auth.NewTokens(issuer, "aud", time.Now, accessKey())
	require.NoError(t, err)
	before, err := tokens.Sign(auth.Claims{OrganisationID: "o"}, time.Now().Add(time.Minute))
	require.NoError(t, err)
	require.NoError(t, tokens.Rotate(fresh, accessKey()))
	after, err := tokens.Sign(auth.Claims{OrganisationID: "o"}, time.Now().Add(time.Minute))
	require.NoError(t, err)
	for _, token := range []string{before, after} {
		_, err := tokens.Verify(token)
		require.NoError(t, err)
	}
	require.NoError(t, tokens.Rotate(fresh))
	_, err = tokens.Verify(before)
	require.ErrorIs(t, err, omni.ErrUnauthenticated)
}

func TestSec_S2_X6_TicketsWorkOnce(t *testing.T) {
	t.Parallel()
	f := setUp(t)
	ctx := t.Context()
	l := f.login()
	ticket, ends, err := f.auth.NewTicket(ctx, l.Principal)
	require.NoError(t, err)
	require.Equal(t, omni.MillisOf(f.clock.Now().Add(30*time.Second)), ends)
	var wg sync.WaitGroup
	got := make(chan auth.Principal, 10)
	for range 10 {
		wg.Go(func() {
			if p, err := f.auth.TakeTicket(ctx, ticket); err == nil {
				got <- p
			}
		})
	}
	wg.Wait()
	require.Len(t, got, 1)
	p := <-got
	require.Equal(t, f.user.ID, p.Tenant.UserID)
	require.Equal(t, l.AccessExpires, p.ExpiresAt)

	ticket, _, err = f.auth.NewTicket(ctx, l.Principal)
	require.NoError(t, err)
	require.NoError(t, f.auth.Logout(ctx, l.Principal))
	_, err = f.auth.TakeTicket(ctx, ticket)
	require.ErrorIs(t, err, omni.ErrUnauthenticated, "a ticket does not outlive its session")
	for _, bad := range []string{"", "guess", strings.Repeat("x", 1000)} {
		_, err = f.auth.TakeTicket(ctx, bad)
		require.ErrorIs(t, err, omni.ErrUnauthenticated)
	}
}

func TestAPIKeys(t *testing.T) {
	t.Parallel()
	f := setUp(t)
	ctx := t.Context()
	key, rec := auth.NewAPIKey(f.clock.Now(), f.user.OrganisationID, "robot", omni.RoleService, omni.MillisOf(f.clock.Now().Add(time.Hour)))
	require.NoError(t, rec.Validate())
	require.NotContains(t, fmt.Sprint(rec), key)
	require.NoError(t, f.store.CreateAPIKey(ctx, omni.Org(f.user.OrganisationID), rec))
	p, err := f.auth.Bearer(ctx, key)
	require.NoError(t, err)
	require.Equal(t, omni.Tenant{OrganisationID: f.user.OrganisationID, UserID: rec.ID}, p.Tenant)
	require.Equal(t, omni.RoleService, p.Role)

	// As a socket remembers it: by id alone.
	again, err := f.auth.Check(ctx, auth.Principal{Tenant: p.Tenant, KeyID: rec.ID})
	require.NoError(t, err)
	require.Equal(t, p, again)
	_, err = f.auth.Check(ctx, auth.Principal{Tenant: omni.Org(omni.NewID()), KeyID: rec.ID})
	require.ErrorIs(t, err, omni.ErrUnauthenticated)

	_, err = f.auth.Bearer(ctx, key[:len(key)-1]+"x")
	require.ErrorIs(t, err, omni.ErrUnauthenticated)
	f.clock.Add(61 * time.Minute)
	_, err = f.auth.Bearer(ctx, key)
	require.ErrorIs(t, err, omni.ErrUnauthenticated, "its time is over")

	key, rec = auth.NewAPIKey(f.clock.Now(), f.user.OrganisationID, "robot", omni.RoleService, 0)
	require.NoError(t, f.store.CreateAPIKey(ctx, omni.Org(f.user.OrganisationID), rec))
	_, err = f.auth.Bearer(ctx, key)
	require.NoError(t, err)
	require.NoError(t, f.store.DeleteAPIKey(ctx, omni.Org(f.user.OrganisationID), rec.ID))
	f.auth.Forget(auth.Principal{KeyID: rec.ID})
	_, err = f.auth.Bearer(ctx, key)
	require.ErrorIs(t, err, omni.ErrUnauthenticated)
}

func TestSec_S9_VisitorTokens(t *testing.T) {
	t.Parallel()
	f := setUp(t)
	v := omni.Visitor{ID: omni.NewToken(16), OrganisationID: f.user.OrganisationID, DigitalChannelID: omni.NewID()}
	token, ends, err := f.auth.NewVisitor(v)
	require.NoError(t, err)
	require.Equal(t, omni.MillisOf(f.clock.Now().Add(30*24*time.Hour)), ends)
	p, err := f.auth.Visitor(token)
	require.NoError(t, err)
	require.Equal(t, v, *p.Visitor)
	require.Equal(t, omni.RoleVisitor, p.Role)
	ticket, _, err := f.auth.NewTicket(t.Context(), p)
	require.NoError(t, err)
	taken, err := f.auth.TakeTicket(t.Context(), ticket)
	require.NoError(t, err)
	require.Equal(t, v, *taken.Visitor)
	f.clock.Add(30*24*time.Hour + 2*time.Minute)
	_, err = f.auth.Visitor(token)
	require.ErrorIs(t, err, omni.ErrUnauthenticated)
}

func TestSec_A11_CSRFBelongsToTheRefreshToken(t *testing.T) {
	t.Parallel()
	good := auth.CSRF("session.secret")
	require.True(t, auth.CheckCSRF("session.secret", good, good))
	for _, c := range [][3]string{
		{"session.secret", good, ""},
		{"session.secret", "", good},
		{"session.secret", "", ""},
		{"session.secret", "planted", "planted"},
		{"session.other", good, good},
	} {
		require.False(t, auth.CheckCSRF(c[0], c[1], c[2]))
	}
}

func TestSec_K3_X10_LogsHoldNoSecrets(t *testing.T) {
	t.Parallel()
	f := setUp(t)
	l := f.login()
	_, err := f.auth.Refresh(t.Context(), l.Refresh, peer)
	require.NoError(t, err)
	_, err = f.auth.Refresh(t.Context(), l.Refresh, peer)
	require.Error(t, err)
	_, err = f.auth.Password(t.Context(), f.user.Email, "canary password", peer)
	require.Error(t, err)
	require.NotEmpty(t, f.log.String(), "the reuse was logged")
	for _, canary := range []string{l.Access, l.Refresh, password, "canary", f.user.Email, f.user.Name, peer} {
		require.NotContains(t, f.log.String(), canary)
		require.NotContains(t, err.Error(), canary)
	}
	records, err := f.store.AuditRecords(context.WithoutCancel(t.Context()), omni.Org(f.user.OrganisationID), store.Page{})
	require.NoError(t, err)
	var actions []string
	for _, r := range records.Items {
		actions = append(actions, r.Action)
		require.NotContains(t, fmt.Sprint(r), "canary")
	}
	require.ElementsMatch(t, []string{"login", "session.reused", "login.failed"}, actions)
}

func FuzzAccessToken(f *testing.F) {
	tokens, err := auth.NewTokens(issuer, "aud", time.Now, accessKey())
	require.NoError(f, err)
	good, err := tokens.Sign(auth.Claims{OrganisationID: "o"}, time.Now().Add(time.Hour))
	require.NoError(f, err)
	f.Add(good)
	f.Add("eyJhbGciOiJub25lIn0.e30.")
	f.Add("..")
	f.Fuzz(func(t *testing.T, token string) {
		_, err := tokens.Verify(token)
		if token != good {
			require.ErrorIs(t, err, omni.ErrUnauthenticated)
		}
	})
}
