package e2e_test

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	. "omniservice/e2e" //nolint:revive // the scenarios read better without e2e. before each word
	"omniservice/omni"
	"omniservice/omni/wire"
)

// fetch gets an address as a carrier does: with nothing but the address.
func fetch(t *testing.T, s *System, address string) (int, http.Header, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.Local(address), nil)
	require.NoError(t, err)
	res, err := http.DefaultTransport.RoundTrip(r)
	require.NoError(t, err)
	b, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	http.DefaultClient.CloseIdleConnections()
	return res.StatusCode, res.Header, string(b)
}

// TestACarrierFetchesWhatAnAgentSends: upload, send with a caption, and Twilio gets an address that works for it, and nobody else
// is told of.
func TestACarrierFetchesWhatAnAgentSends(t *testing.T) {
	t.Parallel()
	s := Start(t, Options{})
	d := NewDesk(t, s)
	ana := d.Ana.Connect(t)
	it := d.Conversation(t, ana, Phone(1), "what does it look like?")
	file := s.Upload(t, d.Ana.Token, "photo.png", PNG)
	send := wire.SendMessage{InteractionID: it.ID, ClientID: NewClientID(), Payload: wire.SendPayload{Text: "like this", Files: []string{file}}}
	f := ana.Do(t, wire.CmdMessageSend, send)
	require.Equal(t, "ok", f.Type, "%+v", f.Error)
	m := Read[wire.Message](t, f)
	require.Equal(t, omni.ChannelMMS, m.ChannelType)
	require.Equal(t, []wire.File{{ID: file, Type: omni.MediaImage, ContentType: "image/png", Size: int64(len(PNG)), Name: "photo.png", State: omni.MediaReady}}, m.Payload.Files)
	told := Read[wire.Message](t, ana.Expect(t, wire.MessageCreated, func(f Frame) bool { return Read[wire.Message](t, f).ID == m.ID }))
	require.Equal(t, m.Payload.Files, told.Payload.Files)

	got := s.Twilio.Await(t, 1)
	require.Equal(t, "like this", got.Body)
	require.Len(t, got.Form["MediaUrl"], 1)
	address := got.Form.Get("MediaUrl")
	require.True(t, strings.HasPrefix(address, s.PublicURL+"/m/"), address)
	status, header, body := fetch(t, s, address)
	require.Equal(t, http.StatusOK, status)
	require.Equal(t, PNG, body)
	require.Equal(t, "image/png", header.Get("Content-Type"))
	require.Equal(t, "nosniff", header.Get("X-Content-Type-Options"))
	status, _, body = fetch(t, s, strings.Replace(address, "/m/A", "/m/B", 1))
	require.Equal(t, http.StatusNotFound, status)
	require.NotContains(t, body, "PNG")
	status, _, _ = fetch(t, s, s.PublicURL+"/m/guess.png")
	require.Equal(t, http.StatusNotFound, status)

	require.Equal(t, "ok", ana.Do(t, wire.CmdMessageSend, send).Type, "the same again")
	s.Drained(t)
	require.Len(t, s.Twilio.Sent(), 1)
	a := s.Call(t, http.MethodGet, "/api/v1/messages/"+m.ID, d.Ana.Token, nil)
	require.NotContains(t, string(a.Body), "/m/", "the carrier's address is the carrier's alone")
	stored, err := s.App.Store().Message(t.Context(), omni.Org(s.Alpha.ID), m.ID)
	require.NoError(t, err)
	require.Empty(t, stored.Payload.Files()[0].External)
	require.NotContains(t, s.Log.String(), strings.TrimPrefix(address, s.PublicURL), "nor is it logged")

	s.Advance(13 * time.Hour)
	status, _, _ = fetch(t, s, address)
	require.Equal(t, http.StatusNotFound, status, "it has ended")
}

// TestFilesOutliveACrash: what was uploaded and what was sent is there after a power failure, and goes out once.
func TestFilesOutliveACrash(t *testing.T) {
	t.Parallel()
	s := StartProcess(t, Options{})
	agent := s.Alpha.Agent(t, "Ana", omni.RoleAgent)
	group := s.Alpha.Group(t, "Support", agent)
	acc := s.Alpha.TwilioAccount(t, "Twilio")
	channel := acc.Channel(t, omni.ChannelSMS, Number, group)
	first, second := s.Upload(t, agent.Token, "a.png", PNG), s.Upload(t, agent.Token, "b.png", PNG)
	send := func(clientID, file string) wire.Message {
		a := s.Call(t, http.MethodPost, "/api/v1/messages", agent.Token, map[string]any{
			"channelId": channel, "to": Phone(1), "clientId": clientID, "payload": map[string]any{"files": []string{file}},
		})
		require.Contains(t, []int{http.StatusOK, http.StatusCreated}, a.Status, "%s", a.Body)
		var m wire.Message
		a.JSON(t, &m)
		return m
	}
	id := NewClientID()
	m := send(id, first)
	s.Kill(t)
	s.Launch(t)
	require.Equal(t, m.ID, send(id, first).ID, "the same message")
	after := send(NewClientID(), second)
	status := func(id string) omni.Status {
		a := s.Call(t, http.MethodGet, "/api/v1/messages/"+id, agent.Token, nil)
		if a.Status != http.StatusOK { // asked too often: again later
			return omni.StatusQueued
		}
		var body struct{ Message wire.Message }
		a.JSON(t, &body)
		require.Equal(t, id, body.Message.ID)
		return body.Message.Status
	}
	// The failure may have met the first one's send: then nobody can tell whether it went out, and it is not sent again.
	var media []string
	Eventually(t, "both are settled", func() bool {
		media = nil
		out := map[string]int{}
		for _, sent := range s.Twilio.Sent() {
			media = append(media, sent.Form.Get("MediaUrl"))
			for _, id := range []string{m.ID, after.ID} {
				if strings.Contains(sent.Callback, id) {
					out[id]++
				}
			}
		}
		require.LessOrEqual(t, max(out[m.ID], out[after.ID]), 1, "sent twice")
		return out[after.ID] == 1 && (out[m.ID] == 1 || status(m.ID) == omni.StatusUnknown)
	})
	for _, address := range media {
		status, _, body := fetch(t, s, address)
		require.Equal(t, http.StatusOK, status)
		require.Equal(t, PNG, body)
	}
}
