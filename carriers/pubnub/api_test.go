package pubnub_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"omniservice/carriers"
	"omniservice/carriers/carriertest"
	"omniservice/carriers/pubnub"
	"omniservice/carriers/simulate"
	"omniservice/omni"
)

func clock() time.Time { return carriertest.Now }

// double is PubNub on loopback.
type double struct {
	*pubnub.Carrier

	t       *testing.T
	player  *pubnub.Player
	desk    *carriertest.Desk
	account carriers.Account
	paths   func() []string // of the requests that came
}

func newDouble(t *testing.T, o carriers.Options, change ...func(a carriers.Account)) *double {
	t.Helper()
	d := &double{t: t, player: pubnub.NewPlayer(), desk: carriertest.NewDesk(clock())}
	d.account = d.player.Account()
	for _, f := range change {
		f(d.account)
	}
	api := d.player.API(d.account, d.desk)
	var mu sync.Mutex
	var paths []string
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		paths = append(paths, r.Method+" "+r.URL.Path)
		mu.Unlock()
		api.ServeHTTP(w, r)
	}))
	t.Cleanup(s.Close)
	tr := &http.Transport{}
	t.Cleanup(tr.CloseIdleConnections)
	d.paths = func() []string {
		mu.Lock()
		defer mu.Unlock()
		return slices.Clone(paths)
	}
	o.APIBase, o.Now, o.HTTP = s.URL, clock, &http.Client{Transport: tr}
	c, err := pubnub.New().Open(d.account, o)
	require.NoError(t, err)
	d.Carrier = c.(*pubnub.Carrier)
	return d
}

// write has a customer write, and returns what their webhook says.
func (d *double) write(in simulate.Inbound) omni.CarrierChannelEvent {
	d.t.Helper()
	in.ChannelType = omni.ChannelPubNub
	r, err := d.player.Inbound(d.account, webhook, in, clock())
	require.NoError(d.t, err)
	return d.parse(r)
}

func (d *double) parse(r *http.Request) omni.CarrierChannelEvent {
	d.t.Helper()
	body, err := io.ReadAll(r.Body)
	require.NoError(d.t, err)
	w := carriers.WebhookRequest{Method: r.Method, URL: webhook, Header: r.Header, Body: body, Now: clock()}
	require.NoError(d.t, d.Verify(w))
	p, err := d.Parse(w)
	require.NoError(d.t, err)
	require.Len(d.t, p.Events, 1)
	require.Empty(d.t, p.Ignored)
	return p.Events[0]
}

func outgoing(text string, files ...omni.MediaReference) omni.ServiceMessage {
	return omni.ServiceMessage{
		ID: omni.NewID(), Direction: omni.Outbound, Payload: omni.NewPayload(text, files), CreatedAt: omni.MillisOf(clock()),
		Publish: &omni.PublishChannel{
			ChannelType: omni.ChannelPubNub, Sender: "support-1042", Target: omni.PublishIdentity{Address: "user-77"},
		},
	}
}

var target = *outgoing("").Publish

