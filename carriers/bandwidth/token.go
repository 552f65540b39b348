package bandwidth

import (
	"context"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"omniservice/carriers"
	"omniservice/omni"
)

// tokenPath is where access tokens are got: OAuth 2.0, client credentials (RFC 6749 §4.4).
const tokenPath = "/api/v1/oauth2/token" //nolint:gosec // a path

const (
	tokenMargin = time.Minute      // so long before its end a token is not used any more
	tokenLife   = 5 * time.Minute  // of a token that does not tell how long it is good for
	maxLife     = 7 * 24 * 60 * 60 // seconds; who says more is not believed
	maxToken    = 16 << 10         // bytes of a token
)

// tokens gets access tokens, and keeps one until shortly before its end. Methods are safe for concurrent use.
type tokens struct {
	address string
	user    string
	secret  omni.Secret
	http    *http.Client
	now     func() time.Time

	turn  chan struct{} // holds one entry while somebody looks at what follows, or gets a token
	token omni.Secret
	until time.Time
}

func newTokens(address, user string, secret omni.Secret, client *http.Client, now func() time.Time) *tokens {
	return &tokens{address: address, user: user, secret: secret, http: client, now: now, turn: make(chan struct{}, 1)}
}

// get gives a token. A failure is a *SendError of which nothing has reached the messages' API.
func (t *tokens) get(ctx context.Context) (omni.Secret, error) {
	select {
	case t.turn <- struct{}{}:
		defer func() { <-t.turn }()
	case <-ctx.Done():
		return omni.Secret{}, &carriers.SendError{Reason: omni.ReasonUnreachable, Err: ctx.Err()}
	}
	if !t.token.IsZero() && t.now().Before(t.until) {
		return t.token, nil
	}
	token, life, err := t.fetch(ctx)
	if err != nil {
		return omni.Secret{}, err
	}
	t.token, t.until = token, t.now().Add(life-min(tokenMargin, life/10))
	return token, nil
}

// drop forgets a token that was refused, unless there is another one by now.
func (t *tokens) drop(refused string) {
	t.turn <- struct{}{}
	defer func() { <-t.turn }()
	if subtle.ConstantTimeCompare([]byte(t.token.Reveal()), []byte(refused)) == 1 {
		t.token = omni.Secret{}
	}
}

func (t *tokens) fetch(ctx context.Context) (omni.Secret, time.Duration, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, t.address, strings.NewReader("grant_type=client_credentials"))
	if err != nil {
		return omni.Secret{}, 0, &carriers.SendError{Reason: omni.ReasonMisconfigured, Err: errors.New("the base of the API is not a URL")}
	}
	r.SetBasicAuth(t.user, t.secret.Reveal())
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Accept", "application/json")
	a, err := carriers.Exchange(t.http, r)
	if failure, ok := errors.AsType[*carriers.SendError](err); ok {
		failure.Reason = omni.ReasonUnreachable // whatever became of this request, the message has not gone out
		return omni.Secret{}, 0, failure
	}
	var answer struct {
		AccessToken string          `json:"access_token"`
		ExpiresIn   carriers.Scalar `json:"expires_in"`
		Error       carriers.Scalar `json:"error"`
	}
	readable := json.Unmarshal(a.Body, &answer) == nil
	switch {
	case a.Status/100 == 2 && readable && answer.AccessToken != "" && len(answer.AccessToken) <= maxToken:
	case a.Status/100 == 2, a.Status/100 == 5:
		return omni.Secret{}, 0, a.Refused(omni.ReasonUnreachable, "", t.now())
	default:
		reason := carriers.ReasonOfStatus(a.Status)
		if !reason.Retryable() {
			reason = omni.ReasonMisconfigured
		}
		return omni.Secret{}, 0, a.Refused(reason, word(string(answer.Error)), t.now())
	}
	life := tokenLife
	if n, err := strconv.Atoi(string(answer.ExpiresIn)); err == nil && n > 0 && n <= maxLife {
		life = time.Duration(n) * time.Second
	}
	return omni.NewSecret(answer.AccessToken), life, nil
}

// authorise puts the account's credentials into a request to the API. A failure is a *SendError.
func (c *Carrier) authorise(ctx context.Context, r *http.Request) error {
	if c.tokens == nil {
		r.SetBasicAuth(c.config.APIUser, c.config.APIPassword.Reveal())
		return nil
	}
	token, err := c.tokens.get(ctx)
	if err != nil {
		return err
	}
	r.Header.Set("Authorization", "Bearer "+token.Reveal())
	return nil
}

// call makes a request with the account's credentials. A token that is refused, since it was revoked, is replaced once:
// what is answered with 401 was not done. A failure is a *SendError.
func (c *Carrier) call(ctx context.Context, request func() (*http.Request, error)) (carriers.Answer, error) {
	for again := c.tokens != nil; ; again = false {
		r, err := request()
		if err != nil {
			return carriers.Answer{}, &carriers.SendError{Reason: omni.ReasonMisconfigured, Err: errors.New("the base of the API is not a URL")}
		}
		if err := c.authorise(ctx, r); err != nil {
			return carriers.Answer{}, err
		}
		a, err := carriers.Exchange(c.http, r)
		if err != nil || a.Status != http.StatusUnauthorized || !again {
			return a, err
		}
		c.tokens.drop(strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "))
	}
}
