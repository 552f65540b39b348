package e2e_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"omniservice/app"
	"omniservice/carriers/simulate"
	. "omniservice/e2e" //nolint:revive // the scenarios read better without e2e. before each word
	"omniservice/omni"
	"omniservice/omni/wire"
)

// Templates from Meta's list to a customer's phone, over HTTP both ways: read, filtered, filled in, sent while free text may
// not be, stopped by a webhook, made, removed; and marketing that somebody does not want.
func TestTemplates(t *testing.T) {
	t.Parallel()
	all := app.PlayedProviders()
	at := slices.IndexFunc(all, func(p app.Played) bool { return p.Provider.Name() == omni.CarrierWhatsApp })
	require.GreaterOrEqual(t, at, 0)
	s := Play(t, all[at], Options{}, simulate.Options{})
	require.NoError(t, s.Double.SetBehaviour(simulate.Behaviour{Reports: simulate.AllRead()}))
	template := func(id, name, language string, category omni.TemplateCategory, body string) omni.MessageTemplate {
		return omni.MessageTemplate{
			CarrierID: id, Name: name, Language: language, Category: category, Status: omni.TemplateApproved, Quality: omni.QualityGreen,
			Components: omni.RawJSON(`[{"type":"BODY","text":"` + body + `"},{"type":"FOOTER","text":"Clinic"}]`),
		}
	}
	s.Double.SetTemplates([]omni.MessageTemplate{
		template("1400000000000021", "reminder", "en", omni.TemplateUtility, "Hello {{1}}, see you on {{2}}!"),
		template("1400000000000022", "reminder", "sw", omni.TemplateUtility, "Habari {{1}}, {{2}} tunakuona!"),
		template("1400000000000023", "offer", "en", omni.TemplateMarketing, "Hello {{1}}, all is {{2}} % cheaper!"),
	})
	ana := s.Ana.Connect(t)

	var synced struct{ Templates, Added, Changed, Removed int }
	a := s.Alpha.Call(t, http.MethodPost, "/api/v1/templates/sync", map[string]any{"carrierAccountId": s.Account.ID})
	require.Equal(t, http.StatusOK, a.Status, "%s", a.Body)
	a.JSON(t, &synced)
	require.Equal(t, 3, synced.Templates)
	type listed struct {
		ID, CarrierAccountID, Name, Language string
		Status                               omni.TemplateStatus
		Usable                               bool
	}
	list := func(query string) (names []string, found []listed) {
		for cursor := ""; ; {
			var page struct {
				Items []listed
				Next  string
			}
			a := s.Ana.Call(t, http.MethodGet, "/api/v1/templates?"+query+"&cursor="+cursor, nil)
			require.Equal(t, http.StatusOK, a.Status, "%s", a.Body)
			a.JSON(t, &page)
			for _, m := range page.Items {
				names = append(names, m.Name+" "+m.Language)
			}
			found = append(found, page.Items...)
			if cursor = page.Next; cursor == "" {
				return names, found
			}
		}
	}
	for query, want := range map[string][]string{
		"limit=1": {"offer en", "reminder en", "reminder sw"}, "name=REMIND": {"reminder en", "reminder sw"}, "language=sw": {"reminder sw"},
		"category=MARKETING": {"offer en"}, "status=PAUSED": nil, "carrierAccountId=" + s.Account.ID + "&language=en&name=rem": {"reminder en"},
	} {
		names, _ := list(query)
		require.ElementsMatch(t, want, names, query)
	}
	_, found := list("name=reminder&language=en")
	reminder := found[0]
	_, found = list("name=offer")
	offer := found[0]

	// Nobody has written yet: free text may not be sent, a template may.
	first := func(i int, payload map[string]any) Answer {
		return s.Ana.Call(t, http.MethodPost, "/api/v1/messages", map[string]any{
			"channelId": s.Channel, "to": Phone(i), "clientId": omni.NewID(), "payload": payload,
		})
	}
	fill := func(id string, values ...string) map[string]any {
		var parameters []map[string]any
		for _, v := range values {
			parameters = append(parameters, map[string]any{"type": "text", "text": v})
		}
		return map[string]any{"template": map[string]any{"templateId": id, "components": []map[string]any{{"type": "body", "parameters": parameters}}}}
	}
	require.Equal(t, omni.CodeWindowClosed, first(1, map[string]any{"text": "hello"}).Problem(t).Code)
	refused := first(1, fill(reminder.ID, "Amina")).Problem(t)
	require.Equal(t, omni.CodeInvalid, refused.Code)
	a = first(1, fill(reminder.ID, "Amina", "Monday"))
	require.Equal(t, http.StatusCreated, a.Status, "%s", a.Body)
	var m wire.Message
	a.JSON(t, &m)
	const text = "Hello Amina, see you on Monday!\nClinic"
	require.Equal(t, text, m.Payload.Text)
	require.Equal(t, reminder.Name, ana.ExpectText(t, text).Payload.Template.Name)
	ana.ExpectStatus(t, m.ID, omni.StatusRead)
	sent := s.Double.Sent()
	require.Len(t, sent, 1)
	require.Equal(t, "reminder", sent[0].Template)
	for _, part := range []string{`"language":{"code":"en"}`, `"parameters":[{"text":"Amina","type":"text"},{"text":"Monday","type":"text"}]`} {
		require.Contains(t, string(sent[0].Raw), part)
	}
	f := ana.Do(t, wire.CmdMessageSend, map[string]any{"interactionId": m.InteractionID, "clientId": omni.NewID(), "payload": fill(reminder.ID, "Amina", "a\nb")})
	require.Equal(t, omni.CodeInvalid, f.Error.Code)
	require.Contains(t, f.Error.Fields, "payload.template.body.2")

	// Meta pauses it.
	post := func(change string) {
		t.Helper()
		body := fmt.Sprintf(`{"object":"whatsapp_business_account","entry":[{"id":%q,"time":%d,"changes":[%s]}]}`,
			s.Double.Account().Config["wabaId"], time.Now().Unix(), change)
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.Account.WebhookURL, strings.NewReader(body))
		require.NoError(t, err)
		mac := hmac.New(sha256.New, []byte(s.Double.Account().Credential("appSecret").Reveal()))
		mac.Write([]byte(body))
		r.Header.Set("X-Hub-Signature-256", "sha256="+hex.EncodeToString(mac.Sum(nil)))
		r.Header.Set("Content-Type", "application/json")
		require.NoError(t, s.Double.Post(t.Context(), r))
	}
	post(`{"field":"message_template_status_update","value":{"event":"PAUSED","message_template_id":1400000000000021,
		"message_template_name":"reminder","message_template_language":"en","reason":null}}`)
	change := Read[wire.TemplateChange](t, ana.Expect(t, wire.TemplateStatus, nil))
	require.Equal(t, wire.TemplateChange{
		TemplateID: reminder.ID, CarrierAccountID: s.Account.ID, Name: "reminder", Language: "en", Category: omni.TemplateUtility,
		Status: omni.TemplatePaused, Quality: omni.QualityGreen, Version: change.Version,
	}, change)
	require.Equal(t, omni.CodeInvalid, first(1, fill(reminder.ID, "Amina", "Monday")).Problem(t).Code)

	// Somebody wants no marketing.
	require.NoError(t, s.Double.Receive(t.Context(), s.Inbound(omni.ChannelWhatsApp, 1, "hello")))
	ana.ExpectText(t, "hello")
	to := s.Double.Player().Address(omni.ChannelWhatsApp)
	post(fmt.Sprintf(`{"field":"user_preferences","value":{"messaging_product":"whatsapp","metadata":{"display_phone_number":%q,"phone_number_id":"1"},
		"user_preferences":[{"wa_id":%q,"detail":"stop","category":"marketing_messages","value":"stop","timestamp":%d}]}}`,
		to, strings.TrimPrefix(Phone(1), "+"), time.Now().Unix()))
	consent := Read[wire.ConsentChange](t, ana.Expect(t, wire.ConsentChanged, nil))
	require.True(t, consent.OptedOut && consent.Marketing)
	require.Equal(t, omni.CodeOptedOut, first(1, fill(offer.ID, "Amina", "20")).Problem(t).Code)
	require.Equal(t, http.StatusCreated, first(2, fill(offer.ID, "Ben", "20")).Status, "others may want it")

	// One is made, and removed.
	welcome := map[string]any{
		"carrierAccountId": s.Account.ID, "name": "welcome", "language": "en", "category": "UTILITY",
		"components": []map[string]any{{"type": "BODY", "text": "Welcome, {{1}}, to us", "example": map[string]any{"body_text": [][]string{{"Amina"}}}}},
	}
	require.Equal(t, omni.CodeForbidden, s.Ana.Call(t, http.MethodPost, "/api/v1/templates", welcome).Problem(t).Code)
	wrong := map[string]any{"carrierAccountId": s.Account.ID, "name": "welcome", "language": "en", "category": "UTILITY", "components": []map[string]any{{"type": "BODY", "text": "{{1}}"}}}
	require.Equal(t, omni.CodeInvalid, s.Alpha.Call(t, http.MethodPost, "/api/v1/templates", wrong).Problem(t).Code)
	a = s.Alpha.Call(t, http.MethodPost, "/api/v1/templates", welcome)
	require.Equal(t, http.StatusCreated, a.Status, "%s", a.Body)
	var made listed
	a.JSON(t, &made)
	require.Equal(t, omni.TemplatePending, made.Status)
	require.Len(t, s.Double.Templates(), 4)
	require.Equal(t, http.StatusNoContent, s.Alpha.Call(t, http.MethodDelete, "/api/v1/templates/"+made.ID, nil).Status)
	require.Len(t, s.Double.Templates(), 3)
	ana.Expect(t, wire.TemplateStatus, func(f Frame) bool { return Read[wire.TemplateChange](t, f).Status == omni.TemplateDeleted })
}