// A conversation over the double, by each way to authenticate.
func TestADouble(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(a carriers.Account){
		"token":     func(carriers.Account) {},
		"signature": signing,
		"open":      withoutToken,
		"function":  func(a carriers.Account) { a.Config["webhookScheme"] = "function" },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newDouble(t, carriers.Options{}, change)
			in := d.write(simulate.Inbound{From: "user-77", To: "support-1042", Text: "Habari 👋"})
			require.Equal(t, "user-77", in.From)
			require.Equal(t, "support-1042", in.To)
			require.Equal(t, "Habari 👋", in.Text)

			m := outgoing("Karibu \"sana\" ~!*'()")
			m.Publish.ReplyTo = in.CarrierMessageID
			result, err := d.Send(t.Context(), m)
			require.NoError(t, err)
			require.Equal(t, omni.StatusSent, result.Status)
			sent := d.desk.Last()
			require.Equal(t, simulate.Sent{
				ID: result.CarrierMessageID, Reference: m.ID, ChannelType: omni.ChannelPubNub, From: "support-1042", To: "user-77",
				Text: "Karibu \"sana\" ~!*'()", ReplyTo: in.CarrierMessageID, Raw: sent.Raw, At: clock(),
			}, sent)

			for _, status := range []omni.Status{omni.StatusDelivered, omni.StatusRead} {
				r, err := d.player.Report(d.account, webhook, sent, simulate.Report{Status: status}, clock())
				require.NoError(t, err)
				e := d.parse(r)
				require.Equal(t, status, e.Status)
				require.Equal(t, result.CarrierMessageID, e.CarrierMessageID)
			}
			_, err = d.player.Report(d.account, webhook, sent, simulate.Report{Status: omni.StatusFailed}, clock())
			require.ErrorIs(t, err, omni.ErrInvalid)

			e := d.write(simulate.Inbound{From: "user-77", To: "support-1042", ReplyTo: result.CarrierMessageID, Reaction: "❤️"})
			require.Equal(t, omni.EventReaction, e.Kind)
			require.Equal(t, "❤️", e.Reaction)
			require.Equal(t, result.CarrierMessageID, e.ReplyTo)

			require.NoError(t, d.React(t.Context(), target, in.CarrierMessageID, "👍"))
			require.NoError(t, d.MarkRead(t.Context(), target, in.CarrierMessageID))
			require.NoError(t, d.Type(t.Context(), target, in.CarrierMessageID))
			again, err := d.Lookup(t.Context(), m)
			require.NoError(t, err)
			require.Equal(t, result, again)
		})
	}
}

func TestADoubleRefuses(t *testing.T) {
	t.Parallel()
	wrong := func(name, value string) func(d *double) carriers.Account {
		return func(d *double) carriers.Account {
			a := d.player.Account()
			if _, ok := a.Config[name]; ok {
				a.Config[name] = value
			} else {
				a.Credentials[name] = []omni.Secret{omni.NewSecret(value)}
			}
			return a
		}
	}
	for name, c := range map[string]struct {
		account func(d *double) carriers.Account
		verdict simulate.Verdict
		reason  omni.Reason
	}{
		"wrong token":   {wrong("authToken", "another"), simulate.Verdict{}, omni.ReasonMisconfigured},
		"wrong key":     {wrong("subscribeKey", "sub-c-other"), simulate.Verdict{}, omni.ReasonMisconfigured},
		"another's key": {wrong("publishKey", "pub-c-other"), simulate.Verdict{}, omni.ReasonMisconfigured},
		"too fast":      {wrong("messagesPerSecond", "10"), simulate.Verdict{Status: 429, RetryAfter: 4}, omni.ReasonThrottled},
		"fault":         {wrong("messagesPerSecond", "10"), simulate.Verdict{Status: 500}, omni.ReasonUnreachable},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newDouble(t, carriers.Options{})
			if c.verdict.Status != 0 {
				d.desk.Refuse(c.verdict)
			} else {
				s := httptest.NewServer(d.player.API(c.account(d), d.desk))
				t.Cleanup(s.Close)
				carrier, err := pubnub.New().Open(d.account, carriers.Options{APIBase: s.URL, Now: clock})
				require.NoError(t, err)
				d.Carrier = carrier.(*pubnub.Carrier)
			}
			_, err := d.Send(t.Context(), outgoing("x"))
			var e *carriers.SendError
			require.ErrorAs(t, err, &e)
			require.Equal(t, c.reason, e.Reason)
			require.Equal(t, c.verdict.RetryAfter, e.RetryAfter)
		})
	}
	d := newDouble(t, carriers.Options{})
	for _, in := range []simulate.Inbound{
		{ChannelType: omni.ChannelSMS, From: "user-77", To: "support-1"},
		{ChannelType: omni.ChannelPubNub, From: "user-77", To: "a b"},
		{ChannelType: omni.ChannelPubNub, From: "", To: "support-1"},
		{ChannelType: omni.ChannelPubNub, From: "u", To: "c", Reaction: "x", ReplyTo: "y"},
	} {
		_, err := d.player.Inbound(d.account, webhook, in, clock())
		require.ErrorIs(t, err, omni.ErrInvalid)
	}
	e := d.write(simulate.Inbound{From: "user-5", To: d.player.Address(omni.ChannelPubNub), Text: "a", ID: "again"})
	require.Equal(t, "support-user-5", e.To, "each customer has a channel of their own")
	again := d.write(simulate.Inbound{From: "user-5", To: d.player.Address(omni.ChannelPubNub), Text: "a", ID: "again"})
	require.Equal(t, e.CarrierMessageID, again.CarrierMessageID)
	m := outgoing("x")
	m.Publish.Sender = e.To
	_, err := d.Send(t.Context(), m)
	require.NoError(t, err)
	require.Equal(t, "support-*", d.desk.Last().From)
	require.Equal(t, "user-5", d.desk.Last().To)
	_, err = d.player.Report(d.account, webhook, simulate.Sent{ID: "x"}, simulate.Report{Status: omni.StatusRead}, clock())
	require.ErrorIs(t, err, omni.ErrInvalid)
	require.Empty(t, d.player.Address(omni.ChannelSMS)+d.player.Customer(omni.ChannelSMS))
	require.NotEmpty(t, d.player.Customer(omni.ChannelPubNub))
	require.Contains(t, d.player.String(), "1 channels")
}

