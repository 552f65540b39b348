package pipeline

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"omniservice/carriers"
	"omniservice/internal/httpout"
	"omniservice/omni"
)

// CheckHeader asks a webhook's address who is behind it, with something that was not asked before; the answer comes under the
// same name, and only gateways with our key know it.
const CheckHeader = "Omni-Check"

const (
	checkTime   = 9 * time.Second // for all of a check: a request has little more
	addressTime = 4 * time.Second // for our own address to answer
)

// Names of checks that are the gateway's own.
const (
	CheckSettings = "settings"
	CheckWebhook  = "webhook address"
)

// AnswerCheck is what a webhook's address answers to CheckHeader; "" if it may not.
func (p *Pipeline) AnswerCheck(publicID, asked string) string {
	if asked == "" || len(asked) > 100 {
		return ""
	}
	derived, err := p.keys.Derive("webhook check")
	if err != nil || len(derived) == 0 {
		return ""
	}
	mac := hmac.New(sha256.New, derived[0].Key)
	_, _ = io.WriteString(mac, publicID+"|"+asked)
	return hex.EncodeToString(mac.Sum(nil))
}

// Check finds out whether an account works: its settings, whether its webhook's address leads here, and what its carrier says.
// Nothing is sent to anybody.
func (p *Pipeline) Check(ctx context.Context, t omni.Tenant, accountID string) ([]carriers.Check, error) {
	rec, err := p.store.CarrierAccount(ctx, t, accountID)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, checkTime)
	defer cancel()
	return p.check(ctx, rec), nil
}

func (p *Pipeline) check(ctx context.Context, rec omni.CarrierAccount) []carriers.Check {
	if rec.Disabled {
		return []carriers.Check{{Name: CheckSettings, Detail: errNoAccount.Error() + "; enable it first"}}
	}
	a, err := p.open(rec)
	if err != nil {
		detail := "the settings cannot be used: correct them"
		if pr, ok := errors.AsType[*omni.Problem](err); ok {
			detail = pr.Message
			for field, text := range pr.Fields {
				detail += fmt.Sprintf("; %s %s", field, text)
			}
		}
		return []carriers.Check{{Name: CheckSettings, Detail: detail}}
	}
	all := []carriers.Check{{Name: CheckSettings, OK: true, Detail: "complete"}, p.checkAddress(ctx, rec)}
	if c, ok := a.Carrier.(carriers.Checker); ok {
		all = append(all, c.Check(ctx)...)
	}
	return all
}

// checkAddress asks the public address of an account's webhooks whether it leads to us.
func (p *Pipeline) checkAddress(ctx context.Context, rec omni.CarrierAccount) carriers.Check {
	c := carriers.Check{Name: CheckWebhook}
	address := p.WebhookURL(rec)
	u, err := url.Parse(address)
	if err != nil || u.Host == "" {
		c.Detail = "the public URL is not set: set OMNI_PUBLIC_URL to the address under which the world reaches this gateway"
		return c
	}
	ctx, cancel := context.WithTimeout(ctx, addressTime)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, address, http.NoBody)
	if err != nil {
		c.Detail = "the public URL cannot be used: " + u.Host
		return c
	}
	asked := omni.NewToken(16)
	r.Header.Set(CheckHeader, asked)
	client := p.o.HTTP
	if client == nil {
		client = http.DefaultClient
	}
	res, err := client.Do(r)
	switch {
	case errors.Is(err, httpout.ErrForbiddenAddress), errors.Is(err, httpout.ErrForbiddenURL):
		c.Detail = u.Scheme + "://" + u.Host + " is not an address that a carrier reaches: it has to be a public one, with https. Set OMNI_PUBLIC_URL"
		return c
	case err != nil:
		c.Detail = u.Host + " does not answer, or not with a certificate that is valid. If this machine cannot reach its own public address, try it from another one"
		return c
	}
	answer := res.Header.Get(CheckHeader)
	_, _ = io.CopyN(io.Discard, res.Body, 1<<10)
	_ = res.Body.Close()
	switch {
	case answer != "" && hmac.Equal([]byte(answer), []byte(p.AnswerCheck(rec.PublicID, asked))):
		c.OK, c.Detail = true, u.Host+" leads to this gateway"
	case res.StatusCode == http.StatusNotFound:
		c.Detail = u.Host + " leads to something that does not know this account: another program, or a gateway with other data"
	default:
		c.Detail = fmt.Sprintf("%s leads to something that is not this gateway; it answered with status %d. See whether a proxy lets /webhooks/ through, with its headers", u.Host, res.StatusCode)
	}
	return c
}
