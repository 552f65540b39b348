package app

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"omniservice/internal/folder"
	"omniservice/internal/seal"
	"omniservice/omni"
	"omniservice/store"
	"omniservice/store/sqlitestore"
	"omniservice/store/storetest"
)

var movingTime = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

func testKeys(t *testing.T, letter string) *seal.Keyring {
	t.Helper()
	keys, err := seal.New(letter, map[string][]byte{letter: bytes.Repeat([]byte(letter), seal.KeySize)})
	require.NoError(t, err)
	return keys
}

// stock is one in memory, with files in a folder.
func stock(t *testing.T, keys *seal.Keyring) *Stock {
	t.Helper()
	st, err := sqlitestore.New(t.Context(), sqlitestore.Memory, sqlitestore.Options{})
	require.NoError(t, err)
	files, err := folder.Open(t.TempDir())
	require.NoError(t, err)
	s := &Stock{Store: st, Files: files, Keys: keys}
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s
}

// filled is a stock with a record of every kind, many messages, and files of several sizes.
func filledStock(t *testing.T, keys *seal.Keyring) *Stock {
	t.Helper()
	s := stock(t, keys)
	storetest.Fill(t, s.Store)
	var rs []store.Record
	for n := range 1100 {
		r, err := store.MovedContacts.Record(omni.Contact{ID: fmt.Sprintf("contact-%04d", n), Name: strings.Repeat("näme ", n%50)})
		require.NoError(t, err)
		rs = append(rs, r)
	}
	require.NoError(t, s.Store.Load(t.Context(), rs))
	for n, size := range []int{0, 1, partSize, 2*partSize + 17} {
		_, _, err := s.Files.Put(t.Context(), fmt.Sprint("org-", n%2), bytes.NewReader(noise(size)))
		require.NoError(t, err)
	}
	return s
}

// noise does not compress.
func noise(n int) []byte {
	b := make([]byte, n)
	x := uint32(n) + 1
	for i := range b {
		x ^= x << 13
		x ^= x >> 17
		x ^= x << 5
		b[i] = byte(x)
	}
	return b
}

func exported(t *testing.T, s *Stock) ([]byte, Transfer) {
	t.Helper()
	var b bytes.Buffer
	done, err := Export(t.Context(), s, &b, ExportOptions{Version: "test", Now: movingTime})
	require.NoError(t, err)
	return b.Bytes(), done
}

// linesOf are the lines of an export without its header.
func linesOf(t *testing.T, export []byte) []string {
	t.Helper()
	z, err := gzip.NewReader(bytes.NewReader(export))
	require.NoError(t, err)
	b, err := io.ReadAll(z)
	require.NoError(t, err)
	lines := strings.Split(strings.TrimSuffix(string(b), "\n"), "\n")
	return lines[1:]
}

func filesOf(t *testing.T, s *Stock) []folder.File {
	t.Helper()
	var all []folder.File
	for f, err := range s.Files.All(folder.File{}) {
		require.NoError(t, err)
		all = append(all, f)
	}
	return all
}

func TestExportAndImportAreExact(t *testing.T) {
	t.Parallel()
	keys := testKeys(t, "a")
	from, to := filledStock(t, keys), stock(t, keys)
	b, done := exported(t, from)
	require.Positive(t, done.Records[filesKind])
	require.Positive(t, done.Records[store.MovedMessages.Kind])
	got, err := Import(t.Context(), to, bytes.NewReader(b), ImportOptions{Now: movingTime})
	require.NoError(t, err)
	require.Equal(t, done, got)
	again, _ := exported(t, to)
	require.Equal(t, linesOf(t, b), linesOf(t, again))
	require.Equal(t, filesOf(t, from), filesOf(t, to))
	require.NoError(t, readyStore(t.Context(), to.Store, keys))
	require.ErrorIs(t, readyStore(t.Context(), to.Store, testKeys(t, "b")), errWrongKey)

	// The same again does nothing; another one finds the store not empty any more.
	got, err = Import(t.Context(), to, bytes.NewReader(b), ImportOptions{Now: movingTime})
	require.NoError(t, err)
	require.Equal(t, done.SHA256, got.SHA256)
	other, otherDone := exported(t, from)
	require.Equal(t, done.SHA256, otherDone.SHA256)
	require.NotEqual(t, done.ID, otherDone.ID)
	_, err = Import(t.Context(), to, bytes.NewReader(other), ImportOptions{Now: movingTime})
	require.ErrorIs(t, err, omni.ErrConflict)
	require.ErrorContains(t, err, "--merge")
	_, err = Import(t.Context(), to, bytes.NewReader(b), ImportOptions{Now: movingTime, Merge: true})
	require.NoError(t, err)
	again, _ = exported(t, to)
	require.Equal(t, linesOf(t, b), linesOf(t, again))
}

