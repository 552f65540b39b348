package sqlitestore

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"omniservice/omni"
	"omniservice/store"
	"omniservice/store/storetest"
)

// migrateEnv makes the test program a process that opens the store it names, as soon as the file beside it is there.
const migrateEnv = "OMNI_SQLITESTORE_MIGRATE"

func migrateAtOnce(path string) error {
	deadline := time.Now().Add(20 * time.Second)
	for time.Now().Before(deadline) {
		if _, err := os.Stat(path + ".begin"); err == nil {
			s, err := New(context.Background(), path, Options{})
			if err != nil {
				return err
			}
			return s.Close()
		}
	}
	return errors.New("nobody said when to begin")
}

// TestMigrationsAreDoneOnce opens a new store from many processes and goroutines at the same instant.
func TestMigrationsAreDoneOnce(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "omni.db")
	var processes []*exec.Cmd
	for range 3 {
		cmd := exec.CommandContext(t.Context(), os.Args[0])
		cmd.Env = append(os.Environ(), migrateEnv+"="+path)
		cmd.Stderr = os.Stderr
		require.NoError(t, cmd.Start())
		processes = append(processes, cmd)
	}
	require.NoError(t, os.WriteFile(path+".begin", nil, 0o600))
	stores, errs := make([]*Store, 6), make([]error, 6)
	var wg sync.WaitGroup
	for i := range stores {
		wg.Go(func() { stores[i], errs[i] = New(t.Context(), path, Options{Readers: 1}) })
	}
	wg.Wait()
	for i, s := range stores {
		require.NoError(t, errs[i])
		require.NoError(t, s.Close())
	}
	for _, cmd := range processes {
		require.NoError(t, cmd.Wait())
	}
	s := open(t, path)
	r, err := s.Inspect(t.Context(), 0)
	require.NoError(t, err)
	require.Equal(t, r.Newest, r.Schema)
	require.Empty(t, r.Differences)
}

// older makes a store as a program had it that knew the first steps only.
func older(t *testing.T, path string, steps int) *conn {
	t.Helper()
	all, err := migrations()
	require.NoError(t, err)
	require.NoError(t, prepareFile(path))
	var s Store
	t.Cleanup(func() { require.NoError(t, s.closeConns()) })
	c, err := s.connect(t.Context(), path, []string{"journal_mode(WAL)"})
	require.NoError(t, err)
	_, err = c.sql.ExecContext(t.Context(), sqlSchemaTable)
	require.NoError(t, err)
	for range steps {
		done, err := migrateOnce(t.Context(), c, all[:steps])
		require.NoError(t, err)
		require.False(t, done)
	}
	return c
}

// TestMigrationsGoOn opens stores that were cut off after each step.
func TestMigrationsGoOn(t *testing.T) {
	t.Parallel()
	all, err := migrations()
	require.NoError(t, err)
	for steps := range len(all) {
		path := filepath.Join(t.TempDir(), "omni.db")
		older(t, path, steps)
		look, err := New(t.Context(), path, Options{AsItIs: true})
		require.NoError(t, err)
		r, err := look.Inspect(t.Context(), 0)
		require.NoError(t, err)
		require.Equal(t, steps, r.Schema, "looking at it changes nothing")
		require.NoError(t, look.Close())

		s := open(t, path)
		r, err = s.Inspect(t.Context(), 0)
		require.NoError(t, err)
		require.Equal(t, len(all), r.Schema)
		require.Empty(t, r.Differences)
		storetest.Fill(t, s)
	}
	_, err = New(t.Context(), filepath.Join(t.TempDir(), "none.db"), Options{AsItIs: true})
	require.ErrorIs(t, err, os.ErrNotExist)
}

