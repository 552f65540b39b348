package carriertest

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"omniservice/carriers"
	"omniservice/carriers/simulate"
	"omniservice/omni"
)

// statuses are those that a provider may report.
var statuses = []omni.Status{
	omni.StatusQueued, omni.StatusSent, omni.StatusDelivered, omni.StatusRead, omni.StatusFailed, omni.StatusUndeliverable,
}

// stage is a Player with the carrier that it plays for.
type stage struct {
	provider carriers.Provider
	player   simulate.Player
}

// RunPlayer checks a provider's Player against its carrier: what it posts is authentic and says what it was asked for,
// and what it is sent it understands.
func RunPlayer(t *testing.T, provider carriers.Provider, player simulate.Player) {
	t.Helper()
	s := stage{provider, player}
	t.Run("account", s.account)
	for _, family := range s.families(t) {
		t.Run(string(family), func(t *testing.T) {
			t.Parallel()
			t.Run("inbound", func(t *testing.T) { s.inbound(t, family) })
			t.Run("send", func(t *testing.T) { s.send(t, family) })
			t.Run("reports", func(t *testing.T) { s.reports(t, family) })
			t.Run("faults", func(t *testing.T) { s.faults(t, family) })
		})
	}
}

// set is one double with a carrier that calls it.
type set struct {
	carrier carriers.Carrier
	double  *simulate.Double
	base    string
	client  *http.Client
}

func (s stage) open(t *testing.T, a carriers.Account) *set {
	t.Helper()
	d, err := simulate.New(s.player, simulate.Options{WebhookURL: webhookURL, Now: func() time.Time { return Now }, Seed: 1})
	require.NoError(t, err)
	server := httptest.NewServer(d)
	d.SetAddresses(server.URL, "")
	tr := &http.Transport{}
	client := &http.Client{Transport: tr, Timeout: 10 * time.Second}
	t.Cleanup(func() {
		tr.CloseIdleConnections()
		server.Close()
		d.Close()
	})
	c, err := s.provider.Open(a, carriers.Options{
		WebhookURL: webhookURL, HTTP: client, APIBase: server.URL, Now: func() time.Time { return Now },
		OpenFile: func(context.Context, omni.MediaReference) (io.ReadCloser, error) {
			return io.NopCloser(strings.NewReader("a dog")), nil
		},
	})
	require.NoError(t, err)
	return &set{carrier: c, double: d, base: server.URL, client: client}
}

// families are those of the carrier.
func (s stage) families(t *testing.T) []omni.ChannelType {
	t.Helper()
	c, err := s.provider.Open(s.player.Account(), carriers.Options{WebhookURL: webhookURL})
	require.NoError(t, err)
	var all []omni.ChannelType
	for _, family := range omni.ChannelTypes {
		if family != family.Family() {
			continue
		}
		_, able := c.Capabilities(family)
		require.Equal(t, able, s.player.Address(family) != "", "the player has an address for %s", family)
		require.Equal(t, able, s.player.Customer(family) != "", "the player has a customer for %s", family)
		if able {
			all = append(all, family)
		}
	}
	require.NotEmpty(t, all)
	return all
}

func (s stage) account(t *testing.T) {
	require.Equal(t, s.provider.Name(), s.player.Name())
	a := s.player.Account()
	require.Equal(t, a, s.player.Account(), "the account is the same each time")
	known := map[string]carriers.Field{}
	for _, f := range s.provider.Fields() {
		known[f.Name] = f
		_, configured := a.Config[f.Name]
		require.True(t, !f.Required || configured || !a.Credential(f.Name).IsZero(), "%s is required", f.Name)
	}
	for name := range a.Config {
		require.Contains(t, known, name)
		require.False(t, known[name].Secret, "%s is secret", name)
	}
	for name := range a.Credentials {
		require.Contains(t, known, name)
		require.True(t, known[name].Secret, "%s is not secret", name)
	}
}

// impostor is a with other secrets of the same form.
func impostor(a carriers.Account) carriers.Account {
	other := a
	other.Credentials = map[string][]omni.Secret{}
	for name, all := range a.Credentials {
		for _, secret := range all {
			other.Credentials[name] = append(other.Credentials[name], omni.NewSecret(altered(secret.Reveal())))
		}
	}
	return other
}

