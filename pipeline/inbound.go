package pipeline

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"time"

	"omniservice/carriers"
	"omniservice/carriers/reroute"
	"omniservice/omni"
	"omniservice/omni/wire"
	"omniservice/store"
)

const (
	maxAttempts = 5                  // failures after which a webhook is set aside
	asideFor    = 7 * 24 * time.Hour // how long set-aside webhooks are kept
)

// Accept makes a verified webhook durable, in the store or in the spool, and returns; the pipeline works on it at once, or
// when the store is back. Parts of it that nothing follows from are kept aside. When it returns an error nothing may be
// acknowledged. elsewhere are the parts of it that Share found to be other environments'.
func (p *Pipeline) Accept(ctx context.Context, a *Account, r carriers.WebhookRequest, parsed carriers.Parsed, elsewhere ...reroute.Destination) error {
	raw := store.RawPayload{Method: r.Method, Query: rawQuery(r.URL), Body: r.Body, Header: map[string]string{}}
	if ct := r.Header.Get("Content-Type"); ct != "" {
		raw.Header["Content-Type"] = ct
	}
	t := a.Record.Tenant
	base := store.InboxRecord{Tenant: t, AccountID: a.Record.ID, Carrier: a.Record.Carrier, ReceivedAt: p.millis()}

	w := taken{Records: conversations(base, parsed.Events)}
	if len(w.Records) > 0 {
		w.Records[0].Raw = raw
	}
	w.Records = append(w.Records, forwards(base, elsewhere)...)
	for _, ig := range parsed.Ignored {
		rec := base
		rec.ID = omni.NewID()
		rec.Raw = raw
		w.Aside = append(w.Aside, p.newAside(rec, store.SetAsideUnknown, ig.Name))
	}
	if err := p.keep(ctx, w); err != nil {
		return fmt.Errorf("keep webhook of account %s: %w", a.Record.ID, err)
	}
	if once, ok := a.Carrier.(carriers.OnceOnly); ok {
		once.Delivered(r)
	}
	for _, s := range w.Aside {
		p.noteAside(ctx, s)
	}
	p.countWebhook(a.Record.Carrier, parsed)
	p.taken(a)
	return nil
}

// Deliver takes events that the Test carrier, which lives inside the gateway, makes by itself.
func (p *Pipeline) Deliver(ctx context.Context, accountID string, events []omni.CarrierChannelEvent) error {
	a, ok := p.caches.byID.peek(accountID)
	if !ok {
		return fmt.Errorf("carrier account %s is not open: %w", accountID, omni.ErrNotFound)
	}
	return p.Accept(ctx, a, carriers.WebhookRequest{}, carriers.Parsed{Events: events})
}

// conversations cuts a webhook's events into a record for each conversation, in order. What is about another message has a
// record of its own, because it may have to wait for that, and nothing else has to wait with it.
func conversations(base store.InboxRecord, events []omni.CarrierChannelEvent) []store.InboxRecord {
	var records []store.InboxRecord
	byKey := map[string]int{}
	for _, e := range events {
		alone := e.Kind == omni.EventReaction || e.Kind == omni.EventEdit || e.Kind == omni.EventDelete
		i, ok := byKey[e.Contact()]
		if !ok || alone {
			i = len(records)
			if !alone {
				byKey[e.Contact()] = i
			}
			rec := base
			rec.ID = omni.NewID()
			rec.Partition = store.InboxPartition(base.AccountID, e.Contact())
			records = append(records, rec)
		}
		records[i].Events = append(records[i].Events, e)
	}
	return records
}

func rawQuery(url string) string {
	for i := range len(url) {
		if url[i] == '?' {
			return url[i+1:]
		}
	}
	return ""
}

func (p *Pipeline) countWebhook(c omni.CarrierName, parsed carriers.Parsed) {
	if p.o.Metrics.Webhook == nil {
		return
	}
	for _, e := range parsed.Events {
		metric, typ := carriers.ReceivedAndForwarded, carriers.TypeMessage
		if e.Kind == omni.EventStatus {
			typ = carriers.TypeDeliveryStatusNotification
		}
		if e.Fragment != nil {
			metric = carriers.FragmentReceived
		}
		p.o.Metrics.Webhook(c, metric, typ)
	}
	for range parsed.Ignored {
		p.o.Metrics.Webhook(c, carriers.Rejected, carriers.TypeUnknown)
	}
}

