package testcarrier_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"omniservice/carriers"
	"omniservice/carriers/carriertest"
	"omniservice/carriers/testcarrier"
	"omniservice/omni"
)

const (
	secret   = "test-secret-0123456789abcdef"
	previous = "old-secret-0123456789abcdef"
	webhook  = "https://gw.example.test/webhooks/test/0123456789abcdef"
	accountA = "0192f3a4-5b6c-7d8e-9fa0-b1c2d3e4f506"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func account(configured map[string]string) carriers.Account {
	a := carriers.Account{
		ID: accountA, PublicID: "0123456789abcdef", Config: map[string]string{},
		Credentials: map[string][]omni.Secret{"secret": {omni.NewSecret(configured["secret"])}},
	}
	if old := configured["previousSecret"]; old != "" {
		a.Credentials["secret"] = append(a.Credentials["secret"], omni.NewSecret(old))
	}
	return a
}

// sign does what the package's comment says.
func sign(configured map[string]string, r *carriers.WebhookRequest) {
	mac := hmac.New(sha256.New, []byte(configured["secret"]))
	_, _ = fmt.Fprintf(mac, "%d.%s", r.Now.Unix(), r.Body)
	r.Header.Set("X-Omni-Test-Signature", fmt.Sprintf("t=%d,v1=%s", r.Now.Unix(), hex.EncodeToString(mac.Sum(nil))))
}

func request(body string) carriers.WebhookRequest {
	return carriers.WebhookRequest{Method: http.MethodPost, URL: webhook, Header: http.Header{}, Body: []byte(body), Now: carriertest.Now}
}

func TestConformance(t *testing.T) { // not parallel: it measures memory
	p := testcarrier.New(testcarrier.Options{})
	t.Cleanup(p.Close)
	batch := request(`{"events":[{"kind":"message","id":"1","from":"+1","to":"+2","text":"a"},{"kind":"message","id":"2","from":"+1","to":"+2","text":"b"}]}`)
	carriertest.Run(t, carriertest.Harness{
		Provider:  p,
		Account:   account,
		Secret:    map[string]string{"secret": secret},
		Sign:      sign,
		SignsBody: true,
		Webhooks:  "testdata/webhook",
		Batch:     &batch,
		Unknown:   request(`{"events":[{"kind":"` + strings.Repeat("poll", 100) + `"},{"kind":"status","id":"1","status":"gone"}]}`),
		Mutants:   testcarrier.Mutants,
		Secrets:   []string{secret, previous},
	})
}

// A signature is taken for 300 s, early or late, so that a webhook that somebody kept is of no use to them later.
func TestSec_W5_ASignatureHasItsTime(t *testing.T) {
	t.Parallel()
	p := testcarrier.New(testcarrier.Options{})
	t.Cleanup(p.Close)
	configured := map[string]string{"secret": secret}
	c, err := p.Open(account(configured), carriers.Options{WebhookURL: webhook})
	require.NoError(t, err)
	r := request(`{"events":[]}`)
	sign(configured, &r)
	made := r.Now
	for off, taken := range map[time.Duration]bool{
		0: true, 300 * time.Second: true, -300 * time.Second: true, 301 * time.Second: false, -301 * time.Second: false,
		time.Hour: false, -time.Hour: false, 100 * 365 * 24 * time.Hour: false,
	} {
		r.Now = made.Add(off)
		err := c.Verify(r)
		require.Equal(t, taken, err == nil, "%s: %v", off, err)
		if !taken {
			require.ErrorIs(t, err, omni.ErrUnauthenticated)
		}
	}
	// The time is under the signature.
	for _, late := range []string{"", "x", "-1", "9223372036854775808", fmt.Sprint(made.Add(time.Hour).Unix())} {
		changed := r
		changed.Now = made.Add(time.Hour)
		changed.Header = http.Header{}
		_, v1, _ := strings.Cut(r.Header.Get("X-Omni-Test-Signature"), ",")
		changed.Header.Set("X-Omni-Test-Signature", "t="+late+","+v1)
		require.ErrorIs(t, c.Verify(changed), omni.ErrUnauthenticated, late)
	}
}

// gateway takes what a carrier brings.
type gateway struct {
	mu     sync.Mutex
	events []omni.CarrierChannelEvent
	refuse int // so many times
}

func (g *gateway) deliver(_ context.Context, accountID string, events []omni.CarrierChannelEvent) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.refuse > 0 {
		g.refuse--
		return errors.New("not now")
	}
	if accountID != accountA {
		return errors.New("another account")
	}
	g.events = append(g.events, events...)
	return nil
}

