package pipeline_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"omniservice/carriers"
	"omniservice/internal/seal"
	"omniservice/omni"
	"omniservice/omni/wire"
	"omniservice/pipeline"
	"omniservice/store"
	"omniservice/store/faultstore"
	"omniservice/store/spool"
)

// frail is a system with a spool, whose store can be made to fail. It is not run yet.
type frail struct {
	*system
	fault *faultstore.Store
	spool *spool.Spool
}

func newFrail(t *testing.T, o spool.Options, around ...func(store.Store) store.Store) *frail {
	t.Helper()
	s := newSystem(t)
	f := &frail{system: s, fault: faultstore.New(s.store, 1)}
	var err error
	f.spool, err = spool.Open(filepath.Join(t.TempDir(), "spool"), []spool.Key{{ID: "k1", Key: make([]byte, 32)}}, o)
	require.NoError(t, err)
	st := store.Store(f.fault)
	for _, a := range around {
		st = a(st)
	}
	s.options.Spool, s.options.KeepIn = f.spool, filepath.Join(t.TempDir(), "accounts")
	s.Pipeline, err = pipeline.New(st, s.reg, s.keys, s.pub, s.options)
	require.NoError(t, err)
	t.Cleanup(func() {
		if s.stop != nil {
			s.stop()
		}
		require.NoError(t, f.spool.Close())
	})
	return f
}

// try accepts one webhook.
func (f *frail) try(events ...omni.CarrierChannelEvent) error {
	a, err := f.Account(f.t.Context(), f.account.PublicID)
	if err != nil {
		return err
	}
	return f.Accept(f.t.Context(), a, carriers.WebhookRequest{Method: http.MethodPost, Header: http.Header{}, Body: []byte("raw")}, carriers.Parsed{Events: events})
}

// texts are those that were published, in order.
func (f *frail) texts() (all []string) {
	for _, e := range f.pub.of(wire.MessageCreated) {
		all = append(all, e.data.(wire.Message).Payload.Text)
	}
	return all
}

func numbered(n int) (events []omni.CarrierChannelEvent, texts []string) {
	for i := range n {
		texts = append(texts, fmt.Sprint(i))
		events = append(events, inbound(fmt.Sprintf("m-%d", i), "+14155550123", fmt.Sprint(i)))
	}
	return events, texts
}

// A webhook never overtakes an earlier one of its conversation, whichever way each of them took.
func TestNothingOvertakesWhatIsSpooled(t *testing.T) {
	t.Parallel()
	f := newFrail(t, spool.Options{})
	f.run()
	events, texts := numbered(200)
	var back func()
	for i, e := range events {
		switch i % 50 {
		case 10:
			back = f.fault.Away()
		case 20:
			back()
			back = f.fault.Slow(3 * time.Millisecond)
		case 30:
			back()
		case 40: // some go the short way
			f.eventually(func() bool { return f.Away().IsZero() }, "the store is back")
		}
		require.NoError(t, f.try(e))
	}
	f.eventually(func() bool { return len(f.texts()) == len(texts) }, "all messages")
	require.Equal(t, texts, f.texts())
	require.Positive(t, f.spool.Stats().Appended)
	require.Less(t, f.spool.Stats().Appended, int64(len(texts)), "not all were spooled")
	require.True(t, f.spool.Empty())
}

// What the store fails to do for one message holds up the next ones of its conversation, and nobody else's.
func TestNothingOvertakesWhatTheStoreFailed(t *testing.T) {
	t.Parallel()
	f := newFrail(t, spool.Options{})
	events, texts := numbered(6)
	for _, e := range events {
		require.NoError(t, f.try(e))
	}
	for call, times := range map[string]int{"AppendMessage": 2, "ResolveIdentity": 1} {
		f.fault.Inject(faultstore.Fault{Calls: call, Times: times})
	}
	f.run()
	f.eventually(func() bool { return len(f.texts()) == len(texts) }, "all messages")
	require.Equal(t, texts, f.texts())
	require.Greater(t, f.fault.Calls("AppendMessage"), len(texts))
}

// What was worked off and could not be removed from the inbox is not told again, though the store fails when it is looked at
// again.
func TestNothingIsToldAgainWhenTheStoreFails(t *testing.T) {
	t.Parallel()
	f := newFrail(t, spool.Options{})
	events, texts := numbered(3)
	for _, e := range events {
		require.NoError(t, f.try(e))
	}
	f.fault.Inject(faultstore.Fault{Calls: "DoneInbox", Times: 1})
	f.fault.Inject(faultstore.Fault{Calls: "AppendMessage", From: len(texts) + 1, Times: 1})
	f.run()
	f.eventually(func() bool { return f.pendingInbox() == 0 }, "the inbox is empty")
	require.Equal(t, texts, f.texts())
}