// drainInbox works off what is pending in a worker's partitions.
func (p *Pipeline) drainInbox(ctx context.Context, w *worker) (omni.Millis, error) {
	var next omni.Millis
	for p.mayGoOn(ctx, w) {
		records, err := p.store.PendingInbox(ctx, w.partitions, p.millis(), 128)
		if err != nil || len(records) == 0 {
			return next, err
		}
		outcomes := make(chan outcome, len(records))
		eachConversation(ctx, records, conversationOf, func(ctx context.Context, r store.InboxRecord) bool {
			o := p.process(ctx, r)
			outcomes <- o
			return !o.stays
		})
		close(outcomes)
		var done []string
		var failed error
		for o := range outcomes {
			failed = errors.Join(failed, o.err)
			if o.done {
				done = append(done, o.id)
			}
			if o.again > 0 && (next == 0 || o.again < next) {
				next = o.again
			}
		}
		if err := p.store.DoneInbox(ctx, done...); err != nil {
			p.finished.add(done)
			return next, fmt.Errorf("remove %d webhooks from the inbox: %w", len(done), err)
		}
		p.finished.forget(done)
		if failed != nil {
			return next, failed
		}
	}
	return next, nil
}

func conversationOf(r store.InboxRecord) string {
	if len(r.Events) == 0 {
		return r.ID
	}
	return r.AccountID + "|" + r.Events[0].Contact()
}

// outcome is what became of one record.
type outcome struct {
	id    string
	done  bool        // to be removed
	again omni.Millis // to be tried again then; 0 otherwise
	stays bool        // where it is: nothing of its conversation may go before it
	err   error       // it could not be kept for later: the store does not take it
}

// process does what one record asks for. A record that fails is tried again later, and set aside after maxAttempts.
func (p *Pipeline) process(ctx context.Context, r store.InboxRecord) outcome {
	if p.finished.has(r.ID) {
		return outcome{id: r.ID, done: true}
	}
	if r.RerouteID != "" {
		return p.forward(ctx, r)
	}
	err := p.processEvents(ctx, &r)
	log := p.log.With("carrier", r.Carrier, "account_id", r.AccountID, "org_id", r.Tenant.OrganisationID)
	var wait *waitError
	switch {
	case err == nil:
		p.stuck.forget(r.ID)
		return outcome{id: r.ID, done: true}
	case errors.As(err, &wait):
		return outcome{id: r.ID, again: wait.until, err: p.store.RetryInbox(ctx, r.ID, r.Attempts, wait.until, "")}
	case ctx.Err() != nil:
		return outcome{id: r.ID, stays: true}
	case isAway(err) && !p.stuck.again(ctx, p, r.ID): // an outage of ours is not the record's fault
		return outcome{id: r.ID, stays: true, err: err}
	case isAway(err):
		log.ErrorContext(ctx, "webhook fails although the store answers", "attempt", maxStuck, "err", err)
		aside := p.setAside(ctx, r, store.SetAsidePoison, string(omni.CodeOf(err)))
		return outcome{id: r.ID, stays: aside != nil, err: aside}
	}
	attempts := r.Attempts + 1
	log.WarnContext(ctx, "webhook failed", "attempt", attempts, "err", err)
	if attempts >= maxAttempts {
		return outcome{id: r.ID, err: p.setAside(ctx, r, store.SetAsidePoison, string(omni.CodeOf(err)))}
	}
	again := p.millis().Add(p.backoff(attempts))
	return outcome{id: r.ID, again: again, err: p.store.RetryInbox(ctx, r.ID, attempts, again, string(omni.CodeOf(err)))}
}

// mostFinished is how many records may be remembered that could not be removed from the inbox.
const mostFinished = 10_000

// finished are records that were worked off and are still in the inbox, because the store went away before they could be
// removed: nothing is to be done for them again.
type finished struct {
	mu  sync.Mutex
	ids map[string]struct{}
}

func (f *finished) add(ids []string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.ids == nil || len(f.ids) > mostFinished { // doing one again changes nothing, but may be told again
		f.ids = map[string]struct{}{}
	}
	for _, id := range ids {
		f.ids[id] = struct{}{}
	}
}

func (f *finished) has(id string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	_, ok := f.ids[id]
	return ok
}

