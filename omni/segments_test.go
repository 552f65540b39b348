package omni_test

import (
	"strings"
	"testing"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"omniservice/omni"
)

// The two tables of 3GPP TS 23.038, written as the standard prints them: column by column, not copied from the code.
var (
	gsm7Columns = [8][16]rune{
		{'@', '£', '$', '¥', 'è', 'é', 'ù', 'ì', 'ò', 'Ç', '\n', 'Ø', 'ø', '\r', 'Å', 'å'},
		{'Δ', '_', 'Φ', 'Γ', 'Λ', 'Ω', 'Π', 'Ψ', 'Σ', 'Θ', 'Ξ', -1, 'Æ', 'æ', 'ß', 'É'},
		{' ', '!', '"', '#', '¤', '%', '&', '\'', '(', ')', '*', '+', ',', '-', '.', '/'},
		{'0', '1', '2', '3', '4', '5', '6', '7', '8', '9', ':', ';', '<', '=', '>', '?'},
		{'¡', 'A', 'B', 'C', 'D', 'E', 'F', 'G', 'H', 'I', 'J', 'K', 'L', 'M', 'N', 'O'},
		{'P', 'Q', 'R', 'S', 'T', 'U', 'V', 'W', 'X', 'Y', 'Z', 'Ä', 'Ö', 'Ñ', 'Ü', '§'},
		{'¿', 'a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i', 'j', 'k', 'l', 'm', 'n', 'o'},
		{'p', 'q', 'r', 's', 't', 'u', 'v', 'w', 'x', 'y', 'z', 'ä', 'ö', 'ñ', 'ü', 'à'},
	}
	gsm7Extension = map[byte]rune{
		0x0a: '\f', 0x14: '^', 0x28: '{', 0x29: '}', 0x2f: '\\', 0x3c: '[', 0x3d: '~', 0x3e: ']', 0x40: '|', 0x65: '€',
	}
)

func TestSegmentsKnowTheWholeAlphabet(t *testing.T) {
	t.Parallel()
	known := map[rune]int{}
	for _, column := range gsm7Columns {
		for _, r := range column {
			if r >= 0 {
				known[r] = 1
			}
		}
	}
	for _, r := range gsm7Extension {
		known[r] = 2
	}
	require.Len(t, known, 127+10)
	for r := rune(0); r <= 0x2fff; r++ {
		c, err := omni.CountSegments(string(r))
		require.NoError(t, err)
		require.Equal(t, 1, c.Segments)
		if n, ok := known[r]; ok {
			require.Equal(t, omni.SegmentCount{Segments: 1, Units: n}, c, "%U", r)
		} else {
			require.Equal(t, omni.SegmentCount{Segments: 1, Units: 1, Unicode: true}, c, "%U", r)
		}
	}
}