// PubNub keeps every reaction of a user; the gateway has one to a message.
func TestReactReplacesWhatWasThere(t *testing.T) {
	t.Parallel()
	d := newDouble(t, carriers.Options{})
	in := d.write(simulate.Inbound{From: "user-77", To: "support-1042", Text: "a"})
	actions := func(verb string) int {
		n := 0
		for _, p := range d.paths() {
			if strings.HasPrefix(p, verb+" /v1/message-actions/") {
				n++
			}
		}
		return n
	}
	require.NoError(t, d.React(t.Context(), target, in.CarrierMessageID, "👍"))
	require.NoError(t, d.React(t.Context(), target, in.CarrierMessageID, "👍"), "the same again is nothing")
	require.Equal(t, 1, actions("POST"))
	require.NoError(t, d.React(t.Context(), target, in.CarrierMessageID, "❤️"))
	require.Equal(t, 1, actions("DELETE"))
	require.NoError(t, d.React(t.Context(), target, in.CarrierMessageID, ""))
	require.Equal(t, 2, actions("DELETE"))
	require.NoError(t, d.React(t.Context(), target, in.CarrierMessageID, ""), "nothing to take back")
	require.Equal(t, 2, actions("DELETE"))
	require.NoError(t, d.MarkRead(t.Context(), target, in.CarrierMessageID))
	require.NoError(t, d.MarkRead(t.Context(), target, in.CarrierMessageID), "what is there already is no failure")

	for _, id := range []string{"", "support-1042", "support-1042:", "support-1042:x", ":1763", "a b:1763", "support-1042:1:2"} {
		for _, err := range []error{d.React(t.Context(), target, id, "👍"), d.MarkRead(t.Context(), target, id)} {
			var e *carriers.SendError
			require.ErrorAs(t, err, &e, id)
			require.Equal(t, omni.ReasonMalformed, e.Reason, id)
		}
	}
	require.NoError(t, d.Type(t.Context(), target, ""), "the channel is the sender")
	require.NoError(t, d.Type(t.Context(), omni.PublishChannel{Sender: "support-*"}, in.CarrierMessageID), "or that of the newest message")
	require.Error(t, d.Type(t.Context(), omni.PublishChannel{ChannelType: omni.ChannelPubNub, Sender: "support-*"}, ""))
	require.Equal(t, 5*time.Second, d.TypeEvery())
}

