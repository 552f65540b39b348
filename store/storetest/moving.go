package storetest

import (
	"cmp"
	"embed"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"omniservice/omni"
	"omniservice/store"
)

// movedKinds are the kinds of records that tests have moved.
type movedKinds struct {
	sync.Mutex

	tests int
	kinds map[store.RecordKind]bool
}

// moves takes all that is in s to another store, and requires that it is the same there, also when it comes a second time.
// A store that has been closed has nothing to move.
func (m *movedKinds) moves(t *testing.T, s store.Store, open func(t *testing.T) store.Store) {
	t.Helper()
	m.Lock()
	m.tests++
	m.Unlock()
	if errors.Is(s.Ping(t.Context()), omni.ErrUnavailable) {
		return
	}
	all := dump(t, s, 1000)
	if len(all) > few(s, len(all), 100) {
		return // most tests leave less
	}
	other := open(t)
	for part := range slices.Chunk(all, 37) {
		require.NoError(t, other.Load(t.Context(), part))
	}
	sameRecords(t, all, dump(t, other, 1000))
	sameRecords(t, all, dump(t, other, 7))
	require.NoError(t, other.Load(t.Context(), all))
	sameRecords(t, all, dump(t, other, 1000))

	// The duties are the same.
	for _, now := range []omni.Millis{base, base * 2} {
		want, err := s.PendingOutbox(t.Context(), allPartitions(), now, 1000)
		require.NoError(t, err)
		got, err := other.PendingOutbox(t.Context(), allPartitions(), now, 1000)
		require.NoError(t, err)
		require.ElementsMatch(t, want, got)
		wantMedia, err := s.PendingMedia(t.Context(), allPartitions(), now, 1000)
		require.NoError(t, err)
		gotMedia, err := other.PendingMedia(t.Context(), allPartitions(), now, 1000)
		require.NoError(t, err)
		require.ElementsMatch(t, wantMedia, gotMedia)
		wantInbox, err := s.PendingInbox(t.Context(), allPartitions(), now, 1000)
		require.NoError(t, err)
		gotInbox, err := other.PendingInbox(t.Context(), allPartitions(), now, 1000)
		require.NoError(t, err)
		require.ElementsMatch(t, wantInbox, gotInbox)
	}

	m.Lock()
	defer m.Unlock()
	for _, r := range all {
		if m.kinds == nil {
			m.kinds = map[store.RecordKind]bool{}
		}
		m.kinds[r.Kind] = true
	}
}

// all requires that every kind was among what moved, if all tests ran.
func (m *movedKinds) all(t *testing.T) {
	t.Helper()
	m.Lock()
	defer m.Unlock()
	if m.tests < len(tests) || t.Failed() {
		return
	}
	for _, k := range store.RecordKinds {
		if !m.kinds[k] {
			t.Errorf("no test makes a record of %s: add one to everythingMoves", k)
		}
	}
}

// dump reads all records in pages of size.
func dump(t *testing.T, s store.Store, size int) []store.Record {
	t.Helper()
	var all []store.Record
	var at store.Position
	for range 1_000_000 {
		rs, next, err := s.Dump(t.Context(), at, size)
		require.NoError(t, err)
		require.LessOrEqual(t, len(rs), size)
		if len(rs) == 0 {
			require.Equal(t, at, next)
			return all
		}
		last := rs[len(rs)-1]
		require.Equal(t, store.Position{Kind: last.Kind, Key: last.Key}, next)
		all, at = append(all, rs...), next
	}
	require.Fail(t, "the dump does not end")
	return nil
}

// sameRecords compares two dumps, order included, and says of which record they differ.
func sameRecords(t *testing.T, want, got []store.Record) {
	t.Helper()
	text := func(rs []store.Record) []string {
		lines := make([]string, len(rs))
		for i, r := range rs {
			lines[i] = fmt.Sprintf("%s %q %s", r.Kind, r.Key, r.Data)
		}
		return lines
	}
	require.Equal(t, text(want), text(got))
}