// altered is s with another letter or digit in its middle.
func altered(s string) string {
	b := []byte(s)
	if len(b) == 0 {
		return s
	}
	swap := func(one, two byte) byte {
		if b[len(b)/2] == one {
			return two
		}
		return one
	}
	switch c := b[len(b)/2]; {
	case '0' <= c && c <= '9':
		b[len(b)/2] = swap('0', '1')
	case 'A' <= c && c <= 'Z':
		b[len(b)/2] = swap('A', 'B')
	default:
		b[len(b)/2] = swap('a', 'b')
	}
	return string(b)
}

// read is what the gateway reads from a request to a webhook.
func read(t *testing.T, r *http.Request) carriers.WebhookRequest {
	t.Helper()
	w := carriers.WebhookRequest{Method: r.Method, URL: r.URL.String(), Header: r.Header, Now: Now}
	if r.Body != nil {
		b, err := io.ReadAll(r.Body)
		require.NoError(t, err)
		w.Body = b
	}
	return w
}

// event is the only event of an authentic request.
func (s stage) event(t *testing.T, c carriers.Carrier, r *http.Request) omni.CarrierChannelEvent {
	t.Helper()
	w := read(t, r)
	require.LessOrEqual(t, int64(len(w.Body)), s.provider.MaxBody())
	require.NoError(t, c.Verify(w))
	p, err := c.Parse(w)
	require.NoError(t, err)
	require.Empty(t, p.Ignored)
	require.Len(t, p.Events, 1)
	require.NoError(t, p.Events[0].Validate())
	require.Equal(t, http.StatusOK/100, c.Respond(p).Status/100)
	return p.Events[0]
}

