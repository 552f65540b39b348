package omni_test

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"omniservice/omni"
)

func TestCleanText(t *testing.T) {
	t.Parallel()
	full := strings.Repeat("a", omni.MaxText)
	tests := []struct{ name, in, want string }{
		{"empty", "", ""},
		{"plain", "hello", "hello"},
		{"nothing is escaped", "<b>&amp;\r\n\t\u202e$ne", "<b>&amp;\r\n\t\u202e$ne"},
		{"NUL goes", "a\x00b\x00", "ab"},
		{"broken bytes", "a\xff\xfeb", "a\uFFFDb"},
		{"half a character", "a\xc3", "a\uFFFD"},
		{"surrogate half", "\xed\xa0\x80", "\uFFFD"},
		{"a real U+FFFD stays", "\uFFFD", "\uFFFD"},
		{"just fits", full, full},
		{"one over", full + "b", full},
		{"cut inside 2 bytes", full[1:] + "é", full[1:]},
		{"cut inside 3 bytes", full[2:] + "€", full[2:]},
		{"cut inside 4 bytes", full[3:] + "😀", full[3:]},
		{"4 bytes fit", full[4:] + "😀" + "x", full[4:] + "😀"},
		{"U+FFFD at the cut", full[3:] + "\uFFFDx", full[3:] + "\uFFFD"},
		{"NUL does not count", full + "\x00", full},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := omni.CleanText(tt.in)
			require.Equal(t, len(tt.want), len(got)) //nolint:testifylint // require.Len would print 64 KiB
			require.True(t, tt.want == got)          //nolint:testifylint // as above
		})
	}
}

func FuzzCleanText(f *testing.F) {
	for _, s := range []string{"", "hello", "a\x00b", "\xff", "😀\xf0\x9f\x98", "\uFFFD\x80"} {
		f.Add(s, uint8(0))
		f.Add(s, uint8(3))
	}
	f.Fuzz(func(t *testing.T, s string, pad uint8) {
		got := omni.CleanText(s)
		require.True(t, utf8.ValidString(got))
		require.NotContains(t, got, "\x00")
		require.Equal(t, got, omni.CleanText(got), "cleaning twice is cleaning once")
		if utf8.ValidString(s) && !strings.Contains(s, "\x00") && len(s) <= omni.MaxText {
			require.Equal(t, s, got)
		}

		// The same at the cut: no more than 3 bytes are lost of what would have fitted.
		long := strings.Repeat("a", omni.MaxText-int(pad%8)) + got
		cut := omni.CleanText(long)
		require.LessOrEqual(t, len(cut), omni.MaxText)
		require.True(t, utf8.ValidString(cut))
		require.True(t, strings.HasPrefix(long, cut))
		if len(long) > omni.MaxText {
			require.Greater(t, len(cut), omni.MaxText-utf8.UTFMax)
		}
	})
}

func TestCleanName(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, in, want string }{
		{"empty", "", ""},
		{"plain", "Ana Ruiz", "Ana Ruiz"},
		{"spaces", "  Ana \t\n  Ruiz\u00a0 ", "Ana Ruiz"},
		{"control characters", "Ana\x1b[31m\x00\x7fRuiz\u0085", "Ana [31m Ruiz"},
		{"line separators", "Ana\u2028Ruiz\u2029", "Ana Ruiz"},
		{"turned around", "\u202egnp.exe\u202c", "gnp.exe"},
		{"isolates and marks", "a\u2066b\u2069c\u200ed\u200fe\u061cf", "abcdef"},
		{"only what goes", "\u202e\x00 \n", ""},
		{"broken bytes", "A\xffna", "A\uFFFDna"},
		{"markup stays: it is shown as text", "<b>Ana</b>", "<b>Ana</b>"},
		{"joined emoji stay", "👩\u200d🚀", "👩\u200d🚀"},
		{"201 characters", strings.Repeat("é", 201), strings.Repeat("é", 200)},
		{"a space at the cut", strings.Repeat("a", 199) + " b", strings.Repeat("a", 199)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, tt.want, omni.CleanName(tt.in))
		})
	}
}

func FuzzCleanName(f *testing.F) {
	for _, s := range []string{"", "Ana Ruiz", "\u202ea", " a\x00 ", "\xff", strings.Repeat("a ", 150), strings.Repeat("a", 199) + " b"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got := omni.CleanName(s)
		require.True(t, utf8.ValidString(got))
		require.LessOrEqual(t, utf8.RuneCountInString(got), 200)
		require.Equal(t, strings.TrimSpace(got), got)
		require.NotContains(t, got, "  ")
		for _, r := range got {
			require.False(t, unicode.IsControl(r), "%U", r)
			require.False(t, unicode.Is(unicode.Bidi_Control, r), "%U", r)
		}
		require.Equal(t, got, omni.CleanName(got), "cleaning twice is cleaning once")
		if got != "" { // what is cleaned may be stored
			c := validContact()
			c.Name = got
			require.NoError(t, c.Validate())
		}
	})
}
