package search

import (
	"slices"
	"strings"
	"unicode/utf8"
)

// Kinds of terms: the first letter of each.
const (
	kindPrefix = 'w' // the beginning of a word
	kindDense  = 'c' // one character, or two that follow each other
	kindNumber = 'n' // three digits that follow each other in a number
)

// prefixes are the lengths of words' beginnings that are kept. A query's word goes by the longest that it has.
var prefixes = [...]int{1, 2, 3, 4, 5, 6, 8, 12}

// digitPrefixes are those of numbers: longer ones go by three digits.
const digitPrefixes = 2

// MaxTerm is how many bytes a term has at most.
const MaxTerm = 1 + 12*utf8.UTFMax

// token is a stretch of characters of one class.
type token struct {
	units  []unit
	digits bool // a word of digits alone
}

// tokens cuts a folded text.
func tokens(units []unit) []token {
	var all []token
	for i := 0; i < len(units); {
		k := units[i].class
		if k == between {
			i++
			continue
		}
		t := token{digits: k == word}
		from := i
		for ; i < len(units) && units[i].class == k; i++ {
			t.digits = t.digits && units[i].digit()
		}
		t.units = units[from:i]
		all = append(all, t)
	}
	return all
}

func (t token) dense() bool { return t.units[0].class == dense }

func (t token) text() string { return textOf(t.units) }

func textOf(units []unit) string {
	var b strings.Builder
	b.Grow(len(units))
	for _, u := range units {
		b.WriteRune(u.r)
	}
	return b.String()
}

// number is digits with nothing between them but what people write into numbers.
type number struct {
	units  []unit // the digits
	groups []int  // how many digits each group has
}

// numberGap is how many characters may stand between the digits of a number, as in "1 - (415".
const numberGap = 3

// numbers finds the numbers of a folded text. Digits that letters stand beside are numbers too.
func numbers(units []unit) []number {
	var all []number
	last := -1 // index of the digit before
	for i, u := range units {
		if !u.digit() {
			continue
		}
		switch {
		case last >= 0 && i == last+1:
			n := &all[len(all)-1]
			n.units = append(n.units, u)
			n.groups[len(n.groups)-1]++
		case last >= 0 && i-last-1 <= numberGap && allGaps(units[last+1:i]):
			n := &all[len(all)-1]
			n.units = append(n.units, u)
			n.groups = append(n.groups, 1)
		default:
			all = append(all, number{units: []unit{u}, groups: []int{1}})
		}
		last = i
	}
	return all
}

func allGaps(units []unit) bool {
	for _, u := range units {
		switch u.r {
		case ' ', '-', '.', '(', ')', '/', '+', '\u2010', '\u2011', '\u2012', '\u2013', '\u2014', '\u2212':
		default:
			return false
		}
	}
	return true
}

// Terms gives the terms that an index keeps for a record with these texts, each once, sorted. They hold no white space,
// no quotation marks and no ASCII but lower-case letters and digits, and begin with a lower-case letter.
func Terms(texts ...string) []string {
	var all []string
	var b []byte
	for _, text := range texts {
		units := fold(text)
		for _, t := range tokens(units) {
			if t.dense() {
				for i, u := range t.units {
					all = append(all, denseTerm(t.units[i:i+1]))
					if i > 0 {
						all = append(all, denseTerm([]unit{t.units[i-1], u}))
					}
				}
				continue
			}
			b = append(b[:0], kindPrefix)
			most := prefixes[len(prefixes)-1]
			if t.digits {
				most = digitPrefixes
			}
			next := 0
			for i := 0; i < min(most, len(t.units)); i++ {
				b = utf8.AppendRune(b, t.units[i].r)
				if prefixes[next] == i+1 {
					all = append(all, string(b))
					next++
				}
			}
		}
		for _, n := range numbers(units) {
			all = appendNumberTerms(all, n.units)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

func denseTerm(units []unit) string { return string(kindDense) + textOf(units) }

func appendNumberTerms(all []string, digits []unit) []string {
	for i := 3; i <= len(digits); i++ {
		all = append(all, string(kindNumber)+textOf(digits[i-3:i]))
	}
	return all
}