func (s stage) inbound(t *testing.T, family omni.ChannelType) {
	o := s.open(t, s.player.Account())
	able, _ := o.carrier.Capabilities(family)
	from, to := s.player.Customer(family), s.player.Address(family)
	o.double.AddFile("file-1", simulate.File{Name: "cat.png", ContentType: "image/png", Body: []byte("a cat")})
	base := simulate.Inbound{ChannelType: family, From: from, To: to}
	ours := s.sender(t, o, family)
	_, err := o.carrier.Send(t.Context(), s.message(family, ours, "Hello"))
	require.NoError(t, err)
	sent := o.double.Sent()[0].ID // what answers and reactions are about
	with := func(change func(*simulate.Inbound)) simulate.Inbound {
		in := base
		change(&in)
		return in
	}
	cases := map[string]struct {
		in       simulate.Inbound
		optional bool
	}{
		"text":                {in: with(func(in *simulate.Inbound) { in.Text = "Hello" })},
		"other text":          {in: with(func(in *simulate.Inbound) { in.Text = "a+b=c&d \"é\" 👋\n<b>x</b> %41 \\u0041" })},
		"name":                {in: with(func(in *simulate.Inbound) { in.Text, in.ProfileName = "Hello", "Ann Other" })},
		"answer":              {in: with(func(in *simulate.Inbound) { in.Text, in.ReplyTo = "Yes", sent }), optional: !able.ReplyTo},
		"reaction":            {in: with(func(in *simulate.Inbound) { in.Reaction, in.ReplyTo = "👍", sent }), optional: !able.Reactions},
		"reaction taken away": {in: with(func(in *simulate.Inbound) { in.Reaction, in.ReplyTo, in.Act = "👍", sent, simulate.Unreact }), optional: !able.Reactions},
		"edit":                {in: with(func(in *simulate.Inbound) { in.Text, in.ReplyTo, in.Act = "Hello!", "theirs", simulate.Edit }), optional: true},
		"delete":              {in: with(func(in *simulate.Inbound) { in.ReplyTo, in.Act = "theirs", simulate.Delete }), optional: true},
		"place":               {in: with(func(in *simulate.Inbound) { in.Location = &omni.Location{Latitude: -1.25, Longitude: 36.5} }), optional: !able.Location},
		"contacts": {
			in: with(func(in *simulate.Inbound) {
				in.Contacts = []omni.ContactCard{{Name: "Ann Other", Phones: []string{"+14155550177"}}}
			}),
			optional: !able.ContactCards,
		},
		"another kind": {in: with(func(in *simulate.Inbound) { in.Unknown = "hologram" }), optional: true},
		"file": {
			in:       with(func(in *simulate.Inbound) { in.Text, in.Files = "", []string{"file-1"} }),
			optional: len(able.MediaTypes) == 0,
		},
		"file and text": {
			in:       with(func(in *simulate.Inbound) { in.Text, in.Files = "Look", []string{"file-1"} }),
			optional: len(able.MediaTypes) == 0 || !able.Captions,
		},
	}
	seen := map[string]bool{}
	for name, c := range cases {
		r, err := o.double.Webhook(c.in)
		if c.optional && err != nil {
			require.ErrorIs(t, err, omni.ErrInvalid, name)
			continue
		}
		require.NoError(t, err, name)
		e := s.event(t, o.carrier, r)
		require.NotEmpty(t, e.CarrierMessageID, name)
		require.False(t, seen[e.CarrierMessageID], "%s: each has an id of its own", name)
		seen[e.CarrierMessageID] = true
		require.Equal(t, omni.Inbound, e.Direction, name)
		require.Equal(t, s.player.Name(), e.Carrier, name)
		require.Equal(t, family, e.ChannelType.Family(), name)
		require.Equal(t, from, e.From, name)
		require.True(t, fits(to, e.To), "%s: to %s", name, e.To)
		require.Equal(t, c.in.ReplyTo, e.ReplyTo, name)
		kinds := map[simulate.Act]omni.EventKind{simulate.Unreact: omni.EventReaction, simulate.Edit: omni.EventEdit, simulate.Delete: omni.EventDelete}
		switch kind, acts := kinds[c.in.Act]; {
		case acts:
			require.Equal(t, kind, e.Kind, name)
			require.Empty(t, e.Reaction, name)
			require.Equal(t, c.in.Text, e.Text, name)
			continue
		case c.in.Reaction != "":
			require.Equal(t, omni.EventReaction, e.Kind, name)
			require.Equal(t, c.in.Reaction, e.Reaction, name)
			continue
		}
		require.Equal(t, omni.EventMessage, e.Kind, name)
		require.Equal(t, c.in.Unknown, e.Unsupported, name)
		if c.in.Location != nil {
			require.Equal(t, c.in.Location, e.Location, name)
		}
		require.Equal(t, c.in.Contacts, e.Contacts, name)
		if c.in.Text != "" {
			require.Equal(t, c.in.Text, e.Text, name)
		}
		require.Len(t, e.Media, len(c.in.Files), name)
		for _, m := range e.Media {
			require.Equal(t, family == omni.ChannelSMS, e.ChannelType == omni.ChannelMMS, name)
			require.Equal(t, "a cat", o.fetch(t, m), name)
		}
	}

	fixed := with(func(in *simulate.Inbound) { in.Text = "Hello" })
	r, err := o.double.Webhook(fixed)
	require.NoError(t, err)
	fixed.ID = s.event(t, o.carrier, r).CarrierMessageID // an id of the right form
	r, err = o.double.Webhook(fixed)
	require.NoError(t, err)
	require.Equal(t, fixed.ID, s.event(t, o.carrier, r).CarrierMessageID, "an id that was asked for")

	r, err = s.player.Inbound(impostor(s.player.Account()), webhookURL, fixed, Now)
	require.NoError(t, err)
	require.ErrorIs(t, o.carrier.Verify(read(t, r)), omni.ErrUnauthenticated, "made with another account's secrets")

	foreign := fixed
	foreign.ChannelType = omni.ChannelLiveChat
	_, err = s.player.Inbound(s.player.Account(), webhookURL, foreign, Now)
	require.ErrorIs(t, err, omni.ErrInvalid, "a channel that the provider does not have")
}

// fits reports whether an address is ours: the one of the channel, or one that fits a pattern.
func fits(ours, address string) bool {
	before, after, pattern := strings.Cut(ours, "*")
	if !pattern {
		return address == ours
	}
	return address != ours && strings.HasPrefix(address, before) && strings.HasSuffix(address, after)
}