// An export holds neither the secret key nor a credential that opens without it.
func TestSec_K1_ExportsHoldNoKey(t *testing.T) {
	t.Parallel()
	keys := testKeys(t, "k")
	b, _ := exported(t, filledStock(t, keys))
	text := strings.Join(linesOf(t, b), "\n")
	require.NotContains(t, text, strings.Repeat("k", 8))
	require.Contains(t, text, `"credentials"`)
	require.Contains(t, text, `"ciphertext"`)
}

// The file of an export that was killed is any beginning of it, perhaps with something else behind.
func TestExportGoesOn(t *testing.T) {
	t.Parallel()
	s := filledStock(t, testKeys(t, "a"))
	dir := t.TempDir()
	whole := filepath.Join(dir, "whole")
	o := ExportOptions{Version: "test", Now: movingTime}
	done, err := ExportFile(t.Context(), s, whole, o)
	require.NoError(t, err)
	want, err := os.ReadFile(whole)
	require.NoError(t, err)
	_, err = ExportFile(t.Context(), s, whole, o)
	require.ErrorContains(t, err, "complete export")
	require.ErrorIs(t, err, omni.ErrConflict)
	unchanged, err := os.ReadFile(whole)
	require.NoError(t, err)
	require.Equal(t, want, unchanged)

	cuts := []int{1, 10, 200, len(want) - 1, len(want) - 9}
	for i := range 3 {
		cuts = append(cuts, (i+1)*len(want)/4)
	}
	most := int64(0)
	for _, cut := range cuts {
		for _, tail := range []string{"", "\xff\xff\xff\xff\xff\xff\xff\xff"} {
			path := filepath.Join(dir, "cut")
			if tail != "" && (cut < 300 || cut%2 == 0) {
				continue // with less, nothing says that this is an export of ours
			}
			require.NoError(t, os.WriteFile(path, append(slices.Clone(want[:cut]), tail...), 0o600))
			got, err := ExportFile(t.Context(), s, path, o)
			require.NoError(t, err, cut)
			require.Equal(t, done.SHA256, got.SHA256)
			require.Equal(t, done.Records, got.Records)
			most = max(most, got.Skipped)
			b, err := os.ReadFile(path)
			require.NoError(t, err)
			require.Equal(t, linesOf(t, want), linesOf(t, b), "cut at %d", cut)
		}
	}
	require.Positive(t, most, "something was gone on with")

	other := filepath.Join(dir, "other")
	require.NoError(t, os.WriteFile(other, []byte("my diary"), 0o600))
	_, err = ExportFile(t.Context(), s, other, o)
	require.ErrorContains(t, err, "not an export")
	b, err := os.ReadFile(other)
	require.NoError(t, err)
	require.Equal(t, "my diary", string(b))

	require.NoError(t, os.WriteFile(other, want[:len(want)/2], 0o600))
	_, err = ExportFile(t.Context(), filledStock(t, testKeys(t, "a")), other, o)
	require.ErrorContains(t, err, "another store")
}

// flaky is a store whose n-th call to write fails, before it or after it was done.
type flaky struct {
	store.Store

	left  int
	after bool
}

var errKilled = errors.New("killed")

func (f *flaky) step(do func() error) error {
	f.left--
	if f.left == 0 && !f.after {
		return errKilled
	}
	if f.left < 0 {
		return errKilled
	}
	err := do()
	if f.left == 0 && f.after {
		return errKilled
	}
	return err
}

func (f *flaky) Load(ctx context.Context, rs []store.Record) error {
	return f.step(func() error { return f.Store.Load(ctx, rs) })
}

func (f *flaky) SetMarker(ctx context.Context, name string, value []byte) error {
	return f.step(func() error { return f.Store.SetMarker(ctx, name, value) })
}

