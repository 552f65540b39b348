// Package mongostore is the store of the scaled-out form: MongoDB, as a replica set or a sharded cluster.
//
// One aggregate is one collection and one document; what must change together is in one document. Invariants are carried
// by unique indexes (insert first, a duplicate is an answer) and by conditional updates (the filter says what must still
// hold), so there are no transactions over several documents, no server-side scripts and no change streams. Where a
// call has to touch two documents it does so in an order in which a crash between them leaves nothing that anybody sees
// wrong, and the same call again finishes the work; each such place says so.
//
// Every document of an organisation has its id in organisationId, which is in every filter but those of the doors and the
// queues. Moments are int64 milliseconds, ids are our own strings. The tables in indexes.go are the whole schema:
// EnsureIndexes makes it so and reports what differs. docs/adr/0009 explains documents, shard keys and concerns.
//
// Writes are acknowledged by a majority of the members, in their journals. Reads go to the primary.
package mongostore

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/event"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"go.mongodb.org/mongo-driver/v2/mongo/readconcern"
	"go.mongodb.org/mongo-driver/v2/mongo/readpref"
	"go.mongodb.org/mongo-driver/v2/mongo/writeconcern"

	"omniservice/omni"
	"omniservice/store"
)

// DefaultDatabase is the database of a URI that names none.
const DefaultDatabase = "omniservice"

// Options tune a store. The zero Options works.
type Options struct {
	// Timeout ends a call whose context has no deadline of its own. 0 means 10 s.
	Timeout time.Duration
	// ServerSelection is how long a call waits for a primary, an election included. 0 means 5 s.
	ServerSelection time.Duration
	// PoolSize is the most connections to each server. 0 means 64. It is not taken from the URI.
	PoolSize int
	// Monitor hears of every command. nil: nobody does.
	Monitor Monitor
	// ServerExpiry adds expiry by the server (TTL) to the indexes that Sweep goes by: it removes, by the server's clock and
	// a day late, what no Sweep came for. A server that knows no such thing gets them without.
	ServerExpiry bool

	commands *event.CommandMonitor // for tests: what was sent
}

// Store implements store.Store. It is safe for concurrent use.
type Store struct {
	client       *mongo.Client
	db           *mongo.Database
	place        string // hosts and database
	timeout      time.Duration
	serverExpiry atomic.Bool // until the server refuses it

	lanes  lanes  // of interactions that are appended to
	stamps stamps // places in queues

	gate     sync.Mutex // guards closed, and calls against beginning while Close begins
	closed   bool
	underWay sync.WaitGroup
	ended    chan struct{} // the connections are closed
}

var _ store.Store = (*Store)(nil)

// Open makes a store of the database that uri names. It does not wait for a server: Ping tells whether one is there, and
// calls made without one are omni.ErrUnavailable. The collections need EnsureIndexes before first use.
func Open(_ context.Context, uri string, o Options) (*Store, error) {
	if o.Timeout <= 0 {
		o.Timeout = 10 * time.Second
	}
	if o.ServerSelection <= 0 {
		o.ServerSelection = 5 * time.Second
	}
	if o.PoolSize <= 0 {
		o.PoolSize = 64
	}
	journal := true
	opts := options.Client().ApplyURI(uri).
		SetAppName("omniservice").
		SetWriteConcern(&writeconcern.WriteConcern{W: writeconcern.WCMajority, Journal: &journal}).
		SetReadConcern(readconcern.Local()).
		SetReadPreference(readpref.Primary()).
		SetRetryWrites(true).
		SetRetryReads(true).
		SetMaxPoolSize(uint64(o.PoolSize)).
		SetConnectTimeout(o.ServerSelection).
		SetServerSelectionTimeout(o.ServerSelection).
		SetTimeout(o.Timeout).
		SetMonitor(commandMonitor(o))
	if err := opts.Validate(); err != nil {
		return nil, fmt.Errorf("open MongoDB store: %w: %s", omni.ErrInvalid, withoutPassword(uri, err))
	}
	client, err := mongo.Connect(opts)
	if err != nil {
		return nil, fmt.Errorf("open MongoDB store: %w: %s", omni.ErrInvalid, withoutPassword(uri, err))
	}
	s := &Store{
		client: client, db: client.Database(databaseOf(uri)), place: strings.Join(opts.Hosts, ",") + "/" + databaseOf(uri), timeout: o.Timeout,
		ended: make(chan struct{}),
	}
	s.serverExpiry.Store(o.ServerExpiry)
	return s, nil
}

