package pipeline

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"omniservice/carriers"
	"omniservice/omni"
	"omniservice/omni/wire"
	"omniservice/store"
)

// HealthState is how well an account or a channel works.
type HealthState string

// The health states.
const (
	HealthOK       HealthState = "ok"
	HealthDegraded HealthState = "degraded" // works in part, or not as it should
	HealthDown     HealthState = "down"     // nothing gets through until somebody does something
)

func (s HealthState) rank() int { return slices.Index(HealthStates, s) }

// HealthStates lists them, the best first.
var HealthStates = []HealthState{HealthOK, HealthDegraded, HealthDown}

const (
	healthEvery  = 5 * time.Second        // what is no news to anybody is written so often
	healthPause  = 200 * time.Millisecond // between writes
	healthWait   = 2 * time.Second        // for a write
	refusedRow   = 3                      // refused webhooks one after another that tell of a wrong credential
	brokenRow    = 3                      // refused messages one after another that tell of an account which does not work
	silentRow    = 5                      // sends without an answer
	noticesKept  = 20
	errorLasts   = 15 * time.Minute    // an error that a carrier reports of an account
	warningLasts = 30 * 24 * time.Hour // a restriction of which nobody says that it has ended
)

// Health is how a carrier account works, by what came of its webhooks and sends, and by what its carrier says of it. Counts
// are of all nodes; two that write in the same moment may lose one's.
type Health struct {
	LastWebhookAt omni.Millis `json:"lastWebhookAt,omitempty"` // the last that was taken
	LastSentAt    omni.Millis `json:"lastSentAt,omitempty"`    // the last message that the carrier took

	Refused       int64       `json:"refused,omitempty"`    // webhooks that were not the carrier's, ever
	RefusedRow    int         `json:"refusedRow,omitempty"` // since the last that was taken
	LastRefusedAt omni.Millis `json:"lastRefusedAt,omitempty"`
	LastRefused   string      `json:"lastRefused,omitempty"` // why, such as bad_signature

	MisconfiguredRow  int         `json:"misconfiguredRow,omitempty"` // sends refused one after another because of how the account is set up
	MisconfiguredAt   omni.Millis `json:"misconfiguredAt,omitempty"`
	MisconfiguredCode string      `json:"misconfiguredCode,omitempty"`
	UnreachableRow    int         `json:"unreachableRow,omitempty"` // sends without an answer, one after another

	Notices []HealthNotice `json:"notices,omitempty"` // what the carrier says, newest first

	Told map[string]ChannelHealth `json:"told,omitempty"` // by channel: what agents were told last
}

// HealthNotice is what a carrier said of an account, or of one address of it.
type HealthNotice struct {
	Field   string      `json:"field,omitempty"`   // which part of its webhooks says so
	Name    string      `json:"name"`              // its own word, or its code of an error
	Address string      `json:"address,omitempty"` // of ours; empty: the whole account
	Detail  string      `json:"detail,omitempty"`  // its own text
	State   HealthState `json:"state"`
	At      omni.Millis `json:"at"`
	Until   omni.Millis `json:"until"` // when it counts no more
}

// ChannelHealth is how a channel works, and why, in words for people.
type ChannelHealth struct {
	State  HealthState `json:"state"`
	Reason string      `json:"reason,omitempty"` // empty if all is well
}

// Of says how the channel with an address of ours works; "" stands for the account as a whole.
func (h Health) Of(address string, now omni.Millis) ChannelHealth {
	worst := ChannelHealth{State: HealthOK}
	worse := func(s HealthState, format string, args ...any) {
		if s.rank() > worst.State.rank() {
			worst = ChannelHealth{s, strings.TrimSpace(fmt.Sprintf(format, args...))}
		}
	}
	for _, n := range h.Notices {
		if n.Until <= now || n.Address != "" && address != "" && n.Address != address {
			continue
		}
		worse(n.State, "The carrier reports %s. Look at the account there. %s", n.Name, n.Detail)
	}
	code := ""
	if h.MisconfiguredCode != "" {
		code = " (code " + h.MisconfiguredCode + ")"
	}
	switch {
	case h.MisconfiguredRow >= brokenRow:
		worse(HealthDown, "The carrier refuses all messages because of how the account is set up%s. Check its settings and credentials.", code)
	case h.MisconfiguredRow > 0:
		worse(HealthDegraded, "The carrier refused a message because of how the account is set up%s. Check its settings and credentials.", code)
	}
	if h.RefusedRow >= refusedRow {
		worse(HealthDegraded, "Webhooks come in that this account's credentials do not fit (%s). Check them, and what is set up at the carrier.", h.LastRefused)
	}
	if h.UnreachableRow >= silentRow {
		worse(HealthDegraded, "The carrier does not answer. Messages wait and are tried again.")
	}
	return worst
}