func TestFilesAreUploaded(t *testing.T) {
	t.Parallel()
	picture := omni.MediaReference{ID: omni.NewID(), Type: omni.MediaImage, ContentType: "image/png", FileName: "picha 1.png", State: omni.MediaReady}
	paper := omni.MediaReference{ID: omni.NewID(), Type: omni.MediaDocument, ContentType: "application/pdf", State: omni.MediaReady}
	gone := omni.MediaReference{ID: omni.NewID(), Type: omni.MediaDocument, External: omni.ExternalRef{URL: "https://gw.example.test/media/x"}}
	large := omni.MediaReference{ID: omni.NewID(), Type: omni.MediaVideo, ContentType: "video/mp4"}
	broken := omni.MediaReference{ID: omni.NewID(), Type: omni.MediaVideo, ContentType: "video/mp4"}
	open := func(_ context.Context, f omni.MediaReference) (io.ReadCloser, error) {
		switch f.ID {
		case picture.ID, paper.ID:
			return io.NopCloser(strings.NewReader("content of " + f.ID)), nil
		case large.ID:
			return io.NopCloser(bytes.NewReader(make([]byte, 5<<20+1))), nil
		case broken.ID:
			return nil, errors.New("disk away")
		default:
			return nil, omni.ErrNotFound
		}
	}
	d := newDouble(t, carriers.Options{OpenFile: open})
	m := outgoing("tazama", picture)
	result, err := d.Send(t.Context(), m)
	require.NoError(t, err)
	require.Len(t, d.desk.Last().FileIDs, 1)
	require.Equal(t, "tazama", d.desk.Last().Text)
	require.Contains(t, d.paths()[2], "/v1/files/publish-file/", "a file alone is a file message")
	stored := slices.Collect(maps.Values(d.desk.Files()))
	require.Equal(t, []simulate.File{{Name: "picha 1.png", ContentType: "image/png", Body: []byte("content of " + picture.ID)}}, stored)
	found, err := d.Lookup(t.Context(), m)
	require.NoError(t, err)
	require.Equal(t, result, found, "also a file message is found by our id")

	_, err = d.Send(t.Context(), outgoing("mbili", picture, paper, gone))
	require.NoError(t, err)
	require.Len(t, d.desk.Last().FileIDs, 2)
	require.Equal(t, []string{"https://gw.example.test/media/x"}, d.desk.Last().FileURLs)
	require.Contains(t, string(d.desk.Last().Raw), `"name":"file.pdf"`)

	_, err = d.Send(t.Context(), outgoing(strings.Repeat("é", 10_000), picture))
	require.NoError(t, err)
	require.Len(t, d.desk.Last().FileIDs, 1, "a long text goes beside a file as well")

	before := len(d.desk.Sent())
	for _, c := range []struct {
		file   omni.MediaReference
		reason omni.Reason
	}{{large, omni.ReasonMalformed}, {broken, omni.ReasonUnreachable}, {omni.MediaReference{ID: "x"}, omni.ReasonMalformed}} {
		_, err := d.Send(t.Context(), outgoing("x", c.file))
		var e *carriers.SendError
		require.ErrorAs(t, err, &e)
		require.Equal(t, c.reason, e.Reason)
	}
	require.Len(t, d.desk.Sent(), before)
}

