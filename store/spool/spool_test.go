package spool_test

import (
	"bytes"
	"context"
	"errors"
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
	"go.uber.org/goleak"

	"omniservice/omni"
	"omniservice/store/spool"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var keys = []spool.Key{{ID: "k1", Key: []byte("0123456789abcdef0123456789abcdef")}}

func open(t testing.TB, dir string, o spool.Options) *spool.Spool {
	t.Helper()
	s, err := spool.Open(dir, keys, o)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s
}

func add(t testing.TB, s *spool.Spool, texts ...string) {
	t.Helper()
	for _, text := range texts {
		require.NoError(t, s.Append(context.Background(), []byte(text))) //nolint:usetesting // also in cleanups
	}
}

// drain takes everything out, some at once.
func drain(t testing.TB, s *spool.Spool, limit int) (texts []string) {
	t.Helper()
	for {
		b, err := s.Next(limit)
		require.NoError(t, err)
		if len(b.Records) == 0 {
			require.True(t, s.Empty())
			return texts
		}
		for _, r := range b.Records {
			texts = append(texts, string(r.Data))
		}
		require.NoError(t, s.Done(b))
	}
}

func texts(from, to int) (all []string) {
	for i := from; i < to; i++ {
		all = append(all, fmt.Sprintf("record %d %s", i, strings.Repeat("x", i%50)))
	}
	return all
}

func TestTakenOutInOrder(t *testing.T) {
	t.Parallel()
	for _, limit := range []int{1, 7, 1000} {
		s := open(t, t.TempDir(), spool.Options{SegmentBytes: 1000})
		require.True(t, s.Empty())
		add(t, s, texts(0, 100)...)
		<-s.Ready()
		st := s.Stats()
		require.EqualValues(t, 100, st.Records)
		require.EqualValues(t, 100, st.Appended)
		first, err := s.Next(limit)
		require.NoError(t, err)
		again, err := s.Next(limit)
		require.NoError(t, err)
		require.Equal(t, first.Records, again.Records, "the same come again until they are done")
		require.Equal(t, texts(0, 100), drain(t, s, limit))
		add(t, s, texts(100, 150)...)
		require.Equal(t, texts(100, 150), drain(t, s, limit))
		st = s.Stats()
		require.Zero(t, st.Records)
		require.Zero(t, st.Bytes, "nothing stays on the disk")
		require.Zero(t, st.Oldest)
		require.EqualValues(t, 150, st.Drained)
	}
}

func TestSurvivesItsProcess(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	o := spool.Options{SegmentBytes: 700}
	s := open(t, dir, o)
	add(t, s, texts(0, 40)...)
	for range 15 {
		b, err := s.Next(1)
		require.NoError(t, err)
		require.NoError(t, s.Done(b))
	}
	require.NoError(t, s.Close())
	require.ErrorIs(t, s.Append(t.Context(), []byte("late")), spool.ErrClosed)
	require.ErrorIs(t, s.Append(t.Context(), []byte("late")), omni.ErrUnavailable)

	s = open(t, dir, o)
	require.EqualValues(t, 25, s.Stats().Records)
	<-s.Ready()
	add(t, s, texts(40, 45)...)
	require.Equal(t, texts(15, 45), drain(t, s, 10))
	require.NoError(t, s.Close())

	s = open(t, dir, o)
	require.True(t, s.Empty())
	add(t, s, texts(45, 50)...)
	require.NoError(t, s.Close())
	require.NoError(t, os.Remove(filepath.Join(dir, "position")))
	s = open(t, dir, o)
	require.Equal(t, texts(45, 50), drain(t, s, 10), "without its position it begins with what there is")
	require.Zero(t, s.Stats().SetAside)
}

func TestOneOpener(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "deep", "spool")
	s := open(t, dir, spool.Options{})
	_, err := spool.Open(dir, keys, spool.Options{})
	require.ErrorIs(t, err, omni.ErrConflict)
	add(t, s, "one")
	require.NoError(t, s.Close())
	require.NoError(t, s.Close(), "twice is once")
	open(t, dir, spool.Options{})
}