// notice puts what a carrier said first. What it says again replaces what it said before, and good news ends bad ones.
func (h *Health) notice(n HealthNotice) {
	h.Notices = slices.DeleteFunc(slices.Clone(h.Notices), func(old HealthNotice) bool {
		same := old.Field == n.Field && old.Address == n.Address
		return same && (old.Name == n.Name || n.State == HealthOK && n.Until > 0 && old.At <= n.At)
	})
	h.Notices = slices.Insert(h.Notices, 0, n)
	if len(h.Notices) > noticesKept {
		h.Notices = h.Notices[:noticesKept]
	}
}

// healthNews is what happened to an account and is not written yet.
type healthNews struct {
	tenant omni.Tenant

	webhookAt, sentAt, refusedAt, misconfiguredAt omni.Millis

	taken                           bool // a webhook, after which refusedRow counts
	answered                        bool // a send, after which the other rows count
	refused                         int64
	refusedRow, misconfigured, mute int
	refusedAs, code                 string
	notices                         []HealthNotice
}

// onto is h after the news.
func (n *healthNews) onto(h Health) Health {
	h.LastWebhookAt, h.LastSentAt = max(h.LastWebhookAt, n.webhookAt), max(h.LastSentAt, n.sentAt)
	if n.taken {
		h.RefusedRow = 0
	}
	if n.answered {
		h.MisconfiguredRow, h.UnreachableRow = 0, 0
	}
	h.Refused += n.refused
	h.RefusedRow += n.refusedRow
	h.MisconfiguredRow += n.misconfigured
	h.UnreachableRow += n.mute
	if n.refused > 0 {
		h.LastRefusedAt, h.LastRefused = n.refusedAt, n.refusedAs
	}
	if n.misconfiguredAt > 0 {
		h.MisconfiguredAt, h.MisconfiguredCode = n.misconfiguredAt, n.code
	}
	for _, said := range n.notices {
		h.notice(said)
	}
	return h
}

// healths are the news of all accounts.
type healths struct {
	mu   sync.Mutex
	news map[string][]*healthNews // by account, oldest first
	ill  map[string]omni.Tenant   // accounts that were not well when last written
	wake chan struct{}

	writing sync.Mutex // what is read is not written by another in between
}

func (s *healths) init() {
	s.news, s.ill, s.wake = map[string][]*healthNews{}, map[string]omni.Tenant{}, make(chan struct{}, 1)
}

// mostNews bounds what waits of one account while the store is away.
const mostNews = 8

// add changes the news of an account. urgent news may change how well it works.
func (s *healths) add(t omni.Tenant, accountID string, urgent bool, change func(n *healthNews)) {
	s.mu.Lock()
	all := s.news[accountID]
	if len(all) == 0 {
		all = []*healthNews{{tenant: omni.Org(t.OrganisationID)}}
		s.news[accountID] = all
	}
	change(all[len(all)-1])
	_, ill := s.ill[accountID]
	s.mu.Unlock()
	if urgent || ill {
		select {
		case s.wake <- struct{}{}:
		default:
		}
	}
}

// take gives what is to be written, and the accounts that have to be looked at because time passes.
func (s *healths) take() (news map[string][]*healthNews, ill map[string]omni.Tenant) {
	s.mu.Lock()
	defer s.mu.Unlock()
	news, ill = s.news, maps.Clone(s.ill)
	s.news = map[string][]*healthNews{}
	return news, ill
}

// back returns news that could not be written.
func (s *healths) back(accountID string, news []*healthNews) {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := slices.Concat(news, s.news[accountID])
	s.news[accountID] = all[max(0, len(all)-mostNews):]
}

func (s *healths) written(accountID string, t omni.Tenant, ill bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if ill {
		s.ill[accountID] = t
	} else {
		delete(s.ill, accountID)
	}
}

