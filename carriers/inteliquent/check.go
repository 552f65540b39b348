package inteliquent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"omniservice/carriers"
	"omniservice/omni"
)

// authorization is one address that Inteliquent posts webhooks to, and what it brings; or, without an address, a key to
// send with.
type authorization struct {
	WebhookURL  string          `json:"webhookUrl"`
	TN          carriers.Scalar `json:"tn"` // empty: the whole account's
	APIKey      omni.Secret     `json:"apiKey"`
	HeaderName  string          `json:"headerName"`
	HeaderValue omni.Secret     `json:"headerValue"`
}

// Check implements carriers.Checker. It asks which webhooks are configured: without one for a number, or one for the whole
// account, inbound messages are dropped, and nobody is told.
func (c *Carrier) Check(ctx context.Context) []carriers.Check {
	a, err := c.post(ctx, "/selectAuthorization", []byte("{}"))
	check := carriers.Check{Name: "credentials"}
	var said struct {
		Success    *bool `json:"success"`
		AuthConfig struct {
			Authorizations []authorization `json:"authorizations"`
		} `json:"authConfig"`
	}
	switch {
	case err != nil:
		check.Detail = "Inteliquent could not be reached."
		if failure, ok := errors.AsType[*carriers.SendError](err); ok {
			check.Detail += fmt.Sprintf(" (%v)", failure)
		}
	case a.Status == http.StatusUnauthorized || a.Status == http.StatusForbidden:
		check.Detail = fmt.Sprintf("Inteliquent does not take the outbound API key (%d): look at it in the customer portal.", a.Status)
	case a.Status/100 != 2:
		check.Detail = fmt.Sprintf("Inteliquent answered %d: look at the outbound API key, or try again later.", a.Status)
	case json.Unmarshal(a.Body, &said) != nil:
		check.Detail = "Inteliquent gave an answer that cannot be read: try again later."
	case said.Success != nil && !*said.Success:
		check.Detail = "Inteliquent refused to say which webhooks are configured: look at the outbound API key in the customer portal."
	default:
		check.OK, check.Detail = true, "Inteliquent takes the outbound API key."
		return []carriers.Check{check, c.checkWebhook(said.AuthConfig.Authorizations)}
	}
	return []carriers.Check{check}
}

// checkWebhook looks for our address among those that are configured.
func (c *Carrier) checkWebhook(all []authorization) carriers.Check {
	check := carriers.Check{Name: "webhook"}
	all = slices.DeleteFunc(all, func(a authorization) bool { return a.WebhookURL == "" })
	i := slices.IndexFunc(all, func(a authorization) bool { return a.WebhookURL == c.webhookURL })
	switch {
	case i < 0 && len(all) == 0:
		check.Detail = "No webhook is configured at Inteliquent, so inbound messages are dropped: configure this account's address (configureAuthorization)."
	case i < 0:
		check.Detail = "Webhooks are configured at Inteliquent, but none with this account's address: inbound messages do not come here."
	case !c.brings(all[i]):
		check.Detail = "Inteliquent posts to this account's address, but with other credentials than those that are set here: its webhooks would be refused."
	case all[i].TN != "" && !slices.ContainsFunc(all, func(a authorization) bool { return a.WebhookURL == c.webhookURL && a.TN == "" }):
		check.OK, check.Detail = true, "Inteliquent posts to this account's address for some numbers. For numbers without a webhook of their own it drops inbound messages."
	default:
		check.OK, check.Detail = true, "Inteliquent posts to this account's address."
	}
	return check
}

// brings reports whether a webhook would be taken. What Inteliquent does not show, or shows starred out, is taken to be
// right.
func (c *Carrier) brings(a authorization) bool {
	known := func(given omni.Secret, all []omni.Secret) bool {
		return given.IsZero() || strings.Contains(given.Reveal(), "*") || slices.ContainsFunc(all, func(s omni.Secret) bool { return same(given.Reveal(), s.Reveal()) == 1 })
	}
	switch c.config.Scheme {
	case schemePath:
		return true
	case schemeHeader:
		return (a.HeaderName == "" || http.CanonicalHeaderKey(a.HeaderName) == http.CanonicalHeaderKey(c.config.HeaderName)) &&
			known(a.HeaderValue, c.config.HeaderValues)
	default:
		return known(a.APIKey, c.config.APIKeys)
	}
}