// An import is killed at each of its writes, before and after it, again and again until it gets through.
func TestImportGoesOn(t *testing.T) {
	t.Parallel()
	keys := testKeys(t, "a")
	from := filledStock(t, keys)
	b, done := exported(t, from)
	for _, after := range []bool{false, true} {
		to := stock(t, keys)
		whole := to.Store
		tries := 0
		for {
			tries++
			require.Less(t, tries, 200)
			to.Store = &flaky{Store: whole, left: 5 + tries/3, after: after}
			got, err := Import(t.Context(), to, bytes.NewReader(b), ImportOptions{Now: movingTime})
			to.Store = whole
			if err == nil {
				require.Equal(t, done.SHA256, got.SHA256)
				require.Positive(t, got.Skipped)
				break
			}
			require.ErrorIs(t, err, errKilled)
			if mark, _ := whole.Marker(t.Context(), markerImport); mark != nil {
				require.ErrorContains(t, readyStore(t.Context(), whole, keys), "not finished")
			}
		}
		again, _ := exported(t, to)
		require.Equal(t, linesOf(t, b), linesOf(t, again))
		require.Equal(t, filesOf(t, from), filesOf(t, to))
	}

	// A stream that is cut off can be gone on with by a whole one, and by no other.
	to := stock(t, keys)
	_, err := Import(t.Context(), to, bytes.NewReader(b[:len(b)/2]), ImportOptions{Now: movingTime})
	require.ErrorIs(t, err, errCut)
	other, _ := exported(t, from)
	_, err = Import(t.Context(), to, bytes.NewReader(other), ImportOptions{Now: movingTime})
	require.ErrorContains(t, err, "another export")
	got, err := Import(t.Context(), to, bytes.NewReader(b), ImportOptions{Now: movingTime})
	require.NoError(t, err)
	require.Positive(t, got.Skipped)
	again, _ := exported(t, to)
	require.Equal(t, linesOf(t, b), linesOf(t, again))
}

func TestDamagedExportsAreRefused(t *testing.T) {
	t.Parallel()
	keys := testKeys(t, "a")
	from := stock(t, keys)
	storetest.Fill(t, from.Store)
	_, _, err := from.Files.Put(t.Context(), "org", strings.NewReader("a file"))
	require.NoError(t, err)
	b, _ := exported(t, from)
	path := filepath.Join(t.TempDir(), "export")
	importFrom := func(content []byte) (*Stock, error) {
		to := stock(t, keys)
		require.NoError(t, os.WriteFile(path, content, 0o600))
		_, err := ImportFile(t.Context(), to, path, ImportOptions{Now: movingTime})
		return to, err
	}
	empty := func(to *Stock) {
		rs, _, err := to.Store.Dump(t.Context(), store.Position{}, 1)
		require.NoError(t, err)
		require.Empty(t, rs, "nothing was loaded")
		require.Empty(t, filesOf(t, to))
	}
	for cut := 0; cut < len(b); cut += len(b)/12 + 1 {
		to, err := importFrom(b[:cut])
		require.ErrorIs(t, err, omni.ErrInvalid, "cut at %d", cut)
		empty(to)
	}
	for i := 0; i < len(b); i += len(b)/60 + 1 {
		bad := slices.Clone(b)
		bad[i] ^= 0x10
		to, err := importFrom(bad)
		if err == nil {
			// A byte of a piece's head that means nothing: time, system.
			again, _ := exported(t, to)
			require.Equal(t, linesOf(t, b), linesOf(t, again), "byte %d", i)
			continue
		}
		require.ErrorIs(t, err, omni.ErrInvalid, "byte %d", i)
		empty(to)
	}

	rewritten := func(change func(lines []string) []string) []byte {
		z, err := gzip.NewReader(bytes.NewReader(b))
		require.NoError(t, err)
		text, err := io.ReadAll(z)
		require.NoError(t, err)
		lines := change(strings.Split(strings.TrimSuffix(string(text), "\n"), "\n"))
		var out bytes.Buffer
		w := gzip.NewWriter(&out)
		_, err = io.WriteString(w, strings.Join(lines, "\n")+"\n")
		require.NoError(t, err)
		require.NoError(t, w.Close())
		return out.Bytes()
	}
	to, err := importFrom(rewritten(func(l []string) []string { return l }))
	require.NoError(t, err)
	again, _ := exported(t, to)
	require.Equal(t, linesOf(t, b), linesOf(t, again))
	for name, c := range map[string]struct {
		change func(l []string) []string
		says   string
	}{
		"a line is missing":  {func(l []string) []string { return slices.Delete(l, 3, 4) }, "checksum"},
		"two lines changed":  {func(l []string) []string { l[2], l[3] = l[3], l[2]; return l }, "checksum"},
		"a line is changed":  {func(l []string) []string { l[2] = strings.Replace(l[2], "1", "2", 1); return l }, "checksum"},
		"no end":             {func(l []string) []string { return l[:len(l)-1] }, "cut off"},
		"more after the end": {func(l []string) []string { return append(l, l[2]) }, "follows"},
		"a newer format":     {func(l []string) []string { l[0] = strings.Replace(l[0], `"format":1`, `"format":2`, 1); return l }, "format is 2"},
		"something else":     {func(l []string) []string { l[0] = `{"hello":"world"}`; return l }, "no export"},
		"not JSON":           {func(l []string) []string { l[1] = "{"; return l }, "line 2"},
		"nothing but a name": {func(l []string) []string { return l[:1] }, "cut off"},
		"counts that are off": {func(l []string) []string {
			l[len(l)-1] = strings.Replace(l[len(l)-1], `"users":3`, `"users":4`, 1)
			return l
		}, "and says 4"},
	} {
		to, err := importFrom(rewritten(c.change))
		require.ErrorIs(t, err, omni.ErrInvalid, name)
		require.ErrorContains(t, err, c.says, name)
		empty(to)
	}
	_, err = importFrom([]byte("my diary"))
	require.ErrorContains(t, err, "no export")
}