// Refused notes a webhook that was not its carrier's, by the name of what was wrong with it.
func (p *Pipeline) Refused(a *Account, reason string) {
	now := p.millis()
	p.healths.add(a.Record.Tenant, a.Record.ID, true, func(n *healthNews) {
		n.refused++
		n.refusedRow++
		n.refusedAt, n.refusedAs = now, reason
	})
}

// taken notes a webhook that was its carrier's.
func (p *Pipeline) taken(a *Account) {
	now := p.millis()
	p.healths.add(a.Record.Tenant, a.Record.ID, false, func(n *healthNews) {
		n.webhookAt, n.taken, n.refusedRow = now, true, 0
	})
}

// answered notes what a carrier made of a send; nil: it took the message.
func (p *Pipeline) answered(a *Account, failure *carriers.SendError) {
	now := p.millis()
	reason := omni.Reason("")
	if failure != nil {
		reason = failure.Reason
	}
	bad := reason == omni.ReasonMisconfigured || reason == omni.ReasonUnreachable || reason == omni.ReasonUnknown
	p.healths.add(a.Record.Tenant, a.Record.ID, bad, func(n *healthNews) {
		switch reason {
		case omni.ReasonMisconfigured:
			n.misconfigured++
			n.misconfiguredAt, n.code = now, failure.Code
		case omni.ReasonUnreachable, omni.ReasonUnknown:
			n.mute++
		case "":
			n.sentAt = now
			fallthrough
		default:
			n.answered, n.misconfigured, n.mute = true, 0, 0
		}
	})
}

// accountEvent notes what a carrier says of an account, or that something went wrong there.
func (p *Pipeline) accountEvent(ctx context.Context, r *store.InboxRecord, e omni.CarrierChannelEvent) error {
	at := e.OccurredAt
	if at <= 0 || at > r.ReceivedAt {
		at = r.ReceivedAt
	}
	said := HealthNotice{
		Field: omni.CleanName(e.Field), Name: omni.CleanName(cmp.Or(string(e.Status), e.Field)), Address: omni.CleanName(e.To),
		Detail: omni.CleanName(e.Text), At: at, Until: at.Add(warningLasts),
	}
	if e.Kind == omni.EventError {
		said.Name, said.State, said.Until = omni.CleanName("error "+e.ErrorCode), HealthDegraded, at.Add(errorLasts)
	} else {
		said.State = stateOfWord(said.Name)
		if told := HealthState(e.Metadata[carriers.MetadataHealth]); slices.Contains(HealthStates, told) {
			said.State = told
		}
	}
	if said.State == "" {
		said.State, said.Until = HealthOK, 0 // it says something that ends nothing
	}
	return p.writeHealth(ctx, r.AccountID, []*healthNews{{tenant: omni.Org(r.Tenant.OrganisationID), notices: []HealthNotice{said}}})
}

// What carriers' words for the state of an account have in them. The first that fits counts.
var stateWords = []struct {
	state HealthState
	words []string
}{
	{HealthOK, []string{"UNFLAGGED", "UNBLOCKED", "REINSTATE", "RECONNECTED", "RESTORED", "UNRESTRICTED", "UPGRADE", "ENABLED", "GREEN"}},
	{HealthDown, []string{"DELETED", "DISABLE", "OFFBOARDED", "REMOVED", "UNINSTALLED", "BANNED", "SUSPENDED"}},
	{HealthDegraded, []string{"RESTRICT", "VIOLATION", "DOWNGRADE", "FLAGGED", "BLOCKED", "LIMIT", "YELLOW", "RED"}},
}

// stateOfWord is what a carrier's word says of how an account works; "" if that is not known.
func stateOfWord(word string) HealthState {
	word = strings.ToUpper(word)
	for _, s := range stateWords {
		for _, w := range s.words {
			if w == "RED" && word != w { // a colour, not a part of a word
				continue
			}
			if strings.Contains(word, w) {
				return s.state
			}
		}
	}
	return ""
}

// keepHealth writes what is new of accounts, and tells agents when a channel works better or worse, until ctx ends.
func (p *Pipeline) keepHealth(ctx context.Context) error {
	t := time.NewTicker(healthEvery)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), healthWait)
			defer cancel()
			p.writeHealths(ctx)
			return nil
		case <-t.C:
		case <-p.healths.wake:
		}
		p.writeHealths(ctx)
		select {
		case <-ctx.Done():
		case <-time.After(healthPause):
		}
	}
}

