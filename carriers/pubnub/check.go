package pubnub

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"omniservice/carriers"
	"omniservice/omni"
)

// maxOff is how far our clock may be from PubNub's where requests are signed.
const maxOff = time.Minute

// Check implements carriers.Checker: it asks PubNub for the time, and for the history of a channel, which needs the subscribe
// key, the token or the signature, and Message Persistence. The publish key cannot be tried without publishing.
func (c *Carrier) Check(ctx context.Context) []carriers.Check {
	return []carriers.Check{c.checkTime(ctx), c.checkHistory(ctx), c.checkAccess()}
}

func (c *Carrier) checkTime(ctx context.Context) carriers.Check {
	out := carriers.Check{Name: "clock"}
	a, err := c.exchange(ctx, call{method: http.MethodGet, path: "/time/0"})
	if err != nil {
		out.Detail = "PubNub does not answer: " + words(err)
		return out
	}
	body, err := readJSON(a.Body)
	var at omni.Millis
	for element := range body.elements() {
		at = timeOf(element.digits())
		break
	}
	if err != nil || at == 0 {
		out.Detail = "What answers is not PubNub: look at the proxy between."
		return out
	}
	off := time.Duration(int64(omni.MillisOf(c.now()))-int64(at)) * time.Millisecond
	out.OK = off.Abs() < maxOff
	out.Detail = "The clocks are " + off.Abs().Round(time.Second).String() + " apart."
	if !out.OK {
		out.Detail += " Set the clock of this machine: PubNub refuses signatures that are off by a minute."
	}
	return out
}

func (c *Carrier) checkHistory(ctx context.Context) carriers.Check {
	out := carriers.Check{Name: "credentials"}
	_, err := c.exchange(ctx, call{
		method: http.MethodGet, query: map[string]string{"max": "1"},
		path: "/v3/history/sub-key/" + escape(c.config.subscribeKey) + "/channel/" + escape(c.config.checkChannel),
	})
	switch {
	case err == nil:
		out.OK, out.Detail = true, "PubNub takes the subscribe key, and gives the history of the channel for checks."
	case answered(err, http.StatusForbidden):
		out.Detail = "PubNub refuses to give the history of the channel for checks: the token lacks read on it or has expired, the secret " +
			"key is wrong, or Access Manager is on and there is neither."
	case answered(err, http.StatusBadRequest):
		out.Detail = "PubNub does not know the subscribe key. Copy it from the keyset again."
	default:
		out.Detail = "PubNub gives no history: " + words(err) + " Reactions, receipts and catching up need Message Persistence on the keyset."
	}
	return out
}

// checkAccess tells what the keyset is not protected from: whoever has the app has its publish key.
func (c *Carrier) checkAccess() carriers.Check {
	out := carriers.Check{Name: "access"}
	switch {
	case !c.config.auth.IsZero():
		out.OK, out.Detail = true, "Requests carry an Access Manager token."
	case c.config.signs():
		out.OK, out.Detail = true, "Requests are signed with the secret key. A token that grants less is better."
	default:
		out.Detail = "There is neither a token nor a secret key: unless Access Manager is on, anybody with the app can write as anybody."
	}
	return out
}

// words puts a failed request into words that hold no secret.
func words(err error) string {
	failure, ok := errors.AsType[*carriers.SendError](err)
	switch {
	case !ok:
		return "the request failed."
	case failure.Code != "":
		if n, err := strconv.Atoi(failure.Code); err == nil {
			return fmt.Sprintf("status %d.", n)
		}
	}
	return "it cannot be reached."
}