// everythingMoves makes a record of every kind, with every field set; that they move is seen after the test.
func everythingMoves(t *testing.T, s store.Store) {
	makeEverything(t, s)
	all := dump(t, s, 100)
	require.True(t, slices.IsSortedFunc(all, func(a, b store.Record) int {
		return cmp.Compare(slices.Index(store.RecordKinds, a.Kind), slices.Index(store.RecordKinds, b.Kind))
	}), "kinds come in the order of RecordKinds")
	kinds := map[store.RecordKind]bool{}
	for _, r := range all {
		kinds[r.Kind] = true
		require.NotEmpty(t, r.Key)
	}
	for _, k := range store.RecordKinds {
		require.True(t, kinds[k], "makeEverything makes no record of %s", k)
	}
	var data strings.Builder
	for _, r := range all {
		data.Write(r.Data)
	}
	text := data.String()
	for _, hidden := range []string{"passwordHash", "refreshHash", "previousHashes", `"credentials"`, "consentAt", "statusHistory", `"outbox"`, "pendingMedia"} {
		require.Contains(t, text, hidden)
	}
}

func makeEverything(t *testing.T, s store.Store) {
	t.Helper()
	everyFieldComesBack(t, s)
	ctx := t.Context()
	w := newWorld(t, s)
	for _, k := range plainKinds {
		k.isThere(t, s, w)
	}
	require.NoError(t, s.PutDeliveries(ctx, w.tenant, filled(func(d *omni.WebhookDelivery) {
		d.Tenant, d.Body = omni.Org(w.org.ID), omni.RawJSON(`{"id":"event"}`)
	})))
	token := filled(func(o *omni.OneTimeToken) { o.OrganisationID, o.ExpiresAt = w.org.ID, base*2 })
	require.NoError(t, s.PutOneTimeToken(ctx, w.tenant, token))
	for i, out := range []bool{true, false, true} {
		_, _, err := s.SetConsent(ctx, omni.ConsentUpdate{
			Tenant: w.tenant, ChannelType: omni.ChannelSMS, Address: w.identity.Address, OptedOut: out, By: "STOP", At: base + omni.Millis(i),
		})
		require.NoError(t, err)
	}
	w.append(t, s, w.withFiles(w.talk, omni.MediaImage, omni.MediaImage))
	first := w.append(t, s, w.outbound(w.talk, "first")).Message
	for _, sender := range []string{w.identity.ID, w.user.ID} {
		_, err := s.SetReaction(ctx, w.tenant, filled(func(r *omni.Reaction) {
			r.Tenant, r.MessageID, r.SenderID = omni.Org(w.org.ID), first.ID, sender
		}))
		require.NoError(t, err)
	}
	_, err := s.AddAlias(ctx, w.tenant, w.identity.ID, filled(func(*omni.IdentityAlias) {}))
	require.NoError(t, err)
	w.append(t, s, w.outbound(w.talk, "second"))
	require.NoError(t, s.MarkSending(ctx, w.tenant, first.ID, base+30))
	failed := status(w.channel.ID, "", omni.StatusQueued, base+40)
	failed.Reason, failed.ErrorCode = omni.ReasonThrottled, "20429"
	require.NoError(t, s.MarkRetry(ctx, w.tenant, first.ID, base+1000, failed))
	for i, st := range []omni.Status{omni.StatusSent, omni.StatusDelivered} {
		_, _, err := s.ApplyStatus(ctx, w.tenant, status(w.channel.ID, "unknown yet", st, base+omni.Millis(i)))
		require.ErrorIs(t, err, omni.ErrNotFound)
	}
	require.NoError(t, s.PutInbox(ctx, w.inboxRecord(3), w.inboxRecord(4)))
	retried := w.inboxRecord(5)
	require.NoError(t, s.PutInbox(ctx, retried))
	require.NoError(t, s.RetryInbox(ctx, retried.ID, 2, base+1000, "unavailable"))
	require.NoError(t, s.JoinFragments(ctx, w.tenant, "joined", base*2))
}

