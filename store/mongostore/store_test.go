package mongostore

import (
	"context"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.mongodb.org/mongo-driver/v2/event"
	"go.uber.org/goleak"

	"omniservice/omni"
	"omniservice/store"
	"omniservice/store/storetest"
)

// serverEnv names the server that the suite runs against, requireEnv makes its absence a failure.
const (
	serverEnv  = "OMNI_TEST_MONGO"
	requireEnv = "OMNI_TEST_REQUIRE"
)

func TestMain(m *testing.M) {
	if os.Getenv(serverEnv) == "" {
		_, _ = os.Stderr.WriteString("store/mongostore: " + serverEnv + " is not set: the suite runs on no MongoDB server here, " +
			"only in ferrettest and in tests without a server\n")
		if os.Getenv(requireEnv) == "1" {
			os.Exit(1)
		}
	}
	goleak.VerifyTestMain(m)
}

// open gives a store in a database of its own, dropped at the end, on the server of serverEnv.
func open(t *testing.T, o Options) *Store {
	t.Helper()
	s := openAt(t, "test_"+omni.NewToken(8), o)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	_, err := s.EnsureIndexes(t.Context())
	require.NoError(t, err)
	return s
}

func openAt(t *testing.T, database string, o Options) *Store {
	t.Helper()
	o.Timeout, o.ServerSelection = time.Minute, time.Minute // many tests at once
	s, err := Open(t.Context(), uriOf(os.Getenv(serverEnv), database), o)
	require.NoError(t, err)
	t.Cleanup(func() {
		// With a store of its own: the test may have closed s.
		d, err := Open(context.WithoutCancel(t.Context()), uriOf(os.Getenv(serverEnv), database), Options{})
		require.NoError(t, err)
		require.NoError(t, d.db.Drop(context.WithoutCancel(t.Context())))
		require.NoError(t, d.Close())
	})
	return s
}

// uriOf is uri with another database.
func uriOf(uri, database string) string {
	scheme, rest, _ := strings.Cut(uri, "://")
	hosts, query, _ := strings.Cut(rest, "?")
	hosts, _, _ = strings.Cut(hosts, "/")
	if query != "" {
		query = "?" + query
	}
	return scheme + "://" + hosts + "/" + database + query
}

// onServer runs a test if there is a server for it. There is no other place where what is left out is decided.
func onServer(t *testing.T, name string, test func(t *testing.T)) {
	t.Helper()
	if os.Getenv(serverEnv) == "" {
		t.Logf("left out: %s needs %s", name, serverEnv)
		return
	}
	t.Run(name, test)
}

func TestOnAServer(t *testing.T) {
	t.Parallel()
	onServer(t, "Contract", func(t *testing.T) {
		t.Parallel()
		storetest.Run(t, func(t *testing.T) store.Store {
			t.Helper()
			return open(t, Options{})
		})
	})
	onServer(t, "Reopened", func(t *testing.T) {
		t.Parallel()
		database := "test_" + omni.NewToken(8)
		storetest.Reopened(t, func() store.Store {
			s := openAt(t, database, Options{})
			_, err := s.EnsureIndexes(t.Context())
			require.NoError(t, err)
			return s
		})
	})
	onServer(t, "EveryCommandUsesAnIndex", everyCommandUsesAnIndex)
	onServer(t, "IndexesAreCompared", indexesAreCompared)
	onServer(t, "MonitorsHear", monitorsHear)
}

// collect hears of the commands that a store sends.
func collect(started func(e *event.CommandStartedEvent)) *event.CommandMonitor {
	return &event.CommandMonitor{Started: func(_ context.Context, e *event.CommandStartedEvent) { started(e) }}
}
