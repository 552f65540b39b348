package mongostore

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"omniservice/omni"
	"omniservice/store"
)

// sizeEnv is how many messages the benchmarks of lists and searches have, a tenth as many conversations. Such a store is
// filled once for each run.
const sizeEnv = "OMNI_BENCH_MESSAGES"

// benchStore gives a store on the server of serverEnv, which benchmarks need.
func benchStore(b *testing.B) *Store {
	b.Helper()
	require.NotEmpty(b, os.Getenv(serverEnv), "benchmarks need a server: set %s", serverEnv)
	s, err := Open(b.Context(), uriOf(os.Getenv(serverEnv), "bench_"+omni.NewToken(8)), Options{Timeout: time.Minute})
	require.NoError(b, err)
	b.Cleanup(func() {
		require.NoError(b, s.db.Drop(context.WithoutCancel(b.Context())))
		require.NoError(b, s.Close())
	})
	_, err = s.EnsureIndexes(b.Context())
	require.NoError(b, err)
	return s
}

func benchTalk(org string, n int) omni.Interaction {
	group := "01900000-0000-7000-8000-000000000001"
	return omni.Interaction{
		ID: omni.NewID(), Tenant: omni.Org(org), ContactID: omni.NewID(), IdentityID: omni.NewID(), DigitalChannelID: group,
		ChannelType: omni.ChannelSMS, GroupID: group, Owner: omni.InteractionOwner{Type: omni.EntityGroup, ID: group},
		State: omni.InteractionOpen, LastMessageAt: omni.Millis(1_790_000_000_000 + n), Version: 1, CreatedAt: 1_790_000_000_000,
		SchemaVersion: omni.CurrentSchema,
	}
}

func benchMessage(i omni.Interaction, n int) omni.ServiceMessage {
	id := omni.NewID()
	return omni.ServiceMessage{
		ID: id, Tenant: i.Tenant, InteractionID: i.ID, Direction: omni.Inbound, ContactID: i.ContactID,
		Channel: omni.ReceivedChannel{DigitalChannelID: i.DigitalChannelID, ChannelType: i.ChannelType, SenderType: omni.SenderContact},
		From:    omni.Identity{ChannelType: i.ChannelType, Address: "+15551111"}, To: omni.Identity{ChannelType: i.ChannelType, Address: "+15550000"},
		Payload:          omni.TextPayload(fmt.Sprintf("hello, where is my order number %d of last week?", n)),
		CarrierMessageID: id, ReceivedAt: omni.Millis(1_790_000_000_000 + n), CreatedAt: omni.Millis(1_790_000_000_000 + n), SchemaVersion: omni.CurrentSchema,
	}
}

// BenchmarkAppend is how many inbound messages are stored durably, by 1, 16 and 64 writers.
func BenchmarkAppend(b *testing.B) {
	for _, writers := range []int{1, 16, 64} {
		b.Run(strconv.Itoa(writers), func(b *testing.B) {
			s := benchStore(b)
			talks := make([]omni.Interaction, 256)
			for n := range talks {
				var err error
				talks[n], _, err = s.OpenInteraction(b.Context(), omni.Org("bench"), benchTalk("bench", n), 0)
				require.NoError(b, err)
			}
			b.ResetTimer()
			var wg sync.WaitGroup
			for w := range writers {
				wg.Go(func() {
					for n := w; n < b.N; n += writers {
						i := talks[n%len(talks)]
						if _, err := s.AppendMessage(b.Context(), i.Tenant, benchMessage(i, n)); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			wg.Wait()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "messages/s")
		})
	}
}

// BenchmarkReads are lists of 50 and searches in a store with many messages.
func BenchmarkReads(b *testing.B) {
	messages, err := strconv.Atoi(os.Getenv(sizeEnv))
	if err != nil {
		messages = 100_000
	}
	s := benchStore(b)
	ctx, t := b.Context(), omni.Org("bench")
	var talks, ms []store.Record
	var first omni.Interaction
	for n := range messages / 10 {
		i := benchTalk(t.OrganisationID, n)
		i.LastSequence = 10
		for k := range 10 {
			m := benchMessage(i, n*10+k)
			m.Sequence = int64(k + 1)
			r, err := store.MovedMessages.Record(store.MovedMessage{ServiceMessage: m})
			require.NoError(b, err)
			ms = append(ms, r)
		}
		r, err := store.MovedInteractions.Record(i)
		require.NoError(b, err)
		if talks = append(talks, r); len(talks) == 100 || n == 0 {
			require.NoError(b, s.Load(ctx, slices.Concat(ms, talks)))
			talks, ms, first = nil, nil, i
		}
	}
	require.NoError(b, s.Load(ctx, slices.Concat(ms, talks)))
	for name, read := range map[string]func() error{
		"ListInteractions": func() error {
			_, err := s.ListInteractions(ctx, t, store.InteractionFilter{GroupIDs: []string{first.GroupID}}, store.Page{})
			return err
		},
		"ListMessages": func() error { _, err := s.ListMessages(ctx, t, first.ID, store.MessageWindow{}); return err },
		"SearchRare": func() error {
			_, err := s.SearchMessages(ctx, t, store.MessageSearch{Query: "order 4711", GroupIDs: []string{first.GroupID}}, store.Page{})
			return err
		},
		"SearchCommon": func() error {
			_, err := s.SearchMessages(ctx, t, store.MessageSearch{Query: "order", GroupIDs: []string{first.GroupID}}, store.Page{})
			return err
		},
	} {
		b.Run(name, func(b *testing.B) {
			var took []time.Duration
			for b.Loop() {
				begun := time.Now()
				require.NoError(b, read())
				took = append(took, time.Since(begun))
			}
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)*95/100].Microseconds())/1000, "p95-ms")
		})
	}
}
