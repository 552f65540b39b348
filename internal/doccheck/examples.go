package doccheck

import (
	"fmt"
	"path"
	"regexp"
	"strings"
)

// included is a block of a document that holds a file: the comment that names it, and the code after it.
var included = regexp.MustCompile("(?s)(<!-- file: (\\S+) -->\n\n?)```[a-z]*\n(?:.*?\n)??```\n")

// languages are the names of code blocks, by the ends of files.
var languages = map[string]string{".go": "go", ".ts": "ts"}

// Include puts the files that a document names into it, so that what is read there is what is compiled and run. read gives a
// file by its path from the root of the project. It returns the document, and how many files it holds.
func Include(document string, read func(file string) (string, error)) (string, int, error) {
	n := 0
	var failed error
	out := included.ReplaceAllStringFunc(document, func(block string) string {
		m := included.FindStringSubmatch(block)
		text, err := read(m[2])
		if failed != nil {
			return block
		}
		if err != nil {
			failed = fmt.Errorf("include %s: %w", m[2], err)
			return block
		}
		n++
		return m[1] + "```" + languages[path.Ext(m[2])] + "\n" + strings.TrimRight(text, "\n") + "\n```\n"
	})
	return out, n, failed
}
