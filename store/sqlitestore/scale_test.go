package sqlitestore

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"omniservice/omni"
	"omniservice/store"
)

// bigStore is a store with many messages, of four organisations of different sizes.
type bigStore struct {
	*Store

	orgs     []*bigOrg // the largest first
	messages int
	from     omni.Millis   // when the first was written, by its own saying
	took     time.Duration // to write it
	behind   time.Duration // until the last was indexed
}

// bigOrg is an organisation. Its groups have very different numbers of interactions.
type bigOrg struct {
	t        omni.Tenant
	groups   []string // the largest first
	channels []string // one of each group
	talks    []omni.Interaction
}

// bigShares are what the organisations have, in percent.
var bigShares = []int{60, 25, 10, 5}

const (
	bigGroups  = 20
	bigTalkers = 64 // goroutines that write
)

// bigText writes a message: a word that all have, one that half have, a dozen others by Zipf's law, and now and then a
// number, another script, or something rare.
func bigText(r *rand.Rand, words []string, zipf *rand.Zipf, n int) string {
	var b strings.Builder
	b.WriteString("Hello ")
	b.WriteString([]string{"morning", "evening"}[n%2])
	for range 6 + r.IntN(12) {
		b.WriteByte(' ')
		b.WriteString(words[zipf.Uint64()])
	}
	switch n % 50 {
	case 0:
		fmt.Fprintf(&b, ", order %d", 10_000_000+n)
	case 1:
		fmt.Fprintf(&b, ", call +1 (415) 555-%04d", n/50%10000)
	case 2:
		b.WriteString("。请问我的订单什么时候到北京")
	case 3:
		b.WriteString(". Где мой заказ?")
	case 4:
		b.WriteString(" 👍🏽")
	}
	return b.String()
}

// bigWords are made of syllables, so that they share beginnings as words do.
func bigWords(r *rand.Rand, n int) []string {
	syllables := strings.Fields("an ber con de el fa ga hi in ju ka lo mi no or pa qua re si ta un ve wo xi ya zo tion ing ment er")
	all := make([]string, n)
	for i := range all {
		var b strings.Builder
		for range 1 + min(3, i/20) + r.IntN(2) {
			b.WriteString(syllables[r.IntN(len(syllables))])
		}
		all[i] = b.String()
	}
	return all
}

// newBigStore writes a store through its own calls.
func newBigStore(tb testing.TB, path string, messages, talks int) *bigStore {
	tb.Helper()
	ctx := tb.Context()
	begun := time.Now()
	at := omni.MillisOf(begun.Add(-365 * 24 * time.Hour))
	s := &bigStore{Store: open(tb, path), messages: messages, from: at}
	step := omni.Millis(365*24*3600*1000) / omni.Millis(messages)
	each := func(n int, do func(r *rand.Rand, i int) error) {
		var next atomic.Int64
		var wg sync.WaitGroup
		for range bigTalkers {
			wg.Go(func() {
				for i := next.Add(1) - 1; i < int64(n); i = next.Add(1) - 1 {
					// What is written does not depend on who writes it.
					if err := do(rand.New(rand.NewPCG(uint64(n), uint64(i))), int(i)); err != nil {
						tb.Error(err)
						return
					}
				}
			})
		}
		wg.Wait()
	}
	for _, share := range bigShares {
		o := &bigOrg{t: omni.Org(omni.NewID()), talks: make([]omni.Interaction, max(1, talks*share/100))}
		for range bigGroups {
			o.groups = append(o.groups, omni.NewID())
			o.channels = append(o.channels, omni.NewID())
		}
		each(len(o.talks), func(_ *rand.Rand, i int) error {
			w := &benchWorld{t: o.t}
			want := w.identity(i)
			want.Name = fmt.Sprintf("Person %s Number%d", []string{"Anna", "Müller", "Łukasz", "田中", "Олег"}[i%5], i)
			_, identity, _, err := s.ResolveIdentity(ctx, o.t, want)
			if err != nil {
				return err
			}
			g := min(bigGroups-1, i%(1+i%bigGroups)) // the first has most, the last few
			w.group, w.channel = o.groups[g], o.channels[g]
			o.talks[i], _, err = s.OpenInteraction(ctx, o.t, w.talk(identity), 0)
			return err
		})
		s.orgs = append(s.orgs, o)
	}
	words := bigWords(rand.New(rand.NewPCG(1, 2)), 20_000)
	each(messages, func(r *rand.Rand, n int) error {
		o, p := s.orgs[0], r.IntN(100)
		for i, share := range bigShares {
			if o = s.orgs[i]; p < share {
				break
			}
			p -= share
		}
		// The first interaction of each has a hundredth of all messages.
		talk := o.talks[r.IntN(len(o.talks))]
		if r.IntN(100) == 0 {
			talk = o.talks[0]
		}
		m := (&benchWorld{t: o.t}).message(talk)
		m.Payload = omni.TextPayload(bigText(r, words, rand.NewZipf(r, 1.2, 10, uint64(len(words)-1)), n))
		m.CreatedAt = at + omni.Millis(n)*step
		m.ReceivedAt = m.CreatedAt
		_, err := s.AppendMessage(ctx, o.t, m)
		return err
	})
	s.took = time.Since(begun)
	begun = time.Now()
	waitFor(tb, "all is indexed", func() bool { return s.upToDate(tb, int64(messages)) })
	s.behind = time.Since(begun)
	return s
}

