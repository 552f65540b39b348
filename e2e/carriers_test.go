package e2e_test

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"image"
	"image/png"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/stretchr/testify/require"

	"omniservice/app"
	"omniservice/carriers"
	"omniservice/carriers/messagebird"
	"omniservice/carriers/simulate"
	. "omniservice/e2e" //nolint:revive // the scenarios read better without e2e. before each word
	"omniservice/omni"
	"omniservice/omni/wire"
)

// optedOut is how a carrier refuses a message to somebody who does not want any: at once, or later by a status.
var optedOut = map[omni.CarrierName]simulate.Fault{
	omni.CarrierTwilio:      {Kind: simulate.Refuse, Code: "21610"},
	omni.CarrierWhatsApp:    {Kind: simulate.Refuse, Code: "131050"},
	omni.CarrierBandwidth:   {Kind: simulate.Fail, Code: "4775", Reported: omni.StatusUndeliverable},
	omni.CarrierMessageBird: {Kind: simulate.Fail, Code: "103", Reported: omni.StatusUndeliverable},
}

// again are the carriers that want a message to be published again after an error: whoever reads it drops what has the
// same id of ours.
var again = map[omni.CarrierName]bool{omni.CarrierPubNub: true}

// shown is what a run has shown of one carrier.
type shown struct {
	carrier, feature, by string
}

type table struct {
	mu   sync.Mutex
	rows []shown
}

func (b *table) add(carrier string, family omni.ChannelType, feature, by string, args ...any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.rows = append(b.rows, shown{carrier + " " + string(family), feature, fmt.Sprintf(by, args...)})
}

