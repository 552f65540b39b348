package main

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"omniservice/carriers"
	"omniservice/carriers/testcarrier"
	"omniservice/carriers/twilio"
	"omniservice/omni"
)

const (
	sid   = "AC0123456789abcdef0123456789abcdef"
	token = "d41dc0ffee5ec0de1234567890abcdef"
)

// gateway takes webhooks as ours does: it verifies and parses them.
type gateway struct {
	url     string
	carrier carriers.Carrier

	mu     sync.Mutex
	events []omni.CarrierChannelEvent
}

func newGateway(t *testing.T, path string, p carriers.Provider, a carriers.Account) *gateway {
	t.Helper()
	g := &gateway{}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		wr := carriers.WebhookRequest{Method: r.Method, URL: "http://" + r.Host + r.URL.RequestURI(), Header: r.Header, Body: body, Now: time.Now()}
		if g.carrier.Verify(wr) != nil {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		parsed, err := g.carrier.Parse(wr)
		if err != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		g.mu.Lock()
		defer g.mu.Unlock()
		g.events = append(g.events, parsed.Events...)
	}))
	t.Cleanup(s.Close)
	g.url = s.URL + path
	var err error
	g.carrier, err = p.Open(a, carriers.Options{WebhookURL: g.url})
	require.NoError(t, err)
	return g
}

func (g *gateway) all() []omni.CarrierChannelEvent {
	g.mu.Lock()
	defer g.mu.Unlock()
	return append([]omni.CarrierChannelEvent(nil), g.events...)
}

func account() carriers.Account {
	return carriers.Account{
		Config:      map[string]string{"accountSid": sid},
		Credentials: map[string][]omni.Secret{"authToken": {omni.NewSecret(token)}},
	}
}

// screen is what a command prints.
type screen struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *screen) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *screen) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

func call(t *testing.T, variables map[string]string, args ...string) (code int, out string) {
	t.Helper()
	s := &screen{}
	code = run(&env{
		ctx: t.Context(), stdin: strings.NewReader(""), stdout: s, stderr: s, getenv: func(n string) string { return variables[n] },
	}, args)
	return code, s.String()
}

func TestSimulatePost(t *testing.T) {
	t.Parallel()
	g := newGateway(t, "/webhooks/twilio/x", twilio.New(), account())
	variables := map[string]string{"OMNI_TWILIO_ACCOUNT_SID": sid, "OMNI_TWILIO_AUTH_TOKEN": token}
	code, out := call(t, variables, "simulate", "--carrier", "twilio", "--url", g.url, "--to", "+15005550006", "--text", "Hi", "--duplicates", "1")
	require.Zero(t, code, out)
	require.Equal(t, "taken\n", out)
	require.Len(t, g.all(), 2)
	require.Equal(t, g.all()[0], g.all()[1], "a duplicate is the same webhook")
	require.Equal(t, "Hi", g.all()[0].Text)
	require.Equal(t, "+14155550123", g.all()[0].From)

	code, out = call(t, variables, "simulate", "--carrier", "twilio", "--channel", "WhatsApp", "--url", g.url, "--to", "+15005550009", "--from", "+4915112345", "--name", "Ann")
	require.Zero(t, code, out)
	require.Equal(t, omni.ChannelWhatsApp, g.all()[2].ChannelType)
	require.Equal(t, "Hello", g.all()[2].Text)
	require.Equal(t, "Ann", g.all()[2].ProfileName)

	for name, c := range map[string]struct {
		variables map[string]string
		args      []string
		want      string
	}{
		"no credentials":    {nil, []string{"--carrier", "twilio"}, "OMNI_TWILIO_ACCOUNT_SID"},
		"wrong credentials": {map[string]string{"OMNI_TWILIO_ACCOUNT_SID": sid, "OMNI_TWILIO_AUTH_TOKEN": "x"}, []string{"--carrier", "twilio"}, "403"},
		"no such carrier":   {variables, []string{"--carrier", "pigeon"}, "pigeon"},
		"no such channel":   {variables, []string{"--carrier", "twilio", "--channel", "PubNub"}, "PubNub"},
		"a reaction":        {variables, []string{"--carrier", "twilio", "--reaction", "👍"}, "reactions"},
		"a file":            {variables, []string{"--carrier", "twilio", "--media-url", "https://x.example/a.png"}, "--media-url"},
	} {
		code, out := call(t, c.variables, append([]string{"simulate", "--url", g.url, "--to", "+15005550006"}, c.args...)...)
		require.Equal(t, 1, code, name)
		require.Contains(t, out, c.want, name)
	}
	require.Len(t, g.all(), 3)
}

