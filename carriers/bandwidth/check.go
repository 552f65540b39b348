package bandwidth

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"omniservice/carriers"
)

// Check implements carriers.Checker. It lists the account's files, which takes the same credentials as sending does.
// What cannot be asked for without a message is not checked: the application's id, and what its callbacks bring.
func (c *Carrier) Check(ctx context.Context) []carriers.Check {
	var all []carriers.Check
	if c.tokens != nil {
		check := carriers.Check{Name: "token", OK: true, Detail: "Bandwidth gives an access token for the client ID."}
		if _, err := c.tokens.get(ctx); err != nil {
			check.OK, check.Detail = false, "Bandwidth gives no access token for the client ID: are the ID and its secret right, and not expired? "+words(err)
			return []carriers.Check{check}
		}
		all = append(all, check)
	}
	a, err := c.call(ctx, func() (*http.Request, error) {
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, c.api+mediaPath+c.config.AccountID+"/media", http.NoBody)
		if err != nil {
			return nil, err
		}
		r.Header.Set("Accept", "application/json")
		return r, nil
	})
	check := carriers.Check{Name: "credentials"}
	switch {
	case err != nil:
		check.Detail = "Bandwidth could not be reached. " + words(err)
	case a.Status/100 == 2:
		check.OK, check.Detail = true, "Bandwidth takes the credentials for this account."
		if c.tokens == nil {
			check.Detail += " API users stop working on 2 December 2026: make an API credential and set its client ID and secret."
		}
	case a.Status == http.StatusUnauthorized:
		check.Detail = "Bandwidth does not take the credentials (401): look at them and at the account ID."
	case a.Status == http.StatusForbidden:
		check.Detail = "The credentials have no right to use messaging on this account (403): give them the role Messaging, and look at the account ID."
	case a.Status == http.StatusNotFound:
		check.Detail = "Bandwidth does not know the account ID (404)."
	default:
		check.Detail = fmt.Sprintf("Bandwidth answered %d: try again later.", a.Status)
	}
	return append(all, check)
}

// words says what a failure of a call was, for whoever sets the account up.
func words(err error) string {
	if failure, ok := errors.AsType[*carriers.SendError](err); ok {
		return fmt.Sprintf("(%v)", failure)
	}
	return ""
}
