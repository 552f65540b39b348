package sqlitestore

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"omniservice/omni"
	"omniservice/store"
)

// hold keeps the writer busy until release is called, so that what is written meanwhile shares the next transaction.
func hold(t *testing.T, s *Store) (release func()) {
	t.Helper()
	begun, end := make(chan struct{}), make(chan struct{})
	done := make(chan error, 1)
	go func() {
		done <- writeOnly(t.Context(), s, func(context.Context, *conn) error {
			close(begun)
			<-end
			return nil
		})
	}()
	<-begun
	return func() {
		close(end)
		require.NoError(t, <-done)
	}
}

// waitQueued waits until n requests wait for the writer.
func waitQueued(t *testing.T, s *Store, n int) {
	t.Helper()
	require.Eventually(t, func() bool { return len(s.requests) >= n }, 10*time.Second, time.Millisecond, "%d requests wait", len(s.requests))
}

func TestOneBadWriteHurtsNoOther(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	for name, bad := range map[string]func(ctx context.Context, c *conn) error{
		"failed after it wrote": func(ctx context.Context, c *conn) error {
			if _, err := c.exec(ctx, sqlPing); err != nil {
				return err
			}
			return broken
		},
		"refused after it wrote": func(ctx context.Context, c *conn) error {
			if _, err := c.exec(ctx, sqlPing); err != nil {
				return err
			}
			return fmt.Errorf("%w: %w", omni.ErrConflict, broken)
		},
		"refused before it wrote": func(context.Context, *conn) error { return fmt.Errorf("%w: %w", omni.ErrNotFound, broken) },
		"ended the transaction": func(ctx context.Context, c *conn) error {
			if _, err := c.exec(ctx, sqlRollback); err != nil {
				return err
			}
			return broken
		},
		"panicked": func(context.Context, *conn) error { panic(broken) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := open(t, filepath.Join(t.TempDir(), "omni.db"))
			w := newBenchWorld(t, s, 1)
			release := hold(t, s)
			const n = 30
			errs := make([]error, n)
			var wg sync.WaitGroup
			for i := range n {
				wg.Go(func() {
					if i%10 == 5 {
						errs[i] = writeOnly(t.Context(), s, bad)
						return
					}
					_, errs[i] = s.AppendMessage(t.Context(), w.t, w.message(w.talks[0]))
				})
			}
			waitQueued(t, s, n)
			release()
			wg.Wait()
			for i, err := range errs {
				if i%10 == 5 {
					require.ErrorContains(t, err, "broken")
					continue
				}
				require.NoError(t, err)
			}
			all, err := s.ListMessages(t.Context(), w.t, w.talks[0].ID, store.MessageWindow{})
			require.NoError(t, err)
			require.Len(t, all, n-3)
			require.Equal(t, int64(n-3), all[len(all)-1].Sequence)
			pings, err := read(t.Context(), s, func(ctx context.Context, c *conn) ([]int64, error) {
				return queryAll(ctx, c, sqlPinged, scanInt)
			})
			require.NoError(t, err)
			require.Empty(t, pings, "what the bad one wrote is gone")
		})
	}
}

func TestContextsOfWaitingWrites(t *testing.T) {
	t.Parallel()
	s := open(t, filepath.Join(t.TempDir(), "omni.db"))

	// Who waits may leave, and then nothing is done.
	release := hold(t, s)
	ctx, cancel := context.WithCancel(t.Context())
	left := make(chan error, 1)
	go func() {
		left <- writeOnly(ctx, s, func(ctx context.Context, c *conn) error {
			_, err := c.exec(ctx, sqlPing)
			return err
		})
	}()
	waitQueued(t, s, 1)
	cancel()
	require.ErrorIs(t, <-left, context.Canceled)
	release()
	require.NoError(t, writeOnly(t.Context(), s, func(ctx context.Context, c *conn) error {
		_, err := queryOne(ctx, c, sqlPinged, scanInt)
		require.ErrorIs(t, err, omni.ErrNotFound)
		return nil
	}))

	// What has begun comes to its end, and its caller learns the outcome.
	ctx, cancel = context.WithCancel(t.Context())
	defer cancel()
	require.NoError(t, writeOnly(ctx, s, func(run context.Context, c *conn) error {
		cancel()
		_, err := c.exec(run, sqlPing)
		return err
	}))
}