func TestTheKeyHasToFit(t *testing.T) {
	t.Parallel()
	b, _ := exported(t, filledStock(t, testKeys(t, "a")))
	for name, keys := range map[string]*seal.Keyring{"another": testKeys(t, "b"), "none": nil} {
		to := stock(t, keys)
		_, err := Import(t.Context(), to, bytes.NewReader(b), ImportOptions{Now: movingTime})
		require.ErrorIs(t, err, errWrongKey, name)
		rs, _, err := to.Store.Dump(t.Context(), store.Position{}, 1)
		require.NoError(t, err)
		require.Empty(t, rs)
		_, err = Import(t.Context(), to, bytes.NewReader(b), ImportOptions{Now: movingTime, AnyKey: true})
		require.NoError(t, err, name)
	}
	both, err := seal.New("b", map[string][]byte{"a": bytes.Repeat([]byte("a"), seal.KeySize), "b": bytes.Repeat([]byte("b"), seal.KeySize)})
	require.NoError(t, err)
	to := stock(t, both)
	_, err = Import(t.Context(), to, bytes.NewReader(b), ImportOptions{Now: movingTime})
	require.NoError(t, err, "a key that was rotated still opens")
	require.NoError(t, readyStore(t.Context(), to.Store, testKeys(t, "b")), "the store is the new key's from now on")
}

func TestNothingMovesWhileAGatewayRuns(t *testing.T) {
	t.Parallel()
	keys := testKeys(t, "a")
	s := filledStock(t, keys)
	l, err := s.Store.AcquireLock(t.Context(), "inbox/1", "node-7", omni.MillisOf(movingTime), 15*time.Second)
	require.NoError(t, err)
	_, err = Export(t.Context(), s, io.Discard, ExportOptions{Now: movingTime})
	require.ErrorIs(t, err, omni.ErrConflict)
	require.ErrorContains(t, err, "node-7")
	var b bytes.Buffer
	_, err = Export(t.Context(), s, &b, ExportOptions{Now: movingTime, Live: true})
	require.NoError(t, err)
	_, err = Import(t.Context(), s, bytes.NewReader(b.Bytes()), ImportOptions{Now: movingTime, Merge: true})
	require.ErrorIs(t, err, omni.ErrConflict)
	require.NoError(t, s.Store.ReleaseLock(t.Context(), l))
	_, err = Import(t.Context(), s, bytes.NewReader(b.Bytes()), ImportOptions{Now: movingTime, Merge: true})
	require.NoError(t, err)
}
