package e2e

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"omniservice/omni"
)

// Event is what the Test carrier's webhooks hold.
type Event struct {
	Kind      string      `json:"kind"` // message, status or reaction
	ID        string      `json:"id"`
	Channel   string      `json:"channel,omitempty"` // SMS if left out
	From      string      `json:"from"`
	To        string      `json:"to"`
	Text      string      `json:"text,omitempty"`
	Fragment  *Part       `json:"fragment,omitempty"`
	ReplyTo   string      `json:"replyTo,omitempty"`   // the carrier's id of a message
	MessageID string      `json:"messageId,omitempty"` // ours
	Reaction  string      `json:"reaction,omitempty"`
	At        omni.Millis `json:"at,omitempty"`
}

// Part says which part of a longer text an event is.
type Part struct {
	Reference string `json:"reference"`
	Index     int    `json:"index"` // from 1
	Total     int    `json:"total"`
}

// Play posts events to an account of the Test carrier, signed as its documentation says: t=<unix seconds>,v1=<hex
// HMAC-SHA256 of the time, a dot and the body>.
func (a *Account) Play(t testing.TB, events ...Event) {
	t.Helper()
	body, err := json.Marshal(map[string]any{"events": events})
	require.NoError(t, err)
	now := strconv.FormatInt(time.Now().Add(time.Duration(a.Org.sys.clock.Load())).Unix(), 10)
	mac := hmac.New(sha256.New, []byte(a.AuthToken))
	mac.Write([]byte(now + "."))
	mac.Write(body)
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, a.Org.sys.Local(a.WebhookURL), bytes.NewReader(body))
	require.NoError(t, err)
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("X-Omni-Test-Signature", "t="+now+",v1="+hex.EncodeToString(mac.Sum(nil)))
	res, err := a.Org.sys.http.Do(r)
	require.NoError(t, err)
	drain(res)
	require.Equal(t, http.StatusOK, res.StatusCode)
}
