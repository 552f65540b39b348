package app

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"omniservice/omni"
	"omniservice/omni/wire"
	"omniservice/server"
)

// rest calls REST as somebody and reads the answer into out.
func rest(t *testing.T, a *App, method, path, token, body string, out any) {
	t.Helper()
	call(t, a, method, path, token, body, http.StatusOK, out)
}

// call is rest for what answers otherwise; out may be nil.
func call(t *testing.T, a *App, method, path, token, body string, status int, out any) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, "http://"+a.Addr()+path, strings.NewReader(body))
	require.NoError(t, err)
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	res, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer func() { require.NoError(t, res.Body.Close()) }()
	b, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	require.Equal(t, status, res.StatusCode, string(b))
	if out != nil {
		require.NoError(t, json.Unmarshal(b, out))
	}
}

// TestAFileOfACustomerIsShownToAnAgent goes the whole way: webhook, fetch, folder, REST, link.
func TestAFileOfACustomerIsShownToAnAgent(t *testing.T) {
	const picture = "GIF89a\x01\x00\x01\x00\x80\x00\x00\x00\x00\x00\xff\xff\xff\x2c\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02\x44\x01\x00\x3b"
	files := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, picture) }))
	defer files.Close()
	cfg := good(t)
	cfg.Demo = true
	a, out := start(t, cfg)
	require.NoError(t, a.simulator.Inbound(t.Context(), server.SimulatedMessage{
		ChannelType: omni.ChannelMMS, From: "+14155550123", Text: "look", MediaURL: files.URL + "/holiday.gif",
	}))

	var session struct{ AccessToken string }
	token := regexp.MustCompile(`/login#token=(\S+)`).FindStringSubmatch(out.String())[1]
	rest(t, a, http.MethodPost, "/api/v1/auth/login", "", `{"loginToken":"`+token+`"}`, &session)
	var file wire.File
	require.Eventually(t, func() bool {
		var talks struct{ Items []wire.Interaction }
		rest(t, a, http.MethodGet, "/api/v1/interactions?view=all&state=open", session.AccessToken, "", &talks)
		if len(talks.Items) == 0 {
			return false
		}
		var messages struct{ Items []wire.Message }
		rest(t, a, http.MethodGet, "/api/v1/interactions/"+talks.Items[0].ID+"/messages", session.AccessToken, "", &messages)
		if len(messages.Items) == 0 {
			return false
		}
		file = messages.Items[0].Payload.Files[0]
		return file.State != omni.MediaPending
	}, 20*time.Second, 20*time.Millisecond)
	require.Equal(t, omni.MediaReady, file.State, file.Failure)
	require.Equal(t, "image/gif", file.ContentType)
	status, body := fetch(t, "http://"+a.Addr()+file.URL)
	require.Equal(t, http.StatusOK, status, body)
	require.Equal(t, picture, body)

	info, err := os.Stat(filepath.Join(cfg.DataDir, "media"))
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o700), info.Mode().Perm())
}
