package app

import (
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"omniservice/omni"
	"omniservice/store"
)

// load writes into a store: messages come in, answers go out, statuses change, files are put.
type load struct {
	t     *testing.T
	s     *Stock
	org   omni.Tenant
	talks []omni.Interaction
	acked *sync.Map // id of a message -> true
	count *atomic.Int64
}

func newLoad(t *testing.T, s *Stock) *load {
	t.Helper()
	ctx := t.Context()
	l := &load{t: t, s: s, acked: &sync.Map{}, count: &atomic.Int64{}}
	org := omni.Organisation{ID: omni.NewID(), Name: "Acme", Version: 1, CreatedAt: 1, SchemaVersion: omni.CurrentSchema}
	require.NoError(t, s.Store.CreateOrganisation(ctx, org))
	l.org = omni.Org(org.ID)
	for n := range 6 {
		_, identity, _, err := s.Store.ResolveIdentity(ctx, l.org, omni.ContactIdentity{
			ID: omni.NewID(), Tenant: l.org, ContactID: omni.NewID(), ChannelType: omni.ChannelSMS, Address: fmt.Sprint("+1555000", n),
			CreatedAt: 1, SchemaVersion: omni.CurrentSchema,
		})
		require.NoError(t, err)
		i, _, err := s.Store.OpenInteraction(ctx, l.org, omni.Interaction{
			ID: omni.NewID(), Tenant: l.org, ContactID: identity.ContactID, IdentityID: identity.ID, DigitalChannelID: "channel",
			ChannelType: omni.ChannelSMS, GroupID: "group", Owner: omni.InteractionOwner{Type: omni.EntityGroup, ID: "group"},
			State: omni.InteractionOpen, ContactAddress: identity.Address, LastMessageAt: 1, Version: 1, CreatedAt: 1, SchemaVersion: omni.CurrentSchema,
		}, 0)
		require.NoError(t, err)
		l.talks = append(l.talks, i)
	}
	return l
}

// one writes a message and what follows from it.
func (l *load) one(ctx context.Context, n int) {
	i := l.talks[n%len(l.talks)]
	m := omni.ServiceMessage{
		ID: omni.NewID(), Tenant: l.org, InteractionID: i.ID, Direction: omni.Inbound, ContactID: i.ContactID,
		Channel:          omni.ReceivedChannel{DigitalChannelID: "channel", ChannelType: omni.ChannelSMS, SenderType: omni.SenderContact},
		To:               omni.Identity{ChannelType: omni.ChannelSMS, Address: i.ContactAddress},
		Payload:          omni.TextPayload(strings.Repeat("text ", n%40)),
		CarrierMessageID: omni.NewID(), CreatedAt: omni.MillisOf(time.Now()), SchemaVersion: omni.CurrentSchema,
	}
	switch n % 3 {
	case 1:
		m.Direction, m.Status, m.CarrierMessageID = omni.Outbound, omni.StatusQueued, ""
	case 2:
		sum, size, err := l.s.Files.Put(ctx, l.org.OrganisationID, strings.NewReader(fmt.Sprint("file ", n)))
		require.NoError(l.t, err)
		m.Payload.Media = []omni.MediaMessage{{Type: omni.MediaImage, Reference: omni.MediaReference{
			ID: omni.NewID(), Type: omni.MediaImage, SHA256: sum, Size: size, State: omni.MediaReady,
		}}}
	}
	_, err := l.s.Store.AppendMessage(ctx, l.org, m)
	require.NoError(l.t, err)
	if m.Direction == omni.Outbound {
		status := func(s omni.Status) omni.DeliveryStatus {
			return omni.DeliveryStatus{
				DeliveryStatusMessage: omni.DeliveryStatusMessage{CarrierMessageID: "c" + m.ID, Status: s, OccurredAt: 1},
				DigitalChannelID:      "channel", ReceivedAt: 1,
			}
		}
		_, err = l.s.Store.MarkSent(ctx, l.org, m.ID, "c"+m.ID, 1, status(omni.StatusSent))
		require.NoError(l.t, err)
		_, _, err = l.s.Store.ApplyStatus(ctx, l.org, status(omni.StatusDelivered))
		require.NoError(l.t, err)
	}
	l.acked.Store(m.ID, true)
	l.count.Add(1)
}

