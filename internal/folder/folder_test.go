package folder_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"github.com/stretchr/testify/require"

	"omniservice/internal/folder"
)

func open(t *testing.T, path string) *folder.Folder {
	t.Helper()
	f, err := folder.Open(path)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, f.Close()) })
	return f
}

// files lists the files under path.
func files(t *testing.T, path string) []string {
	t.Helper()
	var all []string
	require.NoError(t, filepath.WalkDir(path, func(p string, e fs.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			all = append(all, strings.TrimPrefix(p, path))
		}
		return err
	}))
	return all
}

func TestWhatIsPutIsThere(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "media")
	f := open(t, path)
	content := bytes.Repeat([]byte("0123456789"), 20_000)
	hash := sha256.Sum256(content)
	want := hex.EncodeToString(hash[:])
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			sum, size, err := f.Put(t.Context(), "org-1", bytes.NewReader(content))
			require.NoError(t, err)
			require.Equal(t, want, sum)
			require.Equal(t, int64(len(content)), size)
		})
	}
	wg.Wait()
	require.Len(t, files(t, path), 1, "the same content is kept once")

	f = open(t, path) // as after a restart
	r, err := f.Open(t.Context(), "org-1", want)
	require.NoError(t, err)
	got, err := io.ReadAll(r)
	require.NoError(t, err)
	require.Equal(t, content, got)
	_, err = r.Seek(-3, io.SeekEnd)
	require.NoError(t, err)
	got, err = io.ReadAll(r)
	require.NoError(t, err)
	require.Equal(t, "789", string(got))
	require.NoError(t, r.Close())

	require.NoError(t, filepath.WalkDir(path, func(p string, e fs.DirEntry, err error) error {
		require.NoError(t, err)
		info, err := e.Info()
		require.NoError(t, err)
		mode := fs.FileMode(0o600)
		if e.IsDir() {
			mode = 0o700
		}
		require.Equal(t, mode, info.Mode().Perm(), p)
		return nil
	}))
}

func TestNobodyGetsAnotherOwnersFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "secret"), []byte("x"), 0o600))
	f := open(t, filepath.Join(dir, "media"))
	sum, _, err := f.Put(t.Context(), "org-1", strings.NewReader("mine"))
	require.NoError(t, err)
	for _, c := range []struct{ owner, sum string }{
		{"org-2", sum},
		{"org-1", strings.Repeat("0", 64)},
		{"org-1", strings.ToUpper(sum)},
		{"org-1", ""},
		{"", sum},
		{"org-1/", sum},
		{"../media/org-1", sum},
		{"..", "secret"},
		{"org-1", "../../../secret"},
		{"org-1", sum + "/.."},
	} {
		_, err := f.Open(t.Context(), c.owner, c.sum)
		require.ErrorIs(t, err, fs.ErrNotExist, "%q %q", c.owner, c.sum)
	}
	for _, owner := range []string{"", "..", "a/b", "incoming", strings.Repeat("a", 65), "a\x00"} {
		_, _, err := f.Put(t.Context(), owner, strings.NewReader("x"))
		require.Error(t, err, owner)
	}
}

func TestNothingIsLeftOfAFailure(t *testing.T) {
	t.Parallel()
	path := t.TempDir()
	f := open(t, path)
	boom := errors.New("boom")
	_, _, err := f.Put(t.Context(), "org-1", io.MultiReader(strings.NewReader("half"), iotest.ErrReader(boom)))
	require.ErrorIs(t, err, boom)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, _, err = f.Put(ctx, "org-1", strings.NewReader("whole"))
	require.ErrorIs(t, err, context.Canceled)
	require.Empty(t, files(t, path))

	// A crash leaves what was being written; it goes at a later start.
	old, fresh := filepath.Join(path, "incoming", "old"), filepath.Join(path, "incoming", "fresh")
	for _, p := range []string{old, fresh} {
		require.NoError(t, os.WriteFile(p, []byte("half"), 0o600))
	}
	require.NoError(t, os.Chtimes(old, time.Time{}, time.Now().Add(-2*time.Hour)))
	open(t, path)
	require.NoFileExists(t, old)
	require.FileExists(t, fresh)

	notADirectory := filepath.Join(path, "file")
	require.NoError(t, os.WriteFile(notADirectory, nil, 0o600))
	_, err = folder.Open(notADirectory)
	require.Error(t, err)
}

func TestFilesAreListedInOrder(t *testing.T) {
	t.Parallel()
	f := open(t, t.TempDir())
	var want []folder.File
	for _, owner := range []string{"org-2", "org-1", "org-10"} {
		for n := range 20 {
			sum, size, err := f.Put(t.Context(), owner, strings.NewReader(strings.Repeat("x", n)))
			require.NoError(t, err)
			want = append(want, folder.File{Owner: owner, Sum: sum, Size: size})
		}
	}
	slices.SortFunc(want, func(a, b folder.File) int { return strings.Compare(a.Owner+" "+a.Sum, b.Owner+" "+b.Sum) })
	list := func(after folder.File) []folder.File {
		var got []folder.File
		for file, err := range f.All(after) {
			require.NoError(t, err)
			got = append(got, file)
		}
		return got
	}
	require.Equal(t, want, list(folder.File{}))
	for i, file := range want {
		require.Len(t, list(file), len(want)-1-i)
	}
	for file, err := range f.All(folder.File{}) {
		require.NoError(t, err)
		require.Equal(t, want[0], file)
		break
	}
	require.Empty(t, slices.Collect(maps.Keys(maps.Collect(open(t, t.TempDir()).All(folder.File{})))))
}

func TestWhatIsRemovedIsGone(t *testing.T) {
	t.Parallel()
	path := t.TempDir()
	f := open(t, path)
	put := func(owner, content string, age time.Duration) string {
		sum, _, err := f.Put(t.Context(), owner, strings.NewReader(content))
		require.NoError(t, err)
		when := time.Now().Add(-age)
		require.NoError(t, os.Chtimes(filepath.Join(path, owner, sum[:2], sum), when, when))
		return sum
	}
	gone, stays := put("a", "gone", 0), put("a", "stays", 0)
	require.NoError(t, f.Remove(t.Context(), "a", gone))
	require.NoError(t, f.Remove(t.Context(), "a", gone), "it is not there: that is what was wanted")
	require.NoError(t, f.Remove(t.Context(), "../a", stays))
	require.NoError(t, f.Remove(t.Context(), "a", "../"+stays))
	_, err := f.Open(t.Context(), "a", gone)
	require.ErrorIs(t, err, fs.ErrNotExist)
	require.Len(t, files(t, path), 1)
	require.NoError(t, f.Remove(t.Context(), "a", stays))
	require.NoDirExists(t, filepath.Join(path, "a"))

	put("b", "old", 3*time.Hour)
	put("c", "old", 2*time.Hour)
	young := put("c", "young", 0)
	n, err := f.RemoveBefore(t.Context(), time.Now().Add(-time.Hour))
	require.NoError(t, err)
	require.Equal(t, 2, n)
	require.NoDirExists(t, filepath.Join(path, "b"))
	r, err := f.Open(t.Context(), "c", young)
	require.NoError(t, err)
	require.NoError(t, r.Close())
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = f.RemoveBefore(ctx, time.Now().Add(time.Hour))
	require.ErrorIs(t, err, context.Canceled)
}
