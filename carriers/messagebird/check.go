package messagebird

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"omniservice/carriers"
)

// Check implements carriers.Checker. The balance is documented for the REST API alone; that the other products answer
// these questions is not, and the details say so.
func (c *Carrier) Check(ctx context.Context) []carriers.Check {
	switch c.config.product {
	case productConversations:
		return []carriers.Check{c.checkCall(ctx, "credentials", c.conversations+"/v1/conversations?limit=1", "The access key opens the Conversations API.")}
	case productBird:
		var all []carriers.Check
		for _, ch := range c.config.channels {
			all = append(all, c.checkCall(ctx, "channel", c.birdChannel(ch.id), "The access key opens the channel of "+ch.address+"."))
		}
		if len(all) == 0 {
			all = append(all, c.checkCall(ctx, "credentials", c.bird+"/workspaces/"+c.config.workspace+"/channels?limit=1", "The access key opens the workspace."))
		}
		return all
	default:
		return c.checkBalance(ctx)
	}
}

// checkBalance asks GET /balance.
func (c *Carrier) checkBalance(ctx context.Context) []carriers.Check {
	a, err := c.ask(ctx, http.MethodGet, c.rest+"/balance", nil)
	var balance struct {
		Payment string      `json:"payment"` // prepaid or postpaid
		Type    string      `json:"type"`    // credits or a currency
		Amount  json.Number `json:"amount"`
	}
	if detail := c.wrong(a, err); detail != "" {
		return []carriers.Check{{Name: "credentials", Detail: detail}}
	}
	key := carriers.Check{Name: "credentials", OK: true, Detail: "The access key is accepted."}
	if strings.HasPrefix(c.config.accessKeys[0].Reveal(), "test_") {
		key.OK, key.Detail = false, "The access key is one for tests: nothing that is sent reaches anybody. Use a live key."
	}
	if json.Unmarshal(a.Body, &balance) != nil {
		return []carriers.Check{key}
	}
	amount, err := balance.Amount.Float64()
	money := carriers.Check{Name: "balance", OK: balance.Payment != "prepaid" || err != nil || amount > 0, Detail: "There is a balance to send by."}
	if !money.OK {
		money.Detail = "The prepaid balance is used up. Top it up in MessageBird's dashboard; until then nothing is sent."
	}
	return []carriers.Check{key, money}
}

// checkCall asks whether a GET succeeds.
func (c *Carrier) checkCall(ctx context.Context, name, address, good string) carriers.Check {
	detail := c.wrong(c.ask(ctx, http.MethodGet, address, nil))
	if detail == "" {
		return carriers.Check{Name: name, OK: true, Detail: good}
	}
	return carriers.Check{Name: name, Detail: detail + " The carrier does not document this question for its product, so that only a test message is sure."}
}

// wrong puts into words why a question was not answered, "" if it was.
func (c *Carrier) wrong(a carriers.Answer, err error) string {
	var e *carriers.SendError
	switch {
	case errors.As(err, &e):
		return "MessageBird could not be reached. Look at the gateway's way to the Internet, and try again."
	case a.Status == http.StatusOK:
		return ""
	case a.Status == http.StatusUnauthorized || a.Status == http.StatusForbidden:
		return "The access key is not accepted. Copy a live key with the rights for this product from the developer settings; it is not the signing key."
	case a.Status == http.StatusNotFound:
		return "The carrier does not know it. Look at the product, the workspace id and the channel ids."
	case a.Status == http.StatusTooManyRequests:
		return "The carrier takes no more requests now. Try again in a minute."
	default:
		return fmt.Sprintf("The carrier answered with HTTP status %d. Try again later.", a.Status)
	}
}