func (b *table) String() string {
	var out strings.Builder
	w := tabwriter.NewWriter(&out, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(w, "carrier\tfeature\tshown by")
	slices.SortStableFunc(b.rows, func(x, y shown) int { return strings.Compare(x.carrier, y.carrier) })
	for _, r := range b.rows {
		_, _ = fmt.Fprintf(w, "%s\t%s\t%s\n", r.carrier, r.feature, r.by)
	}
	_ = w.Flush()
	return out.String()
}

// Every carrier, played over HTTP both ways, through the whole program: what it can, and what goes wrong at it.
func TestCarriers(t *testing.T) {
	t.Parallel()
	results := &table{}
	t.Run("all", func(t *testing.T) {
		for _, p := range app.PlayedProviders() {
			t.Run(string(p.Provider.Name()), func(t *testing.T) {
				t.Parallel()
				playCarrier(t, p, "", results)
			})
		}
		for _, product := range []string{"conversations", "bird"} {
			t.Run("MessageBird "+product, func(t *testing.T) {
				t.Parallel()
				playCarrier(t, app.Played{Provider: messagebird.New(), Player: messagebird.Player{Product: product}}, product, results)
			})
		}
	})
	t.Logf("%s", "\n"+results.String())
}

// playCarrier plays all channels of a carrier, or with another of its products those that only that has.
func playCarrier(t *testing.T, p app.Played, product string, results *table) {
	s := Play(t, p, Options{RetryBase: 20 * time.Millisecond}, simulate.Options{Seed: 18})
	ana := s.Ana.Connect(t)
	for i, family := range s.Families {
		if product != "" && family == omni.ChannelSMS {
			continue
		}
		a := &act{Stage: s, ana: ana, family: family, first: 1000 * i, product: product, results: results}
		scenes := []func(*testing.T){
			a.story, a.told, a.files, a.sends, a.quotes, a.reactions, a.attention, a.changes, a.kinds, a.templates, a.reported,
		}
		if product == "" {
			scenes = append(scenes, a.r16, a.r17, a.r18, a.r21, a.r22)
		}
		for _, scene := range scenes {
			scene(t)
		}
	}
	require.Empty(t, ana.Gaps())
	require.Zero(t, ana.Repeated())
}

// names reports whether a report names our id of the message: without it, one about a message whose answer was lost
// cannot be told to be about it.
func (a *act) names(t *testing.T, sent simulate.Sent) bool {
	t.Helper()
	r, err := a.report(sent, simulate.Report{Status: omni.StatusDelivered})
	if errors.Is(err, omni.ErrInvalid) {
		return false
	}
	require.NoError(t, err)
	body, err := io.ReadAll(r.Body)
	require.NoError(t, err)
	p, err := a.Carrier.Parse(carriers.WebhookRequest{Method: r.Method, URL: r.URL.String(), Header: r.Header, Body: body, Now: time.Now()})
	require.NoError(t, err)
	require.Len(t, p.Events, 1)
	return p.Events[0].ClientReference == sent.Reference
}

// act is one carrier's channel under test. Each of its scenes has customers of its own.
type act struct {
	*Stage

	ana     *Client
	family  omni.ChannelType
	first   int      // number of the newest customer
	talks   []string // conversations of the floods
	product string   // of the carrier, "" for the one that it is played with first
	results *table
}

func (a *act) show(feature, by string, args ...any) {
	a.results.add(strings.TrimSuffix(string(a.Carrier.Name())+" "+a.product, " "), a.family, feature, by, args...)
}

func (a *act) able() omni.Capabilities {
	able, _ := a.Carrier.Capabilities(a.family)
	return able
}

// last is the status that a message comes to if all goes well.
func (a *act) last() omni.Status {
	switch able := a.able(); {
	case able.ReadStatus:
		return omni.StatusRead
	case able.DeliveryStatus:
		return omni.StatusDelivered
	default:
		return omni.StatusSent
	}
}

func (a *act) behave(t *testing.T, b simulate.Behaviour) {
	t.Helper()
	require.NoError(t, a.Double.SetBehaviour(b))
}

// text makes one that no other scene has.
func (a *act) text(format string, args ...any) string {
	return fmt.Sprintf("%s %d: ", a.family, a.first) + fmt.Sprintf(format, args...)
}

// conversation brings a message of a new customer, and returns where it arrived.
func (a *act) conversation(t *testing.T, text string) wire.Message {
	t.Helper()
	a.first++
	require.NoError(t, a.Double.Receive(t.Context(), a.Inbound(a.family, a.first, text)))
	return a.ana.ExpectText(t, text)
}

// tries lists the attempts to send each text, in order.
func (a *act) tries() map[string][]simulate.Attempt {
	by := map[string][]simulate.Attempt{}
	for _, x := range a.Double.Attempts() {
		by[x.Text] = append(by[x.Text], x)
	}
	return by
}

// A customer writes, an agent answers and sees how far the answer has come.
func (a *act) story(t *testing.T) {
	in := a.conversation(t, a.text("a+b=c&d \"é\" 👋\n<b>x</b> %%41"))
	require.Equal(t, omni.Inbound, in.Direction)
	require.Equal(t, a.family, in.ChannelType.Family())
	a.show("inbound text", "message.created on an agent's socket")

	a.behave(t, simulate.Behaviour{Reports: simulate.AllRead()})
	text := a.text("an answer & more\n👍 <i>")
	var out wire.Message
	a.ana.Must(t, wire.CmdMessageSend, wire.SendMessage{
		InteractionID: in.InteractionID, ClientID: NewClientID(), Payload: wire.SendPayload{Text: text},
	}, &out)
	a.ana.ExpectStatus(t, out.ID, a.last())
	tries := a.tries()[text]
	require.Len(t, tries, 1, "it went out once")
	require.Equal(t, out.ID, tries[0].Reference, "with our id")
	require.Equal(t, a.Inbound(a.family, a.first, "").From, tries[0].To)
	require.Equal(t, a.Inbound(a.family, a.first, "").To, tries[0].From)
	require.Equal(t, a.family, tries[0].ChannelType)
	a.show("outbound text", "the API got sender, recipient, text and our id")
}

// files: a picture that a customer sends is fetched from the carrier and served to agents.
func (a *act) files(t *testing.T) {
	var picture bytes.Buffer
	require.NoError(t, png.Encode(&picture, image.NewGray(image.Rect(0, 0, 3, 3))))
	id := "file-" + omni.NewToken(8)
	a.Double.AddFile(id, simulate.File{Name: "cat.png", ContentType: "image/png", Body: picture.Bytes()})
	a.first++
	in := a.Inbound(a.family, a.first, "")
	in.Files = []string{id}
	require.NoError(t, a.Double.Receive(t.Context(), in))
	f := Read[wire.FileChange](t, a.ana.Expect(t, wire.MediaReady, nil))
	var detail struct{ Message wire.Message }
	a.Ana.Call(t, http.MethodGet, "/api/v1/messages/"+f.MessageID, nil).JSON(t, &detail)
	require.Len(t, detail.Message.Payload.Files, 1)
	file := detail.Message.Payload.Files[0]
	require.Equal(t, "image/png", file.ContentType)
	res, err := a.HTTP().Get(a.Local(a.PublicURL + strings.TrimPrefix(file.URL, a.PublicURL))) //nolint:noctx // the client has a timeout
	require.NoError(t, err)
	defer func() { require.NoError(t, res.Body.Close()) }()
	body, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, res.StatusCode, "%s", body)
	require.Equal(t, picture.Bytes(), body)
	a.show("inbound file", "fetched from the carrier, served to the agent, %d bytes", len(body))
}