// ackedNow are the messages that have been acknowledged.
func (l *load) ackedNow() []string {
	var ids []string
	l.acked.Range(func(id, _ any) bool { ids = append(ids, id.(string)); return true })
	return ids
}

// consistent requires that a stock is as some moment had it, and holds these messages.
func (l *load) consistent(s *Stock, acked []string) {
	l.t.Helper()
	ctx := l.t.Context()
	have := map[string]bool{}
	for _, i := range l.talks {
		now, err := s.Store.Interaction(ctx, l.org, i.ID)
		require.NoError(l.t, err)
		seq := int64(0)
		for {
			ms, err := s.Store.ListMessages(ctx, l.org, i.ID, store.MessageWindow{After: seq, Limit: store.MaxPage})
			require.NoError(l.t, err)
			if len(ms) == 0 {
				break
			}
			for _, m := range ms {
				require.Equal(l.t, seq+1, m.Sequence, "no gaps")
				seq, have[m.ID] = m.Sequence, true
				for _, f := range m.Payload.Files() {
					r, err := s.Files.Open(ctx, l.org.OrganisationID, f.SHA256)
					require.NoError(l.t, err, "every file that a message speaks of is there")
					require.NoError(l.t, r.Close())
				}
				if m.Direction == omni.Outbound && m.Status != omni.StatusQueued {
					require.Equal(l.t, m.Status, m.StatusHistory[len(m.StatusHistory)-1].Status)
					require.NotEmpty(l.t, m.CarrierMessageID)
				}
			}
		}
		require.Equal(l.t, seq, now.LastSequence)
	}
	for _, id := range acked {
		require.True(l.t, have[id], "what was acknowledged before the backup began is in it")
	}
}

func embedded(t *testing.T) Config {
	t.Helper()
	c := Config{DataDir: filepath.Join(t.TempDir(), "data"), SecretKey: omni.NewSecret(strings.Repeat("0123456789abcdef", 4))}
	return c
}

func opened(t *testing.T, c Config) *Stock {
	t.Helper()
	s, err := OpenStock(t.Context(), c, true)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	require.NoError(t, readyStore(t.Context(), s.Store, s.Keys))
	return s
}

func TestBackupUnderLoad(t *testing.T) {
	t.Parallel()
	c := embedded(t)
	s := opened(t, c)
	l := newLoad(t, s)
	var stop atomic.Bool
	var writers sync.WaitGroup
	for w := range 4 {
		writers.Go(func() {
			for n := w; !stop.Load(); n += 4 {
				l.one(t.Context(), n)
			}
		})
	}
	type taken struct {
		path  string
		acked []string
	}
	var all []taken
	for n, name := range []string{"one", "two.tar.gz", "three"} {
		require.Eventually(t, func() bool { return l.count.Load() > int64(100*(n+1)) }, 30*time.Second, time.Millisecond)
		b := taken{filepath.Join(t.TempDir(), name), l.ackedNow()}
		m, err := Backup(t.Context(), c, b.path, "test", movingTime)
		require.NoError(t, err)
		require.Positive(t, m.Rows["messages"])
		all = append(all, b)
	}
	stop.Store(true)
	writers.Wait()
	t.Logf("%d messages", l.count.Load())
	for _, b := range all {
		m, err := CheckBackup(t.Context(), b.path)
		require.NoError(t, err)
		to := Config{DataDir: filepath.Join(t.TempDir(), "restored"), SecretKey: c.SecretKey}
		r, err := Restore(t.Context(), to, b.path, RestoreOptions{Now: movingTime})
		require.NoError(t, err)
		require.Equal(t, m, r.Manifest)
		require.Empty(t, r.Aside)
		require.False(t, r.NoKey)
		restored := opened(t, to)
		l.consistent(restored, b.acked)
		l2 := *l // the same talks in another store
		l2.s = restored
		for n := range 12 {
			l2.one(t.Context(), n) // it goes on
		}
		requirePrivate(t, to.DataDir)
	}
}

