package sqlitestore

import (
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"omniservice/omni"
	"omniservice/store"
)

// benchWorld is an organisation with as many open interactions as there are contacts.
type benchWorld struct {
	t          omni.Tenant
	channel    string
	group      string
	identities []omni.ContactIdentity
	talks      []omni.Interaction
}

func newBenchWorld(tb testing.TB, s *Store, contacts int) *benchWorld {
	tb.Helper()
	ctx := tb.Context()
	w := &benchWorld{t: omni.Org(omni.NewID()), channel: omni.NewID(), group: omni.NewID()}
	w.identities = make([]omni.ContactIdentity, contacts)
	w.talks = make([]omni.Interaction, contacts)
	var wg sync.WaitGroup
	for g := range 64 {
		wg.Go(func() {
			for n := g; n < contacts; n += 64 {
				_, i, _, err := s.ResolveIdentity(ctx, w.t, w.identity(n))
				if err != nil {
					tb.Error(err)
					return
				}
				w.identities[n] = i
				w.talks[n], _, err = s.OpenInteraction(ctx, w.t, w.talk(i), 0)
				if err != nil {
					tb.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	return w
}

func (w *benchWorld) identity(n int) omni.ContactIdentity {
	return omni.ContactIdentity{
		ID: omni.NewID(), Tenant: w.t, ContactID: omni.NewID(), ChannelType: omni.ChannelSMS, Address: fmt.Sprintf("+1555%07d", n),
		Name: "Somebody", CreatedAt: omni.Millis(n), SchemaVersion: omni.CurrentSchema,
	}
}

func (w *benchWorld) talk(i omni.ContactIdentity) omni.Interaction {
	return omni.Interaction{
		ID: omni.NewID(), Tenant: w.t, ContactID: i.ContactID, IdentityID: i.ID, DigitalChannelID: w.channel, ChannelType: omni.ChannelSMS,
		GroupID: w.group, Owner: omni.InteractionOwner{Type: omni.EntityGroup, ID: w.group}, State: omni.InteractionOpen,
		ContactName: i.Name, ContactAddress: i.Address, LastMessageAt: i.CreatedAt, Version: 1, CreatedAt: i.CreatedAt,
		SchemaVersion: omni.CurrentSchema,
	}
}

func (w *benchWorld) message(i omni.Interaction) omni.ServiceMessage {
	id := omni.NewID()
	return omni.ServiceMessage{
		ID: id, Tenant: w.t, InteractionID: i.ID, Direction: omni.Inbound, ContactID: i.ContactID,
		Channel: omni.ReceivedChannel{
			DigitalChannelID: i.DigitalChannelID, ChannelType: i.ChannelType, Carrier: omni.CarrierTest, Address: "+15550000",
			SenderType: omni.SenderContact,
		},
		From:    omni.Identity{ChannelType: i.ChannelType, Address: i.ContactAddress, Name: i.ContactName},
		To:      omni.Identity{ChannelType: i.ChannelType, Address: "+15550000"},
		Payload: omni.TextPayload("Hello, I would like to ask about my order. " + id), CarrierMessageID: "SM" + id,
		WorkflowSteps: []omni.WorkflowSteps{
			{Name: "identity", Result: omni.WorkflowSuccess, Micros: 12}, {Name: "routing", Result: omni.WorkflowSuccess, Micros: 3},
		},
		ReceivedAt: omni.MillisOf(time.Now()), CreatedAt: omni.MillisOf(time.Now()), SchemaVersion: omni.CurrentSchema,
	}
}

func (w *benchWorld) record(m omni.ServiceMessage) store.InboxRecord {
	return store.InboxRecord{
		ID: omni.NewID(), Tenant: w.t, AccountID: w.channel, Carrier: omni.CarrierTest, Partition: store.InboxPartition(w.channel, m.From.Address),
		Events: []omni.CarrierChannelEvent{{
			Kind: omni.EventMessage, Direction: omni.Inbound, Carrier: omni.CarrierTest, ChannelType: omni.ChannelSMS,
			CarrierMessageID: m.CarrierMessageID, From: m.From.Address, To: m.To.Address, Text: m.Payload.TextBody(),
		}},
		Raw: store.RawPayload{
			Method: "POST", Header: map[string]string{"Content-Type": "application/json"}, Body: []byte(strings.Repeat("x", 500)),
		},
		ReceivedAt: m.ReceivedAt,
	}
}

// cpu is what the process has used, in all threads.
func cpu(tb testing.TB) time.Duration {
	tb.Helper()
	var u syscall.Rusage
	require.NoError(tb, syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// spread runs b.N calls in a number of goroutines and reports calls and processor time.
func spread(b *testing.B, workers int, call func(n int) error) {
	b.Helper()
	var next atomic.Int64
	var wg sync.WaitGroup
	b.ReportAllocs()
	before := cpu(b)
	b.ResetTimer()
	for range workers {
		wg.Go(func() {
			for n := next.Add(1); n <= int64(b.N); n = next.Add(1) {
				if err := call(int(n)); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	b.StopTimer()
	b.ReportMetric(float64((cpu(b)-before).Microseconds())/float64(b.N), "cpu-µs/op")
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "op/s")
}

func BenchmarkAppendMessage(b *testing.B) {
	for _, writers := range []int{1, 16, 64} {
		b.Run(fmt.Sprintf("writers=%d", writers), func(b *testing.B) {
			s := open(b, filepath.Join(b.TempDir(), "omni.db"))
			w := newBenchWorld(b, s, 1000)
			spread(b, writers, func(n int) error {
				_, err := s.AppendMessage(b.Context(), w.t, w.message(w.talks[n%len(w.talks)]))
				return err
			})
			// How late the last of them can be found.
			begun := time.Now()
			waitFor(b, "all is indexed", func() bool { return s.upToDate(b, int64(b.N)) })
			b.ReportMetric(float64(time.Since(begun).Milliseconds()), "index-behind-ms")
		})
	}
}

// BenchmarkHotPath is what a webhook of a known contact costs the store.
func BenchmarkHotPath(b *testing.B) {
	for _, workers := range []int{1, 16, 64} {
		b.Run(fmt.Sprintf("workers=%d", workers), func(b *testing.B) {
			s := open(b, filepath.Join(b.TempDir(), "omni.db"))
			w := newBenchWorld(b, s, 1000)
			spread(b, workers, func(n int) error {
				ctx := b.Context()
				m := w.message(w.talks[n%len(w.talks)])
				r := w.record(m)
				if err := s.PutInbox(ctx, r); err != nil {
					return err
				}
				_, i, _, err := s.ResolveIdentity(ctx, w.t, w.identities[n%len(w.talks)])
				if err != nil {
					return err
				}
				if _, _, err := s.OpenInteraction(ctx, w.t, w.talk(i), 0); err != nil {
					return err
				}
				if _, err := s.AppendMessage(ctx, w.t, m); err != nil {
					return err
				}
				return s.DoneInbox(ctx, r.ID)
			})
		})
	}
}

func BenchmarkReads(b *testing.B) {
	s := open(b, filepath.Join(b.TempDir(), "omni.db"))
	w := newBenchWorld(b, s, 20_000)
	var ids []string
	for range 5000 {
		m := w.message(w.talks[0])
		_, err := s.AppendMessage(b.Context(), w.t, m)
		require.NoError(b, err)
		ids = append(ids, m.ID)
	}
	f := store.InteractionFilter{GroupIDs: []string{w.group}}
	var many []string
	for range 30 {
		many = append(many, omni.NewID())
	}
	for _, c := range []struct {
		name string
		call func(n int) error
	}{
		{"message", func(n int) error { _, err := s.Message(b.Context(), w.t, ids[n%len(ids)]); return err }},
		{"identity", func(n int) error {
			_, _, _, err := s.ResolveIdentity(b.Context(), w.t, w.identities[n%len(w.identities)])
			return err
		}},
		{"interaction", func(n int) error {
			_, _, err := s.OpenInteraction(b.Context(), w.t, w.talk(w.identities[n%len(w.identities)]), 0)
			return err
		}},
		{"messages50", func(int) error {
			_, err := s.ListMessages(b.Context(), w.t, w.talks[0].ID, store.MessageWindow{Before: 1 << 40})
			return err
		}},
		{"interactions50of20000", func(int) error { _, err := s.ListInteractions(b.Context(), w.t, f, store.Page{}); return err }},
		{"interactions50of31groups", func(int) error {
			_, err := s.ListInteractions(b.Context(), w.t, store.InteractionFilter{GroupIDs: append(many, w.group)}, store.Page{})
			return err
		}},
		{"counts", func(int) error { _, err := s.CountInteractions(b.Context(), w.t, f.GroupIDs); return err }},
	} {
		for _, readers := range []int{1, 4} {
			b.Run(fmt.Sprintf("%s/readers=%d", c.name, readers), func(b *testing.B) { spread(b, readers, c.call) })
		}
	}
}

// BenchmarkPendingOutbox asks for the first 64 of many waiting messages.
func BenchmarkPendingOutbox(b *testing.B) {
	const waiting = 20_000
	for _, recipients := range []int{1, 100, waiting} {
		b.Run(fmt.Sprintf("recipients=%d", recipients), func(b *testing.B) {
			s := open(b, Memory)
			w := newBenchWorld(b, s, 1)
			partitions := make([]int, store.Partitions)
			for i := range partitions {
				partitions[i] = i
			}
			for n := range waiting {
				m := w.message(w.talks[0])
				m.Direction, m.CarrierMessageID, m.Status = omni.Outbound, "", omni.StatusQueued
				m.To.Address = fmt.Sprint(n % recipients)
				_, err := s.AppendMessage(b.Context(), w.t, m)
				require.NoError(b, err)
			}
			spread(b, 1, func(int) error { _, err := s.PendingOutbox(b.Context(), partitions, 1, 64); return err })
		})
	}
}