// sends: a picture that an agent attaches goes to the carrier, which gets it itself or is given it.
func (a *act) sends(t *testing.T) {
	a.behave(t, simulate.Behaviour{Reports: simulate.AllRead()})
	in := a.conversation(t, a.text("what does it look like?"))
	before := len(a.Double.Attempts())
	var out wire.Message
	a.ana.Must(t, wire.CmdMessageSend, wire.SendMessage{
		InteractionID: in.InteractionID, ClientID: NewClientID(),
		Payload: wire.SendPayload{Files: []string{a.Upload(t, a.Ana.Token, "photo.png", PNG)}},
	}, &out)
	a.ana.ExpectStatus(t, out.ID, a.last())
	got := a.Double.Attempts()[before:]
	require.Len(t, got, 1)
	require.Equal(t, out.ID, got[0].Reference)
	require.Equal(t, 1, len(got[0].FileURLs)+len(got[0].FileIDs))
	for _, address := range got[0].FileURLs {
		status, header, body := fetch(t, a.System, address)
		require.Equal(t, http.StatusOK, status, body)
		require.Equal(t, "image/png", header.Get("Content-Type"))
		require.Equal(t, PNG, body)
		a.show("outbound file", "the carrier fetched it by its link, %d bytes; %s", len(body), a.last())
	}
	for _, id := range got[0].FileIDs {
		f, ok := a.Double.File(id)
		require.True(t, ok)
		require.Equal(t, PNG, string(f.Body))
		a.show("outbound file", "uploaded to the carrier, %d bytes; %s", len(f.Body), a.last())
	}
}

// reported: a message that was taken, and then failed.
func (a *act) reported(t *testing.T) {
	a.behave(t, simulate.Behaviour{})
	in := a.conversation(t, a.text("hello"))
	m, sent := a.answers(t, in, wire.SendMessage{Payload: wire.SendPayload{Text: a.text("bound to fail")}})
	failed := simulate.Report{Status: omni.StatusFailed, Code: "1234"}
	_, err := a.report(sent, failed)
	if err != nil { // perhaps it has no codes
		failed.Code = ""
		_, err = a.report(sent, failed)
	}
	if err != nil {
		a.absent(t, "failure told later", err)
		return
	}
	require.NoError(t, a.Double.Report(t.Context(), sent, failed))
	s := a.ana.ExpectStatus(t, m.ID, omni.StatusFailed)
	require.Equal(t, failed.Code, s.ErrorCode)
	require.NotEmpty(t, s.ErrorText)
	a.show("failure told later", "code %q, %q on the socket", s.ErrorCode, s.ErrorText)
}

// report makes the webhook that tells what became of a message.
func (a *act) report(sent simulate.Sent, r simulate.Report) (*http.Request, error) {
	return a.player().Report(a.Double.Account(), cmp.Or(sent.Callback, a.Account.WebhookURL), sent, r, time.Now())
}

func (a *act) player() simulate.Player { return a.Double.Player() }

