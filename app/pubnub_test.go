package app

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"omniservice/carriers"
	"omniservice/carriers/pubnub"
	"omniservice/carriers/simulate"
	"omniservice/omni"
	"omniservice/omni/wire"
	"omniservice/pipeline"
	"omniservice/store"
)

// pubnubDesk takes whatever is sent.
type pubnubDesk struct {
	mu   sync.Mutex
	sent []simulate.Sent
}

func (d *pubnubDesk) Take(s simulate.Sent) simulate.Verdict {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.sent = append(d.sent, s)
	return simulate.Verdict{}
}

func (d *pubnubDesk) texts(to string) (all []string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, s := range d.sent {
		if s.To == to {
			all = append(all, s.Text)
		}
	}
	return all
}

func (*pubnubDesk) Note(simulate.Mark)                  {}
func (*pubnubDesk) AddFile(string, simulate.File)       {}
func (*pubnubDesk) File(string) (simulate.File, bool)   { return simulate.File{}, false }
func (*pubnubDesk) SetTemplates([]omni.MessageTemplate) {}
func (*pubnubDesk) Templates() []omni.MessageTemplate   { return nil }
func (*pubnubDesk) Now() time.Time                      { return time.Now() }

// Two customers write on channels of their own, which one channel of ours takes; each gets their answer there, and what a
// webhook did not bring is found in the history.
func TestPubNubBothWays(t *testing.T) {
	player, desk := pubnub.NewPlayer(), &pubnubDesk{}
	made := player.Account()
	double := httptest.NewServer(player.API(made, desk))
	t.Cleanup(double.Close)
	cfg := good(t)
	cfg.Demo = true
	cfg.CarrierAPIBase = []string{"PubNub=" + double.URL}
	a, out := start(t, cfg)
	var session struct{ AccessToken string }
	_, token, _ := strings.Cut(out.String(), "/login#token=")
	rest(t, a, http.MethodPost, "/api/v1/auth/login", "", `{"loginToken":"`+strings.Fields(token)[0]+`"}`, &session)
	var channels struct {
		Items []struct{ GroupID string }
	}
	rest(t, a, http.MethodGet, "/api/v1/channels", session.AccessToken, "", &channels)
	orgs, err := a.store.AllOrganisations(t.Context(), store.Page{})
	require.NoError(t, err)
	org := omni.Org(orgs.Items[0].ID)
	acc := omni.CarrierAccount{
		ID: omni.NewID(), Tenant: org, PublicID: omni.NewToken(16), Carrier: omni.CarrierPubNub, Name: "PubNub", Config: made.Config,
		Credentials: map[string][]omni.SealedSecret{}, Version: 1, CreatedAt: 1, SchemaVersion: omni.CurrentSchema,
	}
	for name := range made.Credentials {
		sealed, err := pipeline.SealCredential(a.keys, acc, name, made.Credential(name).Reveal())
		require.NoError(t, err)
		acc.Credentials[name] = []omni.SealedSecret{sealed}
	}
	require.NoError(t, a.store.CreateCarrierAccount(t.Context(), org, acc))
	ch := omni.DigitalChannel{
		ID: omni.NewID(), Tenant: org, GroupID: channels.Items[0].GroupID, Name: "App", ChannelType: omni.ChannelPubNub, Carrier: omni.CarrierPubNub,
		CarrierAccountID: acc.ID, Address: player.Address(omni.ChannelPubNub), Version: 1, CreatedAt: 1, SchemaVersion: omni.CurrentSchema,
	}
	carrier, err := pubnub.New().Open(made, carriers.Options{APIBase: double.URL})
	require.NoError(t, err)
	ch.Capabilities, _ = carrier.Capabilities(omni.ChannelPubNub)
	require.NoError(t, ch.Validate())
	require.NoError(t, a.store.CreateChannel(t.Context(), org, ch))

	hookURL := a.pipeline.WebhookURL(acc)
	u, err := url.Parse(hookURL)
	require.NoError(t, err)
	write := func(from, text string, arrives bool) {
		r, err := player.Inbound(made, "http://"+a.Addr()+u.Path, simulate.Inbound{
			ChannelType: omni.ChannelPubNub, From: from, To: ch.Address, Text: text,
		}, time.Now())
		require.NoError(t, err)
		if !arrives {
			return
		}
		res, err := http.DefaultClient.Do(r.WithContext(t.Context()))
		require.NoError(t, err)
		require.NoError(t, res.Body.Close())
		require.Equal(t, http.StatusOK, res.StatusCode)
	}
	talks := func() map[string]wire.Interaction {
		var all struct{ Items []wire.Interaction }
		rest(t, a, http.MethodGet, "/api/v1/interactions?view=all&state=open", session.AccessToken, "", &all)
		by := map[string]wire.Interaction{}
		for _, i := range all.Items {
			by[i.ContactAddress] = i
		}
		return by
	}
	post := func(path, body string, want int) {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+a.Addr()+path, strings.NewReader(body))
		require.NoError(t, err)
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Authorization", "Bearer "+session.AccessToken)
		res, err := http.DefaultClient.Do(r)
		require.NoError(t, err)
		require.NoError(t, res.Body.Close())
		require.Equal(t, want, res.StatusCode)
	}
	for _, user := range []string{"user-1", "user-2"} {
		write(user, "hello by "+user, true)
		require.Eventually(t, func() bool { return talks()[user].LastPreview == "hello by "+user }, 20*time.Second, 10*time.Millisecond)
		post("/api/v1/interactions/"+talks()[user].ID+"/messages", `{"clientId":"`+omni.NewID()+`","payload":{"text":"answer to `+user+`"}}`, http.StatusCreated)
	}
	for _, user := range []string{"user-1", "user-2"} {
		require.Eventually(t, func() bool { return len(desk.texts(user)) == 1 }, 20*time.Second, 10*time.Millisecond)
		require.Equal(t, []string{"answer to " + user}, desk.texts(user))
	}
	write("user-1", "nobody told you", false)
	post("/api/v1/carrier-accounts/"+acc.ID+"/catch-up", "", http.StatusAccepted)
	require.Eventually(t, func() bool { return talks()["user-1"].LastPreview == "nobody told you" }, 20*time.Second, 10*time.Millisecond)
	require.Equal(t, int64(3), talks()["user-1"].LastSeq, "and nothing twice")
}