func (g *gateway) statuses() []omni.Status {
	g.mu.Lock()
	defer g.mu.Unlock()
	var all []omni.Status
	for _, e := range g.events {
		all = append(all, e.Status)
	}
	return all
}

func message(channel omni.ChannelType, to, text string) omni.ServiceMessage {
	return omni.ServiceMessage{
		ID: omni.NewID(), Direction: omni.Outbound, Payload: omni.TextPayload(text),
		Publish: &omni.PublishChannel{ChannelType: channel, Sender: "+15005550006", Target: omni.PublishIdentity{Address: to}},
	}
}

// inBubble runs a test with a clock that stands still until all wait.
func inBubble(t *testing.T, o testcarrier.Options, b testcarrier.Behaviour, test func(t *testing.T, p *testcarrier.Provider, c carriers.Carrier, g *gateway)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		p := testcarrier.New(o)
		defer p.Close()
		require.NoError(t, p.SetBehaviour(accountA, b))
		g := &gateway{}
		c, err := p.Open(account(map[string]string{"secret": secret}), carriers.Options{Deliver: g.deliver})
		require.NoError(t, err)
		test(t, p, c, g)
	})
}

// pass lets time go by in a bubble, and what is due happen.
func pass(d time.Duration) {
	time.Sleep(d) //nolint:forbidigo // the bubble's clock, which costs no time
	synctest.Wait()
}

func TestAMessageIsDeliveredAndReported(t *testing.T) {
	t.Parallel()
	inBubble(t, testcarrier.Options{}, testcarrier.Behaviour{DelayMs: 200, StatusDelayMs: 1000}, func(t *testing.T, p *testcarrier.Provider, c carriers.Carrier, g *gateway) {
		began := time.Now()
		m := message(omni.ChannelSMS, "+14155550123", "Hello")
		result, err := c.Send(t.Context(), m)
		require.NoError(t, err)
		require.Equal(t, 200*time.Millisecond, time.Since(began))
		require.Equal(t, omni.StatusQueued, result.Status)
		require.Equal(t, 1, result.Segments)

		outbox := p.Outbox(accountA, "+14155550123")
		require.Len(t, outbox, 1)
		require.Equal(t, m.ID, outbox[0].ID)
		require.Equal(t, result.CarrierMessageID, outbox[0].CarrierMessageID)
		require.Equal(t, "Hello", outbox[0].Text)
		require.Equal(t, omni.StatusQueued, outbox[0].Status)
		require.Empty(t, p.Outbox(accountA, "+14155550999"))
		require.Empty(t, p.Outbox("another", ""))

		pass(999 * time.Millisecond)
		require.Empty(t, g.statuses())
		pass(time.Millisecond)
		require.Equal(t, []omni.Status{omni.StatusSent}, g.statuses())
		require.Equal(t, omni.StatusSent, p.Outbox(accountA, "")[0].Status)
		pass(time.Minute)
		require.Equal(t, []omni.Status{omni.StatusSent, omni.StatusDelivered}, g.statuses())
		require.Equal(t, omni.StatusDelivered, p.Outbox(accountA, "")[0].Status)
		for _, e := range g.events {
			require.NoError(t, e.Validate())
			require.Equal(t, m.ID, e.ClientReference)
			require.Equal(t, result.CarrierMessageID, e.CarrierMessageID)
			require.Equal(t, "+15005550006", e.From)
			require.Equal(t, "+14155550123", e.Contact())
		}
	})
}

