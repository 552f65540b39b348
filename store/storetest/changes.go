package storetest

import (
	"cmp"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"omniservice/omni"
	"omniservice/store"
)

// follower knows what changes have told, merged as a client does it.
type follower struct {
	w        *world
	groups   []string
	next     string
	talks    map[string]omni.Interaction
	messages map[string]omni.ServiceMessage
	told     int
}

// follow begins at now.
func (w *world) follow(t *testing.T, s store.Store) *follower {
	t.Helper()
	f := &follower{w: w, groups: []string{w.group.ID}}
	c, err := s.ChangedSince(t.Context(), w.tenant, store.ChangeQuery{GroupIDs: f.groups})
	require.NoError(t, err)
	require.True(t, c.Reset)
	require.NotEmpty(t, c.Next)
	f.next = c.Next
	f.forget()
	return f
}

func (f *follower) forget() {
	f.talks, f.messages, f.told = map[string]omni.Interaction{}, map[string]omni.ServiceMessage{}, 0
}

// page takes one page and merges it.
func (f *follower) page(t *testing.T, s store.Store, limit int) store.Changed {
	t.Helper()
	c, err := s.ChangedSince(t.Context(), f.w.tenant, store.ChangeQuery{GroupIDs: f.groups, Since: f.next, Limit: limit})
	require.NoError(t, err)
	require.False(t, c.Reset)
	require.LessOrEqual(t, len(c.Interactions)+len(c.Messages), limit)
	for _, i := range c.Interactions {
		if have := f.talks[i.ID]; cmp.Or(cmp.Compare(i.Version, have.Version), cmp.Compare(i.LastSequence, have.LastSequence)) >= 0 {
			f.talks[i.ID] = i
		}
	}
	for _, m := range c.Messages {
		if have, ok := f.messages[m.ID]; !ok || m.Status.Rank() >= have.Status.Rank() {
			f.messages[m.ID] = m
		}
	}
	f.told += len(c.Interactions) + len(c.Messages)
	f.next = c.Next
	return c
}

// all takes pages until there is no more to tell.
func (f *follower) all(t *testing.T, s store.Store, limit int) {
	t.Helper()
	for range 10_000 {
		if c := f.page(t, s, limit); !c.More {
			return
		}
	}
	require.Fail(t, "the changes do not end")
}