func (f *finished) forget(ids []string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.ids) > 0 {
		for _, id := range ids {
			delete(f.ids, id)
		}
	}
}

const (
	maxStuck  = 5           // how often a record may find the store away that answers all others
	stuckWait = time.Second // for the store to answer
)

// stuck counts how often records failed as they do when the store is away, while it was not: such as one whose work never ends
// in time. Else it would be tried for ever, and with it its conversation would stand still.
type stuck struct {
	mu    sync.Mutex
	tries map[string]int
}

// again notes one more failure of a record if the store answers, and reports whether that was one too many.
func (s *stuck) again(ctx context.Context, p *Pipeline, id string) bool {
	if p.outage.away.Load() {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, stuckWait)
	defer cancel()
	if p.store.Ping(ctx) != nil {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.tries == nil || len(s.tries) > mostFinished {
		s.tries = map[string]int{}
	}
	s.tries[id]++
	return s.tries[id] >= maxStuck
}

func (s *stuck) forget(id string) {
	s.mu.Lock()
	delete(s.tries, id)
	s.mu.Unlock()
}

// waitError asks for the same record again at a moment, without counting a failure.
type waitError struct{ until omni.Millis }

func (*waitError) Error() string { return "wait for what is to come" }

// processEvents turns a panic into an error, so that one webhook cannot stop the others.
func (p *Pipeline) processEvents(ctx context.Context, r *store.InboxRecord) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("panic: %v\n%s", v, debug.Stack())
		}
	}()
	var waiting []omni.CarrierChannelEvent
	var first error
	for _, e := range r.Events {
		err := p.event(ctx, r, e)
		if _, wait := errors.AsType[*waitError](err); wait {
			waiting, first = append(waiting, e), cmp.Or(first, err) // perhaps for one of the others
			continue
		}
		if err != nil {
			return err
		}
	}
	if len(r.Events) == 1 {
		return first
	}
	again := *r
	again.NotBefore = p.millis()
	for _, e := range waiting {
		if err := p.event(ctx, &again, e); err != nil {
			return err
		}
	}
	return nil
}

func (p *Pipeline) event(ctx context.Context, r *store.InboxRecord, e omni.CarrierChannelEvent) error {
	if err := e.Validate(); err != nil {
		return err
	}
	switch e.Kind {
	case omni.EventMessage:
		if e.Direction == omni.Outbound {
			return p.echo(ctx, r, e)
		}
		if e.Fragment != nil {
			return p.fragment(ctx, r, e)
		}
		return p.message(ctx, r, e)
	case omni.EventStatus:
		return p.status(ctx, r, e)
	case omni.EventReaction:
		return p.reaction(ctx, r, e)
	case omni.EventEdit, omni.EventDelete:
		return p.edited(ctx, r, e)
	case omni.EventSystem:
		return p.system(ctx, r, e)
	case omni.EventAccount, omni.EventError:
		return p.accountEvent(ctx, r, e)
	case omni.EventTemplate:
		return p.template(ctx, r, e)
	case omni.EventPreference:
		return p.preference(ctx, r, e)
	default:
		return p.unknown(ctx, r, e)
	}
}

// unknown sets an event aside that nothing can be made of.
func (p *Pipeline) unknown(ctx context.Context, r *store.InboxRecord, e omni.CarrierChannelEvent) error {
	aside := *r
	aside.ID = omni.NewID()
	return p.setAside(ctx, aside, store.SetAsideUnknown, string(e.Kind))
}

// channelOf finds the channel that a contact's event came in by. What came to an address that is nobody's is set aside: then
// ok is false.
func (p *Pipeline) channelOf(ctx context.Context, r *store.InboxRecord, e omni.CarrierChannelEvent) (ch omni.DigitalChannel, ok bool, err error) {
	ch, err = p.channelByAddress(ctx, r.Tenant, r.AccountID, e.ChannelType.Family(), e.To)
	if !errors.Is(err, omni.ErrNotFound) {
		return ch, err == nil, err
	}
	aside := *r
	aside.ID, aside.Events = omni.NewID(), []omni.CarrierChannelEvent{e}
	if p.o.Metrics.Webhook != nil {
		p.o.Metrics.Webhook(r.Carrier, carriers.DiscardDigitalChannelNotFound, carriers.TypeMessage)
	}
	return ch, false, p.setAside(ctx, aside, store.SetAsideChannelNotFound, string(e.ChannelType))
}