func TestReports(t *testing.T) {
	t.Parallel()
	all := []omni.Status{omni.StatusSent, omni.StatusDelivered, omni.StatusRead}
	for name, c := range map[string]struct {
		channel omni.ChannelType
		b       testcarrier.Behaviour
		want    []omni.Status
	}{
		"WhatsApp has read":     {omni.ChannelWhatsApp, testcarrier.Behaviour{}, all},
		"SMS has not":           {omni.ChannelSMS, testcarrier.Behaviour{}, all[:2]},
		"none":                  {omni.ChannelSMS, testcarrier.Behaviour{Statuses: []omni.Status{}}, nil},
		"any order as told":     {omni.ChannelSMS, testcarrier.Behaviour{Statuses: []omni.Status{omni.StatusRead, omni.StatusSent}}, []omni.Status{omni.StatusRead, omni.StatusSent}},
		"each again":            {omni.ChannelSMS, testcarrier.Behaviour{Duplicates: 2, Statuses: all[:1]}, []omni.Status{omni.StatusSent, omni.StatusSent, omni.StatusSent}},
		"a failure has a code":  {omni.ChannelSMS, testcarrier.Behaviour{Statuses: []omni.Status{omni.StatusFailed}, FailCode: "opted_out"}, []omni.Status{omni.StatusFailed}},
		"delay is for both":     {omni.ChannelSMS, testcarrier.Behaviour{DelayMs: 60_000}, all[:2]},
		"a failure has no code": {omni.ChannelSMS, testcarrier.Behaviour{Statuses: []omni.Status{omni.StatusUndeliverable}}, []omni.Status{omni.StatusUndeliverable}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, testcarrier.Options{}, c.b, func(t *testing.T, _ *testcarrier.Provider, carrier carriers.Carrier, g *gateway) {
				_, err := carrier.Send(t.Context(), message(c.channel, "+14155550123", "x"))
				require.NoError(t, err)
				pass(time.Hour)
				require.Equal(t, c.want, g.statuses())
				for _, e := range g.events {
					if e.Status == omni.StatusFailed {
						require.Equal(t, omni.ReasonOptedOut, e.Reason)
						require.Equal(t, "opted_out", e.ErrorCode)
					}
				}
			})
		})
	}
}

func TestShuffledReports(t *testing.T) {
	t.Parallel()
	b := testcarrier.Behaviour{Shuffle: true, Duplicates: 1, Statuses: []omni.Status{omni.StatusSent, omni.StatusDelivered, omni.StatusRead}}
	inBubble(t, testcarrier.Options{}, b, func(t *testing.T, p *testcarrier.Provider, c carriers.Carrier, g *gateway) {
		backwards := false
		for range 20 {
			g.events = nil
			_, err := c.Send(t.Context(), message(omni.ChannelSMS, "+14155550123", "x"))
			require.NoError(t, err)
			pass(time.Minute)
			got := g.statuses()
			require.Len(t, got, 6)
			backwards = backwards || !slices.IsSortedFunc(got, func(a, b omni.Status) int { return a.Rank() - b.Rank() })
		}
		require.True(t, backwards, "20 times in order is no chance")
		for _, d := range p.Outbox(accountA, "") {
			require.Equal(t, omni.StatusRead, d.Status, "the highest one counts")
		}
	})
}