// sender is the address of ours that answers the player's customer: with a pattern, the one that they wrote to.
func (s stage) sender(t *testing.T, o *set, family omni.ChannelType) string {
	t.Helper()
	ours := s.player.Address(family)
	if !strings.Contains(ours, "*") {
		return ours
	}
	r, err := o.double.Webhook(simulate.Inbound{ChannelType: family, From: s.player.Customer(family), To: ours, Text: "Hello"})
	require.NoError(t, err)
	return s.event(t, o.carrier, r).To
}

// fetch gets a file as the gateway does.
func (o *set) fetch(t *testing.T, m omni.MediaReference) string {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, m.External.URL, nil)
	require.NoError(t, err)
	if f, ok := o.carrier.(carriers.MediaFetcher); ok {
		r, err = f.MediaRequest(t.Context(), m)
		require.NoError(t, err)
		require.Contains(t, f.MediaHosts(), r.URL.Host)
	}
	resp, err := o.client.Do(r)
	require.NoError(t, err)
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, resp.StatusCode, "%s: %s", r.URL, body)
	return string(body)
}

// marked lists what was shown, where it says so about a message.
func (o *set) marked(t *testing.T, ours, messageID string) []simulate.MarkKind {
	t.Helper()
	var kinds []simulate.MarkKind
	for _, m := range o.double.Marks() {
		require.True(t, fits(ours, m.From) || fits(m.From, ours), "%s is ours", m.From)
		if m.MessageID == messageID || m.MessageID == "" {
			kinds = append(kinds, m.Kind)
		}
	}
	return kinds
}

// message is one of ours that goes out.
func (s stage) message(family omni.ChannelType, sender, text string, files ...omni.MediaReference) omni.ServiceMessage {
	kind := family
	if family == omni.ChannelSMS && len(files) > 0 {
		kind = omni.ChannelMMS
	}
	return omni.ServiceMessage{
		ID: omni.NewID(), Direction: omni.Outbound, Payload: omni.NewPayload(text, files),
		Publish: &omni.PublishChannel{
			DigitalChannelID: omni.NewID(), ChannelType: kind, Sender: sender,
			Target: omni.PublishIdentity{Address: s.player.Customer(family)},
		},
	}
}

