package spool_test

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"omniservice/store/spool"
)

// image is the files of a spool with records, as a crash leaves them.
func image(t testing.TB, records []string) (name string, segment []byte, ends []int) {
	t.Helper()
	dir := t.TempDir()
	s, err := spool.Open(dir, keys, spool.Options{})
	require.NoError(t, err)
	for _, r := range records {
		add(t, s, r)
		ends = append(ends, int(s.Stats().Bytes))
	}
	require.NoError(t, s.Close())
	files, err := filepath.Glob(filepath.Join(dir, "*.spool"))
	require.NoError(t, err)
	require.Len(t, files, 1)
	segment, err = os.ReadFile(files[0])
	require.NoError(t, err)
	require.Len(t, segment, ends[len(ends)-1])
	return filepath.Base(files[0]), segment, ends
}

// readBack opens a spool on a segment and returns what is good in it, and how much was set aside.
func readBack(t testing.TB, name string, segment []byte) (got []string, aside int64) {
	t.Helper()
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, name), segment, 0o600))
	s, err := spool.Open(dir, keys, spool.Options{Wrap: func(d spool.Disk) spool.Disk { return hasty{d} }})
	require.NoError(t, err)
	got = drain(t, s, 2)
	aside = s.Stats().SetAside
	require.Len(t, damaged(t, dir), int(aside))
	add(t, s, "afterwards")
	require.Equal(t, []string{"afterwards"}, drain(t, s, 2), "it goes on after damage")
	require.NoError(t, s.Close())
	return got, aside
}

func TestR14_CutAtEveryByte(t *testing.T) {
	t.Parallel()
	records := []string{"one", "", "three, a little longer", "four", "five"}
	name, segment, ends := image(t, records)
	cuts := 0
	for cut := range segment {
		whole, atEdge := 0, cut == 0
		for i, end := range ends {
			if end <= cut {
				whole = i + 1
				atEdge = end == cut
			}
		}
		got, aside := readBack(t, name, segment[:cut])
		require.Equal(t, records[:whole], append([]string{}, got...), "cut at %d", cut)
		if atEdge {
			require.Zero(t, aside, "cut at %d", cut)
		} else {
			require.EqualValues(t, 1, aside, "cut at %d", cut)
			cuts++
		}
	}
	t.Logf("R14: cut at each of %d bytes: every whole record before the cut was read, %d torn ones set aside, panics 0", len(segment), cuts)
}

func TestR14_EveryByteFlipped(t *testing.T) {
	t.Parallel()
	records := []string{"one", "", "three, a little longer", "four", "five"}
	name, segment, ends := image(t, records)
	for _, flip := range []byte{0x01, 0x80, 0xff} {
		for at := range segment {
			b := slices.Clone(segment)
			b[at] ^= flip
			hit := slices.IndexFunc(ends, func(end int) bool { return at < end })
			got, aside := readBack(t, name, b)
			require.Equal(t, slices.Delete(slices.Clone(records), hit, hit+1), got, "byte %d ^ %#x", at, flip)
			require.EqualValues(t, 1, aside, "byte %d ^ %#x", at, flip)
		}
	}
	t.Logf("R14: each of %d bytes flipped in 3 ways: the %d other records were read, the bad one set aside, panics 0", len(segment), len(records)-1)
}

func TestR14_OtherDamage(t *testing.T) {
	t.Parallel()
	records := []string{"one", "two", "three"}
	name, segment, ends := image(t, records)
	first, second, third := segment[:ends[0]], segment[ends[0]:ends[1]], segment[ends[1]:]
	huge := slices.Concat(first[:4], []byte{0xff, 0xff, 0xff, 0xff}, first[8:])
	for what, c := range map[string]struct {
		segment []byte
		want    []string
		aside   int64
	}{
		"zeros before":       {slices.Concat(make([]byte, 5000), segment), records, 1},
		"zeros after":        {slices.Concat(segment, make([]byte, 4096)), records, 1},
		"zeros between":      {slices.Concat(first, make([]byte, 100), second, third), records, 1},
		"bytes left out":     {slices.Concat(first[:20], second, third), records[1:], 1},
		"a byte left out":    {slices.Delete(slices.Clone(segment), ends[0]+7, ends[0]+8), []string{"one", "three"}, 1},
		"only markers":       {slices.Concat(first[:4], first[:4], first[:4], segment), records, 1},
		"a length too large": {slices.Concat(huge, second, third), records[1:], 1},
		"twice":              {slices.Concat(segment, third), []string{"one", "two", "three", "three"}, 0},
		"two stretches":      {slices.Concat([]byte("x"), first, []byte("y"), second), records[:2], 2},
		"nothing good":       {[]byte("this was never a spool, and it is longer than a header"), nil, 1},
	} {
		got, aside := readBack(t, name, c.segment)
		require.Equal(t, c.want, got, what)
		require.Equal(t, c.aside, aside, what)
	}

	// A damaged position means that it begins with what there is.
	for _, position := range []string{"", "short", string(make([]byte, 1024))} {
		dir := t.TempDir()
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), segment, 0o600))
		require.NoError(t, os.WriteFile(filepath.Join(dir, "position"), []byte(position), 0o600))
		s := open(t, dir, spool.Options{})
		require.Equal(t, records, drain(t, s, 10))
	}
}

// What comes out was put in, whatever else stands in the file.
func FuzzSegment(f *testing.F) {
	records := []string{"one", "two", "three"}
	name, segment, ends := image(f, records)
	f.Add(segment)
	f.Add(segment[:ends[1]-3])
	f.Add(slices.Concat([]byte("garbage"), segment[3:]))
	f.Add(slices.Concat(segment, segment))
	f.Add([]byte{})
	f.Add(make([]byte, 100))
	f.Fuzz(func(t *testing.T, b []byte) {
		got, _ := readBack(t, name, b)
		for _, text := range got {
			require.Contains(t, records, text)
		}
	})
}