func TestFailures(t *testing.T) {
	t.Parallel()
	chances := []float64{0.49, 0.5, 0.9, 0.1}
	next := 0
	o := testcarrier.Options{Random: func() float64 { next++; return chances[(next-1)%len(chances)] }}
	inBubble(t, o, testcarrier.Behaviour{FailRate: 0.5, FailCode: "throttled"}, func(t *testing.T, p *testcarrier.Provider, c carriers.Carrier, _ *gateway) {
		for _, fails := range []bool{true, false, false, true} {
			_, err := c.Send(t.Context(), message(omni.ChannelSMS, "+14155550123", "x"))
			require.Equal(t, fails, err != nil)
			if e, ok := errors.AsType[*carriers.SendError](err); ok {
				require.Equal(t, omni.ReasonThrottled, e.Reason)
				require.Equal(t, "throttled", e.Code)
				require.Equal(t, 1, e.RetryAfter)
			}
		}
		require.Len(t, p.Outbox(accountA, ""), 2, "what fails is not delivered")
	})
}

func TestCodes(t *testing.T) {
	t.Parallel()
	for _, r := range omni.Reasons {
		require.Equal(t, r, testcarrier.Reason(string(r)))
	}
	for _, code := range []string{"", "30008", "anything"} {
		require.Equal(t, omni.ReasonRejected, testcarrier.Reason(code))
	}
}

func TestR18_ALostAnswerCanBeAskedFor(t *testing.T) {
	t.Parallel()
	inBubble(t, testcarrier.Options{}, testcarrier.Behaviour{FailRate: 1, FailCode: "unknown"}, func(t *testing.T, p *testcarrier.Provider, c carriers.Carrier, g *gateway) {
		pass(time.Second)
		m := message(omni.ChannelSMS, "+14155550123", "x")
		m.CreatedAt = omni.MillisOf(time.Now())
		l := c.(carriers.Lookuper)
		_, err := l.Lookup(t.Context(), m)
		require.ErrorIs(t, err, omni.ErrNotFound, "not sent yet")

		_, err = c.Send(t.Context(), m)
		var e *carriers.SendError
		require.ErrorAs(t, err, &e)
		require.Equal(t, omni.ReasonUnknown, e.Reason)
		result, err := l.Lookup(t.Context(), m)
		require.NoError(t, err)
		require.Equal(t, p.Outbox(accountA, "")[0].CarrierMessageID, result.CarrierMessageID)
		pass(time.Minute)
		require.Len(t, g.statuses(), 2, "the statuses come all the same")

		m.ID, m.CreatedAt = omni.NewID(), omni.MillisOf(time.Now().Add(-time.Hour))
		_, err = l.Lookup(t.Context(), m)
		require.ErrorIs(t, err, omni.ErrUnavailable, "of what was before the start, nothing is known")
	})
}

func TestAReportIsBroughtAgain(t *testing.T) {
	t.Parallel()
	inBubble(t, testcarrier.Options{}, testcarrier.Behaviour{}, func(t *testing.T, _ *testcarrier.Provider, c carriers.Carrier, g *gateway) {
		g.refuse = 4
		_, err := c.Send(t.Context(), message(omni.ChannelSMS, "+14155550123", "x"))
		require.NoError(t, err)
		pass(time.Minute)
		require.Equal(t, []omni.Status{omni.StatusSent, omni.StatusDelivered}, g.statuses())
	})
}

func TestClose(t *testing.T) {
	t.Parallel()
	inBubble(t, testcarrier.Options{}, testcarrier.Behaviour{}, func(t *testing.T, p *testcarrier.Provider, c carriers.Carrier, g *gateway) {
		_, err := c.Send(t.Context(), message(omni.ChannelSMS, "+14155550123", "x"))
		require.NoError(t, err)
		p.Close()
		p.Close()
		pass(time.Minute)
		require.Empty(t, g.statuses(), "nothing is reported after Close")
		_, err = c.Send(t.Context(), message(omni.ChannelSMS, "+14155550123", "x"))
		var e *carriers.SendError
		require.ErrorAs(t, err, &e)
		require.Equal(t, omni.ReasonUnreachable, e.Reason)
	})
}