func TestSplitSegments(t *testing.T) {
	t.Parallel()
	rep := strings.Repeat
	tests := []struct {
		name  string
		text  string
		want  []int // length of each segment in units
		units int
		ucs2  bool
	}{
		{name: "nothing", want: []int{0}},
		{name: "one letter", text: "a", want: []int{1}, units: 1},
		{name: "fills one", text: rep("a", 160), want: []int{160}, units: 160},
		{name: "one too many", text: rep("a", 161), want: []int{153, 8}, units: 161},
		{name: "fills two", text: rep("a", 306), want: []int{153, 153}, units: 306},
		{name: "begins a third", text: rep("a", 307), want: []int{153, 153, 1}, units: 307},
		{name: "euro counts twice", text: rep("€", 80), want: []int{160}, units: 160},
		{name: "euro is not cut from its escape", text: rep("€", 81), want: []int{152, 10}, units: 162},
		{name: "escape would end the part", text: rep("a", 152) + "€" + rep("b", 10), want: []int{152, 12}, units: 164},
		{name: "line feed and form feed", text: "\n\r\f", want: []int{4}, units: 4},
		{name: "small c with cedilla is not in it", text: "ç", want: []int{1}, units: 1, ucs2: true},
		{name: "tab is not in it", text: "a\tb", want: []int{3}, units: 3, ucs2: true},
		{name: "escape itself is not text", text: "\x1b", want: []int{1}, units: 1, ucs2: true},
		{name: "one Cyrillic letter makes all of it UCS-2", text: rep("a", 69) + "ж", want: []int{70}, units: 70, ucs2: true},
		{name: "71 units", text: rep("ж", 71), want: []int{67, 4}, units: 71, ucs2: true},
		{name: "fills two UCS-2", text: rep("ж", 134), want: []int{67, 67}, units: 134, ucs2: true},
		{name: "35 emoji fill one", text: rep("😀", 35), want: []int{70}, units: 70, ucs2: true},
		{name: "an emoji is not cut in two", text: rep("😀", 36), want: []int{66, 6}, units: 72, ucs2: true},
		{name: "euro is one unit of UCS-2", text: "€ж", want: []int{2}, units: 2, ucs2: true},
		{name: "typographic quote", text: "it’s", want: []int{4}, units: 4, ucs2: true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			parts, err := omni.SplitSegments(tt.text)
			require.NoError(t, err)
			var got []int
			for _, p := range parts {
				got = append(got, segmentUnits(p, tt.ucs2))
			}
			require.Equal(t, tt.want, got)
			require.Equal(t, tt.text, strings.Join(parts, ""))
			c, err := omni.CountSegments(tt.text)
			require.NoError(t, err)
			require.Equal(t, omni.SegmentCount{Segments: len(tt.want), Units: tt.units, Unicode: tt.ucs2}, c)
		})
	}
}

func TestSegmentsRefuseInvalidUTF8(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"\xff", "a\xc3", "\xed\xa0\x80", strings.Repeat("a", 200) + "\x80"} {
		parts, err := omni.SplitSegments(text)
		require.ErrorIs(t, err, omni.ErrInvalid)
		require.Empty(t, parts)
		c, err := omni.CountSegments(text)
		require.ErrorIs(t, err, omni.ErrInvalid)
		require.Zero(t, c)
	}
}

func FuzzSplitSegments(f *testing.F) {
	for _, s := range []string{
		"", "hello", strings.Repeat("a", 161), strings.Repeat("€", 81), strings.Repeat("😀", 36),
		strings.Repeat("a", 152) + "[x]", "\xff", "héllo wörld ç", strings.Repeat("ab€", 200),
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		parts, err := omni.SplitSegments(text)
		c, countErr := omni.CountSegments(text)
		if !utf8.ValidString(text) {
			require.ErrorIs(t, err, omni.ErrInvalid)
			require.ErrorIs(t, countErr, omni.ErrInvalid)
			return
		}
		require.NoError(t, err)
		require.NoError(t, countErr)
		require.Equal(t, text, strings.Join(parts, ""))
		require.Len(t, parts, c.Segments)
		single, part := 160, 153
		if c.Unicode {
			single, part = 70, 67
		}
		total := 0
		for i, p := range parts {
			require.True(t, utf8.ValidString(p))
			n := segmentUnits(p, c.Unicode)
			total += n
			if len(parts) == 1 {
				require.LessOrEqual(t, n, single)
				continue
			}
			require.LessOrEqual(t, n, part)
			if i < len(parts)-1 { // a part is left short only for what cannot be cut
				first, _ := utf8.DecodeRuneInString(parts[i+1])
				require.Greater(t, n+segmentUnits(string(first), c.Unicode), part)
			}
		}
		require.Equal(t, c.Units, total)
		if total <= single {
			require.Len(t, parts, 1)
		}
	})
}

// segmentUnits measures s by the tables above.
func segmentUnits(s string, ucs2 bool) int {
	if ucs2 {
		return len(utf16.Encode([]rune(s)))
	}
	n := len([]rune(s))
	for _, r := range gsm7Extension {
		n += strings.Count(s, string(r))
	}
	return n
}

func BenchmarkCountSegments(b *testing.B) {
	text := strings.Repeat("Dear customer, your parcel [42] is on its way. ", 20)
	for b.Loop() {
		if _, err := omni.CountSegments(text); err != nil {
			b.Fatal(err)
		}
	}
}
