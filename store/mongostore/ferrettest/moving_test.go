package ferrettest

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"omniservice/app"
	"omniservice/store/sqlitestore"
	"omniservice/store/storetest"
)

// All data go from the embedded store to MongoDB and back, and are the same.
func TestMovesBetweenSQLiteAndMongoDB(t *testing.T) {
	t.Parallel()
	embedded := func() *sqlitestore.Store {
		s, err := sqlitestore.New(t.Context(), sqlitestore.Memory, sqlitestore.Options{})
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, s.Close()) })
		return s
	}
	storetest.MovesBetween(t, embedded(), open(t), embedded())
	storetest.MovesBetween(t, open(t), embedded(), open(t))
}

// All that one program has on SQLite goes by export and import to MongoDB, and is the same there: the file of another export
// says so. The import and that export are killed half-way, and run again.
func TestMovesByTheProgram(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	program := filepath.Join(dir, "omniservice")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", program, "./cmd/omniservice")
	build.Dir = "../../.."
	out, err := build.CombinedOutput()
	require.NoError(t, err, "%s", out)

	embedded := filepath.Join(dir, "embedded")
	st, err := app.OpenStock(t.Context(), app.Config{DataDir: embedded}, true)
	require.NoError(t, err)
	storetest.Fill(t, st.Store)
	for i, size := range []int{0, 100, 1 << 20} {
		_, _, err := st.Files.Put(t.Context(), fmt.Sprint("org-", i%2), strings.NewReader(strings.Repeat("ü", size)))
		require.NoError(t, err)
	}
	require.NoError(t, st.Close())

	// The line to MongoDB counts commands, and kills the program at the one with the number killAt.
	var commands, killAt atomic.Int64
	var running atomic.Pointer[exec.Cmd]
	line, err := newProxy(server, func(_ command, send func() ([]byte, error)) ([]byte, error) {
		if n := commands.Add(1); n == killAt.Load() {
			_ = running.Load().Process.Kill()
			return nil, errCut
		}
		return send()
	})
	require.NoError(t, err)
	t.Cleanup(line.close)
	run := func(uri string, args ...string) error {
		cmd := exec.CommandContext(t.Context(), program, args...)
		cmd.Env = append(os.Environ(), "OMNI_SECRET_KEY="+masterKey, "OMNI_MONGO_URI="+uri)
		var said bytes.Buffer
		cmd.Stdout, cmd.Stderr = &said, &said
		commands.Store(0)
		running.Store(cmd)
		require.NoError(t, cmd.Start())
		if err := cmd.Wait(); err != nil {
			return fmt.Errorf("%v: %w: %s", args, err, said.String())
		}
		return nil
	}
	// killed runs it until half of as many commands have been sent as a whole run sent, and again.
	killed := func(of int64, uri string, args ...string) {
		t.Helper()
		killAt.Store(of / 2)
		require.ErrorContains(t, run(uri, args...), "killed")
		killAt.Store(0)
		require.NoError(t, run(uri, args...))
	}
	file := func(name string) string { return filepath.Join(dir, name) }
	dataDir := func(name string) string { return "--data-dir=" + file(name) }

	first := file("first")
	require.NoError(t, run("", "export", dataDir("embedded"), "--to="+first))
	require.NoError(t, run(line.uri()+newDatabase(t), "import", dataDir("whole"), "--from="+first))
	importing, database := commands.Load(), newDatabase(t)
	killed(importing, line.uri()+database, "import", dataDir("cut"), "--from="+first)
	again := file("again")
	require.NoError(t, run(line.uri()+database, "export", dataDir("cut"), "--to="+again))
	exporting := commands.Load()
	cut := file("cut-export")
	killed(exporting, line.uri()+database, "export", dataDir("cut"), "--to="+cut)

	want := records(t, first)
	require.Greater(t, len(want), 50)
	require.Equal(t, want, records(t, again))
	require.Equal(t, want, records(t, cut))
	t.Logf("%d lines from SQLite to MongoDB: equal; import killed at command %d of %d, export at %d of %d, and run again: equal",
		len(want), importing/2, importing, exporting/2, exporting)
}

// records are the lines of an export without its header.
func records(t *testing.T, file string) []string {
	t.Helper()
	f, err := os.Open(file)
	require.NoError(t, err)
	defer func() { _ = f.Close() }()
	z, err := gzip.NewReader(f)
	require.NoError(t, err)
	b, err := io.ReadAll(z)
	require.NoError(t, err)
	return strings.Split(string(b), "\n")[1:]
}
