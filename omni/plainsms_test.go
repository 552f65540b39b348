package omni_test

import (
	"encoding/json"
	"os"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"omniservice/omni"
)

// smsCases are shared with the composer, which counts the same way.
type smsCases struct {
	Segments []struct {
		Name     string
		Text     string
		Segments int
		Units    int
		Unicode  bool
	}
	Plain []struct {
		Name         string
		Text         string
		Plain        string
		Replacements []omni.Replacement
	}
	Table []struct{ From, To string }
}

func readSMSCases(tb testing.TB) smsCases {
	tb.Helper()
	raw, err := os.ReadFile("testdata/segments.json")
	require.NoError(tb, err)
	var all smsCases
	require.NoError(tb, json.Unmarshal(raw, &all))
	require.NotEmpty(tb, all.Segments)
	require.NotEmpty(tb, all.Plain)
	require.NotEmpty(tb, all.Table)
	return all
}

func TestSharedSegments(t *testing.T) {
	t.Parallel()
	for _, c := range readSMSCases(t).Segments {
		got, err := omni.CountSegments(c.Text)
		require.NoError(t, err, c.Name)
		require.Equal(t, omni.SegmentCount{Segments: c.Segments, Units: c.Units, Unicode: c.Unicode}, got, c.Name)
	}
}

func TestPlainSMS(t *testing.T) {
	t.Parallel()
	all := readSMSCases(t)
	for _, c := range all.Plain {
		got, replaced := omni.PlainSMS(c.Text)
		require.Equal(t, c.Plain, got, c.Name)
		if len(c.Replacements) == 0 {
			require.Nil(t, replaced, c.Name)
		} else {
			require.Equal(t, c.Replacements, replaced, c.Name)
		}
	}
	for _, form := range all.Table {
		got, replaced := omni.PlainSMS("a" + form.From + "b" + form.From)
		require.Equal(t, "a"+form.To+"b"+form.To, got, "%q", form.From)
		require.Equal(t, []omni.Replacement{{From: form.From, To: form.To, Count: 2}}, replaced)
	}
	require.Equal(t, len(all.Table), omni.PlainForms(), "the table of the cases is whole")
	for _, text := range []string{"\xff’", "’\xed\xa0\x80"} {
		got, replaced := omni.PlainSMS(text)
		require.Equal(t, text, got)
		require.Nil(t, replaced)
	}
}

func FuzzPlainSMS(f *testing.F) {
	for _, c := range readSMSCases(f).Plain {
		f.Add(c.Text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got, replaced := omni.PlainSMS(text)
		if replaced == nil {
			if got != text {
				t.Fatal("changed, and does not say what")
			}
			return
		}
		c, err := omni.CountSegments(got)
		if err != nil || c.Unicode || !utf8.ValidString(got) {
			t.Fatalf("%q is not plain", got)
		}
		if again, more := omni.PlainSMS(got); again != got || more != nil {
			t.Fatalf("%q is replaced again", got)
		}
	})
}
