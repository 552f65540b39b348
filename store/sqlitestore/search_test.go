package sqlitestore

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"omniservice/omni"
	"omniservice/store"
)

// waitFor waits until ready, which is asked again and again.
func waitFor(t testing.TB, what string, ready func() bool) {
	t.Helper()
	again := time.NewTicker(5 * time.Millisecond)
	defer again.Stop()
	end := time.After(time.Minute)
	for !ready() {
		select {
		case <-again.C:
		case <-end:
			require.Fail(t, "it did not happen", what)
		}
	}
}

// run executes SQL that is not the store's.
func run(t testing.TB, s *Store, text string, args ...any) {
	t.Helper()
	require.NoError(t, writeOnly(t.Context(), s, func(ctx context.Context, c *conn) error {
		c.writes++
		_, err := c.sql.ExecContext(ctx, text, args...)
		return err
	}))
}

// everything finds all messages of w with a word.
func everything(t testing.TB, s *Store, w *benchWorld, word string) map[string]bool {
	t.Helper()
	ids := map[string]bool{}
	p := store.Page{Limit: store.MaxPage}
	for {
		l, err := s.SearchMessages(t.Context(), w.t, store.MessageSearch{Query: word, GroupIDs: []string{w.group}}, p)
		require.NoError(t, err)
		for _, h := range l.Items {
			require.False(t, ids[h.Message.ID], "found twice")
			ids[h.Message.ID] = true
		}
		if p.Cursor = l.Next; l.Next == "" {
			return ids
		}
	}
}

func say(t testing.TB, s *Store, w *benchWorld, n int, text string) []string {
	t.Helper()
	ids := make([]string, 0, n)
	for i := range n {
		m := w.message(w.talks[i%len(w.talks)])
		m.Payload = omni.TextPayload(text)
		_, err := s.AppendMessage(t.Context(), w.t, m)
		require.NoError(t, err)
		ids = append(ids, m.ID)
	}
	return ids
}

func TestIndexingGoesOnAfterAStop(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "omni.db")
	w := (*benchWorld)(nil)
	want := 0
	for range 2 {
		s, err := New(t.Context(), path, Options{})
		require.NoError(t, err)
		if w == nil {
			w = newBenchWorld(t, s, 3)
		}
		want += len(say(t, s, w, indexAtOnce+20, "interrupted")) // closed before all of them are indexed
		require.NoError(t, s.Close())
	}
	s := open(t, path)
	waitFor(t, "all are found", func() bool { return len(everything(t, s, w, "interrupted")) == want })
}

// unsearched makes a file as it was before there was a search, and what came after it.
const unsearched = `
	DROP TRIGGER interaction_new_changed; DROP TRIGGER interaction_changed;
	DROP TRIGGER message_new_changed; DROP TRIGGER message_changed;
	DROP INDEX interactions_changed; DROP INDEX messages_changed; DROP TABLE change_state; DROP TABLE change_marks;
	ALTER TABLE interactions DROP COLUMN changed; ALTER TABLE messages DROP COLUMN changed;
	DROP TRIGGER search_message_changed; DROP TRIGGER search_message_gone; DROP TRIGGER search_interaction_moved;
	DROP TRIGGER search_contact_new; DROP TRIGGER search_contact_changed; DROP TRIGGER search_contact_gone;
	DROP TRIGGER search_identity_new; DROP TRIGGER search_identity_changed; DROP TRIGGER search_identity_gone;
	DROP TABLE message_search; DROP TABLE contact_search; DROP TABLE search_progress; DROP TABLE search_again;
	DROP TABLE search_times; DROP TABLE search_contacts;
	DROP INDEX interactions_snoozed; ALTER TABLE interactions DROP COLUMN changed_by;
	ALTER TABLE interactions DROP COLUMN snoozed_until; ALTER TABLE interactions DROP COLUMN snoozed_after;
	DELETE FROM schema_migrations WHERE name >= '0004_search.sql'`

func TestWhatWasThereBeforeIsIndexed(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "omni.db")
	s, err := New(t.Context(), path, Options{})
	require.NoError(t, err)
	w := newBenchWorld(t, s, 10)
	old := say(t, s, w, 2*indexAtOnce+50, "ancient history")
	run(t, s, unsearched)
	require.NoError(t, s.Close())

	s, err = New(t.Context(), path, Options{})
	require.NoError(t, err)
	fresh := say(t, s, w, 5, "recent history")
	// New messages do not wait for the old ones, of which the newest come first.
	waitFor(t, "new ones are found", func() bool { return len(everything(t, s, w, "recent")) == len(fresh) })
	waitFor(t, "old ones begin to be found", func() bool { return everything(t, s, w, "ancient")[old[len(old)-1]] })
	require.NoError(t, s.Close())

	s = open(t, path)
	waitFor(t, "old ones are found", func() bool { return len(everything(t, s, w, "ancient")) == len(old) })
	require.Len(t, everything(t, s, w, "history"), len(old)+len(fresh))
	waitFor(t, "contacts are found", func() bool {
		l, err := s.SearchContacts(t.Context(), w.t, store.ContactSearch{Query: "1555 somebody"}, store.Page{})
		require.NoError(t, err)
		return len(l.Items) == len(w.identities)
	})
	p, err := s.progress(t.Context())
	require.NoError(t, err)
	require.Zero(t, p.below)
}