// upToDate reports whether messages have been indexed, and all contacts.
func (s *Store) upToDate(tb testing.TB, messages int64) bool {
	tb.Helper()
	p, err := s.progress(tb.Context())
	require.NoError(tb, err)
	contacts, err := read(tb.Context(), s, func(ctx context.Context, c *conn) ([]string, error) {
		return queryAll(ctx, c, sqlSearchContactsChanged, func(r scanner) (id string, err error) {
			var n, changes int64
			return id, r.Scan(&n, &id, &changes)
		}, 1)
	})
	require.NoError(tb, err)
	return p.above >= messages && len(contacts) == 0
}

// bigRead is something that is read, with what it has to give at least.
type bigRead struct {
	name string
	most time.Duration // p95, by design
	call func(r *rand.Rand) (got int, err error)
	want int
}

// reads are the lists and searches that are measured.
func (s *bigStore) reads(ctx context.Context) []bigRead {
	const list, find = 20 * time.Millisecond, 300 * time.Millisecond
	big, small := s.orgs[0], s.orgs[len(s.orgs)-1]
	talks := func(o *bigOrg, f store.InteractionFilter, skip int) func(*rand.Rand) (int, error) {
		return func(*rand.Rand) (int, error) {
			p := store.Page{}
			for range skip {
				l, err := s.ListInteractions(ctx, o.t, f, store.Page{Cursor: p.Cursor, Limit: store.MaxPage})
				if err != nil {
					return 0, err
				}
				p.Cursor = l.Next
			}
			l, err := s.ListInteractions(ctx, o.t, f, p)
			return len(l.Items), err
		}
	}
	messages := func(o *bigOrg, q store.MessageSearch) func(*rand.Rand) (int, error) {
		if q.GroupIDs == nil {
			q.GroupIDs = o.groups
		}
		return func(*rand.Rand) (int, error) {
			l, err := s.SearchMessages(ctx, o.t, q, store.Page{})
			return len(l.Items), err
		}
	}
	contacts := func(o *bigOrg, query string) func(*rand.Rand) (int, error) {
		return func(*rand.Rand) (int, error) {
			l, err := s.SearchContacts(ctx, o.t, store.ContactSearch{Query: query}, store.Page{})
			return len(l.Items), err
		}
	}
	day := omni.Millis(24 * 3600 * 1000)
	return []bigRead{
		{"list/interactions of 20 groups", list, talks(big, store.InteractionFilter{GroupIDs: big.groups}, 0), 50},
		{"list/interactions of a group", list, talks(big, store.InteractionFilter{GroupIDs: big.groups[:1]}, 0), 50},
		{"list/messages, newest of any interaction", list, func(r *rand.Rand) (int, error) {
			ms, err := s.ListMessages(ctx, big.t, big.talks[r.IntN(len(big.talks))].ID, store.MessageWindow{Before: 1 << 40})
			return len(ms), err
		}, 0},
		{"list/messages, anywhere in a long interaction", list, func(r *rand.Rand) (int, error) {
			ms, err := s.ListMessages(ctx, big.t, big.talks[0].ID, store.MessageWindow{Before: 51 + r.Int64N(max(1, int64(s.messages)/200))})
			return len(ms), err
		}, 1},
		{"search/word of all messages", find, messages(big, store.MessageSearch{Query: "hello"}), 50},
		{"search/one letter", find, messages(big, store.MessageSearch{Query: "h"}), 50},
		{"search/word of all, smallest organisation", find, messages(small, store.MessageSearch{Query: "hello"}), 50},
		{"search/word of all, smallest group", find, messages(big, store.MessageSearch{Query: "hello", GroupIDs: big.groups[bigGroups-1:]}), 1},
		{"search/word of all, one contact", find, messages(big, store.MessageSearch{Query: "hello", ContactID: big.talks[1].ContactID}), 1},
		{"search/word of all, one day", find, messages(big, store.MessageSearch{Query: "hello", From: s.from + 100*day, Until: s.from + 101*day}), 1},
		{"search/two words of all", find, messages(big, store.MessageSearch{Query: "hell mor"}), 50},
		{"search/two words that no message has both", find, messages(big, store.MessageSearch{Query: "morning evening"}), 0},
		{"search/three words", find, messages(big, store.MessageSearch{Query: "hello morn ber con"}), 0},
		{"search/nothing", find, messages(big, store.MessageSearch{Query: "hello zzzzzz"}), 0},
		{"search/phrase of words of all", find, messages(big, store.MessageSearch{Query: `"hello morning"`}), 50},
		{"search/phrase that no message has", find, messages(big, store.MessageSearch{Query: `"morning hello"`}), 0},
		{"search/number", find, messages(big, store.MessageSearch{Query: "(415) 555-0001"}), 0},
		{"search/some digits", find, messages(big, store.MessageSearch{Query: "555"}), 1},
		{"search/Chinese", find, messages(big, store.MessageSearch{Query: "订单"}), 1},
		{"search/Cyrillic prefix", find, messages(big, store.MessageSearch{Query: "зак"}), 1},
		{"search/emoji", find, messages(big, store.MessageSearch{Query: "👍"}), 1},
		{"search/contacts by name", find, contacts(big, "person anna"), 50},
		{"search/contacts by number", find, contacts(big, "1555 000 0010"), 1},
		{"search/contacts by digits that all have", find, contacts(big, "555"), 50},
		{"search/mixed words", find, func(r *rand.Rand) (int, error) {
			syllables := []string{"an", "ber", "con", "de", "el", "fa", "ing", "ment", "tion", "zo"}
			query := syllables[r.IntN(len(syllables))] + syllables[r.IntN(len(syllables))] + " " + syllables[r.IntN(len(syllables))]
			l, err := s.SearchMessages(ctx, big.t, store.MessageSearch{Query: query, GroupIDs: big.groups}, store.Page{})
			return len(l.Items), err
		}, 0},
	}
}

