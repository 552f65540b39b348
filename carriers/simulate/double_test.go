package simulate_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"omniservice/carriers"
	"omniservice/carriers/simulate"
	"omniservice/carriers/twilio"
	"omniservice/omni"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// gateway keeps the forms that are posted to it, and answers as its test says.
type gateway struct {
	url string

	mu     sync.Mutex
	forms  []url.Values
	answer func(n int) int // nil: 200
}

func newGateway(t *testing.T, answer func(n int) int) *gateway {
	g := &gateway{answer: answer}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = r.ParseForm()
		g.mu.Lock()
		n := len(g.forms)
		g.forms = append(g.forms, r.PostForm)
		g.mu.Unlock()
		if g.answer != nil {
			w.WriteHeader(g.answer(n))
		}
	}))
	t.Cleanup(s.Close)
	g.url = s.URL
	return g
}

// words lists the statuses that came, by message.
func (g *gateway) words() map[string][]string {
	g.mu.Lock()
	defer g.mu.Unlock()
	by := map[string][]string{}
	for _, f := range g.forms {
		by[f.Get("MessageSid")] = append(by[f.Get("MessageSid")], f.Get("MessageStatus"))
	}
	return by
}

func (g *gateway) count() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.forms)
}

type stage struct {
	*simulate.Double

	carrier carriers.Carrier
	gateway *gateway
}

func start(t *testing.T, o simulate.Options, answer func(int) int) *stage {
	t.Helper()
	g := newGateway(t, answer)
	tr := &http.Transport{}
	o.HTTP = &http.Client{Transport: tr, Timeout: 10 * time.Second}
	o.WebhookURL = g.url
	d, err := simulate.New(twilio.Player{}, o)
	require.NoError(t, err)
	s := httptest.NewServer(d)
	d.SetAddresses(s.URL, "")
	t.Cleanup(func() {
		d.Close()
		s.Close()
		tr.CloseIdleConnections()
	})
	c, err := twilio.New().Open(d.Account(), carriers.Options{APIBase: s.URL, HTTP: o.HTTP})
	require.NoError(t, err)
	return &stage{Double: d, carrier: c, gateway: g}
}

func (s *stage) send(text string, kind omni.ChannelType) error {
	p := s.Player()
	_, err := s.carrier.Send(context.Background(), omni.ServiceMessage{
		ID: omni.NewID(), Payload: omni.TextPayload(text),
		Publish: &omni.PublishChannel{ChannelType: kind, Sender: p.Address(kind), Target: omni.PublishIdentity{Address: p.Customer(kind)}},
	})
	return err
}

func eventually(t *testing.T, what string, cond func() bool) {
	t.Helper()
	require.Eventually(t, cond, 10*time.Second, time.Millisecond, what)
}

func TestReports(t *testing.T) {
	t.Parallel()
	all := simulate.AllRead()
	tests := []struct {
		name      string
		channel   omni.ChannelType
		behaviour simulate.Behaviour
		want      []string // sorted where the order is left to chance
	}{
		{"none", omni.ChannelSMS, simulate.Behaviour{}, nil},
		{"what the channel has", omni.ChannelSMS, simulate.Behaviour{Reports: all}, []string{"sent", "delivered"}},
		{"all", omni.ChannelWhatsApp, simulate.Behaviour{Reports: all}, []string{"sent", "delivered", "read"}},
		{"twice", omni.ChannelSMS, simulate.Behaviour{Reports: all, Duplicates: 1}, []string{"sent", "sent", "delivered", "delivered"}},
		{"before the answer", omni.ChannelSMS, simulate.Behaviour{Reports: all, Early: 1}, []string{"sent", "delivered"}},
		{"in any order", omni.ChannelWhatsApp, simulate.Behaviour{Reports: all, Shuffle: true}, []string{"delivered", "read", "sent"}},
		{
			"a failure", omni.ChannelSMS,
			simulate.Behaviour{Reports: all, Faults: []simulate.Fault{{Kind: simulate.Fail, Share: 1, Code: "30005", Reported: omni.StatusUndeliverable}}},
			[]string{"undelivered"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := start(t, simulate.Options{Behaviour: tt.behaviour}, nil)
			require.NoError(t, s.send("Hello", tt.channel))
			if tt.behaviour.Early > 0 {
				require.NotZero(t, s.gateway.count(), "it came before the answer")
			}
			eventually(t, "all reports", func() bool { return s.gateway.count() >= len(tt.want) })
			s.Close()
			got := s.gateway.words()[s.Sent()[0].ID]
			if tt.behaviour.Shuffle {
				slices.Sort(got)
			}
			require.Equal(t, tt.want, got)
		})
	}
}