// loadedQueues loads messages that wait to go out, and sees them leave one after the other.
func loadedQueues(t *testing.T, s store.Store) {
	ctx := t.Context()
	w := newWorld(t, s)
	var rs []store.Record
	var ids []string
	record := func(m omni.ServiceMessage, n int64, o *store.MovedOutbox) store.Record {
		m.Sequence = n
		r, err := store.MovedMessages.Record(store.MovedMessage{ServiceMessage: m, Outbox: o})
		require.NoError(t, err)
		return r
	}
	for n := range int64(4) {
		m := w.outbound(w.talk, fmt.Sprint(n))
		ids = append(ids, m.ID)
		rs = append(rs, record(m, n+1, &store.MovedOutbox{Attempts: int(n)}))
	}
	last, err := store.MovedMessages.Value(rs[3])
	require.NoError(t, err)
	require.NoError(t, s.Load(ctx, rs))
	talk, err := s.Interaction(ctx, w.tenant, w.talk.ID)
	require.NoError(t, err)
	require.Equal(t, int64(4), talk.LastSequence, "the interaction is not behind its messages")

	head := func() []string {
		items, err := s.PendingOutbox(ctx, allPartitions(), base, 100)
		require.NoError(t, err)
		return itemIDs(items)
	}
	sent := status(w.channel.ID, "", omni.StatusSent, base+50)
	for n, id := range ids[:2] {
		require.Equal(t, []string{id}, head(), "one of a recipient at a time, in order")
		require.NoError(t, s.MarkSending(ctx, w.tenant, id, base+40))
		_, err = s.MarkSent(ctx, w.tenant, id, fmt.Sprint("c", n), 1, sent)
		require.NoError(t, err)
	}
	require.Equal(t, ids[2:3], head())
	// What comes again without the duty has lost it; the next one follows.
	done := w.outbound(w.talk, "2")
	done.ID = ids[2]
	require.NoError(t, s.Load(ctx, []store.Record{record(done, 3, nil)}))
	require.Equal(t, ids[3:], head())
	items, err := s.PendingOutbox(ctx, allPartitions(), base, 100)
	require.NoError(t, err)
	require.Equal(t, 3, items[0].Attempts)
	require.Equal(t, last.ServiceMessage, items[0].Message)

	// Further messages go on from there.
	a := w.append(t, s, w.outbound(w.talk, "new"))
	require.Equal(t, int64(5), a.Message.Sequence)
	require.Equal(t, ids[3:], head())

	// So does the inbox, by the ids of its records.
	var inbox []store.Record
	var want []string
	for n := range 5 {
		v := w.inboxRecord(n)
		want = append(want, v.ID)
		r, err := store.MovedInbox.Record(v)
		require.NoError(t, err)
		inbox = append(inbox, r)
	}
	require.NoError(t, s.Load(ctx, inbox))
	pending, err := s.PendingInbox(ctx, allPartitions(), base, 100)
	require.NoError(t, err)
	require.Equal(t, want, idsOf(pending, recordID))
}

func loadRefuses(t *testing.T, s store.Store) {
	ctx := t.Context()
	w := newWorld(t, s)
	before := dump(t, s, 100)
	good, err := store.MovedUsers.Record(w.user)
	require.NoError(t, err)
	thief := w.user
	thief.ID = omni.NewID()
	taken, err := store.MovedUsers.Record(thief)
	require.NoError(t, err)
	for name, c := range map[string]struct {
		r    store.Record
		want error
	}{
		"unknown kind":   {store.Record{Kind: "spaceships", Key: []string{"x"}, Data: []byte("{}")}, omni.ErrInvalid},
		"no JSON":        {store.Record{Kind: good.Kind, Key: good.Key, Data: []byte(`{"id":`)}, omni.ErrInvalid},
		"another key":    {store.Record{Kind: good.Kind, Key: []string{omni.NewID()}, Data: good.Data}, omni.ErrInvalid},
		"another shape":  {store.Record{Kind: good.Kind, Key: good.Key, Data: []byte(`{"id":17}`)}, omni.ErrInvalid},
		"another's mail": {taken, omni.ErrConflict},
	} {
		require.ErrorIs(t, s.Load(ctx, []store.Record{c.r}), c.want, name)
		sameRecords(t, before, dump(t, s, 100))
	}
	for name, p := range map[string]store.Position{
		"unknown kind": {Kind: "spaceships", Key: []string{"x"}},
		"half a key":   {Kind: store.MovedMessages.Kind, Key: []string{w.talk.ID}},
		"no number":    {Kind: store.MovedMessages.Kind, Key: []string{w.talk.ID, "x"}},
	} {
		_, _, err := s.Dump(ctx, p, 10)
		require.ErrorIs(t, err, omni.ErrInvalid, name)
	}
}