func TestWaitingWritesShareATransaction(t *testing.T) {
	t.Parallel()
	s := open(t, filepath.Join(t.TempDir(), "omni.db"))
	w := newBenchWorld(t, s, 1)
	require.Eventually(t, func() bool { // so that the indexer has nothing to write meanwhile
		left, err := s.indexSome(t.Context())
		return err == nil && !left
	}, 10*time.Second, time.Millisecond)
	release := hold(t, s)
	const n = 50
	var wg sync.WaitGroup
	seen := make([]int64, n) // what another connection sees while each runs
	for i := range n {
		wg.Go(func() {
			require.NoError(t, writeOnly(t.Context(), s, func(ctx context.Context, c *conn) error {
				if _, err := c.exec(ctx, sqlPing); err != nil {
					return err
				}
				r := <-s.readers
				defer func() { s.readers <- r }()
				all, err := queryAll(ctx, r, sqlPinged, scanInt)
				seen[i] = int64(len(all))
				return err
			}))
		})
	}
	waitQueued(t, s, n)
	release()
	wg.Wait()
	require.Equal(t, make([]int64, n), seen, "nothing is visible before all of them are committed")
	_, err := s.AppendMessage(t.Context(), w.t, w.message(w.talks[0]))
	require.NoError(t, err)
}

func TestFilesAreForTheirOwnerAlone(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "data")
	path := filepath.Join(dir, "omni?#%20.db")
	s := open(t, path)
	require.NoError(t, s.Ping(t.Context()))
	info, err := os.Stat(dir)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o700), info.Mode().Perm())
	files, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, files, 4, "database, log, index and lock")
	for _, f := range files {
		info, err := f.Info()
		require.NoError(t, err)
		require.Equal(t, os.FileMode(0o600), info.Mode().Perm(), f.Name())
	}
	require.NoError(t, s.Close())
	files, err = os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, files, 2, "closing leaves the database and its lock alone")

	require.NoError(t, os.Chmod(path, 0o644))
	s = open(t, path)
	info, err = os.Stat(path)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	require.NoError(t, s.Close())
}

func TestSettingsHold(t *testing.T) {
	t.Parallel()
	s := open(t, filepath.Join(t.TempDir(), "omni.db"))
	for n, c := range s.all {
		for pragma, want := range map[string]string{
			"journal_mode": "wal", "mmap_size": "0",
			"busy_timeout": map[bool]string{true: "50", false: "5000"}[n == 0], // the writer asks again: see begin
			"synchronous":  map[bool]string{true: "2"}[n == 0], "query_only": map[bool]string{true: "0", false: "1"}[n == 0],
		} {
			if want == "" {
				continue
			}
			var got string
			require.NoError(t, c.sql.QueryRowContext(t.Context(), "PRAGMA "+pragma).Scan(&got))
			require.Equal(t, want, got, "%s of connection %d", pragma, n)
		}
	}
}

func TestSchemaGoesForwardOnly(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "omni.db")
	s := open(t, path)
	all, err := migrations()
	require.NoError(t, err)
	c := s.all[0]
	have, err := queryOne(t.Context(), c, sqlSchemaVersion, scanInt)
	require.NoError(t, err)
	require.Equal(t, int64(len(all)), have)
	require.NoError(t, s.Close())
	s = open(t, path) // nothing to do
	_, err = s.all[0].exec(t.Context(), sqlSchemaAdd, len(all)+1, "of the future")
	require.NoError(t, err)
	require.NoError(t, s.Close())
	_, err = New(t.Context(), path, Options{})
	require.ErrorContains(t, err, "of a newer program")
	_, err = New(t.Context(), t.TempDir(), Options{})
	require.Error(t, err, "a directory is no database")
	notOne := filepath.Join(t.TempDir(), "text")
	require.NoError(t, os.WriteFile(notOne, []byte(strings.Repeat("not a database ", 500)), 0o600))
	_, err = New(t.Context(), notOne, Options{})
	require.Error(t, err)
}

// TestMigrationsAreAllOrNothing breaks a migration half way.
func TestMigrationsAreAllOrNothing(t *testing.T) {
	t.Parallel()
	s := open(t, Memory)
	c := <-s.writer
	defer func() { s.writer <- c }()
	have, err := queryOne(t.Context(), c, sqlSchemaVersion, scanInt)
	require.NoError(t, err)
	all, err := migrations()
	require.NoError(t, err)
	all = append(all, migration{have + 1, "bad", "CREATE TABLE half (id); CREATE TABLE half (id);"})
	_, err = migrateOnce(t.Context(), c, all)
	require.ErrorContains(t, err, "migration bad")
	var n int
	require.NoError(t, c.sql.QueryRowContext(t.Context(), "SELECT count(*) FROM sqlite_master WHERE name = 'half'").Scan(&n))
	require.Zero(t, n)
}

