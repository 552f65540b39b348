package sqlitestore

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"omniservice/omni"
	"omniservice/store"
	"omniservice/store/storetest"
)

func TestMain(m *testing.M) {
	if path := os.Getenv(helperEnv); path != "" {
		_, _ = fmt.Fprintln(os.Stderr, helper(path))
		os.Exit(1)
	}
	if path := os.Getenv(migrateEnv); path != "" {
		if err := migrateAtOnce(path); err != nil {
			_, _ = fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

func TestContractInAFile(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(t *testing.T) store.Store {
		t.Helper()
		return open(t, filepath.Join(t.TempDir(), "omni.db"))
	})
}

func TestContractInMemory(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(t *testing.T) store.Store {
		t.Helper()
		return open(t, Memory)
	})
}

func TestSec_W6_OneRowPerCarrierID(t *testing.T) {
	t.Parallel()
	storetest.OneRowPerCarrierID(t, open(t, filepath.Join(t.TempDir(), "omni.db")))
}

func TestReopened(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "omni.db")
	storetest.Reopened(t, func() store.Store {
		s, err := New(t.Context(), path, Options{})
		require.NoError(t, err)
		return s
	})
}

func FuzzCursor(f *testing.F) {
	k := key{number: 42, text: "Anna", id: "0190"}
	f.Add("list", cursorText("list", k))
	f.Add("list", "")
	f.Add("list", "AAAAAAAAAAAAAAAA")
	f.Add("other", cursorText("list", k))
	f.Fuzz(func(t *testing.T, list, cursor string) {
		got, err := parseCursor(list, cursor)
		if err != nil {
			require.ErrorIs(t, err, omni.ErrInvalid)
			return
		}
		require.Equal(t, cursor, cursorText(list, got), "one text for one place")
	})
}

func TestCursorsComeBack(t *testing.T) {
	t.Parallel()
	for _, k := range []key{{}, {number: -1}, {number: 1 << 62, id: "x"}, {text: "\xff\x00ä", id: "y"}, {text: strings.Repeat("n", 800), id: omni.NewID()}} {
		text := cursorText("list", k)
		got, err := parseCursor("list", text)
		require.NoError(t, err)
		require.Equal(t, k, got)
		for i := range text {
			cut := text[:i] + text[i+1:]
			_, err := parseCursor("list", cut)
			require.ErrorIs(t, err, omni.ErrInvalid)
		}
	}
}