// dumpUnderWrites dumps in small pages while messages and contacts come: what was there comes once, in order.
func dumpUnderWrites(t *testing.T, s store.Store) {
	w := newWorld(t, s)
	talks := []omni.Interaction{w.talk}
	for n := range 5 {
		talk, _, _ := w.newTalk(t, s, fmt.Sprintf("+1555222%d", n))
		talks = append(talks, talk)
		for range 6 {
			w.append(t, s, w.inbound(talk, "before"))
		}
	}
	before := map[string]bool{}
	name := func(r store.Record) string { return fmt.Sprint(r.Kind, r.Key) }
	for _, r := range dump(t, s, 1000) {
		before[name(r)] = true
	}
	var stop atomic.Bool
	var writers sync.WaitGroup
	for n := range 4 {
		writers.Go(func() {
			for i := 0; i < few(s, 500, 15) && !stop.Load(); i++ {
				_, err := s.AppendMessage(t.Context(), w.tenant, w.inbound(talks[(i+n)%len(talks)], "meanwhile"))
				require.NoError(t, err)
				_, _, _, err = s.ResolveIdentity(t.Context(), w.tenant, w.newIdentity(fmt.Sprintf("+1666%d%04d", n, i)))
				require.NoError(t, err)
			}
		})
	}
	for range 3 {
		seen := map[string]int{}
		newest := map[string]int64{}
		for _, r := range dump(t, s, few(s, 5, 20)) {
			seen[name(r)]++
			if r.Kind == store.MovedMessages.Kind {
				m, err := store.MovedMessages.Value(r)
				require.NoError(t, err)
				require.Equal(t, newest[m.InteractionID]+1, m.Sequence, "no gaps up to where the dump was")
				newest[m.InteractionID] = m.Sequence
			}
		}
		for key := range before {
			require.Equal(t, 1, seen[key], key)
		}
		for key, n := range seen {
			require.Equal(t, 1, n, key)
		}
	}
	stop.Store(true)
	writers.Wait()
}

func markersAreKept(t *testing.T, s store.Store) {
	ctx := t.Context()
	b, err := s.Marker(ctx, "a")
	require.NoError(t, err)
	require.Nil(t, b)
	for _, value := range []string{"one", "two"} {
		require.NoError(t, s.SetMarker(ctx, "a", []byte(value)))
		b, err = s.Marker(ctx, "a")
		require.NoError(t, err)
		require.Equal(t, value, string(b))
	}
	require.NoError(t, s.SetMarker(ctx, "b", []byte("other")))
	require.Empty(t, dump(t, s, 10), "markers are no data")
	require.NoError(t, s.SetMarker(ctx, "a", nil))
	require.NoError(t, s.SetMarker(ctx, "a", nil))
	b, err = s.Marker(ctx, "a")
	require.NoError(t, err)
	require.Nil(t, b)
}