// What a process left in the spool comes before what the next one takes.
func TestLeftoversOfAProcessComeFirst(t *testing.T) {
	t.Parallel()
	f := newFrail(t, spool.Options{})
	events, texts := numbered(20)
	_, err := f.Account(t.Context(), f.account.PublicID)
	require.NoError(t, err)
	f.fault.Away()
	for _, e := range events[:10] {
		require.NoError(t, f.try(e))
	}
	require.False(t, f.Away().IsZero())

	next, err := pipeline.New(f.store, f.reg, f.keys, f.pub, f.options) // the same spool, a store that is there
	require.NoError(t, err)
	f.Pipeline = next
	for _, e := range events[10:] {
		require.NoError(t, f.try(e))
	}
	require.EqualValues(t, 20, f.spool.Stats().Appended)
	f.run()
	f.eventually(func() bool { return len(f.texts()) == len(texts) }, "all messages")
	require.Equal(t, texts, f.texts())
}

// A store that hangs is waited for once; then nobody asks it for anything.
func TestR8_StuckStoreIsWaitedForOnce(t *testing.T) {
	t.Parallel()
	f := newFrail(t, spool.Options{})
	events, _ := numbered(50)
	require.NoError(t, f.try(events[0]))
	f.fault.Stuck()
	began := time.Now()
	for _, e := range events[1:] {
		require.NoError(t, f.try(e))
	}
	require.Less(t, time.Since(began), 10*time.Second)
	require.LessOrEqual(t, f.fault.Calls("PutInbox"), 2)
	require.EqualValues(t, 49, f.spool.Stats().Appended)
}

func TestNeitherStoreNorSpool(t *testing.T) {
	t.Parallel()
	f := newFrail(t, spool.Options{MaxBytes: 4000})
	events, _ := numbered(100)
	require.NoError(t, f.try(events[0]))
	back := f.fault.Away()
	var err error
	taken := 1
	for _, e := range events[1:] {
		if err = f.try(e); err != nil {
			break
		}
		taken++
	}
	require.ErrorIs(t, err, spool.ErrFull)
	require.ErrorIs(t, err, omni.ErrUnavailable)
	back()
	f.run()
	f.eventually(func() bool { return len(f.texts()) == taken && f.Away().IsZero() }, "all that were taken")
	require.NoError(t, f.try(events[99]))
}

func TestUnknownPartsOfWebhooksAreSpooledToo(t *testing.T) {
	t.Parallel()
	f := newFrail(t, spool.Options{})
	a, err := f.Account(t.Context(), f.account.PublicID)
	require.NoError(t, err)
	back := f.fault.Away()
	require.NoError(t, f.Accept(t.Context(), a, carriers.WebhookRequest{URL: "https://x/y"}, carriers.Parsed{
		Ignored: []carriers.Ignored{{Name: carriers.UnknownStatus, Value: "teleported"}},
	}))
	back()
	f.run()
	f.eventually(func() bool {
		l, err := f.store.ListAside(t.Context(), f.tenant, store.Page{})
		require.NoError(t, err)
		return len(l.Items) == 1 && l.Items[0].Reason == store.SetAsideUnknown
	}, "a webhook set aside")
}

// choosy is a store that says no to one message, though it is there.
type choosy struct{ store.Store }

var errChoosy = errors.New("not this one")

func (s choosy) PutInbox(ctx context.Context, rs ...store.InboxRecord) error {
	if slices.ContainsFunc(rs, func(r store.InboxRecord) bool { return r.Events[0].Text == "13" }) {
		return errChoosy
	}
	return s.Store.PutInbox(ctx, rs...)
}

// What the store refuses, and what cannot be read, is set aside and does not hold up the rest.
func TestPoisonInTheSpool(t *testing.T) {
	t.Parallel()
	f := newFrail(t, spool.Options{}, func(st store.Store) store.Store { return choosy{st} })
	events, texts := numbered(40)
	require.NoError(t, f.try(events[0]))
	back := f.fault.Away()
	for i, e := range events[1:] {
		require.NoError(t, f.try(e))
		if i == 20 {
			require.NoError(t, f.spool.Append(t.Context(), []byte("not what we wrote")))
		}
	}
	back()
	f.run()
	f.eventually(func() bool { return f.Away().IsZero() && len(f.texts()) == len(texts)-1 }, "all others")
	require.Equal(t, slices.Delete(texts, 13, 14), f.texts())
	require.EqualValues(t, 2, f.spool.Stats().SetAside)
}