// TestDifferencesAreSeen drops and adds indexes behind the store's back.
func TestDifferencesAreSeen(t *testing.T) {
	t.Parallel()
	s := open(t, Memory)
	c := <-s.writer
	for _, text := range []string{
		"DROP INDEX users_by_name", "DROP INDEX api_keys_by_age", "CREATE INDEX api_keys_by_age ON api_keys (id)", "CREATE TABLE guests (id)",
	} {
		_, err := c.sql.ExecContext(t.Context(), text)
		require.NoError(t, err)
	}
	s.writer <- c
	r, err := s.Inspect(t.Context(), 0)
	require.NoError(t, err)
	require.Equal(t, []string{"index api_keys_by_age is not as declared", "index users_by_name is missing", "table guests is not declared"}, r.Differences)
}

// oldSchema is the last one whose rows are kept in testdata, as the program of then wrote them.
const oldSchema = 2

// TestOldRowsAreRead brings a store of an old program up to date and reads all of it. The rows were written once, by
// -write-schema, and are never changed.
func TestOldRowsAreRead(t *testing.T) {
	t.Parallel()
	file := filepath.Join("testdata", fmt.Sprintf("schema%d.sql", oldSchema))
	path := filepath.Join(t.TempDir(), "omni.db")
	c := older(t, path, oldSchema)
	if flag.Lookup("write-schema").Value.String() == "true" {
		writeRows(t, c, file)
		return
	}
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	_, err = c.sql.ExecContext(t.Context(), string(text))
	require.NoError(t, err)

	s := open(t, path)
	counts := map[store.RecordKind]int{}
	var at store.Position
	for {
		rs, next, err := s.Dump(t.Context(), at, 0)
		require.NoError(t, err)
		if len(rs) == 0 {
			break
		}
		for _, r := range rs {
			counts[r.Kind]++
		}
		at = next
	}
	for _, m := range movers {
		rows := strings.Count(string(text), "INSERT INTO "+string(m.kind)+" ")
		if m.kind == store.MovedEarlyStatuses.Kind {
			rows = min(rows, 1) // of one message
		}
		require.Equal(t, rows, counts[m.kind], m.kind)
	}
	items, err := s.PendingOutbox(t.Context(), []int{
		0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24,
		25, 26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40, 41, 42, 43, 44, 45, 46, 47, 48, 49, 50, 51, 52, 53, 54, 55, 56, 57,
		58, 59, 60, 61, 62, 63,
	}, 1<<60, 100)
	require.NoError(t, err)
	require.NotEmpty(t, items)
	for _, item := range items {
		_, err := s.MarkEnded(t.Context(), item.Message.Tenant, item.Message.ID, omni.DeliveryStatus{
			DeliveryStatusMessage: omni.DeliveryStatusMessage{Status: omni.StatusFailed}, ReceivedAt: 1,
		})
		require.NoError(t, err)
	}
}

// writeRows writes the rows that the tables of an old schema have in a store of today.
func writeRows(t *testing.T, old *conn, file string) {
	t.Helper()
	if _, err := os.Stat(file); err == nil {
		return
	}
	s := open(t, Memory)
	storetest.Fill(t, s)
	tables, err := old.ask(t.Context(), "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name")
	require.NoError(t, err)
	now := <-s.writer
	defer func() { s.writer <- now }()
	var lines []string
	for _, table := range tables {
		if slices.Contains([]string{"schema_migrations", "markers"}, table[0]) {
			continue
		}
		columns, err := old.ask(t.Context(), "SELECT name FROM pragma_table_info('"+table[0]+"')")
		require.NoError(t, err)
		var names, quoted []string
		for _, c := range columns {
			names = append(names, c[0])
			quoted = append(quoted, "quote("+c[0]+")")
		}
		rows, err := now.ask(t.Context(), "SELECT "+strings.Join(quoted, ", ")+" FROM "+table[0])
		require.NoError(t, err)
		for _, row := range rows {
			lines = append(lines, "INSERT INTO "+table[0]+" ("+strings.Join(names, ", ")+") VALUES ("+strings.Join(row, ", ")+");")
		}
	}
	require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o755))
	require.NoError(t, os.WriteFile(file, []byte(strings.Join(lines, "\n")+"\n"), 0o644))
}