func TestSendStopsWithItsContext(t *testing.T) {
	t.Parallel()
	inBubble(t, testcarrier.Options{}, testcarrier.Behaviour{DelayMs: 10_000}, func(t *testing.T, p *testcarrier.Provider, c carriers.Carrier, _ *gateway) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := c.Send(ctx, message(omni.ChannelSMS, "+14155550123", "x"))
		require.ErrorIs(t, err, context.DeadlineExceeded)
		var e *carriers.SendError
		require.ErrorAs(t, err, &e)
		require.Equal(t, omni.ReasonUnreachable, e.Reason)
		require.Empty(t, p.Outbox(accountA, ""))
	})
}

func TestWhatCannotBeSent(t *testing.T) {
	t.Parallel()
	p := testcarrier.New(testcarrier.Options{})
	t.Cleanup(p.Close)
	c, err := p.Open(account(map[string]string{"secret": secret}), carriers.Options{})
	require.NoError(t, err)
	noPublish := message(omni.ChannelSMS, "+1", "x")
	noPublish.Publish = nil
	files := message(omni.ChannelWhatsApp, "+1", "x")
	files.Payload = omni.NewPayload("", make([]omni.MediaReference, 2))
	for name, m := range map[string]omni.ServiceMessage{
		"no publish channel": noPublish, "two files on WhatsApp": files,
		"no recipient": message(omni.ChannelSMS, "", "x"), "empty": message(omni.ChannelSMS, "+1", ""),
		"long SMS": message(omni.ChannelSMS, "+1", strings.Repeat("x", 1601)), "PubNub": message(omni.ChannelPubNub, "+1", "x"),
	} {
		_, err := c.Send(t.Context(), m)
		var e *carriers.SendError
		require.ErrorAs(t, err, &e, name)
		require.Equal(t, omni.ReasonMalformed, e.Reason, name)
	}
	_, err = c.Send(t.Context(), message(omni.ChannelWhatsApp, "+1", strings.Repeat("x", 1601)))
	require.NoError(t, err, "without anybody who takes reports, nothing is reported")
}

func TestTheOutboxIsBounded(t *testing.T) {
	t.Parallel()
	p := testcarrier.New(testcarrier.Options{})
	t.Cleanup(p.Close)
	require.NoError(t, p.SetBehaviour(accountA, testcarrier.Behaviour{Statuses: []omni.Status{}}))
	c, err := p.Open(account(map[string]string{"secret": secret}), carriers.Options{})
	require.NoError(t, err)
	for i := range 101 {
		_, err := c.Send(t.Context(), message(omni.ChannelSMS, "+1", fmt.Sprint(i)))
		require.NoError(t, err)
	}
	outbox := p.Outbox(accountA, "+1")
	require.Len(t, outbox, 100)
	require.Equal(t, "1", outbox[0].Text)
	require.Equal(t, "100", outbox[99].Text)
	for i := range 1000 {
		_, err := c.Send(t.Context(), message(omni.ChannelSMS, fmt.Sprintf("+49%d", i), "x"))
		require.NoError(t, err)
	}
	require.Empty(t, p.Outbox(accountA, "+1"), "1,000 others came after")
	require.Len(t, p.Outbox(accountA, ""), 1000)
}

func TestSegments(t *testing.T) {
	t.Parallel()
	p := testcarrier.New(testcarrier.Options{})
	t.Cleanup(p.Close)
	c, err := p.Open(account(map[string]string{"secret": secret}), carriers.Options{})
	require.NoError(t, err)
	for text, want := range map[string]int{
		strings.Repeat("x", 160): 1, strings.Repeat("x", 161): 2, strings.Repeat("x", 306): 2, strings.Repeat("x", 307): 3,
		strings.Repeat("ж", 70): 1, strings.Repeat("ж", 71): 2, strings.Repeat("👋", 35): 1, strings.Repeat("👋", 36): 2,
	} {
		result, err := c.Send(t.Context(), message(omni.ChannelSMS, "+1", text))
		require.NoError(t, err)
		require.Equal(t, want, result.Segments, "%d bytes", len(text))
	}
}