func (p *Pipeline) writeHealths(ctx context.Context) {
	news, ill := p.healths.take()
	for id, t := range ill {
		if _, ok := news[id]; !ok {
			news[id] = []*healthNews{{tenant: t}}
		}
	}
	for id, all := range news {
		one, cancel := context.WithTimeout(ctx, healthWait)
		err := p.writeHealth(one, id, all)
		cancel()
		if err != nil {
			p.healths.back(id, all)
			if ctx.Err() == nil {
				p.log.Log(ctx, p.levelOf(err, slog.LevelWarn), "write health", "account_id", id, "err", err)
			}
		}
	}
}

func healthMarker(accountID string) string { return "health/" + accountID }

// writeHealth stores an account's health after the news, and tells of channels that it changed for.
func (p *Pipeline) writeHealth(ctx context.Context, accountID string, news []*healthNews) error {
	p.healths.writing.Lock()
	defer p.healths.writing.Unlock()
	t := news[0].tenant
	h, err := p.storedHealth(ctx, accountID)
	if err != nil {
		return err
	}
	for _, n := range news {
		h = n.onto(h)
	}
	channels, err := p.ChannelsOf(ctx, t, accountID)
	if err != nil {
		return err
	}
	now := p.millis()
	told, changed := map[string]ChannelHealth{}, []wire.HealthChange(nil)
	for _, ch := range channels {
		is, was := h.Of(ch.Address, now), h.Told[ch.ID]
		if was.State == "" {
			was.State = HealthOK
		}
		told[ch.ID] = is
		if is != was {
			changed = append(changed, wire.HealthChange{ChannelID: ch.ID, State: string(is.State), Reason: is.Reason})
		}
	}
	h.Told = told
	doc, err := json.Marshal(h)
	if err != nil {
		return fmt.Errorf("health of account %s: %w", accountID, err)
	}
	if err := p.store.SetMarker(ctx, healthMarker(accountID), doc); err != nil {
		return fmt.Errorf("health of account %s: %w", accountID, err)
	}
	p.healths.written(accountID, t, h.Of("", now).State != HealthOK)
	for _, c := range changed {
		p.log.WarnContext(ctx, "channel health", "account_id", accountID, "org_id", t.OrganisationID, "channel_id", c.ChannelID, "reason", c.State)
		p.publish(ctx, omni.OrgTopic(t.OrganisationID), wire.ChannelHealth, c)
	}
	return nil
}

func (p *Pipeline) storedHealth(ctx context.Context, accountID string) (h Health, err error) {
	doc, err := p.store.Marker(ctx, healthMarker(accountID))
	if err == nil && len(doc) > 0 {
		err = json.Unmarshal(doc, &h)
	}
	if err != nil {
		return h, fmt.Errorf("health of account %s: %w", accountID, err)
	}
	return h, nil
}

// ChannelsOf are the channels of an account, by name.
func (p *Pipeline) ChannelsOf(ctx context.Context, t omni.Tenant, accountID string) ([]omni.DigitalChannel, error) {
	all, err := readAll(ctx, func(ctx context.Context, pg store.Page) (store.List[omni.DigitalChannel], error) {
		return p.store.Channels(ctx, t, pg)
	})
	if err != nil {
		return nil, fmt.Errorf("channels of account %s: %w", accountID, err)
	}
	return slices.DeleteFunc(all, func(ch omni.DigitalChannel) bool { return ch.CarrierAccountID != accountID }), nil
}

// Health tells how an account of the tenant works, with what happened on this node a moment ago.
func (p *Pipeline) Health(ctx context.Context, t omni.Tenant, accountID string) (Health, error) {
	rec, err := p.store.CarrierAccount(ctx, t, accountID)
	if err != nil {
		return Health{}, err
	}
	h, err := p.storedHealth(ctx, rec.ID)
	if err != nil {
		return h, err
	}
	p.healths.mu.Lock()
	defer p.healths.mu.Unlock()
	for _, n := range p.healths.news[rec.ID] {
		h = n.onto(h)
	}
	return h, nil
}

// errNoAccount is what a check of a disabled account finds.
var errNoAccount = errors.New("the account is disabled: nothing comes in or goes out by it")
