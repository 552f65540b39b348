package mongostore

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"

	"omniservice/omni"
	"omniservice/store"
)

func TestDatabaseOfAURI(t *testing.T) {
	t.Parallel()
	for uri, want := range map[string]string{
		"mongodb://localhost":                              "omniservice",
		"mongodb://localhost/":                             "omniservice",
		"mongodb://localhost:27017/desk":                   "desk",
		"mongodb://a:1,b:2,c:3/desk?replicaSet=rs0":        "desk",
		"mongodb://a:1,b:2/?replicaSet=rs0":                "omniservice",
		"mongodb+srv://user:p%2Fw@cluster.example/desk?x=": "desk",
		"mongodb://user:pw@localhost?authSource=/admin":    "omniservice",
	} {
		require.Equal(t, want, databaseOf(uri), uri)
	}
}

func TestSec_K3_ABadURIDoesNotShowItsPassword(t *testing.T) {
	t.Parallel()
	for _, uri := range []string{
		"mongodb://user:hunter2@localhost:99999999/x",
		"mongodb://user:hunter2@localhost/x?w=majority&authMechanism=NONE",
		"mongodb://user:hunter2%zz@localhost",
		"postgres://user:hunter2@localhost",
		"mongodb://user:hunter2@",
	} {
		_, err := Open(t.Context(), uri, Options{})
		require.ErrorIs(t, err, omni.ErrInvalid, uri)
		require.NotContains(t, err.Error(), "hunter2")
	}
}

// TestAwayStoresSayUnavailable shows what calls give while there is no server, and that they end in time.
func TestAwayStoresSayUnavailable(t *testing.T) {
	t.Parallel()
	var lc net.ListenConfig
	l, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0") // accepts, and never answers
	require.NoError(t, err)
	s, err := Open(t.Context(), "mongodb://"+l.Addr().String(), Options{ServerSelection: 50 * time.Millisecond, Timeout: 5 * time.Second})
	require.NoError(t, err, "opening does not wait for a server")
	require.ErrorIs(t, s.Ping(t.Context()), omni.ErrUnavailable)
	_, err = s.Organisation(t.Context(), omni.Org("o"))
	require.ErrorIs(t, err, omni.ErrUnavailable)
	require.NotErrorIs(t, err, omni.ErrNotFound)

	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	<-ctx.Done()
	_, err = s.Organisation(ctx, omni.Org("o"))
	require.ErrorIs(t, err, context.DeadlineExceeded)
	ended, end := context.WithCancel(t.Context())
	end()
	_, err = s.Organisation(ended, omni.Org("o"))
	require.ErrorIs(t, err, context.Canceled)

	require.NoError(t, s.Close())
	require.NoError(t, s.Close(), "closing again")
	require.ErrorIs(t, s.Ping(t.Context()), omni.ErrUnavailable)
	require.NoError(t, l.Close())
}

func TestErrorsHaveKinds(t *testing.T) {
	t.Parallel()
	const quoted = `E11000 dup key: { email: "ana@example.com" }`
	duplicate := mongo.WriteException{WriteErrors: mongo.WriteErrors{{Code: 11000, Message: quoted}}}
	for name, c := range map[string]struct {
		err  error
		want error
	}{
		"nothing found":          {mongo.ErrNoDocuments, omni.ErrNotFound},
		"duplicate":              {duplicate, omni.ErrConflict},
		"disconnected":           {mongo.ErrClientDisconnected, omni.ErrUnavailable},
		"no primary":             {mongo.CommandError{Code: 10107, Message: quoted}, omni.ErrUnavailable},
		"primary stepped down":   {mongo.CommandError{Code: 189, Message: quoted}, omni.ErrUnavailable},
		"network":                {mongo.CommandError{Labels: []string{"NetworkError"}}, omni.ErrUnavailable},
		"time ran out":           {mongo.CommandError{Code: 50, Name: "MaxTimeMSExpired"}, omni.ErrUnavailable},
		"not by a majority":      {mongo.WriteException{WriteConcernError: &mongo.WriteConcernError{Code: 64}}, omni.ErrUnavailable},
		"deadline":               {fmt.Errorf("x: %w", context.DeadlineExceeded), omni.ErrUnavailable},
		"cancelled":              {fmt.Errorf("x: %w", context.Canceled), context.Canceled},
		"our own":                {versionConflict(3), omni.ErrConflict},
		"our own with a problem": {omni.Problemf(omni.ErrInvalid, "bad"), omni.ErrInvalid},
	} {
		got := mapError(t.Context(), c.err)
		require.ErrorIs(t, got, c.want, name)
		require.NotContains(t, got.Error(), "ana@", name)
	}
	other := mapError(t.Context(), mongo.CommandError{Code: 2, Message: quoted})
	require.Equal(t, omni.CodeInternal, omni.CodeOf(other))
	require.Equal(t, "MongoDB refused the command with code [2]", other.Error())
	plain := errors.New("plain")
	require.Equal(t, plain, mapError(t.Context(), plain))
	require.NoError(t, mapError(t.Context(), nil))
}

