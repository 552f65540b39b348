// Package search says what a search finds: how a text is cut into terms that an index keeps (Terms), which of them a query
// needs (Query.Terms), and whether a text really matches, and where (Query.Match).
//
// The terms are a net with holes of a known size: a record that matches has all terms of the query, but not every record
// that has them matches. So a store takes from its index what has the terms, reads the records, and asks Match. Whatever
// the index is, the results are the same, and an index that is behind leaves something out but never shows what is wrong.
package search

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// class is what a folded character is part of.
type class uint8

const (
	between class = iota // stands between words
	word                 // letters and digits of scripts that put something between words
	dense                // letters of scripts that do not, and symbols
)

// unit is a character of a folded text, and where it comes from.
type unit struct {
	r          rune
	class      class
	start, end int // bytes of the original
}

// digit reports whether u is a digit. Digits of all scripts have become these.
func (u unit) digit() bool { return u.r >= '0' && u.r <= '9' }

// maxUnits is how many characters of a text are looked at.
const maxUnits = 16384

// fold makes texts that people take for the same the same: case, accents, vowel signs, width, ligatures and the script of
// digits go.
func fold(text string) []unit {
	units := make([]unit, 0, min(len(text), maxUnits))
	if norm.NFC.IsNormalString(text) && !strings.ContainsAny(text, "\uff9e\uff9f") {
		for i := 0; i < len(text) && len(units) < maxUnits; {
			r, size := utf8.DecodeRuneInString(text[i:])
			units = appendFolded(units, r, i, i+size)
			i += size
		}
		return units
	}
	// Letters with their marks apart, as some systems write them, and as half-width Japanese does, are put together first.
	var it norm.Iter
	it.InitString(norm.NFKC, text)
	for !it.Done() && len(units) < maxUnits {
		start := it.Pos()
		segment := it.Next()
		for _, r := range string(segment) {
			units = appendFolded(units, r, start, it.Pos())
		}
	}
	return units
}

// appendFolded adds what is left of r.
func appendFolded(units []unit, r rune, start, end int) []unit {
	add := func(r rune) {
		u := unit{r: r, start: start, end: end}
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9':
			u.class = word
		case r < utf8.RuneSelf:
		case unicode.IsMark(r):
			// It belongs to the letter before it.
			if len(units) > 0 {
				u.class = units[len(units)-1].class
			}
		case withoutSpaces(r), unicode.Is(unicode.So, r):
			u.class = dense
		case unicode.IsLetter(r), unicode.IsNumber(r):
			u.class = word
		}
		units = append(units, u)
	}
	if r < utf8.RuneSelf {
		if r >= 'A' && r <= 'Z' {
			r += 'a' - 'A'
		}
		add(r)
		return units
	}
	if unicode.Is(dropped, r) {
		return units
	}
	if withoutSpaces(r) {
		for _, r := range norm.NFKC.String(string(r)) {
			add(r)
		}
		return units
	}
	for _, r := range norm.NFKD.String(string(r)) {
		if unicode.Is(dropped, r) {
			continue
		}
		r = unicode.ToLower(r)
		if s, ok := likened[r]; ok {
			for _, r := range s {
				add(r)
			}
			continue
		}
		if unicode.Is(unicode.Nd, r) {
			r = '0' + digitValue(r)
		}
		add(r)
	}
	return units
}

// digitValue is what a digit of any script stands for: they come in tens.
func digitValue(r rune) rune {
	for _, t := range unicode.Nd.R16 {
		if rune(t.Lo) <= r && r <= rune(t.Hi) {
			return (r - rune(t.Lo)) % 10
		}
	}
	for _, t := range unicode.Nd.R32 {
		if rune(t.Lo) <= r && r <= rune(t.Hi) {
			return (r - rune(t.Lo)) % 10
		}
	}
	return 0
}

