package ferrettest

import (
	"context"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"omniservice/omni"
	"omniservice/store"
	"omniservice/store/mongostore"
)

const began omni.Millis = 1_790_000_000_000

// desk is an organisation with one channel, on a store whose connections can be cut, and on one that sees all.
type desk struct {
	t    *testing.T
	cuts *cuts
	s    *mongostore.Store // through cuts
	sure *mongostore.Store // not through cuts: another node
	org  omni.Tenant
	line string // channel
	n    int
}

func newDesk(t *testing.T) *desk {
	t.Helper()
	c := newCuts(t)
	database := newDatabase(t)
	d := &desk{
		t: t, cuts: c, sure: openAt(t, server, database), s: openAt(t, c.uri(), database),
		org: omni.Tenant{OrganisationID: omni.NewID(), UserID: omni.NewID()}, line: omni.NewID(),
	}
	return d
}

func (d *desk) ctx() context.Context { return d.t.Context() }

// want is a new conversation, not stored yet.
func (d *desk) want() omni.Interaction {
	d.n++
	return omni.Interaction{
		ID: omni.NewID(), Tenant: omni.Org(d.org.OrganisationID), ContactID: omni.NewID(), IdentityID: omni.NewID(),
		DigitalChannelID: d.line, ChannelType: omni.ChannelSMS, GroupID: "group",
		Owner: omni.InteractionOwner{Type: omni.EntityGroup, ID: "group"}, State: omni.InteractionOpen,
		ContactAddress: fmt.Sprintf("+1555%06d", d.n), LastMessageAt: began, Version: 1, CreatedAt: began, SchemaVersion: omni.CurrentSchema,
	}
}

func (d *desk) talk() omni.Interaction {
	d.t.Helper()
	i, how, err := d.sure.OpenInteraction(d.ctx(), d.org, d.want(), 0)
	require.NoError(d.t, err)
	require.Equal(d.t, store.OpenCreated, how)
	return i
}

func (d *desk) inbound(i omni.Interaction) omni.ServiceMessage {
	id := omni.NewID()
	return omni.ServiceMessage{
		ID: id, Tenant: omni.Org(d.org.OrganisationID), InteractionID: i.ID, Direction: omni.Inbound, ContactID: i.ContactID,
		Channel: omni.ReceivedChannel{DigitalChannelID: d.line, ChannelType: omni.ChannelSMS, SenderType: omni.SenderContact},
		From:    omni.Identity{ChannelType: omni.ChannelSMS, Address: i.ContactAddress},
		To:      omni.Identity{ChannelType: omni.ChannelSMS, Address: "+1555"},
		Payload: omni.TextPayload("in " + id), CarrierMessageID: "c-" + id, ReceivedAt: began + 10, CreatedAt: began + 20,
		SchemaVersion: omni.CurrentSchema,
	}
}

func (d *desk) outbound(i omni.Interaction) omni.ServiceMessage {
	m := d.inbound(i)
	m.Tenant, m.Direction, m.CarrierMessageID, m.ClientID = d.org, omni.Outbound, "", omni.NewID()
	m.From, m.To = m.To, m.From
	m.Status, m.StatusAt = omni.StatusQueued, m.CreatedAt
	return m
}

func (d *desk) append(m omni.ServiceMessage) store.Appended {
	d.t.Helper()
	a, err := d.sure.AppendMessage(d.ctx(), d.org, m)
	require.NoError(d.t, err)
	return a
}

func (d *desk) status(carrierID string, st omni.Status, at omni.Millis) omni.DeliveryStatus {
	return omni.DeliveryStatus{
		DeliveryStatusMessage: omni.DeliveryStatusMessage{CarrierMessageID: carrierID, Status: st, OccurredAt: at},
		DigitalChannelID:      d.line, ReceivedAt: at,
	}
}