func storesAreInspected(t *testing.T, s store.Store) {
	ctx := t.Context()
	r, err := s.Inspect(ctx, base)
	require.NoError(t, err)
	require.NotEmpty(t, r.Engine)
	require.NotEmpty(t, r.Place)
	require.Positive(t, r.Newest)
	require.Equal(t, r.Newest, r.Schema)
	require.Empty(t, r.Differences)
	require.Empty(t, r.Leases)
	require.Zero(t, r.Expired)
	depth := func(r store.Inspection) map[string]store.QueueDepth {
		m := map[string]store.QueueDepth{}
		for _, q := range r.Queues {
			m[q.Name] = q
		}
		return m
	}
	for _, name := range []string{"inbox", "outbox", "media", "deliveries", "set_aside", "search"} {
		require.Equal(t, map[string]store.QueueDepth{name: {Name: name}}[name], depth(r)[name])
	}

	w := newWorld(t, s)
	w.append(t, s, w.withFiles(w.talk, omni.MediaImage, omni.MediaImage))
	first := w.append(t, s, w.outbound(w.talk, "1")).Message
	w.append(t, s, w.outbound(w.talk, "2"))
	require.NoError(t, s.MarkRetry(ctx, w.tenant, first.ID, base+1000, status(w.channel.ID, "", omni.StatusQueued, base+40)))
	retried := w.inboxRecord(1)
	require.NoError(t, s.PutInbox(ctx, retried, w.inboxRecord(2), w.inboxRecord(3)))
	require.NoError(t, s.RetryInbox(ctx, retried.ID, 1, base+1000, "x"))
	require.NoError(t, s.PutAside(ctx, store.SetAside{Record: w.inboxRecord(4), Reason: store.SetAsidePoison, At: base + 7, ExpiresAt: base * 2}))
	failed, sent := w.delivery("hook", base+1), w.delivery("hook", base)
	failed.NotBefore, sent.State = base+1000, omni.DeliveryDelivered
	require.NoError(t, s.PutDeliveries(ctx, w.tenant, w.delivery("hook", base+2), failed, sent))
	session := omni.Session{ID: omni.NewID(), OrganisationID: w.org.ID, UserID: w.user.ID, RefreshHash: "h", CreatedAt: base, ExpiresAt: base + 5}
	require.NoError(t, s.CreateSession(ctx, w.tenant, session))
	held, err := s.AcquireLock(ctx, "inbox/1", "node", base, 15_000_000_000)
	require.NoError(t, err)
	released, err := s.AcquireLock(ctx, "inbox/2", "node", base, 15_000_000_000)
	require.NoError(t, err)
	require.NoError(t, s.ReleaseLock(ctx, released))

	r, err = s.Inspect(ctx, base+10)
	require.NoError(t, err)
	got := depth(r)
	require.Equal(t, store.QueueDepth{Name: "inbox", Depth: 3, Failed: 1, Oldest: base}, got["inbox"])
	require.Equal(t, store.QueueDepth{Name: "outbox", Depth: 2, Failed: 1, Oldest: base + 20}, got["outbox"])
	require.Equal(t, store.QueueDepth{Name: "media", Depth: 2, Oldest: base + 20}, got["media"])
	require.Equal(t, store.QueueDepth{Name: "deliveries", Depth: 2, Failed: 1, Oldest: base + 1}, got["deliveries"])
	require.Equal(t, store.QueueDepth{Name: "set_aside", Depth: 1, Oldest: base + 7}, got["set_aside"])
	require.Equal(t, 1, r.Expired)
	require.Equal(t, []omni.MessageQueueLock{held}, r.Leases)
	_, err = s.Sweep(ctx, base+10)
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		r, err = s.Inspect(ctx, base+10)
		return err == nil && depth(r)["search"] == store.QueueDepth{Name: "search"}
	}, 10*time.Second, 10*time.Millisecond, "messages are in the index")
	require.Zero(t, r.Expired)
}

// Documents as the versions of the schema wrote them: a file for each kind in a folder for each version. They are made
// once, by `go test ./store/sqlitestore -run 'InMemory/OldDocuments' -write-schema`, and never changed.
//
//go:embed testdata/schema
var oldDocuments embed.FS

var writeSchema = flag.Bool("write-schema", false, "write the documents of the current schema version that are not there yet")

