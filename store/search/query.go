package search

import (
	"cmp"
	"slices"
	"strings"
	"unicode/utf8"

	"omniservice/omni"
	"omniservice/store"
)

// Query is a query that has been read. Its zero value finds nothing.
type Query struct {
	all []condition
}

// condition is something that a record must have.
type condition struct {
	prefix string   // of a word
	dense  string   // anywhere in a stretch of its class
	number string   // digits, anywhere in a number
	apart  []string // or all of these, in whichever numbers
	phrase []token  // words, one after the other
	needs  []unit   // what number's terms are made of
}

const (
	shortNumber = 3  // digits that a number has at least; fewer are a word
	loneNumber  = 4  // digits that may stand in different groups of a number, where fewer may not
	longNumber  = 7  // digits from which what is between groups does not matter in a query
	mostNumber  = 15 // digits that a telephone number has at most
)

// Parse reads a query. One that is too long is omni.ErrInvalid; any other text is a query.
func Parse(text string) (Query, error) {
	if len(text) > store.MaxQuery {
		return Query{}, omni.Problemf(omni.ErrInvalid, "Search for fewer words.")
	}
	text = strings.NewReplacer("“", `"`, "”", `"`, "„", `"`, "«", `"`, "»", `"`).Replace(strings.ToValidUTF8(text, " "))
	var q Query
	parts := strings.Split(text, `"`)
	for i, part := range parts {
		if i%2 == 1 && i < len(parts)-1 {
			q.addPhrase(part)
			continue
		}
		q.addWords(part)
	}
	return q, nil
}

// addPhrase adds words that stand between quotation marks. A single one is looked for whole.
func (q *Query) addPhrase(text string) {
	if all := tokens(fold(text)); len(all) > 0 {
		q.all = append(q.all, condition{phrase: all})
	}
}

func (q *Query) addWords(text string) {
	units := fold(text)
	inNumber := map[int]bool{} // where the digits are that have been taken
	for _, n := range numbers(units) {
		if len(n.units) >= longNumber && len(n.units) <= mostNumber && len(n.groups) > 1 && alone(units, n) {
			q.all = append(q.all, telephone(n))
			for _, u := range n.units {
				inNumber[u.start] = true
			}
		}
	}
	for _, t := range tokens(units) {
		switch {
		case inNumber[t.units[0].start]:
		case t.dense():
			q.all = append(q.all, condition{dense: t.text()})
		case t.digits && len(t.units) >= shortNumber:
			c := condition{number: t.text(), needs: t.units}
			if len(t.units) >= longNumber {
				digits := t.units[leadingZeros(t.units):]
				c = condition{number: textOf(digits), needs: digits}
			}
			q.all = append(q.all, c)
		default:
			q.all = append(q.all, condition{prefix: t.text()})
		}
	}
}

// alone reports whether no letter stands beside a digit of n.
func alone(units []unit, n number) bool {
	in := map[int]bool{}
	for _, u := range n.units {
		in[u.start] = true
	}
	for i, u := range units {
		if !in[u.start] {
			continue
		}
		if i > 0 && units[i-1].class == word && !units[i-1].digit() || i+1 < len(units) && units[i+1].class == word && !units[i+1].digit() {
			return false
		}
	}
	return true
}

// telephone looks for digits in groups: as one number, without the zeros that stand for the way out of a country or a
// town, or, where the groups are long enough to be numbers of their own, as several.
func telephone(n number) condition {
	var groups []string
	var digits []unit
	rest := n.units
	for i, size := range n.groups {
		g := rest[:size]
		rest = rest[size:]
		if i > 0 && size == 1 && g[0].r == '0' {
			continue // "+44 (0)20"
		}
		groups = append(groups, textOf(g))
		digits = append(digits, g...)
	}
	zeros := leadingZeros(digits)
	digits = digits[zeros:]
	c := condition{number: textOf(digits), needs: digits}
	if zeros == 0 && slices.IndexFunc(groups, func(g string) bool { return len(g) < loneNumber }) < 0 {
		c.apart = groups
	}
	return c
}

// leadingZeros is how many zeros a long number begins with, if enough is left without them.
func leadingZeros(digits []unit) int {
	n := slices.IndexFunc(digits, func(u unit) bool { return u.r != '0' })
	if n < 0 || len(digits)-n < longNumber-1 {
		return 0
	}
	return n
}

// Empty reports whether the query asks for nothing, and so finds nothing.
func (q Query) Empty() bool { return len(q.all) == 0 }

// maxTerms is how many terms of a query an index is asked for. More would hardly narrow the result.
const maxTerms = 24

// Terms gives terms that every record has which matches, the most telling first. It is empty only if Empty is true.
func (q Query) Terms() []string {
	var all []string
	for _, c := range q.all {
		all = c.appendTerms(all)
	}
	slices.Sort(all)
	all = slices.Compact(all)
	// The longest tell most.
	slices.SortStableFunc(all, func(a, b string) int { return cmp.Compare(len(b), len(a)) })
	return all[:min(len(all), maxTerms)]
}

func (c condition) appendTerms(all []string) []string {
	switch {
	case c.prefix != "":
		return append(all, prefixTerm(c.prefix))
	case c.dense != "":
		return append(all, denseTerms([]rune(c.dense))...)
	case len(c.apart) > 0:
		for _, g := range c.apart {
			all = appendNumberTerms(all, fold(g))
		}
		return all
	case len(c.needs) > 0:
		return appendNumberTerms(all, c.needs)
	}
	for _, t := range c.phrase {
		switch {
		case t.dense():
			all = append(all, denseTerms([]rune(t.text()))...)
		case t.digits && len(t.units) >= shortNumber:
			all = appendNumberTerms(all, t.units)
		default:
			all = append(all, prefixTerm(t.text()))
		}
	}
	return all
}