// whole requires that a conversation has n messages without a gap, and that the interaction says so.
func (d *desk) whole(id string, n int) {
	d.t.Helper()
	ms, err := d.sure.ListMessages(d.ctx(), d.org, id, store.MessageWindow{Limit: store.MaxPage})
	require.NoError(d.t, err)
	require.Len(d.t, ms, n)
	i, err := d.sure.Interaction(d.ctx(), d.org, id)
	require.NoError(d.t, err)
	unread := 0
	for k, m := range ms {
		require.Equal(d.t, int64(k+1), m.Sequence)
		if m.Direction == omni.Inbound && m.Sequence > i.AgentReadSeq {
			unread++
		}
	}
	require.Equal(d.t, int64(n), i.LastSequence)
	require.Equal(d.t, unread, i.Unread)
	if n > 0 {
		require.Equal(d.t, ms[n-1].Preview(), i.LastPreview)
		require.Equal(d.t, ms[n-1].Direction, i.LastDirection)
	}
}

func (d *desk) pending(now omni.Millis) []string {
	d.t.Helper()
	items, err := d.sure.PendingOutbox(d.ctx(), partitions(), now, 100)
	require.NoError(d.t, err)
	ids := make([]string, 0, len(items))
	for _, i := range items {
		ids = append(ids, i.Message.ID)
	}
	return ids
}

func partitions() []int {
	all := make([]int, store.Partitions)
	for i := range all {
		all[i] = i
	}
	return all
}

// mostCommands is more than any call takes.
const mostCommands = 40

// cutEverywhere runs a call again and again, each time with everything new, and cuts the connection at its first command, its
// second and so on, before the server has the command and after it has done it. prepare makes what the call works on, and
// gives the call and what must hold in the end; the call is repeated on another node, as callers do, until it is answered.
func (d *desk) cutEverywhere(prepare func() (call func(s *mongostore.Store) error, holds func(what string))) {
	d.t.Helper()
	for _, after := range []bool{false, true} {
		n := 0
		for ; n < mostCommands; n++ {
			call, holds := prepare()
			d.cuts.arm(n, after)
			err := call(d.s)
			struck, seen := d.cuts.disarm()
			what := fmt.Sprintf("cut at command %d of %v, done by the server: %t", n+1, seen, after)
			if !struck {
				require.NoError(d.t, err, what)
				holds(what)
				break
			}
			if err != nil {
				require.ErrorIs(d.t, err, omni.ErrUnavailable, what)
				require.NoError(d.t, call(d.sure), what)
			}
			holds(what)
		}
		require.Positive(d.t, n, "no command was cut")
		require.Less(d.t, n, mostCommands)
	}
}