// databaseOf is the path of a connection string. (net/url does not read lists of hosts.)
func databaseOf(uri string) string {
	_, rest, _ := strings.Cut(uri, "://")
	rest, _, _ = strings.Cut(rest, "?")
	if _, name, _ := strings.Cut(rest, "/"); name != "" {
		return name
	}
	return DefaultDatabase
}

// withoutPassword is the text of err without what uri has before its hosts.
func withoutPassword(uri string, err error) string {
	_, rest, _ := strings.Cut(uri, "://")
	if at := strings.LastIndex(rest, "@"); at > 0 {
		return strings.ReplaceAll(err.Error(), rest[:at], "…")
	}
	return err.Error()
}

var errClosed = errors.New("the store is closed")

// run calls fn within the time that a call may take, keeps Close from ending under it, and maps its error. All calls of the
// contract go through it.
func run[T any](ctx context.Context, s *Store, fn func(ctx context.Context) (T, error)) (T, error) {
	var none T
	if err := ctx.Err(); err != nil {
		return none, err
	}
	if !s.begin() {
		return none, fmt.Errorf("%w: %w", omni.ErrUnavailable, errClosed)
	}
	defer s.underWay.Done()
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, s.timeout)
		defer cancel()
	}
	v, err := fn(ctx)
	if err != nil {
		return none, mapError(ctx, err)
	}
	return v, nil
}

// begin counts a call as under way, unless the store is closed.
func (s *Store) begin() bool {
	s.gate.Lock()
	defer s.gate.Unlock()
	if s.closed {
		return false
	}
	s.underWay.Add(1)
	return true
}

// runOnly is run for calls that give nothing but an error.
func runOnly(ctx context.Context, s *Store, fn func(ctx context.Context) error) error {
	_, err := run(ctx, s, func(ctx context.Context) (struct{}, error) { return struct{}{}, fn(ctx) })
	return err
}

// coll is a collection, by one of the names in indexes.go.
func (s *Store) coll(name string) *mongo.Collection { return s.db.Collection(name) }

// one decodes the document that filter finds, or is mongo.ErrNoDocuments.
func one[D any](ctx context.Context, c *mongo.Collection, filter any, opts ...options.Lister[options.FindOneOptions]) (d D, err error) {
	return d, c.FindOne(ctx, filter, opts...).Decode(&d)
}

// batch is how many documents come with the first answer: all that a call asks for, as a rule, so that no cursor stays open.
const batch = 1000

// all decodes the documents that filter finds.
func all[D any](ctx context.Context, c *mongo.Collection, filter any, opts ...options.Lister[options.FindOptions]) ([]D, error) {
	cur, err := c.Find(ctx, filter, append([]options.Lister[options.FindOptions]{options.Find().SetBatchSize(batch)}, opts...)...)
	if err != nil {
		return nil, err
	}
	var ds []D
	return ds, cur.All(ctx, &ds)
}

// after gives the document as the update leaves it, or is mongo.ErrNoDocuments if filter finds none.
func after[D any](ctx context.Context, c *mongo.Collection, filter, update any) (d D, err error) {
	return d, c.FindOneAndUpdate(ctx, filter, update, options.FindOneAndUpdate().SetReturnDocument(options.After)).Decode(&d)
}

// Ping writes and reads.
func (s *Store) Ping(ctx context.Context) error {
	err := runOnly(ctx, s, func(ctx context.Context) error {
		_, err := s.coll(collPings).UpdateOne(ctx, bson.D{{Key: "_id", Value: "ping"}},
			bson.D{{Key: "$inc", Value: bson.D{{Key: "n", Value: int64(1)}}}}, options.UpdateOne().SetUpsert(true))
		if err != nil && !mongo.IsDuplicateKeyError(err) { // two first ones
			return err
		}
		_, err = one[bson.D](ctx, s.coll(collPings), bson.D{{Key: "_id", Value: "ping"}})
		return err
	})
	if err != nil {
		return fmt.Errorf("ping: %w", err)
	}
	return nil
}

// Close ends the store: calls under way are done first, new ones are refused. Closing again is nothing.
func (s *Store) Close() error {
	s.gate.Lock()
	if s.closed {
		s.gate.Unlock()
		<-s.ended
		return nil
	}
	s.closed = true
	s.gate.Unlock()
	defer close(s.ended)
	s.underWay.Wait()
	ctx, cancel := context.WithTimeout(context.Background(), s.timeout)
	defer cancel()
	if err := s.client.Disconnect(ctx); err != nil {
		return fmt.Errorf("close MongoDB store: %w", err)
	}
	return nil
}