func TestReportsAreBroughtAgain(t *testing.T) {
	t.Parallel()
	s := start(t, simulate.Options{Behaviour: simulate.Behaviour{Reports: []simulate.Report{{Status: omni.StatusSent}}}}, func(n int) int {
		return []int{http.StatusServiceUnavailable, http.StatusOK}[min(n, 1)]
	})
	require.NoError(t, s.send("Hello", omni.ChannelSMS))
	eventually(t, "the second try", func() bool { return s.gateway.count() == 2 })
	require.Equal(t, []string{"sent", "sent"}, s.gateway.words()[s.Sent()[0].ID])
}

// A Close in the middle of it leaves nothing running, which TestMain sees, and nothing is taken after it.
func TestCloseDropsWhatIsStillToCome(t *testing.T) {
	t.Parallel()
	s := start(t, simulate.Options{Behaviour: simulate.Behaviour{Reports: simulate.AllRead(), Delay: time.Minute}}, nil)
	for range 10 {
		require.NoError(t, s.send("Hello", omni.ChannelSMS))
	}
	s.Close()
	s.Close()
	require.Zero(t, s.gateway.count())
	require.Error(t, s.send("Hello", omni.ChannelSMS))
	require.Len(t, s.Sent(), 10)
}

func TestFaultsHappenToTheirShare(t *testing.T) {
	t.Parallel()
	kinds := func() (all []simulate.Kind) {
		s := start(t, simulate.Options{Seed: 7, Behaviour: simulate.Behaviour{Faults: []simulate.Fault{
			{Kind: simulate.Throttle, Share: 0.3}, {Kind: simulate.Refuse, Share: 0.2, Code: "21610"}, {Kind: simulate.TakenReset, Share: 0.1},
		}}}, nil)
		for range 300 {
			_ = s.send("Hello", omni.ChannelSMS)
		}
		for _, a := range s.Attempts() {
			all = append(all, a.Fault.Kind)
			require.Equal(t, a.Fault.Kind == "" || a.Fault.Kind == simulate.TakenReset, a.Taken)
		}
		return all
	}
	first := kinds()
	require.Equal(t, first, kinds(), "the same seed, the same chance")
	counts := map[simulate.Kind]int{}
	for _, k := range first {
		counts[k]++
	}
	require.InDelta(t, 90, counts[simulate.Throttle], 25)
	require.InDelta(t, 60, counts[simulate.Refuse], 25)
	require.InDelta(t, 30, counts[simulate.TakenReset], 20)
	require.InDelta(t, 120, counts[""], 30)
}

func TestScriptComesFirst(t *testing.T) {
	t.Parallel()
	s := start(t, simulate.Options{Behaviour: simulate.Behaviour{Faults: []simulate.Fault{{Kind: simulate.Busy, Share: 1}}}}, nil)
	s.Script(simulate.Fault{}, simulate.Fault{Kind: simulate.Refuse, Code: "21610"})
	require.NoError(t, s.send("one", omni.ChannelSMS))
	reason := func(err error) omni.Reason {
		e, ok := errors.AsType[*carriers.SendError](err)
		require.True(t, ok, "%v", err)
		return e.Reason
	}
	require.Equal(t, omni.ReasonOptedOut, reason(s.send("two", omni.ChannelSMS)))
	require.Equal(t, omni.ReasonUnreachable, reason(s.send("three", omni.ChannelSMS)))
	require.NoError(t, s.SetBehaviour(simulate.Behaviour{}))
	require.NoError(t, s.send("four", omni.ChannelSMS))
	var texts []string
	for _, m := range s.Sent() {
		texts = append(texts, m.Text)
	}
	require.Equal(t, []string{"one", "four"}, texts)
}

func TestReceive(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var notes []simulate.Note
	watch := func(n simulate.Note) {
		mu.Lock()
		defer mu.Unlock()
		notes = append(notes, n)
	}
	s := start(t, simulate.Options{Watch: watch}, func(n int) int { return []int{http.StatusOK, http.StatusForbidden}[min(n, 1)] })
	s.AddFile("f1", simulate.File{ContentType: "image/png", Body: []byte("a cat")})
	in := simulate.Inbound{ChannelType: omni.ChannelSMS, From: "+14155550100", To: "+15005550006", Text: "Hello", Files: []string{"f1"}}
	require.NoError(t, s.Receive(t.Context(), in))
	require.Equal(t, "image/png", s.gateway.forms[0].Get("MediaContentType0"))
	require.ErrorContains(t, s.Receive(t.Context(), in), "403")
	in.Reaction = "👍"
	require.ErrorIs(t, s.Receive(t.Context(), in), omni.ErrInvalid)
	require.NoError(t, s.send("Hello", omni.ChannelSMS))
	s.Close()

	mu.Lock()
	defer mu.Unlock()
	var told []string
	for _, n := range notes {
		require.False(t, n.At.IsZero())
		switch {
		case n.Inbound != nil && n.Err != nil:
			told = append(told, "refused")
		case n.Inbound != nil:
			told = append(told, "brought")
		case n.Attempt != nil:
			told = append(told, "sent "+n.Attempt.Text)
		default:
			told = append(told, n.Request[strings.LastIndexByte(n.Request, ' ')+1:])
		}
	}
	require.Equal(t, []string{"brought", "refused", "sent Hello", "201"}, told)

	_, err := (&noAddress{t: t}).double().Webhook(in)
	require.ErrorIs(t, err, omni.ErrInvalid)
}