func TestWhatIsGoneLeavesTheIndex(t *testing.T) {
	t.Parallel()
	s := open(t, filepath.Join(t.TempDir(), "omni.db"))
	w := newBenchWorld(t, s, 3)
	ids := say(t, s, w, 9, "disappearing")
	waitFor(t, "all are found", func() bool { return len(everything(t, s, w, "disappearing")) == len(ids) })
	indexed := func(table string) int64 {
		n := int64(0)
		_, err := read(t.Context(), s, func(ctx context.Context, c *conn) (int, error) {
			return 0, c.sql.QueryRowContext(ctx, "SELECT count(*) FROM "+table).Scan(&n)
		})
		require.NoError(t, err)
		return n
	}
	require.Equal(t, int64(9), indexed("message_search"))

	// Seqs of the last messages are given again, to others that are found.
	run(t, s, "DELETE FROM messages WHERE interaction_id = ?1", w.talks[2].ID)
	again := say(t, s, w, 2, "reappearing")
	waitFor(t, "the new ones are found", func() bool { return len(everything(t, s, w, "reappearing")) == len(again) })
	waitFor(t, "the old ones are not", func() bool { return len(everything(t, s, w, "disappearing")) == 6 })
	waitFor(t, "the index is without them", func() bool { return indexed("message_search") == 8 })

	run(t, s, "DELETE FROM identities WHERE id = ?1", w.identities[1].ID)
	run(t, s, "DELETE FROM contacts WHERE id = ?1", w.identities[1].ContactID)
	waitFor(t, "the index is without the contact", func() bool { return indexed("contact_search") == 2 && indexed("search_contacts") == 2 })

	// What moves to another group is found there.
	other := omni.NewID()
	run(t, s, "UPDATE interactions SET group_id = ?2 WHERE id = ?1", w.talks[0].ID, other)
	waitFor(t, "they are found there", func() bool {
		l, err := s.SearchMessages(t.Context(), w.t, store.MessageSearch{Query: "disappearing", GroupIDs: []string{other}}, store.Page{})
		require.NoError(t, err)
		return len(l.Items) == 3
	})
	require.Len(t, everything(t, s, w, "disappearing"), 3)
}

func TestWhatCannotBeReadStopsNothing(t *testing.T) {
	t.Parallel()
	s := open(t, Memory)
	w := newBenchWorld(t, s, 1)
	ids := say(t, s, w, 3, "readable")
	waitFor(t, "all are found", func() bool { return len(everything(t, s, w, "readable")) == 3 })
	run(t, s, "UPDATE messages SET doc = '[]' WHERE id = ?1", ids[1])
	ids = append(ids, say(t, s, w, 1, "readable")...)
	waitFor(t, "the others are found", func() bool {
		got := everything(t, s, w, "readable")
		return len(got) == 3 && got[ids[0]] && got[ids[2]] && got[ids[3]]
	})
	person := func(name string) (hits []store.ContactHit) {
		l, err := s.SearchContacts(t.Context(), w.t, store.ContactSearch{Query: name}, store.Page{})
		require.NoError(t, err)
		return l.Items
	}
	waitFor(t, "the contact is found", func() bool { return len(person("somebody")) == 1 })
	run(t, s, "UPDATE contacts SET doc = '[]'")
	require.Empty(t, person("somebody"))
	waitFor(t, "the contact was indexed", func() bool { return s.upToDate(t, 4) })
}

// TestMuchThatDoesNotMatchIsSpreadOverPages looks for a phrase whose words are everywhere, but not beside each other.
func TestMuchThatDoesNotMatchIsSpreadOverPages(t *testing.T) {
	t.Parallel()
	s := open(t, Memory)
	w := newBenchWorld(t, s, 5)
	first := say(t, s, w, 1, "left right")[0]
	say(t, s, w, lookedAt+200, "right left")
	waitFor(t, "all are indexed", func() bool {
		p, err := s.progress(t.Context())
		require.NoError(t, err)
		return p.above == lookedAt+201
	})
	q := store.MessageSearch{Query: `"left right"`, GroupIDs: []string{w.group}}
	l, err := s.SearchMessages(t.Context(), w.t, q, store.Page{})
	require.NoError(t, err)
	require.Empty(t, l.Items)
	require.NotEmpty(t, l.Next)
	l, err = s.SearchMessages(t.Context(), w.t, q, store.Page{Cursor: l.Next})
	require.NoError(t, err)
	require.Len(t, l.Items, 1)
	require.Equal(t, first, l.Items[0].Message.ID)
	require.Empty(t, l.Next)
}

func TestTermsOfOrganisationsAreApart(t *testing.T) {
	t.Parallel()
	marks := map[string]bool{}
	for n := range 1000 {
		m := markOf(fmt.Sprint(n))
		require.Len(t, m, 6)
		require.Regexp(t, "^[0-9a-v]+$", m)
		marks[m] = true
	}
	require.Len(t, marks, 1000)
}