// changesAreTold goes through every call that changes an interaction or a message: each is told, with what it changed, to
// those who may see it.
func changesAreTold(t *testing.T, s store.Store) {
	ctx := t.Context()
	w := newWorld(t, s)
	talk := w.talk
	in := w.append(t, s, w.inbound(talk, "hello")).Message
	picture := w.append(t, s, w.withFiles(talk, omni.MediaImage)).Message
	out := w.append(t, s, w.outbound(talk, "answer")).Message
	other := w.append(t, s, w.outbound(talk, "another")).Message
	quiet, _, _ := w.newTalk(t, s, "+15552222")
	f := w.follow(t, s)
	f.all(t, s, 50)
	require.Zero(t, f.told, "nothing changed since")

	steps := []struct {
		name     string
		do       func() error
		talk     string // that has to be told
		messages []string
	}{
		{"a status", func() error {
			_, err := s.MarkSent(ctx, w.tenant, out.ID, "c1", 2, status(w.channel.ID, "c1", omni.StatusSent, base+50))
			return err
		}, "", []string{out.ID}},
		{"a later status", func() error {
			_, _, err := s.ApplyStatus(ctx, w.tenant, status(w.channel.ID, "c1", omni.StatusDelivered, base+60))
			return err
		}, "", []string{out.ID}},
		{"a failed attempt", func() error {
			d := status(w.channel.ID, "", omni.StatusQueued, base+61)
			d.Reason = omni.ReasonThrottled
			return s.MarkRetry(ctx, w.tenant, other.ID, base+99, d)
		}, "", []string{other.ID}},
		{"an end", func() error {
			d := status(w.channel.ID, "", omni.StatusFailed, base+62)
			d.Reason = omni.ReasonRejected
			_, err := s.MarkEnded(ctx, w.tenant, other.ID, d)
			return err
		}, "", []string{other.ID}},
		{"a file", func() error {
			ref := picture.Payload.Files()[0]
			ref.State, ref.ID = omni.MediaReady, omni.NewID()
			_, err := s.SetMedia(ctx, w.tenant, picture.ID, 0, ref, 0)
			return err
		}, "", []string{picture.ID}},
		{"a reaction", func() error {
			_, err := s.SetReaction(ctx, w.tenant, w.reaction(out.ID, "👍", base+65))
			return err
		}, "", []string{out.ID}},
		{"a reaction that is taken away", func() error {
			_, err := s.SetReaction(ctx, w.tenant, w.reaction(out.ID, "", base+66))
			return err
		}, "", []string{out.ID}},
		{"another text", func() error {
			_, _, err := s.EditMessage(ctx, w.tenant, in.ID, omni.MessageEdit{At: base + 67, Text: "edited"})
			return err
		}, "", []string{in.ID}},
		{"agents' reading", func() error {
			_, _, err := s.MarkRead(ctx, w.tenant, talk.ID, omni.SenderUser, in.Sequence)
			return err
		}, talk.ID, nil},
		{"the contact's reading", func() error {
			_, _, err := s.MarkRead(ctx, w.tenant, talk.ID, omni.SenderContact, in.Sequence)
			return err
		}, talk.ID, nil},
		{"an owner", func() error {
			_, err := s.ChangeInteraction(ctx, w.tenant, quiet.ID, quiet.Version, store.InteractionChange{
				Owner: &omni.InteractionOwner{Type: omni.EntityUser, ID: w.tenant.UserID},
			})
			return err
		}, quiet.ID, nil},
		{"an end of it", func() error {
			quiet.Version++
			quiet = w.resolve(t, s, quiet, base+70)
			return nil
		}, quiet.ID, nil},
		{"reopening", func() error {
			_, outcome, err := s.OpenInteraction(ctx, w.tenant, quiet, base)
			require.Equal(t, store.OpenReopened, outcome)
			return err
		}, quiet.ID, nil},
	}
	for _, step := range steps {
		f.forget()
		require.NoError(t, step.do(), step.name)
		f.all(t, s, 50)
		if step.talk != "" {
			want, err := s.Interaction(ctx, w.tenant, step.talk)
			require.NoError(t, err)
			require.Equal(t, want, f.talks[step.talk], step.name)
		}
		for _, id := range step.messages {
			want, err := s.Message(ctx, w.tenant, id)
			require.NoError(t, err)
			require.Equal(t, want, f.messages[id], step.name)
		}
	}

	f.forget()
	m := w.append(t, s, w.inbound(talk, "one more")).Message
	third, _, _ := w.newTalk(t, s, "+15553333")
	f.all(t, s, 50)
	require.Equal(t, m, f.messages[m.ID])
	require.Equal(t, m.Sequence, f.talks[talk.ID].LastSequence)
	require.Equal(t, third, f.talks[third.ID])

	// A group that the caller does not see.
	hidden := w.newGroup("Hidden")
	require.NoError(t, s.CreateGroup(ctx, w.tenant, hidden))
	channel := w.newChannel("+15550009")
	channel.GroupID = hidden.ID
	require.NoError(t, s.CreateChannel(ctx, w.tenant, channel))
	_, who, _, err := s.ResolveIdentity(ctx, w.tenant, w.newIdentity("+15559999"))
	require.NoError(t, err)
	secret := w.newInteraction(who)
	secret.DigitalChannelID, secret.GroupID = channel.ID, hidden.ID
	secret, _, err = s.OpenInteraction(ctx, w.tenant, secret, 0)
	require.NoError(t, err)
	w.append(t, s, w.inbound(secret, "secret"))
	f.forget()
	f.all(t, s, 50)
	require.NotContains(t, f.talks, secret.ID)
	for _, m := range f.messages {
		require.NotEqual(t, secret.ID, m.InteractionID)
	}
}

// changesArePaged takes small pages, with much between that may not be seen.
func changesArePaged(t *testing.T, s store.Store) {
	w := newWorld(t, s)
	f := w.follow(t, s)
	n := few(s, 60, 12)
	want := map[string]bool{}
	for i := range n {
		want[w.append(t, s, w.inbound(w.talk, fmt.Sprint(i))).Message.ID] = true
	}
	for _, limit := range []int{1, 7, store.MaxPage} {
		g := *f
		g.forget()
		g.all(t, s, limit)
		require.Len(t, g.messages, n)
		for id := range want {
			require.Contains(t, g.messages, id)
		}
		require.EqualValues(t, n, g.talks[w.talk.ID].LastSequence)
		g.forget()
		g.all(t, s, limit)
		require.Zero(t, g.told, "what was told is not told again where nothing changed")
	}
	// From a moment: the store began empty, so all is told.
	c, err := s.ChangedSince(t.Context(), w.tenant, store.ChangeQuery{GroupIDs: f.groups, SinceAt: omni.MillisOf(time.Now()), Limit: 5})
	require.NoError(t, err)
	require.False(t, c.Reset)
	c, err = s.ChangedSince(t.Context(), w.tenant, store.ChangeQuery{GroupIDs: f.groups, SinceAt: 1, Limit: 1})
	require.NoError(t, err)
	require.False(t, c.Reset)
	require.True(t, c.More)
	for _, bad := range []store.ChangeQuery{{Since: "nonsense"}, {Since: f.next[1:]}, {Limit: -1}} {
		bad.GroupIDs = f.groups
		_, err := s.ChangedSince(t.Context(), w.tenant, bad)
		require.ErrorIs(t, err, omni.ErrInvalid)
	}
}