type noAddress struct{ t *testing.T }

func (n *noAddress) double() *simulate.Double {
	d, err := simulate.New(twilio.Player{}, simulate.Options{})
	require.NoError(n.t, err)
	n.t.Cleanup(d.Close)
	return d
}

func TestDoubleForgetsTheOldest(t *testing.T) {
	t.Parallel()
	d := (&noAddress{t: t}).double()
	for i := range 10_010 {
		id := string(rune('a' + i%26))
		require.Zero(t, d.Take(simulate.Sent{ID: id}))
	}
	require.Len(t, d.Attempts(), 10_000)
	for range 1_010 {
		d.AddFile(omni.NewID(), simulate.File{})
	}
	d.AddFile("last", simulate.File{Name: "x"})
	f, ok := d.File("last")
	require.True(t, ok)
	require.Equal(t, "x", f.Name)
	require.Empty(t, d.Templates())
	d.SetTemplates([]omni.MessageTemplate{{Name: "hello"}})
	require.Equal(t, "hello", d.Templates()[0].Name)
	require.WithinDuration(t, time.Now(), d.Now(), time.Minute)
}

func TestParseFault(t *testing.T) {
	t.Parallel()
	tests := []struct {
		in   string
		want simulate.Fault
		ok   bool
	}{
		{"throttle", simulate.Fault{Kind: simulate.Throttle, Share: 1}, true},
		{"busy@0.25", simulate.Fault{Kind: simulate.Busy, Share: 0.25}, true},
		{"refuse:21610@0.1", simulate.Fault{Kind: simulate.Refuse, Code: "21610", Share: 0.1}, true},
		{"fail:30005", simulate.Fault{Kind: simulate.Fail, Code: "30005", Share: 1}, true},
		{"explode", simulate.Fault{}, false},
		{"", simulate.Fault{}, false},
		{"busy@", simulate.Fault{}, false},
		{"busy@2", simulate.Fault{}, false},
		{"busy@NaN", simulate.Fault{}, false},
	}
	for _, tt := range tests {
		f, err := simulate.ParseFault(tt.in)
		if !tt.ok {
			require.ErrorIs(t, err, omni.ErrInvalid, tt.in)
			continue
		}
		require.NoError(t, err, tt.in)
		require.Equal(t, tt.want, f)
	}
}

func TestBehaviourIsChecked(t *testing.T) {
	t.Parallel()
	for name, b := range map[string]simulate.Behaviour{
		"more than all":      {Faults: []simulate.Fault{{Kind: simulate.Busy, Share: 0.6}, {Kind: simulate.Error, Share: 0.6}}},
		"no such fault":      {Faults: []simulate.Fault{{Kind: "x"}}},
		"a good status":      {Faults: []simulate.Fault{{Kind: simulate.Refuse, Status: 200}}},
		"a wait before now":  {Faults: []simulate.Fault{{Kind: simulate.Throttle, RetryAfter: -1}}},
		"fails as delivered": {Faults: []simulate.Fault{{Kind: simulate.Fail, Reported: omni.StatusDelivered}}},
		"no such report":     {Reports: []simulate.Report{{Status: omni.StatusUnknown}}},
		"too many reports":   {Reports: slices.Repeat(simulate.AllRead(), 10)},
		"too long":           {Delay: time.Hour},
		"too early":          {Early: 2},
		"too often":          {Duplicates: 1000},
	} {
		_, err := simulate.New(twilio.Player{}, simulate.Options{Behaviour: b})
		require.ErrorIs(t, err, omni.ErrInvalid, name)
	}
	d := (&noAddress{t: t}).double()
	require.ErrorIs(t, d.SetBehaviour(simulate.Behaviour{Early: 2}), omni.ErrInvalid)
}

// A fault that ends the connection does so for whoever called, and for nobody else.
func TestSilence(t *testing.T) {
	t.Parallel()
	s := start(t, simulate.Options{}, nil)
	s.Script(simulate.Fault{Kind: simulate.Reset}, simulate.Fault{Kind: simulate.TakenReset})
	for range 2 {
		err := s.send("Hello", omni.ChannelSMS)
		require.ErrorIs(t, err, io.EOF)
	}
	require.NoError(t, s.send("Hello", omni.ChannelSMS))
	require.Len(t, s.Sent(), 2)
}
