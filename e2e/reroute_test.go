package e2e_test

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	. "omniservice/e2e" //nolint:revive // the scenarios read better without e2e. before each word
	"omniservice/omni"
)

const (
	appSecret = "the secret of an app that two environments share"
	ownWABA   = "220000000000031"
	otherWABA = "220000000000032"
)

// whatsAppDesk adds a WhatsApp account with a channel to the desk of a system.
func whatsAppDesk(t *testing.T, d *Desk, address string) (accountID, path string) {
	t.Helper()
	var acc struct{ ID, WebhookURL string }
	res := d.Alpha.Call(t, http.MethodPost, "/api/v1/carrier-accounts", map[string]any{
		"carrier": omni.CarrierWhatsApp, "name": "WhatsApp",
		"credentials": map[string]string{"appSecret": appSecret, "verifyToken": "verify-me", "accessToken": "token"},
	})
	require.Equal(t, http.StatusCreated, res.Status, "%s", res.Body)
	res.JSON(t, &acc)
	res = d.Alpha.Call(t, http.MethodPost, "/api/v1/channels", map[string]any{
		"name": "WhatsApp", "groupId": d.Group, "channelType": omni.ChannelWhatsApp, "carrierAccountId": acc.ID, "address": address,
	})
	require.Equal(t, http.StatusCreated, res.Status, "%s", res.Body)
	u, err := url.Parse(acc.WebhookURL)
	require.NoError(t, err)
	return acc.ID, u.Path
}

// change is a message as Meta tells of it.
func change(waba, number, id, text string) string {
	return fmt.Sprintf(`{"id":%q,"changes":[{"field":"messages","value":{"messaging_product":"whatsapp","metadata":{"display_phone_number":%q,"phone_number_id":"1"},`+
		`"contacts":[{"wa_id":"254711222333","profile":{"name":"Amina"}}],"messages":[{"from":"254711222333","id":%q,"timestamp":"1763802001","type":"text","text":{"body":%q}}]}}]}`,
		waba, number, id, text)
}

// One app at Meta, two environments: the one that has the webhook's address gives the other its part, in signed webhooks that
// are taken like any. What comes back to where it was sent on goes no further.
func TestEnvironmentsShareAWebhook(t *testing.T) {
	t.Parallel()
	staging := NewDesk(t, Start(t, Options{}))
	_, stagingPath := whatsAppDesk(t, staging, "+255754000900")
	back, err := url.Parse(staging.URL)
	require.NoError(t, err)
	var forwarded atomic.Int64
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		forwarded.Add(1)
		r.SetURL(back)
	}}
	front := httptest.NewTLSServer(proxy)
	t.Cleanup(front.Close)

	production := NewDesk(t, Start(t, Options{Shared: front.Client()}))
	accountID, path := whatsAppDesk(t, production, "+254700100200")
	res := production.Alpha.Call(t, http.MethodPost, "/api/v1/reroute-mappings", map[string]any{
		"carrierAccountId": accountID, "mapper": "WABA_ID", "key": otherWABA, "environment": "staging", "url": front.URL + stagingPath,
	})
	require.Equal(t, http.StatusCreated, res.Status, "%s", res.Body)
	var mapping struct{ ID string }
	res.JSON(t, &mapping)

	post := func(entries ...string) {
		body := `{"object":"whatsapp_business_account","entry":[` + strings.Join(entries, ",") + `]}`
		mac := hmac.New(sha256.New, []byte(appSecret))
		_, _ = mac.Write([]byte(body))
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, production.URL+path, bytes.NewReader([]byte(body)))
		require.NoError(t, err)
		r.Header.Set("X-Hub-Signature-256", "sha256="+hex.EncodeToString(mac.Sum(nil)))
		res, err := production.HTTP().Do(r)
		require.NoError(t, err)
		require.NoError(t, res.Body.Close())
		require.Equal(t, http.StatusOK, res.StatusCode)
	}
	ana, sara := production.Ana.Connect(t), staging.Ana.Connect(t)
	post(change(ownWABA, "254700100200", "wamid.1", "for production"), change(otherWABA, "255754000900", "wamid.2", "for staging 🙏"))
	ana.ExpectText(t, "for production")
	sara.ExpectText(t, "for staging 🙏")
	post(change(otherWABA, "255754000900", "wamid.3", "for staging alone"))
	sara.ExpectText(t, "for staging alone")
	require.Equal(t, int64(2), forwarded.Load())
	production.Drained(t)
	require.Len(t, received(t, ana), 1, "production hears of its own alone")

	// Staging has a mapping that would send it back: what was forwarded stays.
	var own struct {
		Items []struct{ ID, Carrier string }
	}
	staging.Alpha.Call(t, http.MethodGet, "/api/v1/carrier-accounts", nil).JSON(t, &own)
	for _, a := range own.Items {
		if a.Carrier == string(omni.CarrierWhatsApp) {
			res = staging.Alpha.Call(t, http.MethodPost, "/api/v1/reroute-mappings", map[string]any{
				"carrierAccountId": a.ID, "mapper": "DEFAULT", "environment": "production", "url": front.URL + path,
			})
			require.Equal(t, http.StatusCreated, res.Status, "%s", res.Body)
		}
	}
	post(change(otherWABA, "255754000900", "wamid.4", "round and round"))
	sara.ExpectText(t, "round and round")
	require.Equal(t, int64(3), forwarded.Load())

	var attempts struct {
		Items []struct {
			Status      int
			Environment string
		}
	}
	production.Alpha.Call(t, http.MethodGet, "/api/v1/reroute-mappings/"+mapping.ID+"/attempts", nil).JSON(t, &attempts)
	require.Len(t, attempts.Items, 3)
	for _, a := range attempts.Items {
		require.Equal(t, http.StatusOK, a.Status)
		require.Equal(t, "staging", a.Environment)
	}
}