// changesThatCannotBeTold are answered with the place of now.
func changesThatCannotBeTold(t *testing.T, s store.Store) {
	ctx := t.Context()
	w := newWorld(t, s)
	f := w.follow(t, s)
	w.append(t, s, w.inbound(w.talk, "before"))
	more := []string{w.group.ID, omni.NewID()}
	for name, q := range map[string]store.ChangeQuery{
		"no place":            {GroupIDs: f.groups},
		"other groups":        {GroupIDs: more, Since: f.next},
		"no groups any more":  {Since: f.next},
		"no groups, no place": {},
	} {
		c, err := s.ChangedSince(ctx, w.tenant, q)
		require.NoError(t, err, name)
		require.True(t, c.Reset, name)
		require.Empty(t, c.Messages, name)
		require.Empty(t, c.Interactions, name)
		q.Since = c.Next
		c, err = s.ChangedSince(ctx, w.tenant, q)
		require.NoError(t, err, name)
		require.False(t, c.Reset, name)
		require.Empty(t, c.Messages, "%s: it is the place of now", name)
	}
	// Moments are forgotten, places are not.
	_, err := s.Sweep(ctx, omni.MillisOf(time.Now().Add(store.KeepMoments+time.Hour)))
	require.NoError(t, err)
	c, err := s.ChangedSince(ctx, w.tenant, store.ChangeQuery{GroupIDs: f.groups, SinceAt: 1})
	require.NoError(t, err)
	require.True(t, c.Reset)
	f.all(t, s, 50)
	require.Len(t, f.messages, 1)
	// The same groups in another order are the same.
	c, err = s.ChangedSince(ctx, w.tenant, store.ChangeQuery{GroupIDs: more})
	require.NoError(t, err)
	slices.Reverse(more)
	c, err = s.ChangedSince(ctx, w.tenant, store.ChangeQuery{GroupIDs: append(more, more[0]), Since: c.Next})
	require.NoError(t, err)
	require.False(t, c.Reset)
}

// changesUnderWrites follows while many write at once, with another follower and one who settles beside: what was written
// before the last look is known after it, and nobody was passed by.
func changesUnderWrites(t *testing.T, s store.Store) {
	ctx := t.Context()
	w := newWorld(t, s)
	writers, each := few(s, 8, 4), few(s, 40, 6)
	talks := make([]omni.Interaction, writers)
	for i := range talks {
		talks[i], _, _ = w.newTalk(t, s, fmt.Sprintf("+1555%04d", i))
	}
	followers := []*follower{w.follow(t, s), w.follow(t, s)}
	var sent sync.Map // id of a message: the status that its writer was told last
	var writing, watching sync.WaitGroup
	var over atomic.Bool
	for i := range writers {
		writing.Go(func() {
			for n := range each {
				a, err := s.AppendMessage(ctx, w.tenant, w.outbound(talks[(i+n)%writers], fmt.Sprintf("%d of %d", n, i)))
				if err != nil {
					t.Errorf("append: %v", err)
					return
				}
				sent.Store(a.Message.ID, omni.StatusQueued)
				if n%2 == 0 {
					carrierID := "c" + a.Message.ID
					if _, err := s.MarkSent(ctx, w.tenant, a.Message.ID, carrierID, 1, status(w.channel.ID, carrierID, omni.StatusSent, base+50)); err != nil {
						t.Errorf("mark sent: %v", err)
						return
					}
					sent.Store(a.Message.ID, omni.StatusSent)
				}
			}
		})
	}
	for i, f := range followers {
		watching.Go(func() {
			for !over.Load() && !t.Failed() {
				f.page(t, s, 3+10*i)
			}
		})
	}
	watching.Go(func() {
		for !over.Load() {
			if _, err := s.SettleChanges(ctx); err != nil {
				t.Errorf("settle: %v", err)
				return
			}
		}
	})
	writing.Wait()
	over.Store(true)
	watching.Wait()
	for _, f := range followers {
		f.all(t, s, store.MaxPage)
		count := 0
		sent.Range(func(id, st any) bool {
			count++
			m, ok := f.messages[id.(string)]
			require.True(t, ok, "a message was passed by")
			require.Equal(t, st, m.Status, "a status was passed by")
			return true
		})
		require.Equal(t, writers*each, count)
		require.Len(t, f.messages, count)
		for _, talk := range talks {
			want, err := s.Interaction(ctx, w.tenant, talk.ID)
			require.NoError(t, err)
			require.Equal(t, want.LastSequence, f.talks[talk.ID].LastSequence, "an interaction was passed by")
		}
	}
}