func requirePrivate(t *testing.T, dir string) {
	t.Helper()
	require.NoError(t, filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		require.NoError(t, err)
		info, err := d.Info()
		require.NoError(t, err)
		require.Zero(t, info.Mode().Perm()&0o077, p)
		return nil
	}))
}

// backedUp makes backups, as folder and as archive, of a stock that is not in use any more.
func backedUp(t *testing.T) (c Config, dir, archive string) {
	t.Helper()
	c = embedded(t)
	s, err := OpenStock(t.Context(), c, true)
	require.NoError(t, err)
	require.NoError(t, readyStore(t.Context(), s.Store, s.Keys))
	l := newLoad(t, s)
	for n := range 30 {
		l.one(t.Context(), n)
	}
	require.NoError(t, s.Close())
	dir, archive = filepath.Join(t.TempDir(), "backup"), filepath.Join(t.TempDir(), "backup.tar.gz")
	for _, to := range []string{dir, archive} {
		_, err := Backup(t.Context(), c, to, "test", movingTime)
		require.NoError(t, err)
	}
	return c, dir, archive
}

func TestDamagedBackupsAreRefused(t *testing.T) {
	t.Parallel()
	c, dir, archive := backedUp(t)
	refused := func(backup, says, why string) {
		t.Helper()
		_, err := CheckBackup(t.Context(), backup)
		require.ErrorIs(t, err, omni.ErrInvalid, why)
		require.ErrorContains(t, err, says, why)
		to := Config{DataDir: filepath.Join(t.TempDir(), "to"), SecretKey: c.SecretKey}
		_, err = Restore(t.Context(), to, backup, RestoreOptions{Now: movingTime})
		require.ErrorIs(t, err, omni.ErrInvalid, why)
		require.Empty(t, existing(to.DataDir), "nothing was restored")
	}
	with := func(change func(dir string)) string {
		copied := filepath.Join(t.TempDir(), "copy")
		require.NoError(t, os.CopyFS(copied, os.DirFS(dir)))
		change(copied)
		return copied
	}
	edit := func(name string, change func(b []byte) []byte) func(string) {
		return func(dir string) {
			b, err := os.ReadFile(filepath.Join(dir, name))
			require.NoError(t, err)
			require.NoError(t, os.WriteFile(filepath.Join(dir, name), change(b), 0o600))
		}
	}
	flip := func(at float64) func([]byte) []byte {
		return func(b []byte) []byte { b[int(at*float64(len(b)-1))] ^= 0x04; return b }
	}
	cut := func(b []byte) []byte { return b[:len(b)*3/4] }
	media := ""
	m, err := CheckBackup(t.Context(), dir)
	require.NoError(t, err)
	for _, f := range m.Files {
		if f.Path != storeName {
			media = f.Path
		}
	}
	require.NotEmpty(t, media)

	for _, name := range []string{storeName, media, manifestName} {
		for _, at := range []float64{0, 0.1, 0.5, 0.77, 1} {
			refused(with(edit(name, flip(at))), "damaged", fmt.Sprintf("a byte of %s at %g", name, at))
		}
		refused(with(edit(name, cut)), "", name+" is cut")
		refused(with(func(dir string) { require.NoError(t, os.Remove(filepath.Join(dir, name))) }), "", name+" is missing")
	}
	refused(with(edit(media, cut)), "cut off", "")
	refused(with(func(dir string) { require.NoError(t, os.Remove(filepath.Join(dir, media))) }), media+" is missing", "")
	refused(with(func(dir string) { require.NoError(t, os.WriteFile(filepath.Join(dir, "more"), nil, 0o600)) }), "does not belong", "")

	// A manifest that is whole, but of something else.
	manifest := func(change func(m *Manifest)) func(string) {
		return edit(manifestName, func(b []byte) []byte {
			var m Manifest
			require.NoError(t, json.Unmarshal(b, &m))
			change(&m)
			m.SHA256, err = m.sum()
			require.NoError(t, err)
			b, err = json.MarshalIndent(m, "", "  ")
			require.NoError(t, err)
			return append(b, '\n')
		})
	}
	refused(with(manifest(func(m *Manifest) { m.Format = 2 })), "format is 2", "")
	refused(with(manifest(func(m *Manifest) { m.Omniservice = "spaceship" })), "not of a backup", "")
	refused(with(manifest(func(m *Manifest) { m.Schema++ })), "schema", "")
	refused(with(manifest(func(m *Manifest) { m.Rows["messages"]++ })), "rows in messages", "")
	// One whose store is another program's, or no store at all, with sums that are right.
	for content, says := range map[string]string{"my diary": "no SQLite file", "": "not the store"} {
		refused(with(func(dir string) {
			edit(storeName, func([]byte) []byte { return []byte(content) })(dir)
			manifest(func(m *Manifest) {
				_, sum, err := sumOf(filepath.Join(dir, storeName))
				require.NoError(t, err)
				m.Files[0] = ManifestFile{storeName, int64(len(content)), sum}
			})(dir)
		}), says, "")
	}

	b, err := os.ReadFile(archive)
	require.NoError(t, err)
	broken := filepath.Join(t.TempDir(), "broken.tar.gz")
	for i := 12; i < len(b); i += len(b)/25 + 1 {
		bad := append([]byte{}, b...)
		bad[i] ^= 0x10
		require.NoError(t, os.WriteFile(broken, bad, 0o600))
		refused(broken, "", fmt.Sprintf("byte %d of the archive", i))
	}
	for i := 0; i < len(b); i += len(b)/15 + 1 {
		require.NoError(t, os.WriteFile(broken, b[:i], 0o600))
		refused(broken, "", fmt.Sprintf("the archive is cut at %d", i))
	}
	require.NoError(t, os.WriteFile(broken, []byte("my diary"), 0o600))
	refused(broken, "no backup", "")
	refused(filepath.Join(t.TempDir(), "nothing"), "", "")
}