// helperEnv makes the test program a process that writes to the store it names, for the tests below.
const helperEnv = "OMNI_SQLITESTORE_HELPER"

// helper appends messages as fast as it can and prints the id of each that was acknowledged, until it is killed.
func helper(path string) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute) // in case that nobody kills it
	defer cancel()
	s, err := New(ctx, path, Options{})
	if err != nil {
		return err
	}
	org, talk := os.Getenv("OMNI_SQLITESTORE_ORG"), os.Getenv("OMNI_SQLITESTORE_TALK")
	t := omni.Org(org)
	i, err := s.Interaction(ctx, t, talk)
	if err != nil {
		return err
	}
	w := &benchWorld{t: t}
	var out sync.Mutex
	failed := make(chan error)
	for range 16 {
		go func() {
			for {
				m := w.message(i)
				if _, err := s.AppendMessage(ctx, t, m); err != nil {
					failed <- err
					return
				}
				out.Lock()
				_, _ = io.WriteString(os.Stdout, m.ID+"\n")
				out.Unlock()
			}
		}()
	}
	return <-failed
}

// startHelper starts a writing process and returns the ids that it has had acknowledged, as they come.
func startHelper(t *testing.T, path string, w *benchWorld) (*exec.Cmd, <-chan string) {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.CommandContext(t.Context(), self)
	cmd.Env = append(os.Environ(), helperEnv+"="+path, "OMNI_SQLITESTORE_ORG="+w.t.OrganisationID, "OMNI_SQLITESTORE_TALK="+w.talks[0].ID)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	ids := make(chan string, 1<<20)
	go func() {
		defer close(ids)
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			if len(lines.Text()) == 36 { // the last may be cut
				ids <- lines.Text()
			}
		}
	}()
	return cmd, ids
}

func requireStored(t *testing.T, s *Store, w *benchWorld, ids []string) {
	t.Helper()
	for _, id := range ids {
		_, err := s.Message(t.Context(), w.t, id)
		require.NoError(t, err, "an acknowledged message was lost")
	}
	i, err := s.Interaction(t.Context(), w.t, w.talks[0].ID)
	require.NoError(t, err)
	require.GreaterOrEqual(t, i.LastSequence, int64(len(ids)))
	sequence := int64(0)
	for {
		all, err := s.ListMessages(t.Context(), w.t, i.ID, store.MessageWindow{After: sequence, Limit: store.MaxPage})
		require.NoError(t, err)
		if len(all) == 0 {
			break
		}
		for _, m := range all {
			sequence++
			require.Equal(t, sequence, m.Sequence)
		}
	}
	require.Equal(t, i.LastSequence, sequence)
	require.Equal(t, int(sequence), i.Unread)
	var check string
	require.NoError(t, s.all[0].sql.QueryRowContext(t.Context(), "PRAGMA integrity_check").Scan(&check))
	require.Equal(t, "ok", check)
}

// TestR1KilledWhileWriting kills a writing process three times: what it had acknowledged is there.
func TestR1KilledWhileWriting(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "omni.db")
	s := open(t, path)
	w := newBenchWorld(t, s, 1)
	require.NoError(t, s.Close())
	var acknowledged []string
	for round := range 3 {
		cmd, ids := startHelper(t, path, w)
		for range 300 + 100*round {
			id, ok := <-ids
			require.True(t, ok, "the helper ended by itself")
			acknowledged = append(acknowledged, id)
		}
		require.NoError(t, cmd.Process.Kill())
		_ = cmd.Wait() // it was killed
		for id := range ids {
			acknowledged = append(acknowledged, id)
		}
		s := open(t, path)
		requireStored(t, s, w, acknowledged)
		require.NoError(t, s.Close())
	}
	t.Logf("%d acknowledged, 0 lost", len(acknowledged))
}

// TestTwoProcesses writes from here while another process does, as the command line does beside the server.
func TestTwoProcesses(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "omni.db")
	s := open(t, path)
	w := newBenchWorld(t, s, 1)
	cmd, ids := startHelper(t, path, w)
	acknowledged := []string{<-ids}
	for range 50 {
		m := w.message(w.talks[0])
		_, err := s.AppendMessage(t.Context(), w.t, m)
		require.NoError(t, err)
		acknowledged = append(acknowledged, m.ID)
	}
	require.NoError(t, cmd.Process.Kill())
	_ = cmd.Wait()
	for id := range ids {
		acknowledged = append(acknowledged, id)
	}
	requireStored(t, s, w, acknowledged)
}