func TestBehaviourIsChecked(t *testing.T) {
	t.Parallel()
	p := testcarrier.New(testcarrier.Options{})
	t.Cleanup(p.Close)
	for field, b := range map[string]testcarrier.Behaviour{
		"delayMs": {DelayMs: -1}, "statusDelayMs": {StatusDelayMs: 60_001}, "failRate": {FailRate: 1.1},
		"failCode": {FailCode: strings.Repeat("x", 65)}, "statuses": {Statuses: []omni.Status{"unknown"}}, "duplicates": {Duplicates: 21},
	} {
		err := p.SetBehaviour(accountA, b)
		var problem *omni.Problem
		require.ErrorAs(t, err, &problem, field)
		require.ErrorIs(t, err, omni.ErrInvalid)
		require.Contains(t, problem.Fields, field)
		require.Zero(t, p.Behaviour(accountA))
	}
	want := testcarrier.Behaviour{DelayMs: 1, Statuses: []omni.Status{omni.StatusRead}}
	require.NoError(t, p.SetBehaviour(accountA, want))
	require.Equal(t, want, p.Behaviour(accountA))
	require.Zero(t, p.Behaviour("another"))
}

func TestSimulate(t *testing.T) {
	t.Parallel()
	c := open(t)
	parse := func(in testcarrier.Inbound) []omni.CarrierChannelEvent {
		t.Helper()
		bodies, err := testcarrier.Simulate(in, carriertest.Now)
		require.NoError(t, err)
		var all []omni.CarrierChannelEvent
		for _, body := range bodies {
			r := request(string(body))
			r.Header.Set(testcarrier.SignatureHeader, testcarrier.Sign(omni.NewSecret(secret), body, carriertest.Now))
			require.NoError(t, c.Verify(r))
			p, err := c.Parse(r)
			require.NoError(t, err)
			require.Empty(t, p.Ignored)
			for _, e := range p.Events {
				require.NoError(t, e.Validate())
			}
			all = append(all, p.Events...)
		}
		return all
	}
	in := testcarrier.Inbound{From: "+14155550123", To: "+15005550006", Text: "Grüße 👋 an alle"}

	sms := parse(in)
	require.Len(t, sms, 1)
	require.Equal(t, omni.ChannelSMS, sms[0].ChannelType)
	require.Equal(t, in.Text, sms[0].Text)
	require.Equal(t, omni.MillisOf(carriertest.Now), sms[0].OccurredAt)
	require.NotEqual(t, sms[0].CarrierMessageID, parse(in)[0].CarrierMessageID)

	in.ChannelType, in.MediaURL = omni.ChannelMMS, "https://files.example.test/a/cat.JPG?size=1"
	mms := parse(in)[0]
	require.Equal(t, omni.ChannelMMS, mms.ChannelType)
	require.Equal(t, "image/jpeg", mms.Media[0].ContentType)
	in.MediaURL = "https://files.example.test/unknown"
	require.Equal(t, "application/octet-stream", parse(in)[0].Media[0].ContentType)

	in.ChannelType, in.MediaURL, in.Duplicates, in.ProfileName = omni.ChannelWhatsApp, "", 2, "Ana"
	twins := parse(in)
	require.Len(t, twins, 3)
	require.Equal(t, twins[0], twins[1])
	require.Equal(t, "Ana", twins[2].ProfileName)

	in.ChannelType, in.Duplicates, in.Fragments = omni.ChannelSMS, 1, 3
	parts := parse(in)
	require.Len(t, parts, 6)
	require.Equal(t, in.Text, parts[0].Text+parts[2].Text+parts[4].Text, "characters stay whole")
	for i, e := range parts {
		require.Equal(t, i/2+1, e.Fragment.Index)
		require.Equal(t, 3, e.Fragment.Total)
		require.Equal(t, parts[0].Fragment.Reference, e.Fragment.Reference)
		require.Equal(t, e.Text, e.Fragment.Text)
	}
	require.NotEqual(t, parts[0].CarrierMessageID, parts[2].CarrierMessageID)
	require.Equal(t, parts[0].CarrierMessageID, parts[1].CarrierMessageID)

	for field, bad := range map[string]testcarrier.Inbound{
		"from": {To: "+2", Text: "x"}, "to": {From: "+1", Text: "x"}, "text": {From: "+1", To: "+2"},
		"channelType": {From: "+1", To: "+2", Text: "x", ChannelType: omni.ChannelLiveChat},
		"fragments":   {From: "+1", To: "+2", Text: "x", Fragments: 2}, "duplicates": {From: "+1", To: "+2", Text: "x", Duplicates: 21},
		"delayMs": {From: "+1", To: "+2", Text: "x", DelayMs: -1},
	} {
		_, err := testcarrier.Simulate(bad, carriertest.Now)
		var problem *omni.Problem
		require.ErrorAs(t, err, &problem, field)
		require.Contains(t, problem.Fields, field)
	}
}