// sizes are bytes of the file, and of the index in it.
func (s *bigStore) sizes(tb testing.TB) (file, index int64) {
	tb.Helper()
	_, err := read(tb.Context(), s.Store, func(ctx context.Context, c *conn) (int, error) {
		err := c.sql.QueryRowContext(ctx, "SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size()").Scan(&file)
		if err == nil {
			err = c.sql.QueryRowContext(ctx, "SELECT (SELECT sum(length(block)) FROM message_search_data) + (SELECT sum(length(sz) + 12) FROM message_search_docsize)").Scan(&index)
		}
		return 0, err
	})
	require.NoError(tb, err)
	return file, index
}

func percentile(all []time.Duration, p int) time.Duration {
	slices.Sort(all)
	return all[len(all)*p/100]
}

// BenchmarkScale measures lists, searches and size with as many messages as OMNI_BENCH_MESSAGES says, by default a
// million, and a tenth as many interactions. To write them takes some minutes; ./docs/performance.md has figures.
func BenchmarkScale(b *testing.B) {
	messages := 1_000_000
	if text := os.Getenv("OMNI_BENCH_MESSAGES"); text != "" {
		var err error
		messages, err = strconv.Atoi(text)
		require.NoError(b, err)
	}
	s := newBigStore(b, filepath.Join(b.TempDir(), "omni.db"), messages, messages/10)
	b.Run("writing", func(b *testing.B) {
		for b.Loop() {
			require.Positive(b, s.took) // it was done before
		}
		b.ReportMetric(s.took.Seconds(), "s")
		b.ReportMetric(float64(messages)/s.took.Seconds(), "messages/s")
		b.ReportMetric(float64(s.behind.Milliseconds()), "index-behind-ms")
	})
	b.Run("size", func(b *testing.B) {
		file, index := int64(0), int64(0)
		for b.Loop() {
			file, index = s.sizes(b)
		}
		b.ReportMetric(float64(file)/float64(messages), "file-bytes/message")
		b.ReportMetric(float64(index)/float64(messages), "index-bytes/message")
	})
	for _, c := range s.reads(b.Context()) {
		b.Run(c.name, func(b *testing.B) {
			r := rand.New(rand.NewPCG(3, 4))
			var all []time.Duration
			once := func() {
				begun := time.Now()
				got, err := c.call(r)
				all = append(all, time.Since(begun))
				require.NoError(b, err)
				require.GreaterOrEqual(b, got, c.want)
			}
			for b.Loop() {
				once()
			}
			for len(all) < 100 {
				once()
			}
			b.ReportMetric(float64(percentile(all, 50).Microseconds())/1000, "p50-ms")
			b.ReportMetric(float64(percentile(all, 95).Microseconds())/1000, "p95-ms")
			b.ReportMetric(float64(c.most.Milliseconds()), "goal-ms")
		})
	}
}

// TestScale runs what BenchmarkScale measures, on less.
func TestScale(t *testing.T) {
	t.Parallel()
	s := newBigStore(t, filepath.Join(t.TempDir(), "omni.db"), 800, 300)
	r := rand.New(rand.NewPCG(3, 4))
	for _, c := range s.reads(t.Context()) {
		got, err := c.call(r)
		require.NoError(t, err, c.name)
		if c.want > 0 {
			require.Positive(t, got, c.name)
		}
	}
	file, index := s.sizes(t)
	require.Positive(t, index)
	require.Greater(t, file, index)
}