// What fails before a message is published may be tried again: nobody has seen anything.
func TestAnUploadThatFailsPublishesNothing(t *testing.T) {
	t.Parallel()
	file := omni.MediaReference{ID: omni.NewID(), Type: omni.MediaImage, ContentType: "image/png", FileName: "a.png"}
	for name, c := range map[string]struct {
		answer, upload func(w http.ResponseWriter, host string)
		reason         omni.Reason
	}{
		"no address":      {func(w http.ResponseWriter, _ string) { _, _ = io.WriteString(w, `{}`) }, nil, omni.ReasonUnreachable},
		"foreign address": {form("ftp://%s/x"), nil, omni.ReasonUnreachable},
		"plain address":   {form("http://elsewhere.example.test/%s"), nil, omni.ReasonUnreachable},
		"upload refused": {form("http://%s/put"), func(w http.ResponseWriter, _ string) {
			w.WriteHeader(http.StatusForbidden)
		}, omni.ReasonMisconfigured},
		"upload fails": {form("http://%s/put"), func(w http.ResponseWriter, _ string) {
			w.WriteHeader(http.StatusInternalServerError)
		}, omni.ReasonUnreachable},
		"no answer": {form("http://%s/put"), func(w http.ResponseWriter, _ string) {
			if conn, _, err := http.NewResponseController(w).Hijack(); err == nil {
				_ = conn.Close()
			}
		}, omni.ReasonUnreachable},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				switch {
				case strings.HasSuffix(r.URL.Path, "/generate-upload-url"):
					c.answer(w, r.Host)
				case r.URL.Path == "/put" && !strings.Contains(r.URL.RawQuery, "auth"):
					c.upload(w, r.Host)
				default:
					t.Errorf("called %s", r.URL.Path)
				}
			}))
			t.Cleanup(s.Close)
			tr := &http.Transport{}
			t.Cleanup(tr.CloseIdleConnections)
			p := open(t, carriers.Options{
				APIBase: s.URL, Now: clock, HTTP: &http.Client{Transport: tr},
				OpenFile: func(context.Context, omni.MediaReference) (io.ReadCloser, error) {
					return io.NopCloser(strings.NewReader("x")), nil
				},
			})
			_, err := p.Send(t.Context(), outgoing("a", file))
			var e *carriers.SendError
			require.ErrorAs(t, err, &e)
			require.Equal(t, c.reason, e.Reason)
		})
	}
}

func form(address string) func(w http.ResponseWriter, host string) {
	return func(w http.ResponseWriter, host string) {
		_, _ = fmt.Fprintf(w, `{"status":200,"data":{"id":"f1","name":"a.png"},"file_upload_request":{"url":%q,"form_fields":[]}}`,
			fmt.Sprintf(address, host))
	}
}

func TestLookup(t *testing.T) {
	t.Parallel()
	d := newDouble(t, carriers.Options{})
	m := outgoing("a")
	_, err := d.Lookup(t.Context(), m)
	require.ErrorIs(t, err, omni.ErrUnavailable, "a channel without a history says nothing")
	d.write(simulate.Inbound{From: "user-77", To: "support-1042", Text: "a"})
	_, err = d.Lookup(t.Context(), m)
	require.ErrorIs(t, err, omni.ErrNotFound)
	m.CreatedAt = m.CreatedAt.Add(time.Hour)
	_, err = d.Lookup(t.Context(), m)
	require.ErrorIs(t, err, omni.ErrNotFound, "also if what it keeps is older")
	m.CreatedAt = m.CreatedAt.Add(-time.Hour)
	want, err := d.Send(t.Context(), m)
	require.NoError(t, err)
	for i := range 120 {
		_, err := d.Send(t.Context(), outgoing(fmt.Sprint(i)))
		require.NoError(t, err)
	}
	got, err := d.Lookup(t.Context(), m)
	require.NoError(t, err)
	require.Equal(t, want, got, "on the second page")
	_, err = d.Lookup(t.Context(), omni.ServiceMessage{})
	require.ErrorIs(t, err, omni.ErrInvalid)

	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) }))
	t.Cleanup(s.Close)
	_, err = open(t, carriers.Options{APIBase: s.URL, Now: clock}).Lookup(t.Context(), m)
	require.Error(t, err)
	require.NotErrorIs(t, err, omni.ErrNotFound, "that it cannot be asked does not mean that it is not there")
}

// Nobody may find another's words under our id.
func TestSec_LookupTakesOurOwnMessagesAlone(t *testing.T) {
	t.Parallel()
	m := outgoing("a")
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = fmt.Fprintf(w, `{"channels":{"support-1042":[{"message":{"omniMessageId":%q},"timetoken":"17636301301200001","uuid":"user-77"}]}}`, m.ID)
	}))
	t.Cleanup(s.Close)
	_, err := open(t, carriers.Options{APIBase: s.URL, Now: clock}).Lookup(t.Context(), m)
	require.ErrorIs(t, err, omni.ErrNotFound)
}