func (s stage) send(t *testing.T, family omni.ChannelType) {
	o := s.open(t, s.player.Account())
	able, _ := o.carrier.Capabilities(family)
	ours := s.sender(t, o, family)
	last := func() simulate.Sent {
		all := o.double.Sent()
		require.NotEmpty(t, all, "nothing was taken")
		return all[len(all)-1]
	}
	for _, text := range []string{"Hello", "a+b=c&d \"é\" 👋\n<b>x</b> %41 \\u0041"} {
		m := s.message(family, ours, text)
		result, err := o.carrier.Send(t.Context(), m)
		require.NoError(t, err)
		got := last()
		require.Equal(t, result.CarrierMessageID, got.ID)
		require.Equal(t, m.ID, got.Reference, "our id goes with the message")
		require.Equal(t, family, got.ChannelType)
		require.Contains(t, []string{ours, s.player.Address(family)}, got.From)
		require.Equal(t, s.player.Customer(family), got.To)
		require.Equal(t, text, got.Text)
		require.NotEmpty(t, got.Raw)
		require.Equal(t, Now, got.At.UTC())
	}
	if len(able.MediaTypes) > 0 {
		m := s.message(family, ours, "", omni.MediaReference{
			ID: omni.NewID(), Type: omni.MediaImage, ContentType: "image/png", Size: 5, FileName: "dog.png", State: omni.MediaReady,
			External: omni.ExternalRef{URL: "https://gw.example.test/files/dog.png"},
		})
		_, err := o.carrier.Send(t.Context(), m)
		require.NoError(t, err)
		got := last()
		require.Equal(t, m.ID, got.Reference)
		require.Equal(t, m.Publish.ChannelType, got.ChannelType)
		require.Equal(t, 1, len(got.FileURLs)+len(got.FileIDs))
		for _, id := range got.FileIDs {
			f, ok := o.double.File(id)
			require.True(t, ok)
			require.Equal(t, "a dog", string(f.Body))
		}
	}
	r, err := o.double.Webhook(simulate.Inbound{
		ChannelType: family, From: s.player.Customer(family), To: s.player.Address(family), Text: "Hello",
	})
	require.NoError(t, err)
	theirs := s.event(t, o.carrier, r).CarrierMessageID // what answers and reactions are about
	if able.ReplyTo {
		m := s.message(family, ours, "Yes")
		m.Publish.ReplyTo = theirs
		_, err := o.carrier.Send(t.Context(), m)
		require.NoError(t, err)
		require.Equal(t, theirs, last().ReplyTo)
	}
	if c, ok := o.carrier.(carriers.Reactor); ok && able.Reactions {
		require.NoError(t, c.React(t.Context(), *s.message(family, ours, "").Publish, theirs, "👍"))
		require.Equal(t, "👍", last().Reaction)
		require.Equal(t, theirs, last().ReplyTo)
		require.NoError(t, c.React(t.Context(), *s.message(family, ours, "").Publish, theirs, ""))
		require.Equal(t, []simulate.MarkKind{simulate.MarkUnreact}, o.marked(t, ours, theirs))
	}
	if c, ok := o.carrier.(carriers.ReadMarker); ok && able.ReadReceipts {
		require.NoError(t, c.MarkRead(t.Context(), *s.message(family, ours, "").Publish, theirs))
		require.Contains(t, o.marked(t, ours, theirs), simulate.MarkRead)
	}
	if c, ok := o.carrier.(carriers.Typer); ok && able.Typing {
		require.NoError(t, c.Type(t.Context(), *s.message(family, ours, "").Publish, theirs))
		require.Contains(t, o.marked(t, ours, theirs), simulate.MarkTyping)
	}
	if able.Location {
		m := s.message(family, ours, "")
		m.Payload = omni.MessagePayload{Type: omni.PayloadLocation, Location: &omni.Location{Latitude: -1.25, Longitude: 36.5}}
		_, err := o.carrier.Send(t.Context(), m)
		require.NoError(t, err)
		require.Equal(t, m.Payload.Location, last().Location)
	}
	if able.ContactCards {
		m := s.message(family, ours, "")
		m.Payload = omni.MessagePayload{Type: omni.PayloadContacts, Contacts: []omni.ContactCard{
			{Name: "Ann Other", Phones: []string{"+14155550177"}, Emails: []string{"ann@example.test"}, Organisation: "Clinic"},
		}}
		_, err := o.carrier.Send(t.Context(), m)
		require.NoError(t, err)
		require.Equal(t, m.Payload.Contacts, last().Contacts)
	}

	ids, before := map[string]bool{}, len(o.double.Sent())
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() { _, _ = o.carrier.Send(t.Context(), s.message(family, ours, "at once")) })
	}
	all.Wait()
	for _, got := range o.double.Sent()[before:] {
		ids[got.ID] = true
	}
	require.Len(t, ids, 8, "each has an id of its own")

	// Nothing is taken from others.
	taken := len(o.double.Attempts())
	wrong, err := s.provider.Open(impostor(s.player.Account()), carriers.Options{
		WebhookURL: webhookURL, HTTP: o.client, APIBase: o.base, Now: func() time.Time { return Now },
	})
	require.NoError(t, err)
	_, err = wrong.Send(t.Context(), s.message(family, ours, "Hello"))
	var e *carriers.SendError
	require.ErrorAs(t, err, &e)
	require.Equal(t, omni.ReasonMisconfigured, e.Reason, "wrong credentials")
	for _, path := range []string{"/", "/nowhere", "/%00", strings.Repeat("/a", 1000)} {
		for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodDelete} {
			r, err := http.NewRequestWithContext(t.Context(), method, o.base+path, bytes.NewReader([]byte(`{"x":`)))
			require.NoError(t, err)
			resp, err := o.client.Do(r)
			require.NoError(t, err, path)
			require.NoError(t, resp.Body.Close())
			require.Equal(t, 4, resp.StatusCode/100, "%s %.20s", method, path)
		}
	}
	require.Len(t, o.double.Attempts(), taken)
}

