package ferrettest

import (
	"testing"

	"github.com/stretchr/testify/require"

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