func TestSec_K8_SealedAndForTheOwnerAlone(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "spool")
	require.NoError(t, os.MkdirAll(dir, 0o755))
	s := open(t, dir, spool.Options{})
	add(t, s, strings.Repeat("canary", 100))
	info, err := os.Stat(dir)
	require.NoError(t, err)
	require.Equal(t, fs.FileMode(0o700), info.Mode().Perm())
	n := 0
	require.NoError(t, filepath.WalkDir(dir, func(p string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		n++
		i, err := d.Info()
		require.NoError(t, err)
		require.Equal(t, fs.FileMode(0o600), i.Mode().Perm(), p)
		b, err := os.ReadFile(p)
		require.NoError(t, err)
		require.NotContains(t, string(b), "canary")
		return nil
	}))
	require.Equal(t, 3, n, "lock, position and segment")
	require.NoError(t, s.Close())

	// A new key seals what is new; the old one still opens. Without it the record is set aside.
	next := spool.Key{ID: "k2", Key: []byte("fedcba9876543210fedcba9876543210")}
	s, err = spool.Open(dir, []spool.Key{next, keys[0]}, spool.Options{})
	require.NoError(t, err)
	add(t, s, "new")
	b, err := s.Next(10)
	require.NoError(t, err)
	require.Len(t, b.Records, 1, "the old key opens")
	require.NoError(t, s.Close())
	s, err = spool.Open(dir, []spool.Key{next}, spool.Options{})
	require.NoError(t, err)
	require.Equal(t, []string{"new"}, drain(t, s, 10))
	require.EqualValues(t, 1, s.Stats().SetAside)
	require.NoError(t, s.Close())

	for _, bad := range [][]spool.Key{nil, {{ID: "short", Key: []byte("x")}}, {{ID: strings.Repeat("x", 256), Key: keys[0].Key}}} {
		_, err = spool.Open(dir, bad, spool.Options{})
		require.ErrorIs(t, err, omni.ErrInvalid)
	}
}

func TestLimits(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir(), spool.Options{MaxBytes: 10_000})
	require.ErrorIs(t, s.Append(t.Context(), make([]byte, spool.MaxRecord+1)), omni.ErrInvalid)
	n := 0
	var err error
	for err == nil {
		if err = s.Append(t.Context(), make([]byte, 1000)); err == nil {
			n++
		}
	}
	require.ErrorIs(t, err, spool.ErrFull)
	require.ErrorIs(t, err, omni.ErrUnavailable)
	require.Equal(t, 9, n)
	st := s.Stats()
	require.LessOrEqual(t, st.Bytes, st.MaxBytes)
	require.True(t, st.Full)
	require.EqualValues(t, 1, st.Refused)
	require.Len(t, drain(t, s, 100), n)
	add(t, s, "there is room again")
	require.False(t, s.Stats().Full)

	large := open(t, t.TempDir(), spool.Options{SegmentBytes: 100})
	data := bytes.Repeat([]byte("large "), spool.MaxRecord/6)
	require.NoError(t, large.Append(t.Context(), data))
	add(t, large, "small")
	got := drain(t, large, 10)
	require.Equal(t, []string{string(data), "small"}, got)
}

func TestAgeIsReported(t *testing.T) {
	t.Parallel()
	var ahead atomic.Int64
	dir := t.TempDir()
	o := spool.Options{Now: func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }}
	s := open(t, dir, o)
	add(t, s, "old")
	ahead.Store(int64(23 * time.Hour))
	add(t, s, "young")
	require.InDelta(t, (23 * time.Hour).Seconds(), s.Stats().Oldest.Seconds(), 60)
	require.False(t, s.Stats().Late)
	ahead.Store(int64(25 * time.Hour))
	require.True(t, s.Stats().Late)
	require.NoError(t, s.Close())
	s = open(t, dir, o)
	require.True(t, s.Stats().Late, "at once after a start")
	b, err := s.Next(1)
	require.NoError(t, err)
	require.NoError(t, s.Done(b))
	require.InDelta(t, (2 * time.Hour).Seconds(), s.Stats().Oldest.Seconds(), 60)
	require.False(t, s.Stats().Late)
}

// All that wait share a sync, and none is answered before it.
func TestOneSyncForAllWhoWait(t *testing.T) {
	t.Parallel()
	disk := &limited{room: 1 << 30}
	s := open(t, t.TempDir(), spool.Options{Wrap: func(d spool.Disk) spool.Disk {
		disk.Disk = d
		return disk
	}})
	const writers, each = 64, 50
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := range each {
				before := disk.synced()
				if err := s.Append(t.Context(), fmt.Appendf(nil, "%d/%d", w, i)); err != nil {
					t.Errorf("append: %v", err)
				}
				if disk.synced() == before {
					t.Error("answered without a sync")
				}
			}
		})
	}
	wg.Wait()
	require.Less(t, disk.synced(), writers*each/4)
	got := drain(t, s, 100)
	require.Len(t, got, writers*each)
	last := map[string]int{}
	for _, text := range got {
		w, i, _ := strings.Cut(text, "/")
		var n int
		_, err := fmt.Sscan(i, &n)
		require.NoError(t, err)
		require.Equal(t, last[w], n, "a writer's records stay in order")
		last[w]++
	}
}