func TestMissed(t *testing.T) {
	t.Parallel()
	d := newDouble(t, carriers.Options{})
	since := omni.MillisOf(clock())
	none, err := d.Missed(t.Context(), "support-1042", since)
	require.NoError(t, err)
	require.Empty(t, none)
	var want []omni.CarrierChannelEvent
	for i := range 130 {
		want = append(want, d.write(simulate.Inbound{From: "user-77", To: "support-1042", Text: fmt.Sprint(i)}))
		if i%10 == 0 {
			_, err := d.Send(t.Context(), outgoing("ours"))
			require.NoError(t, err)
		}
	}
	got, err := d.Missed(t.Context(), "support-1042", since)
	require.NoError(t, err)
	require.Len(t, got, len(want), "ours are left out")
	for i := range want {
		require.Equal(t, want[i].CarrierMessageID, got[i].CarrierMessageID, "oldest first, and as the webhook says")
		require.Equal(t, want[i].Text, got[i].Text)
		require.Equal(t, want[i].From, got[i].From)
	}
	later, err := d.Missed(t.Context(), "support-1042", since.Add(time.Minute))
	require.NoError(t, err)
	require.Empty(t, later)
	_, err = d.Missed(t.Context(), "support-*", since)
	require.ErrorIs(t, err, omni.ErrInvalid)
}

// What history gives is read as webhooks are: files are in another place there.
func TestMissedFilesAndHugePages(t *testing.T) {
	t.Parallel()
	huge := strings.Repeat("x", carriers.MaxAnswer+1)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Query().Get("max") == "100":
			_, _ = io.WriteString(w, huge)
		default:
			_, _ = io.WriteString(w, `{"status":200,"channels":{"support-1":[
				{"message":{"message":{"text":"see receipt"},"file":{"id":"f-1","name":"risiti 1.pdf"}},"timetoken":"17636302976652491","uuid":"user-77","message_type":4,"meta":{"locale":"sw"}},
				{"message":{"cursor":1},"timetoken":"17636302976652492","uuid":"user-77"}]}}`)
		}
	}))
	t.Cleanup(s.Close)
	all, err := open(t, carriers.Options{APIBase: s.URL, Now: clock}).Missed(t.Context(), "support-1", 1)
	require.NoError(t, err)
	require.Len(t, all, 1)
	require.Equal(t, "see receipt", all[0].Text)
	require.Equal(t, omni.Metadata{"locale": "sw"}, all[0].Metadata)
	require.Equal(t, "f-1", all[0].Media[0].External.ID)
	require.Equal(t, "application/pdf", all[0].Media[0].ContentType)
	require.Equal(t, omni.Millis(1763630297665), all[0].OccurredAt)
}

func TestCheck(t *testing.T) {
	t.Parallel()
	ok := func(c []carriers.Check) string {
		var all []string
		for _, one := range c {
			require.NotEmpty(t, one.Name)
			require.NotEmpty(t, one.Detail)
			require.NotContains(t, one.Detail, access)
			all = append(all, fmt.Sprintf("%s %t", one.Name, one.OK))
		}
		return strings.Join(all, ", ")
	}
	d := newDouble(t, carriers.Options{})
	require.Equal(t, "clock true, credentials true, access true", ok(d.Check(t.Context())))
	require.Equal(t, "clock true, credentials true, access true", ok(newDouble(t, carriers.Options{}, signing).Check(t.Context())))
	require.Equal(t, "clock true, credentials true, access false", ok(newDouble(t, carriers.Options{}, withoutToken).Check(t.Context())))
	for status, want := range map[int]string{
		400: "clock false, credentials false, access true", 403: "clock false, credentials false, access true",
		500: "clock false, credentials false, access true", 200: "clock false, credentials true, access true",
	} {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) }))
		t.Cleanup(s.Close)
		require.Equal(t, want, ok(open(t, carriers.Options{APIBase: s.URL, Now: clock}).Check(t.Context())), status)
	}
	late := newDouble(t, carriers.Options{})
	carrier, err := pubnub.New().Open(late.account, carriers.Options{APIBase: "http://127.0.0.1:1", Now: clock})
	require.NoError(t, err)
	require.Equal(t, "clock false, credentials false, access true", ok(carrier.(carriers.Checker).Check(t.Context())))
}