// message stores and announces one inbound message.
func (p *Pipeline) message(ctx context.Context, r *store.InboxRecord, e omni.CarrierChannelEvent) error {
	t := r.Tenant
	var steps stepList
	steps.begin(p.now)

	ch, ok, err := p.channelOf(ctx, r, e)
	if err != nil || !ok {
		return err
	}
	steps.done("channel", "received on "+string(e.ChannelType))

	text := omni.CleanText(e.Text)
	in := incoming{
		tenant: t, channel: ch, channelType: e.ChannelType, carrier: e.Carrier, address: e.From, name: omni.CleanName(e.ProfileName),
		verified: true, sentAt: e.OccurredAt, receivedAt: r.ReceivedAt, carrierMessageID: e.CarrierMessageID, replyTo: e.ReplyTo, segments: e.Segments,
		payload: payloadOf(e, text), metadata: e.Metadata,
	}
	contact, identity, err := p.identify(ctx, &in, &steps)
	if err != nil {
		return err
	}
	if err := p.consentWords(ctx, &in, e, identity, &steps); err != nil {
		return err
	}
	res, err := p.append(ctx, &in, contact, identity, &steps)
	if err != nil {
		return err
	}
	if res.Created && p.o.Metrics.Inbound != nil {
		p.o.Metrics.Inbound(e.Carrier, time.Duration(p.millis()-r.ReceivedAt)*time.Millisecond)
	}
	return nil
}

func payloadOf(e omni.CarrierChannelEvent, text string) omni.MessagePayload {
	var pl omni.MessagePayload
	switch {
	case e.Unsupported != "" && len(e.Media) == 0:
		pl = omni.MessagePayload{Type: omni.PayloadUnsupported, Unsupported: omni.CleanName(e.Unsupported)}
	case len(e.Media) > 0 || e.Location == nil && len(e.Contacts) == 0:
		pl = omni.NewPayload(text, e.Media)
		pl.ButtonPayload = e.ButtonPayload
		return pl
	case e.Location != nil:
		pl = omni.MessagePayload{Type: omni.PayloadLocation, Location: e.Location}
		text = cmp.Or(text, placeText(*e.Location))
	default:
		pl = omni.MessagePayload{Type: omni.PayloadContacts, Contacts: e.Contacts}
		text = cmp.Or(text, cardsText(e.Contacts))
	}
	if text != "" {
		pl.Text = &omni.TextMessage{Body: text}
	}
	return pl
}

// cardsText has a line for each contact that was passed on.
func cardsText(cards []omni.ContactCard) string {
	lines := make([]string, 0, len(cards))
	for _, c := range cards {
		line := c.Name
		if ways := slices.Concat(c.Phones, c.Emails); len(ways) > 0 {
			line += ": " + strings.Join(ways, ", ")
		}
		lines = append(lines, omni.CleanName(line))
	}
	return strings.Join(lines, "\n")
}

// incoming is an inbound message before it is stored, from a carrier or from the widget.
type incoming struct {
	tenant           omni.Tenant
	channel          omni.DigitalChannel
	channelType      omni.ChannelType
	carrier          omni.CarrierName // empty for LiveChat
	address, name    string           // the contact's
	verified         bool
	sentAt           omni.Millis // by the carrier's clock; 0: not told
	receivedAt       omni.Millis
	carrierMessageID string
	clientID         string
	replyTo          string
	segments         int
	payload          omni.MessagePayload
	metadata         omni.Metadata
	echo             bool // written on our side, with another program
}

// identify finds the contact behind an address, or creates one.
func (p *Pipeline) identify(ctx context.Context, in *incoming, steps *stepList) (omni.Contact, omni.ContactIdentity, error) {
	now := p.millis()
	c, i, created, err := p.store.ResolveIdentity(ctx, in.tenant, omni.ContactIdentity{
		ID: omni.NewID(), Tenant: omni.Org(in.tenant.OrganisationID), ContactID: omni.NewID(),
		ChannelType: in.channel.ChannelType, Address: in.address, Name: in.name, Verified: in.verified,
		Aliases:    aliases(in.channel.ChannelType, in.address, in.metadata, now),
		LastSeenAt: in.receivedAt, CreatedAt: now, SchemaVersion: omni.CurrentSchema,
	})
	if err != nil {
		return c, i, fmt.Errorf("resolve identity: %w", err)
	}
	if created {
		steps.done("identity", "new contact")
	} else {
		steps.done("identity", "known contact")
	}
	return c, i, nil
}