// TestCutOff cuts every call that takes several commands at each of them, as a node that ends there does, or a network. The
// same call on another node completes it: nothing is lost, nothing is there twice.
func TestCutOff(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]func(d *desk){
		"AppendMessage": func(d *desk) {
			d.cutEverywhere(func() (func(s *mongostore.Store) error, func(string)) {
				i := d.talk()
				first, m := d.inbound(i), d.inbound(i)
				d.append(first)
				return func(s *mongostore.Store) error {
						_, err := s.AppendMessage(d.ctx(), d.org, m)
						return err
					}, func(what string) {
						d.whole(i.ID, 2)
						got, err := d.sure.MessageByCarrierID(d.ctx(), d.org, d.line, m.CarrierMessageID)
						require.NoError(d.t, err, what)
						require.Equal(d.t, int64(2), got.Sequence, what)
					}
			})
		},
		"AppendMessageNeverRepeated": func(d *desk) {
			// The caller does not come again. What is seen is a message and an interaction that shows it, or neither, once
			// somebody opens the conversation.
			for n := range 6 {
				for _, after := range []bool{false, true} {
					i := d.talk()
					d.append(d.inbound(i))
					d.cuts.arm(n, after)
					_, _ = d.s.AppendMessage(d.ctx(), d.org, d.outbound(i))
					d.cuts.disarm()
					ms, err := d.sure.ListMessages(d.ctx(), d.org, i.ID, store.MessageWindow{})
					require.NoError(d.t, err)
					require.NotEmpty(d.t, ms)
					d.whole(i.ID, len(ms))
					// The next one stands behind it.
					require.Equal(d.t, int64(len(ms)+1), d.append(d.inbound(i)).Message.Sequence)
					d.whole(i.ID, len(ms)+1)
				}
			}
		},
		"AppendedBehindOneThatWasCutOff": func(d *desk) {
			d.cutEverywhere(func() (func(s *mongostore.Store) error, func(string)) {
				i := d.talk()
				d.cuts.arm(2, false) // read, insert; not folded in
				_, err := d.s.AppendMessage(d.ctx(), d.org, d.inbound(i))
				struck, seen := d.cuts.disarm()
				require.True(d.t, struck)
				require.Equal(d.t, []string{"find interactions", "insert messages", "findAndModify interactions"}, seen)
				require.ErrorIs(d.t, err, omni.ErrUnavailable)
				m := d.outbound(i)
				return func(s *mongostore.Store) error {
					a, err := s.AppendMessage(d.ctx(), d.org, m)
					if err == nil {
						require.Equal(d.t, int64(2), a.Message.Sequence)
						require.Equal(d.t, int64(2), a.Interaction.LastSequence)
					}
					return err
				}, func(string) { d.whole(i.ID, 2) }
			})
		},
		"SendingShowsTheMessage": func(d *desk) {
			i := d.talk()
			m := d.outbound(i)
			d.cuts.arm(2, false)
			_, err := d.s.AppendMessage(d.ctx(), d.org, m)
			require.ErrorIs(d.t, err, omni.ErrUnavailable)
			d.cuts.disarm()
			require.Equal(d.t, []string{m.ID}, d.pending(began), "the duty came with the message")
			require.NoError(d.t, d.sure.MarkSending(d.ctx(), d.org, m.ID, began+30))
			stored, err := d.sure.Interaction(d.ctx(), d.org, i.ID)
			require.NoError(d.t, err)
			require.Equal(d.t, int64(1), stored.LastSequence)
		},
		"MarkSent": func(d *desk) {
			d.cutEverywhere(func() (func(s *mongostore.Store) error, func(string)) {
				i := d.talk()
				m, next := d.append(d.outbound(i)).Message, d.append(d.outbound(i)).Message
				carrier := "s-" + m.ID
				require.NoError(d.t, d.sure.MarkSending(d.ctx(), d.org, m.ID, began+30))
				_, _, err := d.sure.ApplyStatus(d.ctx(), d.org, d.status(carrier, omni.StatusDelivered, began+50))
				require.ErrorIs(d.t, err, omni.ErrNotFound, "it came early")
				sent := d.status(carrier, omni.StatusSent, began+60)
				return func(s *mongostore.Store) error {
						_, err := s.MarkSent(d.ctx(), d.org, m.ID, carrier, 2, sent)
						return err
					}, func(what string) {
						got, err := d.sure.Message(d.ctx(), d.org, m.ID)
						require.NoError(d.t, err, what)
						require.Equal(d.t, omni.StatusDelivered, got.Status, what)
						require.Equal(d.t, []omni.Status{omni.StatusSent, omni.StatusDelivered}, statuses(got), what)
						require.Equal(d.t, carrier, got.CarrierMessageID, what)
						require.Equal(d.t, 2, got.Segments, what)
						require.Equal(d.t, []string{next.ID}, d.pending(began+100), what)
						_, err = d.sure.MarkEnded(d.ctx(), d.org, next.ID, d.status("", omni.StatusFailed, began+200))
						require.NoError(d.t, err)
					}
			})
		},
		"MarkSentNeverRepeated": func(d *desk) {
			// Whoever takes over finds the message as interrupted, and gives it up: what was stored stays.
			for n := range 7 {
				m := d.append(d.outbound(d.talk())).Message
				carrier := "s-" + m.ID
				require.NoError(d.t, d.sure.MarkSending(d.ctx(), d.org, m.ID, began+30))
				_, _, err := d.sure.ApplyStatus(d.ctx(), d.org, d.status(carrier, omni.StatusRead, began+50))
				require.ErrorIs(d.t, err, omni.ErrNotFound)
				d.cuts.arm(n, false)
				_, _ = d.s.MarkSent(d.ctx(), d.org, m.ID, carrier, 1, d.status(carrier, omni.StatusSent, began+60))
				d.cuts.disarm()
				got, err := d.sure.MarkEnded(d.ctx(), d.org, m.ID, d.status("", omni.StatusUnknown, began+70))
				require.NoError(d.t, err)
				want := omni.StatusRead
				if n == 0 {
					want = omni.StatusUnknown // nothing was stored: the answer is lost
				}
				require.Equal(d.t, want, got.Status, "cut at command %d", n+1)
				require.Empty(d.t, d.pending(began+100))
			}
		},
		"ApplyStatusWithBothIDs": func(d *desk) {
			d.cutEverywhere(func() (func(s *mongostore.Store) error, func(string)) {
				i := d.talk()
				m, next := d.append(d.outbound(i)).Message, d.append(d.outbound(i)).Message
				carrier := "s-" + m.ID
				require.NoError(d.t, d.sure.MarkSending(d.ctx(), d.org, m.ID, began+30))
				_, _, err := d.sure.ApplyStatus(d.ctx(), d.org, d.status(carrier, omni.StatusDelivered, began+50))
				require.ErrorIs(d.t, err, omni.ErrNotFound)
				read := d.status(carrier, omni.StatusRead, began+60)
				read.MessageID = m.ID
				return func(s *mongostore.Store) error {
						_, _, err := s.ApplyStatus(d.ctx(), d.org, read)
						return err
					}, func(what string) {
						got, err := d.sure.Message(d.ctx(), d.org, m.ID)
						require.NoError(d.t, err, what)
						require.Equal(d.t, []omni.Status{omni.StatusDelivered, omni.StatusRead}, statuses(got), what)
						require.Equal(d.t, carrier, got.CarrierMessageID, what)
						require.Equal(d.t, []string{next.ID}, d.pending(began+100), what)
						_, err = d.sure.MarkEnded(d.ctx(), d.org, next.ID, d.status("", omni.StatusFailed, began+200))
						require.NoError(d.t, err)
					}
			})
		},
		"OpenInteraction": func(d *desk) {
			d.cutEverywhere(func() (func(s *mongostore.Store) error, func(string)) {
				want := d.want()
				return func(s *mongostore.Store) error {
						_, _, err := s.OpenInteraction(d.ctx(), d.org, want, 0)
						return err
					}, func(what string) {
						again := want
						again.ID = omni.NewID()
						i, how, err := d.sure.OpenInteraction(d.ctx(), d.org, again, 0)
						require.NoError(d.t, err, what)
						require.Equal(d.t, store.OpenFound, how, what)
						require.Equal(d.t, want.ID, i.ID, what)
					}
			})
		},
		"ReopenInteraction": func(d *desk) {
			d.cutEverywhere(func() (func(s *mongostore.Store) error, func(string)) {
				i := d.talk()
				state, at := omni.InteractionResolved, began+100
				i, err := d.sure.ChangeInteraction(d.ctx(), d.org, i.ID, i.Version, store.InteractionChange{State: &state, ResolvedAt: &at})
				require.NoError(d.t, err)
				want := i
				want.ID, want.State = omni.NewID(), omni.InteractionOpen
				return func(s *mongostore.Store) error {
						_, _, err := s.OpenInteraction(d.ctx(), d.org, want, began)
						return err
					}, func(what string) {
						got, err := d.sure.Interaction(d.ctx(), d.org, i.ID)
						require.NoError(d.t, err, what)
						require.Equal(d.t, omni.InteractionOpen, got.State, what)
						require.Equal(d.t, i.Version+1, got.Version, what)
						_, err = d.sure.Interaction(d.ctx(), d.org, want.ID)
						require.ErrorIs(d.t, err, omni.ErrNotFound, what)
					}
			})
		},
		"MarkRead": func(d *desk) {
			d.cutEverywhere(func() (func(s *mongostore.Store) error, func(string)) {
				i := d.talk()
				for range 3 {
					d.append(d.inbound(i))
				}
				return func(s *mongostore.Store) error {
					_, _, err := s.MarkRead(d.ctx(), d.org, i.ID, omni.SenderUser, 2)
					return err
				}, func(string) { d.whole(i.ID, 3) }
			})
		},
		"PutAside": func(d *desk) {
			d.cutEverywhere(func() (func(s *mongostore.Store) error, func(string)) {
				r := store.InboxRecord{ID: omni.NewID(), Tenant: omni.Org(d.org.OrganisationID), Raw: store.RawPayload{Body: []byte("x")}, ReceivedAt: began}
				require.NoError(d.t, d.sure.PutInbox(d.ctx(), r))
				a := store.SetAside{Record: r, Reason: store.SetAsidePoison, At: began, ExpiresAt: began * 2}
				return func(s *mongostore.Store) error { return s.PutAside(d.ctx(), a) },
					func(what string) {
						l, err := d.sure.ListAside(d.ctx(), d.org, store.Page{Limit: 1})
						require.NoError(d.t, err, what)
						require.Equal(d.t, []store.SetAside{a}, l.Items, what)
						left, err := d.sure.PendingInbox(d.ctx(), partitions(), began*2, 10)
						require.NoError(d.t, err, what)
						require.Empty(d.t, left, what)
					}
			})
		},
		"PutInbox": func(d *desk) {
			d.cutEverywhere(func() (func(s *mongostore.Store) error, func(string)) {
				var rs []store.InboxRecord
				for range 3 {
					rs = append(rs, store.InboxRecord{ID: omni.NewID(), Tenant: omni.Org(d.org.OrganisationID), ReceivedAt: began})
				}
				return func(s *mongostore.Store) error { return s.PutInbox(d.ctx(), rs...) },
					func(what string) {
						got, err := d.sure.PendingInbox(d.ctx(), partitions(), began, 10)
						require.NoError(d.t, err, what)
						require.Equal(d.t, rs, got, what)
						require.NoError(d.t, d.sure.DoneInbox(d.ctx(), rs[0].ID, rs[1].ID, rs[2].ID))
					}
			})
		},
		"PutFragment": func(d *desk) {
			d.cutEverywhere(func() (func(s *mongostore.Store) error, func(string)) {
				key := omni.NewID()
				f := func(n int) omni.MessageFragment {
					return omni.MessageFragment{Reference: "r", Index: n, Total: 2, Text: fmt.Sprint(n), ReceivedAt: began}
				}
				_, _, err := d.sure.PutFragment(d.ctx(), d.org, key, f(1), began+100)
				require.NoError(d.t, err)
				return func(s *mongostore.Store) error {
					parts, joined, err := s.PutFragment(d.ctx(), d.org, key, f(2), began+100)
					if err == nil {
						require.False(d.t, joined)
						require.Equal(d.t, []omni.MessageFragment{f(1), f(2)}, parts)
					}
					return err
				}, func(string) {}
			})
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(newDesk(t))
		})
	}
}

func statuses(m omni.ServiceMessage) []omni.Status {
	var all []omni.Status
	for _, d := range m.StatusHistory {
		all = append(all, d.Status)
	}
	return all
}