// flood answers eight customers twice each. It returns the messages by their text, once all have been tried.
func (a *act) flood(t *testing.T, what string) map[string]wire.Message {
	t.Helper()
	all := map[string]wire.Message{}
	for len(a.talks) < 8 {
		a.talks = append(a.talks, a.conversation(t, a.text("hello")).InteractionID)
	}
	for n := range 2 {
		for c, id := range a.talks {
			text := a.text("%s, customer %d, answer %d", what, c, n)
			all[text] = a.Alpha.Send(t, id, text)
		}
	}
	a.Drained(t)
	return all
}

// statuses are those of messages, once cond holds for each.
func (a *act) statuses(t *testing.T, all map[string]wire.Message, cond func(text string, s omni.Status) bool) map[omni.Status]int {
	t.Helper()
	counts := map[omni.Status]int{}
	for text, m := range all {
		var s omni.Status
		Eventually(t, "the last status of "+text, func() bool {
			rec, err := a.App.Store().Message(t.Context(), omni.Org(a.Alpha.ID), m.ID)
			require.NoError(t, err)
			s = rec.Status
			return cond(text, s)
		})
		counts[s]++
	}
	return counts
}

// sent reports how often each message was taken, and which recipients got theirs out of order.
func (a *act) sent(all map[string]wire.Message) (none, twice, disordered int) {
	seq := map[string]int64{}
	times := map[string]int{}
	for _, m := range a.Double.Sent() {
		mine, ok := all[m.Text]
		if !ok {
			continue
		}
		times[m.Text]++
		if mine.Seq < seq[m.To] {
			disordered++
		}
		seq[m.To] = max(seq[m.To], mine.Seq)
	}
	for text := range all {
		switch times[text] {
		case 0:
			none++
		case 1:
		default:
			twice++
		}
	}
	return none, twice, disordered
}

// r16: three in ten are throttled and told to wait a second.
func (a *act) r16(t *testing.T) {
	a.behave(t, simulate.Behaviour{Faults: []simulate.Fault{{Kind: simulate.Throttle, Share: 0.3, RetryAfter: 1}}, Reports: simulate.AllRead()})
	all := a.flood(t, "R16")
	none, twice, disordered := a.sent(all)
	throttled, early := 0, 0
	for text, tries := range a.tries() {
		if _, ok := all[text]; !ok {
			continue
		}
		for i, x := range tries[1:] {
			throttled++
			if x.At.Sub(tries[i].At) < time.Second {
				early++
			}
		}
	}
	counts := a.statuses(t, all, func(_ string, s omni.Status) bool { return s == a.last() })
	require.Zero(t, none, "not sent")
	require.Zero(t, twice)
	require.Zero(t, disordered)
	require.Zero(t, early)
	require.NotZero(t, throttled)
	a.show("R16 429 with Retry-After to 30 %", "%d messages, %d throttled: not sent 0, twice 0, early 0, out of order 0, %v", len(all), throttled, counts)
}

// r17: three in ten are refused as busy, one in ten meets a connection that ends.
func (a *act) r17(t *testing.T) {
	a.behave(t, simulate.Behaviour{
		Faults: []simulate.Fault{{Kind: simulate.Busy, Share: 0.3}, {Kind: simulate.Reset, Share: 0.1}}, Reports: simulate.AllRead(),
	})
	began := time.Now()
	all := a.flood(t, "R17")
	took := time.Since(began)
	none, twice, _ := a.sent(all)
	lost := 0
	for text, tries := range a.tries() {
		if _, ok := all[text]; ok && tries[len(tries)-1].Fault.Kind == simulate.Reset {
			lost++
		}
	}
	taken := map[string]bool{}
	for _, m := range a.Double.Sent() {
		taken[m.Text] = true
	}
	counts := a.statuses(t, all, func(text string, s omni.Status) bool {
		return taken[text] && s == a.last() || !taken[text] && s == omni.StatusUnknown
	})
	require.Equal(t, lost, none, "only what nobody can tell of is not sent")
	require.Zero(t, twice)
	require.Less(t, took, time.Minute)
	a.show("R17 503 to 30 %, resets 10 %", "%d messages in %v: twice 0, without an answer and shown as unknown %d, %v", len(all), took.Round(time.Millisecond), lost, counts)
}