// append stores an inbound message in its interaction and announces both.
func (p *Pipeline) append(ctx context.Context, in *incoming, c omni.Contact, id omni.ContactIdentity, steps *stepList) (store.Appended, error) {
	org, err := p.organisation(ctx, in.tenant)
	if err != nil {
		return store.Appended{}, fmt.Errorf("organisation: %w", err)
	}
	defer p.order.lock(in.channel.CarrierAccountID, in.address)()
	it, how, err := p.openInteraction(ctx, in.tenant, org, in.channel, c, id)
	if err != nil {
		return store.Appended{}, err
	}
	steps.done("interaction", string(how))
	key := "message " + in.channel.ID + " " + in.carrierMessageID + in.clientID
	if how == store.OpenFound {
		how = p.foundAgain(it)
	}

	m := omni.ServiceMessage{
		ID: omni.NewID(), Tenant: omni.Org(in.tenant.OrganisationID), InteractionID: it.ID, Direction: omni.Inbound,
		Channel: omni.ReceivedChannel{
			DigitalChannelID: in.channel.ID, ChannelType: in.channelType, Carrier: in.carrier,
			Address: in.channel.Address, SenderType: omni.SenderContact,
		},
		ContactID: c.ID,
		From:      omni.Identity{ChannelType: in.channelType, Address: in.address, Name: in.name},
		To:        omni.Identity{ChannelType: in.channelType, Address: in.channel.Address},
		Payload:   in.payload, ClientID: in.clientID, CarrierMessageID: in.carrierMessageID, Segments: in.segments,
		ReplyTo: p.replyTarget(ctx, in), Metadata: in.metadata, WorkflowSteps: steps.steps,
		SentAt: in.sentAt, ReceivedAt: in.receivedAt, CreatedAt: p.millis(), SchemaVersion: omni.CurrentSchema,
	}
	if in.echo {
		m.Direction, m.Channel.SenderType, m.From, m.To = omni.Outbound, omni.SenderUser, m.To, m.From
		m.Status, m.StatusAt = omni.StatusSent, in.receivedAt
	}
	res, err := p.store.AppendMessage(ctx, in.tenant, m)
	if err != nil {
		p.doubt(key, how, err)
		if how != store.OpenFound {
			p.unsure.note(it.ID, how)
		}
		return store.Appended{}, fmt.Errorf("append message: %w", err)
	}
	if was, unsure := p.unsure.take(key); unsure && !res.Created {
		res.Created, how = true, was
	}
	if res.Created && res.Interaction.State == omni.InteractionResolved {
		// Another node's agent resolved it between the two steps: what the contact wrote opens it again.
		if res.Interaction, how, err = p.openInteraction(ctx, in.tenant, org, in.channel, c, id); err != nil {
			p.untold()
			return store.Appended{}, err
		}
	}
	if !in.echo && res.Interaction.State == omni.InteractionSnoozed && res.Message.Sequence > res.Interaction.SnoozedAfter {
		// Also if it had been stored before: whoever stored it may have ended then.
		res.Interaction, err = p.wake(ctx, res.Interaction, contactWrote)
	}
	if res.Created {
		p.announce(ctx, in.channel, res, how)
		if len(m.Payload.Files()) > 0 {
			p.kick(p.media, store.MediaPartition(m.ID))
		}
	}
	return res, err
}

// foundAgain is how an interaction was opened that was found open: as it is said, or by a try whose message was not stored,
// so that nobody was told.
func (p *Pipeline) foundAgain(it omni.Interaction) store.OpenOutcome {
	if how, ok := p.unsure.take(it.ID); ok {
		return how
	}
	if it.LastSequence == 0 {
		return store.OpenCreated
	}
	return store.OpenFound
}

// replyTarget turns the carrier's id of the message that is answered into ours, where we have it.
func (p *Pipeline) replyTarget(ctx context.Context, in *incoming) string {
	if in.replyTo == "" || in.carrier == "" {
		return in.replyTo
	}
	m, err := p.store.MessageByCarrierID(ctx, in.tenant, in.channel.ID, in.replyTo)
	if err != nil {
		return in.replyTo
	}
	return m.ID
}