func TestClient(t *testing.T) {
	t.Parallel()
	c := open(t)
	var events []omni.CarrierChannelEvent
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		in := carriers.WebhookRequest{Method: r.Method, Header: r.Header, Body: body, Now: time.Now()}
		if err := c.Verify(in); err != nil {
			http.Error(w, "bad signature", http.StatusForbidden)
			return
		}
		p, err := c.Parse(in)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		events = append(events, p.Events...)
	}))
	t.Cleanup(s.Close)
	in := testcarrier.Inbound{From: "+14155550123", To: "+15005550006", Text: "Hello", Fragments: 2, Duplicates: 1, DelayMs: 1}
	client := testcarrier.Client{URL: s.URL, Secret: omni.NewSecret(secret), HTTP: s.Client()}
	require.NoError(t, client.Post(t.Context(), in))
	require.Len(t, events, 4)

	client.Secret = omni.NewSecret("another")
	err := client.Post(t.Context(), in)
	require.ErrorContains(t, err, "webhook 1 of 4: the gateway answered 403 bad signature")
	client.Secret = omni.NewSecret(secret)
	client.Now = func() time.Time { return time.Now().Add(-time.Hour) }
	require.ErrorContains(t, client.Post(t.Context(), in), "403", "old signatures are refused")
	require.ErrorIs(t, client.Post(t.Context(), testcarrier.Inbound{}), omni.ErrInvalid)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, client.Post(ctx, in), context.Canceled)
}

func open(tb testing.TB) carriers.Carrier {
	tb.Helper()
	p := testcarrier.New(testcarrier.Options{})
	tb.Cleanup(p.Close)
	c, err := p.Open(account(map[string]string{"secret": secret}), carriers.Options{})
	require.NoError(tb, err)
	return c
}

func BenchmarkParse(b *testing.B) {
	c := open(b)
	for _, f := range carriertest.Fixtures(b, "testdata/webhook") {
		if f.Name != "inbound-sms" && f.Name != "batch-two-messages-and-a-status" {
			continue
		}
		b.Run(f.Name, func(b *testing.B) {
			r := f.Webhook()
			b.ReportAllocs()
			for b.Loop() {
				if _, err := c.Parse(r); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkVerify(b *testing.B) {
	c := open(b)
	r := request(`{"events":[{"kind":"message","id":"1","from":"+1","to":"+2","text":"a"}]}`)
	sign(map[string]string{"secret": secret}, &r)
	b.ReportAllocs()
	for b.Loop() {
		if err := c.Verify(r); err != nil {
			b.Fatal(err)
		}
	}
}