// r18: three in ten are taken, and the gateway is told that they were not, or nothing.
func (a *act) r18(t *testing.T) {
	faults := []simulate.Fault{{Kind: simulate.TakenError, Share: 0.15}, {Kind: simulate.TakenReset, Share: 0.15}}
	if again[a.Carrier.Name()] {
		faults = []simulate.Fault{{Kind: simulate.TakenReset, Share: 0.3}}
	}
	a.behave(t, simulate.Behaviour{
		Faults:  faults,
		Reports: simulate.AllRead(), Delay: 5 * time.Millisecond,
	})
	all := a.flood(t, "R18")
	none, twice, _ := a.sent(all)
	faulty, named := map[string]bool{}, false
	for _, x := range a.Double.Attempts() {
		if _, ok := all[x.Text]; ok && x.Fault.Kind != "" {
			faulty[x.Text] = true
			named = a.names(t, x.Sent)
		}
	}
	_, asked := a.Carrier.(carriers.Lookuper)
	counts := a.statuses(t, all, func(text string, s omni.Status) bool {
		if faulty[text] && !named && !asked {
			return s == omni.StatusUnknown
		}
		return s == a.last()
	})
	require.Zero(t, none)
	require.Zero(t, twice)
	require.NotEmpty(t, faulty)
	a.show("R18 taken, then 500 or no answer", "%d messages, %d so: twice 0, then %v", len(all), len(faulty), counts)
}

// r21: what the carrier refuses is not tried again, and says why.
func (a *act) r21(t *testing.T) {
	in := a.conversation(t, a.text("R21"))
	fault, ok := optedOut[a.Carrier.Name()]
	if !ok {
		fault.Kind = simulate.Refuse
	}
	fault.Share = 1
	a.behave(t, simulate.Behaviour{Faults: []simulate.Fault{fault}})
	text := a.text("R21, refused")
	m := a.Alpha.Send(t, in.InteractionID, text)
	s := a.ana.ExpectStatus(t, m.ID, cmp.Or(fault.Reported, omni.StatusFailed))
	require.NotEmpty(t, s.ErrorText)
	a.Drained(t)
	require.Len(t, a.tries()[text], 1)
	if !ok {
		a.show("R21 refused", "tried once, %q on the socket", s.ErrorText)
		return
	}
	require.Equal(t, omni.ReasonOptedOut, s.Reason)
	require.Equal(t, fault.Code, s.ErrorCode)
	a.ana.Expect(t, wire.ConsentChanged, nil)
	again := a.Alpha.Call(t, http.MethodPost, "/api/v1/interactions/"+in.InteractionID+"/messages",
		map[string]any{"clientId": NewClientID(), "payload": map[string]any{"text": "again"}})
	require.Equal(t, omni.CodeOptedOut, again.Problem(t).Code)
	a.show("R21 refused: opted out", "tried once, %q on the socket, consent.changed, the next message refused", s.ErrorText)
}

// r22: statuses come twice, in any order, and half of them before the send's own answer.
func (a *act) r22(t *testing.T) {
	a.behave(t, simulate.Behaviour{Reports: simulate.AllRead(), Shuffle: true, Duplicates: 1, Early: 0.5})
	all := a.flood(t, "R22")
	counts := a.statuses(t, all, func(_ string, s omni.Status) bool { return s == a.last() })
	ids := map[string]bool{}
	for _, m := range all {
		ids[m.ID] = true
	}
	a.Drained(t)
	end := a.conversation(t, a.text("R22, the end")) // what came before it has been told
	backward, rank := 0, map[string]int{}
	for _, f := range a.ana.Events(wire.MessageStatus) {
		s := Read[wire.StatusChange](t, f)
		if ids[s.MessageID] && s.Status.Rank() < rank[s.MessageID] {
			backward++
			t.Logf("backward to %s at %d: %+v", s.Status, f.Offset, s)
		}
		rank[s.MessageID] = s.Status.Rank()
	}
	require.NotEmpty(t, end.ID)
	require.Zero(t, backward)
	a.show("R22 statuses twice, in any order, early", "%d messages: moves backward 0, then %v", len(all), counts)
}