// oldDocumentsAreRead loads them: all that they say is there afterwards, under the same names.
func oldDocumentsAreRead(t *testing.T, s store.Store) {
	if *writeSchema {
		writeDocuments(t, s)
		return
	}
	current := fmt.Sprintf("testdata/schema/v%d", omni.CurrentSchema.Version)
	for _, k := range store.RecordKinds {
		_, err := fs.Stat(oldDocuments, path.Join(current, string(k)+".json"))
		require.NoError(t, err, "keep documents of %s as they are now, by -write-schema", k)
	}
	files, err := fs.Glob(oldDocuments, "testdata/schema/*/*.json")
	require.NoError(t, err)
	for _, file := range files {
		b, err := fs.ReadFile(oldDocuments, file)
		require.NoError(t, err)
		var rs []store.Record
		require.NoError(t, json.Unmarshal(b, &rs), file)
		require.NoError(t, s.Load(t.Context(), rs), file)
	}
	have := map[string]json.RawMessage{}
	for _, r := range dump(t, s, 100) {
		have[fmt.Sprint(r.Kind, r.Key)] = r.Data
	}
	for _, file := range files {
		b, err := fs.ReadFile(oldDocuments, file)
		require.NoError(t, err)
		var rs []store.Record
		require.NoError(t, json.Unmarshal(b, &rs))
		for _, r := range rs {
			var was, is any
			require.NoError(t, json.Unmarshal(r.Data, &was))
			require.NoError(t, json.Unmarshal(have[fmt.Sprint(r.Kind, r.Key)], &is), "%s %q", r.Kind, r.Key)
			holds(t, is, was, fmt.Sprintf("%s: %q", file, r.Key))
		}
	}
}

// holds requires that is says all that was said.
func holds(t *testing.T, is, was any, where string) {
	t.Helper()
	fields, ok := was.(map[string]any)
	if !ok {
		require.Equal(t, was, is, where)
		return
	}
	now, ok := is.(map[string]any)
	require.True(t, ok, where)
	for name, v := range fields {
		holds(t, now[name], v, where+"."+name)
	}
}

// writeDocuments writes what makeEverything makes, and the kinds whose file is there stay as they are.
func writeDocuments(t *testing.T, s store.Store) {
	t.Helper()
	makeEverything(t, s)
	dir := filepath.Join("..", "storetest", "testdata", "schema", fmt.Sprintf("v%d", omni.CurrentSchema.Version))
	require.NoError(t, os.MkdirAll(dir, 0o755))
	all := dump(t, s, 1000)
	for _, k := range store.RecordKinds {
		file := filepath.Join(dir, string(k)+".json")
		if _, err := os.Stat(file); err == nil {
			continue
		}
		var text strings.Builder
		for _, r := range all {
			if r.Kind == k {
				b, err := json.MarshalIndent(r, "  ", "  ")
				require.NoError(t, err)
				if text.Len() > 0 {
					text.WriteString(",\n  ")
				}
				text.Write(b)
			}
		}
		require.NotEmpty(t, text.String(), k)
		require.NoError(t, os.WriteFile(file, []byte("[\n  "+text.String()+"\n]\n"), 0o644))
	}
}

// Fill makes at least one record of every kind, with every field set, for tests of one implementation alone.
func Fill(t *testing.T, s store.Store) { t.Helper(); makeEverything(t, s) }

// MovesBetween moves a record of every kind from one store to another, of another sort, is cut off half way and goes on
// with what came last; then back to a third one, of the first sort. All three hold the same, byte for byte.
func MovesBetween(t *testing.T, from, to, back store.Store) {
	t.Helper()
	makeEverything(t, from)
	all := dump(t, from, 1000)
	half := len(all) / 2
	for part := range slices.Chunk(all[:half], 10) {
		require.NoError(t, to.Load(t.Context(), part))
	}
	for part := range slices.Chunk(all[max(0, half-5):], 10) {
		require.NoError(t, to.Load(t.Context(), part))
	}
	moved := dump(t, to, 1000)
	sameRecords(t, all, moved)
	require.NoError(t, back.Load(t.Context(), moved))
	sameRecords(t, all, dump(t, back, 1000))
}