func TestRestoreReplacesNothingUnasked(t *testing.T) {
	t.Parallel()
	c, dir, archive := backedUp(t)
	ctx := t.Context()
	_, err := Backup(ctx, c, dir, "test", movingTime)
	require.ErrorIs(t, err, omni.ErrConflict, "a backup is not written over")

	// In use: by whoever has the store open.
	s := opened(t, c)
	for _, force := range []bool{false, true} {
		_, err = Restore(ctx, c, dir, RestoreOptions{Now: movingTime, Force: force})
		require.ErrorIs(t, err, omni.ErrConflict)
		require.ErrorContains(t, err, "in use")
	}
	_, err = s.Store.AllOrganisations(ctx, store.Page{})
	require.NoError(t, err)
	require.NoError(t, s.Close())

	for n, backup := range []string{dir, archive} {
		_, err = Restore(ctx, c, backup, RestoreOptions{Now: movingTime})
		require.ErrorIs(t, err, omni.ErrConflict)
		require.ErrorContains(t, err, "--force")
		r, err := Restore(ctx, c, backup, RestoreOptions{Now: movingTime.Add(time.Duration(n) * time.Second), Force: true})
		require.NoError(t, err)
		require.FileExists(t, filepath.Join(r.Aside, storeName))
		require.DirExists(t, filepath.Join(r.Aside, mediaName))
		left, err := filepath.Glob(filepath.Join(c.DataDir, ".re*"))
		require.NoError(t, err)
		require.Empty(t, left)
		require.NoError(t, opened(t, c).Close())
	}

	// The key has to be the one of then.
	other := Config{DataDir: filepath.Join(t.TempDir(), "other"), SecretKey: omni.NewSecret(strings.Repeat("fedcba9876543210", 4))}
	_, err = Restore(ctx, other, dir, RestoreOptions{Now: movingTime})
	require.ErrorIs(t, err, errWrongKey)
	require.Empty(t, existing(other.DataDir))
	none := Config{DataDir: filepath.Join(t.TempDir(), "none")}
	r, err := Restore(ctx, none, dir, RestoreOptions{Now: movingTime})
	require.NoError(t, err)
	require.True(t, r.NoKey)
	_, err = Backup(ctx, Config{DataDir: t.TempDir()}, filepath.Join(t.TempDir(), "x"), "test", movingTime)
	require.ErrorContains(t, err, "no store")
}