func prefixTerm(text string) string {
	runes := []rune(text)
	most := 0
	for _, n := range prefixes {
		if n <= len(runes) {
			most = n
		}
	}
	return string(kindPrefix) + string(runes[:most])
}

func denseTerms(runes []rune) []string {
	if len(runes) == 1 {
		return []string{string(kindDense) + string(runes)}
	}
	all := make([]string, 0, len(runes)-1)
	for i := 1; i < len(runes); i++ {
		all = append(all, string(kindDense)+string(runes[i-1:i+1]))
	}
	return all
}

// Match reports whether a record with these texts matches: each condition is met by one of them. The marks are those of
// each text, in its order.
func (q Query) Match(texts ...string) (marks [][]store.Mark, ok bool) {
	if q.Empty() {
		return nil, false
	}
	pages := make([]page, len(texts))
	for i, text := range texts {
		units := fold(text)
		pages[i] = page{tokens: tokens(units), numbers: numbers(units)}
	}
	marks = make([][]store.Mark, len(texts))
	for _, c := range q.all {
		met := false
		if len(c.apart) > 0 {
			met = c.findApart(pages, marks)
		}
		for i := range pages {
			found := pages[i].find(c)
			marks[i] = append(marks[i], found...)
			met = met || len(found) > 0
		}
		if !met {
			return nil, false
		}
	}
	for i := range marks {
		marks[i] = joined(marks[i])
	}
	return marks, true
}

// findApart looks for each group of a number by itself.
func (c condition) findApart(pages []page, marks [][]store.Mark) bool {
	got := make([][]store.Mark, len(pages))
	for _, g := range c.apart {
		met := false
		for i := range pages {
			found := pages[i].find(condition{number: g})
			got[i] = append(got[i], found...)
			met = met || len(found) > 0
		}
		if !met {
			return false
		}
	}
	for i := range got {
		marks[i] = append(marks[i], got[i]...)
	}
	return true
}

// page is a text that has been read.
type page struct {
	tokens  []token
	numbers []number
}

// find gives all places where c is met.
func (p page) find(c condition) []store.Mark {
	var found []store.Mark
	switch {
	case c.prefix != "":
		for _, t := range p.tokens {
			if !t.dense() && hasPrefix(t.units, c.prefix) {
				found = append(found, markOf(t.units))
			}
		}
	case c.dense != "":
		for _, t := range p.tokens {
			if t.dense() {
				found = appendInside(found, t.units, c.dense)
			}
		}
	case c.number != "":
		for _, n := range p.numbers {
			found = appendNumber(found, n, c.number)
		}
	default:
		for i := range p.tokens {
			if m, ok := p.phraseAt(i, c.phrase); ok {
				found = append(found, m)
			}
		}
	}
	return found
}

func (p page) phraseAt(i int, phrase []token) (store.Mark, bool) {
	if i+len(phrase) > len(p.tokens) {
		return store.Mark{}, false
	}
	m := store.Mark{Start: -1}
	for k, want := range phrase {
		t := p.tokens[i+k]
		if t.dense() != want.dense() {
			return m, false
		}
		units := t.units
		if want.dense() {
			// In such a script a phrase may begin and end within a stretch.
			first, last := k == 0, k == len(phrase)-1
			at := insideAt(units, want.text(), first, last)
			if at < 0 {
				return m, false
			}
			units = units[at : at+len(want.units)]
		} else if t.text() != want.text() {
			return m, false
		}
		if m.Start < 0 {
			m.Start = units[0].start
		}
		m.End = units[len(units)-1].end
	}
	return m, true
}

// insideAt is where text is in units: anywhere, unless it has to begin or end there.
func insideAt(units []unit, text string, anyStart, anyEnd bool) int {
	n := utf8.RuneCountInString(text)
	for at := 0; at+n <= len(units); at++ {
		if !anyStart && at > 0 {
			break
		}
		if !anyEnd && at+n < len(units) {
			continue
		}
		if hasPrefix(units[at:], text) {
			return at
		}
	}
	return -1
}

func hasPrefix(units []unit, text string) bool {
	i := 0
	for _, r := range text {
		if i >= len(units) || units[i].r != r {
			return false
		}
		i++
	}
	return true
}

func markOf(units []unit) store.Mark {
	return store.Mark{Start: units[0].start, End: units[len(units)-1].end}
}

// appendInside adds all places where text is in units.
func appendInside(found []store.Mark, units []unit, text string) []store.Mark {
	n := utf8.RuneCountInString(text)
	for at := 0; at+n <= len(units); {
		if !hasPrefix(units[at:], text) {
			at++
			continue
		}
		found = append(found, markOf(units[at:at+n]))
		at += n
	}
	return found
}

// appendNumber adds all places where digits are in n. A few digits have to stand in one group.
func appendNumber(found []store.Mark, n number, digits string) []store.Mark {
	if len(digits) >= loneNumber {
		return appendInside(found, n.units, digits)
	}
	rest := n.units
	for _, size := range n.groups {
		found = appendInside(found, rest[:size], digits)
		rest = rest[size:]
	}
	return found
}

// joined sorts marks and joins those that overlap.
func joined(marks []store.Mark) []store.Mark {
	slices.SortFunc(marks, func(a, b store.Mark) int { return cmp.Or(cmp.Compare(a.Start, b.Start), cmp.Compare(a.End, b.End)) })
	var out []store.Mark
	for _, m := range marks {
		if last := len(out) - 1; last >= 0 && m.Start < out[last].End {
			out[last].End = max(out[last].End, m.End)
			continue
		}
		out = append(out, m)
	}
	return out
}
