package mongostore

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/event"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"omniservice/store"
	"omniservice/store/storetest"
)

// explained are the commands that look for documents. Inserts look for none; getMore goes on with what find began.
var explained = []string{"find", "aggregate", "update", "delete", "findAndModify", "count", "distinct"}

// sent is a command of some shape, as it was sent first.
type sent struct {
	database string
	command  bson.D
}

// everyCommandUsesAnIndex runs the suite, keeps one command of each shape that it sends, and asks the server how it runs
// them. None may read a whole collection. Those that sort what they have read are told.
func everyCommandUsesAnIndex(t *testing.T) {
	var mu sync.Mutex
	shapes := map[string]sent{}
	monitor := collect(func(e *event.CommandStartedEvent) {
		if !slices.Contains(explained, e.CommandName) {
			return
		}
		var d bson.D
		if bson.Unmarshal(e.Command, &d) != nil {
			return
		}
		mu.Lock()
		defer mu.Unlock()
		for _, one := range apart(d) {
			key := shape(one)
			if _, ok := shapes[key]; !ok {
				shapes[key] = sent{e.DatabaseName, one}
			}
		}
	})
	t.Run("suite", func(t *testing.T) {
		storetest.Run(t, func(t *testing.T) store.Store {
			t.Helper()
			return open(t, Options{commands: monitor})
		})
	})
	require.NotEmpty(t, shapes)

	s := open(t, Options{})
	var first bson.D
	err := s.db.RunCommand(t.Context(), explain(shapes[keys(shapes)[0]].command)).Decode(&first)
	if se := mongo.ServerError(nil); err != nil && isServerError(err, &se) {
		t.Logf("the server cannot explain (%v): %d commands are not looked at", err, len(shapes))
		return
	}
	require.NoError(t, err)
	for _, key := range keys(shapes) {
		var plan bson.D
		require.NoError(t, s.db.RunCommand(t.Context(), explain(shapes[key].command)).Decode(&plan), key)
		stages := stagesOf(plan)
		require.NotEmpty(t, stages, "%s\n%v", key, plan)
		require.NotContains(t, stages, "COLLSCAN", "a whole collection is read\n%s", key)
		if slices.Contains(stages, "SORT") {
			t.Logf("sorts: %s", key)
		}
	}
	t.Logf("%d commands of different shapes, each with an index", len(shapes))
}

func keys(m map[string]sent) []string {
	var all []string
	for k := range m {
		all = append(all, k)
	}
	slices.Sort(all)
	return all
}

// plain are the parts of a command that explain takes.
var plain = []string{
	"find", "aggregate", "update", "delete", "findAndModify", "count", "distinct", "filter", "sort", "limit", "projection",
	"pipeline", "cursor", "updates", "deletes", "query", "fields", "new", "remove", "upsert", "key", "skip", "arrayFilters", "hint",
}

// apart is a command for each update or delete that d has, without what belongs to its sending.
func apart(d bson.D) []bson.D {
	var base bson.D
	var parts bson.A
	list := ""
	for _, e := range d {
		switch {
		case e.Key == "updates" || e.Key == "deletes":
			list = e.Key
			parts, _ = e.Value.(bson.A)
		case slices.Contains(plain, e.Key):
			base = append(base, e)
		case e.Key == "update": // of findAndModify; the name of an update is the first
			base = append(base, e)
		}
	}
	if list == "" {
		return []bson.D{base}
	}
	var all []bson.D
	for _, p := range parts {
		all = append(all, append(slices.Clone(base), bson.E{Key: list, Value: bson.A{p}}))
	}
	return all
}

func explain(command bson.D) bson.D {
	return bson.D{{Key: "explain", Value: command}, {Key: "verbosity", Value: "queryPlanner"}}
}

// shape is a command without its values: its names, operators, sort and limits.
func shape(v any) string {
	switch v := v.(type) {
	case bson.D:
		var parts []string
		for _, e := range v {
			text := shape(e.Value)
			if name, ok := e.Value.(string); ok && slices.Contains(explained, e.Key) {
				text = name // the collection
			} else if e.Key == "sort" {
				text = fmt.Sprint(e.Value)
			}
			parts = append(parts, e.Key+":"+text)
		}
		return "{" + strings.Join(parts, " ") + "}"
	case bson.A:
		seen := map[string]bool{}
		var parts []string
		for _, e := range v {
			if text := shape(e); !seen[text] {
				seen[text] = true
				parts = append(parts, text)
			}
		}
		return "[" + strings.Join(parts, " ") + "]"
	default:
		return "?"
	}
}

// stagesOf are the names of all stages of a plan, of each shard, the chosen ones alone.
func stagesOf(v any) []string {
	var stages []string
	switch v := v.(type) {
	case bson.D:
		for _, e := range v {
			switch name, _ := e.Value.(string); {
			case e.Key == "rejectedPlans":
			case e.Key == "stage" && name != "":
				stages = append(stages, name)
			default:
				stages = append(stages, stagesOf(e.Value)...)
			}
		}
	case bson.A:
		for _, e := range v {
			stages = append(stages, stagesOf(e)...)
		}
	}
	return stages
}

// indexesAreCompared shows that what is there otherwise than it should be is reported, and nothing is changed.
func indexesAreCompared(t *testing.T) {
	t.Parallel()
	s := openAt(t, "test_"+t.Name()[len(t.Name())-8:], Options{})
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	ctx := t.Context()
	view := s.coll(collUsers).Indexes()
	_, err := view.CreateMany(ctx, []mongo.IndexModel{
		{Keys: ascending("email")}, // not unique
		{Keys: ascending("shoeSize"), Options: options.Index().SetName("shoes")},
	})
	require.NoError(t, err)
	missing, err := s.CheckIndexes(ctx)
	require.NoError(t, err)
	require.Contains(t, missing, Difference{collChannels, "widget_1", "is missing"})
	want := []Difference{
		{collUsers, "email_1", "unique is false, not true"},
		{collUsers, "shoes", "is not one of this program's"},
	}
	for range 2 {
		diffs, err := s.EnsureIndexes(ctx)
		require.NoError(t, err)
		require.Equal(t, want, diffs)
	}
	require.NoError(t, view.DropOne(ctx, "shoes"))
	require.NoError(t, view.DropOne(ctx, "email_1"))
	diffs, err := s.EnsureIndexes(ctx)
	require.NoError(t, err)
	require.Empty(t, diffs)
	diffs, err = s.CheckIndexes(ctx)
	require.NoError(t, err)
	require.Empty(t, diffs)
}
