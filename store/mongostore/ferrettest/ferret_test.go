// Package ferrettest runs the suite of store on mongostore where no MongoDB is at hand: on FerretDB, which speaks MongoDB's
// protocol over SQLite, in this process.
//
// It is a module of its own, so that FerretDB's many dependencies stay out of the program's. It shows that calls do what the
// contract says. It says nothing of speed and of indexes, which FerretDB does not use for queries: on a server that
// has them the tests of package mongostore say that, where OMNI_TEST_MONGO names one.
package ferrettest

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/FerretDB/FerretDB/ferretdb"
	"github.com/stretchr/testify/require"

	"omniservice/omni"
	"omniservice/store"
	"omniservice/store/mongostore"
	"omniservice/store/storetest"
)

// server is the URI of the FerretDB that all tests share, behind its proxy, without a database.
var server string

func TestMain(m *testing.M) { os.Exit(runAll(m)) }

func runAll(m *testing.M) int {
	fail := func(err error) int {
		_, _ = fmt.Fprintln(os.Stderr, "ferrettest:", err)
		return 1
	}
	dir, err := os.MkdirTemp("", "ferrettest")
	if err != nil {
		return fail(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	f, err := ferretdb.New(&ferretdb.Config{
		Listener:  ferretdb.ListenerConfig{TCP: "127.0.0.1:0"},
		Handler:   "sqlite",
		SQLiteURL: "file:" + dir + "/",
		Logger:    slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return fail(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = f.Run(ctx)
	}()
	p, err := newProxy(f.MongoDBURI(), oneWriteAtATime()) // the address is there once it listens
	if err != nil {
		return fail(err)
	}
	server = p.uri()
	began := time.Now()
	code := m.Run()
	report(os.Stdout, time.Since(began))
	p.close()
	cancel()
	<-done
	return code
}

// open gives a store in a database of its own.
func open(t *testing.T) *mongostore.Store {
	t.Helper()
	return openAt(t, server, newDatabase(t))
}

func newDatabase(t *testing.T) string {
	t.Helper()
	return "test_" + omni.NewToken(8)
}

// openAt gives a store of a database that others may use too.
func openAt(t *testing.T, server, database string) *mongostore.Store {
	t.Helper()
	s, err := mongostore.Open(t.Context(), server+database, mongostore.Options{
		Timeout: time.Minute, ServerSelection: time.Minute, // it scans, and all tests run at once
		ServerExpiry: true, // which it refuses
	})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	_, err = s.EnsureIndexes(t.Context())
	require.NoError(t, err)
	return s
}

// small tells the suite to be sparing with data.
type small struct{ *mongostore.Store }

// Small implements storetest.Small.
func (small) Small() bool { return true }

// Inspect implements store.Store. It leaves out what FerretDB's indexes lack.
func (s small) Inspect(ctx context.Context, now omni.Millis) (store.Inspection, error) {
	i, err := s.Store.Inspect(ctx, now)
	i.Differences = slices.DeleteFunc(i.Differences, lacking)
	return i, err
}

// lacking reports whether a difference is that FerretDB forgets the option sparse, or that it refuses expiry.
func lacking(difference string) bool {
	return strings.HasSuffix(difference, "sparse is false, not true") || strings.HasSuffix(difference, "expiry by the server is false, not true")
}

func TestContract(t *testing.T) {
	t.Parallel()
	storetest.RunExcept(t, func(t *testing.T) store.Store {
		t.Helper()
		return small{open(t)}
	}, leftOut())
}

func TestReopened(t *testing.T) {
	t.Parallel()
	database := newDatabase(t)
	storetest.Reopened(t, func() store.Store { return small{openAt(t, server, database)} })
}

func TestSec_W6_OneRowPerCarrierID(t *testing.T) {
	t.Parallel()
	storetest.OneRowPerCarrierID(t, open(t))
}

// TestIndexesOnceMade shows that making them again, by another node too, is nothing.
func TestIndexesOnceMade(t *testing.T) {
	t.Parallel()
	database := newDatabase(t)
	openAt(t, server, database)
	s := openAt(t, server, database)
	diffs, err := s.CheckIndexes(t.Context())
	require.NoError(t, err)
	for _, d := range diffs {
		require.True(t, lacking(d.String()), "%s", d)
	}
}
