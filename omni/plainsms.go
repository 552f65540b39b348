package omni

import (
	"strings"
	"unicode/utf8"
)

// Replacement is what stands in a text for something that GSM-7 does not have.
type Replacement struct {
	From  string
	To    string // empty: it cannot be seen, and is left out
	Count int    // how often
}

// plainForms are signs that word processors and telephones put in place of plainer ones that GSM-7 has: of each what is
// written, and all that it stands for. Letters are not among them: a name must not be spelt otherwise.
var plainForms = func() map[rune]string {
	all := map[rune]string{}
	for to, from := range map[string]string{
		"'":    "\u2018\u2019\u201a\u201b\u2032\u2039\u203a\u02bc\u00b4`",
		`"`:    "\u201c\u201d\u201e\u201f\u2033\u00ab\u00bb",
		"-":    "\u2010\u2011\u2012\u2013\u2014\u2015\u2212",
		"...":  "\u2026",
		"*":    "\u2022\u00b7",
		"x":    "\u00d7",
		"/":    "\u2044",
		"1/2":  "\u00bd",
		"1/4":  "\u00bc",
		"3/4":  "\u00be",
		"(c)":  "\u00a9",
		"(R)":  "\u00ae",
		"(TM)": "\u2122",
		"fi":   "\ufb01",
		"fl":   "\ufb02",
		" ":    "\t\u00a0\u2002\u2003\u2007\u2009\u200a\u202f",
		"\n":   "\u2028\u2029",
		"":     "\u00ad\u200b\u200c\u200d\u200e\u200f\u2060\ufeff",
	} {
		for _, r := range from {
			all[r] = to
		}
	}
	return all
}()

// composed are the letters of GSM-7 that some devices write as two: a letter, and an accent that goes on it.
var composed = map[[2]rune]string{
	{'e', 0x300}: "è", {'e', 0x301}: "é", {'u', 0x300}: "ù", {'i', 0x300}: "ì", {'o', 0x300}: "ò", {'a', 0x300}: "à",
	{'C', 0x327}: "Ç", {'A', 0x30a}: "Å", {'a', 0x30a}: "å", {'E', 0x301}: "É", {'A', 0x308}: "Ä", {'O', 0x308}: "Ö",
	{'U', 0x308}: "Ü", {'a', 0x308}: "ä", {'o', 0x308}: "ö", {'u', 0x308}: "ü", {'N', 0x303}: "Ñ", {'n', 0x303}: "ñ",
}

// PlainSMS writes text in GSM-7, where that takes no more than signs that look the same or nearly so: it is then often
// one SMS instead of two or three. Replacements are in the order in which they first occur. If GSM-7 has the text already,
// or has not even then, it comes back as it is. Whether anything is replaced is for who writes to say.
func PlainSMS(text string) (string, []Replacement) {
	if !utf8.ValidString(text) {
		return text, nil
	}
	var out strings.Builder
	var all []Replacement
	for rest := text; rest != ""; {
		r, size := utf8.DecodeRuneInString(rest)
		accent, more := utf8.DecodeRuneInString(rest[size:])
		to, ok := composed[[2]rune{r, accent}]
		if ok {
			size += more
		} else {
			to, ok = plainForms[r]
		}
		switch {
		case ok:
			all = count(all, rest[:size], to)
			out.WriteString(to)
		case septets(r) == 0:
			return text, nil
		default:
			out.WriteRune(r)
		}
		rest = rest[size:]
	}
	if all == nil {
		return text, nil
	}
	return out.String(), all
}

func count(all []Replacement, from, to string) []Replacement {
	for i := range all {
		if all[i].From == from {
			all[i].Count++
			return all
		}
	}
	return append(all, Replacement{From: from, To: to, Count: 1})
}