func (s stage) reports(t *testing.T, family omni.ChannelType) {
	o := s.open(t, s.player.Account())
	able, _ := o.carrier.Capabilities(family)
	ours := s.sender(t, o, family)
	m := s.message(family, ours, "Hello")
	_, err := o.carrier.Send(t.Context(), m)
	require.NoError(t, err)
	sent := o.double.Sent()[0]
	to := sent.Callback
	if to == "" {
		to = webhookURL
	}
	require.True(t, to == webhookURL || strings.HasPrefix(to, webhookURL+"?"), "reports go to our webhook: %s", to)
	told := map[omni.Status]bool{}
	for _, status := range statuses {
		code := ""
		if status == omni.StatusFailed || status == omni.StatusUndeliverable {
			code = "1234"
		}
		r, err := s.player.Report(s.player.Account(), to, sent, simulate.Report{Status: status, Code: code}, Now)
		if err != nil {
			require.ErrorIs(t, err, omni.ErrInvalid, status)
			continue
		}
		told[status] = true
		e := s.event(t, o.carrier, r)
		require.Equal(t, omni.EventStatus, e.Kind, status)
		require.Equal(t, omni.Outbound, e.Direction, status)
		require.Equal(t, status, e.Status)
		require.True(t, e.CarrierMessageID == sent.ID || e.ClientReference == m.ID, "%s: it says whose", status)
		require.Equal(t, code, e.ErrorCode, status)

		r, err = s.player.Report(impostor(s.player.Account()), to, sent, simulate.Report{Status: status, Code: code}, Now)
		require.NoError(t, err)
		require.ErrorIs(t, o.carrier.Verify(read(t, r)), omni.ErrUnauthenticated, "made with another account's secrets")
	}
	require.False(t, able.DeliveryStatus && !told[omni.StatusDelivered], "delivered is reported")
	require.False(t, able.ReadStatus && !told[omni.StatusRead], "read is reported")
}

// faults: what goes wrong at the provider is what the carrier says went wrong, above all whether the message was taken.
func (s stage) faults(t *testing.T, family omni.ChannelType) {
	o := s.open(t, s.player.Account())
	ours := s.sender(t, o, family)
	cases := []struct {
		fault  simulate.Fault
		reason omni.Reason // or unreachable, for an error that the provider wants to be tried again after
		taken  bool
	}{
		{simulate.Fault{Kind: simulate.Throttle, RetryAfter: 7}, omni.ReasonThrottled, false},
		{simulate.Fault{Kind: simulate.Busy}, omni.ReasonUnreachable, false},
		{simulate.Fault{Kind: simulate.Error}, omni.ReasonUnknown, false},
		{simulate.Fault{Kind: simulate.Reset}, omni.ReasonUnknown, false},
		{simulate.Fault{Kind: simulate.TakenError}, omni.ReasonUnknown, true},
		{simulate.Fault{Kind: simulate.TakenReset}, omni.ReasonUnknown, true},
		{simulate.Fault{Kind: simulate.Refuse, Status: http.StatusUnauthorized}, omni.ReasonMisconfigured, false},
		{simulate.Fault{Kind: simulate.Refuse, Status: http.StatusBadRequest}, omni.ReasonMalformed, false},
	}
	for _, c := range cases {
		before := len(o.double.Sent())
		o.double.Script(c.fault)
		_, err := o.carrier.Send(t.Context(), s.message(family, ours, "Hello"))
		var e *carriers.SendError
		require.ErrorAs(t, err, &e, c.fault.Kind)
		reasons := []omni.Reason{c.reason}
		if c.fault.Kind == simulate.Error || c.fault.Kind == simulate.TakenError {
			reasons = append(reasons, omni.ReasonUnreachable)
		}
		require.Contains(t, reasons, e.Reason, "%s: %v", c.fault.Kind, err)
		require.Equal(t, c.fault.RetryAfter, e.RetryAfter, c.fault.Kind)
		require.Equal(t, c.taken, len(o.double.Sent()) > before, c.fault.Kind)
	}
	_, err := o.carrier.Send(t.Context(), s.message(family, ours, "Hello"))
	require.NoError(t, err, "and then all is well")
}