func TestAppendEndsWithItsContext(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir(), spool.Options{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var err error
	for err == nil { // both may be ready: at some time it is the context
		err = s.Append(ctx, []byte("x"))
	}
	require.ErrorIs(t, err, context.Canceled)
}

// After a failed sync the file is not trusted any more, and what was in it before is still there.
func TestFailedSync(t *testing.T) {
	t.Parallel()
	disk := &limited{room: 1 << 30}
	dir := t.TempDir()
	o := spool.Options{Wrap: func(d spool.Disk) spool.Disk {
		disk.Disk = d
		return disk
	}}
	s := open(t, dir, o)
	add(t, s, "one")
	errIO := errors.New("input/output error")
	disk.setFailing(errIO)
	require.ErrorIs(t, s.Append(t.Context(), []byte("two")), errIO)
	require.ErrorIs(t, s.Append(t.Context(), []byte("three")), errIO)
	disk.setFailing(nil)
	add(t, s, "four")
	require.Equal(t, []string{"one", "four"}, drain(t, s, 10))
	add(t, s, "five")
	disk.setFailing(errIO)
	b, err := s.Next(10)
	require.NoError(t, err)
	require.ErrorIs(t, s.Done(b), errIO, "the position is not on the disk")
	require.True(t, s.Empty(), "which does not hold up the draining")
}

func TestSetAsideByTheReader(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir, spool.Options{})
	add(t, s, "one", "useless", "three")
	b, err := s.Next(3)
	require.NoError(t, err)
	require.ErrorIs(t, s.SetAside(b, "useless"), omni.ErrInvalid)
	b, err = s.Next(1)
	require.NoError(t, err)
	require.NoError(t, s.Done(b))
	b, err = s.Next(1)
	require.NoError(t, err)
	require.NoError(t, s.SetAside(b, "useless"))
	require.Equal(t, []string{"three"}, drain(t, s, 3))
	require.EqualValues(t, 1, s.Stats().SetAside)
	require.Len(t, damaged(t, dir), 1)
}

func damaged(t testing.TB, dir string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.damaged"))
	require.NoError(t, err)
	return files
}

func TestWhatWasSetAsideGoesInTheEnd(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var ahead atomic.Int64
	require.NoError(t, os.WriteFile(filepath.Join(dir, "00000000000000000001.spool"), []byte("no record"), 0o600))
	s := open(t, dir, spool.Options{Now: func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }})
	require.Empty(t, drain(t, s, 1))
	require.Len(t, damaged(t, dir), 1)
	ahead.Store(int64(23 * time.Hour))
	require.NoError(t, s.Tidy())
	require.Len(t, damaged(t, dir), 1)
	ahead.Store(int64(25 * time.Hour))
	require.NoError(t, s.Tidy())
	require.Empty(t, damaged(t, dir))
}

func TestR13_DiskFull(t *testing.T) {
	t.Parallel()
	dir, o, more := smallDisk(t)
	o.SegmentBytes = 50_000
	s, err := spool.Open(dir, keys, o)
	require.NoError(t, err)
	defer func() { _ = s.Close() }()
	text := func(i int) string { return fmt.Sprintf("%04d %s", i, strings.Repeat("x", 1000)) }
	var taken []string
	refused := 0
	fill := func() {
		var mu sync.Mutex
		var wg sync.WaitGroup
		from := len(taken) + refused
		for w := range 8 {
			wg.Go(func() {
				for i := range 40 {
					text := text(from + w*40 + i)
					err := s.Append(t.Context(), []byte(text))
					mu.Lock()
					if err == nil {
						taken = append(taken, text)
					} else {
						refused++
						if !errors.Is(err, spool.ErrFull) {
							t.Errorf("%v", err)
						}
					}
					mu.Unlock()
				}
			})
		}
		wg.Wait()
	}
	fill()
	first := len(taken)
	require.Positive(t, refused)
	require.Greater(t, first, 100)
	more()
	fill()
	second := len(taken) - first
	require.Positive(t, second, "it goes on when there is room")

	// A start finds each whole record and nothing torn.
	require.NoError(t, s.Close())
	s, err = spool.Open(dir, keys, o)
	require.NoError(t, err)
	got := drain(t, s, 50)
	require.ElementsMatch(t, taken, got)
	require.Zero(t, s.Stats().SetAside)
	add(t, s, "drained, there is room")
	require.NoError(t, s.Close())
	t.Logf("R13: %d records taken, then %d more after room was made, %d refused; lost 0, torn 0", first, second, refused)
}