func TestCursorsComeBack(t *testing.T) {
	t.Parallel()
	for _, p := range []place{{}, {Number: -1}, {Number: 1 << 62, ID: "x"}, {Text: "\xff\tä", ID: "y"}, {Text: strings.Repeat("n", 800), ID: omni.NewID()}} {
		text, err := cursorText("list", p)
		require.NoError(t, err)
		got, err := parseCursor("list", text)
		require.NoError(t, err)
		require.Equal(t, p, got)
		_, err = parseCursor("other", text)
		require.ErrorIs(t, err, omni.ErrInvalid)
		for i := range text {
			_, err := parseCursor("list", text[:i]+text[i+1:])
			require.ErrorIs(t, err, omni.ErrInvalid)
		}
	}
}

func FuzzCursor(f *testing.F) {
	good, err := cursorText("list", place{Number: 42, Text: "Anna", ID: "0190"})
	require.NoError(f, err)
	f.Add("list", good)
	f.Add("list", "")
	f.Add("list", "AAAAAAAAAAAAAAAA")
	f.Add("other", good)
	f.Fuzz(func(t *testing.T, list, cursor string) {
		if _, err := parseCursor(list, cursor); err != nil {
			require.ErrorIs(t, err, omni.ErrInvalid)
			return
		}
		require.Greater(t, len(cursor), cursorSum)
	})
}

// TestSchemaIsWellMade checks what a sharded cluster asks for, and what the lists need.
func TestSchemaIsWellMade(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, c := range schema() {
		require.False(t, seen[c.name], "%s stands there twice", c.name)
		seen[c.name] = true
		require.NotEmpty(t, c.holds, c.name)
		names := map[string]bool{}
		for _, i := range c.indexes {
			require.False(t, names[i.name()], "%s has %s twice", c.name, i.name())
			names[i.name()] = true
			require.NotEmpty(t, i.serves, "%s %s", c.name, i.name())
			require.False(t, i.ends && (len(i.keys) != 1 || i.unique), "%s: the server expires by one date", c.name)
			if c.shardKey == nil || !i.unique {
				continue
			}
			// A sharded collection can have a unique index only if it begins with the shard key.
			require.GreaterOrEqual(t, len(i.keys), len(c.shardKey), "%s %s", c.name, i.name())
			require.Equal(t, c.shardKey, i.keys[:len(c.shardKey)], "%s %s", c.name, i.name())
		}
	}
	require.Contains(t, SchemaMarkdown(), "| `users` | `{email: 1}` | yes |")
}

func TestDocumentsHaveTheirOrganisation(t *testing.T) {
	t.Parallel()
	u, err := users.document(omni.User{ID: "u", OrganisationID: "o"})
	require.NoError(t, err)
	g, err := groups.document(omni.DigitalChannelGroup{ID: "g", Tenant: omni.Org("o")})
	require.NoError(t, err)
	for _, d := range []bson.D{u, g} {
		b, err := bson.Marshal(d)
		require.NoError(t, err)
		elements, err := bson.Raw(b).Elements()
		require.NoError(t, err)
		count := 0
		for _, e := range elements {
			if e.Key() == fieldOrg {
				count++
			}
		}
		require.Equal(t, 1, count)
		require.Equal(t, "o", bson.Raw(b).Lookup(fieldOrg).StringValue())
	}
}

// heard is a Monitor that keeps what it hears.
type heard struct {
	mu    sync.Mutex
	begun []string
	ended int
}

func (h *heard) Begin(_ context.Context, command, collection string) func(time.Duration, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.begun = append(h.begun, command+" "+collection)
	return func(time.Duration, bool) {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.ended++
	}
}

func monitorsHear(t *testing.T) {
	t.Parallel()
	h := &heard{}
	s := open(t, Options{Monitor: h})
	_, err := s.Users(t.Context(), omni.Org("o"), store.Page{})
	require.NoError(t, err)
	h.mu.Lock()
	defer h.mu.Unlock()
	require.Contains(t, h.begun, "find users")
	require.Len(t, h.begun, h.ended)
}