// likened are letters that people type another way, beyond what Unicode takes apart.
var likened = map[rune]string{
	'ß': "ss", 'æ': "ae", 'œ': "oe", 'ø': "o", 'ł': "l", 'đ': "d", 'ð': "d", 'þ': "th", 'ħ': "h", 'ŧ': "t", 'ı': "i", 'ĸ': "k",
	'ς': "σ",
	'ى': "ي", 'ی': "ي", 'ک': "ك", 'ة': "ه", 'ہ': "ه", 'ھ': "ه",
}

// withoutSpaces reports whether r is a letter of a script that puts nothing between words, or only between parts of sentences.
func withoutSpaces(r rune) bool {
	const firstThai, longVowel, halfLongVowel = 0x0e00, 0x30fc, 0xff70
	return r >= firstThai && (r == longVowel || r == halfLongVowel ||
		unicode.In(r, unicode.Han, unicode.Hiragana, unicode.Katakana, unicode.Hangul, unicode.Bopomofo, unicode.Yi,
			unicode.Thai, unicode.Lao, unicode.Khmer, unicode.Myanmar))
}

// dropped is what does not tell words apart: accents and vowel signs of scripts whose readers do without them, what
// joins, and the variants of emoji. Marks of other scripts are letters to their readers, and stay.
var dropped = &unicode.RangeTable{
	R16: []unicode.Range16{
		{Lo: 0x00ad, Hi: 0x00ad, Stride: 1}, // soft hyphen
		{Lo: 0x0300, Hi: 0x036f, Stride: 1}, // accents
		{Lo: 0x0483, Hi: 0x0489, Stride: 1}, // Cyrillic
		{Lo: 0x0591, Hi: 0x05bd, Stride: 1}, // Hebrew points
		{Lo: 0x05bf, Hi: 0x05bf, Stride: 1},
		{Lo: 0x05c1, Hi: 0x05c2, Stride: 1},
		{Lo: 0x05c4, Hi: 0x05c5, Stride: 1},
		{Lo: 0x05c7, Hi: 0x05c7, Stride: 1},
		{Lo: 0x0610, Hi: 0x061a, Stride: 1}, // Arabic vowels
		{Lo: 0x061c, Hi: 0x061c, Stride: 1},
		{Lo: 0x0640, Hi: 0x0640, Stride: 1}, // and the line that draws words out
		{Lo: 0x064b, Hi: 0x065f, Stride: 1},
		{Lo: 0x0670, Hi: 0x0670, Stride: 1},
		{Lo: 0x06d6, Hi: 0x06dc, Stride: 1},
		{Lo: 0x06df, Hi: 0x06e8, Stride: 1},
		{Lo: 0x06ea, Hi: 0x06ed, Stride: 1},
		{Lo: 0x1ab0, Hi: 0x1aff, Stride: 1}, // more accents
		{Lo: 0x1dc0, Hi: 0x1dff, Stride: 1},
		{Lo: 0x200b, Hi: 0x200f, Stride: 1}, // no space, joiners, directions
		{Lo: 0x202a, Hi: 0x202e, Stride: 1},
		{Lo: 0x2060, Hi: 0x2064, Stride: 1},
		{Lo: 0x2066, Hi: 0x2069, Stride: 1},
		{Lo: 0x20d0, Hi: 0x20ff, Stride: 1}, // around symbols
		{Lo: 0xfe00, Hi: 0xfe0f, Stride: 1}, // variants
		{Lo: 0xfe20, Hi: 0xfe2f, Stride: 1},
		{Lo: 0xfeff, Hi: 0xfeff, Stride: 1},
	},
	R32: []unicode.Range32{
		{Lo: 0x1f3fb, Hi: 0x1f3ff, Stride: 1}, // skin
		{Lo: 0xe0020, Hi: 0xe007f, Stride: 1}, // tags of flags
		{Lo: 0xe0100, Hi: 0xe01ef, Stride: 1},
	},
	LatinOffset: 1,
}