func (p *Pipeline) openInteraction(ctx context.Context, t omni.Tenant, org omni.Organisation, ch omni.DigitalChannel, c omni.Contact, id omni.ContactIdentity) (omni.Interaction, store.OpenOutcome, error) {
	now := p.millis()
	name := c.Name
	if name == "" {
		name = id.Name
	}
	it, how, err := p.store.OpenInteraction(ctx, t, omni.Interaction{
		ID: omni.NewID(), Tenant: omni.Org(t.OrganisationID), ContactID: id.ContactID, IdentityID: id.ID,
		DigitalChannelID: ch.ID, ChannelType: ch.ChannelType, GroupID: ch.GroupID,
		Owner: omni.InteractionOwner{Type: omni.EntityGroup, ID: ch.GroupID}, State: omni.InteractionOpen,
		ContactName: name, ContactAddress: id.Address, LastMessageAt: now, Version: 1, CreatedAt: now,
		SchemaVersion: omni.CurrentSchema,
	}, now.Add(-time.Duration(org.ReopenMinutes)*time.Minute))
	if err != nil {
		return it, how, fmt.Errorf("open interaction: %w", err)
	}
	return it, how, nil
}

// announce tells agents, and a LiveChat visitor, of a stored message and of what it did to its interaction.
func (p *Pipeline) announce(ctx context.Context, ch omni.DigitalChannel, res store.Appended, how store.OpenOutcome) {
	home := p.homeTopic(ctx, res.Interaction)
	switch how {
	case store.OpenCreated:
		p.publish(ctx, home, wire.InteractionCreated, wire.NewInteraction(res.Interaction))
	case store.OpenReopened:
		reason := "contact wrote again"
		if res.Message.Direction == omni.Outbound {
			reason = "written with another program"
		}
		p.announceReopened(ctx, ch, res.Interaction, "", reason)
	case store.OpenFound:
	}
	p.publish(ctx, home, wire.MessageCreated, wire.NewMessage(res.Message))
	if ch.ChannelType == omni.ChannelLiveChat {
		p.publish(ctx, omni.VisitorTopic(res.Interaction.ContactAddress), wire.MessageCreated, p.VisitorView(ctx, res.Message))
	}
}

// homeTopic is where an interaction's events go: its group's.
func (p *Pipeline) homeTopic(ctx context.Context, i omni.Interaction) string {
	g, err := p.group(context.WithoutCancel(ctx), i.Tenant, i.GroupID)
	if err != nil {
		return omni.GroupTopic(i.GroupID)
	}
	return g.HomeTopic()
}

// setAside keeps a webhook for a person to look at.
func (p *Pipeline) setAside(ctx context.Context, r store.InboxRecord, why store.SetAsideReason, detail string) error {
	s := p.newAside(r, why, detail)
	if err := p.store.PutAside(ctx, s); err != nil {
		return fmt.Errorf("set webhook aside: %w", err)
	}
	p.noteAside(ctx, s)
	return nil
}

func (p *Pipeline) newAside(r store.InboxRecord, why store.SetAsideReason, detail string) store.SetAside {
	now := p.millis()
	return store.SetAside{Record: r, Reason: why, Detail: detail, At: now, ExpiresAt: now.Add(asideFor)}
}

func (p *Pipeline) noteAside(ctx context.Context, s store.SetAside) {
	info := carriers.LogInfo{
		Carrier: s.Record.Carrier, AccountID: s.Record.AccountID, OrgID: s.Record.Tenant.OrganisationID, Reason: string(s.Reason),
	}
	p.log.LogAttrs(ctx, slog.LevelWarn, "webhook set aside", info.Attr())
	if p.o.Metrics.Aside != nil {
		p.o.Metrics.Aside(s.Reason)
	}
}

// stepList collects what was done with a message and how long each step took.
type stepList struct {
	now   func() time.Time
	last  time.Time
	steps []omni.WorkflowSteps
}

func (s *stepList) begin(now func() time.Time) { s.now, s.last = now, now() }

func (s *stepList) done(name, detail string) {
	t := s.now()
	s.steps = append(s.steps, omni.WorkflowSteps{
		Name: name, Result: omni.WorkflowSuccess, Detail: detail, At: omni.MillisOf(t), Micros: t.Sub(s.last).Microseconds(),
	})
	s.last = t
}