func TestSimulatePostOfTheTestCarrier(t *testing.T) {
	t.Parallel()
	p := testcarrier.New(testcarrier.Options{})
	t.Cleanup(p.Close)
	g := newGateway(t, "/webhooks/test/x", p, carriers.Account{Credentials: map[string][]omni.Secret{"secret": {omni.NewSecret("s3cr3t")}}})
	file := filepath.Join(t.TempDir(), "secret")
	require.NoError(t, os.WriteFile(file, []byte("s3cr3t\n"), 0o600))
	code, out := call(t, map[string]string{"OMNI_TEST_SECRET_FILE": file}, "simulate", "--url", g.url, "--to", "+15005550006", "--text", "one two", "--fragments", "2")
	require.Zero(t, code, out)
	require.Len(t, g.all(), 2)
	code, out = call(t, nil, "simulate", "--url", g.url, "--to", "+15005550006")
	require.Equal(t, 1, code)
	require.Contains(t, out, "OMNI_TEST_SECRET")
	code, out = call(t, map[string]string{"OMNI_TEST_SECRET_FILE": file}, "simulate", "--url", g.url, "--to", "+15005550006", "--reaction", "x")
	require.Equal(t, 1, code)
	require.Contains(t, out, "--reaction")
}

func TestSimulateServe(t *testing.T) {
	t.Parallel()
	g := newGateway(t, "/webhooks/twilio/x", twilio.New(), account())
	picture := filepath.Join(t.TempDir(), "cat.png")
	require.NoError(t, os.WriteFile(picture, []byte("a cat"), 0o600))
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	typed, terminal := io.Pipe()
	out := &screen{}
	variables := map[string]string{"OMNI_TWILIO_ACCOUNT_SID": sid, "OMNI_TWILIO_AUTH_TOKEN": token}
	ended := make(chan int, 1)
	go func() {
		ended <- run(&env{ctx: ctx, stdin: typed, stdout: out, stderr: out, getenv: func(n string) string { return variables[n] }},
			[]string{"simulate", "serve", "--carrier", "twilio", "--addr", "127.0.0.1:0", "--url", g.url, "--delay", "1ms", "--fault", "refuse:21610@0", "--duplicates", "1"})
	}()
	await := func(what string, cond func() bool) {
		t.Helper()
		require.Eventually(t, cond, 10*time.Second, time.Millisecond, "%s\n%s", what, out)
	}
	await("it serves", func() bool { return strings.Contains(out.String(), "the customer") })
	base := regexp.MustCompile(`http://127\.0\.0\.1:\d+`).FindString(out.String())
	require.NotContains(t, out.String(), token, "a secret that was set is not shown")

	c, err := twilio.New().Open(account(), carriers.Options{WebhookURL: g.url, APIBase: base})
	require.NoError(t, err)
	result, err := c.Send(ctx, omni.ServiceMessage{
		ID: omni.NewID(), Payload: omni.TextPayload("Hello"),
		Publish: &omni.PublishChannel{ChannelType: omni.ChannelSMS, Sender: "+15005550006", Target: omni.PublishIdentity{Address: "+14155550123"}},
	})
	require.NoError(t, err)
	await("reports", func() bool { return len(g.all()) == 4 })
	require.Equal(t, omni.StatusDelivered, g.all()[3].Status)
	require.Equal(t, result.CarrierMessageID, g.all()[3].CarrierMessageID)

	_, err = io.WriteString(terminal, "Hi there\n\n/file "+picture+"\n/file /nowhere\n")
	require.NoError(t, err)
	await("what was typed", func() bool { return len(g.all()) == 6 })
	require.Equal(t, "Hi there", g.all()[4].Text)
	require.Equal(t, "image/png", g.all()[5].Media[0].ContentType)
	require.True(t, strings.HasPrefix(g.all()[5].Media[0].External.URL, base))
	await("the log", func() bool {
		s := out.String()
		return strings.Contains(s, "/nowhere") && strings.Contains(s, "reported  "+result.CarrierMessageID+"  delivered") &&
			strings.Contains(s, `"Hi there"`) && strings.Contains(s, "POST /2010-04-01/")
	})

	stop()
	require.Zero(t, <-ended, out)
	require.NoError(t, terminal.Close())
	http.DefaultClient.CloseIdleConnections()

	code, printed := call(t, nil, "simulate", "serve", "--carrier", "twilio", "--fault", "explode")
	require.Equal(t, 1, code)
	require.Contains(t, printed, "explode")
}
