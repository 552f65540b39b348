package ferrettest

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"omniservice/store/storetest"
)

// A skip is something that is not shown on FerretDB v1.24.2. This table is all of it: it is printed at the end of each run,
// and a line that is not needed fails TestSkipsAreNeeded.
type skip struct {
	what   string
	reason string
	suite  bool                                                // what is a test of storetest, left out here
	works  func(ctx context.Context, db *mongo.Database) error // nil error: FerretDB can do it after all; for those of the suite the test itself tells
}

var skips = []skip{
	{
		what:   "every query uses an index (mongostore, EveryCommandUsesAnIndex)",
		reason: "FerretDB reads whole collections, whatever indexes there are; its explain has no plan of stages to look at",
		works: func(ctx context.Context, db *mongo.Database) error {
			var plan bson.M
			err := db.RunCommand(ctx, bson.D{
				{Key: "explain", Value: bson.D{{Key: "find", Value: "users"}, {Key: "filter", Value: bson.D{{Key: "email", Value: "a"}}}}},
			}).Decode(&plan)
			if err != nil {
				return err
			}
			if !strings.Contains(fmt.Sprint(plan), "IXSCAN") {
				return fmt.Errorf("no index in the plan %v", plan)
			}
			return nil
		},
	},
	{
		what: "expiry by the server (mongostore.Options.ServerExpiry)",
		reason: "FerretDB refuses TTL indexes, and gets them without (Inspect tells of it: lacking leaves that out); Sweep, which the " +
			"suite does show, is what removes what has ended",
		works: func(ctx context.Context, db *mongo.Database) error {
			_, err := db.Collection("ends").Indexes().CreateOne(ctx, mongo.IndexModel{
				Keys: bson.D{{Key: "expireAt", Value: 1}}, Options: options.Index().SetExpireAfterSeconds(60),
			})
			return err
		},
	},
	{
		what:   "sparse indexes (mongostore, IndexesAreCompared)",
		reason: "FerretDB takes the option and forgets it; only the size of the queues' indexes depends on it, no result. Inspect tells of it: lacking leaves that out",
		works: func(ctx context.Context, db *mongo.Database) error {
			_, err := db.Collection("sparse").Indexes().CreateOne(ctx, mongo.IndexModel{
				Keys: bson.D{{Key: "queue", Value: 1}}, Options: options.Index().SetSparse(true),
			})
			if err != nil {
				return err
			}
			all, err := db.Collection("sparse").Indexes().ListSpecifications(ctx)
			if err != nil {
				return err
			}
			for _, i := range all {
				if i.Sparse != nil && *i.Sparse {
					return nil
				}
			}
			return fmt.Errorf("not listed as sparse")
		},
	},
	{
		what:   "writes that the driver repeats by itself (retryWrites), elections, w: majority",
		reason: "FerretDB is one server without sessions: the driver sends each command once. What repeated calls do is shown by TestCutOff",
		works: func(ctx context.Context, db *mongo.Database) error {
			var hello bson.M
			if err := db.RunCommand(ctx, bson.D{{Key: "hello", Value: 1}}).Decode(&hello); err != nil {
				return err
			}
			if hello["logicalSessionTimeoutMinutes"] == nil || hello["setName"] == nil {
				return fmt.Errorf("no sessions")
			}
			return nil
		},
	},
	{
		what: "RefreshTokensRotate", suite: true,
		reason: "FerretDB takes $slice beside $push and forgets it: a session keeps all its used tokens instead of the last 50. That one of many " +
			"callers rotates, the test shows before it comes to that",
	},
	{
		what: "AliasesStandForTheirIdentity", suite: true,
		reason: "FerretDB compares arrays whole in a unique index; MongoDB has an entry for each element, by which an address is one identity's, " +
			"own or alias",
	},
	{
		what: "IdentitiesAreFoundByAliases", suite: true,
		reason: "as AliasesStandForTheirIdentity",
	},
}

// leftOut are the names of tests of the suite that are skips.
func leftOut() map[string]string {
	names := map[string]string{}
	if os.Getenv(onlyEnv) != "" {
		return names // by TestSkipsAreNeeded
	}
	for _, s := range skips {
		if s.suite {
			names[s.what] = s.reason
		}
	}
	return names
}

func report(w io.Writer, took time.Duration) {
	if os.Getenv(onlyEnv) != "" {
		return
	}
	_, _ = fmt.Fprintf(w, "\nFerretDB v1.24.2: %d tests of the suite, %d left out, in %s. Not shown on FerretDB:\n",
		len(storetest.Names()), len(leftOut()), took.Round(100*time.Millisecond))
	for _, s := range skips {
		_, _ = fmt.Fprintf(w, "  - %s\n      %s\n", s.what, s.reason)
	}
}

// onlyEnv names the one test of the suite that this process is to run, left out or not.
const onlyEnv = "OMNI_FERRETTEST_ONLY"

func TestSkipsAreNeeded(t *testing.T) {
	t.Parallel()
	client, err := mongo.Connect(options.Client().ApplyURI(server))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, client.Disconnect(context.WithoutCancel(t.Context()))) })
	for _, s := range skips {
		t.Run(s.what, func(t *testing.T) {
			require.NotEmpty(t, s.reason)
			if !s.suite {
				require.Error(t, s.works(t.Context(), client.Database(newDatabase(t))), "FerretDB can do it: show it, and take it off the list")
				return
			}
			require.Contains(t, storetest.Names(), s.what)
			cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestContract$/^"+s.what+"$", "-test.timeout=2m")
			cmd.Env = append(os.Environ(), onlyEnv+"="+s.what)
			out, err := cmd.CombinedOutput()
			require.Error(t, err, "the test passes: take it off the list\n%s", out)
		})
	}
}
