package search

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"omniservice/store"
)

const (
	snippetRunes = 160 // of a snippet
	snippetLead  = 40  // of them before the first mark
)

// Snippet cuts out of a text the part around its first mark, on one line, without characters that turn the direction of
// writing.
func Snippet(text string, marks []store.Mark) store.Snippet {
	from := 0
	if len(marks) > 0 && utf8.RuneCountInString(text) > snippetRunes {
		from = back(text, marks[0].Start)
	}
	var b strings.Builder
	var out store.Snippet
	if from > 0 {
		b.WriteString("…")
	}
	next := 0
	for next < len(marks) && marks[next].Start < from {
		next++
	}
	open, count := -1, 0
	for i := from; ; {
		if open >= 0 && i >= marks[next].End {
			out.Marks = append(out.Marks, store.Mark{Start: open, End: b.Len()})
			open = -1
			next++
		}
		if open < 0 && next < len(marks) && i == marks[next].Start {
			open = b.Len()
		}
		if i >= len(text) {
			break
		}
		if count == snippetRunes {
			if open >= 0 && b.Len() > open {
				out.Marks = append(out.Marks, store.Mark{Start: open, End: b.Len()})
			}
			b.WriteString("…")
			break
		}
		r, size := utf8.DecodeRuneInString(text[i:])
		if unicode.IsSpace(r) || unicode.IsControl(r) {
			r = ' '
		}
		if !unicode.Is(unicode.Bidi_Control, r) { // it would turn around what is shown beside it
			b.WriteRune(r)
			count++
		}
		i += size
	}
	out.Text = b.String()
	return out
}

// back is where a snippet begins that shows what is at byte at: some characters before it, at the beginning of a word.
func back(text string, at int) int {
	from := at
	for range snippetLead {
		_, size := utf8.DecodeLastRuneInString(text[:from])
		from -= size
	}
	if from == 0 {
		return 0
	}
	if space := strings.IndexFunc(text[from:at], unicode.IsSpace); space >= 0 {
		_, size := utf8.DecodeRuneInString(text[from+space:])
		return from + space + size
	}
	return from
}