func TestR6_AccountsHaveNoEndWhileTheStoreIsAway(t *testing.T) {
	t.Parallel()
	f := newFrail(t, spool.Options{})
	unknown := omni.NewToken(16)
	_, err := f.Account(t.Context(), unknown)
	require.ErrorIs(t, err, omni.ErrNotFound)
	known, err := f.Account(t.Context(), f.account.PublicID)
	require.NoError(t, err)

	back := f.fault.Away()
	f.Forget("carrier-account", f.account.ID) // as after a change on another node
	again, err := f.Account(t.Context(), f.account.PublicID)
	require.NoError(t, err)
	require.Equal(t, known.Record, again.Record)
	_, err = f.Account(t.Context(), unknown)
	require.ErrorIs(t, err, omni.ErrUnavailable, "it may exist")
	require.NotErrorIs(t, err, omni.ErrNotFound)
	back()
	_, err = f.Account(t.Context(), unknown)
	require.ErrorIs(t, err, omni.ErrNotFound)

	// One that was disabled is not taken for a good one in the next outage.
	f.run()
	f.eventually(func() bool { return f.Away().IsZero() }, "the store is back")
	rec := f.account
	rec.Disabled = true
	_, err = f.store.UpdateCarrierAccount(t.Context(), f.tenant, rec)
	require.NoError(t, err)
	f.Forget("carrier-account", f.account.ID)
	_, err = f.Account(t.Context(), f.account.PublicID)
	require.ErrorIs(t, err, omni.ErrNotFound)
	f.fault.Away()
	_, err = f.Account(t.Context(), f.account.PublicID)
	require.ErrorIs(t, err, omni.ErrUnavailable)
}

func TestR7_AccountsAreKeptInASealedFile(t *testing.T) {
	t.Parallel()
	f := newFrail(t, spool.Options{})
	sealed, err := pipeline.SealCredential(f.keys, f.account, "secret", "canary")
	require.NoError(t, err)
	rec := f.account
	rec.Credentials = map[string][]omni.SealedSecret{"secret": {sealed}}
	rec, err = f.store.UpdateCarrierAccount(t.Context(), f.tenant, rec)
	require.NoError(t, err)
	f.run() // reads all accounts, whether they were used or not
	path := f.options.KeepIn
	f.eventually(func() bool {
		_, err := os.Stat(path)
		return err == nil
	}, "the file")
	f.stop()
	b, err := os.ReadFile(path)
	require.NoError(t, err)
	for _, secret := range []string{rec.PublicID, rec.ID, "canary"} {
		require.NotContains(t, string(b), secret)
	}
	info, err := os.Stat(path)
	require.NoError(t, err)
	require.Equal(t, fs.FileMode(0o600), info.Mode().Perm())

	f.fault.Away()
	start := func(keys *seal.Keyring) (*pipeline.Account, error) {
		p, err := pipeline.New(f.fault, f.reg, keys, f.pub, f.options)
		require.NoError(t, err)
		return p.Account(t.Context(), rec.PublicID)
	}
	a, err := start(f.keys)
	require.NoError(t, err)
	require.Equal(t, rec, a.Record)

	other, err := seal.New("k2", map[string][]byte{"k2": []byte("fedcba9876543210fedcba9876543210")})
	require.NoError(t, err)
	_, err = start(other)
	require.ErrorIs(t, err, omni.ErrUnavailable, "another key opens nothing")
	for _, damaged := range [][]byte{nil, []byte("{}"), b[:len(b)/2], append(b[:len(b)/2:len(b)/2], b[len(b)/2+1:]...)} {
		require.NoError(t, os.WriteFile(path, damaged, 0o600))
		_, err = start(f.keys)
		require.ErrorIs(t, err, omni.ErrUnavailable, "a damaged file is as none")
	}
}

// One webhook fails as if the store were away, each time, and the store answers all others: its conversation goes on without it.
func TestR15_WhatNeverEndsInTimeIsSetAside(t *testing.T) {
	t.Parallel()
	f := newFrail(t, spool.Options{})
	f.fault.Inject(faultstore.Fault{Calls: "SetConsent"})
	f.run()
	require.NoError(t, f.try(inbound("in-1", "+14155550123", "STOP")))
	require.NoError(t, f.try(inbound("in-2", "+14155550123", "after")))
	require.NoError(t, f.try(inbound("in-3", "+14155550999", "another")))
	f.eventually(func() bool { return len(f.texts()) == 2 && f.pendingInbox() == 0 }, "the others")
	require.Len(t, f.aside(), 1)
	require.Equal(t, store.SetAsidePoison, f.aside()[0].Reason)
	require.Equal(t, "unavailable", f.aside()[0].Detail)
	require.Equal(t, 5, f.fault.Calls("SetConsent"))
}
